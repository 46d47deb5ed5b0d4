//! Work that nobody asks for: giving up silent runs, moving history into Parquet objects, removing what nobody needs.

use std::time::Duration;

use futures::StreamExt as _;
use runlane_model::run_state::RunState;
use tokio::sync::watch;

use crate::artifacts::sweep;
use crate::blobs::collect;
use crate::clock::Clock;
use crate::error::StoreError;
use crate::history::compact;
use crate::live::{LiveHub, closed};
use crate::store::{Store, alerts, files, runs};

/// How often a store that several servers share is looked through for leftovers.
const LEFTOVERS_INTERVAL: Duration = Duration::from_hours(6);
/// Objects that are looked up at a time: a store may have millions, and the embedded one is looked through before anything is served.
const LEFTOVERS_BATCH: usize = 500;

/// How long upkeep waits between looks, and what it looks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Upkeep {
    pub(crate) interval: Duration,
    pub(crate) heartbeat_timeout: Duration,
    pub(crate) compact_lines: u64,
    /// See `ServerConfig::unused_content_grace`.
    pub(crate) content_grace: Duration,
    /// Runs could not send heartbeats while no server ran; their silence counts from here.
    pub(crate) started_at_micros: i64,
}

impl Upkeep {
    /// Looks after the store until `closing`.
    pub(crate) async fn run(
        self,
        store: Store,
        clock: std::sync::Arc<dyn Clock>,
        live: LiveHub,
        mut closing: watch::Receiver<bool>,
    ) {
        let mut tick = tokio::time::interval(self.interval);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut leftovers = tokio::time::interval(LEFTOVERS_INTERVAL);
        leftovers.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut collection = tokio::time::interval(collect::INTERVAL);
        collection.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = closed(&mut closing) => return,
                _ = leftovers.tick(), if !store.leftover_age().is_zero() => {
                    let removed = match store.lead().await {
                        Ok(Some(_lead)) => Self::remove_leftovers(&store).await.map(drop),
                        other => other.map(drop),
                    };
                    if let Err(error) = removed {
                        tracing::warn!(error = %error, "leftover objects were not looked for");
                    }
                    continue;
                }
                _ = collection.tick() => {
                    let collected = match store.lead().await {
                        Ok(Some(_lead)) => self.collect(&store, clock.now_micros()).await.map(drop),
                        other => other.map(drop),
                    };
                    if let Err(error) = collected {
                        tracing::warn!(error = %error, "unused content of artifacts was not looked for");
                    }
                    continue;
                }
                _ = tick.tick() => {}
            }
            let lead = match store.lead().await {
                Ok(Some(lead)) => lead,
                // Another process does it.
                Ok(None) => continue,
                Err(error) => {
                    tracing::error!(error = %error, "upkeep was left out");
                    continue;
                }
            };
            if let Err(error) = self.give_up_silent(&store, clock.now_micros(), &live).await {
                tracing::error!(error = %error, "silent runs were not looked for");
            }
            if let Err(error) = compact::run_once(&store, self.compact_lines).await {
                tracing::error!(error = %error, "history was not compacted");
            }
            if let Err(error) = sweep::sweep(&store, clock.as_ref(), &live).await {
                tracing::error!(error = %error, "versions of artifacts whose time is over were not looked for");
            }
            drop(lead);
        }
    }

    /// Removes content of artifacts that nobody needs any more.
    pub(crate) async fn collect(
        &self,
        store: &Store,
        now_micros: i64,
    ) -> Result<collect::Collected, StoreError> {
        collect::run_once(store, self.content_grace, now_micros).await
    }

    /// Removes objects of uploads and compactions that were begun and never committed; how many.
    pub(crate) async fn remove_leftovers(store: &Store) -> Result<usize, StoreError> {
        // Compared with times that the object store wrote, hence the system's clock. Younger objects may belong to work
        // in progress.
        let old = chrono::Utc::now() - store.leftover_age();
        let keys = store.objects.written_before(old).chunks(LEFTOVERS_BATCH);
        let mut keys = std::pin::pin!(keys);
        let mut removed = 0;
        while let Some(batch) = keys.next().await {
            let batch: Vec<String> = batch.into_iter().collect::<Result<_, _>>()?;
            removed += Self::remove_unused(store, &batch).await?;
        }
        if removed > 0 {
            tracing::info!(removed, "objects of interrupted uploads removed");
        }
        Ok(removed)
    }

    /// Removes those of the objects `keys` that no row names; how many.
    pub(crate) async fn remove_unused(store: &Store, keys: &[String]) -> Result<usize, StoreError> {
        if keys.is_empty() {
            return Ok(0);
        }
        let used = {
            let mut reader = store.reader().await?;
            files::used_objects(&mut reader, keys).await?
        };
        let mut removed = 0;
        for key in keys.iter().filter(|key| !used.contains(*key)) {
            store.objects.remove(key).await;
            removed += 1;
        }
        Ok(removed)
    }

    /// Marks active runs without a recent heartbeat; how many.
    pub(crate) async fn give_up_silent(
        &self,
        store: &Store,
        now_micros: i64,
        live: &LiveHub,
    ) -> Result<usize, StoreError> {
        let timeout = i64::try_from(self.heartbeat_timeout.as_micros()).unwrap_or(i64::MAX);
        if now_micros - self.started_at_micros < timeout {
            return Ok(0);
        }
        let before = now_micros - timeout;
        let silent = {
            let mut reader = store.reader().await?;
            runs::silent(&mut reader, before).await?
        };
        if silent.is_empty() {
            return Ok(0);
        }
        let mut given_up = Vec::new();
        let mut writer = store.writer().await?;
        // Read again under the write lock: a heartbeat may have come in between.
        for run in runs::silent_locked(&mut writer, before).await? {
            let state: RunState = run.state.parse().unwrap_or(RunState::Running);
            let dead = state.after_death();
            runs::set_state(&mut writer, run.id, dead.as_str(), None, run.stop_requested).await?;
            if dead == RunState::Crashed {
                let minutes = self.heartbeat_timeout.as_secs().div_ceil(60);
                let text = format!("No heartbeat arrived for {minutes} minutes.");
                alerts::add_crash(&mut writer, run.id, &text, now_micros).await?;
            }
            tracing::warn!(
                run = format!("{}/{}/{}", run.entity, run.project, run.name),
                state = dead.as_str(),
                "run sends no heartbeats"
            );
            given_up.push(run.id);
        }
        writer.commit().await?;
        for run_id in &given_up {
            live.changed(*run_id);
        }
        Ok(given_up.len())
    }
}
