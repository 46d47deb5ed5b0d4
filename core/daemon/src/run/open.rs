//! Opening a run: a new log, or one that is taken up again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use runlane_model::limits;
use runlane_proto::local;
use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::error_info::ErrorCode;
use runlane_proto::wandb_internal::record::RecordType;

use super::actor::{Actor, PeerLink, WriterLink};
use super::journal::Journal;
use super::key_budget::KeyBudget;
use super::recover::{self, PRODUCER, RecoverError, seconds_of};
use super::state::{RunState, StateSettings, merge_run};
use crate::clock::Age;
use crate::daemon::Daemon;
use crate::upload::{self, LogEnd, StartOutcome};

/// An online `OpenRun` waits no longer than this for a server that does not answer.
const SERVER_TIMEOUT: Duration = Duration::from_secs(5);

/// An error for the user, with its category.
pub(crate) fn refusal(code: ErrorCode, message: impl Into<String>) -> pb::ErrorInfo {
    pb::ErrorInfo {
        message: message.into(),
        code: code.into(),
    }
}

/// The log of a run, from its settings; refuses ids and directories that would lead elsewhere.
pub(crate) fn log_path(settings: &local::RunSettings) -> Result<PathBuf, pb::ErrorInfo> {
    limits::check_run_id(&settings.run_id)
        .map_err(|error| refusal(ErrorCode::Usage, error.to_string()))?;
    let directory = Path::new(&settings.sync_dir);
    if !directory.is_absolute() {
        return Err(refusal(
            ErrorCode::Usage,
            format!("the run directory is not absolute: `{}`", settings.sync_dir),
        ));
    }
    Ok(directory.join(format!("run-{}.wandb", settings.run_id)))
}

impl Actor {
    /// Opens the run and answers what `OpenRun` is to be answered with.
    pub(super) async fn open(
        daemon: Arc<Daemon>,
        open: &local::OpenRun,
        link: PeerLink,
    ) -> Result<(Self, local::OpenRunReply), pb::ErrorInfo> {
        let settings = open.settings.clone().unwrap_or_default();
        let path = log_path(&settings)?;
        if open.writer == 0 {
            return Err(refusal(ErrorCode::Usage, "a stream needs a writer number"));
        }
        if open.attach {
            let mut actor = tokio::task::block_in_place(|| Self::take_up(daemon, settings, &path))?;
            let answer = actor.attach(open, link)?;
            actor.detached = !actor.settings.offline;
            actor.start_uploads(false);
            return Ok((actor, answer));
        }
        let mut actor =
            tokio::task::block_in_place(|| Self::create(daemon, settings, &path, open))?;
        actor.add_writer(open, link);
        if !actor.settings.offline {
            actor.meet_server().await?;
        }
        let answer = actor.answer(open.writer);
        Ok((actor, answer))
    }

    /// Joins a run that is open already: after a reconnect, or from another process.
    pub(super) fn attach(
        &mut self,
        open: &local::OpenRun,
        link: PeerLink,
    ) -> Result<local::OpenRunReply, pb::ErrorInfo> {
        if !open.attach {
            return Err(refusal(
                ErrorCode::Usage,
                "the run is open already: its directory is in use",
            ));
        }
        if self.end.is_some() {
            return Err(refusal(
                ErrorCode::Usage,
                format!("run `{}` is finished", self.settings.run_id),
            ));
        }
        if let Some(settings) = &open.settings
            && !settings.api_key.is_empty()
        {
            // Credentials are on no disk: after a restart the client brings them again.
            self.settings.api_key.clone_from(&settings.api_key);
        }
        self.add_writer(open, link);
        Ok(self.answer(open.writer))
    }

    fn add_writer(&mut self, open: &local::OpenRun, link: PeerLink) {
        let spill_path = PathBuf::from(&open.spill_path);
        self.state
            .writer_joined(open.writer, open.writer_info.clone().unwrap_or_default());
        self.writers.insert(
            open.writer,
            WriterLink {
                link: Some(link),
                spill_path,
                shelf_path: PathBuf::from(&open.shelf_path),
            },
        );
        self.sample_for(open);
    }

    fn answer(&self, writer: u64) -> local::OpenRunReply {
        let (run_url, project_url) =
            if self.settings.offline || self.detached && self.state.run.storage_id.is_empty() {
                (String::new(), String::new())
            } else {
                let base = if self.settings.app_url.is_empty() {
                    &self.settings.base_url
                } else {
                    &self.settings.app_url
                };
                upload::web_pages(base, &self.state.run)
            };
        local::OpenRunReply {
            request_id: 0,
            stream: 0,
            run: Some(self.state.run.clone()),
            error: None,
            logged_seq: self.acked_seq(writer),
            detached: self.detached,
            run_url,
            project_url,
            code_saving_enabled: self
                .uploads
                .as_ref()
                .is_some_and(|uploads| uploads.status.borrow().saves_code),
        }
    }

