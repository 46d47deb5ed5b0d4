//! Cutting records into chunks, and the few protobuf bytes that the log itself knows about.

use crate::format::{BLOCK_SIZE, CHUNK_HEADER_SIZE, ChunkType, offset_in_block, seal_chunk};

/// The encoded `num` field that goes before a record: a tag and at most ten bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NumPrefix {
    bytes: [u8; 11],
    len: usize,
}

impl NumPrefix {
    /// Field 1 as a varint.
    pub(crate) fn new(num: u64) -> Self {
        let mut prefix = Self {
            bytes: [0; 11],
            len: 1,
        };
        prefix.bytes[0] = NUM_TAG;
        let mut rest = num;
        loop {
            let low = u8::try_from(rest & 0x7f).expect("seven bits");
            rest >>= 7;
            prefix.bytes[prefix.len] = if rest == 0 { low } else { low | 0x80 };
            prefix.len += 1;
            if rest == 0 {
                return prefix;
            }
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Appends to `out` the chunks of one record, payload `head` then `body`, that is written at file
/// position `position`. Returns the file offset of its first chunk, behind any padding.
pub(crate) fn frame_record(
    out: &mut Vec<u8>,
    position: u64,
    mut head: &[u8],
    mut body: &[u8],
) -> u64 {
    let mut in_block = offset_in_block(position);
    let mut record_offset = position;
    let mut first = true;
    loop {
        let mut left = BLOCK_SIZE - in_block;
        if left < CHUNK_HEADER_SIZE {
            out.resize(out.len() + left, 0);
            if first {
                record_offset += left as u64;
            }
            in_block = 0;
            left = BLOCK_SIZE;
        }
        let payload = (left - CHUNK_HEADER_SIZE).min(head.len() + body.len());
        let chunk_start = out.len();
        out.extend_from_slice(&[0; CHUNK_HEADER_SIZE]);
        let (from_head, rest_of_head) = head.split_at(payload.min(head.len()));
        let (from_body, rest_of_body) = body.split_at(payload - from_head.len());
        out.extend_from_slice(from_head);
        out.extend_from_slice(from_body);
        (head, body) = (rest_of_head, rest_of_body);

        let last = head.is_empty() && body.is_empty();
        let chunk_type = match (first, last) {
            (true, true) => ChunkType::Full,
            (true, false) => ChunkType::First,
            (false, false) => ChunkType::Middle,
            (false, true) => ChunkType::Last,
        };
        seal_chunk(&mut out[chunk_start..], chunk_type);
        if last {
            return record_offset;
        }
        first = false;
        in_block = (in_block + CHUNK_HEADER_SIZE + payload) % BLOCK_SIZE;
    }
}

/// Upper bound of the bytes that [`frame_record`] adds for a payload of `payload` bytes.
pub(crate) fn framed_size_bound(payload: usize) -> usize {
    let per_block = BLOCK_SIZE - CHUNK_HEADER_SIZE;
    payload + (payload / per_block + 2) * CHUNK_HEADER_SIZE + CHUNK_HEADER_SIZE
}

/// The number of an encoded `Record`, if its top level is a well-formed message.
///
/// `joined`: the payload comes from several chunks, which swapped or misdirected blocks may have
/// taken from different records while every checksum holds. What gives such a record away is that
/// its fields do not add up, or that one comes twice, which no field of `Record` may. (Two records
/// cut at the same place whose parts have equal lengths go unnoticed; the format has no more to offer.)
pub(crate) fn record_number(payload: &[u8], joined: bool) -> Result<Option<u64>, MalformedRecord> {
    let mut rest = payload;
    let mut num = None;
    let mut seen = SeenFields::default();
    while !rest.is_empty() {
        let key = take_varint(&mut rest)?;
        if joined {
            seen.insert(key >> 3)?;
        }
        let start = rest;
        skip_field(key, &mut rest, MAX_GROUP_DEPTH)?;
        if key == u64::from(NUM_TAG) {
            num = Some(take_varint(&mut &start[..])?);
        }
    }
    // A number of 0 is an unset field; a negative one is none that a writer gives.
    Ok(num.filter(|num| (1..=i64::MAX.unsigned_abs()).contains(num)))
}

/// Moves behind the value of the field with tag `key`. Groups may come as unknown fields only.
fn skip_field(key: u64, rest: &mut &[u8], depth: u32) -> Result<(), MalformedRecord> {
    if !(1..=MAX_FIELD).contains(&(key >> 3)) {
        return Err(MalformedRecord);
    }
    match key & 7 {
        VARINT => take_varint(rest).map(drop),
        FIXED64 => take(rest, 8),
        LENGTH_DELIMITED => {
            let length = take_varint(rest)?;
            take(rest, length)
        }
        START_GROUP if depth > 0 => loop {
            let inner = take_varint(rest)?;
            if inner & 7 == END_GROUP {
                return if inner >> 3 == key >> 3 {
                    Ok(())
                } else {
                    Err(MalformedRecord)
                };
            }
            skip_field(inner, rest, depth - 1)?;
        },
        FIXED32 => take(rest, 4),
        _ => Err(MalformedRecord),
    }
}

/// The numbers of a message's fields so far.
#[derive(Default)]
struct SeenFields {
    numbers: [u64; 32],
    count: usize,
}

impl SeenFields {
    fn insert(&mut self, number: u64) -> Result<(), MalformedRecord> {
        if self.count == self.numbers.len() || self.numbers[..self.count].contains(&number) {
            return Err(MalformedRecord);
        }
        self.numbers[self.count] = number;
        self.count += 1;
        Ok(())
    }
}

/// The payload of a record is not a protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MalformedRecord;

const NUM_TAG: u8 = 1 << 3;
const MAX_FIELD: u64 = (1 << 29) - 1;
const MAX_GROUP_DEPTH: u32 = 100;
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const START_GROUP: u64 = 3;
const END_GROUP: u64 = 4;
const FIXED32: u64 = 5;

fn take_varint(bytes: &mut &[u8]) -> Result<u64, MalformedRecord> {
    let mut value = 0u64;
    for index in 0..10 {
        let (&byte, rest) = bytes.split_first().ok_or(MalformedRecord)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            // The tenth byte holds one bit.
            return if index == 9 && byte > 1 {
                Err(MalformedRecord)
            } else {
                Ok(value)
            };
        }
    }
    Err(MalformedRecord)
}

fn take(bytes: &mut &[u8], count: u64) -> Result<(), MalformedRecord> {
    let rest = usize::try_from(count)
        .ok()
        .and_then(|count| bytes.get(count..));
    *bytes = rest.ok_or(MalformedRecord)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks_at(position: u64, payload: &[u8]) -> (u64, Vec<u8>) {
        let mut out = Vec::new();
        let offset = frame_record(&mut out, position, &[], payload);
        assert!(out.len() <= framed_size_bound(payload.len()));
        (offset, out)
    }

    #[test]
    fn fewer_than_seven_bytes_left_are_padded() {
        for left in 1..7u64 {
            let (offset, bytes) = chunks_at(32_768 - left, b"x");
            assert_eq!(offset, 32_768);
            assert_eq!(bytes.len() as u64, left + 8);
            assert!(
                bytes[..usize::try_from(left).unwrap()]
                    .iter()
                    .all(|&b| b == 0)
            );
            assert_eq!(
                bytes[usize::try_from(left).unwrap() + 6],
                ChunkType::Full as u8
            );
        }
    }

    #[test]
    fn exactly_seven_bytes_left_hold_an_empty_first_chunk() {
        let (offset, bytes) = chunks_at(32_761, b"x");
        assert_eq!(offset, 32_761);
        assert_eq!(bytes[4..7], [0, 0, ChunkType::First as u8]);
        assert_eq!(bytes[13], ChunkType::Last as u8);
        let (_, empty) = chunks_at(32_761, b"");
        assert_eq!(empty[6], ChunkType::Full as u8);
        assert_eq!(empty.len(), 7);
    }

    #[test]
    fn record_number_is_read_wherever_it_stands() {
        for num in [
            1,
            127,
            128,
            300,
            u64::from(u32::MAX),
            i64::MAX.unsigned_abs(),
        ] {
            let mut record = NumPrefix::new(num).as_bytes().to_vec();
            assert_eq!(record_number(&record, true), Ok(Some(num)));
            record.splice(0..0, [0x12, 2, 9, 9]);
            assert_eq!(record_number(&record, true), Ok(Some(num)));
        }
        assert_eq!(record_number(&[], true), Ok(None));
        assert_eq!(record_number(&[8, 0], true), Ok(None));
    }

    #[test]
    fn broken_top_level_fields_are_malformed() {
        for bytes in [
            &[0x08][..],
            &[0x12, 5, 1],
            &[0x00, 1],
            &[0x0c],
            &[0x0f],
            &[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2],
            &[0x12, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
            &[0x11, 1, 2, 3],
            &[0x0b, 0x10, 1],
            &[0x0b, 0x14],
        ] {
            assert_eq!(
                record_number(bytes, false),
                Err(MalformedRecord),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn unknown_groups_are_skipped_up_to_a_depth() {
        let nested = |depth| [vec![0x13; depth], vec![0x14; depth], vec![8, 5]].concat();
        assert_eq!(record_number(&nested(1), false), Ok(Some(5)));
        assert_eq!(record_number(&nested(100), false), Ok(Some(5)));
        assert_eq!(record_number(&nested(10_000), false), Err(MalformedRecord));
    }

    #[test]
    fn a_field_that_comes_twice_betrays_joined_parts() {
        let twice = [8, 5, 0x12, 1, 9, 0x12, 1, 9];
        assert_eq!(record_number(&twice, false), Ok(Some(5)));
        assert_eq!(record_number(&twice, true), Err(MalformedRecord));
    }
}
