//! The upload of one log: reads, folds, sends, remembers. Online runs and `sync` are this same loop.

mod changes;
mod links;
mod meeting;
mod reading;
mod run_files;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use runlane_model::backoff::{Backoff, UPLOAD, Verdict};
use runlane_model::limits;
use runlane_proto::wandb_internal as pb;
use tokio::task::JoinSet;

pub(crate) use self::links::Links;
use self::meeting::{meet, read_head};
use super::cursor::{CursorFile, Target};
use super::files::{FilePlan, Uploaded};
use super::graphql::Server;
use super::http::{CallError, Http, compressed};
use super::job::Job;
use super::projection::{LineFormat, Projection};
use super::start::Started;
use super::stream::{End, FileStream, Offsets, Step};
use super::summary_line;
use super::tail::LogTail;

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
const GZIP_FROM_BYTES: usize = 1 << 10;
/// A body that shrinks further than this is sent as it is: servers refuse it as a decompression bomb (ours from 200).
const GZIP_RATIO: usize = 100;

struct Engine {
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
    files: FilePlan,
    file_tasks: JoinSet<Uploaded>,
    files_due: Option<Instant>,
    files_backoff: Backoff,
    alerts: VecDeque<pb::AlertRecord>,
    alerts_due: Option<Instant>,
    upsert_due: Option<Instant>,
    upsert_backoff: Backoff,
    summary_due: Instant,
    interval: Duration,
    debounce: Duration,
    warnings: BTreeMap<String, u64>,
    hurry_seen: u64,
    /// The last read came to the log's present end.
    at_end: bool,
    ended: bool,
    finishing: bool,
}

/// Uploads the log of `job` to its end. Returns when everything is stored or nothing goes on by itself.
pub(crate) async fn run(job: Job, http: Arc<dyn Http>, mut links: Links) {
    let server = Server::new(http, &job.settings);
    let mut tail = match LogTail::open(&job.log) {
        Ok(tail) => tail,
        Err(error) => {
            let message = error.to_string();
            links.refuse(&job, pb::ErrorInfo { message, code: 0 });
            return;
        }
    };
    let mut projection = Projection::new(LineFormat {
        label: job.settings.label.clone(),
        max_line_bytes: usize::try_from(job.settings.file_stream_max_line_bytes)
            .ok()
            .filter(|bytes| *bytes > 0)
            .unwrap_or(limits::LINE_BYTES),
        ..LineFormat::default()
    });
    let mut files = FilePlan::new(job.settings.ignore_globs.clone());
    let head = match read_head(&job, &mut tail, &mut projection, &mut files, &mut links).await {
        Ok(head) => head,
        Err(message) => {
            links.refuse(&job, pb::ErrorInfo { message, code: 0 });
            return;
        }
    };
    // Named as the log first named it: what the server answers is written into the log later.
    let mut asked = projection.asked.clone();
    job.rename(&mut asked);
    let mut cursor = CursorFile::beside(&job.log, job.cursor_key(&asked));
    let saved = tokio::task::block_in_place(|| cursor.load());
    let Some(started) = meet(&server, &job, &mut projection, saved, &mut links).await else {
        return;
    };
    projection.format.structured_console = started.features.structured_console;
    let ours = started.features.fast_stream;
    let interval = match job.settings.transmit_interval_secs {
        seconds if seconds > 0.0 => Duration::from_secs_f64(seconds.min(3_600.0)),
        _ if ours => OUR_INTERVAL,
        _ => OTHERS_INTERVAL,
    };
    let now = Instant::now();
    links.status.send_modify(|status| {
        status.run_path = format!(
            "{}/{}/{}",
            started.entity, started.project, started.run.run_id
        );
        status.run_url = super::web_pages(&job.settings.base_url, &started.run).0;
    });
    let target = Target {
        entity: started.entity.clone(),
        project: started.project.clone(),
        complete: false,
        ..started.target.clone()
    };
    let mut engine = Engine {
        stream: FileStream::new(interval, ours, target.base(), target.stored()),
        interval,
        debounce: if ours { OUR_INTERVAL } else { OTHERS_DEBOUNCE },
        job,
        server,
        links,
        tail,
        projection,
        started,
        cursor,
        target,
        saved_at: now,
        checkpoints: VecDeque::from([(head, Offsets::default())]),
        files,
        file_tasks: JoinSet::new(),
        files_due: None,
        files_backoff: Backoff::new(UPLOAD),
        alerts: VecDeque::new(),
        alerts_due: None,
        upsert_due: None,
        upsert_backoff: Backoff::new(UPLOAD),
        summary_due: now,
        warnings: BTreeMap::new(),
        hurry_seen: 0,
        at_end: false,
        ended: false,
        finishing: false,
    };
    engine.projection.run_changed = false;
    engine.projection.config_changed = false;
    engine.early_files();
    engine.save(true);
    if let Err(problem) = engine.serve().await {
        engine.save(true);
        engine.links.pause(&problem, &engine.job);
    }
}

