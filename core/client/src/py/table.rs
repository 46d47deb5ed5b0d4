//! Rows of tables as JSON text.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use crate::sys::python::{Plain, read_plain};
use crate::table::{Cell, Style, rows};

/// The JSON text of `rows[begin:end]`, without the brackets around all of them.
///
/// Cells of the columns `nulls` are written as null. Another cell that is no plain value is what `convert(cell)` returns:
/// JSON text. The rows are read at once, then written while other threads run.
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
    let style = if compact {
        Style::Run
    } else {
        Style::Artifact
    };
    let held = held(data, begin, end, convert, &nulls)?;
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
    End,
}

impl Held<'_> {
    fn cell(&self) -> Cell<'_> {
        match self {
            Self::Null => Cell::Null,
            Self::Value(value) => known(value).unwrap_or(Cell::Null),
            Self::Raw(text) => Cell::Raw(text.to_str().unwrap_or("null")),
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

fn held<'py>(
    data: &Bound<'py, PyList>,
    begin: usize,
    end: usize,
    convert: &Bound<'py, PyAny>,
    nulls: &[usize],
) -> PyResult<Vec<Held<'py>>> {
    let mut held = Vec::new();
    // `convert` runs Python code, which may change the rows: each is asked for anew.
    for index in begin..end.min(data.len()) {
        let Ok(row) = data.get_item(index) else { break };
        for (column, value) in row.try_iter()?.enumerate() {
            let value = value?;
            if nulls.contains(&column) {
                held.push(Held::Null);
            } else if known(&value).is_some() {
                held.push(Held::Value(value));
            } else {
                let text = convert.call1((value,))?.cast_into::<PyString>()?;
                text.to_str()?;
                held.push(Held::Raw(text));
            }
        }
        held.push(Held::End);
    }
    Ok(held)
}
