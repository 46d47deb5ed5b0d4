//! Frames of the local socket: byte 0x52, u32 little-endian payload length, payload (`proto/runlane_local.proto`).

use crate::wire::{put_varint, varint_len};

/// First byte of a frame.
pub(crate) const MAGIC: u8 = 0x52;
/// Largest payload.
pub(crate) const MAX_PAYLOAD_BYTES: usize = 32 << 20;
/// Bytes before the payload.
const HEADER_BYTES: usize = 5;

/// Why a byte stream is not one of frames.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// Not a frame.
    #[error("a frame of the daemon starts with byte {0:#04x}, not 0x52")]
    Magic(u8),
    /// Too long.
    #[error("a frame of the daemon announces {0} bytes, the limit is {MAX_PAYLOAD_BYTES}")]
    Length(usize),
}

/// Wraps a message into a frame.
pub(crate) fn frame_of(message: &runlane_proto::local::ClientMessage) -> Vec<u8> {
    use prost::Message as _;
    let length = message.encoded_len();
    let mut out = Vec::with_capacity(HEADER_BYTES + length);
    out.push(MAGIC);
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    message.encode_raw(&mut out);
    out
}

/// The bytes of a `Batch` frame before its entries.
pub(crate) fn batch_head(out: &mut Vec<u8>, stream: u64, first_seq: u64, entries_bytes: usize) {
    let fields = 2 + varint_len(stream) + varint_len(first_seq);
    let batch = fields + entries_bytes;
    let payload = 1 + varint_len(batch as u64) + batch;
    out.clear();
    out.push(MAGIC);
    out.extend_from_slice(&u32::try_from(payload).unwrap_or(u32::MAX).to_le_bytes());
    out.push(0x1a);
    put_varint(out, batch as u64);
    out.push(0x08);
    put_varint(out, stream);
    out.push(0x10);
    put_varint(out, first_seq);
}

/// Cuts received bytes into payloads.
#[derive(Default)]
pub(crate) struct FrameReader {
    bytes: Vec<u8>,
    start: usize,
}

impl FrameReader {
    /// Adds received bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole payload.
    pub(crate) fn next_payload(&mut self) -> Result<Option<&[u8]>, FrameError> {
        let rest = &self.bytes[self.start..];
        let Some(&magic) = rest.first() else {
            return Ok(None);
        };
        if magic != MAGIC {
            return Err(FrameError::Magic(magic));
        }
        let Some(length) = rest
            .get(1..HEADER_BYTES)
            .and_then(|bytes| bytes.try_into().ok())
        else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(length) as usize;
        if length > MAX_PAYLOAD_BYTES {
            return Err(FrameError::Length(length));
        }
        let end = self.start + HEADER_BYTES + length;
        if self.bytes.len() < end {
            return Ok(None);
        }
        let payload = self.start + HEADER_BYTES..end;
        self.start = end;
        Ok(self.bytes.get(payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use prost::Message as _;
    use runlane_proto::local::{ClientMessage, client_message::Message};

    #[test]
    fn a_batch_head_with_its_entries_decodes() {
        let entries = [0x1a, 0, 0x1a, 0];
        let mut frame = Vec::new();
        batch_head(&mut frame, 300, 1 << 40, entries.len());
        frame.extend_from_slice(&entries);
        let length = u32::from_le_bytes(frame[1..5].try_into().expect("four bytes")) as usize;
        assert_eq!(frame.len(), 5 + length);
        let message = ClientMessage::decode(&frame[5..]).expect("valid").message;
        let Some(Message::Batch(batch)) = message else {
            panic!("{message:?}")
        };
        assert_eq!(
            (batch.stream, batch.first_seq, batch.entry.len()),
            (300, 1 << 40, 2)
        );
    }

    #[test]
    fn foreign_bytes_are_refused() {
        let mut reader = FrameReader::default();
        reader.push(b"H");
        assert_eq!(reader.next_payload(), Err(FrameError::Magic(b'H')));
        let mut reader = FrameReader::default();
        reader.push(&[MAGIC, 255, 255, 255, 255]);
        assert_eq!(
            reader.next_payload(),
            Err(FrameError::Length(u32::MAX as usize))
        );
    }

    proptest! {
        #[test]
        fn payloads_survive_any_cut(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..6),
            step in 1usize..20,
        ) {
            let mut bytes = Vec::new();
            for payload in &payloads {
                bytes.push(MAGIC);
                bytes.extend_from_slice(&u32::try_from(payload.len()).expect("short").to_le_bytes());
                bytes.extend_from_slice(payload);
            }
            let mut reader = FrameReader::default();
            let mut found = Vec::new();
            for part in bytes.chunks(step) {
                reader.push(part);
                while let Some(payload) = reader.next_payload().expect("our own frames") {
                    found.push(payload.to_vec());
                }
            }
            prop_assert_eq!(found, payloads);
        }
    }
}
