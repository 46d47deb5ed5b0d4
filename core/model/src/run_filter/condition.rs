//! One condition on one value.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;

use super::cell::Cell;
use super::number::Number;
use super::parse::Pattern;
use super::timestamp::{self, Period};
use crate::json::Value;

/// Which side of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Above,
    AtLeast,
    Below,
    AtMost,
}

impl Side {
    fn has(self, order: Ordering) -> bool {
        match self {
            Self::Above => order.is_gt(),
            Self::AtLeast => order.is_ge(),
            Self::Below => order.is_lt(),
            Self::AtMost => order.is_le(),
        }
    }
}

/// A condition.
#[derive(Debug)]
pub(super) enum Test {
    Equal(Value),
    In(Members),
    Order(Side, Value),
    /// Of times: within one of these.
    During(Vec<Period>),
    /// Of times.
    TimeOrder(Side, Period),
    Matches(Box<dyn Pattern>),
    Contains(String),
    Exists(bool),
    /// Of lists: all of these are elements.
    All(Vec<Value>),
    /// Of lists.
    Size(usize),
}

/// The values of a list that may be long.
#[derive(Debug, Default)]
pub(super) struct Members {
    texts: HashSet<String>,
    numbers: Vec<Number>,
    others: Vec<Value>,
}

impl Members {
    pub(super) fn new(values: Vec<Value>) -> Self {
        let mut members = Self::default();
        for value in values {
            if let Some(number) = Number::of(&value) {
                members.numbers.push(number);
            } else if let Value::Text(text) = value {
                members.texts.insert(text);
            } else {
                members.others.push(value);
            }
        }
        let order = |left: &Number, right: &Number| left.compare(*right).unwrap_or(Ordering::Equal);
        members.numbers.sort_by(order);
        members
    }

    /// The texts, sorted, if there is nothing else.
    pub(super) fn only_texts(&self) -> Option<Vec<&str>> {
        if !self.numbers.is_empty() || !self.others.is_empty() {
            return None;
        }
        let mut texts: Vec<_> = self.texts.iter().map(String::as_str).collect();
        texts.sort_unstable();
        Some(texts)
    }

    fn contain(&self, cell: &Cell<'_>) -> bool {
        if let Cell::Text(text) = cell {
            return self.texts.contains(*text);
        }
        if let Some(number) = cell.number() {
            return !number.is_nan()
                && self
                    .numbers
                    .binary_search_by(|member| member.compare(number).unwrap_or(Ordering::Less))
                    .is_ok();
        }
        self.others.iter().any(|member| equal(cell, member))
    }
}

impl Test {
    /// Whether a value passes. A list passes if one of its elements does, or if it does as a whole.
    pub(super) fn passes(&self, cell: &Cell<'_>) -> bool {
        match cell {
            Cell::Texts(texts) => {
                self.passes_list(cell, texts.len(), || texts.iter().copied().map(Cell::Text))
            }
            Cell::Json(value) => match value.as_ref() {
                Value::List(items) => self.passes_list(cell, items.len(), || {
                    items.iter().map(|item| Cell::of(Some(item)))
                }),
                Value::Object(_) => self.passes_one(cell),
                scalar => self.passes_one(&Cell::of(Some(scalar))),
            },
            scalar => self.passes_one(scalar),
        }
    }

    fn passes_list<'a, Items: Iterator<Item = Cell<'a>>>(
        &self,
        whole: &Cell<'_>,
        length: usize,
        items: impl Fn() -> Items,
    ) -> bool {
        match self {
            Self::Size(size) => length == *size,
            Self::Exists(wanted) => *wanted,
            Self::All(wanted) => {
                !wanted.is_empty()
                    && wanted.iter().all(|wanted| {
                        equal(whole, wanted) || items().any(|item| equal(&item, wanted))
                    })
            }
            Self::Equal(_) | Self::In(_) => {
                self.passes_one(whole) || items().any(|item| self.passes_one(&item))
            }
            _ => items().any(|item| self.passes_one(&item)),
        }
    }

    fn passes_one(&self, cell: &Cell<'_>) -> bool {
        match self {
            Self::Equal(wanted) => equal(cell, wanted),
            Self::In(members) => members.contain(cell),
            Self::Order(side, limit) => compare(cell, limit).is_some_and(|order| side.has(order)),
            Self::During(periods) => match cell {
                Cell::Time(micros) => periods.iter().any(|period| period.contains(*micros)),
                _ => false,
            },
            Self::TimeOrder(side, limit) => match cell {
                Cell::Time(micros) => side.has(compare_times(*micros, *limit)),
                _ => false,
            },
            Self::Matches(pattern) => text_of(cell).is_some_and(|text| pattern.is_match(&text)),
            Self::Contains(part) => text_of(cell).is_some_and(|text| text.contains(part.as_str())),
            Self::Exists(wanted) => (*cell != Cell::Missing) == *wanted,
            Self::All(wanted) => {
                !wanted.is_empty() && wanted.iter().all(|wanted| equal(cell, wanted))
            }
            Self::Size(_) => false,
        }
    }
}

fn text_of<'a>(cell: &Cell<'a>) -> Option<Cow<'a, str>> {
    match cell {
        Cell::Text(text) => Some(Cow::Borrowed(text)),
        Cell::Time(micros) => Some(Cow::Owned(timestamp::to_text(*micros))),
        _ => None,
    }
}

fn compare_times(micros: i64, limit: Period) -> Ordering {
    if limit.precise && limit.contains(micros) {
        Ordering::Equal
    } else {
        micros.cmp(&limit.start)
    }
}

fn equal(cell: &Cell<'_>, wanted: &Value) -> bool {
    match (cell, wanted) {
        (Cell::Missing | Cell::Null, Value::Null) => true,
        (Cell::Bool(value), Value::Bool(wanted)) => value == wanted,
        (Cell::Text(text), Value::Text(wanted)) => text == wanted,
        (Cell::Texts(texts), Value::List(wanted)) => {
            texts.len() == wanted.len()
                && std::iter::zip(texts, wanted)
                    .all(|(text, wanted)| wanted.as_str() == Some(*text))
        }
        (Cell::Json(value), wanted) => equal_values(value, wanted),
        _ => match (cell.number(), Number::of(wanted)) {
            (Some(number), Some(wanted)) => number.compare(wanted) == Some(Ordering::Equal),
            _ => false,
        },
    }
}

fn equal_values(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len()
                && std::iter::zip(left, right).all(|(left, right)| equal_values(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, value)| {
                    right
                        .get(key)
                        .is_some_and(|other| equal_values(value, other))
                })
        }
        _ => match (Number::of(left), Number::of(right)) {
            (Some(left), Some(right)) => left.compare(right) == Some(Ordering::Equal),
            _ => left == right,
        },
    }
}

/// The order of a value and a limit, which is a number or a text; none if they are of different types.
fn compare(cell: &Cell<'_>, limit: &Value) -> Option<Ordering> {
    match (cell, limit) {
        (Cell::Text(text), Value::Text(limit)) => Some((*text).cmp(limit.as_str())),
        _ => cell.number()?.compare(Number::of(limit)?),
    }
}
