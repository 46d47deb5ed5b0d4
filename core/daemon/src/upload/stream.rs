//! What the file stream sends next: a state machine without I/O, clock or randomness.
//!
//! Lines wait here until the server has stored them; there is one request at a time. The sum of waiting lines is bounded:
//! whoever feeds this machine stops while `has_room` is false, the backlog stays in the log.
//!
//! A request that the server refuses for its content is narrowed down until the one unit is found that it does not take
//! (`narrow`).

mod narrow;
mod output;
mod request;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use runlane_model::backoff::{Backoff, Pace, RateLimit, UPLOAD};

use self::narrow::Narrowing;
pub(crate) use self::narrow::{Quarantined, Refusal};
use self::output::OutputLines;

/// Without anything to send, a heartbeat goes out after this time.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// Bytes of lines in one request, and waiting ones; less where a request may follow at once.
const REQUEST_BYTES: usize = 10 << 20;
const OUR_REQUEST_BYTES: usize = 2 << 20;
/// A slow line gets no smaller requests than this (but a single line is never cut).
const LEAST_REQUEST_BYTES: usize = 16 << 10;
/// Between the requests that look for what the server refuses.
const SEARCH_INTERVAL: Duration = Duration::from_secs(1);
const OUR_SEARCH_INTERVAL: Duration = Duration::from_millis(50);

/// The append-only files of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lines {
    History,
    Events,
    Output,
}

const FILES: [(Lines, &str); 2] = [
    (Lines::History, "wandb-history.jsonl"),
    (Lines::Events, "wandb-events.jsonl"),
];
const OUTPUT_FILE: &str = "output.log";

impl Lines {
    /// The file of a name.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        if name == OUTPUT_FILE {
            return Some(Self::Output);
        }
        let mut files = FILES.iter();
        files
            .find(|(_, known)| *known == name)
            .map(|(file, _)| *file)
    }
}

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

    pub(crate) fn of(&mut self, file: Lines) -> &mut u64 {
        match file {
            Lines::History => &mut self.history,
            Lines::Events => &mut self.events,
            Lines::Output => &mut self.output,
        }
    }

    pub(crate) fn get(mut self, file: Lines) -> u64 {
        *self.of(file)
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
    /// A request is due: `compose` it.
    Due,
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
    /// How often the first line was replaced because the server refused it.
    replaced: u8,
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
    /// What one request may hold: less than `max_bytes` on a slow line.
    request_bytes: usize,
    history: Waiting,
    events: Waiting,
    output: OutputLines,
    /// Where each file begins at the server, and how many of this log's lines are stored.
    base: Offsets,
    stored: Offsets,
    pushed: Offsets,
    summary: Option<String>,
    summary_in_flight: bool,
    uploaded: Vec<String>,
    uploaded_in_flight: usize,
    preempting: bool,
    preempting_in_flight: bool,
    /// Data of the run that is lost for good, and how much of it the server knows.
    lost: u64,
    lost_told: u64,
    lost_in_flight: u64,
    /// The state of the run that this log writes to; our server takes lines for no other.
    generation: Option<i64>,
    end: Option<End>,
    end_in_flight: bool,
    narrowing: Narrowing,
    complete: bool,
    busy: bool,
    hurry: bool,
    last_sent: Option<Instant>,
    not_before: Option<Instant>,
    pace: Pace,
    backoff: Backoff,
}

impl FileStream {
    /// A stream whose files begin at `base` and of which the server has stored `stored` lines of this log already.
    pub(crate) fn new(interval: Duration, ours: bool, base: Offsets, stored: Offsets) -> Self {
        let max_bytes = if ours {
            OUR_REQUEST_BYTES
        } else {
            REQUEST_BYTES
        };
        Self {
            interval,
            ours,
            max_bytes,
            request_bytes: max_bytes,
            history: Waiting::default(),
            events: Waiting::default(),
            output: OutputLines::new(stored.output),
            base,
            stored,
            pushed: Offsets::default(),
            summary: None,
            summary_in_flight: false,
            uploaded: Vec::new(),
            uploaded_in_flight: 0,
            preempting: false,
            preempting_in_flight: false,
            lost: 0,
            lost_told: 0,
            lost_in_flight: 0,
            generation: None,
            end: None,
            end_in_flight: false,
            narrowing: Narrowing::default(),
            complete: false,
            busy: false,
            hurry: false,
            last_sent: None,
            not_before: None,
            pace: Pace::default(),
            backoff: Backoff::new(UPLOAD),
        }
    }

