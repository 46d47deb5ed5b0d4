//! `Renamed`: what the conversion hook returns for a value that belongs under another key than its own.

use pyo3::prelude::*;

/// A value whose key is told by `place`: called with the dotted path of the value, it returns the top-level key and the value in a
/// known form.
#[pyclass(frozen, module = "runlane._core")]
pub(crate) struct Renamed {
    place: Py<PyAny>,
}

#[pymethods]
impl Renamed {
    #[new]
    fn new(place: Py<PyAny>) -> Self {
        Self { place }
    }
}

impl Renamed {
    /// Key and value for a value at `path`.
    pub(crate) fn place<'py>(
        &self,
        py: Python<'py>,
        path: &str,
    ) -> PyResult<(String, Bound<'py, PyAny>)> {
        self.place.bind(py).call1((path,))?.extract()
    }
}
