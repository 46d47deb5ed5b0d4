//! The cells of some keys of a chunk, each key as one flat column.
//!
//! A key is found as readers of rows find it: a member of that very name first, then by every way of reading its dots as
//! levels. Nearly always that is one column, which is taken as it is.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{Array, Int64Array, StringArray};
use runlane_model::json::{Object, Value};
use runlane_model::key_path::KeyPath;

use crate::builder::columns_of_values;
use crate::chunk::Chunk;
use crate::column::{Cells, Column};
use crate::error::HistoryError;

const STEP: &str = "_step";
/// Dots in a key up to which its spellings are listed.
const MAX_DOTS: usize = 4;

impl Column {
    /// Whether the row has the key; an explicit null counts.
    pub fn has(&self, row: usize) -> bool {
        let is_valid = match &self.cells {
            Cells::Ints(array) => row < array.len() && array.is_valid(row),
            Cells::Floats(array, _) => row < array.len() && array.is_valid(row),
            Cells::Bools(array) => row < array.len() && array.is_valid(row),
            Cells::Texts(array) | Cells::Json(array) => row < array.len() && array.is_valid(row),
        };
        is_valid || self.exception(row).is_some()
    }

    /// Whether every row has the key.
    pub fn is_complete(&self) -> bool {
        let array = self.cells.array();
        array.null_count() == 0
            || array.null_count() <= self.exceptions.len()
                && (0..array.len()).all(|row| self.has(row))
    }
}

impl Chunk {
    /// Whether the row has any key: lines that were no rows have none.
    pub fn has_row(&self, row: usize) -> bool {
        self.columns.iter().any(|column| column.has(row))
    }

    /// Whether every row has a key.
    pub fn all_have_rows(&self) -> bool {
        self.columns.iter().any(Column::is_complete) || (0..self.rows).all(|row| self.has_row(row))
    }

    /// The cells of `keys`, in their order and by their names; `None` if no row has one of them. `_step` is taken from
    /// `steps`, one for each row.
    pub fn pick(&self, keys: &[String], steps: &[i64]) -> Option<Self> {
        let columns: Option<Vec<Column>> = keys
            .iter()
            .map(|key| {
                if key == STEP {
                    return Some(flat(key, Cells::Ints(Int64Array::from(steps.to_vec()))));
                }
                self.pick_one(key)
            })
            .collect();
        Some(Self::from_columns(self.first_line, self.rows, columns?))
    }

    fn pick_one(&self, key: &str) -> Option<Column> {
        let below = |column: &&Column| {
            let joined = column.path.components().join(".");
            joined
                .strip_prefix(key)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let found: Vec<&Column> = self.columns.iter().filter(below).collect();
        match found[..] {
            [] => None,
            [column] if column.path.components().join(".") == key => Some(Column {
                path: KeyPath::flat(key),
                name: KeyPath::flat(key).to_string(),
                ..column.clone()
            }),
            _ => {
                let parts = Self::from_columns(
                    self.first_line,
                    self.rows,
                    found.into_iter().cloned().collect(),
                );
                let exceptions = (0u32..).zip(parts.rows());
                let exceptions = exceptions.filter_map(|(row, object)| {
                    value_at(&object, key).map(|value| (row, value.clone()))
                });
                Some(Column {
                    exceptions: exceptions.collect(),
                    ..flat(
                        key,
                        Cells::Json(StringArray::from(vec![None::<&str>; self.rows])),
                    )
                })
            }
        }
    }

    /// Those of `rows` that have every column of the chunk.
    pub fn rows_with_all(&self, rows: &[u32]) -> Vec<u32> {
        let partial: Vec<&Column> = self
            .columns
            .iter()
            .filter(|column| !column.is_complete())
            .collect();
        rows.iter()
            .copied()
            .filter(|row| partial.iter().all(|column| column.has(*row as usize)))
            .collect()
    }
}

fn flat(key: &str, cells: Cells) -> Column {
    Column {
        path: KeyPath::flat(key),
        name: KeyPath::flat(key).to_string(),
        cells,
        exceptions: Vec::new(),
    }
}

/// The names of the columns that `keys` can be found in, as far as they are named one by one; `None` for all columns.
pub fn columns_of_keys(keys: &[String]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for key in keys {
        let parts: Vec<&str> = key.split('.').collect();
        let dots = parts.len() - 1;
        if dots > MAX_DOTS {
            return None;
        }
        for spelling in 0..1_u32 << dots {
            let mut components = vec![parts[0].to_owned()];
            for (dot, part) in parts[1..].iter().enumerate() {
                match components.last_mut() {
                    // The bit says that this dot is part of a name.
                    Some(last) if spelling >> dot & 1 == 1 => {
                        last.push('.');
                        last.push_str(part);
                    }
                    _ => components.push((*part).to_owned()),
                }
            }
            names.extend(KeyPath::nested(components).map(|path| path.to_string()));
        }
    }
    Some(names)
}

/// The value at `key` of a row: the literal key first, then the dotted path.
pub fn value_at<'a>(row: &'a Object, key: &str) -> Option<&'a Value> {
    if let Some(value) = row.get(key) {
        return Some(value);
    }
    key.match_indices('.').find_map(|(at, _)| {
        let inner = row.get(&key[..at])?.as_object()?;
        value_at(inner, &key[at + 1..])
    })
}

