//! Numbers of both kinds, compared without rounding either.

use std::cmp::Ordering;

use crate::json::Value;

/// A JSON number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// Within 64 bits, exact.
    Int(i64),
    /// Any other.
    Float(f64),
}

/// 2^63, the first number above all 64-bit integers.
const ABOVE_INTEGERS: f64 = 9_223_372_036_854_775_808.0;

impl Number {
    pub(super) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Int(value) => Some(Self::Int(*value)),
            Value::Float(value) => Some(Self::Float(*value)),
            _ => None,
        }
    }

    pub(super) fn is_nan(self) -> bool {
        matches!(self, Self::Float(value) if value.is_nan())
    }

    /// The mathematical order; none with NaN.
    pub(super) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => Some(left.cmp(&right)),
            (Self::Float(left), Self::Float(right)) => left.partial_cmp(&right),
            (Self::Int(left), Self::Float(right)) => compare_mixed(left, right),
            (Self::Float(left), Self::Int(right)) => {
                compare_mixed(right, left).map(Ordering::reverse)
            }
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the whole part is within 64 bits there"
)]
fn compare_mixed(left: i64, right: f64) -> Option<Ordering> {
    if right.is_nan() {
        return None;
    }
    if right >= ABOVE_INTEGERS {
        return Some(Ordering::Less);
    }
    if right < -ABOVE_INTEGERS {
        return Some(Ordering::Greater);
    }
    let whole = right.trunc() as i64;
    let fraction = right.fract();
    Some(left.cmp(&whole).then_with(|| {
        if fraction > 0.0 {
            Ordering::Less
        } else if fraction < 0.0 {
            Ordering::Greater
        } else {
            Ordering::Equal
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_floats_are_compared_exactly() {
        let big = 9_007_199_254_740_993_i64;
        let cases = [
            (big, 9_007_199_254_740_992.0, Some(Ordering::Greater)),
            (i64::MAX, ABOVE_INTEGERS, Some(Ordering::Less)),
            (i64::MIN, -ABOVE_INTEGERS, Some(Ordering::Equal)),
            (0, -0.0, Some(Ordering::Equal)),
            (-1, -1.5, Some(Ordering::Greater)),
            (1, 1.5, Some(Ordering::Less)),
            (1, f64::INFINITY, Some(Ordering::Less)),
            (1, f64::NEG_INFINITY, Some(Ordering::Greater)),
            (1, f64::NAN, None),
        ];
        for (left, right, expected) in cases {
            let (left, right) = (Number::Int(left), Number::Float(right));
            assert_eq!(left.compare(right), expected, "{left:?} {right:?}");
            assert_eq!(
                right.compare(left),
                expected.map(Ordering::reverse),
                "{right:?} {left:?}"
            );
        }
    }
}
