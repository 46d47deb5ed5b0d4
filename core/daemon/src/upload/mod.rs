//! Uploads: a cursor over a run's log.

mod ack;
pub(crate) mod artifacts;
mod credentials;
mod cursor;
mod documents;
mod engine;
mod files;
mod graphql;
mod hosts;
mod http;
pub(crate) mod job;
mod projection;
mod put;
mod quarantine;
#[cfg(test)]
mod simulation;
mod start;
mod stream;
mod summary_line;
mod tail;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use runlane_proto::local;
use runlane_proto::wandb_internal as pb;
use runlane_translog::LiveLog;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use self::artifacts::ArtifactState;
use self::credentials::Credentials;
use self::hosts::Hosts;
use self::http::{CallError, Http};
use self::job::{Job, Overrides};
use crate::clock::Clock;
use crate::daemon::Daemon;

/// How a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogEnd {
    /// With an exit record.
    Finished,
    /// The process died.
    Died,
    /// The run was never opened.
    Abandoned,
    /// The file ends where it ends; an exit record in it says how.
    AsItLies,
}

/// How far the upload of a run is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, as in the answers made of them"
)]
pub(crate) struct UploadStatus {
    pub(crate) rows: u64,
    /// Bytes of the log whose records are stored at the server.
    pub(crate) bytes: u64,
    pub(crate) wandb_files: u32,
    pub(crate) media_files: u32,
    pub(crate) other_files: u32,
    /// Everything, the end included, is stored.
    pub(crate) complete: bool,
    /// The upload waits for a person: for another key, or for the server's refusal to be resolved.
    pub(crate) is_paused: bool,
    /// It is paused, but tries by itself now and then, and at once with another key.
    pub(crate) may_resume: bool,
    pub(crate) problem: String,
    pub(crate) stop_requested: bool,
    /// `entity/project/run` and the web page, once the server has answered.
    pub(crate) run_path: String,
    pub(crate) run_url: String,
    /// The account at the server asks for code to be saved.
    pub(crate) saves_code: bool,
    /// Records that are kept in the log for a later release.
    pub(crate) kept: u64,
    /// Records that damage of the log has cost, and whether it ends inside one.
    pub(crate) lost: u64,
    /// What markers in the log say is lost.
    pub(crate) marked: u64,
    pub(crate) ends_torn: bool,
    /// Run files that are not stored yet.
    pub(crate) files_left: usize,
    /// Lines that the server does not take, kept beside the log.
    pub(crate) quarantined: u64,
    /// Files of artifacts that were stored or were there already.
    pub(crate) artifact_files: u32,
    /// Artifacts that are not stored yet, and those that will not be.
    pub(crate) artifacts_left: usize,
    pub(crate) artifacts_failed: u64,
    /// Contents that go to the server for artifacts, as far as they are known.
    pub(crate) artifact_bytes_total: u64,
    pub(crate) artifact_bytes_uploaded: u64,
    /// Why an artifact does not go on at present, or why the last one of those that failed did.
    pub(crate) artifact_problem: String,
    /// Grows while anything is done for an artifact, even if nothing goes out.
    pub(crate) artifact_work: u64,
    /// By client id.
    pub(crate) artifacts: Arc<BTreeMap<String, ArtifactState>>,
}

impl UploadStatus {
    pub(crate) fn files_total(&self) -> u32 {
        self.wandb_files + self.media_files + self.other_files
    }
}

/// How far a log goes, for its uploader.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LogState {
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    pub(crate) end: Option<LogEnd>,
    /// Somebody waits: send without waiting for the interval.
    pub(crate) hurry: u64,
}

/// The server's view of the run, or why there is none.
pub(crate) type StartOutcome = oneshot::Receiver<Result<pb::RunRecord, pb::ErrorInfo>>;

/// The uploader of one run, as its actor sees it.
#[derive(Debug)]
pub(crate) struct UploadHandle {
    pub(crate) status: watch::Receiver<UploadStatus>,
    pub(crate) notices: mpsc::Receiver<(u32, String)>,
    log: watch::Sender<LogState>,
    task: JoinHandle<()>,
}

impl UploadHandle {
    /// The log has grown or ended.
    pub(crate) fn log_grew(&self, bytes: u64, rows: u64, end: Option<LogEnd>) {
        self.log.send_modify(|log| {
            *log = LogState {
                bytes,
                rows,
                end,
                hurry: log.hurry,
            }
        });
    }

    /// Whether the uploader has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Asks to send at once.
    pub(crate) fn hurry(&self) {
        self.log.send_modify(|log| log.hurry += 1);
    }

