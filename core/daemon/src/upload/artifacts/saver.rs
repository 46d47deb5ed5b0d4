//! The steps from a record to a version, without I/O: says what is to be done next and takes in what came of it.
//!
//! Whatever is lost on the way may be done again: each step says the same as before, contents that are stored are not sent
//! again, and the version has one name for both sides, the record's client id. So it does not matter whether an answer is lost, or the
//! whole process: the version is committed once or not at all, and whoever begins anew ends at the same place.

mod exchange;
#[cfg(test)]
mod tests;
mod transfers;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use runlane_model::backoff::{Backoff, UPLOAD, Verdict};

pub(super) use self::exchange::{Answer, Call, Facts, Fates, Measured, Outcome, Written};
use self::transfers::Transfers;
use super::super::http::CallError;
use super::super::put::Failed;
use super::calls::{Created, ManifestPlace};
use super::plan::Prospect;

/// An artifact that another one refers to is looked for so long.
const REFERENCE_PATIENCE: Duration = Duration::from_mins(1);
/// So long if the run has logged it: others of its name, of any size, may have their turn before it.
const COMING_PATIENCE: Duration = Duration::from_hours(24);
const REFERENCE_INTERVAL: Duration = Duration::from_secs(1);
/// How often a version is begun anew because the server refuses something of it that it had taken.
pub(super) const RESTARTS: u32 = 1;
/// Tries of a manifest's upload that fails for itself.
const OWN_TRIES: u32 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Stage {
    Create,
    Begin,
    Files,
    Resolve,
    Write,
    Place,
    PutManifest,
    Commit,
    Use,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Saver {
    facts: Facts,
    stage: Stage,
    /// The call of a stage that has one at a time is under way.
    is_busy: bool,
    again_at: Option<Instant>,
    backoff: Backoff,
    created: Option<Created>,
    manifest: ManifestPlace,
    written: Option<Written>,
    transfers: Transfers,
    unresolved: BTreeSet<String>,
    resolved: BTreeMap<String, String>,
    resolving_since: Option<Instant>,
    existed: bool,
    restarts: u32,
    manifest_tries: u32,
    /// Why it does not go on at present.
    problem: String,
    outcome: Option<Outcome>,
}

impl Saver {
    pub(super) fn new(facts: Facts) -> Self {
        Self {
            facts,
            stage: Stage::Create,
            is_busy: false,
            again_at: None,
            backoff: Backoff::new(UPLOAD),
            created: None,
            manifest: ManifestPlace::default(),
            written: None,
            transfers: Transfers::new(),
            unresolved: BTreeSet::new(),
            resolved: BTreeMap::new(),
            resolving_since: None,
            existed: false,
            restarts: 0,
            manifest_tries: 0,
            problem: String::new(),
            outcome: None,
        }
    }

    /// How it ended, if it has.
    pub(super) fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// Counts the beginnings: what comes of a call that was made before the last one is of no use.
    pub(super) fn round(&self) -> u32 {
        self.restarts
    }

    /// The server's id of the version.
    pub(super) fn id(&self) -> &str {
        self.created.as_ref().map_or("", |created| &created.id)
    }

    pub(super) fn problem(&self) -> &str {
        &self.problem
    }

    /// Files that are stored, and bytes that have to be sent for it.
    pub(super) fn progress(&self) -> (u32, u64) {
        self.transfers.progress()
    }

    /// When there is something to do again, if nothing comes in before.
    pub(super) fn wake(&self) -> Option<Instant> {
        let delayed = self.transfers.wake().filter(|_| self.stage == Stage::Files);
        self.again_at.into_iter().chain(delayed).min()
    }

    fn artifact_id(&self) -> String {
        self.id().to_owned()
    }

    fn base_id(&self) -> Option<String> {
        let latest = self
            .created
            .as_ref()
            .and_then(|created| created.latest.clone());
        self.facts.base_id.clone().or(latest)
    }

    /// The next thing to do; each is given out once.
    pub(super) fn next(&mut self, now: Instant) -> Option<Call> {
        if self.outcome.is_some() {
            return None;
        }
        if self.again_at.is_some_and(|at| at <= now) {
            self.again_at = None;
        }
        let may_ask = self.again_at.is_none();
        if self.stage == Stage::Files {
            if self.transfers.is_done() {
                self.stage = Stage::Resolve;
            } else {
                let (artifact, manifest) = (self.id().to_owned(), self.manifest.id.clone());
                return self.transfers.next(now, may_ask, &artifact, &manifest);
            }
        }
        if self.stage == Stage::Resolve && self.unresolved.is_empty() {
            self.stage = Stage::Write;
        }
        if self.is_busy || !may_ask {
            return None;
        }
        self.is_busy = true;
        Some(match self.stage {
            Stage::Create => Call::Create,
            Stage::Begin => Call::BeginManifest {
                artifact_id: self.artifact_id(),
                base_id: self.base_id(),
            },
            Stage::Files => return None,
            Stage::Resolve => Call::Resolve {
                client_id: self.unresolved.last().cloned()?,
            },
            Stage::Write => Call::WriteManifest {
                fates: self.transfers.fates(),
                resolved: self.resolved.clone(),
            },
            Stage::Place => Call::PlaceManifest {
                artifact_id: self.artifact_id(),
                manifest_id: self.manifest.id.clone(),
                base_id: self.base_id(),
                digest: self.written.as_ref().map(|written| written.md5.clone())?,
            },
            Stage::PutManifest => Call::PutManifest {
                place: self.manifest.clone(),
            },
            Stage::Commit => Call::Commit {
                artifact_id: self.artifact_id(),
            },
            Stage::Use => Call::Use {
                artifact_id: self.artifact_id(),
            },
        })
    }

    /// Takes in what came of a call. `random` is uniform in `0..1`.
    pub(super) fn take(&mut self, answer: Answer, now: Instant, random: f64) {
        if self.outcome.is_some() {
            return;
        }
        match answer {
            Answer::Created(created) => {
                if let Some(created) = self.step(created, now, random) {
                    self.created(created);
                }
            }
            Answer::ManifestBegun(place) => {
                if let Some(place) = self.step(place, now, random) {
                    self.manifest = place;
                    self.stage = Stage::Files;
                }
            }
            Answer::Measured(measured) => match measured {
                Ok(measured) => self.measured(measured),
                Err(problem) => self.fail(problem),
            },
            Answer::Places(files, Ok(places)) => {
                self.fared_well();
                self.transfers.placed(&files, places);
            }
            Answer::Places(files, Err(error)) => {
                self.transfers.not_placed(files);
                self.failed(&error, now, random);
            }
            Answer::Put(file, outcome) => {
                self.transfers.put_ended();
                match outcome {
                    Ok(()) => {
                        self.fared_well();
                        self.transfers.stored(file);
                    }
                    Err(failed) => self.put_failed(file, None, failed, now, random),
                }
            }
            Answer::PutPart(file, part, outcome) => {
                self.transfers.put_ended();
                match outcome {
                    Ok(etag) => {
                        self.fared_well();
                        self.transfers.part_stored(file, part, etag);
                    }
                    Err(failed) => self.put_failed(file, Some(part), failed, now, random),
                }
            }
            Answer::PartsCompleted(file, outcome) => self.completed(file, outcome, now, random),
            Answer::Resolved(found, prospect) => self.resolve(found, prospect, now, random),
            Answer::ManifestWritten(Ok(written)) => {
                self.is_busy = false;
                self.written = Some(written);
                self.stage = Stage::Place;
            }
            Answer::ManifestWritten(Err(problem)) => self.fail(problem),
            Answer::ManifestPlaced(place) => {
                if let Some(place) = self.step(place, now, random) {
                    if place.url.is_none() {
                        self.fail("the server names no place for its manifest".to_owned());
                    }
                    self.manifest = place;
                    self.stage = Stage::PutManifest;
                }
            }
            Answer::ManifestPut(outcome) => self.manifest_put(outcome, now, random),
            Answer::Committed(outcome) => {
                if self.step(outcome, now, random).is_some() {
                    self.stored();
                }
            }
            Answer::Used(outcome) => {
                if self.step(outcome, now, random).is_some() {
                    self.outcome = Some(Outcome::Stored {
                        existed: self.existed,
                    });
                }
            }
        }
    }

    /// The outcome of a stage's only call: its value, unless it failed.
    fn step<T>(&mut self, outcome: Result<T, CallError>, now: Instant, random: f64) -> Option<T> {
        self.is_busy = false;
        match outcome {
            Ok(value) => {
                self.fared_well();
                Some(value)
            }
            Err(error) => {
                self.failed(&error, now, random);
                None
            }
        }
    }

    fn fared_well(&mut self) {
        self.backoff.succeeded();
        self.problem.clear();
    }

    fn created(&mut self, created: Created) {
        let state = created.state.clone();
        self.created = Some(created);
        match state.as_str() {
            "COMMITTED" => {
                self.existed = true;
                self.stored();
            }
            "PENDING" | "DELETED" => self.stage = Stage::Begin,
            _ => self.fail(format!(
                "the server has it in a state that is not known: {state}"
            )),
        }
    }

    /// Everything is there; what the run does with it is left.
    fn stored(&mut self) {
        if self.facts.uses {
            self.stage = Stage::Use;
        } else {
            self.outcome = Some(Outcome::Stored {
                existed: self.existed,
            });
        }
    }

    fn measured(&mut self, measured: Measured) {
        let mut client_ids = measured.client_ids;
        client_ids.retain(|client_id| !self.resolved.contains_key(client_id));
        self.unresolved.append(&mut client_ids);
        self.transfers.measured(measured.files, measured.is_last);
    }

    fn completed(
        &mut self,
        file: usize,
        outcome: Result<(), CallError>,
        now: Instant,
        random: f64,
    ) {
        match outcome {
            Ok(()) => {
                self.fared_well();
                self.transfers.stored(file);
            }
            // Parts may have been removed meanwhile: the server says which it has.
            Err(error) if error.verdict == Verdict::Refused => {
                if self.transfers.ask_again(file, now, random, &error) {
                    self.fail(error.message);
                }
            }
            Err(error) => {
                self.transfers.join_again(file);
                self.failed(&error, now, random);
            }
        }
    }

    fn put_failed(
        &mut self,
        file: usize,
        part: Option<u64>,
        failed: Failed,
        now: Instant,
        random: f64,
    ) {
        match failed {
            Failed::Changed(error) | Failed::Refused(error) => {
                let text = match self.transfers.path(file) {
                    Some(path) if error.status > 0 => {
                        format!(
                            "file `{}` is refused: {}",
                            path.escape_debug(),
                            error.message
                        )
                    }
                    _ => error.message,
                };
                self.fail(text);
            }
            Failed::Expired(error) | Failed::Own(error) => {
                self.problem.clone_from(&error.message);
                if self.transfers.ask_again(file, now, random, &error) {
                    self.fail(error.message);
                }
            }
            Failed::Away(error) => {
                self.problem.clone_from(&error.message);
                if error.hope.is_none() && self.transfers.is_news(file) {
                    // Nobody is there: the others need not find that out as well.
                    let wait = self.backoff.failed(random, error.retry_after, None);
                    self.transfers.hold_until(now + wait);
                }
                if self.transfers.send_again(file, part, now, random, &error) {
                    self.fail(error.message);
                }
            }
        }
    }

    fn resolve(
        &mut self,
        found: Result<Option<String>, CallError>,
        prospect: Prospect,
        now: Instant,
        random: f64,
    ) {
        self.is_busy = false;
        match found {
            Ok(Some(id)) => {
                self.fared_well();
                self.resolving_since = None;
                if let Some(client_id) = self.unresolved.pop_last() {
                    self.resolved.insert(client_id, id);
                }
            }
            Err(error) if error.verdict != Verdict::Refused => self.failed(&error, now, random),
            Ok(None) | Err(_) => {
                let since = *self.resolving_since.get_or_insert(now);
                let patience = match prospect {
                    Prospect::Never(problem) => return self.fail(problem),
                    Prospect::Coming => COMING_PATIENCE,
                    Prospect::Unknown => REFERENCE_PATIENCE,
                };
                if now.saturating_duration_since(since) < patience {
                    "it waits for an artifact that it refers to".clone_into(&mut self.problem);
                    self.again_at = Some(now + REFERENCE_INTERVAL);
                } else {
                    let text = "it refers to an artifact that the server does not have\nhint: log that one too, in this run or \
                                before";
                    self.fail(text.to_owned());
                }
            }
        }
    }

    fn manifest_put(&mut self, outcome: Result<(), Failed>, now: Instant, random: f64) {
        self.is_busy = false;
        let error = match outcome {
            Ok(()) => {
                self.fared_well();
                if self.facts.finalize {
                    self.stage = Stage::Commit;
                } else {
                    self.stored();
                }
                return;
            }
            Err(Failed::Away(error)) => error,
            Err(Failed::Expired(error) | Failed::Own(error) | Failed::Changed(error)) => {
                self.manifest_tries += 1;
                if self.manifest_tries >= OWN_TRIES {
                    self.fail(format!("its manifest is not taken: {}", error.message));
                    return;
                }
                self.stage = Stage::Place;
                error
            }
            Err(Failed::Refused(error)) => CallError {
                verdict: Verdict::Refused,
                message: format!("its manifest is refused: {}", error.message),
                ..error
            },
        };
        self.failed(&error, now, random);
    }

    /// A call has failed that everything waits for.
    fn failed(&mut self, error: &CallError, now: Instant, random: f64) {
        match error.verdict {
            Verdict::Unauthorized => self.outcome = Some(Outcome::Unauthorized(error.clone())),
            // What was begun may have been removed by the server meanwhile; twice is no accident.
            Verdict::Refused if self.stage > Stage::Begin && self.restarts < RESTARTS => {
                tracing::warn!(message = %error.message, "artifact begun anew");
                let restarts = self.restarts + 1;
                *self = Self {
                    restarts,
                    resolved: std::mem::take(&mut self.resolved),
                    ..Self::new(self.facts.clone())
                };
            }
            Verdict::Refused => self.fail(error.message.clone()),
            Verdict::Retry | Verdict::Success => {
                self.problem.clone_from(&error.message);
                let wait = self.backoff.failed(random, error.retry_after, error.hope);
                self.again_at = Some(now + wait);
            }
        }
    }

    fn fail(&mut self, problem: String) {
        self.outcome.get_or_insert(Outcome::Failed(problem));
    }
}
