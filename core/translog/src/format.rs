//! The byte layout of the `.wandb` file. All integers are little-endian.
//!
//! ```text
//! file   := 3a 57 26 42 e1 be 00, then chunks; blocks of 32 KiB are aligned to FILE offsets,
//!           so block 0 holds the 7 header bytes and 32761 bytes of chunks
//! block  := chunks, then zeros if fewer than 7 bytes remain
//! chunk  := crc u32 | length u16 | type u8 | payload
//! crc    := CRC-32 (IEEE, as zlib) over type and payload, unmasked
//! type   := 1 FULL | 2 FIRST | 3 MIDDLE | 4 LAST
//! record := FULL, or FIRST MIDDLE* LAST; the joined payload is one protobuf `Record`
//! ```
//!
//! Invariants: a chunk never crosses a block; an all-zero chunk header marks the rest of its block
//! as unused; `Record.num` (field 1) counts 1, 2, 3 … in file order, so that a gap shows a loss.

/// Size of a block; blocks are aligned to file offsets.
pub const BLOCK_SIZE: usize = 32 * 1024;

/// The seven bytes that every log starts with: `:W&B`, magic 0xBEE1, version 0.
pub const FILE_HEADER: [u8; 7] = [b':', b'W', b'&', b'B', 0xe1, 0xbe, FORMAT_VERSION];

/// The only format version that exists.
pub const FORMAT_VERSION: u8 = 0;

/// File offset of the first chunk.
pub const FIRST_CHUNK_OFFSET: u64 = FILE_HEADER.len() as u64;

/// Bytes before a chunk's payload.
pub const CHUNK_HEADER_SIZE: usize = 7;

/// Largest record: the limit of protobuf.
pub const MAX_RECORD_BYTES: usize = i32::MAX as usize;

const BLOCK_SIZE_U64: u64 = BLOCK_SIZE as u64;

/// Where in a record a chunk stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkType {
    /// The whole record.
    Full = 1,
    /// Its beginning.
    First = 2,
    /// Neither beginning nor end.
    Middle = 3,
    /// Its end.
    Last = 4,
}

impl ChunkType {
    /// The type of a byte, if there is one.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Full,
            2 => Self::First,
            3 => Self::Middle,
            4 => Self::Last,
            _ => return None,
        })
    }
}

/// A decoded chunk header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkHeader {
    pub(crate) crc: u32,
    pub(crate) length: u16,
    pub(crate) type_byte: u8,
}

impl ChunkHeader {
    /// Decodes the first seven bytes of `bytes`, which must be that long.
    pub(crate) fn decode(bytes: &[u8]) -> Self {
        Self {
            crc: u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
            length: u16::from_le_bytes([bytes[4], bytes[5]]),
            type_byte: bytes[6],
        }
    }

    pub(crate) fn is_zero(self) -> bool {
        self.crc == 0 && self.length == 0 && self.type_byte == 0
    }

    /// Bytes of the chunk, header included.
    pub(crate) fn chunk_size(self) -> usize {
        CHUNK_HEADER_SIZE + usize::from(self.length)
    }
}

/// Fills in the header of `chunk`, whose payload is already in place behind seven spare bytes.
pub(crate) fn seal_chunk(chunk: &mut [u8], chunk_type: ChunkType) {
    let length = u16::try_from(chunk.len() - CHUNK_HEADER_SIZE)
        .expect("a chunk fits in a block, which is shorter than 64 KiB");
    chunk[6] = chunk_type as u8;
    let crc = crc32fast::hash(&chunk[6..]);
    chunk[..4].copy_from_slice(&crc.to_le_bytes());
    chunk[4..6].copy_from_slice(&length.to_le_bytes());
}

/// The offset within its block.
pub(crate) fn offset_in_block(offset: u64) -> usize {
    usize::try_from(offset % BLOCK_SIZE_U64).expect("below the block size")
}

/// The offset of the block that holds `offset`.
pub(crate) fn block_start(offset: u64) -> u64 {
    offset - offset % BLOCK_SIZE_U64
}

/// The smallest block boundary at or after `offset`.
pub(crate) fn round_up_to_block(offset: u64) -> u64 {
    offset.next_multiple_of(BLOCK_SIZE_U64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_full_chunk_has_the_documented_bytes() {
        let mut chunk = [0u8; 7];
        seal_chunk(&mut chunk, ChunkType::Full);
        assert_eq!(chunk, [0x1b, 0xdf, 0x05, 0xa5, 0x00, 0x00, 0x01]);
        let header = ChunkHeader::decode(&chunk);
        assert_eq!(header.chunk_size(), 7);
        assert!(!header.is_zero());
    }

    #[test]
    fn block_arithmetic_holds_at_the_edges() {
        assert_eq!(offset_in_block(32_767), 32_767);
        assert_eq!(offset_in_block(32_768), 0);
        assert_eq!(block_start(65_535), 32_768);
        assert_eq!(round_up_to_block(32_768), 32_768);
        assert_eq!(round_up_to_block(32_769), 65_536);
    }
}
