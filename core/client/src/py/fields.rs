//! Reading a mapping of named fields, as the Python side hands it over.

use std::cell::RefCell;
use std::collections::HashMap;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PyString, PyTuple};

/// A mapping whose fields are read by name. What is missing or `None` is the default; what nobody asked for is an error.
pub(crate) struct Fields<'py> {
    what: &'static str,
    values: Bound<'py, PyDict>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'py> Fields<'py> {
    /// Reads `mapping`; `what` names it in errors.
    pub(crate) fn new(what: &'static str, mapping: &Bound<'py, PyAny>) -> PyResult<Self> {
        let values = if let Ok(dict) = mapping.cast::<PyDict>() {
            dict.clone()
        } else {
            let copy = PyDict::new(mapping.py());
            copy.update(mapping.cast::<PyMapping>()?)?;
            copy
        };
        Ok(Self {
            what,
            values,
            asked: RefCell::default(),
        })
    }

    /// The value of `name`, unless it is missing or `None`.
    pub(crate) fn get(&self, name: &'static str) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.asked.borrow_mut().push(name);
        Ok(self.values.get_item(name)?.filter(|value| !value.is_none()))
    }

    /// A value of any type that has a default.
    pub(crate) fn value<T>(&self, name: &'static str) -> PyResult<T>
    where
        T: for<'a> FromPyObject<'a, 'py> + Default,
    {
        let Some(value) = self.get(name)? else {
            return Ok(T::default());
        };
        let extracted: Result<T, PyErr> = value.extract().map_err(Into::into);
        extracted.map_err(|error| {
            PyTypeError::new_err(format!(
                "{} field `{name}`: {}",
                self.what,
                error.value(value.py())
            ))
        })
    }

    /// Text; lone surrogates become U+FFFD.
    pub(crate) fn text(&self, name: &'static str) -> PyResult<String> {
        let Some(value) = self.get(name)? else {
            return Ok(String::new());
        };
        if !value.is_instance_of::<PyString>() {
            return Err(PyTypeError::new_err(format!(
                "{} field `{name}` must be a string",
                self.what
            )));
        }
        text_of(&value)
    }

    /// A list of texts.
    pub(crate) fn texts(&self, name: &'static str) -> PyResult<Vec<String>> {
        let Some(values) = self.get(name)? else {
            return Ok(Vec::new());
        };
        values.try_iter()?.map(|value| text_of(&value?)).collect()
    }

    /// A mapping of text to text.
    pub(crate) fn text_map(&self, name: &'static str) -> PyResult<HashMap<String, String>> {
        let Some(values) = self.get(name)? else {
            return Ok(HashMap::new());
        };
        let values = values.cast_into::<PyDict>()?;
        values
            .iter()
            .map(|(key, value)| Ok((text_of(&key)?, text_of(&value)?)))
            .collect()
    }

    /// A mapping in a field.
    pub(crate) fn fields(&self, name: &'static str) -> PyResult<Option<Self>> {
        self.get(name)?
            .map(|value| Self::new(name, &value))
            .transpose()
    }

    /// A list of mappings in a field.
    pub(crate) fn list_of_fields(&self, name: &'static str) -> PyResult<Vec<Self>> {
        let Some(values) = self.get(name)? else {
            return Ok(Vec::new());
        };
        values
            .try_iter()?
            .map(|value| Self::new(name, &value?))
            .collect()
    }

    /// Refuses fields that nobody asked for: they would be lost silently.
    pub(crate) fn finish(&self) -> PyResult<()> {
        let asked = self.asked.borrow();
        for key in self.values.keys() {
            let key = text_of(&key)?;
            if !asked.contains(&key.as_str()) {
                return Err(PyValueError::new_err(format!(
                    "{} has no field `{key}`",
                    self.what
                )));
            }
        }
        Ok(())
    }
}

/// Text; lone surrogates become U+FFFD.
pub(crate) fn text_of(value: &Bound<'_, PyAny>) -> PyResult<String> {
    let text = value.cast::<PyString>()?;
    Ok(crate::encode::read_text(text)?.0.into_owned())
}

/// A path: a `str` is one key, a tuple or list its components. Returns `key` and `nested_key` of a record.
pub(crate) fn path_of(value: &Bound<'_, PyAny>) -> PyResult<(String, Vec<String>)> {
    if value.is_instance_of::<PyString>() {
        return Ok((text_of(value)?, Vec::new()));
    }
    let components = value
        .try_iter()?
        .map(|part| text_of(&part?))
        .collect::<PyResult<Vec<_>>>()?;
    Ok((String::new(), components))
}

/// A pair.
pub(crate) fn pair_of<'py>(
    value: &Bound<'py, PyAny>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let pair = value.cast::<PyTuple>()?;
    Ok((pair.get_item(0)?, pair.get_item(1)?))
}
