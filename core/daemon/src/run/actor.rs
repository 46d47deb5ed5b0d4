//! The owner of one run. Everything that happens to the run comes in as a command, is written to the log, applied, and
//! acknowledged, in this order.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use runlane_model::json::Value;
use runlane_proto::local::{self, daemon_message::Message, request, response};
use runlane_proto::wandb_internal as pb;
use runlane_translog::SyncOutcome;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::encode::Mark;
use super::finish::{Finishing, SAMPLES};
use super::journal::Journal;
use super::output_file::OutputFile;
use super::pending::PendingFile;
use super::recover;
use super::state::RunState;
use crate::clock::Age;
use crate::daemon::Daemon;
use crate::upload::{LogEnd, UploadHandle};
use crate::wire::{Field, Fields};

pub(crate) use super::open::log_path;

/// Commands that wait for an actor; the bytes of batches are bounded by the frame budget.
const COMMANDS: usize = 16;
/// Changed leaves of the summary go to the log at most this often.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(30);
/// A full or failing disk is tried again after this time.
const APPEND_RETRY: Duration = Duration::from_secs(1);
/// A finished run answers questions (summary, sparklines) for so long.
const LINGER: Duration = Duration::from_mins(1);

/// Where answers for one stream go.
#[derive(Debug, Clone)]
pub(crate) struct PeerLink {
    pub(crate) connection: u64,
    pub(crate) stream: u64,
    pub(crate) outbox: Arc<crate::socket::outbox::Outbox>,
}

/// What the outcome of an `OpenRun` is sent back with.
pub(crate) type OpenReply = oneshot::Sender<Result<local::OpenRunReply, pb::ErrorInfo>>;

/// What can happen to a run.
#[derive(Debug)]
pub(crate) enum Command {
    Open {
        open: Box<local::OpenRun>,
        link: PeerLink,
        reply: OpenReply,
    },
    Batch {
        connection: u64,
        writer: u64,
        batch: Bytes,
        share: OwnedSemaphorePermit,
    },
    Request {
        writer: u64,
        request: local::Request,
    },
    Gone {
        connection: u64,
        writer: u64,
    },
    ShutDown,
}

/// Sends commands to a run's actor.
#[derive(Debug, Clone)]
pub(crate) struct RunHandle {
    sender: mpsc::Sender<Command>,
}

impl RunHandle {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Command>) {
        let (sender, receiver) = mpsc::channel(COMMANDS);
        (Self { sender }, receiver)
    }

    /// Waits while the actor is busy; fails if it has ended.
    pub(crate) async fn send(&self, command: Command) -> Result<(), Command> {
        self.sender.send(command).await.map_err(|error| error.0)
    }

    /// Whether the actor has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Resolves when the actor has ended.
    pub(crate) async fn closed(&self) {
        self.sender.closed().await;
    }
}

/// A process that logs to the run.
#[derive(Debug)]
pub(super) struct WriterLink {
    pub(super) link: Option<PeerLink>,
    pub(super) spill_path: PathBuf,
}

/// One run and everything that is open for it.
pub(super) struct Actor {
    pub(super) daemon: Arc<Daemon>,
    pub(super) settings: local::RunSettings,
    pub(super) state: RunState,
    pub(super) journal: Journal,
    pub(super) pending: PendingFile,
    pub(super) output: OutputFile,
    pub(super) age: Age,
    pub(super) writers: BTreeMap<u64, WriterLink>,
    pub(super) uploads: Option<UploadHandle>,
    pub(super) detached: bool,
    pub(super) finishing: Option<Finishing>,
    pub(super) end: Option<LogEnd>,
    pub(super) problem: String,
    sync_task: Option<JoinHandle<SyncOutcome>>,
    flushes: Vec<WaitingFlush>,
    next_summary: Instant,
    retry_append_at: Option<Instant>,
    linger_until: Option<Instant>,
    stop_sent: bool,
    shutting_down: bool,
}

struct WaitingFlush {
    link: PeerLink,
    request_id: u64,
    writer: u64,
    seq: u64,
    log_bytes: u64,
    level: local::Level,
    deadline: Instant,
}

