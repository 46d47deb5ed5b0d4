//! `POST /files/{entity}/{project}/{run}/file_stream`: ordered upload of rows, console lines and the run's state.
//!
//! A request is parsed completely before anything is stored, applied in one transaction, and answered after commit.

pub(crate) mod body;
mod generation;
mod ingest;
mod request;
mod summary;

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use serde_json::json;

pub(crate) use self::ingest::Ingest;
use self::ingest::{Acknowledgement, Job};
use crate::auth::Caller;
use crate::auth::access::{Access, Action};
use crate::error::ApiError;
use crate::extract::body::Room;
use crate::extract::{ApiBytes, ApiPath};
use crate::state::AppState;
use crate::store::streams::StreamState;

/// Parsing more than this is not done on the network threads.
const PARSE_INLINE_BYTES: usize = 64 << 10;
/// How long a request waits until others are read.
const WORK_WAIT: Duration = Duration::from_secs(20);
const CLIENT_ID_HEADER: &str = "x-wandb-async-client-id";
const DERIVED_SUMMARY_HEADER: &str = "x-wandb-server-side-derived-summary";
const CLIENT_ID_BYTES: usize = 128;

/// Takes one request of a run's file stream.
pub(crate) async fn post(
    State(state): State<AppState>,
    Extension(Caller(account)): Extension<Caller>,
    ApiPath((entity, project, run)): ApiPath<(String, String, String)>,
    headers: HeaderMap,
    body: ApiBytes,
) -> Result<Response, ApiError> {
    let client = client_id(&headers)?;
    let access = Access::new(&state, &account);
    let entity = access.entity_name(&entity);
    if !account.sole {
        let mut reader = state.store.reader().await?;
        let found = access
            .project(&mut reader, &entity, &project, Action::Write)
            .await?;
        if found.is_none() {
            return Err(ApiError::not_found(format!(
                "there is no project `{entity}/{project}`"
            )));
        }
    }
    let gzip = body::is_gzip(&headers)?;
    let strict = is_ours(&headers);
    let ApiBytes { bytes: raw, room } = body;
    let small = !gzip && raw.len() <= PARSE_INLINE_BYTES;
    let mut work = Room::none();
    if !small {
        work.grow(&state.work, body::work_bytes(raw.len(), gzip), WORK_WAIT)
            .await?;
    }
    let parse = move || request::parse(&body::decode(raw, gzip)?, strict);
    let update = if small {
        parse()?
    } else {
        tokio::task::spawn_blocking(parse)
            .await
            .map_err(|_panicked| {
                ApiError::unavailable("the request could not be read; try again")
            })??
    };
    // From here on its lines count as waiting for the writer, which has a bound of its own.
    drop((room, work));
    let job = Job {
        entity,
        project,
        run,
        client,
        is_original: !strict,
        derives_summary: headers.contains_key(DERIVED_SUMMARY_HEADER),
        update,
    };
    let done = state.ingest.submit(job).await?;
    Ok(axum::Json(reply(&done)).into_response())
}

/// The limits, as clients may want to know them.
pub(crate) fn limits() -> serde_json::Value {
    json!({
        "bodyBytes": body::MAX_BODY_BYTES,
        "lineBytes": request::MAX_LINE_BYTES,
        "lines": request::MAX_LINES,
    })
}

/// What the client may learn: whether to stop, and how much of its streams is stored.
fn reply(done: &Acknowledgement) -> serde_json::Value {
    let streams = [
        ("history", &done.history),
        ("events", &done.events),
        ("output", &done.output),
    ];
    let mut ours = serde_json::Map::new();
    let mut holes = serde_json::Map::new();
    let mut ends = serde_json::Map::new();
    let mut conflicts = 0;
    for (name, state) in streams {
        let state: &StreamState = state;
        ours.insert(name.into(), state.contiguous.into());
        if !state.holes.is_empty() {
            holes.insert(name.into(), json!(state.holes));
            ends.insert(name.into(), state.end.into());
        }
        conflicts += state.conflicts;
    }
    if !holes.is_empty() {
        ours.insert("holes".into(), holes.into());
        ours.insert("ends".into(), ends.into());
    }
    if conflicts > 0 {
        ours.insert("conflicts".into(), conflicts.into());
    }
    ours.insert("generation".into(), done.generation.into());
    json!({
        "exitcode": done.exit_code,
        "limits": {"hb": 30},
        "stopped": done.stopped,
        "runlane": ours,
    })
}

fn client_id(headers: &HeaderMap) -> Result<String, ApiError> {
    let Some(value) = headers.get(CLIENT_ID_HEADER) else {
        return Ok(String::new());
    };
    let text = value
        .to_str()
        .map_err(|_not_text| ApiError::malformed("`X-WANDB-ASYNC-CLIENT-ID` is not plain text"))?;
    if text.len() > CLIENT_ID_BYTES {
        return Err(ApiError::malformed(
            "`X-WANDB-ASYNC-CLIENT-ID` is longer than 128 characters",
        ));
    }
    Ok(text.to_owned())
}

/// Our own client gets precise refusals; W&B's client ends its stream for good at the first one, so what can be
/// stored or skipped safely is.
fn is_ours(headers: &HeaderMap) -> bool {
    headers
        .get(http::header::USER_AGENT)
        .and_then(|agent| agent.to_str().ok())
        .is_none_or(|agent| !agent.starts_with("wandb-core"))
}