impl Engine {
    async fn serve(&mut self) -> Result<(), String> {
        loop {
            tokio::task::block_in_place(|| self.fill())?;
            self.log_end()?;
            let now = Instant::now();
            self.send_changes(now).await;
            self.send_alerts(now).await;
            self.start_file_batches(now);
            self.offer_summary(now);
            self.offer_end();
            let wake = match self.stream.next(now) {
                Step::Send(body) => {
                    self.send(body).await?;
                    continue;
                }
                Step::Complete => {
                    self.target.complete = true;
                    self.save(true);
                    self.report();
                    return Ok(());
                }
                // More is waiting in the log.
                Step::Wait(_) if !self.ended && !self.at_end && self.stream.has_room() => continue,
                Step::Wait(at) => at,
                Step::Busy => now + FOREVER,
            };
            self.save(false);
            self.report();
            self.wait(wake).await;
        }
    }

    async fn wait(&mut self, wake: Instant) {
        let mut wake = wake;
        for due in [self.upsert_due, self.alerts_due, self.files_due]
            .into_iter()
            .flatten()
        {
            wake = wake.min(due);
        }
        let now = Instant::now();
        if self.projection.summary_changed {
            wake = wake.min(self.summary_due);
        }
        if let Some(poll) = self.job.poll.filter(|_| !self.ended) {
            wake = wake.min(now + poll);
        }
        // More is waiting in the log as soon as there is room.
        tokio::select! {
            changed = self.links.log.changed(), if !self.ended => {
                if changed.is_err() {
                    tokio::time::sleep(wake.saturating_duration_since(now).min(OUR_INTERVAL)).await;
                }
            }
            Some(done) = self.file_tasks.join_next(), if !self.file_tasks.is_empty() => match done {
                Ok(outcome) => self.files_stored(outcome),
                Err(error) => tracing::error!(%error, "upload of files ended abnormally"),
            },
            () = tokio::time::sleep(wake.saturating_duration_since(now)) => {}
        }
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
            || !self.alerts.is_empty()
            || self.files.is_waiting()
            || !self.file_tasks.is_empty();
        if !self.ended || self.finishing || waits {
            return;
        }
        self.finishing = true;
        let exit = self.projection.exit.as_ref();
        self.stream.finish(End {
            exit_code: exit.map_or(1, |exit| exit.exit_code),
            trainer_died: exit.is_none(),
            changes_state: self.job.settings.update_finish_state
                && exit.is_none_or(|exit| !exit.not_complete),
        });
    }

    /// Sends one `file_stream` request; an error ends the upload.
    async fn send(&mut self, body: String) -> Result<(), String> {
        let wanted = self.started.features.gzip && body.len() >= GZIP_FROM_BYTES;
        let shorter = wanted
            .then(|| tokio::task::block_in_place(|| compressed(&body)))
            .filter(|bytes| body.len() / bytes.len().max(1) <= GZIP_RATIO);
        let gzip = shorter.is_some();
        let bytes = shorter.unwrap_or_else(|| Bytes::from(body));
        let seconds = self.job.settings.file_stream_timeout_secs;
        let timeout = Duration::from_secs_f64(if seconds > 0.0 {
            seconds.min(3_600.0)
        } else {
            180.0
        });
        let path = [
            self.started.entity.as_str(),
            &self.started.project,
            &self.started.run.run_id,
        ];
        let answer = self
            .server
            .file_stream(path, bytes, gzip, timeout)
            .await
            .and_then(|answer| {
                let reply = serde_json::from_slice::<serde_json::Value>(&answer.body)
                    .ok()
                    .filter(serde_json::Value::is_object);
                // A proxy's page is no acknowledgement; other servers may answer anything.
                if reply.is_none() && self.started.features.fast_stream {
                    return Err(CallError::retry("the answer does not come from the server"));
                }
                Ok((answer, reply.unwrap_or_default()))
            });
        let now = Instant::now();
        match answer {
            Ok((answer, reply)) => {
                self.stream.succeeded(now, answer.rate_limit);
                let stop = reply["stopped"] == true;
                self.links.status.send_modify(|status| {
                    status.stop_requested |= stop;
                    status.problem.clear();
                });
                self.advance();
                Ok(())
            }
            Err(error) if error.verdict == Verdict::Retry => {
                self.stream.failed(now, rand::random(), error.retry_after);
                self.trouble(&error);
                Ok(())
            }
            Err(error) => Err(error.message),
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
        let mut now = self.links.status.borrow().clone();
        (now.rows, now.bytes, now.complete) =
            (self.target.history, self.target.bytes, self.target.complete);
        (now.kept, now.lost, now.ends_torn) =
            (self.projection.kept, self.tail.lost(), self.tail.ends_torn);
        self.links.status.send_if_modified(|status| {
            let changed = *status != now;
            *status = now;
            changed
        });
    }

    fn save(&mut self, at_once: bool) {
        if !at_once && self.saved_at.elapsed() < SAVE_INTERVAL {
            return;
        }
        self.saved_at = Instant::now();
        if let Err(error) = tokio::task::block_in_place(|| self.cursor.save(&self.target)) {
            tracing::warn!(%error, "upload cursor cannot be saved");
        }
    }
}
