//! Files of media objects, for `runlane.data_types`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::media::png::{Pixels, encode};
use crate::sys::tensor::bytes_at;

/// The PNG file of 8-bit pixels at `address`, and its SHA-256.
///
/// The caller holds the memory. The interpreter is free for other threads meanwhile.
#[pyfunction]
pub(crate) fn encode_png(
    py: Python<'_>,
    address: usize,
    width: u32,
    height: u32,
    channels: u8,
) -> PyResult<(Bound<'_, PyBytes>, String)> {
    let refused = || {
        PyValueError::new_err(format!(
            "no image of {width} x {height} pixels with {channels} channels lies at {address:#x}"
        ))
    };
    let count = (width as usize)
        .checked_mul(height as usize)
        .and_then(|count| count.checked_mul(channels.into()))
        .ok_or_else(refused)?;
    let encoded = py
        .detach(|| {
            bytes_at(address, count, |bytes| {
                Pixels::new(width, height, channels, bytes).map(encode)
            })
        })
        .flatten()
        .ok_or_else(refused)?
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok((PyBytes::new(py, &encoded.bytes), hex(&encoded.sha256)))
}

fn hex(digest: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    digest
        .iter()
        .flat_map(|&byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}
