//! `POST /graphql`: the operations of W&B's client and Public API, with a few fields of our own for the app.

mod account_mutation;
mod alerts;
mod artifacts;
mod entity;
mod files;
mod guard;
mod history;
pub(crate) mod ids;
mod later;
pub(crate) mod lineage;
mod mutation;
mod page;
mod project;
mod project_mutation;
mod query;
mod run;
mod runs;
mod scalars;
mod server_info;
mod team_mutation;
pub(crate) mod unknown;
mod upsert;
mod user;

use std::collections::HashMap;

use async_graphql::parser::types::{ExecutableDocument, OperationType};
use async_graphql::{EmptySubscription, Request, Schema};
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;

use self::mutation::Mutation;
use self::query::Query;
use crate::auth::access::{Access, Action};
use crate::auth::{Caller, credential, host_header};
use crate::error::ApiError;
use crate::extract::ApiBytes;
use crate::extract::body::require_json;
use crate::state::AppState;
use crate::store::accounts::Account;
use crate::store::projects::ProjectRow;
use crate::store::users::UserRow;
use crate::store::{Connection, entities, projects, users};

/// The schema's type.
pub(crate) type ApiSchema = Schema<Query, Mutation, EmptySubscription>;

/// Bound of a request: a config of about 10 MB is a valid one.
pub(crate) const MAX_BODY_BYTES: usize = 16 << 20;
const MAX_DEPTH: usize = guard::DEPTH;
const MAX_COMPLEXITY: usize = 100_000;
const MAX_RECURSION: usize = 32;
const MAX_DIRECTIVES: usize = 10;
/// What has not been answered by then is given up; a change may have to wait for its turn to write.
const QUERY_DEADLINE: std::time::Duration = std::time::Duration::from_secs(10);
const CHANGE_DEADLINE: std::time::Duration = std::time::Duration::from_secs(30);
/// Errors of one answer, and characters of one: a bad document may have thousands, which quote what was sent.
const MAX_ERRORS: usize = 20;
const MAX_ERROR_CHARS: usize = 1_000;

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
    /// The key or cookie that the caller proved itself with.
    pub(crate) credential: Option<String>,
    /// On whose behalf a service account says that it acts.
    pub(crate) acts_for: Option<String>,
    /// Users that were looked up, by login name.
    pub(crate) users: tokio::sync::Mutex<HashMap<String, Option<UserRow>>>,
    /// Whether the caller may only look at a project, by row id, as far as it was asked for.
    pub(crate) read_only: tokio::sync::Mutex<HashMap<i64, bool>>,
    /// Projects by row id, as far as they were asked for; none if the caller may not see one.
    pub(crate) projects: tokio::sync::Mutex<HashMap<i64, Option<ProjectRow>>>,
}

