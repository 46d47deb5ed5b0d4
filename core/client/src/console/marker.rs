//! A sequence of our own in a captured stream: when it arrives, everything that was written before it has arrived. It is taken
//! out again and reaches neither the terminal nor the log. Terminals ignore sequences of its kind.

use memchr::memmem;

/// An application program command (`ESC _ … ESC \`).
pub(crate) const MARKER: &[u8] = b"\x1b_runlane:order\x1b\\";

/// Takes markers out of a stream, however it is cut.
#[derive(Debug, Default)]
pub(crate) struct Markers {
    /// What may be the beginning of one.
    held: Vec<u8>,
}

impl Markers {
    /// The bytes without markers, and how many there were.
    pub(crate) fn take_out(&mut self, bytes: &[u8]) -> (Vec<u8>, u64) {
        let mut joined = std::mem::take(&mut self.held);
        joined.extend_from_slice(bytes);
        let (mut out, mut count, mut from) = (Vec::with_capacity(joined.len()), 0, 0);
        while let Some(at) = memmem::find(&joined[from..], MARKER) {
            out.extend_from_slice(&joined[from..from + at]);
            from += at + MARKER.len();
            count += 1;
        }
        let rest = &joined[from..];
        let longest = rest.len().min(MARKER.len() - 1);
        let held = (1..=longest)
            .rev()
            .find(|length| rest.ends_with(&MARKER[..*length]))
            .unwrap_or(0);
        out.extend_from_slice(&rest[..rest.len() - held]);
        self.held = rest[rest.len() - held..].to_vec();
        (out, count)
    }

    /// What was held back: nothing follows.
    pub(crate) fn end(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_found_however_the_stream_is_cut() {
        let text = [b"a\x1b_b", MARKER, MARKER, b"\x1b[31mc\x1b", &MARKER[..5]].concat();
        for size in 1..=text.len() {
            let mut markers = Markers::default();
            let (mut out, mut count) = (Vec::new(), 0);
            for piece in text.chunks(size) {
                let (bytes, more) = markers.take_out(piece);
                out.extend(bytes);
                count += more;
            }
            out.extend(markers.end());
            assert_eq!(count, 2, "in pieces of {size}");
            assert_eq!(out, [b"a\x1b_b\x1b[31mc\x1b", &MARKER[..5]].concat());
        }
    }
}
