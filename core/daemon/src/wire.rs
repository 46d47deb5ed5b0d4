//! Protobuf by hand, for the one path that is too hot for generated code: entries come in and history records go out
//! as bytes.

use thiserror::Error;

/// Bytes that are no protobuf message.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("malformed protobuf: {0}")]
pub(crate) struct WireError(pub(crate) &'static str);

/// One field as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// Walks the fields of one message.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Bytes walked so far.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// The next field's number and content; `None` at the end.
    #[inline]
    pub(crate) fn next_field(&mut self) -> Result<Option<(u32, Field<'a>)>, WireError> {
        if self.position == self.bytes.len() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_large| WireError("field number"))?;
        if number == 0 {
            return Err(WireError("field number 0"));
        }
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length =
                    usize::try_from(self.varint()?).map_err(|_large| WireError("length"))?;
                let end = self
                    .position
                    .checked_add(length)
                    .ok_or(WireError("length"))?;
                let bytes = self
                    .bytes
                    .get(self.position..end)
                    .ok_or(WireError("truncated"))?;
                self.position = end;
                Field::Bytes(bytes)
            }
            5 => Field::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(WireError("wire type")),
        };
        Ok(Some((number, field)))
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, WireError> {
        let first = *self
            .bytes
            .get(self.position)
            .ok_or(WireError("truncated"))?;
        self.position += 1;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        let mut value = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = *self
                .bytes
                .get(self.position)
                .ok_or(WireError("truncated"))?;
            self.position += 1;
            if shift == 63 && byte > 1 {
                return Err(WireError("varint overflow"));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(WireError("varint overflow"))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let end = self.position + N;
        let bytes = self
            .bytes
            .get(self.position..end)
            .ok_or(WireError("truncated"))?;
        self.position = end;
        bytes.try_into().map_err(|_never| WireError("truncated"))
    }
}

/// The signed number behind a `sint64`.
#[inline]
pub(crate) const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// The wire form of a `sint64`.
#[inline]
pub(crate) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// Bytes that `value` takes as a varint.
#[inline]
pub(crate) const fn varint_len(value: u64) -> usize {
    ((value | 1).ilog2() / 7 + 1) as usize
}

/// Appends a varint.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the mask leaves seven bits"
)]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    if value < 0x80 {
        out.push(value as u8);
        return;
    }
    let mut bytes = [0; 10];
    let mut length = 0;
    while value >= 0x80 {
        bytes[length] = (value & 0x7f) as u8 | 0x80;
        length += 1;
        value >>= 7;
    }
    bytes[length] = value as u8;
    out.extend_from_slice(&bytes[..=length]);
}

/// Appends a length-delimited field.
pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number << 3 | 2));
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a varint field.
pub(crate) fn put_number(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number << 3));
    put_varint(out, value);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_read_back(value: u64, signed: i64) {
            let mut out = Vec::new();
            put_number(&mut out, 2000, value);
            prop_assert_eq!(out.len(), 2 + varint_len(value));
            let mut fields = Fields::new(&out);
            prop_assert_eq!(fields.next_field(), Ok(Some((2000, Field::Varint(value)))));
            prop_assert_eq!(fields.next_field(), Ok(None));
            prop_assert_eq!(unzigzag(zigzag(signed)), signed);
        }

        #[test]
        fn any_bytes_are_walked_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut fields = Fields::new(&bytes);
            while let Ok(Some(_)) = fields.next_field() {}
            prop_assert!(fields.position() <= bytes.len());
        }
    }

    #[test]
    fn truncated_and_overlong_input_is_refused() {
        assert_eq!(
            Fields::new(&[0x0a, 5, 1]).next_field(),
            Err(WireError("truncated"))
        );
        assert_eq!(
            Fields::new(&[0x80; 11]).next_field(),
            Err(WireError("varint overflow"))
        );
        assert_eq!(
            Fields::new(&[0x0b]).next_field(),
            Err(WireError("wire type"))
        );
        assert_eq!(
            Fields::new(&[0x02, 0]).next_field(),
            Err(WireError("field number 0"))
        );
    }
}
