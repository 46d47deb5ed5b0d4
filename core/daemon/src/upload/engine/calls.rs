//! The requests under way: at most one of each kind, all beside the reading of the log.

use std::time::{Duration, Instant};

use bytes::Bytes;
use runlane_model::backoff::Verdict;
use runlane_model::json::Value;

use super::super::ack;
use super::super::blocking;
use super::super::graphql::Upsert;
use super::super::hosts::Pass;
use super::super::http::{CallError, HttpAnswer, compressed};
use super::super::stream::{Refusal, Step};
use super::links::Pause;
use super::{Engine, Halt};

const GZIP_FROM_BYTES: usize = 1 << 10;
/// A body that shrinks further than this is sent as it is: servers refuse it as a decompression bomb (ours from 200).
const GZIP_RATIO: usize = 100;
/// A line that carries less than this many bytes a second carries nothing.
const SLOWEST_BYTES_A_SECOND: u64 = 1 << 10;
/// An answer that does not say what it must is no news the first times: a cache may be between.
const SHORTFALLS: u32 = 2;

/// A request that has ended.
#[derive(Debug)]
pub(super) enum Done {
    /// The host's gate is open for the next `file_stream` request.
    Admitted(Pass),
    Stream(Result<HttpAnswer, CallError>),
    Changes(Result<(), CallError>, Changed),
    Alert(Result<(), CallError>),
}

/// What an update of the run contains.
#[derive(Debug, Clone, Copy)]
pub(super) struct Changed {
    config: bool,
    run: bool,
}

impl Engine {
    /// Takes in what a request brought that was sent when the key was the `epoch`th.
    pub(super) fn take_done(&mut self, (epoch, done): (u32, Done)) -> Result<(), Halt> {
        self.has_old_key = epoch != self.epoch;
        match done {
            Done::Admitted(pass) => {
                self.entering = None;
                if self.stream.next(self.now()) == Step::Due {
                    self.send(pass)?;
                }
                Ok(())
            }
            Done::Stream(answer) => self.answered(answer),
            Done::Changes(outcome, changed) => self.changes_sent(outcome, changed),
            Done::Alert(outcome) => self.alert_sent(outcome),
        }
    }

    /// Goes to the host's gate for the next `file_stream` request; what is in it is decided behind the gate.
    pub(super) fn enter(&mut self) {
        if self.entering.is_none() {
            let host = self.server.host();
            let epoch = self.epoch;
            let entering = async move { (epoch, Done::Admitted(host.enter().await)) };
            self.entering = Some(self.calls.spawn(entering));
        }
    }

    fn send(&mut self, pass: Pass) -> Result<(), Halt> {
        // What was taken out of the stream must be on disk before anything behind it goes.
        self.bury()?;
        let body = self.stream.compose(self.now());
        let wanted = self.started.features.gzip && body.len() >= GZIP_FROM_BYTES;
        let shorter = wanted
            .then(|| blocking(|| compressed(&body)))
            .filter(|bytes| body.len() / bytes.len().max(1) <= GZIP_RATIO);
        let gzip = shorter.is_some();
        let bytes = shorter.unwrap_or_else(|| Bytes::from(body));
        let seconds = self.job.settings.file_stream_timeout_secs;
        let timeout = Duration::from_secs_f64(if seconds > 0.0 {
            seconds.min(3_600.0)
        } else {
            180.0
        }) + Duration::from_secs(bytes.len() as u64 / SLOWEST_BYTES_A_SECOND);
        let server = self.server.clone();
        let (entity, project) = (self.started.entity.clone(), self.started.project.clone());
        let run = self.started.run.run_id.clone();
        let epoch = self.epoch;
        self.calls.spawn(async move {
            let path = [entity.as_str(), &project, &run];
            let answer = server.file_stream(pass, path, bytes, gzip, timeout).await;
            (epoch, Done::Stream(answer))
        });
        Ok(())
    }

