//! What every request handler can reach.

use std::collections::HashSet;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::artifacts::commits::Commits;
use crate::auth::hosts::AllowedHosts;
use crate::blobs::multipart::Joins;
use crate::clock::Clock;
use crate::filestream::Ingest;
use crate::graphql::ApiSchema;
use crate::graphql::unknown::Unknown;
use crate::history::cache::HistoryCache;
use crate::limits::Limits;
use crate::live::LiveHub;
use crate::rate::RateLimiter;
use crate::run_table::RunTables;
use crate::signer::Signer;
use crate::store::Store;

/// Unknown entities remembered, so that each is told once.
const TOLD_ENTITIES: usize = 1_000;

/// Shared state; cheap to clone.
#[derive(Clone)]
pub(crate) struct AppState(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ingest: Ingest,
    pub(crate) live: LiveHub,
    pub(crate) history: HistoryCache,
    /// See `ServerConfig::max_history_parts`.
    pub(crate) max_history_parts: usize,
    pub(crate) run_tables: RunTables,
    pub(crate) signer: Signer,
    /// Files whose parts are being joined.
    pub(crate) joins: Joins,
    /// Versions of artifacts that are being committed.
    pub(crate) commits: Commits,
    pub(crate) schema: ApiSchema,
    pub(crate) hosts: AllowedHosts,
    pub(crate) public_url: Option<String>,
    pub(crate) web_dir: Option<PathBuf>,
    /// Entities that were filed under the default one, told once each.
    pub(crate) told: Mutex<HashSet<String>>,
    /// What clients ask for in vain.
    pub(crate) unknown: Unknown,
    /// Bounds of requests and connections.
    pub(crate) limits: Limits,
    /// Memory for bodies that are arriving, in bytes.
    pub(crate) bodies: Arc<Semaphore>,
    /// Memory for what is being decoded and checked, in bytes.
    pub(crate) work: Arc<Semaphore>,
    /// Requests of each caller.
    pub(crate) rate: RateLimiter,
    /// The server is about to stop and wants no new clients.
    pub(crate) draining: tokio::sync::watch::Receiver<bool>,
    /// Ends open event streams.
    pub(crate) closing: tokio::sync::watch::Receiver<bool>,
}

impl AppState {
    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Says, once for each name, that an unknown entity is filed under the only one.
    pub(crate) fn tell_unknown_entity(&self, asked: &str, entity: &str) {
        let mut told = self.told.lock();
        if told.len() < TOLD_ENTITIES && told.insert(asked.to_owned()) {
            tracing::info!(
                asked,
                entity,
                "unknown entity is filed under the default entity of this single-user server"
            );
        }
    }

    /// The URL under which the client of a request reaches this server, without a slash at the end.
    pub(crate) fn base_url(&self, host_header: &str) -> String {
        self.public_url
            .clone()
            .unwrap_or_else(|| format!("http://{host_header}"))
    }
}

impl Deref for AppState {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
