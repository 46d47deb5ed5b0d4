//! Custom scalars of W&B's schema.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};

/// A JSON document inside a string; non-finite tokens may stand in it.
#[derive(Debug, Clone)]
pub(crate) struct JsonString(pub(crate) String);

/// A JSON value embedded in the answer, which must be strict JSON.
#[derive(Debug, Clone)]
pub(crate) struct Json(pub(crate) serde_json::Value);

/// A 64-bit integer; digits in a string are taken too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Int64(pub(crate) i64);

/// Milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Duration(pub(crate) i64);

/// A time as ISO-8601 text.
#[derive(Debug, Clone)]
pub(crate) struct DateTime(pub(crate) String);

impl DateTime {
    /// From microseconds since the Unix epoch.
    pub(crate) fn from_micros(micros: i64) -> Self {
        Self(crate::clock::iso_seconds(micros))
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(digits) => digits.parse().ok(),
        _ => None,
    }
}

#[Scalar(name = "JSONString")]
impl ScalarType for JsonString {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => Ok(Self(text)),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

#[Scalar(name = "JSON")]
impl ScalarType for Json {
    fn parse(value: Value) -> InputValueResult<Self> {
        Ok(Self(value.into_json()?))
    }

    fn to_value(&self) -> Value {
        Value::from_json(self.0.clone()).unwrap_or(Value::Null)
    }
}

#[Scalar(name = "Int64")]
impl ScalarType for Int64 {
    fn parse(value: Value) -> InputValueResult<Self> {
        integer(&value)
            .map(Self)
            .ok_or_else(|| InputValueError::expected_type(value))
    }

    fn to_value(&self) -> Value {
        Value::from(self.0)
    }
}

#[Scalar(name = "Duration")]
impl ScalarType for Duration {
    fn parse(value: Value) -> InputValueResult<Self> {
        integer(&value)
            .map(Self)
            .ok_or_else(|| InputValueError::expected_type(value))
    }

    fn to_value(&self) -> Value {
        Value::from(self.0)
    }
}

#[Scalar(name = "DateTime")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => Ok(Self(text)),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}
