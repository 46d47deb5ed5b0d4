//! `GET /storage/…` (signed) and `GET /api/runs/{entity}/{project}/{run}/files/{path}` (signed in).

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use runlane_model::limits;
use serde::Deserialize;

use super::content;
use super::signer::{Access, Signature};
use crate::error::ApiError;
use crate::extract::{ApiPath, ApiQuery};
use crate::state::AppState;
use crate::store::{files, runs};

#[derive(Deserialize)]
pub(crate) struct DownloadQuery {
    download: Option<String>,
}

/// A file by its signed URL.
pub(crate) async fn signed(
    State(state): State<AppState>,
    ApiPath((run_id, name)): ApiPath<(i64, String)>,
    ApiQuery(signature): ApiQuery<Signature>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    limits::check_file_name(&name).map_err(|error| ApiError::malformed(error.to_string()))?;
    let now = state.clock.now_micros();
    if !state
        .signer
        .allows(&signature, Access::Download, run_id, &name, now)
    {
        return Err(ApiError::forbidden(
            "signature",
            "this URL is not valid for this file, or has expired",
        ));
    }
    serve(&state, run_id, &name, &headers, false).await
}

/// A file by its place, for the app.
pub(crate) async fn of_run(
    State(state): State<AppState>,
    ApiPath((entity, project, run, name)): ApiPath<(String, String, String, String)>,
    ApiQuery(query): ApiQuery<DownloadQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    limits::check_file_name(&name).map_err(|error| ApiError::malformed(error.to_string()))?;
    let entity = state.resolve_entity(&entity);
    let run = {
        let mut reader = state.store.reader().await?;
        runs::find(&mut reader, &entity, &project, &run).await?
    };
    let run = run.ok_or_else(|| ApiError::not_found("there is no such run"))?;
    serve(&state, run.id, &name, &headers, query.download.is_some()).await
}

async fn serve(
    state: &AppState,
    run_id: i64,
    name: &str,
    headers: &HeaderMap,
    attachment: bool,
) -> Result<Response, ApiError> {
    let file = {
        let mut reader = state.store.reader().await?;
        files::find(&mut reader, run_id, name).await?
    };
    let file = file.ok_or_else(|| ApiError::not_found(format!("the run has no file `{name}`")))?;
    content::answer(state, &file, headers, attachment).await
}
