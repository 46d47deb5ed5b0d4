//! The bounds of the HTTP surface: one table, which `GET /api/limits` tells.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use runlane_model::artifact::parts;
use serde_json::{Value, json};

use crate::state::AppState;
use crate::{filestream, graphql};

/// Bounds of a server process. The defaults are far beyond what well-behaved clients need.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections; further ones are answered 503.
    pub connections: usize,
    /// From the first byte of a request to the end of its headers.
    pub head_time: Duration,
    /// How long a connection may stay open between requests.
    pub idle_time: Duration,
    /// Longest pause of a client that sends a body.
    pub body_idle: Duration,
    /// From the first to the last byte of a body that is read into memory (uploads are not).
    pub body_time: Duration,
    /// Longest pause of a client that takes an answer.
    pub write_idle: Duration,
    /// Bytes of request bodies in memory, all together.
    pub bodies_bytes: usize,
    /// Bytes of what is being decoded and checked, all together.
    pub work_bytes: usize,
    /// Requests a second of one API key or session; 0 means any number.
    pub requests_per_sec: u32,
    /// Seconds of unused requests that a key may save up.
    pub burst_secs: u32,
    /// Bytes of one file of an artifact.
    pub artifact_file_bytes: u64,
    /// Bytes of one part of such a file.
    pub artifact_part_bytes: u64,
    /// How long a request waits for the parts of a file to be joined; it goes on without the request.
    pub join_wait: Duration,
    /// Bytes of one manifest: more than any with as many entries as an artifact may have.
    pub manifest_bytes: u64,
    /// After a request to stop: how long `/ready` says 503 while everything is still served, for load balancers.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4_096,
            head_time: Duration::from_secs(20),
            // Longer than W&B's client keeps a connection, so that it is the client that closes.
            idle_time: Duration::from_mins(2),
            body_idle: Duration::from_secs(30),
            body_time: Duration::from_mins(5),
            write_idle: Duration::from_secs(30),
            bodies_bytes: 128 << 20,
            work_bytes: 144 << 20,
            requests_per_sec: 2_000,
            burst_secs: 10,
            artifact_file_bytes: parts::MOST_BYTES,
            // Of the largest file in the most parts that there may be; clients' are mostly 100 MiB.
            artifact_part_bytes: 1 << 30,
            // W&B's client gives up a request after 30 s and sends it again.
            join_wait: Duration::from_secs(20),
            manifest_bytes: 512 << 20,
            drain_time: Duration::ZERO,
        }
    }
}

/// `GET /api/limits`: what the server takes.
pub(crate) async fn get(State(state): State<AppState>) -> Json<Value> {
    let limits = &state.limits;
    Json(json!({
        "connections": limits.connections,
        "headSecs": limits.head_time.as_secs(),
        "idleSecs": limits.idle_time.as_secs(),
        "bodyIdleSecs": limits.body_idle.as_secs(),
        "bodySecs": limits.body_time.as_secs(),
        "headBytes": crate::listen::HEAD_BYTES,
        "uriBytes": crate::routes::URI_BYTES,
        "requestsPerSec": limits.requests_per_sec,
        "burstRequests": limits.requests_per_sec.saturating_mul(limits.burst_secs),
        "fileStream": filestream::limits(),
        "graphql": graphql::limits(),
        "artifacts": {
            "fileBytes": state.store.objects.largest(Some(limits.artifact_file_bytes)).min(limits.artifact_file_bytes),
            "partBytes": limits.artifact_part_bytes,
            "parts": parts::MOST_PARTS,
            "manifestBytes": limits.manifest_bytes,
            "entries": runlane_model::artifact::manifest::MOST_ENTRIES,
        },
        "runFileBytes": state.store.objects.largest(None).min(crate::files::upload::MAX_FILE_BYTES),
    }))
}
