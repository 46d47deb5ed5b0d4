//! The run's log as the actor sees it: append, sync on time, know what is durable.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use runlane_translog::{
    Durability, Error, LiveLog, MAX_BACKLOG_BYTES, OsFs, PendingRepair, PendingSync, RepairOutcome,
    RepairReport, SyncOutcome, SyncPolicy, Writer,
};

use super::encode::RecordBatch;

/// Disk space kept for what must be written at the end of a run, whatever fills the disk.
const RESERVE_BYTES: u64 = 4 << 20;
/// Pauses between attempts to replace a log whose sync failed; they double.
const FIRST_REPAIR_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_REPAIR_PAUSE: Duration = Duration::from_mins(5);

/// Once so much waits in memory for the disk in all runs of the process, none takes more.
const ALL_BACKLOGS_BYTES: u64 = 48 << 20;
static ALL_BACKLOGS: AtomicU64 = AtomicU64::new(0);

/// What a log's backlog adds to the sum of all.
#[derive(Debug, Default)]
struct BacklogShare(u64);

impl BacklogShare {
    fn set(&mut self, bytes: u64) {
        if bytes > self.0 {
            ALL_BACKLOGS.fetch_add(bytes - self.0, Ordering::Relaxed);
        } else if bytes < self.0 {
            ALL_BACKLOGS.fetch_sub(self.0 - bytes, Ordering::Relaxed);
        }
        self.0 = bytes;
    }
}

impl Drop for BacklogShare {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Owner of the log's writer.
#[derive(Debug)]
pub(crate) struct Journal {
    writer: Writer,
    policy: SyncPolicy,
    durability: Durability,
    /// What the running sync or repair will have covered.
    covering: BTreeMap<u64, u64>,
    synced: BTreeMap<u64, u64>,
    repair_at: Option<Instant>,
    repair_pause: Duration,
    backlog: BacklogShare,
    /// Files whose content is in the log now, and may go once the log is in its file.
    unneeded: Vec<PathBuf>,
    /// Records that damage had cost when the log was opened.
    pub(crate) damaged_records: u64,
}

/// Work on the disk that takes long, for another thread.
#[derive(Debug)]
pub(crate) enum DiskWork {
    Sync(PendingSync),
    Repair(PendingRepair<OsFs>),
}

/// How it went.
#[derive(Debug)]
pub(crate) enum DiskOutcome {
    Sync(SyncOutcome),
    Repair(RepairOutcome),
}

/// What a finished sync or repair means.
#[derive(Debug)]
pub(crate) enum DiskNews {
    Synced,
    Repaired(RepairReport),
    SyncFailed(Error),
    /// The first attempt to replace the log failed; later ones are silent.
    RepairFailed(Error),
    StillFailing,
}

impl DiskWork {
    /// Blocks on the disk.
    pub(crate) fn run(self) -> DiskOutcome {
        match self {
            Self::Sync(pending) => DiskOutcome::Sync(pending.run()),
            Self::Repair(pending) => DiskOutcome::Repair(pending.run()),
        }
    }
}

impl Journal {
    /// Creates the log; it must not exist.
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        Ok(Self::over(Writer::create(&OsFs, path)?))
    }

