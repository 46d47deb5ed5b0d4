//! Who gets in.

use std::time::Duration;

use axum::body::Body;
use axum::http::Method;

use crate::database;
use crate::support::{HOST, TestServer};

/// Every route that needs a caller.
const PROTECTED: [(&str, &str); 8] = [
    ("POST", "/graphql"),
    ("POST", "/files/me/p/r/file_stream"),
    ("GET", "/api/session"),
    ("POST", "/api/logout"),
    ("POST", "/api/login-links"),
    ("GET", "/api/live"),
    ("POST", "/api/charts/series"),
    ("GET", "/api/runs/me/p/r/logs"),
];

#[tokio::test]
async fn nothing_is_answered_without_credentials() {
    let server = TestServer::start().await;
    let file_route = ("GET", "/api/runs/me/p/r/files/a.txt");
    for (method, path) in PROTECTED.into_iter().chain([file_route]) {
        let method: Method = method.parse().expect("a method");
        for authorization in [
            None,
            Some("Basic xxx"),
            Some("Basic YXBpOndyb25n"),
            Some("Bearer wrong"),
            Some("Digest a"),
        ] {
            let headers: Vec<_> = authorization
                .iter()
                .map(|value| ("authorization", *value))
                .collect();
            let answer = server.raw(method.clone(), path, &headers, "{}").await;
            assert_eq!(answer.status, 401, "{method} {path} {authorization:?}");
            assert_eq!(answer.json()["error"]["code"], "unauthenticated");
        }
    }
}

#[tokio::test]
async fn open_routes_need_no_credentials() {
    let server = TestServer::start().await;
    for (path, status) in [
        ("/healthz", 200),
        ("/ready", 200),
        ("/login?token=x", 403),
        ("/", 404),
    ] {
        assert_eq!(
            server
                .raw(Method::GET, path, &[], Body::empty())
                .await
                .status,
            status,
            "{path}"
        );
    }
    for path in [
        "/storage/runs/1/a?method=get&expires=9999999999&sig=AAAA",
        "/storage/runs/1/a",
    ] {
        let answer = server.raw(Method::GET, path, &[], Body::empty()).await;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.status);
    }
}

#[tokio::test]
async fn changed_keys_are_refused() {
    let server = TestServer::start().await;
    let key = server.server.credentials().api_key.clone();
    for wrong in [
        key[..key.len() - 1].to_owned(),
        format!("{key}x"),
        key.to_uppercase(),
        String::new(),
    ] {
        let body = serde_json::json!({"api_key": wrong}).to_string();
        let headers = [("content-type", "application/json")];
        assert_eq!(
            server
                .raw(Method::POST, "/api/login", &headers, body)
                .await
                .status,
            401
        );
    }
    assert_eq!(server.get("/api/session").await.json()["username"], "me");
}

#[tokio::test]
async fn other_hosts_are_refused_everywhere() {
    let server = TestServer::start().await;
    let key = server.key_header();
    for path in ["/healthz", "/api/session", "/", "/graphql"] {
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "",
        ] {
            let headers = [("host", host), ("authorization", key.as_str())];
            let answer = server.raw(Method::GET, path, &headers, Body::empty()).await;
            assert_eq!(answer.status, 403, "{host} {path}");
            assert_eq!(answer.json()["error"]["code"], "host_not_allowed");
        }
    }
}

/// The cookie that a fresh sign-in link gives.
async fn sign_in(server: &TestServer) -> String {
    let url = server.post("/api/login-links", "").await.json()["url"].clone();
    let url = url.as_str().expect("a URL").to_owned();
    let path = url
        .strip_prefix(&format!("http://{HOST}"))
        .expect("a link to this host")
        .to_owned();
    let answer = server.raw(Method::GET, &path, &[], Body::empty()).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (303, "/")
    );
    let again = server.raw(Method::GET, &path, &[], Body::empty()).await;
    assert_eq!(again.status, 403, "a link works once");
    let cookie = answer.header("set-cookie").to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    cookie.split(';').next().expect("name and value").to_owned()
}

