//! `GET /api/runs/{entity}/{project}/{run}/history`: all rows of a run, or those with some keys, as packed columns.
//!
//! The answer is streamed as it is read (`runlane_history::pack_rows` has the layout); a reader that is slow makes the server wait, and
//! one that goes away makes it stop. Where reading fails midway, the connection ends without the last frame.

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use runlane_history::{ROWS_CONTENT_TYPE, ROWS_MAGIC, pack_end, pack_rows};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::auth::Caller;
use crate::auth::access::{Access, Action};
use crate::error::{ApiError, StoreError};
use crate::extract::{ApiPath, ApiQuery};
use crate::history::columns::blocking;
use crate::history::scan::{Scan, Wanted};
use crate::state::AppState;
use crate::store::streams::StreamKind;

/// Rows and bytes of one frame, roughly.
const FRAME_ROWS: usize = 8_192;
const FRAME_BYTES: usize = 4 << 20;
/// Frames that wait for the reader.
const FRAMES_AHEAD: usize = 2;
const MAX_KEYS: usize = 1_000;

#[derive(Deserialize)]
pub(crate) struct ExportQuery {
    /// A JSON list of keys: only rows that have all of them, and only these.
    keys: Option<String>,
    min_step: Option<i64>,
    /// One past the last step.
    max_step: Option<i64>,
    #[serde(default)]
    stream: Stream,
}

/// Which rows of a run.
#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Stream {
    #[default]
    History,
    /// System metrics.
    Events,
}

impl ExportQuery {
    fn wanted(&self) -> Result<Wanted, ApiError> {
        if self.stream == Stream::Events && (self.min_step.is_some() || self.max_step.is_some()) {
            return Err(ApiError::invalid(
                "`min_step` and `max_step` are for the history: system metrics have no steps",
            ));
        }
        let keys: Option<Vec<String>> = match &self.keys {
            None => None,
            Some(text) => serde_json::from_str(text).map_err(|error| {
                ApiError::invalid(format!("`keys` must be a JSON list of strings: {error}"))
            })?,
        };
        if keys.as_ref().is_some_and(|keys| keys.len() > MAX_KEYS) {
            return Err(ApiError::invalid(format!("more than {MAX_KEYS} keys")));
        }
        Ok(Wanted {
            keys: keys.filter(|keys| !keys.is_empty()),
            min_step: self.min_step.unwrap_or(i64::MIN),
            max_step: self.max_step.unwrap_or(i64::MAX),
        })
    }
}

/// Streams the rows.
pub(crate) async fn of_run(
    State(state): State<AppState>,
    Extension(Caller(account)): Extension<Caller>,
    ApiPath((entity, project, run)): ApiPath<(String, String, String)>,
    ApiQuery(query): ApiQuery<ExportQuery>,
) -> Result<Response, ApiError> {
    let wanted = query.wanted()?;
    let kind = match query.stream {
        Stream::History => StreamKind::History,
        Stream::Events => StreamKind::Events,
    };
    let run = {
        let mut reader = state.store.reader().await?;
        Access::new(&state, &account)
            .existing_run(&mut reader, (&entity, &project, &run), Action::Read)
            .await?
    };
    let scan = Scan::start(&state.history, &state.store, (run.id, kind), wanted).await?;
    let (sender, receiver) = mpsc::channel(FRAMES_AHEAD);
    tokio::spawn(send_all(scan, sender, run.id));
    let body = Body::from_stream(ReceiverStream::new(receiver));
    Ok(([(header::CONTENT_TYPE, ROWS_CONTENT_TYPE)], body).into_response())
}

type Sender = mpsc::Sender<Result<Bytes, StoreError>>;

/// Sends frame after frame until the reader has them all or is gone.
async fn send_all(mut scan: Scan, sender: Sender, run_id: i64) {
    if let Err(error) = send_frames(&mut scan, &sender).await {
        tracing::error!(run_id, error = %error, "history could not be read to its end");
        // The reader may be gone as well; then nobody wants to know.
        drop(sender.send(Err(error)).await);
    }
}

async fn send_frames(scan: &mut Scan, sender: &Sender) -> Result<(), StoreError> {
    let mut total = 0u64;
    if sender
        .send(Ok(Bytes::from_static(ROWS_MAGIC)))
        .await
        .is_err()
    {
        return Ok(());
    }
    while let Some(batch) = scan.next().await? {
        let (chunk, rows) = (batch.chunk, batch.rows);
        total += rows.len() as u64;
        let mut start = 0;
        while start < rows.len() {
            let end = frame_end(&chunk, &rows, start);
            let due = rows[start..end].to_vec();
            let columns = std::sync::Arc::clone(&chunk);
            let frame = blocking(move || Ok(pack_rows(&columns, &due))).await?;
            if sender.send(Ok(frame.into())).await.is_err() {
                return Ok(());
            }
            start = end;
        }
    }
    // The reader may be gone.
    drop(sender.send(Ok(pack_end(total).into())).await);
    Ok(())
}

/// Where a frame that begins with row `start` ends.
fn frame_end(chunk: &runlane_history::Chunk, rows: &[u32], start: usize) -> usize {
    let mut bytes = 0;
    let mut end = start;
    while end < rows.len() && end - start < FRAME_ROWS {
        bytes += chunk.packed_bytes(rows[end]);
        if bytes > FRAME_BYTES && end > start {
            break;
        }
        end += 1;
    }
    end
}
