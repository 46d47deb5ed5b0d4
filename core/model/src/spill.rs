//! The spill file: entries of one writer that the daemon has not acknowledged, kept by the training process while the
//! socket takes nothing. It survives the death of both processes; the daemon or `sync` reads it afterwards.
//!
//! Layout, little-endian:
//!
//! ```text
//! header  8 bytes  magic "RLSPILL1"
//!         8 bytes  u64 writer (OpenRun.writer)
//! frame   4 bytes  u32 payload length, at most 32 MiB
//!         4 bytes  u32 number of entries in the payload, at least 1
//!         8 bytes  u64 sequence number of the first entry
//!         4 bytes  u32 CRC-32 (IEEE) over the 16 bytes above and the payload
//!         n bytes  payload: the `entry` fields of a `runlane.local.v1.Batch`, so it decodes as a `Batch`
//! ```
//!
//! Invariants: sequence numbers rise without gaps from frame to frame of one file; a frame is written by one `write`,
//! so that only the last frame can be torn; entries at or below the acknowledged number may still be in the file and
//! are skipped by number. A reader skips what is torn or damaged up to the next
//! whole frame, and knows by the numbers what is missing.

/// First bytes of a spill file; the digit is the format version.
pub const MAGIC: [u8; 8] = *b"RLSPILL1";
/// Bytes of the file header.
pub const HEADER_BYTES: usize = 16;
/// Bytes of a frame before its payload.
pub const FRAME_HEADER_BYTES: usize = 20;
/// Largest payload of one frame, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 32 << 20;

/// Returns the header of the spill file of `writer`.
#[must_use]
pub fn file_header(writer: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..].copy_from_slice(&writer.to_le_bytes());
    header
}

/// Returns the writer named in a file header, `None` if these are not the first bytes of a spill file.
#[must_use]
pub fn parse_file_header(bytes: &[u8]) -> Option<u64> {
    let header = bytes.get(..HEADER_BYTES)?;
    let writer = header.strip_prefix(&MAGIC)?;
    Some(u64::from_le_bytes(writer.try_into().ok()?))
}

/// What a frame says about its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of payload that follow.
    pub payload_bytes: usize,
    /// Entries in the payload.
    pub entries: u32,
    /// Sequence number of the first entry.
    pub first_seq: u64,
    checksum: u32,
}

impl FrameHeader {
    /// Returns the header of the frame that carries `payload`.
    #[must_use]
    pub fn of(payload: &[u8], entries: u32, first_seq: u64) -> Self {
        let mut header = Self {
            payload_bytes: payload.len(),
            entries,
            first_seq,
            checksum: 0,
        };
        header.checksum = header.checksum_over(payload);
        header
    }

    /// Reads a header; `None` if `bytes` is too short or the header is impossible.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let header = Self {
            payload_bytes: usize::try_from(word(0)?).ok()?,
            entries: word(4)?,
            first_seq: u64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?),
            checksum: word(16)?,
        };
        let possible = header.payload_bytes <= MAX_PAYLOAD_BYTES
            && header.entries > 0
            && header.first_seq > 0
            && header
                .first_seq
                .checked_add(u64::from(header.entries))
                .is_some();
        possible.then_some(header)
    }

    /// Returns the bytes of the header.
    #[must_use]
    pub fn to_bytes(self) -> [u8; FRAME_HEADER_BYTES] {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        bytes[..16].copy_from_slice(&self.fields());
        bytes[16..].copy_from_slice(&self.checksum.to_le_bytes());
        bytes
    }

    /// Says whether `payload` is what was written.
    #[must_use]
    pub fn matches(self, payload: &[u8]) -> bool {
        payload.len() == self.payload_bytes && self.checksum == self.checksum_over(payload)
    }

    /// Sequence number of the last entry.
    #[must_use]
    pub fn last_seq(self) -> u64 {
        self.first_seq + u64::from(self.entries) - 1
    }

    fn fields(self) -> [u8; 16] {
        let mut fields = [0; 16];
        // Writers keep payloads within MAX_PAYLOAD_BYTES; an impossible length is refused by `parse`.
        let length = u32::try_from(self.payload_bytes).unwrap_or(u32::MAX);
        fields[..4].copy_from_slice(&length.to_le_bytes());
        fields[4..8].copy_from_slice(&self.entries.to_le_bytes());
        fields[8..].copy_from_slice(&self.first_seq.to_le_bytes());
        fields
    }

    fn checksum_over(self, payload: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.fields());
        hasher.update(payload);
        hasher.finalize()
    }
}

/// Frames of a spill file that is in memory, in order, up to the first torn or damaged one.
///
/// `bytes` starts behind the file header.
pub fn frames(mut bytes: &[u8]) -> impl Iterator<Item = (FrameHeader, &[u8])> {
    std::iter::from_fn(move || {
        let header = FrameHeader::parse(bytes)?;
        let end = FRAME_HEADER_BYTES + header.payload_bytes;
        let payload = bytes.get(FRAME_HEADER_BYTES..end)?;
        if !header.matches(payload) {
            return None;
        }
        bytes = &bytes[end..];
        Some((header, payload))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file_of(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut seq = 1;
        for payload in payloads {
            bytes.extend_from_slice(&FrameHeader::of(payload, 2, seq).to_bytes());
            bytes.extend_from_slice(payload);
            seq += 2;
        }
        bytes
    }

    #[test]
    fn file_header_names_its_writer() {
        assert_eq!(parse_file_header(&file_header(0xfeed)), Some(0xfeed));
        assert_eq!(parse_file_header(b"RLSPILL2\0\0\0\0\0\0\0\0"), None);
        assert_eq!(parse_file_header(b"RLSPILL1"), None);
    }

    proptest! {
        #[test]
        fn every_cut_leaves_the_whole_frames_before_it(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let bytes = file_of(&payloads);
            let cut = cut.index(bytes.len() + 1);
            let mut expected = Vec::new();
            let mut end = 0;
            for payload in &payloads {
                end += FRAME_HEADER_BYTES + payload.len();
                if end <= cut {
                    expected.push(payload.as_slice());
                }
            }
            let found: Vec<&[u8]> = frames(&bytes[..cut]).map(|(_, payload)| payload).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn a_flipped_bit_hides_its_frame_and_those_behind(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 1..6),
            at in any::<prop::sample::Index>(),
            bit in 0..8,
        ) {
            let mut bytes = file_of(&payloads);
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            let mut whole = 0;
            let mut end = 0;
            for payload in &payloads {
                end += FRAME_HEADER_BYTES + payload.len();
                if end <= at {
                    whole += 1;
                }
            }
            prop_assert_eq!(frames(&bytes).count(), whole);
        }
    }
}
