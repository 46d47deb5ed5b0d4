//! The order of runs: a sign and one key.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::cell::Cell;
use super::key::{Field, Key};
use super::number::Number;
use crate::json::{Object, Value};

/// A checked order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What runs are ordered by.
    pub key: Key,
    /// Whether the largest comes first.
    pub descending: bool,
}

/// A value by which runs are ordered.
#[derive(Debug, Clone, PartialEq)]
pub enum SortKey<'a> {
    /// `false` before `true`.
    Bool(bool),
    /// Any number but NaN.
    Number(Number),
    /// By code points.
    Text(Cow<'a, str>),
    /// By elements.
    Texts(Vec<Cow<'a, str>>),
    /// Lists and objects, all alike.
    Other,
}

impl Order {
    /// Reads `[+|-]<key>`; the default is `+created_at`, oldest first. The error says what is wrong.
    pub fn parse(text: Option<&str>) -> Result<Self, String> {
        let text = text
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .unwrap_or("+created_at");
        let (descending, name) = match text.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let key = Key::parse(name)?;
        Ok(Self { key, descending })
    }

    /// Whether runs are ordered by their creation.
    pub fn is_creation(&self) -> bool {
        self.key == Key::Field(Field::CreatedAt)
    }

    /// Which of two values comes first; none comes last in both directions.
    pub fn compare(&self, left: Option<&SortKey<'_>>, right: Option<&SortKey<'_>>) -> Ordering {
        match (left, right) {
            (Some(left), Some(right)) if self.descending => right.compare(left),
            (Some(left), Some(right)) => left.compare(right),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        }
    }
}

impl<'a> SortKey<'a> {
    /// The value of a cell as far as orders go; none if it has none there: missing, null, NaN, an empty list of texts.
    pub fn of(cell: Cell<'a>) -> Option<Self> {
        Some(match cell {
            Cell::Missing | Cell::Null => return None,
            Cell::Bool(value) => Self::Bool(value),
            Cell::Int(value) | Cell::Time(value) => Self::Number(Number::Int(value)),
            Cell::Float(value) if value.is_nan() => return None,
            Cell::Float(value) => Self::Number(Number::Float(value)),
            Cell::Text(text) => Self::Text(Cow::Borrowed(text)),
            Cell::Texts(texts) if texts.is_empty() => return None,
            Cell::Texts(texts) => Self::Texts(texts.into_iter().map(Cow::Borrowed).collect()),
            Cell::Json(Cow::Borrowed(Value::List(_) | Value::Object(_))) => Self::Other,
            Cell::Json(Cow::Borrowed(scalar)) => return Self::of(Cell::of(Some(scalar))),
            Cell::Json(Cow::Owned(value)) => match value {
                Value::Text(text) => Self::Text(Cow::Owned(text)),
                Value::Bool(value) => Self::Bool(value),
                Value::List(_) | Value::Object(_) => Self::Other,
                number => match Number::of(&number) {
                    Some(number) if !number.is_nan() => Self::Number(number),
                    _ => return None,
                },
            },
        })
    }

    /// The same value, borrowing nothing.
    pub fn into_owned(self) -> SortKey<'static> {
        match self {
            Self::Bool(value) => SortKey::Bool(value),
            Self::Number(number) => SortKey::Number(number),
            Self::Text(text) => SortKey::Text(Cow::Owned(text.into_owned())),
            Self::Texts(texts) => SortKey::Texts(
                texts
                    .into_iter()
                    .map(|text| Cow::Owned(text.into_owned()))
                    .collect(),
            ),
            Self::Other => SortKey::Other,
        }
    }

    /// As a JSON value, from which [`SortKey::from_value`] makes it again.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(Number::Int(value)) => Value::Int(*value),
            Self::Number(Number::Float(value)) => Value::Float(*value),
            Self::Text(text) => Value::Text(text.clone().into_owned()),
            Self::Texts(texts) => Value::List(
                texts
                    .iter()
                    .map(|text| Value::Text(text.clone().into_owned()))
                    .collect(),
            ),
            Self::Other => Value::Object(Object::new()),
        }
    }

    /// The inverse of [`SortKey::to_value`]; none for null.
    pub fn from_value(value: Value) -> Option<SortKey<'static>> {
        match value {
            Value::List(items) => Some(SortKey::Texts(
                items
                    .into_iter()
                    .filter_map(|item| match item {
                        Value::Text(text) => Some(Cow::Owned(text)),
                        _ => None,
                    })
                    .collect(),
            )),
            other => SortKey::of(Cell::Json(Cow::Owned(other))),
        }
    }

    fn compare(&self, other: &SortKey<'_>) -> Ordering {
        match (self, other) {
            (Self::Bool(left), SortKey::Bool(right)) => left.cmp(right),
            (Self::Number(left), SortKey::Number(right)) => {
                left.compare(*right).unwrap_or(Ordering::Equal)
            }
            (Self::Text(left), SortKey::Text(right)) => left.cmp(right),
            (Self::Texts(left), SortKey::Texts(right)) => left.iter().cmp(right.iter()),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    /// Values of different types are kept apart, so that the order stays total.
    fn rank(&self) -> u8 {
        match self {
            Self::Bool(_) => 0,
            Self::Number(_) => 1,
            Self::Text(_) => 2,
            Self::Texts(_) => 3,
            Self::Other => 4,
        }
    }
}
