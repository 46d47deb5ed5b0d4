//! Writing, into a `String` that the caller reuses.

use super::value::Value;

/// The token of a number that JSON has none for.
pub(super) fn non_finite_name(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// Appends a float in its shortest round-trip form, with `NaN`, `Infinity` and `-Infinity` as bare tokens.
pub fn write_f64(out: &mut String, value: f64) {
    with_f64_text(value, |text| out.push_str(text));
}

/// Hands the text of a float, as [`write_f64`] writes it, to `use_it`.
#[inline]
pub fn with_f64_text<R>(value: f64, use_it: impl FnOnce(&str) -> R) -> R {
    if value.is_finite() {
        use_it(zmij::Buffer::new().format_finite(value))
    } else {
        use_it(non_finite_name(value))
    }
}

/// Appends an integer.
pub fn write_i64(out: &mut String, value: i64) {
    out.push_str(itoa::Buffer::new().format(value));
}

/// Appends a quoted string.
pub fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut written = 0;
    for (position, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[written..position]);
        if escape.is_empty() {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.push_str("\\u00");
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        } else {
            out.push_str(escape);
        }
        written = position + 1;
    }
    out.push_str(&text[written..]);
    out.push('"');
}

/// Appends any value, without white space.
pub fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Int(value) => write_i64(out, *value),
        Value::Float(value) => write_f64(out, *value),
        Value::Text(text) => write_string(out, text),
        Value::List(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(out, value);
            }
            out.push(']');
        }
        Value::Object(object) => {
            out.push('{');
            for (index, (key, value)) in object.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_string(out, key);
                out.push(':');
                write_value(out, value);
            }
            out.push('}');
        }
    }
}
