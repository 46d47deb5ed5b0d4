//! Closing a run: the exit record, then waiting for the upload, with progress.

use std::time::Duration;

use runlane_model::json::Value;
use runlane_proto::local::{self, daemon_message::Message, response};
use runlane_proto::wandb_internal as pb;
use tokio::time::Instant;

use super::actor::{Actor, PeerLink};
use crate::upload::{LogEnd, UploadStatus};

/// Progress goes out this often.
const REPORT_INTERVAL: Duration = Duration::from_millis(200);
/// The wait ends after this long without any progress.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// A process that is dead is waited for this long: what it left in its socket is still being read.
const DYING_TIMEOUT: Duration = Duration::from_secs(2);
const DYING_INTERVAL: Duration = Duration::from_millis(5);
/// Values per metric that a sparkline shows at most.
pub(super) const SAMPLES: usize = 40;

/// A `Finish` that waits for its last answer.
#[derive(Debug)]
pub(super) struct Finishing {
    link: PeerLink,
    request_id: u64,
    deadline: Option<Instant>,
    next_report: Instant,
    progress: (u64, u64, u32, u64),
    progress_at: Instant,
    /// The exit record is not written yet: other processes are dead, and not everything of theirs is here.
    held: Option<(pb::RunExitRecord, Instant)>,
}

impl Finishing {
    pub(super) fn next_report(&self) -> Instant {
        self.next_report
    }
}

impl Actor {
    pub(super) fn begin_finish(&mut self, request_id: u64, link: PeerLink, finish: &local::Finish) {
        let now = Instant::now();
        let exit = pb::RunExitRecord {
            exit_code: finish.exit_code,
            not_complete: finish.not_complete,
            ..Default::default()
        };
        self.finishing = Some(Finishing {
            link,
            request_id,
            deadline: (finish.timeout_secs > 0.0)
                .then(|| now + Duration::from_secs_f64(finish.timeout_secs.min(1e9))),
            next_report: now,
            progress: (0, 0, 0, 0),
            progress_at: now,
            held: self.end.is_none().then(|| (exit, now + DYING_TIMEOUT)),
        });
    }

    /// Writes the exit record that is due; whether there is none any more.
    fn close_when_complete(&mut self) -> bool {
        let Some(finishing) = &mut self.finishing else {
            return true;
        };
        let Some((exit, until)) = finishing.held.take() else {
            return true;
        };
        let now = Instant::now();
        let limit = finishing.deadline;
        if self.end.is_none() {
            let mut others = self
                .writers
                .iter()
                .filter(|(_, other)| other.link.is_some());
            let dying = others.any(|(id, _)| {
                let info = self.state.writer_info(*id);
                info.is_some_and(|info| is_dead(info.pid))
            });
            if dying && now < until {
                finishing.held = Some((exit, until));
                finishing.next_report = now + DYING_INTERVAL;
                return false;
            }
            if !self.drain_mirror(limit) {
                if let Some(finishing) = &mut self.finishing {
                    finishing.held = Some((exit, until));
                    finishing.next_report = now + REPORT_INTERVAL;
                }
                return false;
            }
            self.state.write_exit(exit, self.age.secs());
            self.close_run(LogEnd::Finished);
        }
        if let Some(finishing) = &mut self.finishing {
            finishing.next_report = now;
        }
        true
    }

    /// Says that the end is still being read from files: whoever waits must not think that nobody is there.
    fn report_draining(&mut self) {
        let now = Instant::now();
        let rows = self.state.rows;
        let Some(finishing) = &mut self.finishing else {
            return;
        };
        if now.duration_since(finishing.progress_at) < REPORT_INTERVAL {
            return;
        }
        finishing.progress_at = now;
        let message = local::FinishProgress {
            rows_total: rows,
            ..Default::default()
        };
        finishing
            .link
            .outbox
            .send(Message::Response(local::Response {
                request_id: finishing.request_id,
                error: None,
                response: Some(response::Response::Finish(message)),
            }));
    }

