//! Cursors: where in a list of runs a page ended.
//!
//! A cursor is the position itself, not a count: the value that runs are ordered by, the time of creation and the row id of
//! the last run. So a list goes on in the right place when runs were added or taken out meanwhile, at any server process.
//! It is base64url of a JSON list: hash of project, filter and order; time; row id; value.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use runlane_model::json::{Value, parse};
use runlane_model::run_filter::{Filter, Order, SortKey};
use sha2::{Digest as _, Sha256};

use crate::error::ApiError;

const MAX_BYTES: usize = 4 << 10;
/// Longer texts are not carried along; the run is asked for its own.
const MAX_TEXT_BYTES: usize = 512;

/// The list that a cursor belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListHash(String);

impl ListHash {
    /// Of the runs of a project that pass a filter, in an order.
    pub(crate) fn new(project_id: i64, filter: &Filter, order: &Order) -> Self {
        let mut hash = Sha256::new();
        hash.update(project_id.to_be_bytes());
        hash.update(format!("{:?}{}", order.key, order.descending));
        hash.update([0]);
        hash.update(filter.text());
        Self(URL_SAFE_NO_PAD.encode(&hash.finalize()[..9]))
    }
}

/// A position.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Position<'a> {
    pub(crate) key: PositionKey<'a>,
    pub(crate) created_at_micros: i64,
    pub(crate) id: i64,
}

/// The value at a position.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum PositionKey<'a> {
    /// The run has none.
    None,
    Value(SortKey<'a>),
    /// What the run of the position has now.
    OfRun,
}

impl Position<'_> {
    /// The same position, borrowing nothing.
    pub(crate) fn into_owned(self) -> Position<'static> {
        Position {
            key: match self.key {
                PositionKey::None => PositionKey::None,
                PositionKey::OfRun => PositionKey::OfRun,
                PositionKey::Value(key) => PositionKey::Value(key.into_owned()),
            },
            created_at_micros: self.created_at_micros,
            id: self.id,
        }
    }

    /// As text for clients.
    pub(crate) fn encode(&self, list: &ListHash) -> String {
        let key = match &self.key {
            PositionKey::None => Value::Null,
            PositionKey::OfRun => Value::Object([("run".to_owned(), Value::Null)].into()),
            PositionKey::Value(key) => match key.to_value() {
                value if is_long(&value) => Value::Object([("run".to_owned(), Value::Null)].into()),
                value => value,
            },
        };
        let parts = Value::List(vec![
            Value::Text(list.0.clone()),
            Value::Int(self.created_at_micros),
            Value::Int(self.id),
            key,
        ]);
        URL_SAFE_NO_PAD.encode(parts.to_string())
    }
}

fn is_long(value: &Value) -> bool {
    match value {
        Value::Text(text) => text.len() > MAX_TEXT_BYTES,
        Value::List(_) => value.to_string().len() > MAX_TEXT_BYTES,
        _ => false,
    }
}

fn fault(what: &str) -> ApiError {
    ApiError::new(
        http::StatusCode::BAD_REQUEST,
        "invalid_cursor",
        format!("`after` is {what}; begin again without it"),
    )
}

/// Reads a cursor of this list.
pub(crate) fn decode(text: &str, list: &ListHash) -> Result<Position<'static>, ApiError> {
    let garbage = || fault("not a cursor of runs");
    if text.len() > MAX_BYTES {
        return Err(garbage());
    }
    let bytes = URL_SAFE_NO_PAD.decode(text);
    let parts = bytes
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| parse(&text).ok());
    let Some(Value::List(parts)) = parts else {
        return Err(garbage());
    };
    let Ok(
        [
            Value::Text(hash),
            Value::Int(created_at_micros),
            Value::Int(id),
            key,
        ],
    ) = <[Value; 4]>::try_from(parts)
    else {
        return Err(garbage());
    };
    if hash != list.0 {
        return Err(fault("a cursor of another project, filter or order"));
    }
    let key = match key {
        Value::Null => PositionKey::None,
        Value::Object(members) if members.contains_key("run") => PositionKey::OfRun,
        value => PositionKey::Value(SortKey::from_value(value).ok_or_else(garbage)?),
    };
    Ok(Position {
        key,
        created_at_micros,
        id,
    })
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn list(filter: &str, order: &str) -> ListHash {
        let filter = super::super::parse_filter(Some(filter)).expect("a filter");
        ListHash::new(7, &filter, &Order::parse(Some(order)).expect("an order"))
    }

    #[test]
    fn positions_survive_the_way_to_the_client_and_back() {
        let here = list("{}", "-summary.x");
        for key in [
            PositionKey::None,
            PositionKey::Value(SortKey::Bool(true)),
            PositionKey::Value(SortKey::Text(Cow::Borrowed("ä\"/"))),
            PositionKey::Value(SortKey::Texts(vec!["a".into(), "b".into()])),
            PositionKey::Value(SortKey::Other),
            PositionKey::Value(SortKey::from_value(Value::Float(0.1)).expect("a number")),
            PositionKey::Value(SortKey::from_value(Value::Float(f64::INFINITY)).expect("one")),
            PositionKey::Value(SortKey::from_value(Value::Int(i64::MIN)).expect("a number")),
        ] {
            let position = Position {
                key,
                created_at_micros: -5,
                id: i64::MAX,
            };
            assert_eq!(
                decode(&position.encode(&here), &here).expect("ours"),
                position
            );
        }
    }

    #[test]
    fn a_long_text_is_left_with_its_run() {
        let here = list("{}", "name");
        let position = Position {
            key: PositionKey::Value(SortKey::Text("x".repeat(10_000).into())),
            created_at_micros: 1,
            id: 2,
        };
        let again = decode(&position.encode(&here), &here).expect("ours");
        assert_eq!(again.key, PositionKey::OfRun);
    }

    #[test]
    fn garbage_and_cursors_of_other_lists_are_refused() {
        let here = list("{}", "-summary.x");
        let position = Position {
            key: PositionKey::None,
            created_at_micros: 1,
            id: 2,
        };
        let cursor = position.encode(&here);
        for other in [
            list(r#"{"state":"running"}"#, "-summary.x"),
            list("{}", "+summary.x"),
            list("{}", "-summary.y"),
        ] {
            let error = decode(&cursor, &other).expect_err("another list");
            assert_eq!(error.code, "invalid_cursor");
            assert!(error.message.contains("another project, filter or order"));
        }
        let long = "A".repeat(100_000);
        for garbage in ["!!", "", "Y3Vyc29yOjE=", "W10", "e30", &cursor[1..], &long] {
            let error = decode(garbage, &here).expect_err(garbage);
            assert_eq!(error.code, "invalid_cursor");
        }
    }
}
