//! `PUT /storage/…`: one run file, streamed to the object store and made current in one step.

use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use http::{HeaderMap, StatusCode, header};
use md5::{Digest as _, Md5};
use runlane_model::limits;

use super::signer::{Access, Signature};
use crate::error::{ApiError, StoreError};
use crate::extract::{ApiPath, ApiQuery};
use crate::state::AppState;
use crate::store::files::{self, NewFile};
use crate::store::{Objects, runs};

/// Bound of one run file.
const MAX_FILE_BYTES: u64 = 5 << 40;
/// Parts of an object on their way to the store.
const PARTS_IN_FLIGHT: usize = 4;

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
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    if length.is_some_and(|length| length > MAX_FILE_BYTES) {
        return Err(ApiError::too_large("a run file may have 5 TiB at most"));
    }
    let wanted_md5 = headers
        .get("content-md5")
        .and_then(|value| value.to_str().ok());
    let key = Objects::new_key("files", run_id);
    let (size, md5) = store_body(&state, &key, body).await?;
    let complete =
        length.is_none_or(|length| length == size) && wanted_md5.is_none_or(|wanted| wanted == md5);
    if !complete {
        state.objects_remove(&key).await;
        return Err(ApiError::malformed(
            "the upload's length or digest is not what its headers say",
        ));
    }
    commit(&state, run_id, &name, &key, size, &md5).await?;
    // The client compares: what is stored is what it meant to send.
    Ok((StatusCode::OK, [("content-md5", md5)]))
}

async fn store_body(state: &AppState, key: &str, body: Body) -> Result<(u64, String), ApiError> {
    let mut writer = state.store.objects.writer(key).await?;
    let mut digest = Md5::new();
    let mut size = 0_u64;
    let mut stream = body.into_data_stream();
    while let Some(chunk) = stream.next().await {
        let Ok(chunk) = chunk else {
            writer.abort().await.map_err(StoreError::from)?;
            return Err(ApiError::malformed("the upload was cut off"));
        };
        size += chunk.len() as u64;
        if size > MAX_FILE_BYTES {
            writer.abort().await.map_err(StoreError::from)?;
            return Err(ApiError::too_large("a run file may have 5 TiB at most"));
        }
        digest.update(&chunk);
        writer
            .wait_for_capacity(PARTS_IN_FLIGHT)
            .await
            .map_err(StoreError::from)?;
        writer.put(chunk);
    }
    writer.finish().await.map_err(StoreError::from)?;
    Ok((size, STANDARD.encode(digest.finalize())))
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
    if runs::by_id(&mut writer, run_id).await?.is_none() {
        drop(writer);
        state.objects_remove(key).await;
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
        state.objects_remove(&old).await;
    }
    state.live.changed(run_id);
    Ok(())
}

impl AppState {
    /// Removes an object that nothing refers to.
    pub(crate) async fn objects_remove(&self, key: &str) {
        self.store.objects.remove(key).await;
    }
}
