//! Quoted text.

use std::io::Write;

use super::Style;

/// Appends text in quotes. Control characters are escaped, for an artifact what is not printable ASCII, too (as UTF-16).
pub(super) fn quoted(text: &str, style: Style, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut plain = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        let as_it_is = match byte {
            b'"' | b'\\' | 0..0x20 => false,
            0x7f.. => style == Style::Run,
            _ => true,
        };
        if as_it_is || index < plain {
            continue;
        }
        out.extend_from_slice(&bytes[plain..index]);
        plain = index + escaped(&text[index..], out);
    }
    out.extend_from_slice(&bytes[plain..]);
    out.push(b'"');
}

/// Appends the first character of `text` in its escaped form; returns how many bytes it takes in `text`.
fn escaped(text: &str, out: &mut Vec<u8>) -> usize {
    let Some(char) = text.chars().next() else {
        return 0;
    };
    match char {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\u{8}' => out.extend_from_slice(b"\\b"),
        '\u{c}' => out.extend_from_slice(b"\\f"),
        _ => {
            for unit in char.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").expect("a vector takes all that is written");
            }
        }
    }
    char.len_utf8()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, style: Style) -> String {
        let mut out = Vec::new();
        quoted(text, style, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn text_is_escaped_as_each_form_has_it() {
        let text = "a\"b\\\n\r\t\u{8}\u{c}\u{1}\u{7f}/ü☃😀z";
        assert_eq!(
            written(text, Style::Artifact),
            "\"a\\\"b\\\\\\n\\r\\t\\b\\f\\u0001\\u007f/\\u00fc\\u2603\\ud83d\\ude00z\""
        );
        assert_eq!(
            written(text, Style::Run),
            "\"a\\\"b\\\\\\n\\r\\t\\b\\f\\u0001\u{7f}/ü☃😀z\""
        );
        assert_eq!(written("", Style::Run), "\"\"");
        assert_eq!(written("üü", Style::Artifact), "\"\\u00fc\\u00fc\"");
    }
}