/// Runs the actor that `first` opens, until the run has ended and nothing of it is left to do.
pub(crate) async fn run(daemon: Arc<Daemon>, mut commands: mpsc::Receiver<Command>) {
    let Some(Command::Open { open, link, reply }) = commands.recv().await else {
        return;
    };
    let opened = Actor::open(daemon, &open, link).await;
    let mut actor = match opened {
        Ok((actor, answer)) => {
            if reply.send(Ok(answer)).is_err() {
                tracing::debug!("the process that opened a run is gone");
            }
            actor
        }
        Err(error) => {
            tracing::warn!(message = %error.message, "run not opened");
            if reply.send(Err(error)).is_err() {
                tracing::debug!("the process that opened a run is gone");
            }
            return;
        }
    };
    actor.serve(&mut commands).await;
}

impl Actor {
    pub(super) fn assemble(
        daemon: Arc<Daemon>,
        settings: local::RunSettings,
        state: RunState,
        journal: Journal,
        age: Age,
    ) -> Self {
        let path = journal.path();
        Self {
            daemon,
            output: OutputFile::within(std::path::Path::new(&settings.files_dir)),
            pending: PendingFile::beside(&path),
            settings,
            state,
            journal,
            age,
            writers: BTreeMap::new(),
            uploads: None,
            detached: false,
            finishing: None,
            end: None,
            problem: String::new(),
            sync_task: None,
            flushes: Vec::new(),
            next_summary: Instant::now() + SUMMARY_INTERVAL,
            retry_append_at: None,
            linger_until: None,
            stop_sent: false,
            shutting_down: false,
        }
    }

    async fn serve(&mut self, commands: &mut mpsc::Receiver<Command>) {
        loop {
            self.start_sync();
            self.answer_flushes();
            self.report_progress();
            self.pass_on_upload_events();
            if self.is_done() {
                return;
            }
            let wake = self.next_wake();
            tokio::select! {
                // While the disk takes nothing, no more batches are taken in: they stay with the clients.
                command = commands.recv(), if self.retry_append_at.is_none() => match command {
                    Some(command) => self.take(command).await,
                    None => return,
                },
                outcome = join(&mut self.sync_task) => self.sync_ended(outcome),
                () = upload_changed(&mut self.uploads) => {}
                () = tokio::time::sleep_until(wake) => self.woken(),
            }
        }
    }

    fn next_wake(&self) -> Instant {
        let mut wake = self.next_summary;
        if self.sync_task.is_none()
            && let Some(deadline) = self.journal.sync_deadline()
        {
            // A sync that is due and did not start cannot start now: the log is suspect.
            let now = Instant::now();
            let at = Instant::from_std(deadline);
            wake = wake.min(if at > now { at } else { now + APPEND_RETRY });
        }
        for instant in [self.retry_append_at, self.linger_until]
            .into_iter()
            .flatten()
        {
            wake = wake.min(instant);
        }
        for flush in &self.flushes {
            wake = wake.min(flush.deadline);
        }
        if let Some(finishing) = &self.finishing {
            wake = wake.min(finishing.next_report());
        }
        wake
    }

    fn woken(&mut self) {
        let now = Instant::now();
        if self.retry_append_at.is_some_and(|at| at <= now) {
            self.retry_append_at = None;
            self.write_out();
        }
        if self.next_summary <= now {
            self.next_summary = now + SUMMARY_INTERVAL;
            if self.end.is_none() {
                self.state.write_summary(None);
                self.write_out();
            }
        }
    }

    /// Whether nothing is left to do for this run.
    fn is_done(&mut self) -> bool {
        if self.end.is_none() || !self.state.batch.is_empty() || !self.journal.all_synced() {
            return self.shutting_down && self.sync_task.is_none() && self.state.batch.is_empty();
        }
        if self.shutting_down {
            return true;
        }
        let uploaded = self.uploads.as_ref().is_none_or(|uploads| {
            let status = uploads.status.borrow();
            status.complete || status.is_paused
        });
        if self.finishing.is_some() || !uploaded {
            return false;
        }
        let anybody = self.writers.values().any(|writer| writer.link.is_some());
        let until = *self
            .linger_until
            .get_or_insert_with(|| Instant::now() + LINGER);
        !anybody || until <= Instant::now()
    }

