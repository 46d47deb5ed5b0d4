//! What an uploader hears and tells.

use std::time::Duration;

use runlane_model::backoff::Verdict;
use runlane_proto::wandb_internal as pb;
use tokio::sync::{mpsc, oneshot, watch};

use super::super::graphql::Server;
use super::super::http::CallError;
use super::super::job::Job;
use super::super::start::StartError;
use super::super::{LogState, Outside, UploadStatus};

/// A paused upload looks this often whether it may go on; up to a fifth later, so that not all look together.
const LOOK_INTERVAL: Duration = Duration::from_mins(5);

/// The ends of an uploader's channels.
#[derive(Debug)]
pub(crate) struct Links {
    pub(crate) log: watch::Receiver<LogState>,
    pub(crate) status: watch::Sender<UploadStatus>,
    pub(crate) notices: mpsc::Sender<(u32, String)>,
    pub(crate) started: Option<oneshot::Sender<Result<pb::RunRecord, pb::ErrorInfo>>>,
    /// The pause that the user was told of last.
    pub(in crate::upload) told_pause: String,
}

/// Why an upload does not go on by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pause {
    pub(super) problem: String,
    /// Another key would help.
    pub(super) wants_key: bool,
}

impl Pause {
    pub(super) fn of(error: &CallError) -> Self {
        let wants_key = error.verdict == Verdict::Unauthorized;
        let problem = if wants_key {
            format!("the server refuses the API key: {}", error.message)
        } else {
            error.message.clone()
        };
        Self { problem, wants_key }
    }
}

impl Links {
    pub(super) fn notice(&self, severity: u32, text: String) {
        // A full channel: the user has plenty to read already.
        if self.notices.try_send((severity, text)).is_err() {
            tracing::debug!("notice dropped");
        }
    }

    /// Whether somebody waits for the start of the run.
    pub(super) fn is_awaited(&self) -> bool {
        self.started
            .as_ref()
            .is_some_and(|reply| !reply.is_closed())
    }

    /// The run cannot be uploaded with these settings.
    pub(in crate::upload) fn refuse_call(&mut self, job: &Job, error: &CallError) {
        self.refuse(job, StartError::Call(error.clone()).to_error_info());
    }

    /// The run cannot be uploaded: said to whoever opens it.
    pub(super) fn refuse(&mut self, job: &Job, error: pb::ErrorInfo) {
        if !self.is_awaited() {
            self.tell_pause(job, &error.message, "");
        }
        self.status.send_modify(|status| {
            (status.is_paused, status.may_resume) = (true, false);
            status.problem.clone_from(&error.message);
        });
        if let Some(started) = self.started.take()
            && started.send(Err(error)).is_err()
        {
            tracing::debug!("nobody waits for the start of a run any more");
        }
    }

    /// Tells of a pause, once for each reason.
    fn tell_pause(&mut self, job: &Job, problem: &str, advice: &str) {
        if self.told_pause == problem {
            return;
        }
        problem.clone_into(&mut self.told_pause);
        tracing::warn!(%problem, run = %job.settings.run_id, "uploads are paused");
        let directory = job.log.parent().unwrap_or(&job.log).display();
        self.notice(
            30,
            format!(
                "uploads are paused: {problem}\nhint: {advice}logging goes on, the run's log is complete; \
                 `runlane sync {directory}` uploads it"
            ),
        );
    }

    /// Waits until the upload may be tried again: with another key, or after a while. False if there is nobody left to
    /// do it for.
    pub(super) async fn pause(
        &mut self,
        outside: &Outside,
        job: &Job,
        server: &mut Server,
        pause: &Pause,
    ) -> bool {
        let base_url = &job.settings.base_url;
        let advice = if pause.wants_key {
            format!("`runlane login --relogin --host {base_url}` resumes them; ")
        } else {
            String::new()
        };
        self.tell_pause(job, &pause.problem, &advice);
        // Counted before it shows: who sees the pause and offers a key must meet somebody who waits.
        let mut keys = outside.credentials.wait(base_url);
        self.status.send_modify(|status| {
            (status.is_paused, status.may_resume) = (true, true);
            status.problem.clone_from(&pause.problem);
        });
        let until = outside.clock.now() + LOOK_INTERVAL.mul_f64(1.0 + 0.2 * rand::random::<f64>());
        let known = server.key().to_owned();
        let key = tokio::select! {
            key = keys.other_than(&known), if pause.wants_key => Some(key),
            () = outside.clock.sleep_until(until) => None,
            () = self.abandoned() => return false,
        };
        tracing::info!(run = %job.settings.run_id, other_key = key.is_some(), "a paused upload is tried");
        if let Some(key) = key {
            server.set_key(key);
        }
        true
    }

    /// Resolves when the run's actor has let go of this upload.
    async fn abandoned(&mut self) {
        while self.log.changed().await.is_ok() {}
    }

    /// A request was taken: no pause any more.
    pub(super) fn resumed(&mut self) {
        let (was_paused, was_troubled) = {
            let status = self.status.borrow();
            (status.is_paused, !status.problem.is_empty())
        };
        if was_paused {
            // Before the status: that is what wakes whoever passes it on.
            self.told_pause.clear();
            self.notice(20, "uploads go on".to_owned());
        }
        if was_paused || was_troubled {
            self.status.send_modify(|status| {
                (status.is_paused, status.may_resume) = (false, false);
                status.problem.clear();
            });
        }
    }
}
