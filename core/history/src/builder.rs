//! From history lines to columns: cells are collected per key, then each key gets its type.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use arrow_array::{BooleanArray, Float64Array, Int64Array, StringArray};
use runlane_model::json::{JsonError, Leaf, Value, parse, visit_leaves};
use runlane_model::key_path::KeyPath;

use crate::column::{Cells, Column, Whole, as_whole, nearest_f64};

/// Collects the cells of consecutive lines, which it borrows.
#[derive(Debug, Default)]
pub(crate) struct Builder<'a> {
    columns: Vec<Draft<'a>>,
    by_path: HashMap<String, usize>,
    /// Position after the column that was found last: lines tend to have their keys in one order.
    expected: usize,
    key: String,
    rows: u32,
}

#[derive(Debug)]
struct Draft<'a> {
    path: Vec<String>,
    cells: Vec<(u32, Leaf<'a>)>,
}

impl<'a> Builder<'a> {
    pub(crate) fn add_line(&mut self, line: &'a str) -> Result<(), JsonError> {
        let row = self.rows;
        self.expected = 0;
        visit_leaves(line, &mut |path, leaf| {
            let cells = &mut self.draft(path).cells;
            match cells.last_mut() {
                // A repeated key: the last value counts.
                Some((last, cell)) if *last == row => *cell = leaf,
                _ => cells.push((row, leaf)),
            }
        })?;
        self.rows += 1;
        Ok(())
    }

