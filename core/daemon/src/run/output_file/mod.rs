//! The console as plain text in a run's files: `output.log`, or parts of it in `logs/`.

mod growing;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use prost::Message;
use runlane_model::environment;
use runlane_proto::local::ConsoleSettings;
use runlane_proto::wandb_internal as pb;
use runlane_translog::{OsFs, ReadEvent, Reader};

use self::growing::{Bound, Growing};
use super::console::{Changes, Console, Line};

/// Of a longer log so much is kept of the beginning and of the end; the transaction log has it all.
const BOUND: Bound = Bound {
    lines: 200_000,
    bytes: 32 << 20,
};
/// A part ends by the user's own bounds.
const UNBOUNDED: Bound = Bound {
    lines: u64::MAX / 4,
    bytes: u64::MAX / 4,
};
/// Lines that may still change are written anew at most this often.
const OPEN_LINES_INTERVAL: Duration = Duration::from_secs(5);

/// A line as it is written, and when it began.
#[derive(Debug)]
struct Text {
    at: (i64, i32),
    text: String,
}

/// Writes the lines of a run's console.
#[derive(Debug)]
pub(crate) struct OutputFile {
    files: PathBuf,
    label: String,
    /// The bounds of a part; none: one file.
    parts: Option<ConsoleSettings>,
    current: Option<(Growing, Instant)>,
    /// Lines that may change.
    open: BTreeMap<u64, Text>,
    /// When those in the file must be written anew.
    due: Option<Instant>,
    last_open: Option<Instant>,
    closed: Vec<String>,
    is_broken: bool,
}

impl OutputFile {
    /// The console of a run in `files`. A label is part of the name.
    pub(crate) fn within(files: &Path, label: &str, settings: Option<&ConsoleSettings>) -> Self {
        Self {
            files: files.to_owned(),
            label: safe(label),
            parts: settings.filter(|settings| settings.is_multipart).copied(),
            current: None,
            open: BTreeMap::new(),
            due: None,
            last_open: None,
            closed: Vec::new(),
            is_broken: false,
        }
    }

    /// The console file that a dead daemon left in `files`, whose settings nobody knows any more.
    pub(crate) fn left_in(files: &Path) -> Self {
        let names = std::fs::read_dir(files).into_iter().flatten().flatten();
        let mut names = names.filter_map(|entry| entry.file_name().into_string().ok());
        let label = names.find_map(|name| {
            let label = name.strip_prefix("output_")?.strip_suffix(".log")?;
            Some(label.to_owned())
        });
        Self::within(files, &label.unwrap_or_default(), None)
    }

    /// Takes in what has changed. The log has it as well, so a failure costs only this file: it is reported once.
    pub(crate) fn take(&mut self, changes: Changes, now: Instant) {
        for (number, line) in changes.lines {
            self.open.insert(number, text_of(&line));
        }
        let open = self.open.split_off(&changes.fixed);
        let fixed = std::mem::replace(&mut self.open, open);
        let waited = self
            .last_open
            .is_none_or(|last| last + OPEN_LINES_INTERVAL <= now);
        if fixed.is_empty() && !waited {
            self.due = self.last_open.map(|last| last + OPEN_LINES_INTERVAL);
            return;
        }
        self.write(&fixed, waited, now);
    }

    /// Takes in the last changes. The part that is open is complete, and not announced: the end of a run uploads it.
    pub(crate) fn end(&mut self, changes: Changes, now: Instant) {
        self.last_open = None;
        self.take(changes, now);
        self.due = None;
        self.current = None;
    }

    /// Writes what the log at `path` says, after a daemon that may not have written it all. Parts are complete up to the
    /// lines that could still change, which `console` tells.
    pub(crate) fn take_up(&mut self, path: &Path, console: &mut Console, now: Instant) {
        let open = console.open_lines();
        if self.parts.is_some() {
            self.take(open, now);
            return;
        }
        if let Err(error) = self.rebuild(path, now) {
            tracing::warn!(%error, path = %path.display(), "console file not written anew");
        }
        self.take(open, now);
    }

