//! What the file stream sends next: a state machine without I/O, clock or randomness.
//!
//! Lines wait here until the server has stored them; there is one request at a time. The sum of waiting lines is bounded:
//! whoever feeds this machine stops while `has_room` is false, the backlog stays in the log.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use runlane_model::backoff::{Backoff, UPLOAD};
use runlane_model::json::write_string;

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

    /// Writes the next request and notes what is in it.
    fn compose(&mut self, now: Instant) -> String {
        self.busy = true;
        self.last_sent = Some(now);
        let max = self.max_bytes;
        let mut room = max;
        let mut all = true;
        let mut body = String::from("{");
        let mut files = String::new();
        for (file, name) in FILES {
            let offset = *self.base.of(file) + *self.stored.of(file);
            let waiting = self.waiting(file);
            let mut content = String::new();
            let mut count = 0;
            for line in &waiting.lines {
                // A line longer than a whole request still goes, alone.
                if line.len() > room && room < max {
                    break;
                }
                room = room.saturating_sub(line.len());
                if count > 0 {
                    content.push(',');
                }
                write_string(&mut content, line);
                count += 1;
            }
            waiting.in_flight = count;
            all &= count == waiting.lines.len();
            if count > 0 {
                file_member(&mut files, name, offset, &content);
            }
            if file == Lines::Events
                && let Some(summary) = &self.summary
                && (summary.len() <= room || room == max)
            {
                room = room.saturating_sub(summary.len());
                let mut content = String::new();
                write_string(&mut content, summary);
                file_member(&mut files, "wandb-summary.json", 0, &content);
                self.summary_in_flight = true;
            }
        }
        all &= self.summary.is_none() || self.summary_in_flight;
        if !files.is_empty() {
            member(&mut body, "files", &format!("{{{files}}}"));
        }
        if !self.uploaded.is_empty() {
            let mut names = String::from("[");
            for (index, name) in self.uploaded.iter().enumerate() {
                if index > 0 {
                    names.push(',');
                }
                write_string(&mut names, name);
            }
            names.push(']');
            member(&mut body, "uploaded", &names);
            self.uploaded_in_flight = self.uploaded.len();
        }
        if self.preempting {
            member(&mut body, "preempting", "true");
        }
        if let Some(end) = self.end
            && all
        {
            self.end_in_flight = true;
            if end.changes_state {
                member(&mut body, "complete", "true");
                member(&mut body, "exitcode", &end.exit_code.to_string());
                if end.trainer_died && self.ours {
                    member(&mut body, "runlane", r#"{"trainer_died":true}"#);
                }
            }
        }
        body.push('}');
        body
    }
}

fn member(body: &mut String, name: &str, value: &str) {
    if body.len() > 1 {
        body.push(',');
    }
    write_string(body, name);
    body.push(':');
    body.push_str(value);
}