    /// Whether more lines may be fed.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting_bytes() < self.max_bytes
    }

    /// Bytes of lines that wait.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.history.bytes + self.events.bytes + self.output.waiting_bytes()
    }

    /// Sets console lines by number; those before `fixed` will not change again.
    pub(crate) fn set_console(&mut self, lines: Vec<(u64, String)>, fixed: u64) {
        for (number, text) in lines {
            self.output.set(number, text);
        }
        self.output.fix(fixed);
        self.pushed.output = self.pushed.output.max(fixed);
        self.stored.output = self.output.stored();
    }

    /// Feeds the next line of a file; one of the console will not change any more. Lines that the server has already are dropped by
    /// number.
    pub(crate) fn push(&mut self, file: Lines, line: String) {
        let number = self.pushed.get(file);
        if file == Lines::Output {
            self.set_console(vec![(number, line)], number + 1);
            return;
        }
        *self.pushed.of(file) = number + 1;
        if number < self.stored.get(file) {
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
        self.preempting_in_flight = false;
    }

    /// The run's generation at our server, said with every request from then on.
    pub(crate) fn set_generation(&mut self, generation: Option<i64>) {
        self.generation = generation;
    }

    /// So much of the run's data is lost, by the markers in its log. Said to our server only.
    pub(crate) fn set_lost(&mut self, lost: u64) {
        if self.ours {
            self.lost = lost;
        }
    }

    /// Everything was fed; the last request says how the run ended.
    pub(crate) fn finish(&mut self, end: End) {
        self.end = Some(end);
    }

    /// Somebody waits: the interval does not hold for what is here.
    pub(crate) fn hurry(&mut self) {
        self.hurry = true;
    }

    /// Where each file begins at the server.
    pub(crate) fn base(&self) -> Offsets {
        self.base
    }

    /// Lines of this log that the server has stored.
    pub(crate) fn stored(&self) -> Offsets {
        self.stored
    }

    /// Lines that are stored if the request under way is.
    pub(crate) fn reach(&self) -> Offsets {
        let with = |waiting: &Waiting, stored: u64| stored + waiting.in_flight as u64;
        Offsets {
            history: with(&self.history, self.stored.history),
            events: with(&self.events, self.stored.events),
            output: self.output.reach(),
        }
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
    pub(crate) fn next(&self, now: Instant) -> Step {
        if self.busy {
            return Step::Busy;
        }
        if self.complete {
            return Step::Complete;
        }
        if let Some(at) = self.not_before.filter(|at| *at > now) {
            return Step::Wait(at);
        }
        let Some(last) = self.last_sent else {
            return Step::Due;
        };
        let urgent = self.preempting || self.end.is_some() || !self.has_room() || self.hurry;
        let due = if self.narrowing.is_searching() {
            let gap = if self.ours {
                OUR_SEARCH_INTERVAL
            } else {
                SEARCH_INTERVAL
            };
            last + gap
        } else if urgent {
            last
        } else if self.has_data() {
            last + self.interval
        } else {
            last + HEARTBEAT
        };
        let due = due.max(self.pace.next(now));
        if due > now {
            Step::Wait(due)
        } else {
            Step::Due
        }
    }

    /// The request under way was answered: its content is stored.
    pub(crate) fn succeeded(&mut self, now: Instant, rate_limit: Option<RateLimit>) {
        self.busy = false;
        self.backoff.succeeded();
        self.not_before = None;
        self.narrowing.succeeded();
        self.request_bytes = (self.request_bytes * 2).min(self.max_bytes);
        for (file, _name) in FILES {
            let waiting = self.waiting(file);
            let sent = std::mem::take(&mut waiting.in_flight);
            if sent > 0 {
                waiting.replaced = 0;
            }
            for line in waiting.lines.drain(..sent) {
                waiting.bytes -= line.len();
            }
            *self.stored.of(file) += sent as u64;
        }
        self.output.succeeded();
        self.stored.output = self.output.stored();
        if std::mem::take(&mut self.summary_in_flight) {
            self.summary = None;
        }
        self.uploaded
            .drain(..std::mem::take(&mut self.uploaded_in_flight));
        if std::mem::take(&mut self.preempting_in_flight) {
            self.preempting = false;
        }
        self.lost_told = self.lost_told.max(std::mem::take(&mut self.lost_in_flight));
        self.complete = std::mem::take(&mut self.end_in_flight);
        self.hurry &= self.has_data();
        self.last_sent = Some(now);
        self.pace.observe(now, rate_limit);
    }

    /// The request under way failed and is sent again later; returns when.
    pub(crate) fn failed(
        &mut self,
        now: Instant,
        random: f64,
        retry_after: Option<Duration>,
        hope: Option<Duration>,
    ) -> Instant {
        self.take_back();
        let at = now + self.backoff.failed(random, retry_after, hope);
        self.not_before = Some(at);
        at
    }

    /// The request under way took longer than it may: the next ones are smaller.
    pub(crate) fn was_slow(&mut self) {
        let sent = self.reach();
        if sent != self.stored {
            self.request_bytes = (self.request_bytes / 2).max(LEAST_REQUEST_BYTES);
        }
    }

    /// Nothing is under way any more; what was in the request waits again.
    pub(crate) fn take_back(&mut self) {
        self.busy = false;
        self.end_in_flight = false;
        self.uploaded_in_flight = 0;
        self.summary_in_flight = false;
        self.preempting_in_flight = false;
        self.lost_in_flight = 0;
        for (file, _name) in FILES {
            self.waiting(file).in_flight = 0;
        }
        self.output.take_back();
    }

    /// Lines that wait.
    pub(crate) fn waiting_lines(&self) -> usize {
        self.history.lines.len() + self.events.lines.len() + self.output.waiting_lines()
    }

    fn has_data(&self) -> bool {
        self.waiting_lines() > 0
            || self.summary.is_some()
            || !self.uploaded.is_empty()
            || self.preempting
            || self.lost > self.lost_told
            || self.end.is_some()
    }

    fn waiting(&mut self, file: Lines) -> &mut Waiting {
        if file == Lines::Events {
            &mut self.events
        } else {
            &mut self.history
        }
    }
}
