//! `PUT /storage/…`: one run file, streamed to the object store and made current in one step.

use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use http::{HeaderMap, StatusCode};
use runlane_model::limits;

use crate::error::{ApiError, StoreError};
use crate::extract::{ApiPath, ApiQuery};
use crate::receive::{Announced, receive};
use crate::signer::{Access, Signature};
use crate::state::AppState;
use crate::store::files::{self, NewFile};
use crate::store::{Objects, runs};

/// Bound of one run file.
pub(crate) const MAX_FILE_BYTES: u64 = 5 << 40;

/// Stores the body as the file's new content; answers when it is durable.
pub(crate) async fn put(
    State(state): State<AppState>,
    ApiPath((run_id, name)): ApiPath<(i64, String)>,
    ApiQuery(signature): ApiQuery<Signature>,
    headers: HeaderMap,
    body: Body,
) -> Result<impl IntoResponse, ApiError> {
    let now = state.clock.now_micros();
    limits::check_file_name(&name).map_err(|error| ApiError::malformed(error.to_string()))?;
    if !state
        .signer
        .allows(&signature, Access::Upload, run_id, &name, now)
    {
        return Err(ApiError::forbidden(
            "signature",
            "this URL is not valid for this upload, or has expired",
        ));
    }
    let announced = Announced::by_headers("a run file", &headers, MAX_FILE_BYTES)?;
    let key = Objects::new_key("files", run_id);
    let received = receive(&state, &key, body, &announced).await?;
    let md5 = received.md5.base64();
    commit(&state, run_id, &name, &key, received.size, &md5).await?;
    // The client compares: what is stored is what it meant to send.
    Ok((StatusCode::OK, [("content-md5", md5)]))
}

async fn commit(
    state: &AppState,
    run_id: i64,
    name: &str,
    key: &str,
    size: u64,
    md5: &str,
) -> Result<(), ApiError> {
    let now = state.clock.now_micros();
    let mut writer = state.store.writer().await?;
    // Two uploads of one name, at two processes, take the place of each other one after the other.
    runs::lock(&mut writer, run_id).await?;
    if runs::by_id(&mut writer, run_id).await?.is_none() {
        drop(writer);
        state.store.objects.remove(key).await;
        return Err(ApiError::not_found("the run of this file is gone"));
    }
    let mimetype = mime_guess::from_path(name).first_or_octet_stream();
    let file = NewFile {
        run_id,
        name,
        object_key: key,
        size_bytes: i64::try_from(size).unwrap_or(i64::MAX),
        md5,
        mimetype: mimetype.essence_str(),
    };
    let old = files::replace(&mut writer, &file, now).await?;
    writer.commit().await.map_err(StoreError::from)?;
    if let Some(old) = old {
        state.store.objects.remove(&old).await;
    }
    state.live.changed(run_id);
    Ok(())
}

impl AppState {
    /// Removes the object of a row that was refused with `error`. After a failure of the database it stays: the commit's answer may be
    /// what was lost, and then the row names it. What no row names goes with the leftovers.
    pub(crate) async fn objects_give_up(&self, key: &str, error: &ApiError) {
        if error.status.is_client_error() {
            self.store.objects.remove(key).await;
        }
    }

    /// Removes an object that nothing refers to.
    pub(crate) async fn objects_remove(&self, key: &str) {
        self.store.objects.remove(key).await;
    }
}