    /// Goes on with a log that another process left.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let (writer, recovery) = Writer::open_append(&OsFs, path)?;
        if recovery.stats.lost_records > 0 {
            tracing::error!(
                lost = recovery.stats.lost_records,
                path = %path.display(),
                "records of a damaged transaction log are lost"
            );
        }
        let mut journal = Self::over(writer);
        journal.damaged_records = recovery.stats.lost_records;
        // Nobody knows what was synced before.
        journal.policy.request(Instant::now());
        Ok(journal)
    }

    fn over(writer: Writer) -> Self {
        Self {
            writer,
            policy: SyncPolicy::new(Durability::Default),
            durability: Durability::Default,
            covering: BTreeMap::new(),
            synced: BTreeMap::new(),
            repair_at: None,
            repair_pause: FIRST_REPAIR_PAUSE,
            backlog: BacklogShare::default(),
            unneeded: Vec::new(),
            damaged_records: 0,
        }
    }

    /// Prepares for a run that is going on: how eagerly it is synced (`RunSettings.durability`), and the reserve.
    pub(crate) fn begin(&mut self, durability: &str) {
        self.durability = match durability {
            "strict" => Durability::Strict,
            "relaxed" => Durability::Relaxed,
            _ => Durability::Default,
        };
        self.policy = SyncPolicy::new(self.durability);
        self.policy.request(Instant::now());
        self.writer.keep_reserve(RESERVE_BYTES);
    }

    /// Gives the reserve back: the run has ended.
    pub(crate) fn end(&mut self) {
        if let Err(error) = self.writer.release_reserve() {
            tracing::warn!(%error, "reserved space stays with the log");
        }
    }

    /// The log for readers in this process.
    pub(crate) fn live(&self) -> LiveLog {
        self.writer.live()
    }

    /// Where the log is.
    pub(crate) fn path(&self) -> PathBuf {
        self.writer.path().to_owned()
    }

    /// Bytes in the log.
    pub(crate) fn len(&self) -> u64 {
        self.writer.len()
    }

    /// Bytes of the log that are on stable storage.
    pub(crate) fn synced_len(&self) -> u64 {
        self.writer.synced_len()
    }

    /// Whether the log's name still leads to it; false once somebody has removed or replaced it.
    pub(crate) fn is_named(&self) -> bool {
        self.writer.is_named()
    }

    /// Appends `batch` and empties it; what the disk does not take now waits in memory ([`Journal::is_behind`]).
    ///
    /// # Errors
    ///
    /// `BacklogFull`: too much waits already; the batch stays as it is.
    pub(crate) fn append(&mut self, batch: &mut RecordBatch, now: Instant) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        let before = self.written_len();
        let result = self.writer.append_batch(batch.iter()).map(drop);
        self.count(before, now);
        if result.is_ok() {
            batch.clear();
        }
        result
    }

    /// Whether a sync has failed and the file has not been replaced since.
    pub(crate) fn is_suspect(&self) -> bool {
        self.writer.is_suspect()
    }

    /// Tries to write what waits in memory.
    pub(crate) fn catch_up(&mut self, now: Instant) {
        let before = self.written_len();
        self.writer.flush();
        self.count(before, now);
    }

    /// Whether something appended waits in memory, and dies with this process.
    pub(crate) fn is_behind(&self) -> bool {
        self.writer.backlog_bytes() > 0
    }

    /// Whether there is room for more, in the file or in memory.
    pub(crate) fn takes_more(&self) -> bool {
        let own = self.writer.backlog_bytes();
        own == 0
            || own < MAX_BACKLOG_BYTES && ALL_BACKLOGS.load(Ordering::Relaxed) < ALL_BACKLOGS_BYTES
    }

    /// Why the log is behind, for the user.
    pub(crate) fn trouble(&self) -> Option<String> {
        let error = self.writer.trouble()?;
        Some(format!(
            "cannot write transaction log: {error}: `{}`",
            self.writer.path().display()
        ))
    }

    /// The records that wait in memory.
    pub(crate) fn backlog(&self) -> Result<Vec<Vec<u8>>, Error> {
        self.writer.backlog()
    }

    /// Disk space that is reserved for the end of the run, in bytes.
    pub(crate) fn reserve_left(&self) -> Result<Option<u64>, Error> {
        self.writer.reserve_left()
    }

    /// Writes `records` in the place of those that wait, into the reserve.
    pub(crate) fn replace_backlog(
        &mut self,
        records: &[Vec<u8>],
        now: Instant,
    ) -> Result<(), Error> {
        let before = self.written_len();
        let result = self.writer.replace_backlog(records);
        self.count(before, now);
        result
    }

    fn written_len(&self) -> u64 {
        self.writer.len() - self.writer.backlog_bytes()
    }

    fn count(&mut self, before: u64, now: Instant) {
        let bytes = self.written_len().saturating_sub(before);
        if bytes > 0 {
            self.policy.appended(bytes, now);
        }
        self.backlog.set(self.writer.backlog_bytes());
        if !self.is_behind() {
            for path in std::mem::take(&mut self.unneeded) {
                if let Err(error) = remove_if_there(&path) {
                    tracing::warn!(%error, path = %path.display(), "file whose content is logged stays");
                }
            }
        }
    }

    /// Removes a file whose content was appended, as soon as the disk has it.
    pub(crate) fn remove_when_written(&mut self, path: &Path) -> io::Result<()> {
        if self.is_behind() {
            self.unneeded.push(path.to_owned());
            return Ok(());
        }
        remove_if_there(path)
    }

    /// So many bytes of the open row were written beside the log; they are synced together with it.
    pub(crate) fn open_row_grew(&mut self, bytes: u64, now: Instant) {
        if bytes > 0 {
            self.policy.appended(bytes, now);
        }
    }

    /// What was appended so far must be durable at once.
    pub(crate) fn request_sync(&mut self, now: Instant) {
        self.policy.request(now);
    }

    /// When a sync, or the repair of a log that cannot be synced, is due.
    pub(crate) fn disk_deadline(&self) -> Option<Instant> {
        if self.writer.is_suspect() {
            return self.repair_at;
        }
        self.policy.deadline()
    }

    /// Writes and syncs everything now; blocks on the disk.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        self.writer.write_backlog()?;
        self.count(self.writer.len(), Instant::now());
        self.writer.sync()
    }

    /// Starts a sync or a repair if one is due; `logged` is what it will have made durable.
    pub(crate) fn begin_disk_work(
        &mut self,
        now: Instant,
        logged: impl FnOnce() -> BTreeMap<u64, u64>,
    ) -> Option<DiskWork> {
        if self.disk_deadline().is_none_or(|deadline| deadline > now) {
            return None;
        }
        if self.writer.is_suspect() {
            self.repair_at = None;
            let pending = self.writer.begin_repair(OsFs)?;
            self.covering = logged();
            return Some(DiskWork::Repair(pending));
        }
        let pending = self.writer.begin_sync()?;
        self.policy.started();
        self.covering = logged();
        Some(DiskWork::Sync(pending))
    }

    /// Takes note of how a sync or repair went.
    pub(crate) fn complete_disk_work(&mut self, outcome: DiskOutcome, now: Instant) -> DiskNews {
        match outcome {
            DiskOutcome::Sync(outcome) => {
                let result = self.writer.complete_sync(outcome);
                self.policy.finished(result.is_ok());
                match result {
                    Ok(()) => {
                        self.synced = std::mem::take(&mut self.covering);
                        DiskNews::Synced
                    }
                    Err(error) => {
                        self.repair_at = Some(now);
                        self.repair_pause = FIRST_REPAIR_PAUSE;
                        DiskNews::SyncFailed(error)
                    }
                }
            }
            DiskOutcome::Repair(outcome) => {
                let before = self.written_len();
                let result = self.writer.complete_repair(outcome);
                match result {
                    Ok(report) => {
                        self.synced = std::mem::take(&mut self.covering);
                        // Durable is what the copy holds; what came while it was made is synced next.
                        self.policy = SyncPolicy::new(self.durability);
                        self.policy.request(now);
                        self.count(before, now);
                        DiskNews::Repaired(report)
                    }
                    Err(error) => {
                        let is_first = self.repair_pause == FIRST_REPAIR_PAUSE;
                        self.repair_at = Some(now + self.repair_pause);
                        self.repair_pause = (self.repair_pause * 2).min(LONGEST_REPAIR_PAUSE);
                        tracing::error!(%error, "transaction log cannot be replaced");
                        if is_first {
                            DiskNews::RepairFailed(error)
                        } else {
                            DiskNews::StillFailing
                        }
                    }
                }
            }
        }
    }

    /// The highest entry of a writer that is on stable storage.
    pub(crate) fn synced_seq(&self, writer: u64) -> u64 {
        self.synced.get(&writer).copied().unwrap_or(0)
    }

    /// Whether everything appended is on stable storage.
    pub(crate) fn all_synced(&self) -> bool {
        self.policy.unsynced_bytes() == 0 && !self.is_behind() && !self.writer.is_suspect()
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
