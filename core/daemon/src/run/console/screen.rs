//! The terminal that one stream writes to: a window of lines over everything that was printed before.
//!
//! Pure: text in, changed lines out. A line has a number from the moment something is written to it; lines that leave the
//! window at the top never change again.

use std::collections::VecDeque;

use super::escape::{Action, Parser};
use super::row::{COLUMNS, Row};
use super::style::Style;

/// Lines that can still change.
pub(super) const WINDOW_LINES: usize = 32;

/// What a screen needs of the run's log.
pub(super) trait Log {
    /// A number for a line that begins now.
    fn begin_line(&mut self) -> u64;
    /// Whether a line is too far back to change.
    fn is_fixed(&self, number: u64) -> bool;
    /// The line has this text now.
    fn set_line(&mut self, number: u64, at: (i64, i32), text: String);
}

#[derive(Debug, Default)]
struct Line {
    /// None as long as nothing was written to it.
    number: Option<u64>,
    /// When its text began: Unix seconds and nanoseconds.
    at: (i64, i32),
    row: Row,
    has_changed: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Screen {
    parser: Parser,
    lines: VecDeque<Line>,
    /// The cursor, within the window.
    line: usize,
    column: usize,
    style: Style,
    saved: (usize, usize, Style),
    /// A full-screen program is drawing; nothing of that stays when it ends, on a terminal either.
    is_alternate: bool,
    now: (i64, i32),
}

impl Screen {
    /// Takes in what was written at `at`.
    pub(super) fn write(&mut self, text: &str, at: (i64, i32), log: &mut impl Log) {
        self.now = at;
        let mut rest = text;
        while !rest.is_empty() {
            let plain = if self.parser.is_ground() {
                let is_plain = |byte: &u8| (0x20..0x7f).contains(byte);
                rest.bytes().take_while(|byte| is_plain(byte)).count()
            } else {
                0
            };
            if plain > 0 {
                let (shown, behind) = rest.split_at(plain);
                self.show_ascii(shown, log);
                rest = behind;
                continue;
            }
            let mut characters = rest.chars();
            if let Some(character) = characters.next() {
                self.take(character, log);
            }
            rest = characters.as_str();
        }
        self.tell(log);
    }

    /// The lowest number of a line that can still change.
    pub(super) fn lowest(&self, log: &impl Log) -> Option<u64> {
        let numbers = self.lines.iter().filter_map(|line| line.number);
        numbers.filter(|number| !log.is_fixed(*number)).min()
    }

    /// Tells of every line of the window anew.
    pub(super) fn tell_all(&mut self, log: &mut impl Log) {
        for line in &mut self.lines {
            line.has_changed = line.number.is_some_and(|number| !log.is_fixed(number));
        }
        self.tell(log);
    }

    fn tell(&mut self, log: &mut impl Log) {
        for line in &mut self.lines {
            if std::mem::take(&mut line.has_changed)
                && let Some(number) = line.number
            {
                log.set_line(number, line.at, line.row.text());
            }
        }
    }

    fn take(&mut self, character: char, log: &mut impl Log) {
        match self.parser.next(character) {
            Action::Nothing => {}
            Action::Show(character) => {
                if !self.is_alternate {
                    let (column, style) = (self.column, self.style);
                    let line = self.touch(self.line, log);
                    self.column = line.row.put(column, character, style);
                }
            }
            Action::Control(character) => self.control(character, log),
            Action::Escape(last) => self.escape(last, log),
            Action::Csi { private, last } => self.csi(private, last, log),
        }
    }

    fn show_ascii(&mut self, text: &str, log: &mut impl Log) {
        if !self.is_alternate {
            let (column, style) = (self.column, self.style);
            let line = self.touch(self.line, log);
            self.column = line.row.put_ascii(column, text, style);
        }
    }

    /// The line at a place of the window, to be changed: it gets a number, and so do those above it.
    fn touch(&mut self, place: usize, log: &mut impl Log) -> &mut Line {
        self.reach(place);
        let number = self.lines[place].number;
        if number.is_some_and(|number| log.is_fixed(number)) {
            // Others have printed so much since that this is no place to change: its text goes on in a new line.
            self.lines[place].number = None;
        }
        if self.lines[place].number.is_none() {
            for line in self.lines.range_mut(..=place) {
                if line.number.is_none() {
                    line.number = Some(log.begin_line());
                    line.at = self.now;
                    line.has_changed = true;
                }
            }
        }
        let line = &mut self.lines[place];
        line.has_changed = true;
        line
    }

