//! The upload of one log: reads, folds, sends, remembers. Online runs and `sync` are this same loop.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use runlane_model::backoff::{Backoff, UPLOAD, Verdict};
use runlane_model::json::Value;
use runlane_model::limits;
use runlane_proto::wandb_internal as pb;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::cursor::{CursorFile, Target};
use super::files::{FilePlan, Kind, Uploaded};
use super::graphql::{Server, Upsert};
use super::http::{CallError, Http, compressed};
use super::job::Job;
use super::projection::{Effects, LineFormat, Projection, Shift};
use super::start::{self, StartError, Started};
use super::stream::{End, FileStream, Offsets, Step};
use super::tail::LogTail;
use super::{LogEnd, LogState, UploadStatus};

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

/// The ends of an uploader's channels.
#[derive(Debug)]
pub(crate) struct Links {
    pub(crate) log: watch::Receiver<LogState>,
    pub(crate) status: watch::Sender<UploadStatus>,
    pub(crate) notices: mpsc::Sender<(u32, String)>,
    pub(crate) started: Option<oneshot::Sender<Result<pb::RunRecord, pb::ErrorInfo>>>,
}

impl Links {
    fn notice(&self, severity: u32, text: String) {
        // A full channel: the user has plenty to read already.
        if self.notices.try_send((severity, text)).is_err() {
            tracing::debug!("notice dropped");
        }
    }

    /// The run cannot be uploaded with these settings.
    pub(super) fn refuse(&mut self, job: &Job, error: &CallError) {
        let info = StartError::Call(error.clone()).to_error_info();
        refuse(self, job, info);
    }

    /// The upload does not go on by itself.
    fn pause(&self, problem: &str, job: &Job) {
        tracing::warn!(%problem, run = %job.settings.run_id, "uploads are paused");
        let directory = job.log.parent().unwrap_or(&job.log).display();
        self.notice(
            30,
            format!("uploads are paused: {problem}\nhint: the run's log is complete; `runlane sync {directory}` uploads it"),
        );
        self.status.send_modify(|status| {
            status.is_paused = true;
            problem.clone_into(&mut status.problem);
        });
    }
}

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
            refuse(
                &mut links,
                &job,
                pb::ErrorInfo {
                    message: error.to_string(),
                    code: 0,
                },
            );
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
            refuse(&mut links, &job, pb::ErrorInfo { message, code: 0 });
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

fn refuse(links: &mut Links, job: &Job, error: pb::ErrorInfo) {
    links.pause(&error.message, job);
    if let Some(started) = links.started.take()
        && started.send(Err(error)).is_err()
    {
        tracing::debug!("nobody waits for the start of a run any more");
    }
}

/// Reads the records before the first row, waiting for the run record if the log has none yet. Returns where they end.
async fn read_head(
    job: &Job,
    tail: &mut LogTail,
    projection: &mut Projection,
    files: &mut FilePlan,
    links: &mut Links,
) -> Result<u64, String> {
    let mut end = 0;
    loop {
        let next =
            tokio::task::block_in_place(|| tail.next()).map_err(|error| error.to_string())?;
        match next {
            Some((record, at)) if Projection::is_head(&record) => {
                let effects = projection.apply(&record);
                for warning in effects
                    .files
                    .iter()
                    .filter_map(|item| files.add(item))
                    .chain(effects.warnings)
                {
                    links.notice(30, warning);
                }
                end = at;
            }
            Some((record, at)) => {
                tail.put_back(record, at);
                break;
            }
            None if projection.run.is_some() => break,
            None => match job.poll {
                Some(poll) => tokio::time::sleep(poll).await,
                None if links.log.borrow().end.is_some() => break,
                None => {
                    if links.log.changed().await.is_err() {
                        break;
                    }
                }
            },
        }
    }
    if projection.run.is_none() {
        return Err(format!(
            "the transaction log has no run record: `{}`",
            job.log.display()
        ));
    }
    Ok(end)
}

