//! Console text into lines: what `output.log` holds and what is sent as its lines.
//!
//! Text of one stream is cut at line feeds. A carriage return starts the line again, as a progress bar does; escape
//! sequences are taken out. A line that is not ended yet is held back.

use runlane_proto::wandb_internal as pb;

/// Characters of one line; the rest of a longer one is dropped (as W&B's terminal window does).
const LINE_CHARACTERS: usize = 4_096;

/// One finished line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) is_error: bool,
    /// When its text began: Unix seconds and nanoseconds.
    pub(crate) at: (i64, i32),
    pub(crate) text: String,
}

#[derive(Debug, Default)]
struct Stream {
    line: String,
    /// A carriage return was seen: the next character begins the line again.
    returned: bool,
    escape: Escape,
    began: Option<(i64, i32)>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    Started,
    /// Inside `ESC [ …`.
    Control,
    /// Inside `ESC ] …`, which a bell or `ESC \` ends.
    Command,
}

/// Both streams of a run.
#[derive(Debug, Default)]
pub(crate) struct Console {
    out: Stream,
    error: Stream,
}

impl Console {
    /// Takes in one write; finished lines go to `done`.
    pub(crate) fn write(&mut self, record: &pb::OutputRawRecord, done: &mut Vec<Line>) {
        let is_error = record.output_type() == pb::output_raw_record::OutputType::Stderr;
        let stream = if is_error {
            &mut self.error
        } else {
            &mut self.out
        };
        let at = record
            .timestamp
            .as_ref()
            .map_or((0, 0), |time| (time.seconds, time.nanos));
        for character in record.line.chars() {
            if let Some(text) = stream.push(character, at) {
                done.push(Line {
                    is_error,
                    at: stream.began.take().unwrap_or(at),
                    text,
                });
            }
        }
    }

    /// Takes in text that was written straight to the log (`run.write_logs`).
    pub(crate) fn write_logged(
        record: &pb::OutputLoggerRecord,
        at: (i64, i32),
        done: &mut Vec<Line>,
    ) {
        let text = record.line.strip_suffix('\n').unwrap_or(&record.line);
        done.extend(text.split('\n').map(|line| Line {
            is_error: false,
            at,
            text: line.to_owned(),
        }));
    }

    /// The unfinished lines, at the end of the run.
    pub(crate) fn finish(&mut self, done: &mut Vec<Line>) {
        for (is_error, stream) in [(false, &mut self.out), (true, &mut self.error)] {
            let text = std::mem::take(&mut stream.line);
            if !text.is_empty() {
                done.push(Line {
                    is_error,
                    at: stream.began.take().unwrap_or((0, 0)),
                    text,
                });
            }
        }
    }
}

impl Stream {
    /// Takes one character; returns the line that it ends.
    fn push(&mut self, character: char, at: (i64, i32)) -> Option<String> {
        if self.in_escape(character) {
            return None;
        }
        match character {
            '\n' => {
                self.returned = false;
                return Some(std::mem::take(&mut self.line));
            }
            '\r' => self.returned = true,
            '\u{8}' => {
                self.line.pop();
            }
            '\t' => self.put('\t', at),
            control if control.is_control() => {}
            visible => self.put(visible, at),
        }
        None
    }

    fn put(&mut self, character: char, at: (i64, i32)) {
        if std::mem::take(&mut self.returned) {
            self.line.clear();
        }
        self.began.get_or_insert(at);
        // A byte count first: the characters of a short line need not be counted.
        if self.line.len() < LINE_CHARACTERS || self.line.chars().count() < LINE_CHARACTERS {
            self.line.push(character);
        }
    }

    fn in_escape(&mut self, character: char) -> bool {
        self.escape = match (self.escape, character) {
            (Escape::Command | Escape::None, '\u{1b}') => Escape::Started,
            (Escape::None, _) => return false,
            (Escape::Started, '[') => Escape::Control,
            (Escape::Started, ']') => Escape::Command,
            (Escape::Control, '\u{40}'..='\u{7e}')
            | (Escape::Command, '\u{7}')
            | (Escape::Started, _) => Escape::None,
            // A line end inside a sequence means that it was cut off.
            (Escape::Control | Escape::Command, '\n') => {
                self.escape = Escape::None;
                return false;
            }
            (inside, _) => inside,
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(writes: &[(bool, &str)]) -> Vec<(bool, String)> {
        let mut console = Console::default();
        let mut done = Vec::new();
        for (is_error, text) in writes {
            let mut record = pb::OutputRawRecord {
                line: (*text).to_owned(),
                ..Default::default()
            };
            record.set_output_type(if *is_error {
                pb::output_raw_record::OutputType::Stderr
            } else {
                pb::output_raw_record::OutputType::Stdout
            });
            console.write(&record, &mut done);
        }
        console.finish(&mut done);
        done.into_iter()
            .map(|line| (line.is_error, line.text))
            .collect()
    }

    #[test]
    fn writes_are_joined_and_cut_at_line_feeds() {
        let found = lines(&[(false, "a"), (true, "oops\n"), (false, "b\n\nlast")]);
        let expected = [(true, "oops"), (false, "ab"), (false, ""), (false, "last")];
        assert_eq!(
            found,
            expected.map(|(is_error, text)| (is_error, text.to_owned()))
        );
    }

    #[test]
    fn a_progress_bar_is_its_last_state_and_colours_go() {
        let found = lines(&[
            (false, "10%\r20%"),
            (false, "\r\u{1b}[1;32m100%\u{1b}[0m\r\n"),
        ]);
        assert_eq!(found, [(false, "100%".to_owned())]);
    }

    #[test]
    fn long_lines_are_cut() {
        let found = lines(&[(false, &"é".repeat(5_000))]);
        assert_eq!(found[0].1.chars().count(), LINE_CHARACTERS);
    }
}
