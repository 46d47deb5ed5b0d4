//! Files of the run, uploaded beside the stream in batches.

use std::sync::Arc;
use std::time::{Duration, Instant};

use runlane_model::json::Value;

use super::super::files::{Fingerprint, Kind, Uploaded, look, upload};
use super::{Engine, FILE_BATCHES, Halt};

/// Files for our server are collected so long.
const OUR_BATCH: Duration = Duration::from_millis(250);

/// A look at live files: how long it took, and what was found.
pub(super) type Look = (Duration, Vec<(Arc<str>, Option<Fingerprint>)>);

impl Engine {
    /// Files that are worth having early: a run that is being looked at has its metadata.
    pub(super) fn early_files(&mut self) {
        if let Some(metadata) = self.projection.metadata() {
            let directory = self.job.files_dir.clone();
            let written = std::fs::create_dir_all(&directory).and_then(|()| {
                crate::own_file::replace(
                    &directory.join("wandb-metadata.json"),
                    Value::Object(metadata).to_string().as_bytes(),
                )
            });
            match written {
                Ok(()) => self.files.add_now("wandb-metadata.json"),
                Err(error) => tracing::warn!(%error, "metadata file cannot be written"),
            }
        }
        if self.files.is_waiting() {
            self.files_due = Some(self.now());
        }
    }

    pub(super) fn start_file_batches(&mut self, now: Instant) {
        if self.failed_files_due.is_some_and(|due| due <= now) {
            self.failed_files_due = None;
            self.files.try_again();
            self.files_due = Some(now);
        }
        if self.files_due.is_none_or(|due| due > now) {
            return;
        }
        while self.files.is_waiting() && self.file_tasks.len() < FILE_BATCHES {
            let names = self.files.take();
            let server = self.server.clone();
            let (entity, project) = (self.started.entity.clone(), self.started.project.clone());
            let run = self.started.run.run_id.clone();
            let (directory, known) = (self.job.files_dir.clone(), self.target.files.clone());
            let (epoch, clock) = (self.epoch, Arc::clone(&self.outside.clock));
            self.file_tasks.spawn(async move {
                let run = [entity.as_str(), &project, &run];
                let files = upload(&server, &*clock, run, directory, names, known);
                (epoch, files.await)
            });
        }
        if !self.files.is_waiting() {
            self.files_due = None;
        }
    }

    /// Looks at live files, beside everything else: a file system may take its time.
    pub(super) fn start_look(&mut self, now: Instant) {
        if self.ended {
            return;
        }
        let names = self.files.take_look(now);
        if names.is_empty() {
            return;
        }
        let (directory, clock) = (self.job.files_dir.clone(), Arc::clone(&self.outside.clock));
        self.looks.spawn_blocking(move || {
            let start = clock.now();
            let found = look(&directory, names);
            (clock.now().saturating_duration_since(start), found)
        });
    }

    /// Takes in a look at live files.
    pub(super) fn looked(&mut self, (took, found): &Look) {
        let now = self.now();
        self.files.looked(now, *took, found);
        self.batch_files(now);
    }

    /// What is waiting goes together with what comes within a moment.
    pub(super) fn batch_files(&mut self, now: Instant) {
        if self.files.is_waiting() && self.files_due.is_none() {
            let wait = if self.ended {
                Duration::ZERO
            } else if self.started.features.fast_stream {
                OUR_BATCH
            } else {
                self.debounce
            };
            self.files_due = Some(now + wait);
        }
    }

    pub(super) fn files_stored(&mut self, epoch: u32, outcome: &Uploaded) -> Result<(), Halt> {
        self.has_old_key = epoch != self.epoch;
        for (name, md5) in &outcome.stored {
            let before = self.target.files.insert(name.clone(), md5.clone());
            self.stream.file_uploaded(name.clone());
            if before.is_some() {
                // A live file counts once, however often it changes.
                continue;
            }
            self.links
                .status
                .send_modify(|status| match Kind::of(name) {
                    Kind::Wandb => status.wandb_files += 1,
                    Kind::Media => status.media_files += 1,
                    Kind::Other => status.other_files += 1,
                });
        }
        let now = self.now();
        let (waits_for, given_up) = self.files.ended(now, outcome);
        self.batch_files(now);
        for warning in outcome.warnings.iter().cloned().chain(given_up) {
            self.warn(warning);
        }
        let Some(error) = waits_for else {
            self.files_backoff.succeeded();
            return Ok(());
        };
        let wait = self
            .files_backoff
            .failed(rand::random(), error.retry_after, error.hope);
        self.failed_files_due = Some(now + wait);
        self.tried_in_vain(&error)
    }
}
