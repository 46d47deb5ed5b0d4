//! The upload of one log: reads, folds, sends, remembers. Online runs and `sync` are this same loop.
//!
//! One task per log. Requests go out in tasks of their own (`calls`, `run_files`), so that a slow server holds up neither
//! the reading of the log nor the other kinds of requests; what they bring is taken in here.

mod artifacts;
mod calls;
mod links;
mod meeting;
mod opening;
mod reading;
mod redrive;
mod run_files;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use runlane_model::backoff::Backoff;
use runlane_proto::wandb_internal as pb;
use tokio::task::{AbortHandle, JoinError, JoinSet};

use self::artifacts::{Artifacts, SHOW_INTERVAL};
use self::calls::Done;
pub(crate) use self::links::Links;
use self::links::Pause;
pub(crate) use self::opening::run;
use self::run_files::Look;
use super::cursor::{CursorFile, Target};
use super::files::{FilePlan, Uploaded};
use super::graphql::Server;
use super::http::CallError;
use super::job::Job;
use super::projection::Projection;
use super::quarantine::DeadLetters;
use super::start::Started;
use super::stream::{End, FileStream, Offsets, Quarantined, Step};
use super::summary_line;
use super::tail::LogTail;
use super::{Outside, blocking};

/// Records read at a stretch.
const RECORDS: usize = 512;
/// Progress is saved at most this often, and at the end.
const SAVE_INTERVAL: Duration = Duration::from_secs(2);
/// Requests to a server that is not ours, and changes of config and files.
const OTHERS_INTERVAL: Duration = Duration::from_secs(15);
const OTHERS_DEBOUNCE: Duration = Duration::from_secs(5);
const OUR_INTERVAL: Duration = Duration::from_secs(1);
/// Waiting for nothing in particular.
const FOREVER: Duration = Duration::from_hours(1);
/// Batches of files under way.
const FILE_BATCHES: usize = 4;
/// Lines that wait in all uploads together; beyond, each keeps no more than its share.
const WAITING_BYTES: usize = 32 << 20;
const SHARE_BYTES: usize = 128 << 10;

#[expect(
    clippy::struct_excessive_bools,
    reason = "independent marks of what goes on"
)]
struct Engine {
    outside: Outside,
    job: Job,
    server: Server,
    links: Links,
    tail: LogTail,
    projection: Projection,
    stream: FileStream,
    started: Started,
    cursor: CursorFile,
    target: Target,
    saved_at: Instant,
    checkpoints: VecDeque<(u64, Offsets)>,
    calls: JoinSet<(u32, Done)>,
    /// Counts the keys; what was sent with an earlier one says nothing of the present one.
    epoch: u32,
    has_old_key: bool,
    entering: Option<AbortHandle>,
    is_changing: bool,
    is_alerting: bool,
    /// Answers in a row that told of fewer lines than there must be.
    shortfalls: u32,
    conflicts: Option<u64>,
    dead: DeadLetters,
    /// Taken out of the stream, with status and reason, and not on disk yet.
    unburied: VecDeque<(Quarantined, u16, String)>,
    quarantined: u64,
    told_quarantine: bool,
    files: FilePlan,
    file_tasks: JoinSet<(u32, Uploaded)>,
    /// At live files; one at a time.
    looks: JoinSet<Look>,
    files_due: Option<Instant>,
    failed_files_due: Option<Instant>,
    files_backoff: Backoff,
    artifacts: Artifacts,
    alerts: VecDeque<pb::AlertRecord>,
    alerts_due: Option<Instant>,
    upsert_due: Option<Instant>,
    upsert_backoff: Backoff,
    summary_due: Instant,
    interval: Duration,
    debounce: Duration,
    warnings: BTreeMap<String, u64>,
    hurry_seen: u64,
    share: Share,
    /// The last read came to the log's present end.
    at_end: bool,
    ended: bool,
    finishing: bool,
}

/// What one upload adds to the sum of waiting bytes.
struct Share {
    sum: Arc<AtomicUsize>,
    counted: usize,
}

impl Share {
    fn count(&mut self, bytes: usize) {
        if bytes >= self.counted {
            self.sum.fetch_add(bytes - self.counted, Ordering::Relaxed);
        } else {
            self.sum.fetch_sub(self.counted - bytes, Ordering::Relaxed);
        }
        self.counted = bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.count(0);
    }
}

/// Why the loop does not go on.
#[derive(Debug)]
enum Halt {
    /// Until something outside changes.
    Pause(Pause),
    /// The server has lost what it had: it has so many lines of this log now.
    GoBack(Offsets),
    /// For good.
    Over(String),
}