    fn answered(&mut self, answer: Result<HttpAnswer, CallError>) -> Result<(), Halt> {
        let now = self.now();
        let ours = self.started.features.fast_stream;
        let outcome = answer.and_then(|answer| {
            let acknowledged = ack::read(&answer.body, ours).ok_or_else(|| {
                CallError::retry("the answer does not come from the server; is a proxy between?")
            })?;
            Ok((answer.rate_limit, acknowledged))
        });
        match outcome {
            Ok((rate_limit, acknowledged)) => {
                if let Some(stored) =
                    acknowledged.shortfall(self.stream.base(), self.stream.reach())
                {
                    return self.fell_short(now, stored);
                }
                self.shortfalls = 0;
                self.stream.succeeded(now, rate_limit);
                self.links.resumed();
                self.conflicts(acknowledged.conflicts());
                if self.target.generation.is_none() {
                    self.target.generation = acknowledged.generation();
                    self.stream.set_generation(self.target.generation);
                }
                if acknowledged.stopped {
                    self.links
                        .status
                        .send_modify(|status| status.stop_requested = true);
                }
                self.advance();
                Ok(())
            }
            Err(error) => match error.verdict {
                Verdict::Refused => self.refused(&error),
                Verdict::Unauthorized if !self.has_old_key => {
                    self.stream.take_back();
                    Err(Halt::Pause(Pause::of(&error)))
                }
                Verdict::Unauthorized | Verdict::Retry | Verdict::Success => {
                    if error.is_timeout {
                        self.stream.was_slow();
                    }
                    self.stream
                        .failed(now, rand::random(), error.retry_after, error.hope);
                    self.trouble(&error);
                    Ok(())
                }
            },
        }
    }

    /// The server has less than it must have after this request.
    fn fell_short(&mut self, now: Instant, stored: super::Offsets) -> Result<(), Halt> {
        self.shortfalls += 1;
        let error = CallError::retry("the server has not stored what was sent");
        self.stream.failed(now, rand::random(), None, None);
        self.trouble(&error);
        if self.shortfalls < SHORTFALLS || stored.covers(&self.stream.stored()) {
            return Ok(());
        }
        Err(Halt::GoBack(stored))
    }

    fn conflicts(&mut self, conflicts: u64) {
        let before = self.conflicts.replace(conflicts).unwrap_or(conflicts);
        if conflicts > before {
            self.warn(
                "the server has other lines in places of this run: does another process write to it?"
                    .to_owned(),
            );
        }
    }

    fn refused(&mut self, error: &CallError) -> Result<(), Halt> {
        match self.stream.refused() {
            Refusal::Narrowed => {
                tracing::warn!(message = %error.message, "request refused: looking for the reason");
                Ok(())
            }
            Refusal::Everything => Err(Halt::Pause(Pause {
                problem: format!(
                    "the server refuses everything of this run: {}",
                    error.message
                ),
                wants_key: false,
            })),
            Refusal::Unit(unit) => {
                self.unburied
                    .push_back((unit, error.status, error.message.clone()));
                self.bury()
            }
        }
    }

    /// Writes what was taken out of the stream beside the log.
    fn bury(&mut self) -> Result<(), Halt> {
        while let Some((unit, status, reason)) = self.unburied.front() {
            let written = blocking(|| self.dead.add(unit, *status, reason));
            if let Err(error) = written {
                return Err(Halt::Pause(Pause {
                    problem: format!(
                        "the server refuses a line ({reason}), and it cannot be kept apart: {error}: `{}`",
                        self.dead.path().display()
                    ),
                    wants_key: false,
                }));
            }
            let reason = reason.clone();
            self.unburied.pop_front();
            self.quarantined += 1;
            if !self.told_quarantine {
                self.told_quarantine = true;
                let directory = self.job.log.parent().unwrap_or(&self.job.log).display();
                let text = format!(
                    "the server does not take a part of the run: {reason}\nhint: it is kept in `{}`, everything else goes on; \
                     `runlane sync --retry-quarantined {directory}` sends it again",
                    self.dead.path().display()
                );
                self.links.notice(30, text);
            }
        }
        Ok(())
    }

