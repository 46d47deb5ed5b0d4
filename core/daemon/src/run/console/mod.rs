//! The console of a run: what its processes wrote, as the lines that a terminal shows.
//!
//! Every stream of every process has a terminal of its own ([`screen`]). Their lines share one sequence of numbers, in the
//! order in which they began. A line may change while it is in its terminal's window and among the last
//! [`CHANGEABLE_LINES`] of the run; everything before [`Changes::fixed`] is final. The same records in the same order make
//! the same lines, so a log can be read again at any time.

mod escape;
mod row;
mod screen;
mod style;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::record::RecordType;

use self::screen::{Log, Screen};

/// Lines behind which nothing changes any more, whatever the windows hold: bounds what is kept open.
pub(crate) const CHANGEABLE_LINES: u64 = 1_024;
/// Terminals that are kept whether their lines can change or not.
const SCREENS: usize = 64;

/// One line as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Who wrote it; 0: the run itself.
    pub(crate) writer: u64,
    pub(crate) is_error: bool,
    /// When its text began: Unix seconds and nanoseconds.
    pub(crate) at: (i64, i32),
    /// Without control characters other than tabs and the sequences for colours.
    pub(crate) text: String,
}

/// What has happened since the last look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// New and changed lines by number.
    pub(crate) lines: BTreeMap<u64, Line>,
    /// Lines before this number never change again.
    pub(crate) fixed: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Console {
    screens: BTreeMap<(u64, bool), Screen>,
    sequence: Sequence,
    /// The time of the last write, for text without one (of W&B's client).
    last_at: (i64, i32),
}

/// The lines of all screens.
#[derive(Debug, Default)]
struct Sequence {
    next: u64,
    changed: BTreeMap<u64, Line>,
}

/// The sequence as one screen sees it.
struct Writing<'a> {
    sequence: &'a mut Sequence,
    writer: u64,
    is_error: bool,
}

impl Log for Writing<'_> {
    fn begin_line(&mut self) -> u64 {
        self.sequence.next += 1;
        self.sequence.next - 1
    }

    fn is_fixed(&self, number: u64) -> bool {
        number + CHANGEABLE_LINES <= self.sequence.next
    }

    fn set_line(&mut self, number: u64, at: (i64, i32), text: String) {
        let line = Line {
            writer: self.writer,
            is_error: self.is_error,
            at,
            text,
        };
        self.sequence.changed.insert(number, line);
    }
}

impl Console {
    /// Takes in one write of a process.
    pub(crate) fn write(&mut self, writer: u64, record: &pb::OutputRawRecord) {
        let is_error = record.output_type() == pb::output_raw_record::OutputType::Stderr;
        let at = record.timestamp.as_ref().map_or(self.last_at, at);
        self.last_at = at;
        let mut log = Writing {
            sequence: &mut self.sequence,
            writer,
            is_error,
        };
        if self.screens.len() >= SCREENS && !self.screens.contains_key(&(writer, is_error)) {
            // Processes come and go; the log does not say when, but what they left is too far back to change.
            self.screens
                .retain(|_, screen| screen.lowest(&log).is_some());
        }
        let screen = self.screens.entry((writer, is_error)).or_default();
        screen.write(&record.line, at, &mut log);
    }

    /// Takes in text that goes to the log only (`run.write_logs`, captured loggers): whole lines of their own.
    pub(crate) fn write_logged(&mut self, writer: u64, record: &pb::OutputLoggerRecord) {
        let at = record.runlane_timestamp.as_ref().map_or(self.last_at, at);
        let mut log = Writing {
            sequence: &mut self.sequence,
            writer,
            is_error: false,
        };
        let text = record.line.strip_suffix('\n').unwrap_or(&record.line);
        for line in text.split('\n') {
            // A terminal of its own: colours are kept, no line is endless.
            Screen::default().write(line, at, &mut log);
            if line.is_empty() {
                let number = log.begin_line();
                log.set_line(number, at, String::new());
            }
        }
    }

    /// Takes in a record of a log; whether it was console output.
    pub(crate) fn read(&mut self, record: &pb::Record) -> bool {
        let writer = record
            .control
            .as_ref()
            .map_or(0, |control| control.runlane_writer);
        match &record.record_type {
            Some(RecordType::OutputRaw(output)) => self.write(writer, output),
            Some(RecordType::OutputLogger(output)) => self.write_logged(writer, output),
            _ => return false,
        }
        true
    }

    /// Nothing is written any more.
    pub(crate) fn finish(&mut self) {
        self.screens.clear();
    }

    /// Whether there is something to take.
    pub(crate) fn has_changes(&self) -> bool {
        !self.sequence.changed.is_empty()
    }

    /// What has happened since the last call.
    pub(crate) fn take_changes(&mut self) -> Changes {
        Changes {
            lines: std::mem::take(&mut self.sequence.changed),
            fixed: self.fixed(),
        }
    }

    /// Drops what has happened since the last call of `take_changes`.
    pub(crate) fn forget_changes(&mut self) {
        self.sequence.changed.clear();
    }

    /// What somebody must know who has only the lines that never change again: all others.
    pub(crate) fn open_lines(&mut self) -> Changes {
        self.sequence.changed.clear();
        for ((writer, is_error), screen) in &mut self.screens {
            screen.tell_all(&mut Writing {
                sequence: &mut self.sequence,
                writer: *writer,
                is_error: *is_error,
            });
        }
        self.take_changes()
    }

    fn fixed(&mut self) -> u64 {
        let next = self.sequence.next;
        let mut lowest = next;
        for ((writer, is_error), screen) in &self.screens {
            let log = Writing {
                sequence: &mut self.sequence,
                writer: *writer,
                is_error: *is_error,
            };
            lowest = lowest.min(screen.lowest(&log).unwrap_or(next));
        }
        lowest
    }
}

fn at(time: &prost_types::Timestamp) -> (i64, i32) {
    (time.seconds, time.nanos)
}
