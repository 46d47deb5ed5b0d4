//! Histograms of tensors, for `watch`, and of arrays, for `Histogram`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::counting;
use crate::histogram::{Histogram, Numbers, edges, short};
use crate::sys::tensor::Memory;

/// The histogram object of `count` numbers at `address` and `zeros` more zeros; None if not one of them is finite.
///
/// The caller holds the memory. The interpreter is free for other threads meanwhile.
#[pyfunction]
#[pyo3(signature = (address, count, dtype, zeros=0))]
pub(crate) fn histogram_of_memory<'py>(
    py: Python<'py>,
    address: usize,
    count: usize,
    dtype: &str,
    zeros: u64,
) -> PyResult<Option<Bound<'py, PyDict>>> {
    let memory = memory_of(address, count, dtype)?;
    py.detach(|| memory.read(|numbers| numbers.histogram(zeros)))
        .map(|histogram| object(py, histogram))
        .transpose()
}

/// The 65 edges of the bins between `low` and `high`, or the two edges of a single bin if they are equal.
#[pyfunction]
pub(crate) fn histogram_edges(low: f64, high: f64, single: bool) -> Vec<f64> {
    if low < high {
        edges(low, high, single)
    } else {
        vec![if single { short(low) } else { low }; 2]
    }
}

fn object(py: Python<'_>, histogram: Histogram) -> PyResult<Bound<'_, PyDict>> {
    let object = PyDict::new(py);
    object.set_item(pyo3::intern!(py, "_type"), pyo3::intern!(py, "histogram"))?;
    object.set_item(pyo3::intern!(py, "values"), histogram.counts)?;
    object.set_item(pyo3::intern!(py, "bins"), histogram.edges)?;
    Ok(object)
}

fn memory_of(address: usize, count: usize, dtype: &str) -> PyResult<Memory> {
    Memory::new(address, count, dtype).ok_or_else(|| {
        PyValueError::new_err(format!(
            "no {count} numbers of type `{dtype}` lie at {address:#x}"
        ))
    })
}

/// Smallest and largest finite one of `count` numbers at `address`, of type float32 or float64; None if not one is finite.
#[pyfunction]
pub(crate) fn finite_range(
    py: Python<'_>,
    address: usize,
    count: usize,
    dtype: &str,
) -> PyResult<Option<(f64, f64)>> {
    let memory = memory_of(address, count, dtype)?;
    Ok(py.detach(|| {
        memory.read(|numbers| match numbers {
            Numbers::Single(values) => counting::range(values),
            Numbers::Double(values) => counting::range(values),
            Numbers::Half(_) | Numbers::Brain(_) => None,
        })
    }))
}

/// How many of `count` numbers at `address` lie in each bin between `edges`, as `numpy.histogram` counts; None where it has to.
#[pyfunction]
#[expect(
    clippy::needless_pass_by_value,
    reason = "a list of Python has to be converted"
)]
pub(crate) fn count_in_bins(
    py: Python<'_>,
    address: usize,
    count: usize,
    dtype: &str,
    edges: Vec<f64>,
) -> PyResult<Option<Vec<u64>>> {
    let memory = memory_of(address, count, dtype)?;
    Ok(py.detach(|| {
        memory.read(|numbers| match numbers {
            Numbers::Single(values) => counting::count(values, &edges),
            Numbers::Double(values) => counting::count(values, &edges),
            Numbers::Half(_) | Numbers::Brain(_) => None,
        })
    }))
}