impl Scope {
    /// The scope of the running request.
    pub(crate) fn of<'a>(context: &async_graphql::Context<'a>) -> Result<&'a Self, ApiError> {
        context
            .data::<Self>()
            .map_err(|_missing| ApiError::unavailable("the request has no caller"))
    }

    /// What the caller may reach.
    pub(crate) fn access(&self) -> Access<'_> {
        Access::new(&self.state, &self.account)
    }

    /// Whether the caller may only look at the project with row id `project_id`, and at its runs.
    pub(crate) async fn is_read_only(&self, project_id: i64) -> Result<bool, ApiError> {
        if self.account.sole {
            return Ok(false);
        }
        let mut known = self.read_only.lock().await;
        if let Some(answer) = known.get(&project_id) {
            return Ok(*answer);
        }
        let mut reader = self.state.store.reader().await?;
        let answer = match projects::by_id(&mut reader, project_id).await? {
            Some(project) => {
                let access = self.access();
                let writes = access.check_project(&mut reader, &project, Action::Write);
                match writes.await {
                    Ok(allowed) => !allowed,
                    Err(error) if error.status == StatusCode::FORBIDDEN => true,
                    Err(error) => return Err(error),
                }
            }
            None => true,
        };
        known.insert(project_id, answer);
        Ok(answer)
    }

    /// The project with row id `project_id`, if the caller may see it. It takes a connection: nobody who has one asks.
    pub(crate) async fn visible_project(
        &self,
        project_id: i64,
    ) -> Result<Option<ProjectRow>, ApiError> {
        let mut known = self.projects.lock().await;
        if let Some(row) = known.get(&project_id) {
            return Ok(row.clone());
        }
        let mut reader = self.state.store.reader().await?;
        let access = self.access();
        let row = match projects::by_id(&mut reader, project_id).await? {
            Some(row)
                if access
                    .check_project(&mut reader, &row, Action::Read)
                    .await? =>
            {
                Some(row)
            }
            _ => None,
        };
        known.insert(project_id, row.clone());
        Ok(row)
    }

    /// Who counts as the one who starts a run in `entity`: the caller, or the member that a service account acts for.
    pub(crate) async fn author(
        &self,
        connection: &mut Connection,
        entity: &str,
    ) -> Result<String, ApiError> {
        if let Some(name) = self.acts_for.as_deref().filter(|_| self.account.service)
            && let Some(user) = users::by_name(connection, name).await?
            && entities::role(connection, entity, user.id).await?.is_some()
        {
            return Ok(user.username);
        }
        Ok(self.account.username.clone())
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

impl Document {
    fn parse(body: &[u8]) -> Result<Self, ApiError> {
        // A list would be taken for the members in their order.
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(ApiError::malformed(
                "a GraphQL request is a JSON object with `query`; batches are not taken",
            ));
        }
        guard::check_body(body)?;
        serde_json::from_slice(body)
            .map_err(|error| ApiError::malformed(format!("not a GraphQL request: {error}")))
    }

    /// What is to be executed, if it is within all limits.
    fn check(&self) -> Result<ExecutableDocument, ApiError> {
        let document = guard::parse(&self.query)?;
        let name = self
            .operation_name
            .as_deref()
            .filter(|name| !name.is_empty());
        let none = serde_json::Map::new();
        guard::check_variables(&document, name, self.variables.as_ref().unwrap_or(&none))?;
        Ok(document)
    }
}

/// Whether no operation of the document changes anything.
fn is_query(document: &ExecutableDocument) -> bool {
    let mut operations = document.operations.iter();
    operations.all(|(_, operation)| operation.node.ty == OperationType::Query)
}

/// The answer to a document that is not even looked at, in the form of the engine's own refusals.
fn refusal(error: ApiError) -> Response {
    tracing::warn!(error = error.message, "GraphQL request refused");
    let status = error.status;
    let error = async_graphql::Error::from(error).into_server_error(async_graphql::Pos::default());
    let answer = async_graphql::Response::from_errors(vec![error]);
    (status, axum::Json(answer)).into_response()
}

/// The limits, as clients may want to know them.
pub(crate) fn limits() -> serde_json::Value {
    serde_json::json!({
        "bodyBytes": MAX_BODY_BYTES,
        "queryBytes": guard::TEXT_BYTES,
        "tokens": guard::TOKENS,
        "depth": guard::DEPTH,
        "fields": guard::FIELDS,
        "aliases": guard::ALIASES,
        "operations": guard::OPERATIONS,
        "directivesPerField": MAX_DIRECTIVES,
        "values": guard::VALUES,
        "complexity": MAX_COMPLEXITY,
        "querySecs": QUERY_DEADLINE.as_secs(),
        "changeSecs": CHANGE_DEADLINE.as_secs(),
    })
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
        // They are computed for each error of a document, however many it has.
        .disable_suggestions()
        .finish()
}

/// Whether an answer lacks only what its arguments ask for in a way that can never be answered, such as a filter that is none.
fn is_bad_request(answer: &async_graphql::Response) -> bool {
    let bad = Some(async_graphql::Value::from(StatusCode::BAD_REQUEST.as_u16()));
    let is_bad = |error: &async_graphql::ServerError| {
        let extensions = error.extensions.as_ref();
        extensions.and_then(|extensions| extensions.get("status")) == bad.as_ref()
    };
    answer.is_err() && answer.errors.iter().all(is_bad)
}

