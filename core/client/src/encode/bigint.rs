//! Integers beyond 64 bits, exactly, as decimal text.

use std::fmt::Write as _;

/// Largest integer, in bits; the conversion takes quadratic time.
pub(crate) const MAX_BITS: u64 = 1 << 17;

const CHUNK: u64 = 10_u64.pow(18);

/// Appends the decimal form of a magnitude given in hexadecimal digits.
///
/// Python's own conversion refuses more than 4,300 digits.
pub(crate) fn write_decimal(out: &mut String, hex_digits: &str) {
    let mut limbs = limbs(hex_digits);
    let mut chunks = Vec::new();
    while limbs.last().is_some() {
        let mut rest: u64 = 0;
        for limb in limbs.iter_mut().rev() {
            let value = (u128::from(rest) << 64) | u128::from(*limb);
            *limb = low(value / u128::from(CHUNK));
            rest = low(value % u128::from(CHUNK));
        }
        chunks.push(rest);
        while limbs.last() == Some(&0) {
            limbs.pop();
        }
    }
    let Some(first) = chunks.pop() else {
        return out.push('0');
    };
    out.push_str(&first.to_string());
    for chunk in chunks.iter().rev() {
        // Writing to a string cannot fail.
        _ = write!(out, "{chunk:018}");
    }
}

fn limbs(hex_digits: &str) -> Vec<u64> {
    let mut limbs = Vec::with_capacity(hex_digits.len() / 16 + 1);
    let mut limb: u64 = 0;
    let mut digits = 0;
    for digit in hex_digits
        .chars()
        .rev()
        .filter_map(|digit| digit.to_digit(16))
    {
        limb |= u64::from(digit) << (4 * digits);
        digits += 1;
        if digits == 16 {
            limbs.push(limb);
            (limb, digits) = (0, 0);
        }
    }
    limbs.push(limb);
    while limbs.last() == Some(&0) {
        limbs.pop();
    }
    limbs
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "quotients and remainders of this division fit one limb"
)]
fn low(value: u128) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_the_standard_library(value: u128) {
            let mut out = String::new();
            write_decimal(&mut out, &format!("{value:x}"));
            prop_assert_eq!(out, value.to_string());
        }
    }

    #[test]
    fn a_power_of_two_of_many_limbs() {
        // 2^200
        let mut out = String::new();
        write_decimal(&mut out, &format!("1{}", "0".repeat(50)));
        assert_eq!(
            out,
            "1606938044258990275541962092341162602522202993782792835301376"
        );
    }
}
