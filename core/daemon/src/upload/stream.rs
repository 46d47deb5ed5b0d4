//! What the file stream sends next: a state machine without I/O, clock or randomness.
//!
//! Lines wait here until the server has stored them; there is one request at a time. The sum of waiting lines is bounded:
//! whoever feeds this machine stops while `has_room` is false, the backlog stays in the log.

mod request;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use runlane_model::backoff::{Backoff, UPLOAD};

/// Without anything to send, a heartbeat goes out after this time.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// The pace that rate-limit headers may ask for at most.
const SLOWEST: Duration = Duration::from_secs(10);
/// Bytes of lines in one request, and waiting ones; less where a request may follow at once.
const REQUEST_BYTES: usize = 10 << 20;
const OUR_REQUEST_BYTES: usize = 2 << 20;

/// The append-only files of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lines {
    History,
    Events,
    Output,
}

const FILES: [(Lines, &str); 3] = [
    (Lines::History, "wandb-history.jsonl"),
    (Lines::Events, "wandb-events.jsonl"),
    (Lines::Output, "output.log"),
];

/// Line numbers of the three files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd)]
pub(crate) struct Offsets {
    pub(crate) history: u64,
    pub(crate) events: u64,
    pub(crate) output: u64,
}

impl Offsets {
    /// Whether each is at least as far as in `other`.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.history >= other.history && self.events >= other.events && self.output >= other.output
    }

    fn of(&mut self, file: Lines) -> &mut u64 {
        match file {
            Lines::History => &mut self.history,
            Lines::Events => &mut self.events,
            Lines::Output => &mut self.output,
        }
    }
}

/// How the run ends at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) exit_code: i32,
    pub(crate) trainer_died: bool,
    /// False: the run's state is somebody else's to change.
    pub(crate) changes_state: bool,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send this body.
    Send(String),
    /// Nothing before then, unless more is fed.
    Wait(Instant),
    /// A request is under way.
    Busy,
    /// Everything is stored.
    Complete,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<String>,
    bytes: usize,
    in_flight: usize,
}

/// The file stream of one run.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent marks of one request"
)]
pub(crate) struct FileStream {
    interval: Duration,
    ours: bool,
    max_bytes: usize,
    history: Waiting,
    events: Waiting,
    output: Waiting,
    /// Where each file begins at the server, and how many of this log's lines are stored.
    base: Offsets,
    stored: Offsets,
    pushed: Offsets,
    summary: Option<String>,
    summary_in_flight: bool,
    uploaded: Vec<String>,
    uploaded_in_flight: usize,
    preempting: bool,
    end: Option<End>,
    end_in_flight: bool,
    complete: bool,
    busy: bool,
    hurry: bool,
    last_sent: Option<Instant>,
    not_before: Option<Instant>,
    pace: Duration,
    backoff: Backoff,
}

impl FileStream {
    /// A stream whose files begin at `base` and of which the server has stored `stored` lines of this log already.
    pub(crate) fn new(interval: Duration, ours: bool, base: Offsets, stored: Offsets) -> Self {
        Self {
            interval,
            ours,
            max_bytes: if ours {
                OUR_REQUEST_BYTES
            } else {
                REQUEST_BYTES
            },
            history: Waiting::default(),
            events: Waiting::default(),
            output: Waiting::default(),
            base,
            stored,
            pushed: Offsets::default(),
            summary: None,
            summary_in_flight: false,
            uploaded: Vec::new(),
            uploaded_in_flight: 0,
            preempting: false,
            end: None,
            end_in_flight: false,
            complete: false,
            busy: false,
            hurry: false,
            last_sent: None,
            not_before: None,
            pace: Duration::ZERO,
            backoff: Backoff::new(UPLOAD),
        }
    }

