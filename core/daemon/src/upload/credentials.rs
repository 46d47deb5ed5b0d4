//! Keys that come after a run was started: uploads whose key is refused wait here for another one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Servers whose newest key is kept.
const SERVERS: usize = 64;

/// The newest key of each server, and who waits for one.
#[derive(Debug)]
pub(crate) struct Credentials {
    state: Mutex<State>,
    offers: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    keys: HashMap<String, String>,
    waiting: HashMap<String, usize>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the keys.
        formatter
            .debug_struct("State")
            .field("servers", &self.keys.len())
            .finish_non_exhaustive()
    }
}

/// One upload that waits; it is counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    credentials: Arc<Credentials>,
    server: String,
    offers: watch::Receiver<u64>,
}

impl Credentials {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            offers: watch::Sender::new(0),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A key for a server; the number of uploads that wait for one and try it now.
    pub(crate) fn offer(&self, base_url: &str, key: &str) -> usize {
        let server = name_of(base_url);
        let mut state = self.state();
        if state.keys.len() >= SERVERS && !state.keys.contains_key(&server) {
            state.keys.clear();
        }
        let waiting = state.waiting.get(&server).copied().unwrap_or(0);
        let is_new = state.keys.insert(server, key.to_owned()).as_deref() != Some(key);
        drop(state);
        if is_new {
            tracing::info!(base_url, waiting, "another key for a server");
            self.offers.send_modify(|offers| *offers += 1);
        }
        waiting
    }

    /// Begins to wait for a key.
    pub(crate) fn wait(self: &Arc<Self>, base_url: &str) -> Waiting {
        let server = name_of(base_url);
        *self.state().waiting.entry(server.clone()).or_default() += 1;
        Waiting {
            credentials: Arc::clone(self),
            server,
            offers: self.offers.subscribe(),
        }
    }
}

impl Waiting {
    /// Resolves with the newest key once it is another than `known`.
    pub(crate) async fn other_than(&mut self, known: &str) -> String {
        loop {
            let newest = self.credentials.state().keys.get(&self.server).cloned();
            if let Some(key) = newest.filter(|key| key != known) {
                return key;
            }
            if self.offers.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.credentials.state();
        if let Some(count) = state.waiting.get_mut(&self.server) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                state.waiting.remove(&self.server);
            }
        }
    }
}

fn name_of(base_url: &str) -> String {
    base_url.trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_new_key_wakes_those_who_wait_for_that_server() {
        let credentials = Credentials::new();
        let mut waiting = credentials.wait("http://a");
        let mut other = credentials.wait("http://b/");
        assert_eq!(credentials.offer("http://a/", "old"), 1);
        let same = tokio::time::timeout(Duration::from_millis(50), waiting.other_than("old"));
        same.await.expect_err("the refused key is no news");
        let found = tokio::spawn(async move { waiting.other_than("old").await });
        assert_eq!(credentials.offer("http://a", "new"), 1);
        assert_eq!(found.await.expect("no panic"), "new");
        assert_eq!(
            credentials.offer("http://a", "newer"),
            0,
            "nobody waits any more"
        );
        let nothing = tokio::time::timeout(Duration::from_millis(50), other.other_than(""));
        nothing.await.expect_err("a key for another server");
        let late = credentials.wait("http://a/").other_than("new").await;
        assert_eq!(late, "newer");
        assert!(!format!("{credentials:?}").contains("newer"));
    }
}