    fn reach(&mut self, place: usize) {
        while self.lines.len() <= place {
            self.lines.push_back(Line::default());
        }
    }

    fn control(&mut self, character: char, log: &mut impl Log) {
        match character {
            '\n' => {
                if !self.is_alternate {
                    self.begin_unless_begun(log);
                    self.line_feed(log);
                }
                // Terminals are set to return with a line feed.
                self.column = 0;
            }
            '\u{b}' | '\u{c}' => self.line_feed(log),
            '\r' => self.column = 0,
            '\u{8}' => self.column = self.column.min(COLUMNS).saturating_sub(1),
            '\t' if !self.is_alternate => {
                let (column, style) = (self.column, self.style);
                self.column = self.touch(self.line, log).row.tab(column, style);
            }
            _ => {}
        }
    }

    /// A line that is ended without a character is one too.
    fn begin_unless_begun(&mut self, log: &mut impl Log) {
        let begun = self.lines.get(self.line);
        if begun.is_none_or(|line| line.number.is_none()) {
            self.touch(self.line, log);
        }
    }

    fn line_feed(&mut self, log: &mut impl Log) {
        if self.is_alternate {
            return;
        }
        self.line += 1;
        if self.line >= WINDOW_LINES {
            self.scroll(1, log);
            self.line = WINDOW_LINES - 1;
        }
    }

    /// Lines leave the window at the top.
    fn scroll(&mut self, count: usize, log: &mut impl Log) {
        for _ in 0..count.min(WINDOW_LINES) {
            // Those above the last line that was written to are part of the log, empty or not.
            if let Some(mut line) = self.lines.pop_front()
                && std::mem::take(&mut line.has_changed)
                && let Some(number) = line.number
            {
                log.set_line(number, line.at, line.row.text());
            }
        }
    }

    fn escape(&mut self, last: char, log: &mut impl Log) {
        match last {
            '7' => self.save(),
            '8' => self.restore(),
            'D' => self.line_feed(log),
            'E' => {
                self.line_feed(log);
                self.column = 0;
            }
            'M' if self.line > 0 => self.line -= 1,
            'M' => self.shift_down(0, 1, log),
            'c' => {
                self.erase_lines(0, WINDOW_LINES, log);
                (self.line, self.column, self.style) = (0, 0, Style::PLAIN);
                self.is_alternate = false;
            }
            _ => {}
        }
    }

    fn save(&mut self) {
        self.saved = (self.line, self.column, self.style);
    }

    fn restore(&mut self) {
        (self.line, self.column, self.style) = self.saved;
    }

    fn csi(&mut self, private: char, last: char, log: &mut impl Log) {
        let parameter = |parser: &Parser, place: usize| {
            usize::from(parser.parameters().get(place).copied().unwrap_or(0))
        };
        let first = parameter(&self.parser, 0);
        let count = first.max(1);
        match (private, last) {
            ('\0', 'm') => self.style.apply(self.parser.parameters()),
            ('?', 'h' | 'l')
                if self
                    .parser
                    .parameters()
                    .iter()
                    .copied()
                    .any(is_alternate_screen) =>
            {
                if last == 'h' && !self.is_alternate {
                    self.save();
                } else if last == 'l' && self.is_alternate {
                    self.restore();
                }
                self.is_alternate = last == 'h';
            }
            _ if self.is_alternate => {}
            ('\0', 'A') => self.line = self.line.saturating_sub(count),
            ('\0', 'B' | 'e') => self.line = (self.line + count).min(WINDOW_LINES - 1),
            ('\0', 'C' | 'a') => self.column = (self.column + count).min(COLUMNS),
            ('\0', 'D') => self.column = self.column.saturating_sub(count),
            ('\0', 'E') => {
                (self.line, self.column) = ((self.line + count).min(WINDOW_LINES - 1), 0);
            }
            ('\0', 'F') => (self.line, self.column) = (self.line.saturating_sub(count), 0),
            ('\0', 'G' | '`') => self.column = (count - 1).min(COLUMNS),
            ('\0', 'd') => self.line = (count - 1).min(WINDOW_LINES - 1),
            ('\0', 'H' | 'f') => {
                self.line = (count - 1).min(WINDOW_LINES - 1);
                self.column = (parameter(&self.parser, 1).max(1) - 1).min(COLUMNS);
            }
            ('\0', 's') => self.save(),
            ('\0', 'u') => self.restore(),
            ('\0', 'J') => self.erase_display(first, log),
            ('\0', 'K') => {
                let (from, to) = span(first, self.column);
                self.change(self.line, log, |row| row.erase(from, to));
            }
            ('\0', 'X') => {
                let (from, to) = (self.column, self.column + count);
                self.change(self.line, log, |row| row.erase(from, to));
            }
            ('\0', '@') => {
                let column = self.column;
                self.change(self.line, log, |row| row.insert(column, count));
            }
            ('\0', 'P') => {
                let column = self.column;
                self.change(self.line, log, |row| row.delete(column, count));
            }
            ('\0', 'L') => self.shift_down(self.line, count, log),
            ('\0', 'M') => self.shift_up(self.line, count, log),
            ('\0', 'S') => self.shift_up(0, count, log),
            ('\0', 'T') => self.shift_down(0, count, log),
            _ => {}
        }
    }

