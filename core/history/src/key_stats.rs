//! What is known of each key of a run's history: how often, what kind, the last value.

use std::collections::BTreeMap;

use runlane_model::json::{JsonError, Object, Value, parse_object};

use crate::chunk::Chunk;
use crate::column::{Cells, Column};

/// Longer strings are not kept as the last value.
const MAX_LAST_TEXT_BYTES: usize = 1024;

/// What is known of one key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyStats {
    /// Occurrences by type: `number`, `string`, `boolean`, `null`, `list`, `object`, or the
    /// `_type` of a media object.
    pub type_counts: BTreeMap<String, u64>,
    /// The last number, string or boolean.
    pub last_value: Option<Value>,
    first_number: Option<f64>,
    last_number: Option<f64>,
    /// A number was smaller than the one before it, or NaN.
    descended: bool,
}

impl KeyStats {
    /// Whether every occurrence is a number not smaller than the one before it.
    pub fn is_monotonic(&self) -> bool {
        !self.descended && self.type_counts.len() == 1 && self.type_counts.contains_key("number")
    }

    /// Rows that have the key.
    pub fn count(&self) -> u64 {
        self.type_counts.values().sum()
    }

    fn add_number(&mut self, number: f64) {
        self.descended |= number.is_nan() || self.last_number.is_some_and(|last| number < last);
        self.first_number = self.first_number.or(Some(number));
        self.last_number = Some(number);
    }

    fn add(&mut self, value: Value) {
        *self.type_counts.entry(type_name(&value)).or_default() += 1;
        if let Some(number) = value.as_f64() {
            self.add_number(number);
        }
        match value {
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => self.last_value = Some(value),
            Value::Text(text) if text.len() <= MAX_LAST_TEXT_BYTES => {
                self.last_value = Some(Value::Text(text));
            }
            Value::Null | Value::Text(_) | Value::List(_) | Value::Object(_) => {}
        }
    }

    fn add_column(&mut self, column: &Column, rows: usize) {
        let numbers = matches!(column.cells, Cells::Ints(_) | Cells::Floats(..));
        let Some(numbers) = column
            .numbers()
            .filter(|_| numbers && column.exceptions.is_empty())
        else {
            (0..rows)
                .filter_map(|row| column.value(row))
                .for_each(|value| self.add(value));
            return;
        };
        let mut count = 0;
        let mut last_row = None;
        for (row, number) in numbers.iter().enumerate() {
            let Some(number) = number else { continue };
            self.add_number(number);
            count += 1;
            last_row = Some(row);
        }
        if let Some(row) = last_row {
            *self.type_counts.entry("number".to_owned()).or_default() += count;
            self.last_value = column.value(row);
        }
    }
}

fn type_name(value: &Value) -> String {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Int(_) | Value::Float(_) => "number",
        Value::Text(_) => "string",
        Value::List(_) => "list",
        Value::Object(object) => match object.get("_type") {
            Some(Value::Text(name)) => name,
            _ => "object",
        },
    }
    .to_owned()
}

/// The keys of a run's history, by dotted name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyTable {
    keys: BTreeMap<String, KeyStats>,
    last_step: Option<i64>,
}

impl KeyTable {
    /// Takes in the rows of a chunk, which follow those taken in before.
    pub fn add_chunk(&mut self, chunk: &Chunk) {
        for column in chunk.columns() {
            if !self.keys.contains_key(column.name()) {
                self.keys
                    .insert(column.name().to_owned(), KeyStats::default());
            }
            if let Some(stats) = self.keys.get_mut(column.name()) {
                stats.add_column(column, chunk.len());
            }
        }
        self.last_step = self
            .last_step
            .max(chunk.steps().into_iter().flatten().max());
    }

    /// Takes in what is known of the rows of another writer, which stand beside those of this table: no key of both is
    /// monotonic.
    pub fn merge(&mut self, other: &Self) {
        for (key, theirs) in &other.keys {
            let Some(ours) = self.keys.get_mut(key) else {
                self.keys.insert(key.clone(), theirs.clone());
                continue;
            };
            for (name, count) in &theirs.type_counts {
                *ours.type_counts.entry(name.clone()).or_default() += count;
            }
            ours.descended = true;
            if theirs.last_value.is_some() && other.last_step >= self.last_step {
                ours.last_value.clone_from(&theirs.last_value);
                ours.last_number = theirs.last_number;
            }
        }
        self.last_step = self.last_step.max(other.last_step);
    }

