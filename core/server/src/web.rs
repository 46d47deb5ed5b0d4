//! The web app: files of its build, `index.html` for every other page.

use std::path::{Component, Path, PathBuf};

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};

use crate::error::ApiError;
use crate::state::AppState;

/// Scripts, styles and data come from the server alone; `frame-src blob:` shows sandboxed user files.
pub(crate) const APP_CSP: &str = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; frame-src 'self' blob:; \
    object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'";

/// As [`APP_CSP`] for pages in notebooks: servers of the user's own machine, on whatever port, may show them in frames.
pub(crate) const FRAMED_CSP: &str = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; frame-src 'self' blob:; \
    object-src 'none'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'self' http://localhost:* http://127.0.0.1:* http://[::1]:*";

/// Whether a request is for a page in a notebook (`?jupyter=true`) that may be shown there: this server is on the same machine.
pub(crate) fn is_framed(uri: &Uri, headers: &HeaderMap) -> bool {
    let asks = uri
        .query()
        .is_some_and(|query| query.split('&').any(|pair| pair == "jupyter=true"));
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let is_loopback = ["localhost", "127.0.0.1", "[::1]"].iter().any(|name| {
        host.strip_prefix(name)
            .is_some_and(|port| port.is_empty() || port.starts_with(':'))
    });
    asks && is_loopback
}

/// Answers every GET that no other route takes.
pub(crate) async fn page(
    State(state): State<AppState>,
    method: Method,
    uri: Uri,
) -> Result<Response, ApiError> {
    let path = uri.path();
    let reserved = [
        "/api/",
        "/graphql",
        "/storage/",
        "/files/",
        "/sdk/",
        "/artifacts",
        "/oidc/",
    ];
    if !matches!(method, Method::GET | Method::HEAD)
        || reserved.iter().any(|prefix| path.starts_with(prefix))
    {
        return Err(ApiError::not_found("there is nothing here"));
    }
    let Some(web_dir) = &state.web_dir else {
        return Err(ApiError::not_found(
            "this server was started without the web app; hint: the API works, install a complete `runlane` for the pages",
        ));
    };
    if let Some(file) = file_in(web_dir, path) {
        if let Ok(bytes) = tokio::fs::read(&file).await {
            return Ok(answer(&file, bytes, path));
        }
        // A missing asset must not come back as a page: a browser would try to run it.
        if path.starts_with("/assets/") {
            return Err(ApiError::not_found("the web app has no such file"));
        }
    }
    let index = web_dir.join("index.html");
    match tokio::fs::read(&index).await {
        Ok(bytes) => Ok(answer(&index, bytes, "/index.html")),
        Err(_missing) => Err(ApiError::not_found("the web app is not built")),
    }
}

/// The build's file for a URL path; none if the path is no plain relative one.
fn file_in(web_dir: &Path, url_path: &str) -> Option<PathBuf> {
    let relative = url_path.strip_prefix('/')?;
    let plain = !relative.is_empty()
        && relative
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_./@".contains(&byte));
    let normal = || {
        Path::new(relative)
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
    };
    (plain && normal()).then(|| web_dir.join(relative))
}

fn answer(file: &Path, bytes: Vec<u8>, url_path: &str) -> Response {
    let kind = mime_guess::from_path(file).first_or_octet_stream();
    let kind = if kind.type_() == "text" || kind.subtype() == "javascript" {
        format!("{}; charset=utf-8", kind.essence_str())
    } else {
        kind.essence_str().to_owned()
    };
    // Names below /assets/ carry a hash of their content.
    let caching = if url_path.starts_with("/assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let kind = HeaderValue::try_from(kind)
        .unwrap_or_else(|_invalid| HeaderValue::from_static("application/octet-stream"));
    (
        StatusCode::OK,
        [
            (header::CONTENT_TYPE, kind),
            (header::CACHE_CONTROL, HeaderValue::from_static(caching)),
        ],
        Body::from(bytes),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_framed_by_notebooks_of_the_same_machine_only() {
        let framed = |uri: &'static str, host: &'static str| {
            let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
            is_framed(&Uri::from_static(uri), &headers)
        };
        assert!(framed("/e/p/runs/r?jupyter=true", "localhost:8080"));
        assert!(framed("/e/p?x=1&jupyter=true", "[::1]:8080"));
        assert!(framed("/e/p?jupyter=true", "127.0.0.1"));
        assert!(!framed("/e/p", "localhost:8080"));
        assert!(!framed("/e/p?jupyter=trueish", "localhost:8080"));
        assert!(!framed("/e/p?jupyter=true", "lab.example.org"));
        assert!(!framed("/e/p?jupyter=true", "localhost.evil.example"));
    }

    #[test]
    fn paths_stay_inside_the_build() {
        let dir = Path::new("web");
        assert_eq!(
            file_in(dir, "/assets/app-1a2b.js"),
            Some(dir.join("assets/app-1a2b.js"))
        );
        for bad in [
            "/",
            "",
            "/../x",
            "/a/../../x",
            "//etc/passwd",
            "/a\\b",
            "/%2e%2e/x",
            "/a b",
        ] {
            assert_eq!(file_in(dir, bad), None, "{bad}");
        }
    }
}