    /// Changes a line if there is anything in it.
    fn change(&mut self, place: usize, log: &mut impl Log, change: impl FnOnce(&mut Row)) {
        if self
            .lines
            .get(place)
            .is_some_and(|line| !line.row.is_empty())
        {
            change(&mut self.touch(place, log).row);
        }
    }

    fn erase_display(&mut self, which: usize, log: &mut impl Log) {
        let (from, to) = span(which, self.column);
        match which {
            0 => {
                self.change(self.line, log, |row| row.erase(from, to));
                self.erase_lines(self.line + 1, WINDOW_LINES, log);
            }
            1 => {
                self.erase_lines(0, self.line, log);
                self.change(self.line, log, |row| row.erase(from, to));
            }
            2 => self.erase_lines(0, WINDOW_LINES, log),
            // 3 clears what has left the window: a log keeps that.
            _ => {}
        }
    }

    fn erase_lines(&mut self, from: usize, to: usize, log: &mut impl Log) {
        for place in from..to.min(self.lines.len()) {
            let line = &mut self.lines[place];
            if line.number.is_some_and(|number| log.is_fixed(number)) {
                // It stays what it is; what is written here next is a new line.
                *line = Line::default();
            } else if !line.row.is_empty() {
                line.row = Row::default();
                line.has_changed = true;
            }
        }
    }

    /// The texts below `from` move down; the last ones are gone.
    fn shift_down(&mut self, from: usize, count: usize, log: &mut impl Log) {
        let Some(end) = self.written().filter(|end| *end > from) else {
            return;
        };
        let end = (end + count).min(WINDOW_LINES);
        self.reach(end - 1);
        for place in (from..end).rev() {
            let row = match place.checked_sub(count) {
                Some(above) if above >= from => std::mem::take(&mut self.lines[above].row),
                _ => Row::default(),
            };
            self.touch(place, log).row = row;
        }
    }

    /// The texts below `from` move up; the first ones are gone.
    fn shift_up(&mut self, from: usize, count: usize, log: &mut impl Log) {
        let Some(end) = self.written() else { return };
        for place in from..end {
            let row = match self.lines.get_mut(place + count) {
                Some(below) => std::mem::take(&mut below.row),
                None => Row::default(),
            };
            self.touch(place, log).row = row;
        }
    }

    /// Behind the last line of the window that has a number.
    fn written(&self) -> Option<usize> {
        let last = self.lines.iter().rposition(|line| line.number.is_some());
        last.map(|last| last + 1)
    }
}

/// The columns that an erasure of a line means.
fn span(which: usize, column: usize) -> (usize, usize) {
    match which {
        0 => (column, usize::MAX),
        1 => (0, column + 1),
        _ => (0, usize::MAX),
    }
}

fn is_alternate_screen(mode: u16) -> bool {
    matches!(mode, 47 | 1047 | 1049)
}
