//! What every request handler can reach.

use std::collections::HashSet;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::auth::hosts::AllowedHosts;
use crate::clock::Clock;
use crate::files::signer::Signer;
use crate::filestream::Ingest;
use crate::graphql::ApiSchema;
use crate::history::cache::HistoryCache;
use crate::live::LiveHub;
use crate::store::Store;
use crate::store::accounts::Account;

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
    pub(crate) signer: Signer,
    pub(crate) schema: ApiSchema,
    pub(crate) owner: Account,
    pub(crate) hosts: AllowedHosts,
    pub(crate) public_url: Option<String>,
    pub(crate) web_dir: Option<PathBuf>,
    /// Entities that were filed under the default one, told once each.
    pub(crate) told: Mutex<HashSet<String>>,
    /// Ends open event streams.
    pub(crate) closing: tokio::sync::watch::Receiver<bool>,
}

impl AppState {
    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// The entity under which `asked` is filed: on a single-user server always the owner's, said once per name.
    pub(crate) fn resolve_entity(&self, asked: &str) -> String {
        let entity = &self.owner.entity;
        if !asked.is_empty() && asked != entity {
            let mut told = self.told.lock();
            if told.len() < TOLD_ENTITIES && told.insert(asked.to_owned()) {
                tracing::info!(
                    asked,
                    entity,
                    "unknown entity is filed under the default entity of this single-user server"
                );
            }
        }
        entity.clone()
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
