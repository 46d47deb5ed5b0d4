//! Bytes of a stream into text, wherever they are cut. What is no UTF-8 becomes U+FFFD.

/// The end of a character that has not come yet.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    rest: Vec<u8>,
}

impl Decoder {
    /// The text of the next bytes.
    pub(crate) fn next(&mut self, bytes: &[u8]) -> String {
        let joined;
        let mut bytes = bytes;
        if !self.rest.is_empty() {
            self.rest.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.rest);
            bytes = &joined;
        }
        let mut text = String::with_capacity(bytes.len());
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.push_str(chunk.valid());
            if chunk.invalid().is_empty() {
                continue;
            }
            if chunks.peek().is_none() && is_beginning(chunk.invalid()) {
                self.rest = chunk.invalid().to_vec();
            } else {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        text
    }
}

/// Whether more bytes could make a character of these.
fn is_beginning(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_put_together_and_rubbish_is_replaced() {
        let bytes = [
            "aé日😀".as_bytes(),
            b"\xff\xfe",
            b"\xe6b",
            "😀".as_bytes(),
            b"\xf0\x9f\n\xc3",
        ]
        .concat();
        let expected = "aé日😀\u{fffd}\u{fffd}\u{fffd}b😀\u{fffd}\n";
        for size in 1..=bytes.len() {
            let mut decoder = Decoder::default();
            let text: String = bytes
                .chunks(size)
                .map(|piece| decoder.next(piece))
                .collect();
            assert_eq!(text, expected, "in pieces of {size}");
            assert_eq!(decoder.rest, b"\xc3");
        }
    }
}
