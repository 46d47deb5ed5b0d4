//! Which files are to be uploaded, and when: the policies, retries, and what is under way. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use runlane_model::limits::check_file_name;
use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::files_item::PolicyType;

use super::glob::matches_glob;
use super::live::{Fingerprint, LiveFiles};
use super::{CallError, Uploaded};

/// Files asked for in one call.
const PER_CALL: usize = 200;
/// Tries of a file that fails for itself, and of one that fails while the host answers others.
const OWN_TRIES: u32 = 5;
const TRIES_AMONG_OTHERS: u32 = 20;

/// What to upload of a run, and when. A file is in one upload at a time: what is asked for meanwhile waits, so that an older
/// content never follows a newer one.
#[derive(Debug, Default)]
pub(crate) struct FilePlan {
    now: BTreeSet<String>,
    at_end: BTreeSet<String>,
    /// Failed, to be tried again.
    again: BTreeSet<String>,
    tries: BTreeMap<String, u32>,
    under_way: BTreeSet<String>,
    live: LiveFiles,
    has_ended: bool,
    ignore_globs: Vec<String>,
    /// Refused names, reported once each.
    refused: BTreeSet<String>,
}

impl FilePlan {
    pub(crate) fn new(ignore_globs: Vec<String>) -> Self {
        Self {
            ignore_globs,
            ..Self::default()
        }
    }

    /// Takes in an item of a files record; returns a warning if its name leads outside the run's files.
    pub(crate) fn add(&mut self, item: &pb::FilesItem) -> Option<String> {
        if let Err(error) = check_file_name(&item.path) {
            return self
                .refused
                .insert(item.path.clone())
                .then(|| format!("{error}: not uploaded"));
        }
        match item.policy() {
            PolicyType::Now => self.add_now(&item.path),
            PolicyType::End => self.add_at_end(&item.path),
            PolicyType::Live => {
                self.add_now(&item.path);
                self.add_at_end(&item.path);
                if !self.has_ended && !self.is_ignored(&item.path) {
                    self.live.add(&item.path);
                }
            }
        }
        None
    }

    pub(crate) fn add_now(&mut self, name: &str) {
        if !self.is_ignored(name) {
            self.now.insert(name.to_owned());
        }
    }

    pub(crate) fn add_at_end(&mut self, name: &str) {
        if self.is_ignored(name) {
        } else if self.has_ended {
            self.now.insert(name.to_owned());
        } else {
            self.at_end.insert(name.to_owned());
        }
    }

    /// Whether anything can be uploaded now.
    pub(crate) fn is_waiting(&self) -> bool {
        self.now.iter().any(|name| !self.under_way.contains(name))
    }

    /// Whether anything failed and is to be tried again.
    pub(crate) fn has_failed(&self) -> bool {
        !self.again.is_empty()
    }

    /// Files that are not stored yet.
    pub(crate) fn left(&self) -> usize {
        let waiting = self.now.union(&self.at_end);
        let waiting = waiting.filter(|name| !self.under_way.contains(*name));
        waiting.count() + self.again.len() + self.under_way.len()
    }

    /// The run has ended: everything that waited for that is due, and no change counts any more.
    pub(crate) fn end(&mut self) {
        self.has_ended = true;
        self.live.clear();
        self.now.append(&mut self.at_end);
    }

    /// The next batch.
    pub(crate) fn take(&mut self) -> Vec<String> {
        let free = self
            .now
            .iter()
            .filter(|name| !self.under_way.contains(*name));
        let batch: Vec<String> = free.take(PER_CALL).cloned().collect();
        for name in &batch {
            self.now.remove(name);
            self.again.remove(name);
            self.under_way.insert(name.clone());
        }
        batch
    }

    /// What failed is due again.
    pub(crate) fn try_again(&mut self) {
        self.now.append(&mut self.again);
    }

    /// When live files are to be looked at.
    pub(crate) fn look_due(&mut self, now: Instant) -> Option<Instant> {
        self.live.due(now)
    }

    /// The live files to look at now.
    pub(crate) fn take_look(&mut self, now: Instant) -> Vec<Arc<str>> {
        self.live.take(now)
    }

    /// Takes in a look at live files.
    pub(crate) fn looked(
        &mut self,
        now: Instant,
        took: Duration,
        found: &[(Arc<str>, Option<Fingerprint>)],
    ) {
        self.now.extend(self.live.looked(now, took, found));
    }

