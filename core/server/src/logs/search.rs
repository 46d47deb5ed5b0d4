//! Lines that match, over the whole log: so many lines a request, so that a long log holds up nobody.

use std::ops::Range;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::line::{LogLine, parse};
use super::{PAGE_CHUNKS, Streams};
use crate::error::{ApiError, StoreError};
use crate::history::lines;
use crate::store::chunks::ChunkRow;
use crate::store::{Connection, chunks};

/// Lines that one request looks at.
const LINES: i64 = 100_000;
/// Bounds of a pattern and of what it is compiled to.
const PATTERN_BYTES: usize = 1_000;
const PROGRAM_BYTES: usize = 1 << 20;

/// What a line must be.
#[derive(Debug)]
pub(super) struct Filter {
    pattern: Option<Regex>,
    label: Option<String>,
    level: Option<String>,
}

/// What a request found.
pub(super) struct Found {
    pub(super) lines: Vec<LogLine>,
    /// The line to go on with.
    pub(super) next: Option<i64>,
}

impl Filter {
    /// `None` without any condition.
    pub(super) fn of(
        pattern: Option<&str>,
        label: Option<String>,
        level: Option<String>,
    ) -> Result<Option<Self>, ApiError> {
        let pattern = pattern.filter(|pattern| !pattern.is_empty()).map(compile);
        let pattern = pattern.transpose()?;
        let is_empty = pattern.is_none() && label.is_none() && level.is_none();
        Ok((!is_empty).then_some(Self {
            pattern,
            label,
            level,
        }))
    }

    fn passes(&self, line: &LogLine) -> bool {
        let is = |wanted: &Option<String>, found: &Option<String>| {
            wanted
                .as_deref()
                .is_none_or(|wanted| found.as_deref().unwrap_or_default() == wanted)
        };
        is(&self.label, &line.label)
            && is(&self.level, &line.level)
            && self
                .pattern
                .as_ref()
                .is_none_or(|pattern| pattern.is_match(&without_colours(&line.text)))
    }
}

/// A text that is no regular expression is searched for as it is. Case does not count.
fn compile(pattern: &str) -> Result<Regex, ApiError> {
    if pattern.len() > PATTERN_BYTES {
        return Err(ApiError::invalid(format!(
            "`search` is longer than {PATTERN_BYTES} bytes"
        )));
    }
    let build = |text: &str| {
        RegexBuilder::new(text)
            .case_insensitive(true)
            .size_limit(PROGRAM_BYTES)
            .build()
    };
    build(pattern)
        .or_else(|_not_one| build(&regex::escape(pattern)))
        .map_err(|_too_large| ApiError::invalid("`search` is too complicated"))
}

/// Text as it is read: lines of our client have no other control sequences than those for colours.
fn without_colours(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains('\u{1b}') {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((shown, behind)) = rest.split_once('\u{1b}') {
        out.push_str(shown);
        let sequence = behind.strip_prefix('[').unwrap_or_default();
        let end = sequence.find(|character| ('@'..='~').contains(&character));
        rest = end.map_or(behind, |end| &sequence[end + 1..]);
    }
    out.push_str(rest);
    out.into()
}

/// The lines from `from` on that pass, up to `limit`.
pub(super) async fn run(
    reader: &mut Connection,
    wanted: &Streams,
    filter: Filter,
    from: i64,
    limit: i64,
) -> Result<Found, ApiError> {
    let filter = Arc::new(filter);
    let mut found = Found {
        lines: Vec::new(),
        next: None,
    };
    let limit = usize::try_from(limit).unwrap_or_default();
    let mut left = LINES;
    for (base, stream) in wanted.numbered() {
        let count = stream.contiguous_lines;
        let mut next = (from - base).clamp(0, count);
        while next < count {
            let page = chunks::page_from(reader, stream.id, next, count, PAGE_CHUNKS).await?;
            let Some(last) = page.last() else { break };
            let behind = last.start_line + last.line_count;
            let part = Part {
                page,
                base,
                numbers: next..count,
                room: limit - found.lines.len(),
                left,
            };
            let filter = Arc::clone(&filter);
            // Thousands of lines: not on the network's threads.
            let scanned = tokio::task::spawn_blocking(move || part.scan(&filter))
                .await
                .map_err(|_panicked| ApiError::unavailable("the search failed; try again"))??;
            left -= scanned.looked_at;
            found.lines.extend(scanned.lines);
            if scanned.next.is_some() {
                found.next = scanned.next;
                return Ok(found);
            }
            next = behind;
        }
    }
    Ok(found)
}

/// Chunks of one stream to look through.
struct Part {
    page: Vec<ChunkRow>,
    /// The number of the stream's first line.
    base: i64,
    /// Lines of the stream that are wanted.
    numbers: Range<i64>,
    /// How many may be found, and looked at.
    room: usize,
    left: i64,
}

struct Scanned {
    lines: Vec<LogLine>,
    looked_at: i64,
    /// The line that was not looked at any more.
    next: Option<i64>,
}

impl Part {
    fn scan(&self, filter: &Filter) -> Result<Scanned, StoreError> {
        let mut scanned = Scanned {
            lines: Vec::new(),
            looked_at: 0,
            next: None,
        };
        for chunk in &self.page {
            for (number, text) in (chunk.start_line..).zip(lines::decode(&chunk.lines)?) {
                if !self.numbers.contains(&number) {
                    continue;
                }
                if scanned.looked_at == self.left || scanned.lines.len() == self.room {
                    scanned.next = Some(self.base + number);
                    return Ok(scanned);
                }
                scanned.looked_at += 1;
                let line = parse(self.base + number, text);
                if filter.passes(&line) {
                    scanned.lines.push(line);
                }
            }
        }
        Ok(scanned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(pattern: &str, text: &str) -> bool {
        let filter = Filter::of(Some(pattern), None, None)
            .expect("valid")
            .expect("a filter");
        filter.passes(&LogLine {
            text: text.to_owned(),
            ..LogLine::default()
        })
    }

    #[test]
    fn patterns_are_matched_on_what_is_read() {
        assert!(passes(
            "loss=0\\.\\d",
            "epoch 1 \u{1b}[1;31mloss\u{1b}[0m=0.5"
        ));
        assert!(passes("LOSS", "a loss") && passes("loss", "a LOSS") && !passes("lost", "a loss"));
        // No regular expression: as it is.
        assert!(passes("f(x", "call f(x)") && passes("[1", "x[1]") && !passes("*", "a"));
        assert!(passes("cut off", "cut off\u{1b}["));
        assert!(Filter::of(Some(&"x".repeat(2_000)), None, None).is_err());
        assert!(Filter::of(Some(""), None, None).expect("valid").is_none());
    }

    #[test]
    fn labels_and_levels_are_compared() {
        let filter = Filter::of(None, Some("rank-0".into()), Some("error".into()))
            .expect("valid")
            .expect("a filter");
        let mut line = LogLine {
            label: Some("rank-0".into()),
            level: Some("error".into()),
            ..LogLine::default()
        };
        assert!(filter.passes(&line));
        line.level = None;
        assert!(!filter.passes(&line));
    }
}
