//! Artifacts of the run, saved beside everything else; nothing waits for them but the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use runlane_model::backoff::Verdict;
use runlane_proto::wandb_internal as pb;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::super::artifacts::{
    self, ArtifactPlan, ArtifactState, Ended, Item, Leftovers, Names, Progress, Saved,
};
use super::super::blocking;
use super::super::http::CallError;
use super::{Engine, Halt};

/// What is under way shows this often.
pub(super) const SHOW_INTERVAL: Duration = Duration::from_millis(250);

/// The artifacts of one upload.
#[derive(Debug, Default)]
pub(super) struct Artifacts {
    plan: ArtifactPlan,
    pub(super) tasks: JoinSet<(u32, Saved)>,
    /// Staged copies of stored versions, being put by.
    pub(super) cleaning: JoinSet<()>,
    /// Those of versions that were stored before, one after another.
    turn: Arc<Mutex<()>>,
    /// Those that are being saved.
    progress: BTreeMap<u64, (String, Progress)>,
    /// Sums over those that have ended.
    ended: Sums,
    /// Why the last one of those that failed did.
    last_failure: String,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    files: u32,
    total: u64,
    sent: u64,
    read: u64,
}

impl Sums {
    fn add(&mut self, progress: &Progress) {
        let now = progress.now();
        self.files = self.files.saturating_add(now.files);
        self.total += now.bytes_total;
        self.sent += progress.sent.get();
        self.read += progress.read.get();
    }
}

impl Artifacts {
    /// Whether anything is left to be done.
    pub(super) fn is_busy(&self) -> bool {
        self.plan.left() > 0 || !self.tasks.is_empty() || !self.cleaning.is_empty()
    }

    /// Whether what it shows changes by itself.
    pub(super) fn is_moving(&self) -> bool {
        !self.tasks.is_empty()
    }
}

impl Engine {
    /// Takes in a record of the log, which was read last.
    pub(super) fn add_artifact(&mut self, record: &pb::ArtifactRecord, end: u64) {
        let known = self.target.artifacts.get(&end);
        let state = ArtifactState {
            done: known.is_some(),
            id: known.cloned().unwrap_or_default(),
            ..ArtifactState::default()
        };
        let is_stored = state.done;
        self.links.status.send_modify(|status| {
            Arc::make_mut(&mut status.artifacts).insert(record.client_id.clone(), state);
        });
        if is_stored {
            let turn = Arc::clone(&self.artifacts.turn);
            if let Some(known) = artifacts::known(&self.job, record, self.tail.begin()) {
                self.artifacts.cleaning.spawn(async move {
                    let _turn = turn.lock().await;
                    blocking(|| known.put_by());
                });
            }
        } else {
            self.artifacts.plan.add(Item {
                begin: self.tail.begin(),
                end,
                name: record.name.clone(),
                client_id: record.client_id.clone(),
                step: self.projection.step_of(record),
            });
        }
    }

    pub(super) fn start_artifacts(&mut self) {
        while let Some(item) = self.artifacts.plan.take() {
            let names = Names {
                entity: &self.started.entity,
                project: &self.started.project,
                run: &self.started.run.run_id,
            };
            let outside = (&self.outside.clock, &self.outside.transfers);
            let server = (&self.server, self.started.features);
            let (end, client_id) = (item.end, item.client_id.clone());
            let errand = artifacts::errand(
                &self.job,
                server,
                names,
                outside,
                &self.artifacts.plan,
                item,
            );
            let progress = errand.progress().clone();
            self.artifacts.progress.insert(end, (client_id, progress));
            let epoch = self.epoch;
            self.artifacts
                .tasks
                .spawn(async move { (epoch, artifacts::save(errand).await) });
        }
    }

    /// Takes in how saving an artifact has ended.
    pub(super) fn artifact_ended(&mut self, epoch: u32, saved: Saved) -> Result<(), Halt> {
        self.has_old_key = epoch != self.epoch;
        let Saved { item, outcome } = saved;
        let progress = self.artifacts.progress.remove(&item.end);
        let progress = progress.map(|(_, progress)| progress).unwrap_or_default();
        match outcome {
            Ended::Unauthorized(error) => {
                self.artifacts.plan.put_back(item);
                self.tried_in_vain(&CallError {
                    verdict: Verdict::Unauthorized,
                    ..error
                })
            }
            Ended::Failed(problem) => {
                self.artifacts.ended.add(&progress);
                self.artifacts.plan.ended(&item, false);
                tracing::error!(name = %item.name, %problem, run = %self.job.settings.run_id, "artifact not stored");
                let text = format!(
                    "artifact `{}` is not stored: {problem}",
                    item.name.escape_debug()
                );
                self.set_state(&item, &progress, problem);
                self.artifacts.last_failure.clone_from(&text);
                self.links.notice(40, text);
                Ok(())
            }
            Ended::Stored { existed, leftovers } => {
                self.artifacts.ended.add(&progress);
                self.artifacts.plan.ended(&item, true);
                let id = progress.now().id.clone();
                self.target.artifacts.insert(item.end, id);
                self.set_state(&item, &progress, String::new());
                if existed {
                    self.links.notice(
                        20,
                        format!(
                            "artifact `{}` already exists with the same content: no new version is created",
                            item.name.escape_debug()
                        ),
                    );
                }
                self.put_by(leftovers);
                Ok(())
            }
        }
    }

    /// Staged copies are not needed any more once it is on disk that their version is stored.
    fn put_by(&mut self, leftovers: Leftovers) {
        match blocking(|| self.cursor.save(&self.target)) {
            Ok(()) => {
                self.artifacts
                    .cleaning
                    .spawn(async move { blocking(|| leftovers.put_by()) });
            }
            Err(error) => {
                tracing::warn!(%error, "upload cursor cannot be saved: staged files stay");
            }
        }
    }

    fn set_state(&mut self, item: &Item, progress: &Progress, error: String) {
        let now = progress.now();
        let state = ArtifactState {
            done: true,
            id: now.id.clone(),
            error,
            bytes_uploaded: progress.sent.get(),
            bytes_total: now.bytes_total,
        };
        drop(now);
        self.links.status.send_modify(|status| {
            Arc::make_mut(&mut status.artifacts).insert(item.client_id.clone(), state);
        });
    }

    /// Shows how far artifacts are in `status`.
    pub(super) fn show_artifacts(&self, status: &mut super::super::UploadStatus) {
        let mut sums = self.artifacts.ended;
        for (client_id, progress) in self.artifacts.progress.values() {
            sums.add(progress);
            let now = progress.now();
            let state = ArtifactState {
                done: false,
                id: now.id.clone(),
                error: now.problem.clone(),
                bytes_uploaded: progress.sent.get(),
                bytes_total: now.bytes_total,
            };
            drop(now);
            if status.artifacts.get(client_id) != Some(&state) {
                Arc::make_mut(&mut status.artifacts).insert(client_id.clone(), state);
            }
        }
        status.artifact_files = sums.files;
        (status.artifact_bytes_total, status.artifact_bytes_uploaded) = (sums.total, sums.sent);
        status.artifact_work = sums.sent + sums.read + u64::from(sums.files);
        let mut problems = self.artifacts.progress.values();
        let problem = problems.find_map(|(_, progress)| {
            Some(progress.now().problem.clone()).filter(|problem| !problem.is_empty())
        });
        status.artifact_problem = problem.unwrap_or_else(|| self.artifacts.last_failure.clone());
        status.artifacts_left = self.artifacts.plan.left();
        status.artifacts_failed = self.artifacts.plan.failed();
    }
}
