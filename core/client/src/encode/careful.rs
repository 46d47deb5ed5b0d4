//! The careful pass: any mapping, any value, every rule.

use std::borrow::Cow;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyMapping, PyString, PyTuple};
use runlane_model::json::{write_f64, write_i64, write_string};

use super::held::Hole;
use super::item::{Items, Path};
use super::number::{self, Native};
use super::{CallContext, MAX_CALL_BYTES, MAX_DEPTH, Oddity, bigint, check_size, key, text};
use crate::py::hooks::Hooks;
use crate::py::later::Later;
use crate::py::renamed::Renamed;
use crate::sys::python::{Plain, read_plain};

/// A converted value may need converting once more (a list of objects), not for ever.
const MAX_CONVERSIONS: u8 = 2;
/// A list that takes more text than this is worth a warning: every row repeats it.
const LARGE_TEXT_BYTES: usize = 1 << 20;

/// Appends the items of `data`; says whether the user gave a `_timestamp`.
pub(super) fn encode(
    data: &Bound<'_, PyAny>,
    items: &mut Items,
    context: &CallContext<'_>,
    oddities: &mut Vec<Oddity>,
) -> PyResult<bool> {
    let snapshot = snapshot(data)?;
    let mut pass = Careful {
        items,
        hooks: context.hooks,
        oddities,
    };
    let mut timestamped = false;
    for (key, value) in snapshot.iter() {
        let Ok(key_text) = key.cast::<PyString>() else {
            return Err(not_a_key(&key));
        };
        let key_text = pass.read_text(key_text)?;
        key::check(&key_text, pass.oddities)?;
        if let Some(name) = key::reserved(&key_text) {
            let kept = name == "_timestamp"
                && matches!(read_plain(&value), Some(Plain::Float(_) | Plain::Int(_)));
            pass.oddities.push(if kept {
                Oddity::GivenTimestamp
            } else {
                Oddity::ReservedKey(name)
            });
            if !kept {
                continue;
            }
            timestamped = true;
        }
        let mut path = Path::of(&key_text);
        pass.value(&mut path, &value, 0, 0)?;
        check_size(pass.items.out.len(), "the call")?;
    }
    Ok(timestamped)
}

/// Appends the items of one value of plain parts.
pub(super) fn encode_value(
    path: &mut Path,
    value: &Bound<'_, PyAny>,
    items: &mut Items,
) -> PyResult<()> {
    let mut pass = Careful {
        items,
        hooks: &Hooks::default(),
        oddities: &mut Vec::new(),
    };
    pass.value(path, value, 0, 0)
}

/// Copies the mapping, so that no Python code that runs later can change it under us.
fn snapshot<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    if let Ok(dict) = data.cast::<PyDict>() {
        return dict.copy();
    }
    let Ok(mapping) = data.cast::<PyMapping>() else {
        return Err(PyTypeError::new_err(format!(
            "run.log must be passed a dictionary, not `{}`",
            type_name(data)
        )));
    };
    let copy = PyDict::new(data.py());
    copy.update(mapping)?;
    Ok(copy)
}

fn not_a_key(key: &Bound<'_, PyAny>) -> PyErr {
    let shown = key.repr().map_or_else(
        |_| "?".to_owned(),
        |repr| repr.to_string_lossy().chars().take(100).collect(),
    );
    PyTypeError::new_err(format!(
        "keys passed to run.log must be strings, not {shown} (`{}`)",
        type_name(key)
    ))
}