    async fn take(&mut self, command: Command) {
        match command {
            Command::Open { open, link, reply } => {
                let answer = self.attach(&open, link);
                if reply.send(answer).is_err() {
                    tracing::debug!("the process that opened a run is gone");
                }
            }
            Command::Batch {
                connection,
                writer,
                batch,
                share,
            } => {
                // Decoding and the write of a large frame take milliseconds.
                tokio::task::block_in_place(|| self.take_batch(connection, writer, &batch));
                drop(share);
            }
            Command::Request { writer, request } => self.take_request(writer, request),
            Command::Gone { connection, writer } => self.writer_gone(connection, writer),
            Command::ShutDown => {
                self.shutting_down = true;
                self.state.write_summary(None);
                self.write_out();
                self.journal.request_sync(std::time::Instant::now());
                if let Some(uploads) = self.uploads.take() {
                    uploads.stop().await;
                }
            }
        }
    }

    fn take_batch(&mut self, connection: u64, writer: u64, batch: &Bytes) {
        if self.end.is_some() {
            self.tell(writer, 30, "data for a run that is finished was ignored");
            return;
        }
        let outcome = self.apply_batch(writer, batch);
        self.write_out();
        self.acknowledge(writer);
        if let Err(reason) = outcome {
            tracing::error!(%reason, writer, "connection closed: bad batch");
            if let Some(link) = self
                .writers
                .get(&writer)
                .and_then(|writer| writer.link.as_ref())
                && link.connection == connection
            {
                link.outbox.close();
            }
        }
    }

