//! What processes ask of a run, and its answers.

use std::collections::BTreeMap;
use std::time::Duration;

use runlane_model::json::Value;
use runlane_proto::local::{self, daemon_message::Message, request, response};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Actor, PeerLink};
use crate::run::finish::SAMPLES;
use crate::upload::artifacts::ArtifactState;

/// A `Flush` that waits for its level.
#[derive(Debug)]
pub(super) struct WaitingFlush {
    waiter: Waiter,
    /// What has to reach the level: entries by writer, and bytes of the log.
    marks: BTreeMap<u64, u64>,
    log_bytes: u64,
    level: local::Level,
    pub(super) deadline: Instant,
}

/// A `GetArtifact` that waits for the end of an upload.
#[derive(Debug)]
pub(super) struct WaitingArtifact {
    link: PeerLink,
    request_id: u64,
    client_id: String,
    pub(super) deadline: Instant,
}

/// Who waits.
#[derive(Debug)]
enum Waiter {
    Process { link: PeerLink, request_id: u64 },
    Control(oneshot::Sender<bool>),
}

impl Waiter {
    fn answer(self, reached: bool) {
        match self {
            Self::Process { link, request_id } => {
                link.outbox.send(Message::Response(local::Response {
                    request_id,
                    error: None,
                    response: Some(response::Response::Flushed(local::Flushed { reached })),
                }));
            }
            Self::Control(reply) => {
                if reply.send(reached).is_err() {
                    tracing::debug!("who asked for a flush did not wait for it");
                }
            }
        }
    }
}

