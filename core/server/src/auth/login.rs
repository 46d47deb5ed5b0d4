//! Signing in and out: one-time links, the key form, and what a page may know about its session.

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Redirect, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::json;

use super::{COOKIE, Caller, cookie, host_header, hosts, token};
use crate::error::{ApiError, StoreError};
use crate::extract::{ApiJson, ApiQuery};
use crate::state::AppState;
use crate::store::{Store, accounts};

/// How long a sign-in link may wait for its one use.
const LINK_VALID_MICROS: i64 = 10 * 60 * 1_000_000;

#[derive(Deserialize)]
pub(crate) struct LoginQuery {
    #[serde(default)]
    token: String,
    next: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct KeyForm {
    api_key: String,
}

/// Makes a one-time sign-in link's token for the server's owner.
pub(crate) async fn new_link_token(
    store: &Store,
    user_id: i64,
    now_micros: i64,
) -> Result<String, StoreError> {
    let link = token::new_token();
    let mut writer = store.writer().await?;
    accounts::add_login_link(
        &mut writer,
        &link,
        user_id,
        now_micros,
        now_micros + LINK_VALID_MICROS,
    )
    .await?;
    writer.commit().await?;
    Ok(link)
}

/// `GET /login?token=…`: uses up the link, sets the cookie, goes to the app.
pub(crate) async fn by_link(
    State(state): State<AppState>,
    ApiQuery(query): ApiQuery<LoginQuery>,
) -> Result<Response, ApiError> {
    let mut writer = state.store.writer().await?;
    let user =
        accounts::take_login_link(&mut writer, &query.token, state.clock.now_micros()).await?;
    writer.commit().await.map_err(StoreError::from)?;
    let Some(user_id) = user else {
        let page = "<!doctype html><meta charset=\"utf-8\"><title>Sign-in link expired</title>\
            <h1>This sign-in link has expired or was used before</h1>\
            <p>Get a new one with <code>runlane ui</code>, or sign in with your API key on the <a href=\"/\">start page</a>.</p>";
        return Ok((StatusCode::FORBIDDEN, Html(page)).into_response());
    };
    let cookie = start_session(&state, user_id).await?;
    let target = query
        .next
        .filter(|next| is_local_path(next))
        .unwrap_or_else(|| "/".into());
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&target)).into_response())
}

/// `POST /api/login`: signs in with the API key.
pub(crate) async fn by_key(
    State(state): State<AppState>,
    headers: HeaderMap,
    ApiJson(form): ApiJson<KeyForm>,
) -> Result<Response, ApiError> {
    // Login CSRF: another site must not sign this browser in. Requests without a browser have no Origin.
    let from_page = headers.contains_key(header::ORIGIN);
    if from_page && !hosts::same_origin(&headers, state.public_url.as_deref()) {
        return Err(ApiError::forbidden(
            "origin_mismatch",
            "sign in from the server's own page",
        ));
    }
    let account = {
        let mut reader = state.store.reader().await?;
        accounts::account_of_key(&mut reader, form.api_key.trim()).await?
    };
    let account = account.ok_or_else(ApiError::unauthenticated)?;
    let cookie = start_session(&state, account.user_id).await?;
    let body = Json(json!({"username": account.username, "entity": account.entity}));
    Ok(([(header::SET_COOKIE, cookie)], body).into_response())
}

/// `POST /api/logout`: ends the session.
pub(crate) async fn logout(
    State(state): State<AppState>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let mut writer = state.store.writer().await?;
    accounts::end_sessions(&mut writer, cookie(&headers), 0).await?;
    writer.commit().await.map_err(StoreError::from)?;
    let gone = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    Ok(([(header::SET_COOKIE, gone)], Json(json!({"ok": true}))).into_response())
}

/// `GET /api/session`: who is signed in.
pub(crate) async fn session(Extension(Caller(account)): Extension<Caller>) -> Response {
    Json(json!({
        "username": account.username,
        "entity": account.entity,
        "version": env!("CARGO_PKG_VERSION"),
    }))
    .into_response()
}

/// `POST /api/login-links`: a fresh one-time link for whoever holds the key.
pub(crate) async fn new_link(
    State(state): State<AppState>,
    Extension(Caller(account)): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let link = new_link_token(&state.store, account.user_id, state.clock.now_micros()).await?;
    let base = state.base_url(host_header(&headers).unwrap_or_default());
    Ok(Json(json!({"url": format!("{base}/login?token={link}")})).into_response())
}

async fn start_session(state: &AppState, user_id: i64) -> Result<HeaderValue, ApiError> {
    let session = token::new_token();
    let now = state.clock.now_micros();
    let mut writer = state.store.writer().await?;
    accounts::end_sessions(&mut writer, None, now - super::SESSION_IDLE_MICROS).await?;
    accounts::add_session(&mut writer, &session, user_id, now).await?;
    writer.commit().await.map_err(StoreError::from)?;
    // Over plain HTTP a `Secure` cookie would not come back, except from localhost in some browsers.
    let secure = match &state.public_url {
        Some(url) if url.starts_with("https://") => "; Secure",
        _ => "",
    };
    HeaderValue::try_from(format!(
        "{COOKIE}={session}; Path=/; HttpOnly; SameSite=Lax{secure}"
    ))
    .map_err(|_invalid| ApiError::unavailable("the session could not be started"))
}

/// Whether `next` stays on this server: one slash, then no second slash or backslash.
fn is_local_path(next: &str) -> bool {
    let mut characters = next.chars();
    characters.next() == Some('/')
        && !matches!(characters.next(), Some('/' | '\\'))
        && !next.contains(|character: char| character.is_control() || character == '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_on_the_server() {
        assert!(is_local_path("/") && is_local_path("/me/p/runs/x?tab=logs"));
        for bad in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "javascript:x",
            "/a\nb",
            "x",
        ] {
            assert!(!is_local_path(bad), "{bad}");
        }
    }
}
