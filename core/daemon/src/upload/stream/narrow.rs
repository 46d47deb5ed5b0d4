//! Finding the one unit of a request that the server refuses.
//!
//! A refused request is halved until a single unit is left that is refused alone: a line, the summary, the names of
//! uploaded files. Before a unit is blamed, a heartbeat must have been taken since the one before was: a server that
//! refuses that as well refuses the run, not its content. After a unit was taken out, requests grow again from one unit,
//! so that many bad lines in a row cost two requests each and not a whole search.
//!
//! The line number of a refused line is kept: a placeholder goes in its place.

use runlane_model::json::{Value, parse_object};

use super::{FILES, FileStream, Lines, OUTPUT_FILE, Waiting};

/// So many units in a row that are refused, and none taken: it is not the single unit.
const IN_A_ROW: u32 = 32;
/// Requests of so many units are not narrowed any more.
const WIDE: usize = 1 << 16;
/// What stands in the place of a console line that the server did not take.
const LEFT_OUT: &str = "[runlane: a line that the server refused was left out]";

/// The search for a refused unit.
#[derive(Debug, Default)]
pub(super) struct Narrowing {
    /// Units that the next request may hold; `None`: all.
    limit: Option<usize>,
    /// The bad unit is among so many first ones.
    suspects: usize,
    /// Units of the request under way.
    in_flight: usize,
    /// A heartbeat comes next.
    asks: bool,
    /// A request was taken since the search began, or since the last unit was blamed.
    answered: bool,
    blamed_in_a_row: u32,
}

/// What follows from a refused request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The server refuses even a heartbeat, or everything of this run.
    Everything,
    /// Smaller requests follow.
    Narrowed,
    /// This was refused alone and is taken out.
    Unit(Quarantined),
}

/// A unit that the server does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Quarantined {
    /// Name of the file, or of the request's member.
    pub(crate) file: &'static str,
    /// Its line number at the server, if it is a line.
    pub(crate) line: Option<u64>,
    pub(crate) text: String,
}

impl Narrowing {
    /// Units for the next request.
    pub(super) fn limit(&self) -> usize {
        if self.asks {
            0
        } else {
            self.limit.unwrap_or(usize::MAX)
        }
    }

    pub(super) fn sent(&mut self, units: usize) {
        self.in_flight = units;
    }

    pub(super) fn is_searching(&self) -> bool {
        self.asks || self.limit.is_some()
    }

    pub(super) fn succeeded(&mut self) {
        self.answered = true;
        let taken = std::mem::take(&mut self.in_flight);
        if taken > 0 {
            self.blamed_in_a_row = 0;
        }
        if std::mem::take(&mut self.asks) {
            return;
        }
        self.suspects = self.suspects.saturating_sub(taken);
        self.limit = match (self.limit, self.suspects) {
            (None, _) => None,
            (Some(limit), 0) => Some(limit.max(1) * 2).filter(|limit| *limit < WIDE),
            (Some(_), suspects) => Some(suspects.div_ceil(2)),
        };
    }

    /// Whether the one unit that was refused is to blame; if not yet, the next request is set.
    fn refused(&mut self) -> Option<bool> {
        let units = std::mem::take(&mut self.in_flight);
        if units == 0 {
            self.asks = false;
            return Some(false);
        }
        if self.limit.is_none() {
            // What was taken before says nothing of now: the run may have been deleted since.
            self.answered = false;
        }
        self.suspects = units;
        self.limit = Some((units / 2).max(1));
        if !self.answered {
            self.asks = true;
            return None;
        }
        (units == 1).then_some(true)
    }
}

impl FileStream {
    /// The server refuses the request under way for good.
    pub(crate) fn refused(&mut self) -> Refusal {
        match self.narrowing.refused() {
            None => {
                self.take_back();
                Refusal::Narrowed
            }
            Some(false) => {
                self.take_back();
                self.narrowing.answered = false;
                Refusal::Everything
            }
            Some(true) => {
                let unit = (self.narrowing.blamed_in_a_row < IN_A_ROW)
                    .then(|| self.take_out())
                    .flatten();
                self.take_back();
                self.narrowing.answered = false;
                match unit {
                    Some(unit) => {
                        self.narrowing.blamed_in_a_row += 1;
                        (self.narrowing.suspects, self.narrowing.limit) = (0, Some(1));
                        Refusal::Unit(unit)
                    }
                    None => Refusal::Everything,
                }
            }
        }
    }