/// Starts the run at the server, however long that takes; `None` if it cannot be.
async fn meet(
    server: &Server,
    job: &Job,
    projection: &mut Projection,
    saved: Option<Target>,
    links: &mut Links,
) -> Option<Started> {
    let mut backoff = Backoff::new(UPLOAD);
    loop {
        match start::start(server, job, projection, saved.clone()).await {
            Ok(mut started) => {
                links.status.send_modify(|status| status.problem.clear());
                if let Some(reply) = links.started.take() {
                    if reply.send(Ok(started.run.clone())).is_ok() {
                        // The run's actor takes the server's steps over: its rows need no shift.
                        (started.target.step_shift, started.target.runtime_shift) = (0, 0.0);
                        projection.shift = Shift::default();
                    } else {
                        let text = format!(
                            "the server answers: uploading to `{}`",
                            job.settings.base_url
                        );
                        links.notice(20, text);
                    }
                }
                return Some(started);
            }
            Err(error) if error.is_retryable() => {
                let StartError::Call(call) = error else {
                    return None;
                };
                let wait = backoff.failed(rand::random(), call.retry_after);
                links
                    .status
                    .send_modify(|status| status.problem.clone_from(&call.message));
                tokio::time::sleep(wait).await;
            }
            Err(error) => {
                refuse(links, job, error.to_error_info());
                return None;
            }
        }
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

    /// Reads on while there is room for lines.
    fn fill(&mut self) -> Result<(), String> {
        let mut read = 0;
        self.at_end = false;
        while self.stream.has_room() && read < RECORDS && !self.ended {
            let Some((record, end)) = self.tail.next().map_err(|error| error.to_string())? else {
                self.at_end = true;
                break;
            };
            let effects = self.projection.apply(&record);
            let is_new = end > self.target.bytes;
            self.take(effects, is_new);
            read += 1;
            if read % 64 == 0 {
                self.checkpoint(end);
            }
        }
        if read > 0 {
            self.checkpoint(self.tail.offset());
        }
        let hurry = self.links.log.borrow().hurry;
        if hurry != self.hurry_seen {
            self.hurry_seen = hurry;
            self.stream.hurry();
            self.summary_due = Instant::now();
        }
        Ok(())
    }

    fn checkpoint(&mut self, end: u64) {
        let pushed = self.stream.pushed();
        match self.checkpoints.back_mut() {
            Some((bytes, lines)) if *lines == pushed => *bytes = end,
            _ => self.checkpoints.push_back((end, pushed)),
        }
    }

    fn take(&mut self, effects: Effects, is_new: bool) {
        for (file, line) in effects.lines {
            self.stream.push(file, line);
        }
        for item in &effects.files {
            if let Some(warning) = self.files.add(item) {
                self.warn(warning);
            }
        }
        for warning in effects.warnings {
            self.warn(warning);
        }
        if is_new {
            self.alerts.extend(effects.alerts);
            if effects.preempting {
                self.stream.set_preempting();
            }
        }
        if self.files.is_waiting() && self.files_due.is_none() {
            self.files_due = Some(Instant::now() + self.debounce);
        }
        if (self.projection.config_changed || self.projection.run_changed)
            && self.upsert_due.is_none()
        {
            self.upsert_due = Some(Instant::now() + self.debounce);
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

    /// Notices that the log has ended and prepares what only then can be sent.
    fn log_end(&mut self) -> Result<(), String> {
        if self.ended {
            return Ok(());
        }
        let log = *self.links.log.borrow();
        if log.end == Some(LogEnd::Abandoned) {
            return Err("the run was not opened".to_owned());
        }
        // The log may have grown between the read and the word that it has ended.
        let read_all = log.end.is_some() && self.at_end && self.tail.offset() >= log.bytes;
        if self.projection.exit.is_none() && !read_all {
            return Ok(());
        }
        // An exit record may be followed by more only in a log that was damaged; it is not looked for.
        self.ended = true;
        let effects = self.projection.end();
        self.take(effects, true);
        self.checkpoint(self.tail.offset());
        if self.projection.summary_changed {
            self.stream
                .set_summary(Value::Object(self.projection.summary()).to_string());
            self.projection.summary_changed = false;
        }
        let names = tokio::task::block_in_place(|| {
            super::documents::write(&self.job.files_dir, &mut self.projection)
        });
        match names {
            Ok(names) => names.iter().for_each(|name| self.files.add_at_end(name)),
            Err(error) => self.warn(format!(
                "config and summary files cannot be written: {error}"
            )),
        }
        for name in ["output.log", "requirements.txt"] {
            if self.job.files_dir.join(name).is_file() {
                self.files.add_at_end(name);
            }
        }
        self.files.end();
        let now = Instant::now();
        self.files_due = self.files.is_waiting().then_some(now);
        if self.projection.config_changed || self.projection.run_changed {
            self.upsert_due = Some(now);
        }
        Ok(())
    }

    /// Files that are worth having early: a run that is being looked at has its metadata.
    fn early_files(&mut self) {
        if let Some(metadata) = self.projection.metadata() {
            let directory = self.job.files_dir.clone();
            let written = std::fs::create_dir_all(&directory).and_then(|()| {
                std::fs::write(
                    directory.join("wandb-metadata.json"),
                    Value::Object(metadata).to_string(),
                )
            });
            match written {
                Ok(()) => self.files.add_now("wandb-metadata.json"),
                Err(error) => tracing::warn!(%error, "metadata file cannot be written"),
            }
        }
        if self.files.is_waiting() {
            self.files_due = Some(Instant::now());
        }
    }

    /// Sends changes of the run and its config.
    async fn send_changes(&mut self, now: Instant) {
        if self.upsert_due.is_none_or(|due| due > now) {
            return;
        }
        let mut run = self.projection.run.clone().unwrap_or_default();
        self.job.rename(&mut run);
        let owned = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let mut upsert = Upsert {
            name: self.started.run.run_id.clone(),
            project: Some(self.started.project.clone()),
            entity: Some(self.started.entity.clone()),
            ..Upsert::default()
        };
        if self.projection.config_changed {
            upsert.config = Some(Value::Object(self.projection.wrapped_config()).to_string());
        }
        if self.projection.run_changed {
            upsert.display_name = owned(&run.display_name);
            upsert.notes = owned(&run.notes);
            upsert.group = owned(&run.run_group);
            upsert.job_type = owned(&run.job_type);
            upsert.tags = (!run.tags.is_empty()).then(|| run.tags.clone());
        }
        let outcome = self.server.upsert(&upsert).await;
        self.upsert_due = None;
        match outcome {
            Ok(_reply) => {
                self.upsert_backoff.succeeded();
                self.projection.config_changed = false;
                self.projection.run_changed = false;
            }
            Err(error) if error.verdict == Verdict::Retry => {
                let wait = self
                    .upsert_backoff
                    .failed(rand::random(), error.retry_after);
                self.upsert_due = Some(Instant::now() + wait);
                self.trouble(&error);
            }
            Err(error) => {
                self.projection.config_changed = false;
                self.projection.run_changed = false;
                self.warn(format!(
                    "the server does not take the run's config: {}",
                    error.message
                ));
            }
        }
    }

    async fn send_alerts(&mut self, now: Instant) {
        while self.alerts_due.is_none_or(|due| due <= now)
            && let Some(alert) = self.alerts.front()
        {
            let run = &self.started.run.run_id;
            match self
                .server
                .alert(&self.started.entity, &self.started.project, run, alert)
                .await
            {
                Err(error) if error.verdict == Verdict::Retry => {
                    let wait = self
                        .upsert_backoff
                        .failed(rand::random(), error.retry_after);
                    self.alerts_due = Some(Instant::now() + wait);
                    self.trouble(&error);
                    return;
                }
                Err(error) => {
                    let title = alert.title.clone();
                    self.warn(format!(
                        "the server does not take alert `{title}`: {}",
                        error.message
                    ));
                }
                Ok(()) => {}
            }
            self.alerts.pop_front();
        }
        if self.alerts.is_empty() {
            self.alerts_due = None;
        }
    }

    fn start_file_batches(&mut self, now: Instant) {
        if self.files_due.is_none_or(|due| due > now) {
            return;
        }
        self.files_due = None;
        while self.files.is_waiting() && self.file_tasks.len() < FILE_BATCHES {
            let names = self.files.take();
            let server = self.server.clone();
            let (entity, project) = (self.started.entity.clone(), self.started.project.clone());
            let run = self.started.run.run_id.clone();
            let (directory, known) = (self.job.files_dir.clone(), self.target.files.clone());
            self.file_tasks.spawn(async move {
                super::files::upload(&server, [&entity, &project, &run], directory, names, known)
                    .await
            });
        }
    }

    fn files_stored(&mut self, outcome: Uploaded) {
        for (name, md5) in outcome.stored {
            self.links
                .status
                .send_modify(|status| match Kind::of(&name) {
                    Kind::Wandb => status.wandb_files += 1,
                    Kind::Media => status.media_files += 1,
                    Kind::Other => status.other_files += 1,
                });
            self.target.files.insert(name.clone(), md5);
            self.stream.file_uploaded(name);
        }
        for warning in outcome.warnings {
            self.warn(warning);
        }
        let now = Instant::now();
        match outcome.failed {
            Some((names, error)) if error.verdict == Verdict::Retry => {
                self.files.put_back(names);
                let wait = self.files_backoff.failed(rand::random(), error.retry_after);
                self.files_due = Some(now + wait);
                self.trouble(&error);
            }
            Some((names, error)) => self.warn(format!(
                "{} files not uploaded: {}",
                names.len(),
                error.message
            )),
            None => {
                self.files_backoff.succeeded();
                if self.files.is_waiting() {
                    self.files_due.get_or_insert(now);
                }
            }
        }
    }

    fn offer_summary(&mut self, now: Instant) {
        if self.projection.summary_changed && self.summary_due <= now {
            self.summary_due = now + self.interval;
            self.projection.summary_changed = false;
            self.stream
                .set_summary(Value::Object(self.projection.summary()).to_string());
        }
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
        let gzip = self.started.features.gzip && body.len() >= GZIP_FROM_BYTES;
        let bytes = if gzip {
            tokio::task::block_in_place(|| compressed(&body))
        } else {
            Bytes::from(body)
        };
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
