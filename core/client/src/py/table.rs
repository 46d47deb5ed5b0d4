//! Rows of tables as JSON text.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::sys::python::{Plain, read_plain};
use crate::table::{Cell, Style, rows};

/// Deepest nesting of lists; what lies deeper (a list that contains itself) is converted as a whole.
const DEPTH: usize = 64;

/// The JSON text of `rows[begin:end]`, without the brackets around all of them.
///
/// Cells of the columns `nulls` are written as null, lists and tuples as lists. Another cell, or part of one, that is no
/// plain value is what `convert(value)` returns: JSON text, or a list that is written likewise. The rows are read at once, then written while other threads run.
#[pyfunction]
pub(crate) fn table_rows<'py>(
    py: Python<'py>,
    data: &Bound<'py, PyList>,
    begin: usize,
    end: usize,
    compact: bool,
    convert: &Bound<'py, PyAny>,
    nulls: Vec<usize>,
) -> PyResult<Bound<'py, PyBytes>> {
    let style = if compact { Style::Run } else { Style::Artifact };
    let mut reader = Reader {
        convert,
        nulls,
        held: Vec::new(),
    };
    // `convert` runs Python code, which may change the rows: each is asked for anew.
    for index in begin..end.min(data.len()) {
        let Ok(row) = data.get_item(index) else { break };
        reader.row(&row)?;
    }
    let held = reader.held;
    let cells: Vec<Cell<'_>> = held.iter().map(Held::cell).collect();
    let written = py.detach(|| {
        let mut out = Vec::with_capacity(cells.len() * 12);
        rows(&cells, style, &mut out);
        out
    });
    Ok(PyBytes::new(py, &written))
}

/// A cell, and what keeps its text alive.
enum Held<'py> {
    Null,
    Value(Bound<'py, PyAny>),
    Raw(Bound<'py, PyString>),
    Begin,
    End,
}

impl Held<'_> {
    fn cell(&self) -> Cell<'_> {
        match self {
            Self::Null => Cell::Null,
            Self::Value(value) => known(value).unwrap_or(Cell::Null),
            Self::Raw(text) => Cell::Raw(text.to_str().unwrap_or("null")),
            Self::Begin => Cell::Begin,
            Self::End => Cell::End,
        }
    }
}

fn known<'a>(value: &'a Bound<'_, PyAny>) -> Option<Cell<'a>> {
    read_plain(value).map(|plain| match plain {
        Plain::None => Cell::Null,
        Plain::Bool(value) => Cell::Bool(value),
        Plain::Int(value) => Cell::Int(value),
        Plain::Float(value) => Cell::Float(value),
        Plain::Text(value) => Cell::Text(value),
    })
}

struct Reader<'a, 'py> {
    convert: &'a Bound<'py, PyAny>,
    nulls: Vec<usize>,
    held: Vec<Held<'py>>,
}

impl<'py> Reader<'_, 'py> {
    fn row(&mut self, row: &Bound<'py, PyAny>) -> PyResult<()> {
        self.held.push(Held::Begin);
        for (column, value) in row.try_iter()?.enumerate() {
            let value = value?;
            if self.nulls.contains(&column) {
                self.held.push(Held::Null);
            } else {
                self.value(value, 0)?;
            }
        }
        self.held.push(Held::End);
        Ok(())
    }

    fn value(&mut self, value: Bound<'py, PyAny>, depth: usize) -> PyResult<()> {
        if known(&value).is_some() {
            self.held.push(Held::Value(value));
            return Ok(());
        }
        if self.list(&value, depth)? {
            return Ok(());
        }
        let converted = self.convert.call1((value,))?;
        if self.list(&converted, depth)? {
            return Ok(());
        }
        let text = converted.cast_into::<PyString>()?;
        // Text that is no UTF-8 is found here, where it can be said.
        text.to_str()?;
        self.held.push(Held::Raw(text));
        Ok(())
    }

    /// Reads an exact list or tuple; false for anything else, and for what lies too deep.
    fn list(&mut self, value: &Bound<'py, PyAny>, depth: usize) -> PyResult<bool> {
        let is_list = value.is_exact_instance_of::<PyList>();
        if depth >= DEPTH || !(is_list || value.is_exact_instance_of::<PyTuple>()) {
            return Ok(false);
        }
        self.held.push(Held::Begin);
        for item in value.try_iter()? {
            self.value(item?, depth + 1)?;
        }
        self.held.push(Held::End);
        Ok(true)
    }
}