#[tokio::test]
async fn cookie_reads_but_changes_only_from_own_pages() {
    let server = TestServer::start().await;
    let cookie = sign_in(&server).await;
    let cookie = ("cookie", cookie.as_str());
    let session = server
        .raw(Method::GET, "/api/session", &[cookie], Body::empty())
        .await;
    assert_eq!(session.status, 200);
    let body = r#"{"query": "{ viewer { username } }"}"#;
    let json = ("content-type", "application/json");
    let own_origin = format!("http://{HOST}");
    let cases = [
        (None, 403),
        (Some("http://evil.example"), 403),
        (Some("null"), 403),
        (Some(own_origin.as_str()), 200),
    ];
    for (origin, status) in cases {
        let mut headers = vec![cookie, json];
        headers.extend(origin.map(|origin| ("origin", origin)));
        let answer = server.raw(Method::POST, "/graphql", &headers, body).await;
        assert_eq!(answer.status, status, "{origin:?}");
    }
    let headers = [
        cookie,
        ("content-type", "text/plain"),
        ("origin", own_origin.as_str()),
    ];
    assert_eq!(
        server
            .raw(Method::POST, "/graphql", &headers, body)
            .await
            .status,
        415
    );
}

#[tokio::test]
async fn sessions_end_by_logout_and_by_idleness() {
    let server = TestServer::start().await;
    let own_origin = format!("http://{HOST}");
    let first = sign_in(&server).await;
    let second = sign_in(&server).await;
    let headers = [("cookie", first.as_str()), ("origin", own_origin.as_str())];
    assert_eq!(
        server
            .raw(Method::POST, "/api/logout", &headers, "")
            .await
            .status,
        200
    );
    let status = |cookie: String| {
        let server = &server;
        async move {
            let headers = [("cookie", cookie.as_str())];
            server
                .raw(Method::GET, "/api/session", &headers, Body::empty())
                .await
                .status
                .as_u16()
        }
    };
    assert_eq!(
        (status(first).await, status(second.clone()).await),
        (401, 200)
    );
    server.clock.advance(Duration::from_hours(11));
    assert_eq!(status(second.clone()).await, 200);
    server.clock.advance(Duration::from_hours(11));
    assert_eq!(status(second.clone()).await, 200, "use prolongs a session");
    server.clock.advance(Duration::from_hours(13));
    assert_eq!(status(second).await, 401);
}

#[tokio::test]
async fn sign_in_links_expire() {
    let server = TestServer::start().await;
    let url = server.server.sign_in_url().to_owned();
    let path = &url[url.find("/login").expect("a login path")..];
    server.clock.advance(Duration::from_secs(601));
    assert_eq!(
        server
            .raw(Method::GET, path, &[], Body::empty())
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn database_holds_no_key_in_clear() {
    let server = TestServer::start().await;
    let cookie = sign_in(&server).await;
    let secrets = [
        server.server.credentials().api_key.clone(),
        cookie.split('=').nth(1).expect("value").to_owned(),
    ];
    let bytes = database::stored_bytes(server.dir.path()).await;
    assert!(bytes.windows(2).any(|window| window == b"me"));
    for secret in secrets {
        assert!(
            !bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes())
        );
    }
}

#[tokio::test]
async fn second_server_on_one_directory_is_refused() {
    let server = TestServer::start().await;
    let mut config = runlane_server::ServerConfig::new(server.dir.path(), "me");
    config.port = 0;
    let error = runlane_server::Server::start(config)
        .await
        .expect_err("the directory is taken");
    assert!(
        matches!(error, runlane_server::ServerError::AlreadyRunning { .. }),
        "{error}"
    );
    let environment = runlane_server::environment(server.dir.path()).expect("it runs");
    assert_eq!(environment.base_url, server.server.base_url());
    assert_eq!(environment.api_key, server.server.credentials().api_key);
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let server = TestServer::start().await;
    for path in ["/healthz", "/api/session", "/nowhere", "/api/nowhere"] {
        let answer = server.raw(Method::GET, path, &[], Body::empty()).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        let csp = answer.header("content-security-policy");
        assert!(
            csp.contains("script-src 'self'") && csp.contains("object-src 'none'"),
            "{path}: {csp}"
        );
        assert!(!csp.contains("script-src 'self' 'unsafe"), "{csp}");
    }
}
