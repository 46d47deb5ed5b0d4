//! `GET /storage/…` (signed) and `GET /api/runs/{entity}/{project}/{run}/files/{path}` (signed in).

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use runlane_model::limits;
use serde::Deserialize;

use super::content;
use crate::auth::access::Action;
use crate::auth::{self, Caller};
use crate::cross_origin;
use crate::error::ApiError;
use crate::extract::{ApiPath, ApiQuery};
use crate::signer::{Access, Signature};
use crate::state::AppState;
use crate::store::files;

/// How often a file that is being replaced is looked for.
const LOOKS: usize = 4;

#[derive(Deserialize)]
pub(crate) struct DownloadQuery {
    download: Option<String>,
    /// Shown in a frame of the app: a page may run its scripts there.
    frame: Option<String>,
}

/// A file by its signed URL.
pub(crate) async fn signed(
    State(state): State<AppState>,
    ApiPath((run_id, name)): ApiPath<(i64, String)>,
    ApiQuery(signature): ApiQuery<Signature>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    check(&state, &signature, run_id, &name)?;
    let answer = serve(&state, run_id, &name, &headers, false).await?;
    Ok(cross_origin::allow(answer))
}

/// `OPTIONS` of a signed URL.
pub(crate) async fn preflight(
    State(state): State<AppState>,
    ApiPath((run_id, name)): ApiPath<(i64, String)>,
    ApiQuery(signature): ApiQuery<Signature>,
) -> Result<Response, ApiError> {
    check(&state, &signature, run_id, &name)?;
    Ok(cross_origin::preflight())
}

fn check(state: &AppState, signature: &Signature, run_id: i64, name: &str) -> Result<(), ApiError> {
    limits::check_file_name(name).map_err(|error| ApiError::malformed(error.to_string()))?;
    let now = state.clock.now_micros();
    if state
        .signer
        .allows(signature, Access::Download, run_id, name, now)
    {
        return Ok(());
    }
    Err(ApiError::forbidden(
        "signature",
        "this URL is not valid for this file, or has expired",
    ))
}

/// A file by its place, for the app.
pub(crate) async fn of_run(
    State(state): State<AppState>,
    Extension(Caller(account)): Extension<Caller>,
    ApiPath((entity, project, run, name)): ApiPath<(String, String, String, String)>,
    ApiQuery(query): ApiQuery<DownloadQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    limits::check_file_name(&name).map_err(|error| ApiError::malformed(error.to_string()))?;
    let run = {
        let mut reader = state.store.reader().await?;
        auth::access::Access::new(&state, &account)
            .existing_run(&mut reader, (&entity, &project, &run), Action::Read)
            .await?
    };
    let mut response = serve(&state, run.id, &name, &headers, query.download.is_some()).await?;
    if query.frame.is_some() {
        content::allow_scripts_in_frame(&headers, &mut response);
    }
    Ok(response)
}

async fn serve(
    state: &AppState,
    run_id: i64,
    name: &str,
    headers: &HeaderMap,
    attachment: bool,
) -> Result<Response, ApiError> {
    let mut gone = None;
    // A newer upload may take the object away between the two looks; the next look finds the newer one.
    for _ in 0..LOOKS {
        let file = {
            let mut reader = state.store.reader().await?;
            files::find(&mut reader, run_id, name).await?
        };
        let file =
            file.ok_or_else(|| ApiError::not_found(format!("the run has no file `{name}`")))?;
        if gone.as_ref() == Some(&file.object_key) {
            break;
        }
        match content::answer(state, (&file).into(), headers, attachment).await? {
            Some(response) => return Ok(response),
            None => gone = Some(file.object_key),
        }
    }
    tracing::error!(
        run_id,
        name,
        object = gone,
        "the object of a file is missing"
    );
    Err(ApiError::unavailable(
        "the object store does not have this file at the moment; try again",
    ))
}
