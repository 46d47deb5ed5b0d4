//! Scalars and small arrays of numpy, torch, TensorFlow and JAX, read through their own methods. Nothing is imported: the
//! type says where it comes from.

use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyType};

/// Arrays of more elements become a histogram (by the hook).
const MAX_ELEMENTS: usize = 32;

/// What an object turned out to be.
pub(super) enum Native<'py> {
    /// A value of Python's own: a scalar or nested lists.
    Value(Bound<'py, PyAny>),
    /// An array that is too large for a list.
    Array,
    /// Nothing known.
    Other,
}

/// Reads a scalar or small array of a known library.
///
/// An object whose own methods raise is `Other`: the hook decides what becomes of it. Errors: only what is not an
/// `Exception`, such as `KeyboardInterrupt`.
pub(super) fn read<'py>(value: &Bound<'py, PyAny>) -> PyResult<Native<'py>> {
    let kind = value.get_type();
    let read = match library(&kind) {
        Library::Numpy => numpy(value),
        Library::Torch => torch(value),
        Library::TensorFlow => tensorflow(value),
        Library::None => return Ok(Native::Other),
    };
    match read {
        Err(error) if error.is_instance_of::<PyException>(value.py()) => Ok(Native::Other),
        other => other,
    }
}

enum Library {
    /// Also what follows its conventions: JAX, `CuPy`, subclasses of its arrays.
    Numpy,
    Torch,
    TensorFlow,
    None,
}

fn library(kind: &Bound<'_, PyType>) -> Library {
    let py = kind.py();
    let has = |name: &Bound<'_, PyString>| kind.hasattr(name).unwrap_or(false);
    let module = kind.getattr(intern!(py, "__module__"));
    let module = module
        .as_ref()
        .ok()
        .and_then(|it| it.cast::<PyString>().ok());
    let module = module.and_then(|it| it.to_cow().ok());
    let root = module
        .as_deref()
        .unwrap_or("")
        .split('.')
        .next()
        .unwrap_or("");
    match root {
        "builtins" | "datetime" | "collections" => Library::None,
        "torch" if has(intern!(py, "numel")) => Library::Torch,
        "tensorflow" if has(intern!(py, "numpy")) => Library::TensorFlow,
        _ if has(intern!(py, "__torch_function__")) && has(intern!(py, "numel")) => Library::Torch,
        "numpy" | "ml_dtypes" | "jax" | "jaxlib" | "cupy" if has(intern!(py, "dtype")) => {
            Library::Numpy
        }
        _ if has(intern!(py, "__array_interface__")) && has(intern!(py, "dtype")) => Library::Numpy,
        _ => Library::None,
    }
}

fn numpy<'py>(value: &Bound<'py, PyAny>) -> PyResult<Native<'py>> {
    let py = value.py();
    let size: usize = value.getattr(intern!(py, "size"))?.extract()?;
    if size > MAX_ELEMENTS {
        return Ok(Native::Array);
    }
    if value.get_type().hasattr(intern!(py, "mask"))? {
        // A masked element is None in `tolist`, but a number in `item`.
        let mut list = value.call_method0(intern!(py, "tolist"))?;
        while size == 1
            && let Ok(inner) = list.cast::<PyList>()
        {
            list = inner.get_item(0)?;
        }
        return Ok(Native::Value(list));
    }
    if size != 1 {
        return value.call_method0(intern!(py, "tolist")).map(Native::Value);
    }
    let item = value.call_method0(intern!(py, "item"))?;
    if item.get_type().hasattr(intern!(py, "dtype"))? {
        // A float that Python has no type for (longdouble, bfloat16) gives a numpy scalar again.
        return Ok(Native::Value(
            item.extract::<f64>()?.into_pyobject(py)?.into_any(),
        ));
    }
    Ok(Native::Value(item))
}

fn torch<'py>(value: &Bound<'py, PyAny>) -> PyResult<Native<'py>> {
    let py = value.py();
    let size: usize = value.call_method0(intern!(py, "numel"))?.extract()?;
    match size {
        1 => value.call_method0(intern!(py, "item")).map(Native::Value),
        0..=MAX_ELEMENTS => value.call_method0(intern!(py, "tolist")).map(Native::Value),
        _ => Ok(Native::Array),
    }
}

fn tensorflow<'py>(value: &Bound<'py, PyAny>) -> PyResult<Native<'py>> {
    let array = value.call_method0(intern!(value.py(), "numpy"))?;
    if array.get_type().hasattr(intern!(value.py(), "dtype"))? {
        numpy(&array)
    } else {
        Ok(Native::Value(array))
    }
}