/// The chunk whose rows are `rows`, in this order, of several chunks.
///
/// # Errors
///
/// `Line` if a stored text is no JSON.
pub fn gather(rows: &[(Arc<Chunk>, u32)]) -> Result<Chunk, HistoryError> {
    let mut places: HashMap<KeyPath, usize> = HashMap::new();
    let mut values: Vec<(KeyPath, Vec<(u32, Value)>)> = Vec::new();
    for (at, (chunk, row)) in (0u32..).zip(rows) {
        for column in &chunk.columns {
            let Some(value) = column.value(*row as usize) else {
                continue;
            };
            let place = *places.entry(column.path.clone()).or_insert_with(|| {
                values.push((column.path.clone(), Vec::new()));
                values.len() - 1
            });
            values[place].1.push((at, value));
        }
    }
    let columns = columns_of_values(rows.len(), values)
        .map_err(|source| HistoryError::Line { line: 0, source })?;
    Ok(Chunk::from_columns(0, rows.len(), columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(lines: &[&str]) -> Chunk {
        Chunk::from_lines(0, lines).expect("rows")
    }

    fn keys(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn keys_are_found_literally_nested_and_as_objects() {
        let rows = chunk(&[
            r#"{"a": {"b": 1, "c": 2}, "l.d": 3}"#,
            r#"{"a": 5, "l": {"d": 4}}"#,
            r#"{"a.b": null}"#,
        ]);
        let picked = |key: &str| {
            let found = rows
                .pick(&keys(&[key]), &[0, 1, 2])
                .expect("some row has it");
            let kept = found.rows_with_all(&[0, 1, 2]);
            kept.into_iter()
                .map(|row| found.line(row as usize))
                .collect::<Vec<_>>()
        };
        assert_eq!(picked("a.b"), [r#"{"a.b":1}"#, r#"{"a.b":null}"#]);
        assert_eq!(picked("a"), [r#"{"a":{"b":1,"c":2}}"#, r#"{"a":5}"#]);
        assert_eq!(picked("l.d"), [r#"{"l.d":3}"#, r#"{"l.d":4}"#]);
        assert_eq!(picked("_step").len(), 3);
        assert!(rows.pick(&keys(&["a.b", "x"]), &[0, 1, 2]).is_none());
    }

    #[test]
    fn rows_need_every_key_that_was_asked_for() {
        let rows = chunk(&[
            r#"{"a": 1}"#,
            r#"{"a": 2, "b": "x"}"#,
            r#"{"a": NaN, "b": 3}"#,
        ]);
        let picked = rows.pick(&keys(&["b", "a"]), &[7, 8, 9]).expect("found");
        assert_eq!(picked.rows_with_all(&[2, 1, 0]), [2, 1]);
        assert_eq!(picked.line(2), r#"{"b":3,"a":NaN}"#);
    }

    #[test]
    fn the_columns_of_a_key_are_named_in_each_spelling() {
        let names = columns_of_keys(&keys(&["a.b.c", "x"])).expect("few dots");
        assert_eq!(names, ["a.b.c", r"a\.b.c", r"a.b\.c", r"a\.b\.c", "x"]);
        assert_eq!(columns_of_keys(&keys(&["a.b.c.d.e.f"])), None);
    }

    #[test]
    fn rows_of_several_chunks_are_put_together_unchanged() {
        let lines = [
            r#"{"a": {"b": 1, "e": {}}, "l": [1, 2.0], "big": 9007199254740993}"#,
            r#"{"a": {"b": NaN}, "l": null, "big": 0.5}"#,
            r#"{"a": "x", "c.d": true}"#,
        ];
        let chunks = [chunk(&lines[..2]), chunk(&lines[2..])].map(Arc::new);
        let order = [(0usize, 1u32), (1, 0), (0, 0)];
        let rows: Vec<_> = order
            .iter()
            .map(|(place, row)| (Arc::clone(&chunks[*place]), *row))
            .collect();
        let gathered = gather(&rows).expect("rows");
        for (at, (place, row)) in order.into_iter().enumerate() {
            let (found, expected) = (gathered.row(at), chunks[place].row(row as usize));
            assert_eq!(format!("{found:?}"), format!("{expected:?}"));
        }
        // Picked keys stay flat, whatever their values are.
        let picked = chunks[0].pick(&keys(&["a"]), &[0, 1]).expect("found");
        let rows = [(Arc::new(picked), 0)];
        let gathered = gather(&rows).expect("rows");
        assert_eq!(gathered.line(0), r#"{"a":{"b":1,"e":{}}}"#);
        assert_eq!(gathered.columns().len(), 1);
    }

    #[test]
    fn lines_that_are_no_rows_have_no_key() {
        let rows = chunk(&["{}", r#"{"a": null}"#]);
        assert_eq!([rows.has_row(0), rows.has_row(1)], [false, true]);
        assert!(!rows.all_have_rows());
        assert!(chunk(&[r#"{"a":1}"#, r#"{"a":"x"}"#]).all_have_rows());
    }
}
