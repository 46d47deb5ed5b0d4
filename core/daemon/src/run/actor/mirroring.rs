//! TensorBoard event files of the run: read beside the actor, in pieces; their rows go the way of all others.

use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

use super::Actor;
use crate::tensorboard::{Mirror, Mirrored, OsDisk, Polled};
use crate::upload::LogEnd;

/// How often files are looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// Looking at very many files takes at most one part in so many of the time.
const LEISURE: u32 = 20;
/// From here on rows must not hold up the other runs.
const MANY_ROWS: usize = 50;
/// The end of a run waits so long for what is in the files, from the last piece of it on.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// What a poll brings back.
pub(super) type MirrorOutcome = (Mirror, Polled, Duration);

/// The event files of one run.
#[derive(Debug, Default)]
pub(super) struct Mirroring {
    /// Empty while it is being polled, and without log directories.
    mirror: Option<Mirror>,
    pub(super) task: Option<JoinHandle<MirrorOutcome>>,
    /// How many of the told directories it knows.
    told: usize,
    /// The zero of its clock.
    began: Option<Instant>,
    next_poll: Option<Instant>,
    /// The run ends: until when its files are waited for.
    drains_until: Option<Instant>,
    is_drained: bool,
    /// All processes are gone; what they wrote is still being read.
    pub(super) is_orphaned: bool,
}

impl Mirroring {
    /// When something is to be done.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        match (&self.task, self.next_poll, self.drains_until) {
            (None, Some(poll), Some(end)) => Some(poll.min(end)),
            (None, poll, None) => poll,
            (_, _, end) => end,
        }
    }
}

impl Actor {
    /// Passes on what processes have told, and starts a poll if it is due.
    pub(super) fn start_mirror_work(&mut self) {
        let told = self.state.mirror.told.len();
        if self.end.is_some() || self.shutting_down {
            self.mirroring.mirror = None;
            self.mirroring.next_poll = None;
            self.mirroring.drains_until = None;
            return;
        }
        if told == 0 || self.mirroring.task.is_some() {
            return;
        }
        let now = Instant::now();
        let began = *self.mirroring.began.get_or_insert(now);
        let clock = now.duration_since(began);
        if self.mirroring.told < told {
            let mut remarks = Vec::new();
            let (settings, state) = (&self.settings, &self.state);
            let mirror = self.mirroring.mirror.get_or_insert_with(|| {
                let disk = Box::new(OsDisk::new(&settings.files_dir));
                Mirror::new(state.mirror.started, disk, &state.mirror.files)
            });
            for directory in &state.mirror.told[self.mirroring.told..] {
                mirror.tell(directory.clone(), clock, &mut remarks);
            }
            self.mirroring.told = told;
            self.mirroring.next_poll = Some(now);
            self.mirroring.is_drained = false;
            for remark in remarks {
                self.tell_all(remark.severity, &remark.text);
            }
        }
        // A disk that is full takes no rows: the files keep them.
        if self.mirroring.next_poll.is_none_or(|at| at > now) || !self.takes_more() {
            return;
        }
        let Some(mut mirror) = self.mirroring.mirror.take() else {
            return;
        };
        if self.mirroring.drains_until.is_some() {
            mirror.begin_end();
        } else {
            mirror.go_on();
        }
        self.mirroring.task = Some(tokio::task::spawn_blocking(move || {
            let started = std::time::Instant::now();
            let polled = mirror.poll(clock);
            (mirror, polled, started.elapsed())
        }));
    }

    /// Takes in what a poll has found.
    pub(super) fn mirror_work_ended(&mut self, outcome: Result<MirrorOutcome, JoinError>) {
        self.mirroring.task = None;
        let (mirror, polled, took) = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::error!(%error, "mirroring of event files ended abnormally");
                self.mirroring.next_poll = None;
                self.mirroring.is_drained = true;
                self.tell_all(
                    40,
                    "TensorBoard event files are not mirrored any more: internal error in runlane, please report it",
                );
                return;
            }
        };
        if self.end.is_some() {
            return;
        }
        // A poll that began before the end of the run says nothing of the end.
        let is_ending = self.mirroring.drains_until.is_some() && !polled.done;
        let pause = if polled.more || is_ending {
            Duration::ZERO
        } else {
            INTERVAL.max(took * LEISURE)
        };
        self.mirroring.mirror = Some(mirror);
        self.mirroring.next_poll = Some(Instant::now() + pause);
        self.mirroring.is_drained = polled.done;
        if polled.more {
            self.mirroring.drains_until = self
                .mirroring
                .drains_until
                .map(|_| Instant::now() + DRAIN_TIMEOUT);
        }
        self.state.remarks.extend(polled.remarks);
        if polled.found.len() < MANY_ROWS {
            self.take_mirrored(polled.found);
        } else {
            tokio::task::block_in_place(|| self.take_mirrored(polled.found));
        }
    }

    fn take_mirrored(&mut self, found: Vec<Mirrored>) {
        let runtime = self.age.secs();
        for found in found {
            match found {
                Mirrored::Opened(opened) => self.state.write_opened(&opened),
                Mirrored::Row(row) => self.state.write_mirrored(row, runtime),
            }
        }
        self.write_out();
    }

    /// The run ends: has what is in the event files read; whether nothing is left to wait for.
    pub(in crate::run) fn drain_mirror(&mut self, limit: Option<Instant>) -> bool {
        let idle = self.mirroring.mirror.is_none()
            && self.mirroring.task.is_none()
            && self.mirroring.told == self.state.mirror.told.len();
        if idle || self.mirroring.is_drained && self.mirroring.drains_until.is_some() {
            return true;
        }
        let now = Instant::now();
        let until = *self.mirroring.drains_until.get_or_insert_with(|| {
            self.mirroring.is_drained = false;
            self.mirroring.next_poll = Some(now);
            now + DRAIN_TIMEOUT
        });
        let until = limit.map_or(until, |limit| until.min(limit));
        if now < until {
            return false;
        }
        self.tell_all(
            30,
            "TensorBoard event files could not be read to their ends in time: their last rows are not mirrored",
        );
        true
    }

    /// Closes a run whose processes are all gone, once what they wrote is read.
    pub(super) fn close_orphan(&mut self) {
        if !self.mirroring.is_orphaned {
            return;
        }
        let has_returned = self.writers.values().any(|writer| writer.link.is_some());
        // A process that died while it waited for the end of its run has said how it ended.
        if has_returned || self.finishing.is_some() || self.end.is_some() || self.shutting_down {
            self.mirroring.is_orphaned = false;
            if self.finishing.is_none() {
                self.mirroring.drains_until = None;
            }
            return;
        }
        if self.drain_mirror(None) {
            self.mirroring.is_orphaned = false;
            self.state.write_death(self.age.secs());
            self.close_run(LogEnd::Died);
        }
    }
}
