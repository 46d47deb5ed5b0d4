//! The owner of one run. Everything that happens to the run comes in as a command, is written to the log, applied, and
//! acknowledged, in this order.

pub(crate) mod inspect;
mod mirroring;
mod notices;
mod requests;
mod sampling;
mod writing;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use runlane_proto::local;
use runlane_proto::wandb_internal as pb;
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::inspect::Ask;
use self::mirroring::Mirroring;
use self::requests::{WaitingArtifact, WaitingFlush};
use self::sampling::Sampling;
use super::encode::Mark;
use super::finish::Finishing;
use super::journal::{DiskOutcome, Journal};
use super::output_file::OutputFile;
use super::pending::PendingFile;
use super::state::RunState;
use super::uploaded::Uploaded;
use crate::clock::Age;
use crate::daemon::Daemon;
use crate::upload::{LogEnd, UploadHandle};
use crate::wire::{Field, Fields};

pub(crate) use super::open::log_path;

/// Commands that wait for an actor; the bytes of batches are bounded by the frame budget.
const COMMANDS: usize = 16;
/// Questions of the control service that wait for an actor.
const ASKS: usize = 16;
/// From here on a batch must not hold up the other runs.
const LARGE_BATCH_BYTES: usize = 32 << 10;
/// Changed leaves of the summary go to the log at most this often.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(30);
/// A full or failing disk is tried again after this time.
const APPEND_RETRY: Duration = Duration::from_secs(1);
/// A finished run answers questions (summary, sparklines) for so long.
const LINGER: Duration = Duration::from_mins(1);
/// A finished run whose upload is paused waits so long for another key; afterwards `runlane sync` is left.
const PAUSED_LINGER: Duration = Duration::from_hours(12);

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
    asks: mpsc::Sender<Ask>,
    shutdown: Arc<Notify>,
}

/// What comes in for an actor.
#[derive(Debug)]
pub(crate) struct Inbox {
    commands: mpsc::Receiver<Command>,
    asks: mpsc::Receiver<Ask>,
    shutdown: Arc<Notify>,
}

impl RunHandle {
    pub(crate) fn new() -> (Self, Inbox) {
        let (sender, commands) = mpsc::channel(COMMANDS);
        let (ask_sender, asks) = mpsc::channel(ASKS);
        let shutdown = Arc::new(Notify::new());
        let handle = Self {
            sender,
            asks: ask_sender,
            shutdown: Arc::clone(&shutdown),
        };
        let inbox = Inbox {
            commands,
            asks,
            shutdown,
        };
        (handle, inbox)
    }

    /// As [`RunHandle::send`], past the commands that wait.
    pub(crate) async fn ask(&self, ask: Ask) -> Result<(), Ask> {
        self.asks.send(ask).await.map_err(|error| error.0)
    }

    /// Waits while the actor is busy; fails if it has ended.
    pub(crate) async fn send(&self, command: Command) -> Result<(), Command> {
        if matches!(command, Command::ShutDown) {
            // Past the batches that wait for a full disk.
            self.shutdown.notify_one();
            return Ok(());
        }
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
    /// Empty if it has none.
    pub(super) shelf_path: PathBuf,
}

/// One run and everything that is open for it.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, each with its own moment"
)]
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
    uploaded: Uploaded,
    pub(super) detached: bool,
    sampling: Sampling,
    mirroring: Mirroring,
    pub(super) finishing: Option<Finishing>,
    pub(super) end: Option<LogEnd>,
    pub(super) problem: String,
    /// Per writer, the highest entry that was acknowledged.
    pub(super) acked: BTreeMap<u64, u64>,
    pub(super) ended_at: Option<Instant>,
    /// The run directory was removed while the run was going on.
    pub(super) is_gone: bool,
    disk_task: Option<JoinHandle<DiskOutcome>>,
    flushes: Vec<WaitingFlush>,
    artifact_waits: Vec<WaitingArtifact>,
    next_summary: Instant,
    retry_append_at: Option<Instant>,
    /// Since when the disk does not take everything.
    behind_since: Option<Instant>,
    /// An attempt to end the log on a full disk failed; not again before this.
    seal_retry_at: Option<Instant>,
    /// Rows that an uploader which is gone had stored.
    stored_rows: u64,
    linger_until: Option<Instant>,
    paused_until: Option<Instant>,
    stop_sent: bool,
    shutting_down: bool,
}

