//! `PUT /storage/…`: one run file, streamed to the object store and made current in one step.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode};
use md5::{Digest as _, Md5};
use runlane_model::limits;

use super::signer::{Access, Signature};
use crate::error::{ApiError, StoreError};
use crate::extract::body::{content_length, next_frame, too_slow};
use crate::extract::{ApiPath, ApiQuery};
use crate::state::AppState;
use crate::store::files::{self, NewFile};
use crate::store::{Objects, runs};

/// Bound of one run file.
pub(crate) const MAX_FILE_BYTES: u64 = 5 << 40;
/// An upload that takes longer than this could be taken for a leftover when it ends.
const MAX_UPLOAD_TIME: Duration = Duration::from_hours(24);

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
    let length = content_length(&headers);
    let largest = state.store.objects.largest(length).min(MAX_FILE_BYTES);
    if length.is_some_and(|length| length > largest) {
        return Err(too_large(largest));
    }
    let wanted_md5 = wanted_md5(&headers)?;
    let key = Objects::new_key("files", run_id);
    let upload = tokio::time::timeout(
        MAX_UPLOAD_TIME,
        store_body(&state, &key, body, length, wanted_md5, largest),
    );
    let (size, md5) = upload.await.map_err(|_elapsed| too_slow())??;
    commit(&state, run_id, &name, &key, size, &md5).await?;
    // The client compares: what is stored is what it meant to send.
    Ok((StatusCode::OK, [("content-md5", md5)]))
}

fn too_large(largest: u64) -> ApiError {
    ApiError::too_large(format!("a run file may have {largest} bytes at most"))
}

/// The digest that the client announces.
fn wanted_md5(headers: &HeaderMap) -> Result<Option<[u8; 16]>, ApiError> {
    let Some(value) = headers.get("content-md5") else {
        return Ok(None);
    };
    let digest = STANDARD
        .decode(value.as_bytes())
        .ok()
        .and_then(|bytes| bytes.try_into().ok());
    digest
        .map(Some)
        .ok_or_else(|| ApiError::malformed("`Content-MD5` is not the base64 of an MD5 digest"))
}

/// Streams the body into the object `key`; there is none if the body is not what its headers say.
async fn store_body(
    state: &AppState,
    key: &str,
    body: Body,
    length: Option<u64>,
    wanted_md5: Option<[u8; 16]>,
    largest: u64,
) -> Result<(u64, String), ApiError> {
    let mut writer = state.store.objects.writer(key, length);
    let mut digest = Md5::new();
    let mut size = 0_u64;
    let mut frames = body.into_data_stream();
    let refusal = loop {
        match next_frame(&mut frames, state.limits.body_idle).await {
            Ok(None) => break None,
            Ok(Some(chunk)) => {
                size += chunk.len() as u64;
                if size > largest {
                    break Some(too_large(largest));
                }
                digest.update(&chunk);
                if let Err(error) = writer.write(chunk).await {
                    break Some(error.into());
                }
            }
            Err(error) => break Some(error),
        }
    };
    let digest: [u8; 16] = digest.finalize().into();
    let refusal = refusal.or_else(|| {
        let complete = length.is_none_or(|length| length == size)
            && wanted_md5.is_none_or(|wanted| wanted == digest);
        (!complete).then(|| {
            ApiError::malformed("the upload's length or digest is not what its headers say")
        })
    });
    if let Some(refusal) = refusal {
        writer.abort().await;
        return Err(refusal);
    }
    if let Err(error) = writer.finish().await {
        state.store.objects.remove(key).await;
        return Err(error.into());
    }
    Ok((size, STANDARD.encode(digest)))
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
    /// Removes an object that nothing refers to.
    pub(crate) async fn objects_remove(&self, key: &str) {
        self.store.objects.remove(key).await;
    }
}