    /// Resolves when the status has changed; never after the uploader has ended.
    pub(crate) async fn changed(&mut self) {
        if self.status.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Ends the upload where it is; the cursor knows.
    pub(crate) async fn stop(self) {
        self.task.abort();
        if let Err(error) = self.task.await
            && !error.is_cancelled()
        {
            tracing::error!(%error, "upload ended abnormally");
        }
    }
}

/// The web pages of a run and its project.
pub(crate) fn web_pages(base_url: &str, run: &pb::RunRecord) -> (String, String) {
    let Ok(mut url) = url::Url::parse(base_url) else {
        return (String::new(), String::new());
    };
    let Ok(mut segments) = url.path_segments_mut() else {
        return (String::new(), String::new());
    };
    segments.pop_if_empty().push(&run.entity).push(&run.project);
    drop(segments);
    let project = url.to_string();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.push("runs").push(&run.run_id);
    }
    (url.to_string(), project)
}

/// Starts the upload of the log at `path`, whose actor tells when it grows.
pub(crate) fn start(
    daemon: &Arc<Daemon>,
    settings: local::RunSettings,
    path: PathBuf,
    live: LiveLog,
    is_fresh: bool,
) -> (UploadHandle, StartOutcome) {
    let (reply, outcome) = oneshot::channel();
    let files_dir = PathBuf::from(&settings.files_dir);
    let job = Job {
        settings,
        log: path,
        live: Some(live),
        files_dir,
        is_fresh,
        overrides: Overrides::default(),
        poll: None,
        retry_quarantined: false,
    };
    (
        spawn(daemon.outside(), job, LogState::default(), Some(reply)),
        outcome,
    )
}

/// Makes the network of a run from its settings; tests make another one.
pub(crate) type HttpMaker =
    Arc<dyn Fn(&local::RunSettings) -> Result<Arc<dyn Http>, CallError> + Send + Sync>;

/// What all uploads of a process share of the world outside.
#[derive(Clone)]
pub(crate) struct Outside {
    clock: Arc<dyn Clock>,
    http: HttpMaker,
    hosts: Arc<Hosts>,
    credentials: Arc<Credentials>,
    /// Bytes of lines that wait in all uploads together.
    waiting_bytes: Arc<AtomicUsize>,
    /// The right to send a file of an artifact.
    transfers: Arc<Semaphore>,
}

impl Outside {
    /// The real network.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let for_network = Arc::clone(&clock);
        let http: HttpMaker = Arc::new(move |settings| {
            let network = http::Network::new(settings, Arc::clone(&for_network))?;
            Ok(Arc::new(network))
        });
        Self::with(clock, http)
    }

    /// With another network.
    pub(crate) fn with(clock: Arc<dyn Clock>, http: HttpMaker) -> Self {
        Self {
            hosts: Hosts::new(Arc::clone(&clock)),
            clock,
            http,
            credentials: Credentials::new(),
            waiting_bytes: Arc::default(),
            transfers: Arc::new(Semaphore::new(artifacts::TRANSFERS)),
        }
    }

    /// A key for a server; the number of uploads that were paused for want of one and try it now.
    pub(crate) fn offer_key(&self, base_url: &str, key: &str) -> usize {
        self.credentials.offer(base_url, key)
    }
}

/// Starts the upload of `job` in its own task.
pub(crate) fn spawn(
    outside: Outside,
    job: Job,
    state: LogState,
    started: Option<oneshot::Sender<Result<pb::RunRecord, pb::ErrorInfo>>>,
) -> UploadHandle {
    let (status_sender, status) = watch::channel(UploadStatus::default());
    let (notice_sender, notices) = mpsc::channel(64);
    let (log, log_receiver) = watch::channel(state);
    let mut links = engine::Links {
        log: log_receiver,
        status: status_sender,
        notices: notice_sender,
        started,
        told_pause: String::new(),
    };
    let task = tokio::spawn(async move {
        match (outside.http)(&job.settings) {
            // On the heap: it holds a whole upload's state.
            Ok(http) => Box::pin(engine::run(job, outside, http, links)).await,
            Err(error) => links.refuse_call(&job, &error),
        }
    });
    UploadHandle {
        status,
        notices,
        log,
        task,
    }
}

/// Runs what blocks for a moment, without holding up the other tasks where the runtime has more than one thread.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::current().runtime_flavor() {
        tokio::runtime::RuntimeFlavor::CurrentThread => work(),
        _ => tokio::task::block_in_place(work),
    }
}