    /// Takes in what is known of rows that follow those of this table.
    pub fn follow(&mut self, later: &Self) {
        for (key, theirs) in &later.keys {
            let Some(ours) = self.keys.get_mut(key) else {
                self.keys.insert(key.clone(), theirs.clone());
                continue;
            };
            for (name, count) in &theirs.type_counts {
                *ours.type_counts.entry(name.clone()).or_default() += count;
            }
            // Tables that are older than the first number do not tell it.
            let descends = match (ours.last_number, theirs.first_number, theirs.last_number) {
                (Some(before), Some(first), _) => first < before,
                (Some(_), None, Some(_)) => true,
                _ => false,
            };
            ours.descended |= theirs.descended || descends;
            ours.first_number = ours.first_number.or(theirs.first_number);
            ours.last_number = theirs.last_number.or(ours.last_number);
            if theirs.last_value.is_some() {
                ours.last_value.clone_from(&theirs.last_value);
            }
        }
        self.last_step = self.last_step.max(later.last_step);
    }

    /// The largest `_step`.
    pub fn last_step(&self) -> Option<i64> {
        self.last_step
    }

    /// What is known of `key`.
    pub fn get(&self, key: &str) -> Option<&KeyStats> {
        self.keys.get(key)
    }

    /// All keys in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &KeyStats)> {
        self.keys.iter().map(|(key, stats)| (key.as_str(), stats))
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The `historyKeys` document of a run; embed it with [`Value::to_strict`].
    pub fn history_keys(&self) -> Value {
        let keys = self.keys.iter().map(|(key, stats)| {
            let counts = stats.type_counts.iter().map(|(name, count)| {
                object([
                    ("type", Value::Text(name.clone())),
                    ("count", integer(*count)),
                ])
            });
            let mut entry = Object::new();
            entry.insert("typeCounts".to_owned(), Value::List(counts.collect()));
            entry.insert("monotonic".to_owned(), Value::Bool(stats.is_monotonic()));
            if let Some(value) = &stats.last_value {
                entry.insert("previousValue".to_owned(), value.clone());
            }
            (key.clone(), Value::Object(entry))
        });
        object([
            ("keys", Value::Object(keys.collect())),
            ("lastStep", self.last_step.map_or(Value::Null, Value::Int)),
            ("sets", Value::List(Vec::new())),
        ])
    }

    /// Everything, as extended JSON for storage; [`KeyTable::from_json`] reads it.
    pub fn to_json(&self) -> String {
        let keys = self.keys.iter().map(|(key, stats)| {
            let counts = stats.type_counts.iter();
            let counts = counts.map(|(name, count)| (name.clone(), integer(*count)));
            let entry = object([
                ("types", Value::Object(counts.collect())),
                ("last", stats.last_value.clone().unwrap_or(Value::Null)),
                (
                    "first",
                    stats.first_number.map_or(Value::Null, Value::Float),
                ),
                (
                    "number",
                    stats.last_number.map_or(Value::Null, Value::Float),
                ),
                ("descended", Value::Bool(stats.descended)),
            ]);
            (key.clone(), entry)
        });
        let last_step = self.last_step.map_or(Value::Null, Value::Int);
        object([
            ("keys", Value::Object(keys.collect())),
            ("lastStep", last_step),
        ])
        .to_string()
    }

    /// Reads what [`KeyTable::to_json`] wrote; unknown members are ignored.
    pub fn from_json(text: &str) -> Result<Self, JsonError> {
        let document = parse_object(text)?;
        let mut table = Self {
            last_step: document.get("lastStep").and_then(Value::as_i64),
            ..Self::default()
        };
        for (key, entry) in document
            .get("keys")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let counts = entry
                .get("types")
                .and_then(Value::as_object)
                .into_iter()
                .flatten();
            let stats = KeyStats {
                type_counts: counts
                    .filter_map(|(name, count)| {
                        Some((name.clone(), u64::try_from(count.as_i64()?).ok()?))
                    })
                    .collect(),
                last_value: entry
                    .get("last")
                    .filter(|value| **value != Value::Null)
                    .cloned(),
                first_number: entry.get("first").and_then(Value::as_f64),
                last_number: entry.get("number").and_then(Value::as_f64),
                descended: entry.get("descended") == Some(&Value::Bool(true)),
            };
            table.keys.insert(key.clone(), stats);
        }
        Ok(table)
    }
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(
        members
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    )
}

fn integer(count: u64) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}
