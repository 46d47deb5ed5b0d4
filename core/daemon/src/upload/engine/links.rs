//! What an uploader hears and tells.

use runlane_proto::wandb_internal as pb;
use tokio::sync::{mpsc, oneshot, watch};

use super::super::http::CallError;
use super::super::job::Job;
use super::super::start::StartError;
use super::super::{LogState, UploadStatus};

/// The ends of an uploader's channels.
#[derive(Debug)]
pub(crate) struct Links {
    pub(crate) log: watch::Receiver<LogState>,
    pub(crate) status: watch::Sender<UploadStatus>,
    pub(crate) notices: mpsc::Sender<(u32, String)>,
    pub(crate) started: Option<oneshot::Sender<Result<pb::RunRecord, pb::ErrorInfo>>>,
}

impl Links {
    pub(super) fn notice(&self, severity: u32, text: String) {
        // A full channel: the user has plenty to read already.
        if self.notices.try_send((severity, text)).is_err() {
            tracing::debug!("notice dropped");
        }
    }

    /// The run cannot be uploaded with these settings.
    pub(in crate::upload) fn refuse_call(&mut self, job: &Job, error: &CallError) {
        self.refuse(job, StartError::Call(error.clone()).to_error_info());
    }

    /// The run cannot be uploaded: said to whoever opens it.
    pub(super) fn refuse(&mut self, job: &Job, error: pb::ErrorInfo) {
        self.pause(&error.message, job);
        if let Some(started) = self.started.take()
            && started.send(Err(error)).is_err()
        {
            tracing::debug!("nobody waits for the start of a run any more");
        }
    }

    /// The upload does not go on by itself.
    pub(super) fn pause(&self, problem: &str, job: &Job) {
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