impl From<String> for Halt {
    fn from(problem: String) -> Self {
        Self::Over(problem)
    }
}

/// A task that ended by itself is a bug; one that was stopped is none.
fn abnormal(what: &str, error: &JoinError) -> Result<(), Halt> {
    if error.is_cancelled() {
        return Ok(());
    }
    tracing::error!(%error, "{what} ended abnormally");
    Err(Halt::Over(format!("a {what} ended abnormally")))
}

impl Engine {
    fn now(&self) -> Instant {
        self.outside.clock.now()
    }

    /// Goes on until everything is stored, through pauses.
    async fn serve(&mut self) -> Result<(), Halt> {
        loop {
            match self.go_on().await {
                Err(Halt::Pause(pause)) => {
                    self.save(true);
                    self.report();
                    self.leave_gate();
                    let links = &mut self.links;
                    let goes_on = links.pause(&self.outside, &self.job, &mut self.server, &pause);
                    if !goes_on.await {
                        return Err(Halt::Pause(pause));
                    }
                    self.epoch += 1;
                }
                other => return other,
            }
        }
    }

    async fn go_on(&mut self) -> Result<(), Halt> {
        loop {
            blocking(|| self.fill())?;
            self.log_end()?;
            let now = self.now();
            self.start_changes(now);
            self.start_alert(now);
            self.start_look(now);
            self.start_file_batches(now);
            self.start_artifacts();
            self.offer_summary(now);
            self.offer_end();
            let wake = match self.stream.next(now) {
                Step::Due => {
                    self.enter();
                    now + FOREVER
                }
                Step::Complete => {
                    if self.job.retry_quarantined {
                        self.redrive().await?;
                    }
                    self.target.complete = true;
                    self.save(true);
                    self.report();
                    return Ok(());
                }
                // More is waiting in the log.
                Step::Wait(_) if !self.ended && !self.at_end && self.has_room() => {
                    tokio::task::yield_now().await;
                    continue;
                }
                Step::Wait(at) => at,
                Step::Busy => now + FOREVER,
            };
            self.save(false);
            self.report();
            self.wait(wake).await?;
        }
    }

    async fn wait(&mut self, wake: Instant) -> Result<(), Halt> {
        let (mut wake, now) = (wake, self.now());
        let dues = [
            self.upsert_due.filter(|_| !self.is_changing),
            self.alerts_due.filter(|_| !self.is_alerting),
            self.files_due
                .filter(|_| self.file_tasks.len() < FILE_BATCHES),
            self.failed_files_due,
            self.files.look_due(now).filter(|_| !self.ended),
        ];
        for due in dues.into_iter().flatten() {
            wake = wake.min(due);
        }
        if self.projection.summary_changed {
            wake = wake.min(self.summary_due);
        }
        if let Some(poll) = self.job.poll.filter(|_| !self.ended) {
            wake = wake.min(now + poll);
        }
        if self.artifacts.is_moving() {
            wake = wake.min(now + SHOW_INTERVAL);
        }
        if self.stream.has_room() && !self.has_room() {
            // Others hold the memory; they make room without telling.
            wake = wake.min(now + OUR_INTERVAL);
        }
        // More is waiting in the log as soon as there is room.
        tokio::select! {
            changed = self.links.log.changed(), if !self.ended => {
                if changed.is_err() {
                    self.outside.clock.sleep_until(wake.min(now + OUR_INTERVAL)).await;
                }
            }
            Some(done) = self.calls.join_next(), if !self.calls.is_empty() => match done {
                Ok(done) => self.take_done(done)?,
                Err(error) => abnormal("request", &error)?,
            },
            Some(done) = self.file_tasks.join_next(), if !self.file_tasks.is_empty() => match done {
                Ok((epoch, outcome)) => self.files_stored(epoch, &outcome)?,
                Err(error) => abnormal("upload of files", &error)?,
            },
            Some(found) = self.looks.join_next(), if !self.looks.is_empty() => match found {
                Ok(found) => self.looked(&found),
                Err(error) => abnormal("look at files", &error)?,
            },
            Some(done) = self.artifacts.tasks.join_next(), if !self.artifacts.tasks.is_empty() => match done {
                Ok((epoch, saved)) => self.artifact_ended(epoch, saved)?,
                Err(error) => abnormal("upload of an artifact", &error)?,
            },
            Some(done) = self.artifacts.cleaning.join_next(), if !self.artifacts.cleaning.is_empty() => {
                if let Err(error) = done {
                    abnormal("putting by of staged files", &error)?;
                }
            }
            () = self.outside.clock.sleep_until(wake) => {}
        }
        Ok(())
    }