    fn apply_batch(&mut self, writer: u64, batch: &[u8]) -> Result<(), String> {
        let runtime = self.age.secs();
        let mut fields = Fields::new(batch);
        let mut seq = 0;
        while let Some((number, field)) = fields.next_field().map_err(|error| error.to_string())? {
            match (number, field) {
                (2, Field::Varint(first)) => seq = first,
                (3, Field::Bytes(entry)) => {
                    if seq == 0 {
                        return Err("a batch whose entries have no number".to_owned());
                    }
                    self.state
                        .apply_entry(Mark { writer, seq }, entry, runtime)
                        .map_err(|error| error.to_string())?;
                    seq += 1;
                }
                (2 | 3, _) => return Err("a batch of another shape".to_owned()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes what waits to the log and the open row to the pending file.
    pub(super) fn write_out(&mut self) {
        let now = std::time::Instant::now();
        let written = self
            .journal
            .append(&mut self.state.batch, now)
            .map_err(|error| error.to_string())
            .and_then(|()| {
                self.pending
                    .save(&mut self.state.open_calls)
                    .map_err(|error| format!("cannot keep the open row: {error}"))
            });
        match written {
            Ok(()) => {
                if !self.problem.is_empty() {
                    self.problem.clear();
                    self.tell_all(20, "the run's transaction log can be written again");
                }
                self.output.append(&mut self.state.lines);
            }
            Err(reason) => {
                self.retry_append_at = Some(Instant::now() + APPEND_RETRY);
                if self.problem != reason {
                    tracing::error!(%reason, "transaction log cannot be written");
                    self.tell_all(40, &format!("{reason}; trying again, training goes on"));
                    self.problem = reason;
                }
            }
        }
        for remark in std::mem::take(&mut self.state.remarks) {
            self.tell_all(remark.severity, &remark.text);
        }
        self.publish_log_state();
    }

    /// Tells the uploader how far the log goes.
    pub(super) fn publish_log_state(&mut self) {
        if let Some(uploads) = &self.uploads {
            let end = self.end.filter(|_| self.state.batch.is_empty());
            uploads.log_grew(self.journal.len(), self.state.rows, end);
        }
    }

    /// Acknowledges what is in the page cache; nothing while the log cannot be written.
    fn acknowledge(&self, writer: u64) {
        if self.retry_append_at.is_some() {
            return;
        }
        if let Some(link) = self
            .writers
            .get(&writer)
            .and_then(|writer| writer.link.as_ref())
        {
            link.outbox.send(Message::Ack(local::Ack {
                stream: link.stream,
                logged_seq: self.state.logged_seq(writer),
                synced_seq: self.journal.synced_seq(writer),
            }));
        }
    }

    fn start_sync(&mut self) {
        if self.sync_task.is_some() {
            return;
        }
        let logged = self.state.logged_seqs();
        let Some(pending) = self.journal.begin_sync(std::time::Instant::now(), logged) else {
            return;
        };
        // An open row is acknowledged as durable together with the log.
        if let Err(error) = tokio::task::block_in_place(|| self.pending.sync()) {
            tracing::warn!(%error, "pending file cannot be synced");
        }
        self.sync_task = Some(tokio::task::spawn_blocking(move || pending.run()));
    }

    fn sync_ended(&mut self, outcome: Result<SyncOutcome, tokio::task::JoinError>) {
        self.sync_task = None;
        match outcome.map(|outcome| self.journal.complete_sync(outcome)) {
            Ok(Ok(())) => {
                let writers: Vec<u64> = self.writers.keys().copied().collect();
                for writer in writers {
                    self.acknowledge(writer);
                }
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "transaction log cannot be synced");
                self.tell_all(40, &error.to_string());
                self.problem = error.to_string();
            }
            Err(error) => tracing::error!(%error, "sync ended abnormally"),
        }
    }

    fn take_request(&mut self, writer: u64, request: local::Request) {
        let Some(link) = self
            .writers
            .get(&writer)
            .and_then(|writer| writer.link.clone())
        else {
            return;
        };
        let request_id = request.request_id;
        let answer = match request.request {
            Some(request::Request::Flush(flush)) => {
                self.flush(writer, request_id, link, &flush);
                return;
            }
            Some(request::Request::Finish(finish)) => {
                self.begin_finish(request_id, link, &finish);
                return;
            }
            Some(request::Request::GetSummary(_)) => {
                let json = Value::Object(self.state.summary()).to_string();
                response::Response::Summary(local::Summary { json })
            }
            Some(request::Request::GetStep(_)) => response::Response::Step(local::Step {
                next: self.state.next_step(),
            }),
            Some(request::Request::SampledHistory(wanted)) => {
                let limit = usize::try_from(wanted.samples)
                    .unwrap_or(usize::MAX)
                    .min(SAMPLES);
                response::Response::Sampled(local::Sampled {
                    item: self.state.sampled(limit),
                })
            }
            Some(request::Request::GetStatus(_)) => response::Response::Status(self.status(writer)),
            None => return,
        };
        link.outbox.send(Message::Response(local::Response {
            request_id,
            error: None,
            response: Some(answer),
        }));
    }

    fn status(&self, writer: u64) -> local::Status {
        let upload = self
            .uploads
            .as_ref()
            .map(|uploads| uploads.status.borrow().clone())
            .unwrap_or_default();
        local::Status {
            logged_seq: self.state.logged_seq(writer),
            synced_seq: self.journal.synced_seq(writer),
            uploaded_rows: upload.rows,
            rows: self.state.rows,
            should_stop: upload.stop_requested,
            problem: if self.problem.is_empty() {
                upload.problem
            } else {
                self.problem.clone()
            },
        }
    }

    fn flush(&mut self, writer: u64, request_id: u64, link: PeerLink, flush: &local::Flush) {
        let seconds = if flush.timeout_secs > 0.0 {
            flush.timeout_secs.min(86_400.0)
        } else {
            30.0
        };
        let level = flush.level();
        if level == local::Level::Synced {
            self.journal.request_sync(std::time::Instant::now());
        }
        if let (local::Level::Uploaded, Some(uploads)) = (level, &self.uploads) {
            uploads.hurry();
        }
        self.flushes.push(WaitingFlush {
            link,
            request_id,
            writer,
            seq: self.state.logged_seq(writer),
            log_bytes: self.journal.len(),
            level,
            deadline: Instant::now() + Duration::from_secs_f64(seconds),
        });
    }

    fn answer_flushes(&mut self) {
        let now = Instant::now();
        let uploaded_bytes = self
            .uploads
            .as_ref()
            .map(|uploads| uploads.status.borrow().bytes);
        let logged = self.retry_append_at.is_none();
        let journal = &self.journal;
        self.flushes.retain(|flush| {
            let reached = match flush.level {
                local::Level::Synced => {
                    journal.synced_seq(flush.writer) >= flush.seq || journal.all_synced()
                }
                // An offline run has nothing to upload and never reaches the level.
                local::Level::Uploaded => {
                    uploaded_bytes.is_some_and(|bytes| bytes >= flush.log_bytes)
                }
                local::Level::Logged | local::Level::Unspecified => logged,
            };
            if !reached && flush.deadline > now {
                return true;
            }
            flush.link.outbox.send(Message::Response(local::Response {
                request_id: flush.request_id,
                error: None,
                response: Some(response::Response::Flushed(local::Flushed { reached })),
            }));
            false
        });
    }

    /// The process of a writer is dead.
    fn writer_gone(&mut self, connection: u64, writer: u64) {
        let Some(gone) = self.writers.get_mut(&writer) else {
            return;
        };
        if gone
            .link
            .as_ref()
            .is_none_or(|link| link.connection != connection)
        {
            // It has connected again since.
            return;
        }
        gone.link = None;
        let spill_path = gone.spill_path.clone();
        if self.end.is_some() {
            return;
        }
        tracing::info!(run = %self.settings.run_id, "a logging process has ended without finishing its run");
        let absorbed = tokio::task::block_in_place(|| {
            recover::absorb_spill(&spill_path, &mut self.state, &mut self.journal)
        });
        if let Err(error) = absorbed {
            tracing::error!(%error, "spill file of a dead process not applied");
        }
        self.write_out();
        if self.writers.values().all(|writer| writer.link.is_none()) {
            self.state.write_death(self.age.secs());
            self.close_run(LogEnd::Died);
        }
    }

    /// Writes out what closes the run; nothing is taken in any more.
    pub(super) fn close_run(&mut self, end: LogEnd) {
        self.end = Some(end);
        self.write_out();
        self.journal.request_sync(std::time::Instant::now());
        if self.state.batch.is_empty()
            && let Err(error) = self.pending.remove()
        {
            tracing::warn!(%error, "pending file cannot be removed");
        }
        self.publish_log_state();
    }

    fn pass_on_upload_events(&mut self) {
        let Some(uploads) = &mut self.uploads else {
            return;
        };
        let mut notices = Vec::new();
        while let Ok(notice) = uploads.notices.try_recv() {
            notices.push(notice);
        }
        let stop = uploads.status.borrow().stop_requested;
        for (severity, text) in notices {
            self.tell_all(severity, &text);
        }
        if stop && !self.stop_sent {
            self.stop_sent = true;
            for link in self
                .writers
                .values()
                .filter_map(|writer| writer.link.as_ref())
            {
                link.outbox.send(Message::Stop(local::Stop {
                    stream: link.stream,
                }));
            }
        }
    }

    fn tell(&self, writer: u64, severity: u32, text: &str) {
        if let Some(link) = self
            .writers
            .get(&writer)
            .and_then(|writer| writer.link.as_ref())
        {
            let notice = local::Notice {
                stream: link.stream,
                severity,
                text: text.to_owned(),
            };
            link.outbox.send(Message::Notice(notice));
        }
    }

    pub(super) fn tell_all(&self, severity: u32, text: &str) {
        for writer in self.writers.keys() {
            self.tell(*writer, severity, text);
        }
    }
}

async fn join(
    task: &mut Option<JoinHandle<SyncOutcome>>,
) -> Result<SyncOutcome, tokio::task::JoinError> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

async fn upload_changed(uploads: &mut Option<UploadHandle>) {
    match uploads {
        Some(uploads) => uploads.changed().await,
        None => std::future::pending().await,
    }
}