    /// Sends changes of the run and its config.
    pub(super) fn start_changes(&mut self, now: Instant) {
        if self.is_changing || self.upsert_due.is_none_or(|due| due > now) {
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
        let changed = Changed {
            config: std::mem::take(&mut self.projection.config_changed),
            run: std::mem::take(&mut self.projection.run_changed),
        };
        if changed.config {
            upsert.config = Some(Value::Object(self.projection.wrapped_config()).to_string());
        }
        if changed.run {
            upsert.display_name = owned(&run.display_name);
            upsert.notes = owned(&run.notes);
            upsert.group = owned(&run.run_group);
            upsert.job_type = owned(&run.job_type);
            upsert.tags = (!run.tags.is_empty()).then(|| run.tags.clone());
        }
        self.is_changing = true;
        self.upsert_due = None;
        let (server, epoch) = (self.server.clone(), self.epoch);
        self.calls.spawn(async move {
            let outcome = server.upsert(&upsert).await.map(|_reply| ());
            (epoch, Done::Changes(outcome, changed))
        });
    }

    fn changes_sent(
        &mut self,
        outcome: Result<(), CallError>,
        changed: Changed,
    ) -> Result<(), Halt> {
        self.is_changing = false;
        let Err(error) = outcome else {
            self.upsert_backoff.succeeded();
            return Ok(());
        };
        if error.verdict == Verdict::Refused {
            self.warn(format!(
                "the server does not take the run's config: {}",
                error.message
            ));
            return Ok(());
        }
        self.projection.config_changed |= changed.config;
        self.projection.run_changed |= changed.run;
        let wait = self
            .upsert_backoff
            .failed(rand::random(), error.retry_after, error.hope);
        self.upsert_due = Some(self.now() + wait);
        self.tried_in_vain(&error)
    }

    pub(super) fn start_alert(&mut self, now: Instant) {
        if self.is_alerting || self.alerts_due.is_some_and(|due| due > now) {
            return;
        }
        let Some(alert) = self.alerts.front().cloned() else {
            self.alerts_due = None;
            return;
        };
        self.is_alerting = true;
        let server = self.server.clone();
        let (entity, project) = (self.started.entity.clone(), self.started.project.clone());
        let run = self.started.run.run_id.clone();
        let ours = self.started.features.fast_stream;
        let epoch = self.epoch;
        self.calls.spawn(async move {
            let outcome = server.alert([&entity, &project, &run], &alert, ours).await;
            (epoch, Done::Alert(outcome))
        });
    }

    fn alert_sent(&mut self, outcome: Result<(), CallError>) -> Result<(), Halt> {
        self.is_alerting = false;
        match outcome {
            Ok(()) => self.upsert_backoff.succeeded(),
            Err(error) if error.verdict == Verdict::Refused => {
                let title = self.alerts.front().map(|alert| alert.title.clone());
                self.warn(format!(
                    "the server does not take alert `{}`: {}",
                    title.unwrap_or_default(),
                    error.message
                ));
            }
            Err(error) => {
                let wait =
                    self.upsert_backoff
                        .failed(rand::random(), error.retry_after, error.hope);
                self.alerts_due = Some(self.now() + wait);
                return self.tried_in_vain(&error);
            }
        }
        self.alerts.pop_front();
        Ok(())
    }

    /// A call that is tried again; refused credentials pause everything.
    pub(super) fn tried_in_vain(&mut self, error: &CallError) -> Result<(), Halt> {
        if error.verdict == Verdict::Unauthorized && !self.has_old_key {
            return Err(Halt::Pause(Pause::of(error)));
        }
        self.trouble(error);
        Ok(())
    }

    /// Takes in what has ended and leaves the gate, before a pause. Requests under way go on; their answers are taken in
    /// afterwards.
    pub(super) fn leave_gate(&mut self) {
        if let Some(entering) = self.entering.take() {
            entering.abort();
        }
        while let Some(ended) = self.calls.try_join_next() {
            match ended {
                Ok((_epoch, Done::Admitted(pass))) => drop(pass),
                Ok(done) => {
                    if let Err(halt) = self.take_done(done) {
                        tracing::debug!(?halt, "another reason to pause");
                    }
                }
                Err(error) => tracing::debug!(%error, "left the gate"),
            }
        }
    }
}
