//! The route table and the layers around it.

use axum::Extension;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::handler::Handler as _;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;
use tower_http::compression::CompressionLayer;

use crate::auth::{self, login};
use crate::error::ApiError;
use crate::extract::BodyLimit;
use crate::files::{download, upload};
use crate::listen::HEAD_BYTES;
use crate::state::AppState;
use crate::{blobs, charts, export, filestream, graphql, limits, live, logs, rate, reproduce, web};

/// Bound of path and query.
pub(crate) const URI_BYTES: usize = 16 << 10;
const LOGIN_BYTES: usize = 64 << 10;

/// The whole HTTP surface.
pub(crate) fn router(state: AppState) -> Router {
    // Answers worth compressing; event streams and user files are left alone.
    let compressed = Router::new()
        .route(
            "/graphql",
            post(graphql::post).layer(Extension(BodyLimit(graphql::MAX_BODY_BYTES))),
        )
        .route("/api/charts/series", post(charts::series))
        .route("/api/runs/{entity}/{project}/{run}/logs", get(logs::of_run))
        .route(
            "/api/runs/{entity}/{project}/{run}/reproduce",
            get(reproduce::of_run),
        )
        .layer(CompressionLayer::new().gzip(true));
    let protected = Router::new()
        .merge(compressed)
        .route(
            "/files/{entity}/{project}/{run}/file_stream",
            post(filestream::post).layer(Extension(BodyLimit(filestream::body::MAX_BODY_BYTES))),
        )
        .route("/api/session", get(login::session))
        .route("/api/server/unknown-operations", get(graphql::unknown::get))
        .route("/api/logout", post(login::logout))
        .route("/api/login-links", post(login::new_link))
        .route("/api/live", get(live::events))
        .route("/api/limits", get(limits::get))
        // Packed numbers: compressing them costs more than it saves on the way.
        .route(
            "/api/runs/{entity}/{project}/{run}/history",
            get(export::of_run),
        )
        .route(
            "/api/runs/{entity}/{project}/{run}/files/{*name}",
            get(download::of_run),
        )
        .route("/artifactsV2/{*path}", get(blobs::fallback::in_collection))
        .route(
            "/artifacts/{entity}/{digest}",
            get(blobs::fallback::in_entity),
        )
        .route_layer(middleware::from_fn_with_state(state.clone(), rate::limit))
        .route_layer(middleware::from_fn_with_state(
            state.clone(),
            auth::require_caller,
        ));
    let open = Router::new()
        .route("/healthz", get(healthz))
        .route("/ready", get(ready))
        .route("/login", get(login::by_link))
        .route(
            "/api/login",
            post(login::by_key).layer(Extension(BodyLimit(LOGIN_BYTES))),
        )
        .route(
            "/storage/runs/{run_id}/{*name}",
            put(upload::put)
                .get(download::signed)
                .options(download::preflight)
                .layer(DefaultBodyLimit::disable()),
        )
        .merge(artifact_bytes());
    open.merge(protected)
        .fallback(web::page.layer(CompressionLayer::new().gzip(true)))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(
            state.clone(),
            auth::check_host,
        ))
        .layer(middleware::from_fn(check_head))
        .layer(middleware::from_fn(security_headers))
        .with_state(state)
}

/// What signed URLs of artifacts lead to.
fn artifact_bytes() -> Router<AppState> {
    let routes = Router::new()
        .route(
            "/storage/artifacts/{artifact_id}/{md5}/{xxh128}",
            put(blobs::upload::put),
        )
        .route(
            "/storage/parts/{upload_id}/{number}/{md5}",
            put(blobs::multipart::put),
        )
        .route(
            "/storage/blobs/{entity_id}/{object}/{name}",
            get(blobs::download::get).options(blobs::download::preflight),
        )
        .route(
            "/storage/manifests/{manifest_id}/{md5}",
            put(blobs::manifests::put)
                .get(blobs::manifests::get)
                .options(blobs::manifests::preflight),
        );
    routes.layer(DefaultBodyLimit::disable())
}

async fn healthz() -> Json<serde_json::Value> {
    Json(json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}))
}

async fn ready(State(state): State<AppState>) -> Response {
    if *state.draining.borrow() {
        let body = Json(json!({"status": "stopping"}));
        return (StatusCode::SERVICE_UNAVAILABLE, body).into_response();
    }
    match state.store.ping().await {
        Ok(()) => Json(json!({"status": "ready"})).into_response(),
        Err(error) => {
            tracing::error!(error = %error, "store does not answer");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                Json(json!({"status": "unavailable"})),
            )
                .into_response()
        }
    }
}

async fn method_not_allowed() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method",
        "this method is not allowed here",
    )
}

/// Refuses heads that are larger than anything that a client has to say.
async fn check_head(request: Request, next: Next) -> Result<Response, ApiError> {
    let uri = request
        .uri()
        .path_and_query()
        .map_or(0, |text| text.as_str().len());
    if uri > URI_BYTES {
        return Err(ApiError::new(
            StatusCode::URI_TOO_LONG,
            "uri_too_long",
            format!("path and query may have {URI_BYTES} bytes"),
        ));
    }
    let headers = request.headers().iter();
    let bytes: usize = headers
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if bytes > HEAD_BYTES {
        return Err(ApiError::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "headers_too_large",
            format!("headers may have {HEAD_BYTES} bytes"),
        ));
    }
    Ok(next.run(request).await)
}

/// Headers that every answer carries, unless the handler set its own.
async fn security_headers(request: Request, next: Next) -> Response {
    let is_framed = web::is_framed(request.uri(), request.headers());
    let mut response = next.run(request).await;
    let policy = if is_framed {
        web::FRAMED_CSP
    } else {
        web::APP_CSP
    };
    let fixed: [(HeaderName, &'static str); 6] = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    let headers = response.headers_mut();
    for (name, value) in fixed {
        // It knows no list of origins; the policy, which browsers prefer, does.
        if is_framed && name == header::X_FRAME_OPTIONS {
            continue;
        }
        headers
            .entry(name)
            .or_insert_with(|| HeaderValue::from_static(value));
    }
    response
}
