//! Credentials, addresses and heads of requests that are wrong.

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tower::ServiceExt as _;

use crate::support::{HOST, TestServer};

fn basic(text: &str) -> String {
    format!("Basic {}", STANDARD.encode(text))
}

#[tokio::test]
async fn wrong_credentials_are_refused_and_never_repeated() {
    let server = TestServer::start().await;
    let key = server.server.credentials().api_key.clone();
    let cases = [
        ("nothing", String::new()),
        ("no scheme", key.clone()),
        ("unknown scheme", format!("Digest {key}")),
        ("no base64", format!("Basic {key}")),
        ("no colon", basic(&key)),
        ("no key", basic("api:")),
        ("key in place of the user", basic(&format!("{key}:"))),
        ("space before the key", basic(&format!("api: {key}"))),
        ("space behind the key", basic(&format!("api:{key} "))),
        ("newline behind the key", basic(&format!("api:{key}\n"))),
        ("NUL behind the key", basic(&format!("api:{key}\u{0}"))),
        (
            "NUL in the key",
            basic(&format!("api:{}\u{0}{}", &key[..9], &key[9..])),
        ),
        ("key twice", basic(&format!("api:{key}{key}"))),
        ("quotes", basic("api:' OR '1'='1")),
        (
            "no UTF-8",
            format!("Basic {}", STANDARD.encode(b"api:\xff\xfe")),
        ),
        ("long", basic(&format!("api:{}", "k".repeat(10_000)))),
        ("very long", basic(&format!("api:{}", "k".repeat(40_000)))),
        ("two schemes", format!("Basic Bearer {key}")),
        (
            "a token of another kind",
            "Bearer eyJhbGciOiJub25lIn0.e30.".to_owned(),
        ),
    ];
    for (what, authorization) in cases {
        let headers = [("authorization", authorization.as_str())];
        let answer = server
            .raw(Method::GET, "/api/session", &headers, Body::empty())
            .await;
        assert_eq!(answer.status, 401, "{what}");
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(
            !body.contains(&key[6..]) && !body.contains("kkkk"),
            "{what}: {body}"
        );
        assert_eq!(answer.json()["error"]["code"], "unauthenticated", "{what}");
    }
    let two = [
        ("authorization", server.key_header()),
        ("authorization", server.key_header()),
    ];
    let two: Vec<_> = two
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    assert_eq!(
        server
            .raw(Method::GET, "/api/session", &two, Body::empty())
            .await
            .status,
        401
    );
    // The user's name does not count, as with W&B's server; the scheme's case does not either.
    for authorization in [
        basic(&format!("somebody:{key}")),
        basic(&format!("api:{key}")).replace("Basic", "bASIC"),
        format!("Bearer {key}"),
    ] {
        let headers = [("authorization", authorization.as_str())];
        assert_eq!(
            server
                .raw(Method::GET, "/api/session", &headers, Body::empty())
                .await
                .status,
            200,
            "{authorization}"
        );
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_are_refused() {
    let server = TestServer::start().await;
    for name in ["authorization", "cookie", "host"] {
        let mut request = Request::get("/api/session")
            .body(Body::empty())
            .expect("a request");
        request
            .headers_mut()
            .insert("host", HeaderValue::from_static(HOST));
        request.headers_mut().insert(
            name,
            HeaderValue::from_bytes(b"Basic \xff\xfe\x80").expect("bytes"),
        );
        let answer = server
            .server
            .router()
            .oneshot(request)
            .await
            .expect("an answer");
        assert!(
            matches!(answer.status().as_u16(), 401 | 403),
            "{name}: {}",
            answer.status()
        );
    }
}

#[tokio::test]
async fn paths_are_decoded_once_and_lead_nowhere_else() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    let cases = [
        ("/files/me/p/r%2Ffile_stream/file_stream", 404),
        ("/files/me/p%2Fr/file_stream", 404),
        ("/files/me/p/%72/file_stream", 200),
        ("/files/me/p/%2572/file_stream", 404),
        ("/files/me/p/%zz/file_stream", 404),
        ("/files/me/p/%ff/file_stream", 400),
        ("/files/me/p/../r/file_stream", 404),
        ("/files/me/p/./r/file_stream", 404),
        ("/files/me/p/r/file_stream/", 404),
        ("/files/me/p//file_stream", 404),
        ("//files/me/p/r/file_stream", 404),
        ("/files/me//r/file_stream", 404),
        ("/files/me/p/r;v=1/file_stream", 404),
        ("/FILES/me/p/r/file_stream", 404),
        ("/graphql/", 404),
        ("/graphql/..%2f", 404),
    ];
    for (path, status) in cases {
        let answer = server.post(path, "{}").await;
        assert_eq!(
            answer.status,
            status,
            "{path}: {}",
            String::from_utf8_lossy(&answer.body)
        );
    }
    for path in [
        "/api/nothing",
        "/api/../etc/passwd",
        "/api/%2e%2e/x",
        "/api/runs/me/p/r/nothing",
        "/storage/x",
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.json()["error"]["code"].is_string(), "{path}");
    }
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let server = TestServer::start().await;
    let path = format!("/{}", "a".repeat(20_000));
    let answer = server.get(&path).await;
    assert_eq!(
        (
            answer.status.as_u16(),
            answer.json()["error"]["code"].as_str()
        ),
        (414, Some("uri_too_long"))
    );
    let query = format!("/api/session?x={}", "a".repeat(20_000));
    assert_eq!(server.get(&query).await.status, 414);
    let long = "x".repeat(70_000);
    let answer = server
        .raw(Method::GET, "/healthz", &[("x-long", &long)], Body::empty())
        .await;
    assert_eq!(
        (
            answer.status.as_u16(),
            answer.json()["error"]["code"].as_str()
        ),
        (431, Some("headers_too_large"))
    );
}