    /// Whether more lines may be read: the stream has room, and so have all uploads together.
    fn has_room(&self) -> bool {
        let others = self.outside.waiting_bytes.load(Ordering::Relaxed);
        self.stream.has_room()
            && (others < WAITING_BYTES || self.stream.waiting_bytes() < SHARE_BYTES)
    }

    /// Each kind of warning once.
    fn warn(&mut self, text: String) {
        let count = self.warnings.entry(text.clone()).or_default();
        *count += 1;
        if *count == 1 && self.warnings.len() <= 20 {
            self.links.notice(30, text);
        }
    }

    fn offer_summary(&mut self, now: Instant) {
        if self.projection.summary_changed && self.summary_due <= now {
            self.summary_due = now + self.interval;
            self.projection.summary_changed = false;
            self.put_summary();
        }
    }

    /// Hands the summary as it is now to the stream.
    fn put_summary(&mut self) {
        if self.projection.joins() {
            return;
        }
        let limit = self.projection.max_line_bytes();
        let (line, left_out) = summary_line::fitting(self.projection.summary(), limit);
        if let Some(largest) = left_out.first() {
            self.warn(format!(
                "the summary is too large for the server: the value of `{}` is not uploaded there",
                largest.escape_debug()
            ));
        }
        self.stream.set_summary(line);
    }

    /// The last request goes when nothing else is left.
    fn offer_end(&mut self) {
        let waits = self.upsert_due.is_some()
            || self.is_changing
            || !self.alerts.is_empty()
            || self.files.is_waiting()
            || self.files.has_failed()
            || !self.file_tasks.is_empty()
            || self.artifacts.is_busy();
        if !self.ended || self.finishing || waits {
            return;
        }
        self.finishing = true;
        self.stream.finish(self.end());
    }

    /// How the run has ended.
    fn end(&self) -> End {
        let exit = self.projection.exit.as_ref();
        End {
            exit_code: exit.map_or(1, |exit| exit.exit_code),
            trainer_died: exit.is_none(),
            // Whoever only joins a run does not end it, not even by dying.
            changes_state: self.job.settings.update_finish_state
                && exit.map_or(!self.projection.joins(), |exit| !exit.not_complete),
        }
    }

    /// Tells of a problem that is being retried: in the status always, to the user when it lasts.
    fn trouble(&mut self, error: &CallError) {
        tracing::warn!(message = %error.message, run = %self.job.settings.run_id, "upload retried");
        let is_new = self.links.status.borrow().problem != error.message;
        if is_new && self.stream.failures() == 3 {
            self.links.notice(
                30,
                format!("uploads are delayed: {}; trying again", error.message),
            );
        }
        self.links
            .status
            .send_modify(|status| status.problem.clone_from(&error.message));
    }

    /// Moves the cursor behind what is stored.
    fn advance(&mut self) {
        let stored = self.stream.stored();
        while let Some((bytes, lines)) = self.checkpoints.front()
            && stored.covers(lines)
            && self.alerts.is_empty()
        {
            self.target.bytes = self.target.bytes.max(*bytes);
            self.checkpoints.pop_front();
        }
        (self.target.history, self.target.events, self.target.output) =
            (stored.history, stored.events, stored.output);
    }

    fn report(&mut self) {
        self.advance();
        self.share.count(self.stream.waiting_bytes());
        let mut now = self.links.status.borrow().clone();
        (now.rows, now.bytes, now.complete) =
            (self.target.history, self.target.bytes, self.target.complete);
        (now.kept, now.lost, now.ends_torn) =
            (self.projection.kept, self.tail.lost(), self.tail.ends_torn);
        now.marked = self.projection.lost;
        (now.files_left, now.quarantined) = (self.files.left(), self.quarantined);
        self.show_artifacts(&mut now);
        self.links.status.send_if_modified(|status| {
            let changed = *status != now;
            *status = now;
            changed
        });
    }

    fn save(&mut self, at_once: bool) {
        let now = self.now();
        if !at_once && now.saturating_duration_since(self.saved_at) < SAVE_INTERVAL {
            return;
        }
        self.saved_at = now;
        if let Err(error) = blocking(|| self.cursor.save(&self.target)) {
            tracing::warn!(%error, "upload cursor cannot be saved");
        }
    }
}
