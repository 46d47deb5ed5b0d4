//! `GET /storage/blobs/…`: the bytes of a file of an artifact.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use super::urls;
use crate::cross_origin;
use crate::error::ApiError;
use crate::extract::{ApiPath, ApiQuery};
use crate::files::content::{self, Content};
use crate::signer::{Access, Signature};
use crate::state::AppState;
use crate::store::blobs::{self, BlobRow};

/// A file by its signed URL.
pub(crate) async fn get(
    State(state): State<AppState>,
    ApiPath((entity_id, object, name)): ApiPath<(i64, String, String)>,
    ApiQuery(signature): ApiQuery<Signature>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    check(&state, &signature, entity_id, &object, &name)?;
    let blob = {
        let mut reader = state.store.reader().await?;
        blobs::by_object(&mut reader, &urls::blob_key(entity_id, &object)).await?
    };
    let blob = blob.ok_or_else(|| ApiError::not_found("this file is not there any more"))?;
    let answer = serve(&state, &blob, &name, &headers).await?;
    Ok(cross_origin::allow(answer))
}

/// `OPTIONS` of a file's URL.
pub(crate) async fn preflight(
    State(state): State<AppState>,
    ApiPath((entity_id, object, name)): ApiPath<(i64, String, String)>,
    ApiQuery(signature): ApiQuery<Signature>,
) -> Result<Response, ApiError> {
    check(&state, &signature, entity_id, &object, &name)?;
    Ok(cross_origin::preflight())
}

fn check(
    state: &AppState,
    signature: &Signature,
    entity_id: i64,
    object: &str,
    name: &str,
) -> Result<(), ApiError> {
    let subject = ["blobs", &entity_id.to_string(), object, name];
    urls::check(state, signature, Access::Download, &subject)
}

/// Answers with the bytes of `blob`, as a file with this name.
pub(super) async fn serve(
    state: &AppState,
    blob: &BlobRow,
    name: &str,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let mimetype = mime_guess::from_path(name).first_or_octet_stream();
    let content = Content {
        object_key: &blob.object_key,
        size_bytes: blob.size_bytes,
        etag: &blob.md5,
        name,
        mimetype: mimetype.essence_str(),
    };
    answer(state, content, headers).await
}

/// As `content::answer`, for something whose object must be there.
pub(super) async fn answer(
    state: &AppState,
    content: Content<'_>,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    if let Some(answer) = content::answer(state, content, headers, false).await? {
        return Ok(answer);
    }
    let object = content.object_key;
    tracing::error!(object, "the object of a file of an artifact is missing");
    Err(ApiError::unavailable(
        "the object store does not have this file at the moment; try again",
    ))
}
