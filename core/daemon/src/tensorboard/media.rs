//! What a summary holds that becomes a file of the run: encoded images, and tables. Names follow from the content, so that a
//! file that is read again after a crash is the same file.

use runlane_model::json::{Object, Value};
use sha2::{Digest, Sha256};

/// A file to write into the run's files directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaFile {
    /// Relative to the files directory.
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// Format, width and height of an encoded image, from its header.
fn image_header(bytes: &[u8]) -> Option<(&'static str, u32, u32)> {
    let wide = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk::<4>()?));
    let narrow = |at: usize| Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk::<2>()?));
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") && bytes.get(12..16) == Some(b"IHDR") {
        return Some(("png", wide(16)?, wide(20)?));
    }
    if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
        return Some(("gif", narrow(6)?.into(), narrow(8)?.into()));
    }
    if bytes.starts_with(b"\xff\xd8\xff") {
        let (width, height) = jpeg_size(bytes)?;
        return Some(("jpeg", width, height));
    }
    None
}

/// Walks the segments of a JPEG file up to the frame header.
fn jpeg_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut at = 2;
    loop {
        let segment = bytes.get(at..)?;
        if *segment.first()? != 0xff {
            return None;
        }
        let kind = *segment.get(1)?;
        match kind {
            // Fill bytes, and markers without content.
            0xff => at += 1,
            0x01 | 0xd0..=0xd8 => at += 2,
            // Frame headers; the exceptions are tables.
            0xc0..=0xcf if !matches!(kind, 0xc4 | 0xc8 | 0xcc) => {
                let size = segment.get(5..)?.first_chunk::<4>()?;
                let height = u16::from_be_bytes([size[0], size[1]]);
                let width = u16::from_be_bytes([size[2], size[3]]);
                return Some((width.into(), height.into()));
            }
            0xd9 | 0xda => return None,
            _ => {
                let length = segment.get(2..)?.first_chunk::<2>()?;
                at += 2 + usize::from(u16::from_be_bytes(*length));
            }
        }
    }
}

/// Images of one tag and step: the value of their key and their files. `None` unless each is a PNG, JPEG or GIF, all of one
/// format, and of the size that was said (width and height, in pixels).
pub(crate) fn images(
    encoded: &[&[u8]],
    (width, height): (u32, u32),
) -> Option<(Value, Vec<MediaFile>)> {
    let mut files = Vec::new();
    let mut format = None;
    for bytes in encoded {
        let (found, found_width, found_height) = image_header(bytes)?;
        if (found_width, found_height) != (width, height) || *format.get_or_insert(found) != found {
            return None;
        }
        files.push(MediaFile {
            name: format!("media/images/{}.{found}", &hex_digest(bytes)[..32]),
            bytes: bytes.to_vec(),
        });
    }
    let names = files
        .iter()
        .map(|file| Value::from(file.name.as_str()))
        .collect();
    let value = object([
        ("_type", Value::from("images/separated")),
        ("count", count(files.len())),
        ("filenames", Value::List(names)),
        ("format", Value::from(format?)),
        ("height", Value::Int(height.into())),
        ("width", Value::Int(width.into())),
    ]);
    Some((value, files))
}

/// A table of numbers: the value of its key and its file.
pub(crate) fn table(columns: &[&str], rows: &[Vec<f64>]) -> (Value, MediaFile) {
    let list = |numbers: &Vec<f64>| Value::List(numbers.iter().map(|it| number(*it)).collect());
    let content = object([
        (
            "columns",
            Value::List(columns.iter().map(|name| Value::from(*name)).collect()),
        ),
        ("data", Value::List(rows.iter().map(list).collect())),
    ]);
    let bytes = content.to_string().into_bytes();
    let digest = hex_digest(&bytes);
    let name = format!("media/table/{}.table.json", &digest[..32]);
    let value = object([
        ("_type", Value::from("table-file")),
        ("ncols", count(columns.len())),
        ("nrows", count(rows.len())),
        ("path", Value::from(name.as_str())),
        ("sha256", Value::from(digest.as_str())),
        ("size", count(bytes.len())),
    ]);
    (value, MediaFile { name, bytes })
}

fn count(number: usize) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

/// A number as W&B writes those of event files: whole ones without a fraction.
pub(crate) fn number(value: f64) -> Value {
    /// Up to here every whole number is a float.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let is_whole = value.fract() == 0.0 && value.abs() <= EXACT;
    if is_whole && (value != 0.0 || value.is_sign_positive()) {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number in range")]
        return Value::Int(value as i64);
    }
    Value::Float(value)
}

/// An object of these members.
pub(crate) fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let mut object = Object::new();
    for (key, value) in members {
        object.insert(key.to_owned(), value);
    }
    Value::Object(object)
}

fn hex_digest(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a string takes everything");
            text
        })
}

#[cfg(test)]
pub(crate) fn png(width: u32, height: u32, rest: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    bytes.extend(width.to_be_bytes());
    bytes.extend(height.to_be_bytes());
    bytes.extend(rest);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn images_are_files_named_by_their_content() {
        let (one, other) = (png(5, 3, b"one"), png(5, 3, b"other"));
        let (value, files) = images(&[&one, &other], (5, 3)).expect("images");
        assert_eq!(files.len(), 2);
        assert_ne!(files[0].name, files[1].name);
        assert_eq!(
            value.to_string(),
            format!(
                "{{\"_type\":\"images/separated\",\"count\":2,\"filenames\":[\"{}\",\"{}\"],\"format\":\"png\",\"height\":3,\"width\":5}}",
                files[0].name, files[1].name
            )
        );
        let (_, again) = images(&[&one], (5, 3)).expect("an image");
        assert_eq!(again[0], files[0]);
    }

    #[test]
    fn what_is_no_image_of_its_size_is_refused() {
        assert_eq!(images(&[&png(5, 3, b"")], (50, 30)), None);
        assert_eq!(images(&[b"notpng"], (5, 3)), None);
        assert_eq!(images(&[], (5, 3)), None);
        let gif = b"GIF89a\x05\0\x03\0".as_slice();
        assert!(images(&[gif], (5, 3)).is_some());
        assert_eq!(images(&[gif, &png(5, 3, b"")], (5, 3)), None);
    }

    #[test]
    fn the_size_of_a_jpeg_stands_behind_its_tables() {
        let mut bytes = b"\xff\xd8\xff\xe0\0\x04ab\xff\xc4\0\x03x\xff\xc0\0\x0b\x08".to_vec();
        bytes.extend([0, 3, 0, 5, 1]);
        assert_eq!(image_header(&bytes), Some(("jpeg", 5, 3)));
    }

    #[test]
    fn a_table_is_a_file_of_columns_and_rows() {
        let (value, file) = table(&["recall", "precision"], &[vec![1.0, 0.5]]);
        assert_eq!(
            file.bytes,
            br#"{"columns":["recall","precision"],"data":[[1,0.5]]}"#
        );
        assert!(value.to_string().contains("\"nrows\":1"));
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_size_or_none(start in prop::sample::select(vec![&b"\xff\xd8\xff"[..], b"GIF89a", b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", b""]), rest in prop::collection::vec(any::<u8>(), 0..80)) {
            let bytes = [start, &rest].concat();
            image_header(&bytes);
        }
    }
}
