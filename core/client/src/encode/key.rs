//! What a key may be.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::Oddity;

/// Longest key, in bytes of UTF-8.
pub(crate) const MAX_KEY_BYTES: usize = 1024;

/// Says whether a top-level key needs no second look.
#[inline]
pub(crate) fn is_plain(key: &str) -> bool {
    let bytes = key.as_bytes();
    let Some(&first) = bytes.first() else {
        return false;
    };
    // A key that starts with a visible ASCII character is not blank.
    bytes.len() <= MAX_KEY_BYTES
        && (0x21..0x7f).contains(&first)
        && !has_control(bytes)
        && (first != b'_' || reserved(key).is_none())
}

/// Says whether a byte is below 0x20, eight at a time.
#[inline]
fn has_control(bytes: &[u8]) -> bool {
    const LOW: u64 = u64::from_ne_bytes([0x20; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let (words, rest) = bytes.as_chunks::<8>();
    let found = |word: &[u8; 8]| {
        let word = u64::from_ne_bytes(*word);
        // A borrow into the top bit of a byte that had none: the byte was smaller than 0x20. A borrow that runs into
        // the next byte can only follow such a byte.
        word.wrapping_sub(LOW) & !word & HIGH != 0
    };
    match (words, bytes.last_chunk::<8>()) {
        ([], _) => rest.iter().any(|&byte| byte < 0x20),
        (words, Some(last)) if !rest.is_empty() => words.iter().any(found) || found(last),
        (words, _) => words.iter().any(found),
    }
}

/// The reserved name that `key` is.
pub(crate) fn reserved(key: &str) -> Option<&'static str> {
    ["_runtime", "_step", "_timestamp", "_wandb"]
        .into_iter()
        .find(|name| *name == key)
}

/// Refuses blank and overlong keys, notes control characters.
pub(crate) fn check(key: &str, oddities: &mut Vec<Oddity>) -> PyResult<()> {
    if key.trim().is_empty() {
        return Err(PyValueError::new_err(format!(
            "key {key:?} is empty: a key needs at least one visible character"
        )));
    }
    if key.len() > MAX_KEY_BYTES {
        let start: String = key.chars().take(40).collect();
        return Err(PyValueError::new_err(format!(
            "key `{start}…` is too long: {} bytes, the limit is {MAX_KEY_BYTES}",
            key.len()
        )));
    }
    if key.chars().any(char::is_control) {
        oddities.push(Oddity::ControlCharacters);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_keys_are_a_subset_of_accepted_ones() {
        for key in [
            "loss",
            "a.b",
            "a/b[0]",
            "_private",
            "train loss",
            "ü".repeat(3).as_str(),
        ] {
            assert!(check(key, &mut Vec::new()).is_ok(), "{key}");
        }
        assert!(is_plain("loss") && is_plain("_private") && is_plain("a b"));
        let long = "k".repeat(MAX_KEY_BYTES + 1);
        for key in ["", " ", "\u{a0}", "\t\n", &long] {
            assert!(!is_plain(key), "{key:?}");
            assert!(check(key, &mut Vec::new()).is_err(), "{key:?}");
        }
        assert!(!is_plain("_step") && !is_plain("a\0b"));
    }

    #[test]
    fn a_control_byte_is_found_wherever_it_is() {
        for length in 0..40 {
            let plain = vec![b'~'; length];
            assert!(!has_control(&plain), "{length}");
            for at in 0..length {
                for byte in [0, 0x1f, 0x20, 0x7f, 0x80, 0xff] {
                    let mut bytes = plain.clone();
                    bytes[at] = byte;
                    assert_eq!(
                        has_control(&bytes),
                        byte < 0x20,
                        "{byte} at {at} of {length}"
                    );
                }
            }
        }
    }

    #[test]
    fn control_characters_are_noted() {
        let mut oddities = Vec::new();
        check("a\u{1b}b", &mut oddities).expect("accepted");
        assert_eq!(oddities, [Oddity::ControlCharacters]);
    }
}