    fn create(
        daemon: Arc<Daemon>,
        settings: local::RunSettings,
        path: &Path,
        open: &local::OpenRun,
    ) -> Result<Self, pb::ErrorInfo> {
        let mut run = open.run.clone().unwrap_or_default();
        run.run_id.clone_from(&settings.run_id);
        if run.start_time.is_none() {
            run.start_time = Some(timestamp(daemon.clock().unix_secs()));
        }
        // In the log, so that `sync` of a run that was offline does what was asked for.
        if let Some(point) = settings
            .fork_from
            .as_ref()
            .or(settings.resume_from.as_ref())
        {
            run.branch_point = Some(point.clone());
            run.forked = true;
            run.starting_step = step_behind(point)?;
        }
        let journal =
            create_journal(path).map_err(|error| refusal(ErrorCode::Usage, error.to_string()))?;
        let state = RunState::new(run.clone(), state_settings(&settings));
        let age = age_of(&daemon, &run);
        let mut actor = Self::assemble(daemon, settings, state, journal, age);
        let header = pb::HeaderRecord {
            version_info: Some(pb::VersionInfo {
                producer: format!("{PRODUCER} {}", crate::VERSION),
                min_consumer: "0.70.0".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        actor.push(RecordType::Header(header));
        let info = open.writer_info.clone().unwrap_or_default();
        actor.state.begin(run, open.writer, info);
        for record in &open.preface {
            actor.state.preface(record);
        }
        actor.write_out();
        if !actor.problem.is_empty() {
            return Err(refusal(
                ErrorCode::Usage,
                std::mem::take(&mut actor.problem),
            ));
        }
        actor.journal.request_sync(std::time::Instant::now());
        Ok(actor)
    }

    pub(super) fn push(&mut self, record_type: RecordType) {
        let record = pb::Record {
            record_type: Some(record_type),
            ..Default::default()
        };
        self.state.batch.push(&record.encode_to_vec());
    }

    fn take_up(
        daemon: Arc<Daemon>,
        settings: local::RunSettings,
        path: &Path,
    ) -> Result<Self, pb::ErrorInfo> {
        let recovered = recover::take_up(path, &state_settings(&settings)).map_err(|error| {
            let code = match &error {
                RecoverError::Log(runlane_translog::Error::Open { .. })
                | RecoverError::NoRun(_) => ErrorCode::Usage,
                _ => ErrorCode::Unknown,
            };
            refusal(code, error.to_string())
        })?;
        if recovered.state.exit.is_some() {
            return Err(refusal(
                ErrorCode::Usage,
                format!("run `{}` is finished", settings.run_id),
            ));
        }
        let age = age_of(&daemon, &recovered.state.run);
        let mut actor = Self::assemble(daemon, settings, recovered.state, recovered.journal, age);
        let now = std::time::Instant::now();
        actor.output.take_up(path, &mut actor.state.console, now);
        actor.write_out();
        Ok(actor)
    }

    /// Starts the upload and takes over what the server answers; without an answer in time the run goes on from local
    /// state.
    async fn meet_server(&mut self) -> Result<(), pb::ErrorInfo> {
        let Some(mut started) = self.start_uploads(true) else {
            return Ok(());
        };
        let wanted = self.settings.init_timeout_secs;
        let patience = if wanted > 0.0 {
            SERVER_TIMEOUT.min(Duration::from_secs_f64(wanted))
        } else {
            SERVER_TIMEOUT
        };
        let answer = match tokio::time::timeout(patience, &mut started).await {
            Ok(answer) => answer.ok(),
            Err(_elapsed) => {
                // Closed first: an answer is either here or was never taken, and the uploader knows which.
                started.close();
                started.try_recv().ok()
            }
        };
        match answer {
            Some(Ok(run)) => {
                let mut merged = self.state.run.clone();
                merge_run(&mut merged, &run);
                merged.config = run.config;
                merged.summary = run.summary;
                // The log alone must tell later what was inherited and where the steps began.
                self.push(RecordType::Run(merged.clone()));
                self.state.start_at(merged);
                self.age = age_of(&self.daemon, &self.state.run);
                self.write_out();
                Ok(())
            }
            Some(Err(error)) => {
                self.give_up().await;
                Err(error)
            }
            None => {
                let needs_answer = self.settings.force
                    || matches!(self.settings.resume.as_str(), "must" | "never")
                    || self.settings.fork_from.is_some()
                    || self.settings.resume_from.is_some();
                if needs_answer {
                    let problem = self
                        .uploads
                        .as_ref()
                        .map(|uploads| uploads.status.borrow().problem.clone());
                    self.give_up().await;
                    let why = problem
                        .filter(|text| !text.is_empty())
                        .unwrap_or_else(|| "no answer in time".to_owned());
                    let message = format!(
                        "cannot reach the server `{}`: {why}",
                        self.settings.base_url
                    );
                    return Err(refusal(ErrorCode::Communication, message));
                }
                self.detached = true;
                Ok(())
            }
        }
    }

    /// Begins to upload; the receiver gets the server's view of the run once it has answered.
    pub(super) fn start_uploads(&mut self, is_fresh: bool) -> Option<StartOutcome> {
        if self.settings.offline {
            return None;
        }
        let (handle, started) = upload::start(
            &self.daemon,
            self.settings.clone(),
            self.journal.path(),
            self.journal.live(),
            is_fresh,
        );
        self.uploads = Some(handle);
        self.publish_log_state();
        Some(started)
    }

    /// The run could not be opened: nothing is uploaded of it.
    async fn give_up(&mut self) {
        if let Some(uploads) = self.uploads.take() {
            uploads.stop().await;
        }
        self.end = Some(LogEnd::Abandoned);
        // Nothing was logged; left behind, the log would be uploaded by a later `sync`.
        let path = self.journal.path();
        let mut cursor = path.clone().into_os_string();
        cursor.push(".runlane-cursor");
        for file in [path, cursor.into()] {
            if let Err(error) = std::fs::remove_file(&file)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(%error, path = %file.display(), "log of a run that was not opened stays");
            }
        }
    }
}

/// A new log, also in the place of one that a daemon began and nobody has logged to.
fn create_journal(path: &Path) -> Result<Journal, runlane_translog::Error> {
    match Journal::create(path) {
        Err(error @ runlane_translog::Error::Create { .. }) if path.is_file() => {
            if recover::remove_unused(path)? {
                Journal::create(path)
            } else {
                Err(error)
            }
        }
        other => other,
    }
}

fn state_settings(settings: &local::RunSettings) -> StateSettings {
    StateSettings {
        typed_history: settings.typed_history,
        shared: settings.shared,
        is_named: !settings.label.is_empty(),
        explicit_summary_only: settings.server_side_derived_summary,
        key_budget: KeyBudget::default(),
    }
}

fn age_of(daemon: &Daemon, run: &pb::RunRecord) -> Age {
    let started = run
        .start_time
        .as_ref()
        .map_or_else(|| daemon.clock().unix_secs(), seconds_of);
    Age::of(daemon.clock(), started, f64::from(run.runtime))
}

/// The first step behind a branch point.
fn step_behind(point: &pb::BranchPoint) -> Result<i64, pb::ErrorInfo> {
    if !(point.metric.is_empty() || point.metric == "_step") {
        let message = format!(
            "a run can only be forked at a `_step`, not at `{}`",
            point.metric
        );
        return Err(refusal(ErrorCode::Usage, message));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked to be within range"
    )]
    if (0.0..9e15).contains(&point.value) {
        // A fraction names no later step.
        Ok(point.value.floor() as i64 + 1)
    } else {
        Err(refusal(
            ErrorCode::Usage,
            format!("`_step={}` is not a step to fork at", point.value),
        ))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a date within range")]
fn timestamp(unix_secs: f64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: unix_secs.floor() as i64,
        nanos: (unix_secs.fract() * 1e9) as i32,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::encode::{Mark, RecordBatch, put_mark};
    use super::*;

    fn append(journal: &mut Journal, mark: Option<Mark>) {
        let record = pb::Record {
            record_type: Some(RecordType::Run(pb::RunRecord::default())),
            ..Default::default()
        };
        let mut batch = RecordBatch::default();
        batch.push_with(|out| {
            out.extend_from_slice(&record.encode_to_vec());
            if let Some(mark) = mark {
                put_mark(out, mark);
            }
        });
        journal.append(&mut batch, Instant::now()).expect("written");
    }

    #[test]
    fn a_log_that_nobody_has_logged_to_is_begun_anew() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("run-x.wandb");
        let mut journal = create_journal(&path).expect("made");
        append(&mut journal, None);
        let error = create_journal(&path).expect_err("somebody writes it");
        assert!(
            matches!(error, runlane_translog::Error::Locked { .. }),
            "{error}"
        );
        // The daemon died before it had answered.
        drop(journal);
        let mut journal = create_journal(&path).expect("made anew");
        append(&mut journal, Some(Mark { writer: 7, seq: 1 }));
        drop(journal);
        let length = std::fs::metadata(&path).expect("there").len();
        let error = create_journal(&path).expect_err("somebody has logged to it");
        assert!(
            matches!(error, runlane_translog::Error::Create { .. }),
            "{error}"
        );
        assert_eq!(std::fs::metadata(&path).expect("there").len(), length);
    }
}
