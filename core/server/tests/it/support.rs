//! A server over a temporary directory, and requests to it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runlane_server::clock::ManualClock;
use runlane_server::{Server, ServerConfig};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::database;

pub(crate) const HOST: &str = "localhost:8080";
const START_MICROS: i64 = 1_800_000_000_000_000;

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!(
                "not JSON ({error}): {}",
                String::from_utf8_lossy(&self.body)
            )
        })
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

pub(crate) struct TestServer {
    pub(crate) server: Server,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) dir: tempfile::TempDir,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::start_in(tempfile::tempdir().expect("temporary directory"), |_| ()).await
    }

    pub(crate) async fn start_in(
        dir: tempfile::TempDir,
        change: impl FnOnce(&mut ServerConfig),
    ) -> Self {
        Self::start_later(dir, Duration::ZERO, change).await
    }

    /// A server that starts `later` than the others do.
    pub(crate) async fn start_later(
        dir: tempfile::TempDir,
        later: Duration,
        change: impl FnOnce(&mut ServerConfig),
    ) -> Self {
        let mut config = ServerConfig::new(dir.path(), "me");
        config.port = 0;
        config.compact_lines = 100;
        config.database_url = database::of(dir.path()).await;
        change(&mut config);
        let clock = Arc::new(ManualClock::new(START_MICROS));
        clock.advance(later);
        let server = Server::start_with_clock(config, Arc::clone(&clock) as _)
            .await
            .expect("the server starts");
        Self { server, clock, dir }
    }

    pub(crate) fn key_header(&self) -> String {
        format!(
            "Basic {}",
            STANDARD.encode(format!("api:{}", self.server.credentials().api_key))
        )
    }

    /// Sends a request as it is, with `Host` only.
    pub(crate) async fn raw(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            request = request.header(header::HOST, HOST);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).expect("a valid request");
        let response = self
            .server
            .router()
            .oneshot(request)
            .await
            .expect("an answer");
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX)
            .await
            .expect("a whole body");
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.to_vec(),
        }
    }

    /// Sends a JSON request with the API key.
    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        let key = self.key_header();
        let headers = [
            ("authorization", key.as_str()),
            ("content-type", "application/json"),
        ];
        self.raw(Method::POST, path, &headers, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let key = self.key_header();
        self.raw(
            Method::GET,
            path,
            &[("authorization", key.as_str())],
            Body::empty(),
        )
        .await
    }

    /// The `data` of a GraphQL operation that succeeds.
    pub(crate) async fn graphql(&self, query: &str, variables: Value) -> Value {
        let answer = self.graphql_answer(query, variables).await;
        assert_eq!(
            answer.status,
            200,
            "{}",
            String::from_utf8_lossy(&answer.body)
        );
        let reply = answer.json();
        assert_eq!(reply.get("errors"), None, "{reply}");
        reply["data"].clone()
    }

    pub(crate) async fn graphql_answer(&self, query: &str, variables: Value) -> Answer {
        let body = json!({"query": query, "variables": variables, "operationName": ""});
        self.post("/graphql", body.to_string()).await
    }

    /// Creates the run `me/p/{name}`.
    pub(crate) async fn create_run(&self, name: &str) {
        self.graphql(
            "mutation U($name: String) { upsertBucket(input: {name: $name, modelName: \"p\"}) { inserted } }",
            json!({"name": name}),
        )
        .await;
    }

    /// One `file_stream` request to the run `me/p/{name}`.
    pub(crate) async fn stream(&self, name: &str, body: &Value) -> Answer {
        self.post(&format!("/files/me/p/{name}/file_stream"), body.to_string())
            .await
    }

    /// Lines of history.
    pub(crate) async fn send_history<L: AsRef<str>>(
        &self,
        name: &str,
        offset: usize,
        lines: &[L],
    ) -> Value {
        let content: Vec<&str> = lines.iter().map(AsRef::as_ref).collect();
        let body =
            json!({"files": {"wandb-history.jsonl": {"offset": offset, "content": content}}});
        let answer = self.stream(name, &body).await;
        assert_eq!(
            answer.status,
            200,
            "{}",
            String::from_utf8_lossy(&answer.body)
        );
        answer.json()["runlane"].clone()
    }

    /// Lines of system metrics.
    pub(crate) async fn send_events(&self, name: &str, offset: usize, lines: &[String]) {
        let body = json!({"files": {"wandb-events.jsonl": {"offset": offset, "content": lines}}});
        let answer = self.stream(name, &body).await;
        assert_eq!(
            answer.status,
            200,
            "{}",
            String::from_utf8_lossy(&answer.body)
        );
    }

    /// Fields of the run `me/p/{name}`.
    pub(crate) async fn run(&self, name: &str, fields: &str) -> Value {
        let query = format!(
            "query R($name: String!) {{ project(name: \"p\", entityName: \"me\") {{ run(name: $name) {{ {fields} }} }} }}"
        );
        self.graphql(&query, json!({"name": name})).await["project"]["run"].clone()
    }

    /// All history rows as text.
    pub(crate) async fn history(&self, name: &str) -> Vec<String> {
        let rows = self.run(name, "history(samples: 100000)").await["history"].clone();
        serde_json::from_value(rows).expect("a list of texts")
    }
}
