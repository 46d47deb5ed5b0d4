//! The raw walk over a dictionary of plain values: no reference counts, no Python code, no allocation.

use std::ffi::c_int;
use std::ptr;
use std::slice;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyDict};

/// A value that was read without running Python code.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Plain<'a> {
    /// `None`
    None,
    /// A bool.
    Bool(bool),
    /// An int within `i64`.
    Int(i64),
    /// A float.
    Float(f64),
    /// A str that is valid UTF-8.
    Text(&'a str),
}

/// Calls `visit` for each item of a dictionary as long as every key is an exact `str` and every value plain.
///
/// Returns false at the first item that is not, or when `visit` returns false: the caller then starts again on its slow
/// path. A dictionary cannot change meanwhile: nothing in here runs Python code or lets another thread run it (a build
/// without the interpreter lock cannot load a module for the stable ABI).
#[inline]
pub(crate) fn walk_plain(
    dict: &Bound<'_, PyDict>,
    mut visit: impl FnMut(&str, Plain<'_>) -> bool,
) -> bool {
    let mut position: ffi::Py_ssize_t = 0;
    let mut key: *mut ffi::PyObject = ptr::null_mut();
    let mut value: *mut ffi::PyObject = ptr::null_mut();
    // SAFETY: `dict` is a dictionary and we are attached (it is `Bound`). The borrowed references stay valid until the
    // dictionary changes, which cannot happen before the next iteration, see above.
    while unsafe {
        ffi::PyDict_Next(
            dict.as_ptr(),
            &raw mut position,
            &raw mut key,
            &raw mut value,
        )
    } != 0
    {
        // SAFETY: as above; both are valid objects for this iteration.
        let item = unsafe {
            if ffi::Py_TYPE(key) != &raw mut ffi::PyUnicode_Type {
                return false;
            }
            utf8(key).zip(plain(value))
        };
        match item {
            Some((key, value)) if visit(key, value) => {}
            _ => return false,
        }
    }
    true
}

/// Reads a value without running Python code, `None` if that is not possible.
///
/// Subclasses of float, int and str count by their base value (so does `numpy.float64`).
pub(crate) fn read_plain<'a>(value: &'a Bound<'_, PyAny>) -> Option<Plain<'a>> {
    // SAFETY: `value` is a valid object, attached, and lives as long as the result.
    unsafe { plain(value.as_ptr()) }
}

/// # Safety
/// `value` is a valid object, the thread is attached, and the object outlives the result.
#[inline]
unsafe fn plain<'a>(value: *mut ffi::PyObject) -> Option<Plain<'a>> {
    // SAFETY: guaranteed by the caller; the type checks guard each read.
    unsafe {
        let kind = ffi::Py_TYPE(value);
        if kind == &raw mut ffi::PyFloat_Type {
            Some(Plain::Float(ffi::PyFloat_AsDouble(value)))
        } else if kind == &raw mut ffi::PyLong_Type {
            integer(value)
        } else if kind == &raw mut ffi::PyBool_Type {
            Some(Plain::Bool(value == ffi::Py_True()))
        } else if kind == &raw mut ffi::PyUnicode_Type {
            utf8(value).map(Plain::Text)
        } else if value == ffi::Py_None() {
            Some(Plain::None)
        } else if ffi::PyFloat_Check(value) != 0 {
            // For a float PyFloat_AsDouble reads the field; `__float__` of a subclass is not called.
            Some(Plain::Float(ffi::PyFloat_AsDouble(value)))
        } else if ffi::PyLong_Check(value) != 0 {
            integer(value)
        } else if ffi::PyUnicode_Check(value) != 0 {
            utf8(value).map(Plain::Text)
        } else {
            None
        }
    }
}

/// # Safety
/// `value` is an `int`, the thread is attached.
#[inline]
unsafe fn integer<'a>(value: *mut ffi::PyObject) -> Option<Plain<'a>> {
    let mut overflow: c_int = 0;
    // SAFETY: guaranteed by the caller. For an int there is no other error than the overflow.
    let number = unsafe { ffi::PyLong_AsLongLongAndOverflow(value, &raw mut overflow) };
    (overflow == 0).then_some(Plain::Int(number))
}

/// # Safety
/// `text` is a `str`, the thread is attached, and the object outlives the result.
#[inline]
unsafe fn utf8<'a>(text: *mut ffi::PyObject) -> Option<&'a str> {
    let mut length: ffi::Py_ssize_t = 0;
    // SAFETY: guaranteed by the caller. The bytes are cached in the object and live as long as it does; CPython
    // promises that they are valid UTF-8. On failure (a lone surrogate, no memory) the error is taken back.
    unsafe {
        let bytes = ffi::PyUnicode_AsUTF8AndSize(text, &raw mut length);
        if bytes.is_null() {
            ffi::PyErr_Clear();
            return None;
        }
        let bytes = slice::from_raw_parts(bytes.cast::<u8>(), length.cast_unsigned());
        Some(std::str::from_utf8_unchecked(bytes))
    }
}
