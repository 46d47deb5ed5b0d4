//! `PUT /storage/artifacts/…`: one file of a version. Its bytes count as the entity's once all of them are there and are what the URL
//! was signed for.

use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use http::{HeaderMap, StatusCode, header};
use runlane_model::artifact::digest::Algorithm;

use super::urls;
use crate::error::{ApiError, StoreError};
use crate::extract::{ApiPath, ApiQuery};
use crate::receive::{Announced, Received, receive};
use crate::signer::{Access, Signature};
use crate::state::AppState;
use crate::store::Connection;
use crate::store::blobs::{self, NewBlob, Place};
use crate::store::conflict::Retries;

/// Takes the bytes; answers when they are durable and known.
pub(crate) async fn put(
    State(state): State<AppState>,
    ApiPath((artifact_id, md5, xxh128)): ApiPath<(i64, String, String)>,
    ApiQuery(signature): ApiQuery<Signature>,
    headers: HeaderMap,
    body: Body,
) -> Result<impl IntoResponse, ApiError> {
    let subject = ["artifacts", &artifact_id.to_string(), &md5, &xxh128];
    urls::check(&state, &signature, Access::Upload, &subject)?;
    let announced = Announced::by_headers(
        "a file of an artifact",
        &headers,
        state.limits.artifact_file_bytes,
    )?
    .with(Algorithm::Md5, urls::digest_of(&md5)?)
    .with(Algorithm::Xxh128, urls::digest_of(&xxh128)?);
    let place = {
        let mut reader = state.store.reader().await?;
        pending(&mut reader, artifact_id, false).await?
    };
    let key = urls::new_blob_key(place.entity_id);
    let received = receive(&state, &key, body, &announced).await?;
    let mut retries = Retries::default();
    let done = loop {
        match commit(&state, artifact_id, &key, received).await {
            Err(error) if retries.again(&error).await => {}
            done => break done,
        }
    };
    match done {
        // A row that was there already has its own object.
        Ok(used) if used != key => state.store.objects.remove(&key).await,
        Ok(_) => {}
        Err(error) => {
            state.objects_give_up(&key, &error).await;
            return Err(error);
        }
    }
    Ok(answer(received))
}

/// What an upload is answered: S3's clients compare the `ETag`.
pub(super) fn answer(received: Received) -> impl IntoResponse {
    let headers = [
        (header::ETAG, received.etag()),
        (
            header::HeaderName::from_static("content-md5"),
            received.md5.base64(),
        ),
    ];
    (StatusCode::OK, headers)
}

/// Where the bytes of a version go, if it still takes any.
pub(super) async fn pending(
    connection: &mut Connection,
    artifact_id: i64,
    lock: bool,
) -> Result<Place, ApiError> {
    let place = blobs::place(connection, artifact_id, lock).await?;
    match place {
        Some(place) if place.is_pending() => Ok(place),
        Some(place) if place.state == "COMMITTED" => Err(ApiError::new(
            StatusCode::CONFLICT,
            "committed",
            "this version is committed and does not change any more; log a new one",
        )),
        _ => Err(ApiError::not_found(
            "the version that this was for is gone: it was deleted, or given up after a day without uploads",
        )),
    }
}

/// Makes the row of the bytes; the key of the object that it names.
async fn commit(
    state: &AppState,
    artifact_id: i64,
    key: &str,
    received: Received,
) -> Result<String, ApiError> {
    let now = state.clock.now_micros();
    let mut writer = state.store.writer().await?;
    let place = pending(&mut writer, artifact_id, false).await?;
    let blob = NewBlob {
        entity_id: place.entity_id,
        md5: received.md5,
        xxh128: received.xxh128,
        size_bytes: received.size_bytes(),
        object_key: key,
    };
    // The version before its content, as a commit locks them.
    blobs::note_activity(&mut writer, artifact_id, now).await?;
    let row = blobs::add(&mut writer, &blob, now).await?;
    writer.commit().await.map_err(StoreError::from)?;
    Ok(row.object_key)
}