#[tokio::test]
async fn a_key_has_a_rate_and_is_told_how_it_stands() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let server = TestServer::start_in(dir, |config| {
        config.limits.requests_per_sec = 1;
        config.limits.burst_secs = 5;
    })
    .await;
    let first = server.get("/api/session").await;
    assert_eq!(
        (
            first.status.as_u16(),
            first.header("ratelimit-limit"),
            first.header("ratelimit-remaining"),
            first.header("ratelimit-reset")
        ),
        (200, "5", "4", "1")
    );
    for _ in 0..4 {
        assert_eq!(server.get("/api/session").await.status, 200);
    }
    let refused = server.get("/api/session").await;
    assert_eq!(
        (refused.status.as_u16(), refused.header("retry-after")),
        (429, "1")
    );
    assert_eq!(refused.json()["error"]["code"], "rate_limited");
    // Strangers do not use it up, and what needs no key is not counted.
    assert_eq!(
        server
            .raw(
                Method::GET,
                "/api/session",
                &[("authorization", "Basic eDp5")],
                ""
            )
            .await
            .status,
        401
    );
    assert_eq!(
        server.raw(Method::GET, "/healthz", &[], "").await.status,
        200
    );
}

#[tokio::test]
async fn ordinary_use_meets_no_bound_and_is_not_slowed_down() {
    let server = TestServer::start().await;
    server.create_run("r").await;
    for _ in 0..200 {
        let answer = server.stream("r", &serde_json::json!({})).await;
        // W&B's client slows down by `Remaining / Reset` when `Reset` is greater than one.
        assert_eq!(
            (answer.status.as_u16(), answer.header("ratelimit-reset")),
            (200, "1")
        );
    }
}

#[tokio::test]
async fn limits_are_told() {
    let server = TestServer::start().await;
    let limits = server.get("/api/limits").await.json();
    for pointer in [
        "/fileStream/bodyBytes",
        "/fileStream/lineBytes",
        "/graphql/bodyBytes",
        "/graphql/depth",
        "/requestsPerSec",
        "/runFileBytes",
        "/uriBytes",
    ] {
        assert!(
            limits
                .pointer(pointer)
                .is_some_and(|value| value.as_u64() > Some(0)),
            "{pointer}: {limits}"
        );
    }
}
