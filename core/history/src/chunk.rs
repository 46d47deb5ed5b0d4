//! Consecutive history rows as columns.

use std::collections::HashMap;

use runlane_model::json::{Object, Value, write_value};
use runlane_model::tree;

use crate::builder::Builder;
use crate::column::{Cells, Column};
use crate::error::HistoryError;
use crate::points::{Numbers, Points};

/// Rows `first_line .. first_line + len` of a run's history.
///
/// Rows come back equal to what went in, numbers bit for bit, except that the order of keys is
/// free, and of a key repeated within one line the last value counts.
#[derive(Clone, Debug)]
pub struct Chunk {
    pub(crate) first_line: u64,
    pub(crate) rows: usize,
    pub(crate) columns: Vec<Column>,
    by_name: HashMap<String, usize>,
}

impl Chunk {
    /// Parses lines of extended JSON, the first of which is line `first_line` of the history.
    ///
    /// # Errors
    ///
    /// `Line` for the first line that is no object; `TooLarge` from 2 GiB or 2^32 rows on.
    pub fn from_lines<L: AsRef<str>>(first_line: u64, lines: &[L]) -> Result<Self, HistoryError> {
        let bytes = lines.iter().map(|line| line.as_ref().len()).sum::<usize>();
        if i32::try_from(bytes).is_err() || u32::try_from(lines.len()).is_err() {
            return Err(HistoryError::TooLarge {
                rows: lines.len(),
                bytes,
            });
        }
        let mut builder = Builder::default();
        for (line, text) in (first_line..).zip(lines) {
            builder
                .add_line(text.as_ref())
                .map_err(|source| HistoryError::Line { line, source })?;
        }
        let columns = builder.finish().map_err(|source| HistoryError::Line {
            line: first_line,
            source,
        })?;
        Ok(Self::from_columns(first_line, lines.len(), columns))
    }

    pub(crate) fn from_columns(first_line: u64, rows: usize, columns: Vec<Column>) -> Self {
        let names = columns.iter().map(|column| column.name.clone());
        let by_name = names.zip(0..).collect();
        Self {
            first_line,
            rows,
            columns,
            by_name,
        }
    }

    /// Number of the first line in the run's history.
    pub fn first_line(&self) -> u64 {
        self.first_line
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The columns, in the order in which their keys first appeared.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The column of a dotted key.
    pub fn column(&self, key: &str) -> Option<&Column> {
        self.by_name.get(key).map(|&index| &self.columns[index])
    }

    /// The row at `index`, nested as it was logged; only the keys that were decoded.
    ///
    /// # Panics
    /// If `index` is not below [`Chunk::len`].
    pub fn row(&self, index: usize) -> Object {
        assert!(index < self.rows, "row {index} of {}", self.rows);
        let mut row = Object::new();
        for column in &self.columns {
            if let Some(value) = column.value(index) {
                tree::set(&mut row, &column.path, value);
            }
        }
        row
    }

    /// All rows in order.
    pub fn rows(&self) -> impl Iterator<Item = Object> + '_ {
        (0..self.rows).map(|index| self.row(index))
    }

    /// The row at `index` as one line of extended JSON.
    ///
    /// # Panics
    /// If `index` is not below [`Chunk::len`].
    pub fn line(&self, index: usize) -> String {
        let mut line = String::new();
        write_value(&mut line, &Value::Object(self.row(index)));
        line
    }

    /// `_step` of each row; `None` where it is missing or no integer.
    pub fn steps(&self) -> Vec<Option<i64>> {
        let column = self.column("_step");
        if let Some(column) = column
            && let Cells::Ints(cells) = &column.cells
            && column.exceptions.is_empty()
        {
            return cells.iter().collect();
        }
        (0..self.rows)
            .map(|row| {
                column
                    .and_then(|column| column.value(row))
                    .and_then(|step| step.as_i64())
            })
            .collect()
    }

    /// The numbers of a key; `None` if it has none here.
    pub fn numbers(&self, key: &str) -> Option<Numbers> {
        self.column(key).and_then(Column::numbers)
    }

    /// The points of the series `y` over `x`: rows that have a number for both, `x` a finite one.
    pub fn points(&self, x: &str, y: &str) -> Points {
        match (self.numbers(x), self.numbers(y)) {
            (Some(x), Some(y)) => Points::zip(&x, &y),
            _ => Points::default(),
        }
    }
}
