//! Console lines on their way to the server: rewritable until they are fixed.
//!
//! `stored` counts the lines from 0 that are fixed and at the server; only they count as progress of the log. Behind them
//! stand lines that the server may have already, as they were when they were last sent.

use std::collections::VecDeque;

#[derive(Debug, Default)]
struct Line {
    text: String,
    /// The server has not confirmed this text.
    waits: bool,
    /// Its text is in the request under way.
    in_flight: bool,
    /// How often it was replaced because the server refused it.
    replaced: u8,
}

/// See the module.
#[derive(Debug)]
pub(super) struct OutputLines {
    stored: u64,
    /// Lines before this number do not change any more.
    fixed: u64,
    /// From line `stored` on.
    lines: VecDeque<Line>,
    waiting_lines: usize,
    waiting_bytes: usize,
}

impl OutputLines {
    /// Nothing waits; the server has `stored` lines that do not change any more.
    pub(super) fn new(stored: u64) -> Self {
        Self {
            stored,
            fixed: 0,
            lines: VecDeque::new(),
            waiting_lines: 0,
            waiting_bytes: 0,
        }
    }

    /// Lines that are fixed and at the server.
    pub(super) fn stored(&self) -> u64 {
        self.stored
    }

    /// Fixed lines that are at the server if the request under way is taken.
    pub(super) fn reach(&self) -> u64 {
        let there = |line: &&Line| !line.waits || line.in_flight;
        let count = self.lines.iter().take_while(there).count() as u64;
        (self.stored + count).min(self.fixed.max(self.stored))
    }

    pub(super) fn waiting_lines(&self) -> usize {
        self.waiting_lines
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// A line has this text now. One that is stored already is left as it is.
    pub(super) fn set(&mut self, number: u64, text: String) {
        let Some(place) = number
            .checked_sub(self.stored)
            .and_then(|place| usize::try_from(place).ok())
        else {
            return;
        };
        while self.lines.len() <= place {
            // Numbers are given in order, but a later line may be told of first.
            self.lines.push_back(Line {
                waits: true,
                ..Line::default()
            });
            self.waiting_lines += 1;
        }
        let line = &mut self.lines[place];
        if line.waits {
            self.waiting_bytes -= line.text.len();
        } else if line.text == text {
            return;
        } else {
            self.waiting_lines += 1;
        }
        self.waiting_bytes += text.len();
        *line = Line {
            text,
            waits: true,
            ..Line::default()
        };
    }

    /// Lines before `fixed` do not change any more.
    pub(super) fn fix(&mut self, fixed: u64) {
        self.fixed = self.fixed.max(fixed);
        self.move_on();
    }

    /// The range of lines that goes into a request of `room` bytes and at most `limit` lines: from the first that waits to
    /// the last that does. `alone`: a longer line than `room` may go.
    pub(super) fn take(&mut self, limit: usize, room: usize, alone: bool) -> Option<Taken<'_>> {
        let first = self.lines.iter().position(|line| line.waits)?;
        let mut left = room;
        let mut count = 0;
        for (index, line) in self.lines.iter().skip(first).take(limit).enumerate() {
            let is_first = index == 0 && alone;
            if line.text.len() > left && !is_first {
                break;
            }
            left = left.saturating_sub(line.text.len());
            if line.waits {
                count = index + 1;
            }
        }
        if count == 0 {
            return None;
        }
        for line in self.lines.range_mut(first..first + count) {
            line.in_flight = true;
        }
        Some(Taken {
            offset: self.stored + first as u64,
            texts: self
                .lines
                .range(first..first + count)
                .map(|line| line.text.as_str())
                .collect(),
        })
    }

    /// Whether everything is in the request under way.
    pub(super) fn is_all_in_flight(&self) -> bool {
        self.lines.iter().all(|line| !line.waits || line.in_flight)
    }

    /// The request under way was taken.
    pub(super) fn succeeded(&mut self) {
        for line in &mut self.lines {
            // One that was set meanwhile is not in flight any more.
            if std::mem::take(&mut line.in_flight) {
                line.replaced = 0;
                if std::mem::take(&mut line.waits) {
                    self.waiting_lines -= 1;
                    self.waiting_bytes -= line.text.len();
                }
            }
        }
        self.move_on();
    }

    /// Nothing is under way any more.
    pub(super) fn take_back(&mut self) {
        for line in &mut self.lines {
            line.in_flight = false;
        }
    }

    /// Replaces the line under way, which the server refuses, by what `placeholder` makes of it. Returns its number and its
    /// text; `None` if the placeholder was refused too.
    pub(super) fn replace(
        &mut self,
        placeholder: impl FnOnce(&str) -> String,
    ) -> Option<(u64, String)> {
        let place = self.lines.iter().position(|line| line.in_flight)?;
        let number = self.stored + place as u64;
        let line = &mut self.lines[place];
        if line.replaced > 0 {
            return None;
        }
        line.replaced += 1;
        let text = placeholder(&line.text);
        if line.waits {
            self.waiting_bytes = self.waiting_bytes - line.text.len() + text.len();
        }
        let refused = std::mem::replace(&mut line.text, text);
        Some((number, refused))
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.lines.iter().any(|line| line.in_flight)
    }

    fn move_on(&mut self) {
        while self.stored < self.fixed
            && self
                .lines
                .front()
                .is_some_and(|line| !line.waits && !line.in_flight)
        {
            self.lines.pop_front();
            self.stored += 1;
        }
    }
}

/// Lines of one request.
#[derive(Debug)]
pub(super) struct Taken<'a> {
    pub(super) offset: u64,
    pub(super) texts: Vec<&'a str>,
}
