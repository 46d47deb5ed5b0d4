//! An S3 server on loopback, over a directory, that fails as it is told to.
//!
//! Requests are signed and checked as S3's are ([`s3s`]). Faults are given in process, or as JSON by `PUT /-/faults`, which
//! replaces the ones before: a list of `{"method", "path", "status", "code", "delay_millis", "lose", "times"}`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use parking_lot::Mutex;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use serde::Deserialize;

pub(crate) const ACCESS_KEY: &str = "runlane-test";
pub(crate) const SECRET_KEY: &str = "runlane-test-secret";
pub(crate) const BUCKET: &str = "runs-of-tests";

/// What happens to requests that match.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Fault {
    /// Method; any if empty.
    pub(crate) method: String,
    /// Part of path and query; any if empty.
    pub(crate) path: String,
    /// Status of the answer; 0 lets the request pass.
    pub(crate) status: u16,
    /// S3's code of the error.
    pub(crate) code: String,
    /// Wait before the answer.
    pub(crate) delay_millis: u64,
    /// Say 200 and forget the request.
    pub(crate) lose: bool,
    /// How many requests it strikes; all, if none.
    pub(crate) times: Option<usize>,
}

/// A running server.
pub(crate) struct S3Store {
    /// `http://127.0.0.1:PORT`
    pub(crate) endpoint: String,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

struct Shared {
    service: S3Service,
    faults: Mutex<Vec<Fault>>,
    requests: AtomicUsize,
}

impl S3Store {
    /// Serves `directory`, with the bucket [`BUCKET`] in it, on a free port.
    pub(crate) async fn start(directory: &Path) -> Self {
        Self::start_at(directory, 0).await
    }

    /// Serves on `port`.
    pub(crate) async fn start_at(directory: &Path, port: u16) -> Self {
        std::fs::create_dir_all(directory.join(BUCKET)).expect("a directory of the bucket");
        let files = s3s_fs::FileSystem::new(directory).expect("a directory to serve");
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let shared = Arc::new(Shared {
            service: builder.build(),
            faults: Mutex::default(),
            requests: AtomicUsize::new(0),
        });
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port))
            .await
            .expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("serving");
        });
        Self {
            endpoint,
            shared,
            task,
        }
    }

    /// Replaces the faults.
    pub(crate) fn fail(&self, faults: Vec<Fault>) {
        *self.shared.faults.lock() = faults;
    }

    /// Settings that reach this store, under the names of the store's client.
    pub(crate) fn options(&self) -> Vec<(&'static str, String)> {
        vec![
            ("endpoint", self.endpoint.clone()),
            ("region", "us-east-1".to_owned()),
            ("access_key_id", ACCESS_KEY.to_owned()),
            ("secret_access_key", SECRET_KEY.to_owned()),
        ]
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Serves until the process ends.
    pub(crate) async fn wait(self) {
        self.task.await.expect("serving");
    }

    /// Ends the server: further connections are refused.
    pub(crate) fn stop(&self) {
        self.task.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if request.uri().path() == "/-/faults" {
        let body = axum::body::to_bytes(request.into_body(), 1 << 20)
            .await
            .expect("a short body");
        return match serde_json::from_slice(&body) {
            Ok(faults) => {
                *shared.faults.lock() = faults;
                StatusCode::NO_CONTENT.into_response()
            }
            Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
        };
    }
    shared.requests.fetch_add(1, Ordering::Relaxed);
    if let Some(fault) = strike(&shared, &request) {
        tokio::time::sleep(Duration::from_millis(fault.delay_millis)).await;
        if fault.lose {
            // S3 answers an upload with its ETag.
            return ([("etag", "\"00000000000000000000000000000000\"")], "").into_response();
        }
        if let Ok(status) = StatusCode::from_u16(fault.status)
            && fault.status != 0
        {
            let body = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{}</Code><Message>as told</Message></Error>",
                fault.code
            );
            return (status, [("content-type", "application/xml")], body).into_response();
        }
    }
    let request = request.map(s3s::Body::http_body_unsync);
    match shared.service.call(request).await {
        Ok(response) => response.map(Body::new),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:?}")).into_response(),
    }
}

fn strike(shared: &Shared, request: &Request) -> Option<Fault> {
    let target = request.uri().to_string();
    let mut faults = shared.faults.lock();
    let found = faults.iter_mut().find(|fault| {
        (fault.method.is_empty() || request.method() == fault.method.as_str())
            && target.contains(&fault.path)
            && fault.times != Some(0)
    })?;
    if let Some(times) = &mut found.times {
        *times -= 1;
    }
    Some(found.clone())
}
