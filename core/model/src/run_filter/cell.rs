//! One value of a run, borrowed from wherever it is kept.

use std::borrow::Cow;

use super::number::Number;
use crate::json::Value;

/// What a run holds at a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// The run does not have the key.
    Missing,
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(&'a str),
    /// A point in time, in microseconds since the Unix epoch.
    Time(i64),
    /// A list of texts.
    Texts(Vec<&'a str>),
    /// A list or an object; anything else is taken for what it is.
    Json(Cow<'a, Value>),
}

impl<'a> Cell<'a> {
    /// The cell of a value that is there or not.
    pub fn of(value: Option<&'a Value>) -> Self {
        match value {
            None => Self::Missing,
            Some(Value::Null) => Self::Null,
            Some(Value::Bool(value)) => Self::Bool(*value),
            Some(Value::Int(value)) => Self::Int(*value),
            Some(Value::Float(value)) => Self::Float(*value),
            Some(Value::Text(text)) => Self::Text(text),
            Some(value @ (Value::List(_) | Value::Object(_))) => Self::Json(Cow::Borrowed(value)),
        }
    }

    /// The cell of a text that is there or not.
    pub fn of_text(text: Option<&'a str>) -> Self {
        text.map_or(Self::Missing, Self::Text)
    }

    pub(super) fn number(&self) -> Option<Number> {
        match self {
            Self::Int(value) => Some(Number::Int(*value)),
            Self::Float(value) => Some(Number::Float(*value)),
            _ => None,
        }
    }
}
