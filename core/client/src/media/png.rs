//! PNG files of 8-bit pixels.
//!
//! Compression is the quickest that still compresses: an image is written once, by the training loop, and read a few times. Each
//! line's filter is chosen by the smallest sum of differences, as libpng does; the digest is taken of the bytes as they come.

use std::io::{self, Write};

use png::{BitDepth, ColorType, Compression, Encoder, EncodingError, Filter};
use sha2::{Digest, Sha256};

/// Pixels, line by line from the top, their channels side by side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pixels<'a> {
    width: u32,
    height: u32,
    color: ColorType,
    bytes: &'a [u8],
}

impl<'a> Pixels<'a> {
    /// `channels`: 1 grey, 2 grey and opacity, 3 red, green and blue, 4 the same and opacity. `None` unless `bytes` are just that many.
    pub(crate) fn new(width: u32, height: u32, channels: u8, bytes: &'a [u8]) -> Option<Self> {
        let color = match channels {
            1 => ColorType::Grayscale,
            2 => ColorType::GrayscaleAlpha,
            3 => ColorType::Rgb,
            4 => ColorType::Rgba,
            _ => return None,
        };
        let line = (width as usize).checked_mul(channels.into())?;
        let fits = line.checked_mul(height as usize)? == bytes.len() && !bytes.is_empty();
        fits.then_some(Self {
            width,
            height,
            color,
            bytes,
        })
    }
}

/// A file and its SHA-256.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) sha256: [u8; 32],
}

/// Bytes that are digested as they are written.
#[derive(Default)]
struct Digested {
    bytes: Vec<u8>,
    hasher: Sha256,
}

impl Write for Digested {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The file of an image.
///
/// # Errors
/// What the format cannot hold: a side of more than 2^31 - 1 pixels.
pub(crate) fn encode(pixels: Pixels<'_>) -> Result<Encoded, EncodingError> {
    let mut file = Digested::default();
    let mut encoder = Encoder::new(&mut file, pixels.width, pixels.height);
    encoder.set_color(pixels.color);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    encoder.set_filter(Filter::Adaptive);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels.bytes)?;
    writer.finish()?;
    Ok(Encoded {
        bytes: file.bytes,
        sha256: file.hasher.finalize().into(),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn decoded(file: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut reader = png::Decoder::new(Cursor::new(file))
            .read_info()
            .expect("a PNG");
        let mut bytes = vec![0; reader.output_buffer_size().expect("fits")];
        let info = reader.next_frame(&mut bytes).expect("a frame");
        (info.width, info.height, bytes)
    }

    #[test]
    fn every_number_of_channels_decodes_to_its_pixels() {
        for channels in 1..=4_u8 {
            for (width, height) in [(1, 1), (1, 7), (13, 5), (64, 64)] {
                let length = width * height * u32::from(channels);
                let bytes: Vec<u8> = (0..length)
                    .map(|at| at.wrapping_mul(at).wrapping_add(at >> 3).to_le_bytes()[0])
                    .collect();
                let pixels =
                    Pixels::new(width, height, channels, &bytes).expect("as many as they are");
                let file = encode(pixels).expect("encodes");
                assert_eq!(decoded(&file.bytes), (width, height, bytes));
                assert_eq!(file.sha256[..], Sha256::digest(&file.bytes)[..]);
            }
        }
    }

    #[test]
    fn a_flat_image_is_small() {
        let bytes = vec![200; 256 * 256 * 3];
        let file = encode(Pixels::new(256, 256, 3, &bytes).expect("fits")).expect("encodes");
        assert!(file.bytes.len() < 4096, "{} bytes", file.bytes.len());
    }

    #[test]
    fn pixels_that_are_not_as_many_as_told_are_refused() {
        assert!(Pixels::new(2, 2, 3, &[0; 11]).is_none());
        assert!(Pixels::new(2, 2, 5, &[0; 20]).is_none());
        assert!(Pixels::new(0, 2, 1, &[]).is_none());
        assert!(Pixels::new(u32::MAX, u32::MAX, 4, &[0; 4]).is_none());
    }
}
