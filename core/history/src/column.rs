//! One key of a chunk: a typed array, and the few cells that its type cannot hold exactly.
//!
//! The type is that of most cells. A cell of another kind (a null, a string among numbers, an
//! integer beyond 2^53 among floats) is an *exception*: its exact value stands beside the array,
//! which holds the nearest value of its type, or nothing. A cell that is in neither is missing.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use runlane_model::json::{Value, parse};
use runlane_model::key_path::KeyPath;

use crate::points::Numbers;

/// The values of one key in the rows of a chunk.
#[derive(Clone, Debug)]
pub struct Column {
    pub(crate) path: KeyPath,
    pub(crate) name: String,
    pub(crate) cells: Cells,
    /// By ascending row.
    pub(crate) exceptions: Vec<(u32, Value)>,
}

/// The typed array of a column.
#[derive(Clone, Debug)]
pub(crate) enum Cells {
    Ints(Int64Array),
    Floats(Float64Array, Whole),
    Bools(BooleanArray),
    Texts(StringArray),
    /// Lists, empty objects and media objects, as extended-JSON text.
    Json(StringArray),
}

/// What a whole number in a column of floats is, exceptions aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whole {
    Int,
    Float,
}

impl Cells {
    pub(crate) fn array(&self) -> ArrayRef {
        match self {
            Self::Ints(array) => Arc::new(array.clone()),
            Self::Floats(array, _) => Arc::new(array.clone()),
            Self::Bools(array) => Arc::new(array.clone()),
            Self::Texts(array) | Self::Json(array) => Arc::new(array.clone()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Ints(array) => array.len(),
            Self::Floats(array, _) => array.len(),
            Self::Bools(array) => array.len(),
            Self::Texts(array) | Self::Json(array) => array.len(),
        }
    }
}

impl Column {
    /// The dotted key, unique within the chunk.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key path.
    pub fn path(&self) -> &KeyPath {
        &self.path
    }

    /// The exact value in `row`; `None` if the row has no such key, or there is no such row.
    pub fn value(&self, row: usize) -> Option<Value> {
        if row >= self.cells.len() {
            return None;
        }
        if let Some(value) = self.exception(row) {
            return Some(value.clone());
        }
        match &self.cells {
            Cells::Ints(array) => array.is_valid(row).then(|| Value::Int(array.value(row))),
            Cells::Floats(array, whole) => array.is_valid(row).then(|| {
                let value = array.value(row);
                match as_whole(value).filter(|_whole| *whole == Whole::Int) {
                    Some(int) => Value::Int(int),
                    None => Value::Float(value),
                }
            }),
            Cells::Bools(array) => array.is_valid(row).then(|| Value::Bool(array.value(row))),
            Cells::Texts(array) => array
                .is_valid(row)
                .then(|| Value::Text(array.value(row).to_owned())),
            Cells::Json(array) => array.is_valid(row).then(|| {
                // Written by the builder or checked on reading; text stands in for what is neither.
                let text = array.value(row);
                parse(text).unwrap_or_else(|_error| Value::Text(text.to_owned()))
            }),
        }
    }

    pub(crate) fn exception(&self, row: usize) -> Option<&Value> {
        let row = u32::try_from(row).ok()?;
        let index = self
            .exceptions
            .binary_search_by_key(&row, |(row, _)| *row)
            .ok()?;
        Some(&self.exceptions[index].1)
    }

    /// Whether any cell is a number.
    pub fn has_numbers(&self) -> bool {
        matches!(self.cells, Cells::Ints(_) | Cells::Floats(..))
            || self
                .exceptions
                .iter()
                .any(|(_, value)| value.as_f64().is_some())
    }

    /// The numbers of the column, the nearest `f64` for large integers; `None` if it has none.
    pub fn numbers(&self) -> Option<Numbers> {
        let mut numbers = match &self.cells {
            Cells::Ints(array) => {
                Numbers::from_options(array.iter().map(|value| value.map(nearest_f64)))
            }
            Cells::Floats(array, _) => Numbers::from_options(array.iter()),
            Cells::Bools(_) | Cells::Texts(_) | Cells::Json(_) => {
                if !self.has_numbers() {
                    return None;
                }
                Numbers::absent(self.cells.len())
            }
        };
        for (row, value) in &self.exceptions {
            numbers.set(*row as usize, value.as_f64());
        }
        Some(numbers)
    }
}

/// The integer that a float is, if it is whole, within 64 bits and not the negative zero.
#[expect(clippy::cast_possible_truncation, reason = "checked by the condition")]
pub(crate) fn as_whole(value: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let negative_zero = value == 0.0 && value.is_sign_negative();
    (value.fract() == 0.0 && value.abs() < LIMIT && !negative_zero).then_some(value as i64)
}

/// The nearest float of an integer.
#[expect(
    clippy::cast_precision_loss,
    reason = "the nearest float is what is wanted"
)]
pub(crate) fn nearest_f64(value: i64) -> f64 {
    value as f64
}