/// Runs the actor that `first` opens, until the run has ended and nothing of it is left to do.
pub(crate) async fn run(daemon: Arc<Daemon>, mut inbox: Inbox) {
    let Some(Command::Open { open, link, reply }) = inbox.commands.recv().await else {
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
    actor.serve(&mut inbox).await;
}

impl Actor {
    pub(super) fn assemble(
        daemon: Arc<Daemon>,
        settings: local::RunSettings,
        state: RunState,
        mut journal: Journal,
        age: Age,
    ) -> Self {
        let path = journal.path();
        journal.begin(&settings.durability);
        let acked = state.logged_seqs();
        Self {
            daemon,
            output: OutputFile::within(
                std::path::Path::new(&settings.files_dir),
                &settings.label,
                settings.console.as_ref(),
            ),
            pending: PendingFile::beside(&path),
            settings,
            state,
            journal,
            age,
            writers: BTreeMap::new(),
            uploads: None,
            uploaded: Uploaded::default(),
            detached: false,
            sampling: Sampling::default(),
            mirroring: Mirroring::default(),
            finishing: None,
            end: None,
            problem: String::new(),
            acked,
            ended_at: None,
            is_gone: false,
            disk_task: None,
            flushes: Vec::new(),
            artifact_waits: Vec::new(),
            next_summary: Instant::now() + SUMMARY_INTERVAL,
            retry_append_at: None,
            behind_since: None,
            seal_retry_at: None,
            stored_rows: 0,
            linger_until: None,
            paused_until: None,
            stop_sent: false,
            shutting_down: false,
        }
    }

    async fn serve(&mut self, inbox: &mut Inbox) {
        loop {
            self.start_disk_work();
            self.start_mirror_work();
            self.close_orphan();
            self.watch_directory();
            self.answer_flushes();
            self.answer_artifact_waits();
            self.report_progress();
            self.pass_on_upload_events();
            if self.is_done() {
                self.journal.end();
                return;
            }
            let wake = self.next_wake();
            tokio::select! {
                // When too much waits for the disk, no more batches are taken in: they stay with the clients.
                command = inbox.commands.recv(), if self.takes_more() => match command {
                    Some(command) => self.take(command).await,
                    None => return,
                },
                Some(ask) = inbox.asks.recv() => self.answer_ask(ask),
                () = inbox.shutdown.notified(), if !self.shutting_down => self.shut_down().await,
                outcome = join(&mut self.disk_task) => self.disk_work_ended(outcome),
                outcome = join(&mut self.mirroring.task) => self.mirror_work_ended(outcome),
                () = upload_changed(&mut self.uploads) => {}
                sample = self.sampling.next(), if self.takes_more() => self.take_sample(sample),
                () = tokio::time::sleep_until(wake) => {
                    self.woken();
                    self.seal_if_due().await;
                }
            }
        }
    }

    fn takes_more(&self) -> bool {
        self.journal.takes_more() && self.state.batch.is_empty()
    }

    fn next_wake(&self) -> Instant {
        let mut wake = self.next_summary;
        if self.disk_task.is_none()
            && let Some(deadline) = self.journal.disk_deadline()
        {
            wake = wake.min(Instant::from_std(deadline));
        }
        for instant in [self.retry_append_at, self.linger_until, self.seal_at()]
            .into_iter()
            .flatten()
        {
            wake = wake.min(instant);
        }
        if let Some(due) = self.output.due() {
            wake = wake.min(Instant::from_std(due));
        }
        // What takes no rows is not asked for any: it wakes up by itself.
        if self.takes_more()
            && let Some(due) = self.mirroring.next_wake()
        {
            wake = wake.min(due);
        }
        for flush in &self.flushes {
            wake = wake.min(flush.deadline);
        }
        for wait in &self.artifact_waits {
            wake = wake.min(wait.deadline);
        }
        if let Some(finishing) = &self.finishing {
            wake = wake.min(finishing.next_report());
        }
        wake
    }

    fn woken(&mut self) {
        let now = Instant::now();
        self.output.flush(now.into_std());
        self.announce_parts();
        if self.retry_append_at.is_some_and(|at| at <= now) {
            self.write_out();
            if self.retry_append_at.is_none() {
                self.caught_up();
            }
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
        if self.end.is_none() || !self.is_settled() {
            // What the disk does not take stays with the processes, which were not told that it is logged.
            return self.shutting_down && self.disk_task.is_none() && self.seal_at().is_none();
        }
        if self.shutting_down {
            return true;
        }
        let paused_until = *self
            .paused_until
            .get_or_insert_with(|| Instant::now() + PAUSED_LINGER);
        let uploaded = self.uploads.as_ref().is_none_or(|uploads| {
            let status = uploads.status.borrow();
            let goes_on = status.may_resume && Instant::now() < paused_until;
            status.complete || (status.is_paused && !goes_on)
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
                // A large frame takes longer than handing the other runs' work over to another thread.
                if batch.len() < LARGE_BATCH_BYTES {
                    self.take_batch(connection, writer, &batch);
                } else {
                    tokio::task::block_in_place(|| self.take_batch(connection, writer, &batch));
                }
                drop(share);
            }
            Command::Request { writer, request } => self.take_request(writer, request),
            Command::Gone { connection, writer } => self.writer_gone(connection, writer),
            Command::ShutDown => self.shut_down().await,
        }
    }

    /// The daemon ends: what is open stays as it is, in log and pending file, for the next one.
    async fn shut_down(&mut self) {
        self.shutting_down = true;
        self.state.write_summary(None);
        self.write_out();
        self.journal.request_sync(std::time::Instant::now());
        self.stop_uploads().await;
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
}

async fn join<T>(task: &mut Option<JoinHandle<T>>) -> Result<T, tokio::task::JoinError> {
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