    /// Whether more lines may be fed.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting_bytes() < self.max_bytes
    }

    /// Feeds the next line of a file. Lines that the server has already are dropped by number.
    pub(crate) fn push(&mut self, file: Lines, line: String) {
        let pushed = self.pushed.of(file);
        *pushed += 1;
        let number = *pushed;
        if number <= *self.stored.of(file) {
            return;
        }
        let waiting = self.waiting(file);
        waiting.bytes += line.len();
        waiting.lines.push_back(line);
    }

    /// The summary as it is now; it replaces the one before.
    pub(crate) fn set_summary(&mut self, document: String) {
        self.summary = Some(document);
        self.summary_in_flight = false;
    }

    /// A run file is stored.
    pub(crate) fn file_uploaded(&mut self, name: String) {
        self.uploaded.push(name);
    }

    /// The machine is about to be taken away: said at once.
    pub(crate) fn set_preempting(&mut self) {
        self.preempting = true;
    }

    /// Everything was fed; the last request says how the run ended.
    pub(crate) fn finish(&mut self, end: End) {
        self.end = Some(end);
    }

    /// Somebody waits: the interval does not hold for what is here.
    pub(crate) fn hurry(&mut self) {
        self.hurry = true;
    }

    /// Lines of this log that the server has stored.
    pub(crate) fn stored(&self) -> Offsets {
        self.stored
    }

    /// Lines fed so far.
    pub(crate) fn pushed(&self) -> Offsets {
        self.pushed
    }

    /// Tries in a row that have failed.
    pub(crate) fn failures(&self) -> u32 {
        self.backoff.failures()
    }

    /// What to do at `now`.
    pub(crate) fn next(&mut self, now: Instant) -> Step {
        if self.busy {
            return Step::Busy;
        }
        if self.complete {
            return Step::Complete;
        }
        if let Some(at) = self.not_before.filter(|at| *at > now) {
            return Step::Wait(at);
        }
        let urgent = self.preempting || self.end.is_some() || !self.has_room() || self.hurry;
        let Some(last) = self.last_sent else {
            return Step::Send(self.compose(now));
        };
        let due = if urgent {
            last + self.pace
        } else if self.has_data() {
            last + self.interval.max(self.pace)
        } else {
            last + HEARTBEAT.max(self.pace)
        };
        if due > now {
            Step::Wait(due)
        } else {
            Step::Send(self.compose(now))
        }
    }

    /// The request under way was answered: its content is stored.
    pub(crate) fn succeeded(&mut self, now: Instant, rate_limit: Option<(f64, f64)>) {
        self.busy = false;
        self.backoff.succeeded();
        self.not_before = None;
        for (file, _name) in FILES {
            let waiting = self.waiting(file);
            let sent = std::mem::take(&mut waiting.in_flight);
            for line in waiting.lines.drain(..sent) {
                waiting.bytes -= line.len();
            }
            *self.stored.of(file) += sent as u64;
        }
        if std::mem::take(&mut self.summary_in_flight) {
            self.summary = None;
        }
        self.uploaded
            .drain(..std::mem::take(&mut self.uploaded_in_flight));
        self.preempting = false;
        self.complete = std::mem::take(&mut self.end_in_flight);
        self.hurry &= self.has_data();
        self.last_sent = Some(now);
        self.pace = match rate_limit {
            // So many requests are left until the quota is renewed: spread them.
            Some((remaining, reset)) if reset > 1.0 => {
                Duration::try_from_secs_f64(reset / remaining.max(1.0))
                    .unwrap_or(SLOWEST)
                    .min(SLOWEST)
            }
            _ => Duration::ZERO,
        };
    }

    /// The request under way failed and is sent again later; returns when.
    pub(crate) fn failed(
        &mut self,
        now: Instant,
        random: f64,
        retry_after: Option<Duration>,
    ) -> Instant {
        self.busy = false;
        self.end_in_flight = false;
        self.uploaded_in_flight = 0;
        self.summary_in_flight = false;
        for (file, _name) in FILES {
            self.waiting(file).in_flight = 0;
        }
        let at = now + self.backoff.failed(random, retry_after);
        self.not_before = Some(at);
        at
    }

    fn has_data(&self) -> bool {
        self.waiting_bytes() > 0
            || !self.history.lines.is_empty()
            || !self.events.lines.is_empty()
            || !self.output.lines.is_empty()
            || self.summary.is_some()
            || !self.uploaded.is_empty()
            || self.preempting
            || self.end.is_some()
    }

    fn waiting_bytes(&self) -> usize {
        self.history.bytes + self.events.bytes + self.output.bytes
    }

    fn waiting(&mut self, file: Lines) -> &mut Waiting {
        match file {
            Lines::History => &mut self.history,
            Lines::Events => &mut self.events,
            Lines::Output => &mut self.output,
        }
    }
}
