//! Text that may not be Unicode.

use std::borrow::Cow;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

/// Reads a `str`; a lone surrogate becomes U+FFFD. The second value says whether there was one.
pub(crate) fn read<'a>(text: &'a Bound<'_, PyString>) -> PyResult<(Cow<'a, str>, bool)> {
    if let Some(crate::sys::python::Plain::Text(valid)) =
        crate::sys::python::read_plain(text.as_any())
    {
        return Ok((Cow::Borrowed(valid), false));
    }
    let py = text.py();
    let bytes = text.call_method1(
        intern!(py, "encode"),
        (intern!(py, "utf-8"), intern!(py, "surrogatepass")),
    )?;
    let bytes = bytes.cast_into::<PyBytes>()?;
    Ok((Cow::Owned(without_surrogates(bytes.as_bytes())), true))
}

/// Decodes UTF-8 in which surrogates are encoded like other characters.
fn without_surrogates(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    let mut rest = bytes;
    loop {
        match std::str::from_utf8(rest) {
            Ok(valid) => {
                out.push_str(valid);
                return out;
            }
            Err(error) => {
                let (valid, behind) = rest.split_at(error.valid_up_to());
                out.push_str(&String::from_utf8_lossy(valid));
                out.push(char::REPLACEMENT_CHARACTER);
                // A surrogate takes three bytes: ED, A0..BF, 80..BF.
                rest = &behind[behind.len().min(3)..];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_surrogate_becomes_one_replacement_character() {
        assert_eq!(
            without_surrogates(b"a\xed\xa0\x80b\xed\xbf\xbf"),
            "a\u{fffd}b\u{fffd}"
        );
        assert_eq!(without_surrogates("plain ü".as_bytes()), "plain ü");
    }
}
