//! Blobs of lines, as the tail of a stream is stored.
//!
//! Layout, little-endian: per line a `u32` length in bytes, then the line's UTF-8 text. Nothing else: the number of
//! lines stands beside the blob. Lines are kept as they came, so that numbers come back unchanged and a repeated
//! line can be told from a different one.

use crate::error::StoreError;

/// Appends `line` to `blob`.
///
/// # Panics
/// If the line has 4 GiB or more; requests are limited far below that.
pub(crate) fn push(blob: &mut Vec<u8>, line: &str) {
    let length = u32::try_from(line.len()).expect("lines are limited to a few MiB");
    blob.extend_from_slice(&length.to_le_bytes());
    blob.extend_from_slice(line.as_bytes());
}

/// The lines of `blob`.
pub(crate) fn decode(blob: &[u8]) -> Result<Vec<&str>, StoreError> {
    let damaged = || StoreError::Damaged("a chunk of lines is cut short".into());
    let mut lines = Vec::new();
    let mut rest = blob;
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let (line, tail) = tail.split_at_checked(length).ok_or_else(damaged)?;
        lines.push(
            std::str::from_utf8(line).map_err(|error| StoreError::Damaged(error.to_string()))?,
        );
        rest = tail;
    }
    if rest.is_empty() {
        Ok(lines)
    } else {
        Err(damaged())
    }
}

/// What is kept of a line that moved into a Parquet object: enough to recognise it when it is sent again.
pub(crate) fn checksum(line: &str) -> u32 {
    crc32fast::hash(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(lines: &[String]) -> Vec<u8> {
        let mut blob = Vec::new();
        for line in lines {
            push(&mut blob, line);
        }
        blob
    }

    proptest! {
        #[test]
        fn lines_come_back(lines in proptest::collection::vec(".*", 0..20)) {
            let blob = encode(&lines);
            prop_assert_eq!(decode(&blob).expect("whole blob"), lines);
        }

        #[test]
        fn cut_blobs_are_refused_or_end_at_a_line(lines in proptest::collection::vec(".{1,5}", 1..5), cut in 1_usize..20) {
            let blob = encode(&lines);
            let kept = blob.len().saturating_sub(cut);
            if let Ok(found) = decode(&blob[..kept]) {
                prop_assert!(found.len() < lines.len());
                prop_assert_eq!(&found[..], &lines[..found.len()]);
            }
        }
    }
}