/// Whether the same may succeed when it is asked again: a change goes on, or the server is short of something for a moment. Clients ask
/// again at the HTTP status 503, and take an error in a document for the end. Of a query that has several parts, those that could be
/// answered are.
fn is_passing(answer: &async_graphql::Response, reads: bool) -> bool {
    let status = StatusCode::SERVICE_UNAVAILABLE.as_u16();
    let status = Some(async_graphql::Value::from(status));
    let is_it = |error: &async_graphql::ServerError| {
        let extensions = error.extensions.as_ref();
        extensions.and_then(|extensions| extensions.get("status")) == status.as_ref()
    };
    if !reads {
        return answer.errors.iter().any(is_it);
    }
    let is_empty = match &answer.data {
        async_graphql::Value::Object(fields) => fields
            .values()
            .all(|value| *value == async_graphql::Value::Null),
        data => *data == async_graphql::Value::Null,
    };
    is_empty && answer.is_err() && answer.errors.iter().all(is_it)
}

/// Executes one operation.
pub(crate) async fn post(
    State(state): State<AppState>,
    Extension(Caller(account)): Extension<Caller>,
    headers: HeaderMap,
    body: ApiBytes,
) -> Result<Response, ApiError> {
    require_json(&headers)?;
    let document = Document::parse(&body.bytes)?;
    let parsed = match document.check() {
        Ok(parsed) => parsed,
        Err(error) => return Ok(refusal(error)),
    };
    let reads = is_query(&parsed);
    let deadline = if reads {
        QUERY_DEADLINE
    } else {
        CHANGE_DEADLINE
    };
    let scope = Scope {
        base_url: state.base_url(host_header(&headers).unwrap_or_default()),
        shared: headers.contains_key("x-wandb-use-async-filestream"),
        client: text_of(&headers, "x-wandb-client-id"),
        joins: headers.contains_key("x-runlane-joins"),
        credential: credential(&headers),
        acts_for: text_of(&headers, "x-wandb-username"),
        users: tokio::sync::Mutex::default(),
        read_only: tokio::sync::Mutex::default(),
        projects: tokio::sync::Mutex::default(),
        account,
        state: state.clone(),
    };
    let operation = unknown::operation_of(&parsed, document.operation_name.as_deref());
    // The Public API sends an empty name for "the only operation".
    let name = document.operation_name.filter(|name| !name.is_empty());
    let mut variables = document.variables.unwrap_or_default();
    guard::fill_defaults(&parsed, name.as_deref(), &mut variables);
    let mut request = Request::new(document.query).data(scope);
    request.set_parsed_query(parsed);
    request = request.variables(async_graphql::Variables::from_json(
        serde_json::Value::Object(variables),
    ));
    if let Some(name) = name {
        request = request.operation_name(name);
    }
    let mut answer = tokio::time::timeout(deadline, state.schema.execute(request))
        .await
        .map_err(|_elapsed| ApiError::unavailable("the query took too long; ask for less"))?;
    answer.errors.truncate(MAX_ERRORS);
    for error in &mut answer.errors {
        if let Some((end, _)) = error.message.char_indices().nth(MAX_ERROR_CHARS) {
            error.message.truncate(end);
        }
    }
    // Nothing was executed: the document itself is wrong. W&B's client gives up at 400 instead of retrying.
    let refused = answer.is_err()
        && answer.data == async_graphql::Value::Null
        && answer.errors.iter().all(|error| error.path.is_empty());
    let vain = |error: &async_graphql::ServerError| refused || later::is_refusal(error);
    if let Some(error) = answer.errors.iter().find(|error| vain(error)) {
        let client = text_of(&headers, header::USER_AGENT.as_str()).unwrap_or_default();
        let now = state.clock.now_micros();
        state.unknown.note(&operation, &error.message, &client, now);
    }
    for error in answer.errors.iter_mut().filter(|error| vain(error)) {
        error.message = format!("operation `{operation}`: {}", error.message);
    }
    let status = if refused || (reads && is_bad_request(&answer)) {
        StatusCode::BAD_REQUEST
    } else if is_passing(&answer, reads) {
        StatusCode::SERVICE_UNAVAILABLE
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
