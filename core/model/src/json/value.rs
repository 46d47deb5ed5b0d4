//! A document in memory.

use std::fmt;

use indexmap::IndexMap;

use super::lexer::{JsonError, Lexer, MAX_DEPTH, Number, Token};
use super::write::write_value;

/// Members in the order they were written; a repeated key keeps the last value.
pub type Object = IndexMap<String, Value>;

/// One extended-JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer within 64 bits, exact.
    Int(i64),
    /// Any other number, NaN and infinities included.
    Float(f64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Value>),
    /// An object.
    Object(Object),
}

impl Value {
    /// The number as `f64`, if it is one (booleans are not).
    #[expect(
        clippy::cast_precision_loss,
        reason = "a chart or an aggregate wants the nearest f64"
    )]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// The number as `i64`, if it is a whole number within range.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "checked by the guard"
    )]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Float(value) if value.fract() == 0.0 && value.abs() < i64::MAX as f64 => {
                Some(*value as i64)
            }
            _ => None,
        }
    }

    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The object, if it is one.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The list, if it is one.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Self::List(values) => Some(values),
            _ => None,
        }
    }

    /// The member `key`, if this is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_object()?.get(key)
    }

    /// As strict JSON: non-finite numbers become the strings `"NaN"`, `"Infinity"`, `"-Infinity"`, which W&B's
    /// client passes through unchanged where an embedded value cannot hold them.
    pub fn to_strict(&self) -> serde_json::Value {
        use serde_json::Value as Strict;
        match self {
            Self::Null => Strict::Null,
            Self::Bool(value) => Strict::Bool(*value),
            Self::Int(value) => Strict::from(*value),
            Self::Float(value) => serde_json::Number::from_f64(*value).map_or_else(
                || Strict::String(super::write::non_finite_name(*value).to_owned()),
                Strict::Number,
            ),
            Self::Text(text) => Strict::String(text.clone()),
            Self::List(values) => Strict::Array(values.iter().map(Self::to_strict).collect()),
            Self::Object(object) => Strict::Object(
                object
                    .iter()
                    .map(|(key, value)| (key.clone(), value.to_strict()))
                    .collect(),
            ),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        write_value(&mut out, self);
        formatter.write_str(&out)
    }
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        use serde_json::Value as Strict;
        match value {
            Strict::Null => Self::Null,
            Strict::Bool(value) => Self::Bool(value),
            Strict::Number(number) => number.as_i64().map_or_else(
                || Self::Float(number.as_f64().unwrap_or(f64::NAN)),
                Self::Int,
            ),
            Strict::String(text) => Self::Text(text),
            Strict::Array(values) => Self::List(values.into_iter().map(Self::from).collect()),
            Strict::Object(object) => Self::Object(
                object
                    .into_iter()
                    .map(|(key, value)| (key, Self::from(value)))
                    .collect(),
            ),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

/// Reads one document.
pub fn parse(text: &str) -> Result<Value, JsonError> {
    let mut lexer = Lexer::new(text);
    let value = read_value(&mut lexer, 0)?;
    lexer.expect_end()?;
    Ok(value)
}

/// Reads one document that must be an object.
pub fn parse_object(text: &str) -> Result<Object, JsonError> {
    match parse(text)? {
        Value::Object(object) => Ok(object),
        _ => Err(JsonError {
            offset: 0,
            reason: "not an object",
        }),
    }
}

fn read_value(lexer: &mut Lexer<'_>, depth: usize) -> Result<Value, JsonError> {
    if depth > MAX_DEPTH {
        return Err(lexer.error("nested too deeply"));
    }
    Ok(match lexer.token()? {
        Token::Null => Value::Null,
        Token::Bool(value) => Value::Bool(value),
        Token::Number(Number::Int(value)) => Value::Int(value),
        Token::Number(Number::Float(value)) => Value::Float(value),
        Token::Text(text) => Value::Text(text.into_owned()),
        Token::ListStart => {
            let mut values = Vec::new();
            if !lexer.take(b']') {
                loop {
                    values.push(read_value(lexer, depth + 1)?);
                    if !lexer.take(b',') {
                        break;
                    }
                }
                lexer.expect(b']', "expected `,` or `]`")?;
            }
            Value::List(values)
        }
        Token::ObjectStart => {
            let mut object = Object::new();
            if !lexer.take(b'}') {
                loop {
                    lexer.skip_space();
                    let key = lexer.string()?.into_owned();
                    lexer.expect(b':', "expected `:`")?;
                    object.insert(key, read_value(lexer, depth + 1)?);
                    if !lexer.take(b',') {
                        break;
                    }
                }
                lexer.expect(b'}', "expected `,` or `}`")?;
            }
            Value::Object(object)
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            any::<f64>()
                .prop_filter("NaN is compared apart", |value| !value.is_nan())
                .prop_map(Value::Float),
            ".{0,12}".prop_map(Value::Text),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
                prop::collection::hash_map(".{0,6}", inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn written_values_read_back_equal(value in any_value()) {
            prop_assert_eq!(parse(&value.to_string()).expect("written by us"), value);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _outcome = parse(&text);
        }
    }

    #[test]
    fn non_finite_tokens_are_read_and_written() {
        let text = "[NaN,Infinity,-Infinity]";
        let value = parse(text).expect("extended JSON");
        assert_eq!(value.to_string(), text);
        assert_eq!(
            value.to_strict(),
            serde_json::json!(["NaN", "Infinity", "-Infinity"])
        );
    }

    #[test]
    fn floats_stay_floats_and_integers_exact() {
        for text in ["1", "-0.0", "1.0", "9007199254740993", "0.1", "5e-324"] {
            let value = parse(text).expect("a number");
            assert_eq!(parse(&value.to_string()), Ok(value.clone()), "{text}");
        }
        assert_eq!(parse("1.0"), Ok(Value::Float(1.0)));
        assert_eq!(
            parse("9007199254740993"),
            Ok(Value::Int(9_007_199_254_740_993))
        );
        assert_eq!(
            parse("1180591620717411303424"),
            Ok(Value::Float(1_180_591_620_717_411_303_424.0))
        );
        assert_eq!(parse("-0.0").expect("a number").to_string(), "-0.0");
    }

    #[test]
    fn malformed_texts_are_refused_with_an_offset() {
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\" 1}",
            "01",
            "1.",
            "\"\u{1}\"",
            "\"\\x\"",
            "nul",
            "1 2",
            "-",
            "{\"a\":}",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse("[1, x]").expect_err("x is no value").offset, 4);
    }

    #[test]
    fn deep_nesting_is_refused() {
        let text = "[".repeat(100_000);
        assert_eq!(
            parse(&text).expect_err("too deep").reason,
            "nested too deeply"
        );
    }

    #[test]
    fn surrogates_are_joined_or_replaced() {
        assert_eq!(parse("\"\\ud83d\\ude80\""), Ok(Value::from("🚀")));
        assert_eq!(parse("\"\\ud83d!\""), Ok(Value::from("\u{fffd}!")));
    }
}