    /// Answers a waiting `Finish`, at the latest when nothing moves any more.
    pub(super) fn report_progress(&mut self) {
        if !self.close_when_complete() {
            self.report_draining();
            return;
        }
        let logged = self.is_settled();
        let Some(finishing) = &mut self.finishing else {
            return;
        };
        let now = Instant::now();
        let status = self
            .uploads
            .as_ref()
            .map(|uploads| uploads.status.borrow().clone());
        let uploaded = status.as_ref().is_none_or(|status| status.complete);
        let paused = status.as_ref().is_some_and(|status| status.is_paused);
        let progress = status.as_ref().map_or((0, 0, 0, 0), |status| {
            let work = status.artifact_work;
            (status.rows, status.bytes, status.files_total(), work)
        });
        if progress != finishing.progress {
            finishing.progress = progress;
            finishing.progress_at = now;
        }
        let out_of_time = finishing.deadline.is_some_and(|deadline| deadline <= now)
            || now.duration_since(finishing.progress_at) >= IDLE_TIMEOUT;
        let done = (logged && (uploaded || paused)) || out_of_time;
        if !done && now < finishing.next_report {
            return;
        }
        finishing.next_report = now + REPORT_INTERVAL;
        let status = status.unwrap_or_default();
        let has_all = status.artifacts_failed == 0;
        let complete = logged && uploaded && !self.is_gone && has_all;
        let problem = match (complete, self.problem.is_empty()) {
            (true, _) => String::new(),
            (false, false) => self.problem.clone(),
            (false, true) if uploaded && !has_all => status.artifact_problem.clone(),
            (false, true) if !done => current_problem(&status).to_owned(),
            (false, true) => unfinished(&status, self.state.rows, self.journal.len()),
        };
        let message = local::FinishProgress {
            done,
            complete,
            rows_total: self.state.rows,
            rows_uploaded: status.rows,
            bytes_total: self.journal.len(),
            bytes_uploaded: status.bytes,
            wandb_files: status.wandb_files,
            media_files: status.media_files,
            artifact_files: status.artifact_files,
            other_files: status.other_files,
            artifacts_left: u32::try_from(status.artifacts_left).unwrap_or(u32::MAX),
            artifact_bytes_total: status.artifact_bytes_total,
            artifact_bytes_uploaded: status.artifact_bytes_uploaded,
            uploaded: logged && uploaded && !self.is_gone,
            problem,
            summary: done.then(|| local::Summary {
                json: Value::Object(self.state.summary()).to_string(),
            }),
            step: done.then(|| local::Step {
                next: self.state.next_step(),
            }),
            sampled: done.then(|| local::Sampled {
                item: self.state.sampled(SAMPLES),
            }),
        };
        finishing
            .link
            .outbox
            .send(Message::Response(local::Response {
                request_id: finishing.request_id,
                error: None,
                response: Some(response::Response::Finish(message)),
            }));
        if done {
            self.finishing = None;
        }
    }
}

/// Whether a process of this host has ended, though its parent may not have asked for it yet.
fn is_dead(pid: u32) -> bool {
    if pid == 0 {
        return false;
    }
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        // The state stands behind the name, which may hold anything.
        Ok(stat) => stat
            .rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with(['Z', 'X'])),
        Err(error) => {
            error.kind() == std::io::ErrorKind::NotFound
                && std::path::Path::new("/proc/self/stat").exists()
        }
    }
}

/// Why an upload does not go on; empty if it does.
fn current_problem(status: &UploadStatus) -> &str {
    if status.problem.is_empty() {
        &status.artifact_problem
    } else {
        &status.problem
    }
}

/// Says what was not uploaded, and why.
fn unfinished(status: &UploadStatus, rows: u64, bytes: u64) -> String {
    let why = match (current_problem(status), status.is_paused) {
        ("", _) => "no progress".to_owned(),
        (problem, true) => format!("uploads are paused: {problem}"),
        (problem, false) => problem.to_owned(),
    };
    let rows = rows.saturating_sub(status.rows);
    let bytes = bytes.saturating_sub(status.bytes);
    let files = match status.files_left {
        0 => String::new(),
        1 => " and 1 file".to_owned(),
        files => format!(" and {files} files"),
    };
    let artifacts = match status.artifacts_left {
        0 => String::new(),
        1 => " and 1 artifact".to_owned(),
        artifacts => format!(" and {artifacts} artifacts"),
    };
    format!("{rows} rows ({bytes} bytes of the log){files}{artifacts} are left: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_counted() {
        let status = UploadStatus {
            rows: 10,
            bytes: 1_000,
            files_left: 2,
            is_paused: true,
            problem: "the server refuses the API key: status 401".to_owned(),
            ..UploadStatus::default()
        };
        assert_eq!(
            unfinished(&status, 12, 1_500),
            "2 rows (500 bytes of the log) and 2 files are left: uploads are paused: the server refuses the API key: status 401"
        );
        let nothing = unfinished(&UploadStatus::default(), 0, 0);
        assert_eq!(nothing, "0 rows (0 bytes of the log) are left: no progress");
    }
}
