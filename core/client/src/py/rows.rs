//! Rows of a stored run for Python: `unpack_rows` for dicts, `FrameColumns` for data frames.

use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString};
use runlane_model::json::{Value, parse};

use crate::rows::{Cells, Column, Frame, FrameError, Gathered, Kind, Rows, as_whole};

fn refused(error: &FrameError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// The rows of a frame as dicts, and the count of all rows if it is the last frame.
#[pyfunction]
pub(crate) fn unpack_rows<'py>(
    py: Python<'py>,
    frame: &[u8],
) -> PyResult<(Bound<'py, PyList>, Option<u64>)> {
    match Frame::read(frame).map_err(|error| refused(&error))? {
        Frame::Rows(rows) => Ok((dicts(py, &rows)?, None)),
        Frame::End(count) => Ok((PyList::empty(py), Some(count))),
    }
}

/// A column with the Python strings of its path.
struct Named<'a, 'py> {
    column: &'a Column<'a>,
    path: Vec<Bound<'py, PyString>>,
}

fn dicts<'py>(py: Python<'py>, rows: &Rows<'_>) -> PyResult<Bound<'py, PyList>> {
    let named: Vec<Named<'_, 'py>> = rows
        .columns
        .iter()
        .map(|column| Named {
            column,
            path: column
                .path
                .iter()
                .map(|component| PyString::intern(py, component))
                .collect(),
        })
        .collect();
    // A copy of a dict that has the keys already need not grow while they are set.
    let template = PyDict::new(py);
    for one in named
        .iter()
        .filter(|one| one.path.len() == 1 && one.column.is_plain())
    {
        template.set_item(&one.path[0], py.None())?;
    }
    let is_template = !template.is_empty();
    let found = PyList::empty(py);
    for row in 0..rows.count {
        let dict = if is_template {
            template.copy()?
        } else {
            PyDict::new(py)
        };
        for one in &named {
            fill(py, &dict, one, row)?;
        }
        found.append(dict)?;
    }
    Ok(found)
}

fn fill<'py>(
    py: Python<'py>,
    dict: &Bound<'py, PyDict>,
    named: &Named<'_, 'py>,
    row: usize,
) -> PyResult<()> {
    let column = named.column;
    if !column.exceptions.is_empty()
        && let Some(value) = column.exception(row)
    {
        return put(dict, &named.path, object(py, value)?);
    }
    if !column.is_valid(row) {
        return Ok(());
    }
    let value = match &column.cells {
        Cells::Floats(cells) => PyFloat::new(py, f64::from_le_bytes(cells[row])).into_any(),
        Cells::Ints(cells) => i64::from_le_bytes(cells[row]).into_pyobject(py)?.into_any(),
        Cells::Numbers(cells) => {
            let number = f64::from_le_bytes(cells[row]);
            match as_whole(number) {
                Some(whole) => whole.into_pyobject(py)?.into_any(),
                None => PyFloat::new(py, number).into_any(),
            }
        }
        Cells::Bools(bits) => boolean(py, Column::is_true(bits, row)),
        Cells::Texts(texts) => PyString::new(py, texts.get(row)).into_any(),
        Cells::Json(texts) => json_object(py, texts.get(row))?,
    };
    put(dict, &named.path, value)
}

/// Sets the value at a path, with dicts on the way.
fn put<'py>(
    dict: &Bound<'py, PyDict>,
    path: &[Bound<'py, PyString>],
    value: Bound<'py, PyAny>,
) -> PyResult<()> {
    let Some((last, above)) = path.split_last() else {
        return Ok(());
    };
    if above.is_empty() {
        return dict.set_item(last, value);
    }
    let mut inner = dict.clone();
    for component in above {
        let next = match inner.get_item(component)? {
            Some(found) if found.is_instance_of::<PyDict>() => found.cast_into::<PyDict>()?,
            _ => {
                let made = PyDict::new(dict.py());
                inner.set_item(component, &made)?;
                made
            }
        };
        inner = next;
    }
    inner.set_item(last, value)
}

