//! Records of an event file, as TensorFlow frames them.
//!
//! ```text
//! record := length u64 | crc of the length u32 | data | crc of the data u32        (little-endian)
//! crc    := CRC-32C, rotated right by 15 bits, plus 0xa282ead8
//! ```
//!
//! Files grow while they are read, so an incomplete record is no damage. A record whose length is sound and whose data is not
//! is skipped; behind an unsound length the next sound record is searched for.

/// Bytes before the data.
pub(crate) const HEADER_BYTES: usize = 12;
const FOOTER_BYTES: usize = 4;
/// A longer record is skipped unread: nothing that is mirrored is that long.
pub(crate) const LONGEST_BYTES: u64 = 64 << 20;

/// What stands at the beginning of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// A sound record, with the bytes that it takes up.
    Record { data: &'a [u8], bytes: usize },
    /// The rest is not here: so many bytes are needed in all.
    Incomplete { needed: usize },
    /// A record that is not used: its data is damaged, or it is too long. It takes up so many bytes.
    Skip { bytes: u64 },
    /// No record begins here.
    Damaged,
}

/// Reads one record.
pub(crate) fn next_frame(bytes: &[u8]) -> Frame<'_> {
    let Some((header, rest)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Frame::Incomplete {
            needed: HEADER_BYTES,
        };
    };
    let Some(length) = sound_length(header) else {
        return Frame::Damaged;
    };
    let whole = length.saturating_add((HEADER_BYTES + FOOTER_BYTES) as u64);
    if length > LONGEST_BYTES {
        return Frame::Skip { bytes: whole };
    }
    let (Ok(length), Ok(whole)) = (usize::try_from(length), usize::try_from(whole)) else {
        return Frame::Skip { bytes: whole };
    };
    let Some((data, rest)) = rest.split_at_checked(length) else {
        return Frame::Incomplete { needed: whole };
    };
    let Some(footer) = rest.first_chunk::<FOOTER_BYTES>() else {
        return Frame::Incomplete { needed: whole };
    };
    if masked_crc(data) == u32::from_le_bytes(*footer) {
        Frame::Record { data, bytes: whole }
    } else {
        Frame::Skip {
            bytes: whole as u64,
        }
    }
}

/// Where the next record behind the first byte may begin: the place of a sound length, or of the last bytes, which are too
/// few to tell.
pub(crate) fn next_header(bytes: &[u8]) -> usize {
    (1..bytes.len())
        .find(|at| match bytes.get(*at..*at + HEADER_BYTES) {
            Some(header) => sound_length(header).is_some_and(|length| length <= LONGEST_BYTES),
            None => true,
        })
        .unwrap_or(bytes.len())
}

fn sound_length(header: &[u8]) -> Option<u64> {
    let (length, crc) = header.split_first_chunk::<8>()?;
    let crc = u32::from_le_bytes(*crc.first_chunk()?);
    (masked_crc(length) == crc).then(|| u64::from_le_bytes(*length))
}

/// The checksum that stands in the file.
pub(crate) fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

#[cfg(test)]
pub(crate) fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut out = length.to_vec();
    out.extend(masked_crc(&length).to_le_bytes());
    out.extend(data);
    out.extend(masked_crc(data).to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_of_tensorboards_own_writer_is_read() {
        let bytes = [
            3, 0, 0, 0, 0, 0, 0, 0, 176, 153, 73, 14, b'f', b'o', b'o', 97, 138, 190, 254,
        ];
        assert_eq!(
            next_frame(&bytes),
            Frame::Record {
                data: b"foo",
                bytes: bytes.len()
            }
        );
        assert_eq!(framed(b"foo"), bytes);
    }

    #[test]
    fn a_record_that_is_too_long_is_skipped_unread() {
        let length = (LONGEST_BYTES + 1).to_le_bytes();
        let mut bytes = length.to_vec();
        bytes.extend(masked_crc(&length).to_le_bytes());
        assert_eq!(
            next_frame(&bytes),
            Frame::Skip {
                bytes: LONGEST_BYTES + 17
            }
        );
    }

    proptest! {
        #[test]
        fn a_record_that_is_cut_anywhere_waits_for_its_rest(data in prop::collection::vec(any::<u8>(), 0..60), at in any::<prop::sample::Index>()) {
            let whole = framed(&data);
            prop_assert_eq!(next_frame(&whole), Frame::Record { data: &data, bytes: whole.len() });
            let cut = at.index(whole.len());
            let expected = if cut < HEADER_BYTES { HEADER_BYTES } else { whole.len() };
            prop_assert_eq!(next_frame(&whole[..cut]), Frame::Incomplete { needed: expected });
        }

        #[test]
        fn no_changed_byte_passes(data in prop::collection::vec(any::<u8>(), 0..60), at in any::<prop::sample::Index>(), change in 1u8..) {
            let mut whole = framed(&data);
            let at = at.index(whole.len());
            whole[at] ^= change;
            let frame = next_frame(&whole);
            if at < HEADER_BYTES {
                prop_assert_eq!(frame, Frame::Damaged);
            } else {
                prop_assert_eq!(frame, Frame::Skip { bytes: whole.len() as u64 });
            }
        }

        #[test]
        fn a_sound_record_is_found_behind_rubbish(rubbish in prop::collection::vec(any::<u8>(), 1..60), data in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut bytes = rubbish.clone();
            bytes.extend(framed(&data));
            prop_assume!(next_frame(&bytes) == Frame::Damaged);
            prop_assert_eq!(next_header(&bytes), rubbish.len());
        }
    }
}
