//! Manifest files: `PUT` and `GET /storage/manifests/…`, and the server's own reading and writing of them.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderMap;
use runlane_model::artifact::digest::{Algorithm, Digest};

use super::{download, upload, urls};
use crate::cross_origin;
use crate::error::{ApiError, StoreError};
use crate::extract::body::Room;
use crate::extract::{ApiBytes, ApiPath, ApiQuery};
use crate::files::content::Content;
use crate::receive::{Announced, Received, receive};
use crate::signer::{Access, Signature};
use crate::state::AppState;
use crate::store::blobs::manifests::{self, ManifestRow};
use crate::store::conflict::Retries;
use crate::store::{Objects, blobs};

/// How long a manifest waits for others to leave memory.
const ROOM_WAIT: Duration = Duration::from_secs(15);
/// What is written of a manifest at a time.
const PIECE_BYTES: usize = 1 << 20;
const FILE_NAME: &str = "wandb_manifest.json";

/// Takes the file of a manifest of a version that is not committed yet.
pub(crate) async fn put(
    State(state): State<AppState>,
    ApiPath((manifest_id, md5)): ApiPath<(i64, String)>,
    ApiQuery(signature): ApiQuery<Signature>,
    headers: HeaderMap,
    body: Body,
) -> Result<impl IntoResponse, ApiError> {
    let subject = ["manifests", &manifest_id.to_string(), &md5];
    urls::check(&state, &signature, Access::Upload, &subject)?;
    let md5 = urls::digest_of(&md5)?;
    let announced = Announced::by_headers("a manifest", &headers, state.limits.manifest_bytes)?
        .with(Algorithm::Md5, md5);
    let entity_id = {
        let mut reader = state.store.reader().await?;
        let manifest = announced_as(&mut reader, manifest_id, md5).await?;
        upload::pending(&mut reader, manifest.artifact_id, false)
            .await?
            .entity_id
    };
    let key = new_key(entity_id);
    let received = receive(&state, &key, body, &announced).await?;
    let mut retries = Retries::default();
    let done = loop {
        match commit(&state, manifest_id, md5, &key, received).await {
            Err(error) if retries.again(&error).await => {}
            done => break done,
        }
    };
    match done {
        Ok(old) => {
            if let Some(old) = old {
                state.store.objects.remove(&old).await;
            }
            Ok(upload::answer(received))
        }
        Err(error) => {
            state.objects_give_up(&key, &error).await;
            Err(error)
        }
    }
}

fn new_key(entity_id: i64) -> String {
    Objects::new_key("manifests", entity_id)
}

/// The manifest, if this is the MD5 that was last announced of its file.
async fn announced_as(
    connection: &mut crate::store::Connection,
    manifest_id: i64,
    md5: Option<Digest>,
) -> Result<ManifestRow, ApiError> {
    let manifest = manifests::find(connection, manifest_id).await?;
    manifest
        .filter(|row| md5.is_some_and(|md5| row.digest == md5.base64()))
        .ok_or_else(|| {
            ApiError::not_found("there is no manifest for this file, or it is to have another one")
        })
}

/// Makes the object the file of the manifest; the key of the one that was it before.
async fn commit(
    state: &AppState,
    manifest_id: i64,
    md5: Option<Digest>,
    key: &str,
    received: Received,
) -> Result<Option<String>, ApiError> {
    let now = state.clock.now_micros();
    let mut writer = state.store.writer().await?;
    let manifest = announced_as(&mut writer, manifest_id, md5).await?;
    // Under the lock: a version that is just being committed has read its manifest.
    upload::pending(&mut writer, manifest.artifact_id, true).await?;
    let manifest = announced_as(&mut writer, manifest_id, md5).await?;
    manifests::set_object(&mut writer, manifest_id, key, received.size_bytes()).await?;
    blobs::note_activity(&mut writer, manifest.artifact_id, now).await?;
    writer.commit().await.map_err(StoreError::from)?;
    Ok(manifest.object_key)
}