    /// Takes out the one unit that is under way; `None` if the run cannot do without it.
    fn take_out(&mut self) -> Option<Quarantined> {
        for (file, name) in FILES {
            let line = self.base.get(file) + self.stored.get(file);
            let waiting = self.waiting(file);
            if waiting.in_flight > 0 {
                let text = replace_first(waiting, file)?;
                let line = Some(line);
                return Some(Quarantined {
                    file: name,
                    line,
                    text,
                });
            }
        }
        if self.output.is_in_flight() {
            let (line, text) = self
                .output
                .replace(|line| placeholder(Lines::Output, line))?;
            return Some(Quarantined {
                file: OUTPUT_FILE,
                line: Some(self.base.output + line),
                text,
            });
        }
        let named = |file: &'static str, text: String| {
            Some(Quarantined {
                file,
                line: None,
                text,
            })
        };
        if self.summary_in_flight {
            return named(
                "wandb-summary.json",
                self.summary.take().unwrap_or_default(),
            );
        }
        if self.uploaded_in_flight > 0 {
            let files: Vec<String> = self.uploaded.drain(..self.uploaded_in_flight).collect();
            return named("uploaded", files.join("\n"));
        }
        if self.preempting_in_flight {
            self.preempting = false;
            return named("preempting", "true".to_owned());
        }
        if self.lost_in_flight > 0 {
            self.lost_told = self.lost_in_flight;
            return named("lost", self.lost_in_flight.to_string());
        }
        None
    }
}

/// Puts a placeholder in the place of the first line and returns what was there; `None` if the plainest one is refused.
fn replace_first(waiting: &mut Waiting, file: Lines) -> Option<String> {
    let first = waiting.lines.front_mut()?;
    let placeholder = match waiting.replaced {
        0 => placeholder(file, first),
        1 => "{}".to_owned(),
        _ => return None,
    };
    waiting.replaced += 1;
    waiting.bytes = waiting.bytes - first.len() + placeholder.len();
    Some(std::mem::replace(first, placeholder))
}

/// A line that says nothing but where it stands.
fn placeholder(file: Lines, line: &str) -> String {
    if file == Lines::Output {
        return if line.starts_with('{') {
            Value::Object(
                [("content".to_owned(), Value::from(LEFT_OUT))]
                    .into_iter()
                    .collect(),
            )
            .to_string()
        } else {
            // The time stays, so that readers can place the line.
            let time = line
                .trim_start_matches("ERROR ")
                .split(' ')
                .next()
                .filter(|word| word.len() <= 32 && word.is_ascii() && word.contains('T'));
            time.map_or_else(|| LEFT_OUT.to_owned(), |time| format!("{time} {LEFT_OUT}"))
        };
    }
    let kept = ["_step", "_wandb", "_timestamp", "_runtime"];
    let row = parse_object(line).unwrap_or_default();
    let row = row.into_iter().filter(|(key, value)| {
        let is_plain = match value {
            Value::Int(_) | Value::Bool(_) => true,
            Value::Float(number) => number.is_finite(),
            _ => false,
        };
        is_plain && kept.contains(&key.as_str())
    });
    let row = row.filter(|(key, _)| (file == Lines::History) == (key == "_step"));
    Value::Object(row.collect()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_say_where_a_line_stood_and_nothing_else() {
        for (file, line, expected) in [
            (
                Lines::History,
                r#"{"loss":NaN,"_step":7,"_runtime":1.5}"#,
                r#"{"_step":7}"#,
            ),
            (Lines::History, r#"{"_step":"x"}"#, "{}"),
            (Lines::History, "no row", "{}"),
            (
                Lines::Events,
                r#"{"_wandb":true,"_timestamp":5.5,"_runtime":2.0,"system.cpu":1e999}"#,
                r#"{"_wandb":true,"_timestamp":5.5,"_runtime":2.0}"#,
            ),
        ] {
            assert_eq!(placeholder(file, line), expected);
        }
        let console = placeholder(Lines::Output, "ERROR 2026-01-02T03:04:05.678901 boom\u{0}");
        assert_eq!(console, format!("2026-01-02T03:04:05.678901 {LEFT_OUT}"));
        assert_eq!(placeholder(Lines::Output, "x"), LEFT_OUT);
        let structured = placeholder(Lines::Output, r#"{"ts":"2026","content":"x"}"#);
        assert!(
            structured.starts_with(r#"{"content":"[runlane"#),
            "{structured}"
        );
    }
}
