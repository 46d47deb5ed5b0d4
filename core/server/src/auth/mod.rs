//! Who may do what: API keys, sign-in links and cookies, and the checks before every handler.
//!
//! The layers, outermost first: the `Host` must be ours; then a key (`Authorization: Basic api:KEY`) or the sign-in
//! cookie; a cookie counts for changes only with a matching `Origin`. What the caller may then reach is decided by
//! [`access`].

pub(crate) mod access;
pub(crate) mod hosts;
pub(crate) mod login;
pub(crate) mod seal;
pub(crate) mod token;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method, StatusCode};

use crate::error::ApiError;
use crate::state::AppState;
use crate::store::accounts::{self, Account};

/// Name of the sign-in cookie.
pub(crate) const COOKIE: &str = "runlane_session";
/// A session that was not used for this long is over.
const SESSION_IDLE_MICROS: i64 = 12 * 3600 * 1_000_000;
/// A session's last use is written this seldom.
const SESSION_TOUCH_MICROS: i64 = 60 * 1_000_000;
const MAX_KEY_BYTES: usize = 512;

/// How a request proved who it is.
#[derive(Debug, Clone)]
pub(crate) struct Caller(pub(crate) Account);

/// Refuses requests for hosts that are not ours.
pub(crate) async fn check_host(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let host = host_header(request.headers())
        .or_else(|| request.uri().authority().map(http::uri::Authority::as_str))
        .unwrap_or_default();
    if !state.hosts.allows(host) {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "host_not_allowed",
            "this server does not answer under this host name; hint: start it with `--allowed-host NAME`",
        ));
    }
    Ok(next.run(request).await)
}

/// Lets requests with valid credentials pass and tells handlers who calls.
pub(crate) async fn require_caller(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let caller = identify(&state, request.method(), request.headers()).await?;
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

/// Who calls, by key or by cookie.
pub(crate) async fn identify(
    state: &AppState,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Caller, ApiError> {
    if headers.contains_key(http::header::AUTHORIZATION) {
        let key = key_of(headers).ok_or_else(ApiError::unauthenticated)?;
        let mut reader = state.store.reader().await?;
        return accounts::account_of_key(&mut reader, &key)
            .await?
            .map(Caller)
            .ok_or_else(ApiError::unauthenticated);
    }
    let token = cookie(headers).ok_or_else(ApiError::unauthenticated)?;
    let account = session(state, token)
        .await?
        .ok_or_else(ApiError::unauthenticated)?;
    let changes = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    if changes && !hosts::same_origin(headers, state.public_url.as_deref()) {
        return Err(ApiError::forbidden(
            "origin_mismatch",
            "a signed-in browser may change things only from the server's own pages",
        ));
    }
    Ok(Caller(account))
}

async fn session(state: &AppState, token: &str) -> Result<Option<Account>, ApiError> {
    let now = state.clock.now_micros();
    let found = {
        let mut reader = state.store.reader().await?;
        accounts::account_of_session(&mut reader, token).await?
    };
    let Some((account, seen)) = found.filter(|(_, seen)| now - seen < SESSION_IDLE_MICROS) else {
        return Ok(None);
    };
    if now - seen > SESSION_TOUCH_MICROS {
        let mut writer = state.store.writer().await?;
        accounts::touch_session(&mut writer, token, now).await?;
        writer.commit().await?;
    }
    Ok(Some(account))
}

/// What the caller proved itself with: its key, or its sign-in cookie.
pub(crate) fn credential(headers: &HeaderMap) -> Option<String> {
    key_of(headers).or_else(|| cookie(headers).map(str::to_owned))
}

/// The key of a Basic header (the user name does not matter) or a Bearer header.
fn key_of(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(http::header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() || value.len() > MAX_KEY_BYTES {
        return None;
    }
    let (scheme, credentials) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(credentials.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (_user, key) = decoded.split_once(':')?;
    Some(key.to_owned())
}

/// The sign-in cookie's value.
pub(crate) fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(http::header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value)
}

/// The `Host` header.
pub(crate) fn host_header(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(http::header::HOST)
        .and_then(|value| value.to_str().ok())
}
