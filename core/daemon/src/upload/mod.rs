//! Uploads: a cursor over a run's log.

use std::path::PathBuf;
use std::sync::Arc;

use runlane_proto::local;
use runlane_proto::wandb_internal as pb;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

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
}

/// How far the upload of a run is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct UploadStatus {
    pub(crate) rows: u64,
    /// Bytes of the log whose records are stored at the server.
    pub(crate) bytes: u64,
    pub(crate) wandb_files: u32,
    pub(crate) media_files: u32,
    pub(crate) other_files: u32,
    /// Everything, the end included, is stored.
    pub(crate) complete: bool,
    /// The upload does not go on by itself.
    pub(crate) is_paused: bool,
    pub(crate) problem: String,
    pub(crate) stop_requested: bool,
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

/// Starts the upload of the log at `path`.
pub(crate) fn start(
    _daemon: &Arc<Daemon>,
    _settings: local::RunSettings,
    _path: PathBuf,
) -> (UploadHandle, StartOutcome) {
    let (status_sender, status) = watch::channel(UploadStatus::default());
    let (_notice_sender, notices) = mpsc::channel(64);
    let (log, _log_receiver) = watch::channel(LogState::default());
    let (_reply, started) = oneshot::channel();
    let task = tokio::spawn(async move { drop(status_sender) });
    (
        UploadHandle {
            status,
            notices,
            log,
            task,
        },
        started,
    )
}
