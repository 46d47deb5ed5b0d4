//! What needs `unsafe`: the few calls of the operating system and the interpreter that have no safe wrapper.
#![expect(
    unsafe_code,
    reason = "the one place for it; each block says why it is sound"
)]

pub(crate) mod cast;
pub(crate) mod chain;
pub(crate) mod descriptors;
#[cfg(target_os = "linux")]
pub(crate) mod ending;
pub(crate) mod mapping;
pub(crate) mod python;
pub(crate) mod scheduling;
pub(crate) mod signals;
pub(crate) mod spawn;
pub(crate) mod stdio;
pub(crate) mod tensor;