fn file_member(files: &mut String, name: &str, offset: u64, content: &str) {
    if !files.is_empty() {
        files.push(',');
    }
    write_string(files, name);
    files.push_str(":{\"offset\":");
    files.push_str(&offset.to_string());
    files.push_str(",\"content\":[");
    files.push_str(content);
    files.push_str("]}");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn body(step: Step) -> Value {
        match step {
            Step::Send(body) => serde_json::from_str(&body).expect("JSON"),
            other => panic!("nothing to send: {other:?}"),
        }
    }

    fn stream() -> FileStream {
        FileStream::new(
            Duration::from_secs(15),
            true,
            Offsets::default(),
            Offsets::default(),
        )
    }

    #[test]
    fn the_first_request_goes_at_once_and_the_next_after_the_interval() {
        let start = Instant::now();
        let mut stream = stream();
        assert_eq!(body(stream.next(start)), serde_json::json!({}));
        assert_eq!(stream.next(start), Step::Busy);
        stream.succeeded(start, None);
        stream.push(Lines::History, "{\"a\":1}".to_owned());
        stream.set_summary("{}".to_owned());
        assert_eq!(
            stream.next(start),
            Step::Wait(start + Duration::from_secs(15))
        );
        let sent = body(stream.next(start + Duration::from_secs(15)));
        assert_eq!(
            sent,
            serde_json::json!({"files": {
                "wandb-history.jsonl": {"offset": 0, "content": ["{\"a\":1}"]},
                "wandb-summary.json": {"offset": 0, "content": ["{}"]},
            }})
        );
        stream.succeeded(start, None);
        assert_eq!(stream.next(start), Step::Wait(start + HEARTBEAT));
    }

    #[test]
    fn a_failed_request_is_sent_again_with_the_same_offset() {
        let start = Instant::now();
        let mut stream = FileStream::new(
            Duration::from_secs(1),
            true,
            Offsets {
                history: 12,
                events: 3,
                output: 0,
            },
            Offsets {
                history: 1,
                ..Offsets::default()
            },
        );
        for line in ["known", "new"] {
            stream.push(Lines::History, line.to_owned());
        }
        let first = body(stream.next(start));
        assert_eq!(
            first["files"]["wandb-history.jsonl"],
            serde_json::json!({"offset": 13, "content": ["new"]})
        );
        let at = stream.failed(start, 1.0, Some(Duration::from_secs(7)));
        assert!(at >= start + Duration::from_secs(7));
        assert_eq!(stream.next(start), Step::Wait(at));
        stream.push(Lines::History, "newer".to_owned());
        let again = body(stream.next(at));
        let expected = serde_json::json!({"offset": 13, "content": ["new", "newer"]});
        assert_eq!(again["files"]["wandb-history.jsonl"], expected);
    }

    #[test]
    fn the_end_comes_last_and_alone_completes() {
        let start = Instant::now();
        let mut stream = stream();
        stream.push(Lines::History, "x".repeat(REQUEST_BYTES - 1));
        stream.push(Lines::History, "yy".to_owned());
        assert!(!stream.has_room());
        stream.finish(End {
            exit_code: 1,
            trainer_died: true,
            changes_state: true,
        });
        let first = body(stream.next(start));
        assert!(first.get("complete").is_none());
        stream.succeeded(start, None);
        let last = body(stream.next(start));
        assert_eq!(
            (last["complete"].clone(), last["exitcode"].clone()),
            (true.into(), 1.into())
        );
        assert_eq!(last["runlane"]["trainer_died"], true);
        stream.succeeded(start, None);
        assert_eq!(stream.next(start), Step::Complete);
    }

    #[test]
    fn rate_limits_slow_the_stream_down() {
        let start = Instant::now();
        let mut stream = stream();
        body(stream.next(start));
        stream.succeeded(start, Some((2.0, 8.0)));
        stream.set_preempting();
        assert_eq!(
            stream.next(start),
            Step::Wait(start + Duration::from_secs(4))
        );
    }

    #[derive(Debug, Clone)]
    enum Event {
        Push(u8),
        Sent(bool),
        LostAnswer,
        Later,
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let event = prop_oneof![
            3 => any::<u8>().prop_map(Event::Push),
            3 => any::<bool>().prop_map(Event::Sent),
            1 => Just(Event::LostAnswer),
            1 => Just(Event::Later),
        ];
        prop::collection::vec(event, 0..120)
    }

    proptest! {
        /// A server that stores ranges ends with exactly the lines that were pushed, whatever fails on the way.
        #[test]
        fn every_line_is_stored_once_and_in_order(events in events()) {
            let mut now = Instant::now();
            let mut stream = stream();
            let mut pushed: Vec<String> = Vec::new();
            let mut server: Vec<String> = Vec::new();
            let store = |server: &mut Vec<String>, body: &str| {
                let body: Value = serde_json::from_str(body).expect("JSON");
                let Some(file) = body["files"].get("wandb-history.jsonl") else { return };
                let offset = usize::try_from(file["offset"].as_u64().expect("a number")).expect("small");
                assert!(offset <= server.len(), "a gap");
                for (index, line) in file["content"].as_array().expect("a list").iter().enumerate() {
                    let line = line.as_str().expect("a string").to_owned();
                    match server.get(offset + index) {
                        Some(stored) => assert_eq!(stored, &line),
                        None => server.push(line),
                    }
                }
            };
            for event in events.into_iter().chain([Event::Later, Event::Sent(true), Event::Later, Event::Sent(true)]) {
                match event {
                    Event::Push(byte) => {
                        let line = format!("{} {byte}", pushed.len());
                        stream.push(Lines::History, line.clone());
                        pushed.push(line);
                    }
                    Event::Later => now += Duration::from_hours(1),
                    Event::Sent(arrives) => if let Step::Send(body) = stream.next(now) {
                        if arrives {
                            store(&mut server, &body);
                            stream.succeeded(now, None);
                        } else {
                            stream.failed(now, 0.5, None);
                        }
                    },
                    Event::LostAnswer => if let Step::Send(body) = stream.next(now) {
                        store(&mut server, &body);
                        stream.failed(now, 0.5, None);
                    },
                }
            }
            prop_assert_eq!(&server, &pushed);
            prop_assert_eq!(stream.stored().history, pushed.len() as u64);
        }
    }
}