    fn draft(&mut self, path: &[Cow<'a, str>]) -> &mut Draft<'a> {
        let expected = self.expected;
        let index = match self.columns.get(expected) {
            Some(draft) if same_path(&draft.path, path) => expected,
            _ => self.find_or_add(path),
        };
        self.expected = index + 1;
        &mut self.columns[index]
    }

    fn find_or_add(&mut self, path: &[Cow<'a, str>]) -> usize {
        self.key.clear();
        for component in path {
            // The length keeps apart what a separator within a component would confuse.
            let written = write!(self.key, "{}:{component}", component.len());
            debug_assert!(written.is_ok(), "a string takes everything");
        }
        if let Some(index) = self.by_path.get(&self.key) {
            return *index;
        }
        let path = path
            .iter()
            .map(|component| component.clone().into_owned())
            .collect();
        self.columns.push(Draft {
            path,
            cells: Vec::new(),
        });
        self.by_path
            .insert(self.key.clone(), self.columns.len() - 1);
        self.columns.len() - 1
    }

    /// The columns, in the order in which their keys appeared.
    pub(crate) fn finish(self) -> Result<Vec<Column>, JsonError> {
        let mut names = HashSet::new();
        let rows = self.rows as usize;
        self.columns
            .into_iter()
            .map(|draft| {
                let path = KeyPath::nested(draft.path).expect("a leaf has at least one component");
                let name = unique_name(&path, &mut names);
                let (cells, exceptions) = typed(rows, draft.cells)?;
                Ok(Column {
                    path,
                    name,
                    cells,
                    exceptions,
                })
            })
            .collect()
    }
}

/// Columns of values by row, one for each path.
pub(crate) fn columns_of_values(
    rows: usize,
    values: Vec<(KeyPath, Vec<(u32, Value)>)>,
) -> Result<Vec<Column>, JsonError> {
    let mut names = HashSet::new();
    let mut columns = Vec::with_capacity(values.len());
    for (path, values) in values {
        let texts: Vec<String> = values
            .iter()
            .map(|(_, value)| match value {
                Value::List(_) | Value::Object(_) => value.to_string(),
                _ => String::new(),
            })
            .collect();
        let leaves = values.iter().zip(&texts).map(|((row, value), text)| {
            let leaf = match value {
                Value::Null => Leaf::Null,
                Value::Bool(value) => Leaf::Bool(*value),
                Value::Int(value) => Leaf::Int(*value),
                Value::Float(value) => Leaf::Float(*value),
                Value::Text(text) => Leaf::Text(Cow::Borrowed(text)),
                Value::List(_) | Value::Object(_) => Leaf::Json(text),
            };
            (*row, leaf)
        });
        let (cells, exceptions) = typed(rows, leaves.collect())?;
        columns.push(Column {
            name: unique_name(&path, &mut names),
            path,
            cells,
            exceptions,
        });
    }
    Ok(columns)
}

fn same_path(known: &[String], path: &[Cow<'_, str>]) -> bool {
    known.len() == path.len() && known.iter().zip(path).all(|(known, other)| known == other)
}

/// The dotted form; paths that differ only in how a backslash is meant get a number.
fn unique_name(path: &KeyPath, names: &mut HashSet<String>) -> String {
    let dotted = path.to_string();
    let mut name = dotted.clone();
    let mut count = 1;
    while !names.insert(name.clone()) {
        count += 1;
        name = format!("{dotted}#{count}");
    }
    name
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    Json,
    Bool,
}

type Typed = (Cells, Vec<(u32, Value)>);

/// Chooses the type of most cells; cells that it cannot hold exactly become exceptions.
fn typed(rows: usize, cells: Vec<(u32, Leaf<'_>)>) -> Result<Typed, JsonError> {
    let count = |kind| {
        cells
            .iter()
            .filter(|(_, leaf)| kind_of(leaf) == Some(kind))
            .count()
    };
    // The last of equals wins: numbers before text before the rest.
    let kind = [Kind::Bool, Kind::Json, Kind::Text, Kind::Number]
        .into_iter()
        .max_by_key(|&kind| count(kind));
    match kind {
        Some(Kind::Number) if cells.iter().any(|(_, leaf)| matches!(leaf, Leaf::Float(_))) => {
            floats(rows, cells)
        }
        Some(Kind::Number) if cells.iter().any(|(_, leaf)| matches!(leaf, Leaf::Int(_))) => {
            let (values, exceptions) = split(rows, cells, |leaf| match leaf {
                Leaf::Int(value) => Ok(value),
                other => Err(other),
            })?;
            Ok((Cells::Ints(Int64Array::from(values)), exceptions))
        }
        Some(Kind::Text) => {
            let (values, exceptions) = split(rows, cells, |leaf| match leaf {
                Leaf::Text(text) => Ok(text),
                other => Err(other),
            })?;
            Ok((Cells::Texts(StringArray::from_iter(values)), exceptions))
        }
        Some(Kind::Json) => {
            let (values, exceptions) = split(rows, cells, |leaf| match leaf {
                Leaf::Json(text) => Ok(text),
                other => Err(other),
            })?;
            Ok((Cells::Json(StringArray::from(values)), exceptions))
        }
        // Nothing but nulls may come here as well.
        Some(Kind::Bool | Kind::Number) | None => {
            let (values, exceptions) = split(rows, cells, |leaf| match leaf {
                Leaf::Bool(value) => Ok(value),
                other => Err(other),
            })?;
            Ok((Cells::Bools(BooleanArray::from(values)), exceptions))
        }
    }
}

fn kind_of(leaf: &Leaf<'_>) -> Option<Kind> {
    match leaf {
        Leaf::Null => None,
        Leaf::Bool(_) => Some(Kind::Bool),
        Leaf::Int(_) | Leaf::Float(_) => Some(Kind::Number),
        Leaf::Text(_) => Some(Kind::Text),
        Leaf::Json(_) => Some(Kind::Json),
    }
}

/// Floats, with integers among them where a float holds them exactly.
fn floats(rows: usize, cells: Vec<(u32, Leaf<'_>)>) -> Result<Typed, JsonError> {
    let (mut ints, mut whole_floats) = (0usize, 0usize);
    for (_, leaf) in &cells {
        match leaf {
            Leaf::Int(value) if is_exact(*value) => ints += 1,
            Leaf::Float(value) if as_whole(*value).is_some() => whole_floats += 1,
            _ => {}
        }
    }
    let whole = if ints >= whole_floats {
        Whole::Int
    } else {
        Whole::Float
    };
    let mut values = vec![None; rows];
    let mut exceptions = Vec::new();
    for (row, leaf) in cells {
        let (value, exact) = match leaf {
            Leaf::Int(value) => (
                Some(nearest_f64(value)),
                whole == Whole::Int && is_exact(value),
            ),
            Leaf::Float(value) => (
                Some(value),
                whole == Whole::Float || as_whole(value).is_none(),
            ),
            _ => (None, false),
        };
        values[row as usize] = value;
        if !exact {
            exceptions.push((row, value_of(leaf)?));
        }
    }
    Ok((Cells::Floats(Float64Array::from(values), whole), exceptions))
}

/// Whether a float holds the integer.
fn is_exact(value: i64) -> bool {
    as_whole(nearest_f64(value)) == Some(value)
}

type Split<T> = (Vec<Option<T>>, Vec<(u32, Value)>);

/// Puts aside what `take` refuses.
fn split<'a, T: Clone>(
    rows: usize,
    cells: Vec<(u32, Leaf<'a>)>,
    take: impl Fn(Leaf<'a>) -> Result<T, Leaf<'a>>,
) -> Result<Split<T>, JsonError> {
    let mut values = vec![None; rows];
    let mut exceptions = Vec::new();
    for (row, leaf) in cells {
        match take(leaf) {
            Ok(value) => values[row as usize] = Some(value),
            Err(other) => exceptions.push((row, value_of(other)?)),
        }
    }
    Ok((values, exceptions))
}

fn value_of(leaf: Leaf<'_>) -> Result<Value, JsonError> {
    Ok(match leaf {
        Leaf::Null => Value::Null,
        Leaf::Bool(value) => Value::Bool(value),
        Leaf::Int(value) => Value::Int(value),
        Leaf::Float(value) => Value::Float(value),
        Leaf::Text(text) => Value::Text(text.into_owned()),
        Leaf::Json(text) => parse(text)?,
    })
}
