//! What clients ask for in vain: documents that do not fit the schema, and changes that need what comes later.
//!
//! Counted by operation, since the start of this process, in a table of bounded size; the first of each is logged. `GET
//! /api/server/unknown-operations` shows it to administrators of the server.

use std::collections::BTreeMap;

use async_graphql::parser::types::ExecutableDocument;
use axum::Extension;
use axum::Json;
use axum::extract::State;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::auth::access::Access;
use crate::error::ApiError;
use crate::state::AppState;

/// Operations in the table; further ones are counted together.
const MAX_OPERATIONS: usize = 200;
const NAME_CHARS: usize = 100;
const MESSAGE_CHARS: usize = 300;
/// What a document without a name is called.
const UNNAMED: &str = "(unnamed)";

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Unknown(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    operations: BTreeMap<String, Seen>,
    /// Requests for operations that found no room.
    others: u64,
}

#[derive(Debug)]
struct Seen {
    count: u64,
    /// What was missing, as the first client was told.
    message: String,
    /// The first client.
    client: String,
    first_at_micros: i64,
    last_at_micros: i64,
}

impl Unknown {
    /// Counts a request in vain.
    pub(crate) fn note(&self, operation: &str, message: &str, client: &str, now_micros: i64) {
        let mut table = self.0.lock();
        if let Some(seen) = table.operations.get_mut(operation) {
            seen.count += 1;
            seen.last_at_micros = now_micros;
            return;
        }
        if table.operations.len() >= MAX_OPERATIONS {
            table.others += 1;
            return;
        }
        let seen = Seen {
            count: 1,
            message: shortened(message, MESSAGE_CHARS),
            client: shortened(client, NAME_CHARS),
            first_at_micros: now_micros,
            last_at_micros: now_micros,
        };
        tracing::warn!(
            operation,
            error = seen.message,
            client = seen.client,
            "a client asks for what this server does not have"
        );
        table.operations.insert(operation.to_owned(), seen);
    }

    fn show(&self) -> Value {
        let table = self.0.lock();
        let mut rows: Vec<(&String, &Seen)> = table.operations.iter().collect();
        rows.sort_by_key(|(name, seen)| (std::cmp::Reverse(seen.count), (*name).clone()));
        let rows: Vec<Value> = rows
            .into_iter()
            .map(|(name, seen)| {
                json!({
                    "operation": name,
                    "count": seen.count,
                    "message": seen.message,
                    "client": seen.client,
                    "firstAt": crate::clock::iso_seconds(seen.first_at_micros),
                    "lastAt": crate::clock::iso_seconds(seen.last_at_micros),
                })
            })
            .collect();
        json!({"operations": rows, "others": table.others})
    }
}

/// The name of the operation that a document is, or of the one that was asked for.
pub(super) fn operation_of(document: &ExecutableDocument, asked: Option<&str>) -> String {
    let named = document.operations.iter().find_map(|(name, _)| name);
    let name = asked
        .filter(|name| !name.is_empty())
        .or(named.map(async_graphql::Name::as_str));
    name.map_or_else(|| UNNAMED.into(), |name| shortened(name, NAME_CHARS))
}

fn shortened(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// Answers with the table.
pub(crate) async fn get(
    State(state): State<AppState>,
    Extension(Caller(account)): Extension<Caller>,
) -> Result<Json<Value>, ApiError> {
    Access::new(&state, &account).server()?;
    Ok(Json(state.unknown.show()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_counted_in_a_bounded_table() {
        let unknown = Unknown::default();
        for index in 0..MAX_OPERATIONS + 3 {
            unknown.note(&format!("Op{index:03}"), "Unknown field", "wandb-core", 5);
        }
        unknown.note("Op007", "another message", "another client", 1_000_005);
        let shown = unknown.show();
        assert_eq!(
            shown["operations"].as_array().map(Vec::len),
            Some(MAX_OPERATIONS)
        );
        assert_eq!(shown["others"], 3);
        let first = &shown["operations"][0];
        assert_eq!(
            (&first["operation"], &first["count"]),
            (&json!("Op007"), &json!(2))
        );
        assert_eq!(first["message"], "Unknown field");
        assert!(first["lastAt"].as_str() > first["firstAt"].as_str());
    }

    #[test]
    fn operations_have_a_name() {
        let parse = |text| async_graphql::parser::parse_query(text).expect("valid");
        assert_eq!(
            operation_of(&parse("query Viewer { a }"), Some("")),
            "Viewer"
        );
        assert_eq!(operation_of(&parse("{ a }"), None), UNNAMED);
        assert_eq!(
            operation_of(&parse("query A { a } query B { b }"), Some("B")),
            "B"
        );
    }
}
