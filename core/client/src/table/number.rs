//! Numbers as Python writes them.

use std::io::Write;

use super::Style;

/// Appends an integer.
pub(super) fn integer(value: i64, out: &mut Vec<u8>) {
    write!(out, "{value}").expect("a vector takes all that is written");
}

/// Appends a float: the shortest digits that give it again, as decimals up to 1e16 and from 1e-4 (in a run's file 1e-5)
/// on, with an exponent beyond.
pub(crate) fn float(value: f64, style: Style, out: &mut Vec<u8>) {
    if value.is_nan() {
        out.extend_from_slice(match style {
            Style::Artifact => b"null",
            Style::Run => b"NaN",
        });
        return;
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    if value.is_infinite() {
        out.extend_from_slice(b"Infinity");
        return;
    }
    let begin = out.len();
    write!(out, "{:e}", value.abs()).expect("a vector takes all that is written");
    let (digits, exponent) = take_apart(&out[begin..]);
    out.truncate(begin);
    lay_out(digits.as_slice(), exponent, style, out);
}

/// The significant digits of a float, at most 17.
struct Digits {
    bytes: [u8; 24],
    count: usize,
}

impl Digits {
    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.count]
    }
}

/// Digits and decimal exponent of `d.ddde-x`.
fn take_apart(text: &[u8]) -> (Digits, i32) {
    let mut digits = Digits {
        bytes: [0; 24],
        count: 0,
    };
    let (mut exponent, mut negative, mut behind) = (0_i32, false, false);
    for &byte in text {
        match byte {
            b'.' => {}
            b'e' => behind = true,
            b'-' => negative = true,
            _ if behind => exponent = exponent * 10 + i32::from(byte - b'0'),
            _ => {
                digits.bytes[digits.count] = byte;
                digits.count += 1;
            }
        }
    }
    (digits, if negative { -exponent } else { exponent })
}

fn lay_out(digits: &[u8], exponent: i32, style: Style, out: &mut Vec<u8>) {
    let before = usize::try_from(exponent + 1).unwrap_or(0);
    let smallest = match style {
        Style::Artifact => -4,
        Style::Run => -5,
    };
    match exponent {
        0..16 if before >= digits.len() => {
            out.extend_from_slice(digits);
            out.resize(out.len() + before - digits.len(), b'0');
            out.extend_from_slice(b".0");
        }
        0..16 => {
            out.extend_from_slice(&digits[..before]);
            out.push(b'.');
            out.extend_from_slice(&digits[before..]);
        }
        _ if exponent < 0 && exponent >= smallest => {
            out.extend_from_slice(b"0.");
            let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
            out.resize(out.len() + zeros, b'0');
            out.extend_from_slice(digits);
        }
        _ => {
            out.push(digits[0]);
            if digits.len() > 1 {
                out.push(b'.');
                out.extend_from_slice(&digits[1..]);
            }
            let sign = if exponent < 0 { '-' } else { '+' };
            let size = exponent.unsigned_abs();
            match style {
                Style::Artifact => write!(out, "e{sign}{size:02}"),
                Style::Run => write!(out, "e{sign}{size}"),
            }
            .expect("a vector takes all that is written");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(value: f64, style: Style) -> String {
        let mut out = Vec::new();
        float(value, style, &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn floats_are_written_as_python_writes_them() {
        for (value, text) in [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (100.0, "100.0"),
            (123_456.75, "123456.75"),
            (1e-4, "0.0001"),
            (1.5e-5, "1.5e-05"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.25e17, "1.25e+17"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (9_007_199_254_740_992.0, "9007199254740992.0"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::NAN, "null"),
        ] {
            assert_eq!(written(value, Style::Artifact), text);
        }
        assert_eq!(written(1.5e-5, Style::Run), "0.000015");
        assert_eq!(written(1.5e-6, Style::Run), "1.5e-6");
        assert_eq!(written(f64::NAN, Style::Run), "NaN");
    }

    proptest! {
        #[test]
        fn a_float_is_the_same_when_it_is_read_again(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            for style in [Style::Artifact, Style::Run] {
                let again: f64 = written(value, style).parse().expect("a number");
                prop_assert_eq!(again.to_bits(), bits);
            }
        }
    }
}