impl Actor {
    pub(super) fn take_request(&mut self, writer: u64, request: local::Request) {
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
                next: self.state.next_step_of(writer),
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
            Some(request::Request::Pause(_)) => self.set_paused(true),
            Some(request::Request::Resume(_)) => self.set_paused(false),
            Some(request::Request::GetSystemMetrics(_)) => {
                response::Response::SystemMetrics(self.system_metrics())
            }
            Some(request::Request::GetArtifact(wanted)) => {
                self.wait_for_artifact(request_id, link, &wanted);
                return;
            }
            None => return,
        };
        link.outbox.send(Message::Response(local::Response {
            request_id,
            error: None,
            response: Some(answer),
        }));
    }

    /// Lets the run's clock stand still between the cells of a notebook, or go on.
    fn set_paused(&mut self, is_paused: bool) -> response::Response {
        self.age.set_paused(is_paused);
        self.pause_sampling(is_paused);
        response::Response::Paused(local::Paused { is_paused })
    }

    fn status(&mut self, writer: u64) -> local::Status {
        let upload = self
            .uploads
            .as_ref()
            .map(|uploads| uploads.status.borrow().clone())
            .unwrap_or_default();
        local::Status {
            logged_seq: self.acked_seq(writer),
            synced_seq: self.journal.synced_seq(writer),
            uploaded_rows: upload.rows,
            rows: self.state.rows,
            should_stop: upload.stop_requested,
            problem: if self.problem.is_empty() {
                upload.problem
            } else {
                self.problem.clone()
            },
            lost: self.state.lost,
            uploaded_seq: self.uploaded.seq(writer, upload.bytes),
            is_paused: upload.is_paused,
        }
    }

    fn flush(&mut self, writer: u64, request_id: u64, link: PeerLink, flush: &local::Flush) {
        let seconds = if flush.timeout_secs > 0.0 {
            flush.timeout_secs.min(86_400.0)
        } else {
            30.0
        };
        let marks = BTreeMap::from([(writer, self.state.logged_seq(writer))]);
        let timeout = Duration::from_secs_f64(seconds);
        let waiter = Waiter::Process { link, request_id };
        self.wait_for_flush(waiter, flush.level(), marks, timeout);
    }

    /// Waits for everything of every writer.
    pub(super) fn flush_for_control(
        &mut self,
        level: local::Level,
        timeout: Duration,
        reply: oneshot::Sender<bool>,
    ) {
        let marks = self.state.logged_seqs();
        self.wait_for_flush(Waiter::Control(reply), level, marks, timeout);
    }

    fn wait_for_flush(
        &mut self,
        waiter: Waiter,
        level: local::Level,
        marks: BTreeMap<u64, u64>,
        timeout: Duration,
    ) {
        if level == local::Level::Synced {
            self.journal.request_sync(std::time::Instant::now());
        }
        if let (local::Level::Uploaded, Some(uploads)) = (level, &self.uploads) {
            uploads.hurry();
        }
        self.flushes.push(WaitingFlush {
            waiter,
            marks,
            log_bytes: self.journal.len(),
            level,
            deadline: Instant::now() + timeout,
        });
    }

    fn wait_for_artifact(&mut self, request_id: u64, link: PeerLink, wanted: &local::GetArtifact) {
        let seconds = wanted.timeout_secs.clamp(0.0, 86_400.0);
        self.artifact_waits.push(WaitingArtifact {
            link,
            request_id,
            client_id: wanted.client_id.clone(),
            deadline: Instant::now() + Duration::from_secs_f64(seconds),
        });
    }

    /// Answers whoever waits for an artifact that is stored, that will not be, or for too long.
    pub(super) fn answer_artifact_waits(&mut self) {
        let now = Instant::now();
        for wait in std::mem::take(&mut self.artifact_waits) {
            let (state, may_come) = self.artifact(&wait.client_id);
            if may_come && !state.done && now < wait.deadline {
                self.artifact_waits.push(wait);
                continue;
            }
            wait.link.outbox.send(Message::Response(local::Response {
                request_id: wait.request_id,
                error: None,
                response: Some(response::Response::Artifact(local::Artifact {
                    done: state.done,
                    artifact_id: state.id,
                    error: state.error,
                    bytes_uploaded: state.bytes_uploaded,
                    bytes_total: state.bytes_total,
                })),
            }));
        }
    }

    /// How an artifact fares, and whether waiting for it makes sense.
    fn artifact(&self, client_id: &str) -> (ArtifactState, bool) {
        let Some(uploads) = &self.uploads else {
            let error = "the run is offline: its artifacts are uploaded by `runlane sync`";
            let state = ArtifactState {
                error: error.to_owned(),
                ..ArtifactState::default()
            };
            return (state, false);
        };
        let status = uploads.status.borrow();
        let mut state = status.artifacts.get(client_id).cloned().unwrap_or_default();
        if state.done {
            return (state, true);
        }
        if state.error.is_empty() {
            state.error.clone_from(&status.problem);
        }
        // Nothing goes on by itself any more: whoever asks again would get the same answer.
        if uploads.has_ended() {
            state.done = true;
            if state.error.is_empty() {
                "the upload of the run has ended".clone_into(&mut state.error);
            }
        }
        (state, true)
    }

    pub(super) fn answer_flushes(&mut self) {
        let now = Instant::now();
        for flush in std::mem::take(&mut self.flushes) {
            let reached = self.has_reached(&flush);
            // A log that was removed holds nothing for good, however long one waits.
            let is_vain = self.is_gone && flush.level != local::Level::Uploaded;
            if reached || is_vain || flush.deadline <= now {
                flush.waiter.answer(reached);
            } else {
                self.flushes.push(flush);
            }
        }
    }

    fn has_reached(&self, flush: &WaitingFlush) -> bool {
        match flush.level {
            local::Level::Synced | local::Level::Logged | local::Level::Unspecified
                if self.is_gone =>
            {
                false
            }
            local::Level::Synced => {
                let is_synced = |(&writer, &seq)| self.journal.synced_seq(writer) >= seq;
                flush.marks.iter().all(is_synced)
            }
            // An offline run has nothing to upload and never reaches the level.
            local::Level::Uploaded => self
                .uploads
                .as_ref()
                .is_some_and(|uploads| uploads.status.borrow().bytes >= flush.log_bytes),
            local::Level::Logged | local::Level::Unspecified => self.retry_append_at.is_none(),
        }
    }
}
