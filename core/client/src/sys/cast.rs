//! Casts without the checks that a compiler cannot leave out.

/// `value` without its fraction if it is from 0 to below `1 << 20`, else 0; NaN is 0.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "a call would keep its loop from becoming vector instructions"
)]
pub(crate) fn small_index(value: f64) -> (u32, f64) {
    let value = if value >= 0.0 && value < f64::from(1_u32 << 20) {
        value
    } else {
        0.0
    };
    // SAFETY: the line above leaves a number whose integral part an i32 holds.
    let index: i32 = unsafe { value.to_int_unchecked() };
    (index.cast_unsigned(), value - f64::from(index))
}