fn type_name(value: &Bound<'_, PyAny>) -> String {
    value.get_type().fully_qualified_name().map_or_else(
        |_| "?".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

struct Careful<'a> {
    items: &'a mut Items,
    hooks: &'a Hooks,
    oddities: &'a mut Vec<Oddity>,
}

impl Careful<'_> {
    /// Appends the items of one value. `conversions` counts the hook calls that led to it.
    fn value(
        &mut self,
        path: &mut Path,
        value: &Bound<'_, PyAny>,
        depth: usize,
        conversions: u8,
    ) -> PyResult<()> {
        if let Some(plain) = read_plain(value) {
            if let Plain::Text(text) = plain {
                check_size(text.len(), &format!("the value of key `{}`", path.dotted()))?;
            }
            self.items.put_at(path, plain);
            return Ok(());
        }
        check_depth(depth, path)?;
        if let Ok(text) = value.cast::<PyString>() {
            let text = self.read_text(text)?;
            check_size(text.len(), &format!("the value of key `{}`", path.dotted()))?;
            self.items.put_at(path, Plain::Text(&text));
            return Ok(());
        }
        if let Ok(dict) = value.cast::<PyDict>() {
            for (key, value) in dict.copy()?.iter() {
                let component = self.component(&key, path)?;
                key::check(&component, self.oddities)?;
                path.push(&component);
                self.value(path, &value, depth + 1, conversions)?;
                path.pop();
                check_size(self.items.out.len(), "the call")?;
            }
            return Ok(());
        }
        if let Ok(integer) = value.cast::<PyInt>() {
            self.items.json.clear();
            self.big_integer(integer, path)?;
            self.items.put_json_at(path);
            return Ok(());
        }
        if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
            self.items.json.clear();
            // An object in a list decides for the whole list: a list of images is one value.
            if self.json(path, value, depth, conversions, conversions > 0)? {
                if self.items.json.len() > LARGE_TEXT_BYTES {
                    self.oddities.push(Oddity::LargeText {
                        key: path.dotted(),
                        bytes: self.items.json.len(),
                    });
                }
                self.items.put_json_at(path);
                return Ok(());
            }
        } else if let Native::Value(native) = number::read(value)? {
            return self.value(path, &native, depth + 1, conversions);
        }
        let converted = self.convert(path, value, conversions)?;
        if let Ok(later) = converted.cast::<Later>() {
            self.items.holes.push(Hole {
                at: self.items.out.len(),
                path: path.clone(),
                job: later.get().job.clone_ref(value.py()),
                defer: later.get().defer.clone_ref(value.py()),
            });
            return Ok(());
        }
        if let Ok(renamed) = converted.cast::<Renamed>() {
            let (key, value) = renamed.get().place(value.py(), &path.dotted())?;
            key::check(&key, self.oddities)?;
            return self.value(&mut Path::of(&key), &value, depth + 1, conversions + 1);
        }
        self.value(path, &converted, depth + 1, conversions + 1)
    }

    /// Appends JSON text; false at a value of no known type, unless the hook may be asked.
    fn json(
        &mut self,
        path: &Path,
        value: &Bound<'_, PyAny>,
        depth: usize,
        conversions: u8,
        may_convert: bool,
    ) -> PyResult<bool> {
        if self.items.json.len() > MAX_CALL_BYTES {
            check_size(
                self.items.json.len(),
                &format!("the value of key `{}`", path.dotted()),
            )?;
        }
        if let Some(plain) = read_plain(value) {
            if let Plain::Text(text) = plain {
                check_size(text.len(), &format!("the value of key `{}`", path.dotted()))?;
            }
            write_plain(&mut self.items.json, plain);
            return Ok(true);
        }
        check_depth(depth, path)?;
        if let Ok(text) = value.cast::<PyString>() {
            let text = self.read_text(text)?;
            write_string(&mut self.items.json, &text);
            return Ok(true);
        }
        if let Ok(integer) = value.cast::<PyInt>() {
            self.big_integer(integer, path)?;
            return Ok(true);
        }
        if let Ok(dict) = value.cast::<PyDict>() {
            let mut mark = '{';
            for (key, value) in dict.copy()?.iter() {
                self.items.json.push(mark);
                mark = ',';
                let component = self.component(&key, path)?;
                write_string(&mut self.items.json, &component);
                self.items.json.push(':');
                if !self.json(path, &value, depth + 1, conversions, may_convert)? {
                    return Ok(false);
                }
            }
            self.items
                .json
                .push_str(if mark == '{' { "{}" } else { "}" });
            return Ok(true);
        }
        if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
            // A tuple of our own: the list cannot change under the loop.
            let elements =
                PyTuple::new(value.py(), value.try_iter()?.collect::<PyResult<Vec<_>>>()?)?;
            let mut mark = '[';
            for element in elements.iter() {
                self.items.json.push(mark);
                mark = ',';
                if !self.json(path, &element, depth + 1, conversions, may_convert)? {
                    return Ok(false);
                }
            }
            self.items
                .json
                .push_str(if mark == '[' { "[]" } else { "]" });
            return Ok(true);
        }
        match number::read(value)? {
            Native::Value(native) => self.json(path, &native, depth + 1, conversions, may_convert),
            Native::Array => {
                let converted = self.convert(path, value, conversions)?;
                self.json(path, &converted, depth + 1, conversions + 1, true)
            }
            Native::Other if may_convert => {
                let converted = self.convert(path, value, conversions)?;
                self.json(path, &converted, depth + 1, conversions + 1, true)
            }
            Native::Other => Ok(false),
        }
    }

    fn convert<'py>(
        &self,
        path: &Path,
        value: &Bound<'py, PyAny>,
        conversions: u8,
    ) -> PyResult<Bound<'py, PyAny>> {
        if conversions < MAX_CONVERSIONS
            && let Some(converted) = self.hooks.convert(path.last(), value)?
        {
            return Ok(converted);
        }
        Err(PyTypeError::new_err(format!(
            "cannot log the value of key `{}`: a `{}` has no known form",
            path.dotted(),
            type_name(value)
        )))
    }

    /// Appends an integer beyond 64 bits: `{"_type":"bigint","value":"<decimal digits>"}`. As a bare JSON number every
    /// reader would round it.
    fn big_integer(&mut self, integer: &Bound<'_, PyInt>, path: &Path) -> PyResult<()> {
        if self.oddities.last() != Some(&Oddity::BigInteger) {
            self.oddities.push(Oddity::BigInteger);
        }
        self.items.json.push_str(r#"{"_type":"bigint","value":""#);
        write_big(&mut self.items.json, integer, path)?;
        self.items.json.push_str(r#""}"#);
        Ok(())
    }

    fn read_text<'a>(&mut self, text: &'a Bound<'_, PyString>) -> PyResult<Cow<'a, str>> {
        let (text, replaced) = text::read(text)?;
        if replaced {
            self.oddities.push(Oddity::Surrogates);
        }
        Ok(text)
    }

    /// A key inside a value, as Python's `json` writes it.
    fn component<'a>(&mut self, key: &'a Bound<'_, PyAny>, path: &Path) -> PyResult<Cow<'a, str>> {
        if let Ok(text) = key.cast::<PyString>() {
            return self.read_text(text);
        }
        if let Ok(boolean) = key.cast::<PyBool>() {
            return Ok(Cow::Borrowed(if boolean.is_true() {
                "true"
            } else {
                "false"
            }));
        }
        if key.is_none() {
            return Ok(Cow::Borrowed("null"));
        }
        if key.is_instance_of::<PyInt>() || key.is_instance_of::<PyFloat>() {
            let mut out = String::new();
            match read_plain(key) {
                Some(plain) => write_plain(&mut out, plain),
                None => write_big(&mut out, key.cast::<PyInt>()?, path)?,
            }
            return Ok(Cow::Owned(out));
        }
        if let Native::Value(native) = number::read(key)?
            && let Some(plain) = read_plain(&native)
        {
            let mut out = String::new();
            match plain {
                Plain::Text(text) => out.push_str(text),
                other => write_plain(&mut out, other),
            }
            return Ok(Cow::Owned(out));
        }
        Err(PyTypeError::new_err(format!(
            "keys below `{}` must be strings, not `{}`",
            path.dotted(),
            type_name(key)
        )))
    }
}

fn check_depth(depth: usize, path: &Path) -> PyResult<()> {
    if depth < MAX_DEPTH {
        return Ok(());
    }
    let top = path.dotted();
    let top = top.split('.').next().unwrap_or_default();
    Err(PyValueError::new_err(format!(
        "the value of key `{top}` is nested more than {MAX_DEPTH} levels deep or contains itself"
    )))
}

fn write_plain(out: &mut String, plain: Plain<'_>) {
    match plain {
        Plain::None => out.push_str("null"),
        Plain::Bool(boolean) => out.push_str(if boolean { "true" } else { "false" }),
        Plain::Int(integer) => write_i64(out, integer),
        Plain::Float(number) => write_f64(out, number),
        Plain::Text(text) => write_string(out, text),
    }
}

fn write_big(out: &mut String, integer: &Bound<'_, PyInt>, path: &Path) -> PyResult<()> {
    let py = integer.py();
    let bits: u64 = integer
        .call_method0(pyo3::intern!(py, "bit_length"))?
        .extract()?;
    if bits > bigint::MAX_BITS {
        return Err(PyValueError::new_err(format!(
            "the integer of key `{}` is too large to log: {bits} bits, the limit is {}",
            path.dotted(),
            bigint::MAX_BITS
        )));
    }
    let hex = integer.call_method1(pyo3::intern!(py, "__format__"), (pyo3::intern!(py, "x"),))?;
    let hex = hex.cast::<PyString>()?.to_cow()?.into_owned();
    if hex.starts_with('-') {
        out.push('-');
    }
    bigint::write_decimal(out, hex.trim_start_matches('-'));
    Ok(())
}
