//! Protobuf by hand, for the one path that is too hot for a generated encoder.
//!
//! A message whose length is not known before it is written gets a length of four bytes (a padded varint, which every
//! decoder accepts), filled in afterwards: the encoder makes a single pass and never moves bytes.

/// Largest length that fits a padded one.
pub(crate) const MAX_PADDED: usize = (1 << 28) - 1;

/// Bytes that `value` takes as a varint.
#[inline]
pub(crate) const fn varint_len(value: u64) -> usize {
    // 1 byte per started group of seven bits; `| 1` because zero takes a byte too.
    ((value | 1).ilog2() / 7 + 1) as usize
}

/// Appends a varint.
#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low_seven(value) | 0x80);
        value >>= 7;
    }
    out.push(low_seven(value));
}

/// Appends a tag of one byte, a length and the bytes.
#[inline]
pub(crate) fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a tag of one byte and room for a length; returns where the message starts.
#[inline]
pub(crate) fn open_message(out: &mut Vec<u8>, tag: u8) -> usize {
    out.extend_from_slice(&[tag, 0x80, 0x80, 0x80, 0]);
    out.len()
}

/// Fills in the length of the message that starts at `start` and ends at the end of `out`.
///
/// The caller keeps messages within [`MAX_PADDED`].
#[inline]
pub(crate) fn close_message(out: &mut [u8], start: usize) {
    let length = (out.len() - start) as u64;
    debug_assert!(
        out.len() - start <= MAX_PADDED,
        "the caller bounds its messages"
    );
    out[start - 4] = low_seven(length) | 0x80;
    out[start - 3] = low_seven(length >> 7) | 0x80;
    out[start - 2] = low_seven(length >> 14) | 0x80;
    out[start - 1] = low_seven(length >> 21);
}

/// Maps signed to unsigned so that small magnitudes stay short (`sint64`).
#[inline]
pub(crate) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[inline]
const fn low_seven(value: u64) -> u8 {
    (value & 0x7f) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn varints_have_the_announced_length_and_decode(value: u64) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            prop_assert_eq!(out.len(), varint_len(value));
            prop_assert_eq!(prost::encoding::decode_varint(&mut out.as_slice()).ok(), Some(value));
        }

        #[test]
        fn padded_lengths_decode(length in 0usize..300_000) {
            let mut out = Vec::new();
            let start = open_message(&mut out, 0x0a);
            out.resize(start + length, 0);
            close_message(&mut out, start);
            let decoded = prost::encoding::decode_varint(&mut &out[1..]).ok();
            prop_assert_eq!(decoded, Some(length as u64));
        }

        #[test]
        fn zigzag_matches_sint64(value: i64) {
            let message = runlane_proto::wandb_internal::HistoryItem {
                value: Some(runlane_proto::wandb_internal::history_item::Value::Integer(value)),
                ..Default::default()
            };
            let mut out = vec![0x28];
            put_varint(&mut out, zigzag(value));
            prop_assert_eq!(prost::Message::encode_to_vec(&message), out);
        }
    }
}
