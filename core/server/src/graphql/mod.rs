//! `POST /graphql`: the operations of W&B's client and Public API, with a few fields of our own for the app.

mod alerts;
mod files;
mod filter;
mod filter_keys;
mod history;
mod ids;
mod mutation;
mod order;
mod page;
mod project;
mod query;
mod run;
mod scalars;
mod upsert;
mod viewer;

use std::sync::atomic::{AtomicU64, Ordering};

use async_graphql::{EmptySubscription, Request, Schema};
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;

use self::mutation::Mutation;
use self::query::Query;
use crate::auth::{Caller, host_header};
use crate::error::ApiError;
use crate::extract::ApiBytes;
use crate::state::AppState;
use crate::store::accounts::Account;

/// The schema's type.
pub(crate) type ApiSchema = Schema<Query, Mutation, EmptySubscription>;

/// Bound of a request: a config of about 10 MB is a valid one.
pub(crate) const MAX_BODY_BYTES: usize = 16 << 20;
const MAX_DEPTH: usize = 20;
const MAX_COMPLEXITY: usize = 100_000;
const MAX_RECURSION: usize = 32;
const MAX_DIRECTIVES: usize = 10;
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(30);

/// Requests that did not fit the schema, since the start.
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// What resolvers know about the request.
pub(crate) struct Scope {
    pub(crate) state: AppState,
    pub(crate) account: Account,
    /// URL under which the client reaches the server.
    pub(crate) base_url: String,
    /// Several writers share the run: their configs are merged.
    pub(crate) shared: bool,
    /// Which writer of a shared run asks.
    pub(crate) client: Option<String>,
    /// The writer joins a run that somebody else ends: it does not open one that has ended.
    pub(crate) joins: bool,
}

impl Scope {
    /// The scope of the running request.
    pub(crate) fn of<'a>(context: &async_graphql::Context<'a>) -> Result<&'a Self, ApiError> {
        context
            .data::<Self>()
            .map_err(|_missing| ApiError::unavailable("the request has no caller"))
    }
}

#[derive(Deserialize)]
struct Document {
    query: String,
    #[serde(default)]
    variables: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default, rename = "operationName")]
    operation_name: Option<String>,
}

fn text_of(headers: &HeaderMap, name: &str) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// Builds the schema with its limits.
pub(crate) fn schema() -> ApiSchema {
    Schema::build(Query, Mutation, EmptySubscription)
        .limit_depth(MAX_DEPTH)
        .limit_complexity(MAX_COMPLEXITY)
        .limit_recursive_depth(MAX_RECURSION)
        .limit_directives(MAX_DIRECTIVES)
        .finish()
}

/// Executes one operation.
pub(crate) async fn post(
    State(state): State<AppState>,
    Extension(Caller(account)): Extension<Caller>,
    headers: HeaderMap,
    ApiBytes(body): ApiBytes,
) -> Result<Response, ApiError> {
    let json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/json"));
    if !json {
        // Also keeps plain HTML forms of other sites out.
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content_type",
            "a GraphQL request is `application/json`",
        ));
    }
    let document: Document = serde_json::from_slice(&body)
        .map_err(|error| ApiError::malformed(format!("not a GraphQL request: {error}")))?;
    let scope = Scope {
        base_url: state.base_url(host_header(&headers).unwrap_or_default()),
        shared: headers.contains_key("x-wandb-use-async-filestream"),
        client: text_of(&headers, "x-wandb-client-id"),
        joins: headers.contains_key("x-runlane-joins"),
        account,
        state: state.clone(),
    };
    let mut request = Request::new(document.query).data(scope);
    if let Some(variables) = document.variables {
        request = request.variables(async_graphql::Variables::from_json(
            serde_json::Value::Object(variables),
        ));
    }
    // The Public API sends an empty name for "the only operation".
    if let Some(name) = document.operation_name.filter(|name| !name.is_empty()) {
        request = request.operation_name(name);
    }
    let answer = tokio::time::timeout(DEADLINE, state.schema.execute(request))
        .await
        .map_err(|_elapsed| ApiError::unavailable("the query took too long; ask for less"))?;
    // Nothing was executed: the document itself is wrong. W&B's client gives up at 400 instead of retrying.
    let refused = answer.is_err()
        && answer.data == async_graphql::Value::Null
        && answer.errors.iter().all(|error| error.path.is_empty());
    let status = if refused {
        let count = REFUSED.fetch_add(1, Ordering::Relaxed) + 1;
        let message = answer
            .errors
            .first()
            .map(|error| error.message.as_str())
            .unwrap_or_default();
        tracing::warn!(count, error = message, "GraphQL request refused");
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    };
    let text = serde_json::to_vec(&answer)
        .map_err(|_unserialisable| ApiError::unavailable("the answer could not be written"))?;
    let kind = HeaderValue::from_static("application/json");
    Ok((status, [(header::CONTENT_TYPE, kind)], text).into_response())
}

impl From<ApiError> for async_graphql::Error {
    fn from(error: ApiError) -> Self {
        use async_graphql::ErrorExtensions as _;
        Self::new(error.message).extend_with(|_, extensions| {
            extensions.set("code", error.code);
            extensions.set("status", error.status.as_u16());
        })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn schema_has_the_irregular_names_of_the_protocol() {
        let sdl = super::schema().sdl();
        for part in [
            "runID: ID!",
            "input UpsertBucketInput",
            "scalar JSONString",
            "missingOk: Boolean",
            "rampIDType",
        ] {
            assert!(sdl.contains(part), "`{part}` is missing");
        }
    }
}