/// The file of a manifest by its signed URL.
pub(crate) async fn get(
    State(state): State<AppState>,
    ApiPath((manifest_id, md5)): ApiPath<(i64, String)>,
    ApiQuery(signature): ApiQuery<Signature>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let subject = ["manifests", &manifest_id.to_string(), &md5];
    urls::check(&state, &signature, Access::Download, &subject)?;
    let manifest = {
        let mut reader = state.store.reader().await?;
        announced_as(&mut reader, manifest_id, urls::digest_of(&md5)?).await?
    };
    let key = manifest.object_key.ok_or_else(not_uploaded)?;
    let content = Content {
        object_key: &key,
        size_bytes: manifest.size_bytes,
        etag: &md5,
        name: FILE_NAME,
        mimetype: "application/json",
    };
    let answer = download::answer(&state, content, &headers).await?;
    Ok(cross_origin::allow(answer))
}

/// `OPTIONS` of a manifest's URL.
pub(crate) async fn preflight(
    State(state): State<AppState>,
    ApiPath((manifest_id, md5)): ApiPath<(i64, String)>,
    ApiQuery(signature): ApiQuery<Signature>,
) -> Result<Response, ApiError> {
    let subject = ["manifests", &manifest_id.to_string(), &md5];
    urls::check(&state, &signature, Access::Download, &subject)?;
    Ok(cross_origin::preflight())
}

fn not_uploaded() -> ApiError {
    ApiError::not_found("the file of this manifest has not been uploaded")
}

/// The file of a manifest, in memory that is counted for as long as its `room` is kept.
pub(crate) async fn manifest_bytes(
    state: &AppState,
    manifest_id: i64,
) -> Result<ApiBytes, ApiError> {
    let manifest = {
        let mut reader = state.store.reader().await?;
        manifests::find(&mut reader, manifest_id).await?
    };
    let manifest = manifest.ok_or_else(|| ApiError::not_found("there is no such manifest"))?;
    let key = manifest.object_key.ok_or_else(not_uploaded)?;
    let mut room = Room::none();
    // One that is larger than all of the memory for such work takes all of it: it is the only one then.
    let size = usize::try_from(manifest.size_bytes).unwrap_or(usize::MAX);
    room.grow(&state.work, size.min(state.limits.work_bytes), ROOM_WAIT)
        .await?;
    let bytes = state.store.objects.get(&key).await?;
    Ok(ApiBytes { bytes, room })
}

/// A manifest file that is stored, and that no row names yet.
#[derive(Debug)]
pub(crate) struct StoredManifest {
    pub(crate) object_key: String,
    pub(crate) size_bytes: i64,
    /// Base64 of its MD5.
    pub(crate) md5: String,
}

/// Stores the manifest that the server itself has made for a version.
pub(crate) async fn put_manifest(
    state: &AppState,
    artifact_id: i64,
    bytes: Vec<u8>,
) -> Result<StoredManifest, ApiError> {
    let most = state.limits.manifest_bytes;
    if bytes.len() as u64 > most {
        return Err(ApiError::too_large(format!(
            "the manifest of all parts together would have {} bytes; it may have {most}",
            bytes.len()
        )));
    }
    let place = {
        let mut reader = state.store.reader().await?;
        upload::pending(&mut reader, artifact_id, false).await?
    };
    let object_key = new_key(place.entity_id);
    let stored = StoredManifest {
        size_bytes: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
        md5: Digest::of(Algorithm::Md5, &bytes).base64(),
        object_key,
    };
    let mut writer = state
        .store
        .objects
        .writer(&stored.object_key, Some(bytes.len() as u64));
    let mut rest = Bytes::from(bytes);
    while !rest.is_empty() {
        let piece = rest.split_to(rest.len().min(PIECE_BYTES));
        writer.write(piece).await?;
    }
    if let Err(error) = writer.finish().await {
        state.store.objects.remove(&stored.object_key).await;
        return Err(error.into());
    }
    Ok(stored)
}