    /// A batch has ended; returns the error to wait for, and what is to be told of files that are given up.
    pub(crate) fn ended(
        &mut self,
        now: Instant,
        outcome: &Uploaded,
    ) -> (Option<CallError>, Vec<String>) {
        for name in &outcome.names {
            self.under_way.remove(name);
        }
        for (name, fingerprint, took) in &outcome.read {
            self.live.was_read(now, name, *fingerprint, *took);
        }
        for (name, _md5) in &outcome.stored {
            self.tries.remove(name);
        }
        let mut waits_for = None;
        let mut given_up = Vec::new();
        for (name, failure) in &outcome.failed {
            let limit = match (failure.own, failure.error.hope) {
                (true, _) => OWN_TRIES,
                (false, Some(_)) => TRIES_AMONG_OTHERS,
                // The host is away: nobody's fault, and no reason to count.
                (false, None) => u32::MAX,
            };
            let tries = self.tries.entry(name.clone()).or_default();
            if limit < u32::MAX {
                *tries += 1;
            }
            if *tries < limit {
                self.again.insert(name.clone());
                waits_for.get_or_insert_with(|| failure.error.clone());
                continue;
            }
            self.tries.remove(name);
            let message = &failure.error.message;
            if failure.changed && !self.has_ended {
                // Somebody writes to it without a pause; the end of the run may be the end of that.
                self.at_end.insert(name.clone());
                given_up.push(format!(
                    "file `{name}` not uploaded yet: {message}; tried again at the end of the run"
                ));
            } else {
                given_up.push(format!("file `{name}` not uploaded: {message}"));
            }
        }
        (waits_for, given_up)
    }

    fn is_ignored(&self, name: &str) -> bool {
        self.ignore_globs
            .iter()
            .any(|glob| matches_glob(glob, name))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Failure;
    use super::*;

    fn item(path: &str, policy: PolicyType) -> pb::FilesItem {
        pb::FilesItem {
            path: path.to_owned(),
            policy: policy.into(),
            ..Default::default()
        }
    }

    fn done(names: &[String]) -> Uploaded {
        Uploaded {
            names: names.to_vec(),
            stored: names
                .iter()
                .map(|name| (name.clone(), String::new()))
                .collect(),
            ..Uploaded::default()
        }
    }

    #[test]
    fn policies_and_names_are_kept_to() {
        let mut plan = FilePlan::new(vec!["*.tmp".to_owned()]);
        assert_eq!(plan.add(&item("a.txt", PolicyType::Now)), None);
        assert_eq!(plan.add(&item("b.txt", PolicyType::End)), None);
        assert_eq!(plan.add(&item("c.txt", PolicyType::Live)), None);
        for policy in [PolicyType::Now, PolicyType::End, PolicyType::Live] {
            assert_eq!(plan.add(&item("d.tmp", policy)), None);
        }
        assert!(
            plan.add(&item("../../etc/passwd", PolicyType::Now))
                .is_some()
        );
        assert_eq!(plan.add(&item("../../etc/passwd", PolicyType::Now)), None);
        let first = plan.take();
        assert_eq!(first, ["a.txt", "c.txt"]);
        plan.ended(Instant::now(), &done(&first));
        assert_eq!(plan.left(), 2);
        plan.end();
        assert_eq!(plan.take(), ["b.txt", "c.txt"]);
    }

    #[test]
    fn a_file_under_way_waits_for_its_turn_and_requests_coalesce() {
        let mut plan = FilePlan::new(Vec::new());
        plan.add_now("a");
        let first = plan.take();
        plan.add_now("a");
        plan.add_now("a");
        plan.add_now("b");
        assert_eq!(plan.left(), 2);
        let second = plan.take();
        assert_eq!(second, ["b"]);
        assert!(!plan.is_waiting(), "`a` is under way");
        plan.ended(Instant::now(), &done(&first));
        assert!(plan.is_waiting());
        assert_eq!(plan.take(), ["a"]);
        assert!(!plan.is_waiting());
    }

    #[test]
    fn live_files_are_looked_at_until_the_end() {
        let (mut plan, now) = (FilePlan::new(vec!["*.tmp".to_owned()]), Instant::now());
        plan.add(&item("now", PolicyType::Now));
        plan.add(&item("x.tmp", PolicyType::Live));
        assert_eq!(plan.look_due(now), None);
        plan.add(&item("live", PolicyType::Live));
        let due = plan.look_due(now).expect("a live file");
        assert!(plan.take_look(now).is_empty(), "not yet");
        assert_eq!(plan.take_look(due), [Arc::from("live")]);
        plan.end();
        assert_eq!(plan.look_due(due), None);
        plan.add(&item("late", PolicyType::Live));
        assert_eq!(plan.look_due(due), None);
    }

    #[test]
    fn a_file_that_changes_in_every_upload_is_tried_again_at_the_end() {
        let (mut plan, now) = (FilePlan::new(Vec::new()), Instant::now());
        let mut told = Vec::new();
        let mut try_it = |plan: &mut FilePlan| {
            plan.add_now("a");
            for _try in 0..OWN_TRIES {
                plan.try_again();
                let names = plan.take();
                assert_eq!(names, ["a"]);
                let failure = Failure {
                    error: CallError::retry("changed"),
                    own: true,
                    changed: true,
                };
                let outcome = Uploaded {
                    failed: vec![("a".to_owned(), failure)],
                    names,
                    ..Uploaded::default()
                };
                told.extend(plan.ended(now, &outcome).1);
            }
        };
        try_it(&mut plan);
        assert_eq!((plan.is_waiting(), plan.left()), (false, 1));
        plan.end();
        try_it(&mut plan);
        assert_eq!((plan.has_failed(), plan.left()), (false, 0));
        assert_eq!(told.len(), 2);
    }
}