fn boolean(py: Python<'_>, value: bool) -> Bound<'_, PyAny> {
    PyBool::new(py, value).to_owned().into_any()
}

fn json_object<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    let value = parse(text).map_err(|error| refused(&error.into()))?;
    object(py, &value)
}

fn object<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(value) => boolean(py, *value),
        Value::Int(value) => PyInt::new(py, *value).into_any(),
        Value::Float(value) => PyFloat::new(py, *value).into_any(),
        Value::Text(text) => PyString::new(py, text).into_any(),
        Value::List(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(object(py, item)?)?;
            }
            list.into_any()
        }
        Value::Object(members) => {
            let dict = PyDict::new(py);
            for (key, member) in members {
                dict.set_item(key, object(py, member)?)?;
            }
            dict.into_any()
        }
    })
}

/// Collects frames of rows as typed columns; their buffers are laid out as Arrow's.
#[pyclass(frozen, module = "runlane._core")]
pub(crate) struct FrameColumns(Mutex<Gathered>);

#[pymethods]
impl FrameColumns {
    #[new]
    fn new() -> Self {
        Self(Mutex::default())
    }

    /// Appends the rows of a frame; the count of all rows if it is the last frame.
    fn add(&self, py: Python<'_>, frame: &[u8]) -> PyResult<Option<u64>> {
        // The bytes are immutable and held by the caller, so other threads may run meanwhile.
        py.detach(|| match Frame::read(frame)? {
            Frame::Rows(rows) => {
                self.locked().add(&rows);
                Ok(None)
            }
            Frame::End(count) => Ok(Some(count)),
        })
        .map_err(|error: FrameError| refused(&error))
    }

    #[getter]
    fn rows(&self) -> usize {
        self.locked().rows
    }

    /// Name, type and missing values of each column.
    fn columns(&self) -> Vec<(String, &'static str, usize)> {
        let gathered = self.locked();
        let columns = gathered.columns.iter();
        columns
            .map(|(name, column)| (name.clone(), column.kind.name(), column.missing))
            .collect()
    }

    /// The values of a column: its validity bits, the ends of its texts, and its values.
    fn buffers<'py>(
        &self,
        py: Python<'py>,
        index: usize,
    ) -> PyResult<(
        Bound<'py, PyBytes>,
        Bound<'py, PyBytes>,
        Bound<'py, PyBytes>,
    )> {
        let gathered = self.locked();
        let (_, column) = gathered
            .columns
            .get(index)
            .ok_or_else(|| no_column(index))?;
        let ends = match column.kind {
            Kind::Text | Kind::Json => column.ends(),
            _ => &[],
        };
        Ok((
            PyBytes::new(py, &column.valid),
            PyBytes::new(py, ends),
            PyBytes::new(py, column.values()),
        ))
    }

    /// The values of a column of texts as they are, None where one is missing.
    fn texts(&self, index: usize) -> PyResult<Vec<Option<String>>> {
        let gathered = self.locked();
        let (_, column) = gathered
            .columns
            .get(index)
            .ok_or_else(|| no_column(index))?;
        Ok((0..gathered.rows)
            .map(|row| column.text(row).map(str::to_owned))
            .collect())
    }

    /// The values of a column of texts as Python objects, None where one is missing; extended JSON is read.
    fn objects<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyList>> {
        let texts: Vec<Option<String>>;
        let kind;
        {
            let gathered = self.locked();
            let (_, column) = gathered
                .columns
                .get(index)
                .ok_or_else(|| no_column(index))?;
            kind = column.kind;
            texts = (0..gathered.rows)
                .map(|row| column.text(row).map(str::to_owned))
                .collect();
        }
        let list = PyList::empty(py);
        for text in texts {
            match text {
                None => list.append(py.None())?,
                Some(text) if kind == Kind::Json => list.append(json_object(py, &text)?)?,
                Some(text) => list.append(text)?,
            }
        }
        Ok(list)
    }
}

impl FrameColumns {
    fn locked(&self) -> std::sync::MutexGuard<'_, Gathered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_column(index: usize) -> PyErr {
    PyIndexError::new_err(format!("there is no column {index}"))
}
