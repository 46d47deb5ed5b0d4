//! The run's log as the actor sees it: append, sync on time, know what is durable.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use runlane_translog::{Durability, OsFs, PendingSync, SyncOutcome, SyncPolicy, Writer};

use super::encode::RecordBatch;

/// Owner of the log's writer.
#[derive(Debug)]
pub(crate) struct Journal {
    writer: Writer,
    policy: SyncPolicy,
    /// What the running sync will have covered.
    covering: BTreeMap<u64, u64>,
    synced: BTreeMap<u64, u64>,
}

impl Journal {
    /// Creates the log; it must not exist.
    pub(crate) fn create(path: &Path) -> Result<Self, runlane_translog::Error> {
        Ok(Self::over(Writer::create(&OsFs, path)?))
    }

    /// Goes on with a log that another process left.
    pub(crate) fn open(path: &Path) -> Result<Self, runlane_translog::Error> {
        let (writer, recovery) = Writer::open_append(&OsFs, path)?;
        if recovery.stats.lost_records > 0 {
            tracing::error!(
                lost = recovery.stats.lost_records,
                path = %path.display(),
                "records of a damaged transaction log are lost"
            );
        }
        let mut journal = Self::over(writer);
        // Nobody knows what was synced before.
        journal.policy.request(Instant::now());
        Ok(journal)
    }

    fn over(writer: Writer) -> Self {
        Self {
            writer,
            policy: SyncPolicy::new(Durability::Default),
            covering: BTreeMap::new(),
            synced: BTreeMap::new(),
        }
    }

    /// Where the log is.
    pub(crate) fn path(&self) -> PathBuf {
        self.writer.path().to_owned()
    }

    /// Bytes in the log.
    pub(crate) fn len(&self) -> u64 {
        self.writer.len()
    }

    /// Appends `batch` and empties it. On failure what was appended is gone from the batch, the rest stays for another try.
    pub(crate) fn append(
        &mut self,
        batch: &mut RecordBatch,
        now: Instant,
    ) -> Result<(), runlane_translog::Error> {
        if batch.is_empty() {
            return Ok(());
        }
        match self.writer.append_batch(batch.iter()) {
            Ok(appended) => {
                let bytes = appended.bytes;
                self.policy.appended(bytes, now);
                batch.clear();
                Ok(())
            }
            Err(error) => {
                if let runlane_translog::Error::Append { appended, .. } = &error {
                    batch.drop_first(usize::try_from(*appended).unwrap_or(usize::MAX));
                }
                Err(error)
            }
        }
    }

    /// What was appended so far must be durable at once.
    pub(crate) fn request_sync(&mut self, now: Instant) {
        self.policy.request(now);
    }

    /// When a sync is due.
    pub(crate) fn sync_deadline(&self) -> Option<Instant> {
        self.policy.deadline()
    }

    /// Syncs everything now; blocks on the disk.
    pub(crate) fn sync(&mut self) -> Result<(), runlane_translog::Error> {
        self.writer.sync()
    }

    /// Starts a sync if one is due; `logged` is what it will have made durable.
    pub(crate) fn begin_sync(
        &mut self,
        now: Instant,
        logged: BTreeMap<u64, u64>,
    ) -> Option<PendingSync> {
        if !self.policy.is_due(now) {
            return None;
        }
        let pending = self.writer.begin_sync()?;
        self.policy.started();
        self.covering = logged;
        Some(pending)
    }

    /// Takes note of how a sync went.
    pub(crate) fn complete_sync(
        &mut self,
        outcome: SyncOutcome,
    ) -> Result<(), runlane_translog::Error> {
        let result = self.writer.complete_sync(outcome);
        self.policy.finished(result.is_ok());
        if result.is_ok() {
            self.synced = std::mem::take(&mut self.covering);
        }
        result
    }

    /// The highest entry of a writer that is on stable storage.
    pub(crate) fn synced_seq(&self, writer: u64) -> u64 {
        self.synced.get(&writer).copied().unwrap_or(0)
    }

    /// Whether everything appended is on stable storage.
    pub(crate) fn all_synced(&self) -> bool {
        self.policy.unsynced_bytes() == 0
    }
}