    fn rebuild(&mut self, path: &Path, now: Instant) -> Result<(), runlane_translog::Error> {
        let mut reader = Reader::open(&OsFs, path)?;
        let mut console = Console::default();
        loop {
            let bytes = match reader.next_event()? {
                ReadEvent::Record(record) => record.bytes,
                ReadEvent::Repeated(_) | ReadEvent::Damage(_) => continue,
                ReadEvent::End(_) => return Ok(()),
            };
            if let Ok(record) = pb::Record::decode(bytes)
                && console.read(&record)
            {
                self.take(console.take_changes(), now);
            }
        }
    }

    /// When `flush` has something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Writes what is due: lines that may still change, the end of a part.
    pub(crate) fn flush(&mut self, now: Instant) {
        if self.due.is_some_and(|due| due <= now) {
            self.write(&BTreeMap::new(), true, now);
        }
    }

    /// Names of parts that are complete.
    pub(crate) fn take_closed(&mut self) -> Vec<String> {
        std::mem::take(&mut self.closed)
    }

    fn write(&mut self, fixed: &BTreeMap<u64, Text>, with_open: bool, now: Instant) {
        self.due = None;
        if self.is_broken || (fixed.is_empty() && self.open.is_empty()) {
            return;
        }
        let open: String = if with_open {
            self.last_open = Some(now);
            self.open.values().map(|line| line.text.as_str()).collect()
        } else {
            self.due = self.last_open.map(|last| last + OPEN_LINES_INTERVAL);
            String::new()
        };
        let mut lines = fixed.values().peekable();
        loop {
            let (mut text, mut count) = (String::new(), 0);
            let first = lines.peek().copied().or_else(|| self.open.values().next());
            let at = first.map_or((0, 0), |line| line.at);
            let had = self.current.as_ref().map_or(0, |(file, _)| file.bytes());
            while !self.is_full(had + text.len() as u64)
                && let Some(line) = lines.next()
            {
                text.push_str(&line.text);
                count += 1;
            }
            // Lines that may change stand behind the last part only.
            let is_last = lines.peek().is_none();
            let open = if is_last { open.as_str() } else { "" };
            if !self.put(&text, count, open, at, now) {
                return;
            }
            if is_last {
                break;
            }
        }
        if let Some((_, began)) = &self.current
            && let Some(limits) = &self.parts
            && let Ok(seconds @ 1..) = u64::try_from(limits.chunk_max_secs)
        {
            let ends = *began + Duration::from_secs(seconds);
            self.due = Some(self.due.map_or(ends, |due| due.min(ends)));
        }
    }

    /// Whether a part with so many bytes takes no more lines.
    fn is_full(&self, bytes: u64) -> bool {
        let limit = self
            .parts
            .as_ref()
            .map_or(0, |limits| limits.chunk_max_bytes);
        u64::try_from(limit).is_ok_and(|limit| limit > 0 && bytes >= limit)
    }

    /// Writes lines into the present part, and closes it if it is complete; false if it cannot be written.
    fn put(&mut self, text: &str, lines: u64, open: &str, at: (i64, i32), now: Instant) -> bool {
        let name = self.name(at);
        let (file, began) = self.current.get_or_insert_with(|| {
            let bound = if self.parts.is_some() {
                UNBOUNDED
            } else {
                BOUND
            };
            (Growing::new(self.files.join(name), bound), now)
        });
        if let Err(error) = file.write(text, lines, open) {
            self.is_broken = true;
            tracing::warn!(%error, path = %file.path().display(), "console file cannot be written");
            return false;
        }
        let (bytes, age) = (file.bytes(), now.saturating_duration_since(*began));
        let limits = self.parts.as_ref();
        let is_old = limits
            .and_then(|limits| u64::try_from(limits.chunk_max_secs).ok())
            .is_some_and(|limit| limit > 0 && age.as_secs() >= limit);
        if bytes > 0 && (is_old || self.is_full(bytes)) {
            // Lines that may change go into the next part.
            if let Some((file, _)) = &mut self.current
                && file.write("", 0, "").is_ok()
            {
                self.close_part();
            }
        }
        true
    }

    fn close_part(&mut self) {
        if let Some((file, _)) = self.current.take()
            && let Ok(name) = file.path().strip_prefix(&self.files)
        {
            self.closed.push(name.to_string_lossy().into_owned());
        }
    }

