//! Histograms of tensors, for `watch`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::histogram::{Histogram, edges, short};
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
    let memory = Memory::new(address, count, dtype).ok_or_else(|| {
        PyValueError::new_err(format!(
            "no {count} numbers of type `{dtype}` lie at {address:#x}"
        ))
    })?;
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