    fn name(&self, at: (i64, i32)) -> String {
        let label = if self.label.is_empty() {
            String::new()
        } else {
            format!("_{}", self.label)
        };
        if self.parts.is_none() {
            return format!("output{label}.log");
        }
        let time = environment::iso_without_zone(at.0, 0);
        let digits: String = time.chars().filter(char::is_ascii_digit).collect();
        let (date, clock) = digits.split_at(8.min(digits.len()));
        let clock = &clock[..6.min(clock.len())];
        let mut nanos = at.1;
        loop {
            let name = format!("logs/output{label}_{date}_{clock}_{nanos:09}.log");
            // Several parts may begin with lines of one moment.
            if nanos >= 999_999_999 || !self.files.join(&name).exists() {
                return name;
            }
            nanos += 1;
        }
    }
}

/// Names of the console files in a run's files, in order.
pub(crate) fn names_in(files: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for (folder, prefix) in [("", ""), ("logs", "logs/")] {
        let entries = std::fs::read_dir(files.join(folder)).into_iter().flatten();
        for entry in entries.flatten() {
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            if let Ok(name) = entry.file_name().into_string()
                && is_file
                && is_console_file(&name)
                && (name != "output.log" || folder.is_empty())
            {
                found.push(format!("{prefix}{name}"));
            }
        }
    }
    found.sort();
    found
}

/// Whether a file's name, without its folder, is one that the console is written to.
pub(crate) fn is_console_file(name: &str) -> bool {
    name.strip_suffix(".log")
        .and_then(|stem| stem.strip_prefix("output"))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

/// A label as part of a file's name.
fn safe(label: &str) -> String {
    let is_plain = |character: char| character.is_alphanumeric() || "-_.".contains(character);
    label
        .chars()
        .map(|character| if is_plain(character) { character } else { '-' })
        .take(64)
        .collect()
}

fn text_of(line: &Line) -> Text {
    let mut text = String::with_capacity(line.text.len() + 1);
    text.push_str(&line.text);
    text.push('\n');
    Text { at: line.at, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(numbers: std::ops::Range<u64>, fixed: u64) -> Changes {
        let line = |number: u64| {
            let line = Line {
                writer: 0,
                is_error: false,
                at: (1_767_323_045, 5),
                text: format!("line {number}"),
            };
            (number, line)
        };
        Changes {
            lines: numbers.map(line).collect(),
            fixed,
        }
    }

    #[test]
    fn one_file_shows_lines_that_may_change_every_few_seconds() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut output = OutputFile::within(directory.path(), "a/b", None);
        let path = directory.path().join("output_a-b.log");
        let read = || std::fs::read_to_string(&path).unwrap_or_default();
        let now = Instant::now();
        output.take(lines(0..3, 1), now);
        assert_eq!(read(), "line 0\nline 1\nline 2\n");
        output.take(lines(3..4, 1), now);
        assert_eq!(read(), "line 0\nline 1\nline 2\n");
        assert_eq!(output.due(), Some(now + OPEN_LINES_INTERVAL));
        output.flush(now + OPEN_LINES_INTERVAL);
        assert_eq!(read(), "line 0\nline 1\nline 2\nline 3\n");
        output.end(lines(4..5, 5), now);
        assert_eq!(read().lines().count(), 5);
        assert_eq!(names_in(directory.path()), ["output_a-b.log"]);
    }

    #[test]
    fn parts_are_closed_at_their_size_and_age() {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = ConsoleSettings {
            is_multipart: true,
            chunk_max_bytes: 20,
            chunk_max_secs: 60,
        };
        let mut output = OutputFile::within(directory.path(), "", Some(&settings));
        let now = Instant::now();
        output.take(lines(0..7, 6), now);
        let closed = output.take_closed();
        let first = "logs/output_20260102_030405_000000005.log";
        assert_eq!(closed, [first, "logs/output_20260102_030405_000000006.log"]);
        let read = |name: &str| std::fs::read_to_string(directory.path().join(name));
        assert_eq!(read(first).expect("readable"), "line 0\nline 1\nline 2\n");
        output.take(lines(7..8, 7), now);
        assert_eq!(output.take_closed(), Vec::<String>::new());
        output.flush(now + Duration::from_secs(61));
        assert_eq!(output.take_closed().len(), 1);
        output.end(lines(8..9, 9), now + Duration::from_secs(61));
        let names = names_in(directory.path());
        let text: String = names
            .iter()
            .map(|name| read(name).expect("readable"))
            .collect();
        assert_eq!(text.lines().count(), 9, "{text}");
    }
}
