//! One line of the window: cells, and what they read as.

use unicode_width::UnicodeWidthChar;

use super::style::Style;

/// Columns of a line; what is written beyond is left out (as W&B's window does).
pub(super) const COLUMNS: usize = 4_096;
/// Marks (accents, joiners) that are kept with one line.
const MARKS: usize = 1_024;
/// The rest of a wide character or of a tab.
const REST: char = '\0';
const TAB_COLUMNS: usize = 8;

#[derive(Debug, Clone, Copy)]
struct Cell {
    character: char,
    style: Style,
}

const BLANK: Cell = Cell {
    character: ' ',
    style: Style::PLAIN,
};

/// The text of a line.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    cells: Vec<Cell>,
    /// Characters without a width of their own, and the columns of those they belong to.
    marks: Vec<(usize, char)>,
}

impl Row {
    pub(super) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Writes a character at a column; returns the column behind it.
    pub(super) fn put(&mut self, column: usize, character: char, style: Style) -> usize {
        let width = if character.is_ascii() {
            1
        } else {
            match character.width() {
                Some(0) | None => {
                    self.mark(column, character);
                    return column;
                }
                Some(width) => width,
            }
        };
        if column + width > COLUMNS {
            return COLUMNS;
        }
        self.clear_for(column, width);
        self.cells[column] = Cell { character, style };
        for rest in &mut self.cells[column + 1..column + width] {
            *rest = Cell {
                character: REST,
                style,
            };
        }
        column + width
    }

    /// Writes plain ASCII text at a column; returns the column behind it.
    pub(super) fn put_ascii(&mut self, column: usize, text: &str, style: Style) -> usize {
        if column < self.cells.len() {
            return text.chars().fold(column, |column, character| {
                self.put(column, character, style)
            });
        }
        let room = COLUMNS.saturating_sub(column).min(text.len());
        self.cells.resize(column.min(COLUMNS), BLANK);
        let cells = text.bytes().take(room).map(|byte| Cell {
            character: char::from(byte),
            style,
        });
        self.cells.extend(cells);
        column + room
    }

    /// Moves to the next tab stop; a tab behind everything that is there is kept as such.
    pub(super) fn tab(&mut self, column: usize, style: Style) -> usize {
        let stop = ((column / TAB_COLUMNS + 1) * TAB_COLUMNS).min(COLUMNS);
        if column >= self.cells.len() && column < COLUMNS {
            self.cells.resize(column, BLANK);
            self.cells.push(Cell {
                character: '\t',
                style,
            });
            let rest = Cell {
                character: REST,
                style,
            };
            self.cells.resize(stop, rest);
        }
        stop
    }

    /// Blanks columns; those to the end of the line are gone.
    pub(super) fn erase(&mut self, from: usize, to: usize) {
        let to = to.min(self.cells.len());
        if from >= to {
            return;
        }
        self.clear_for(from, to - from);
        if to == self.cells.len() {
            self.cells.truncate(from);
        }
    }

    /// Inserts blank columns.
    pub(super) fn insert(&mut self, column: usize, count: usize) {
        if column < self.cells.len() {
            self.break_group(column);
            let count = count.min(COLUMNS - column);
            let blanks = std::iter::repeat_n(BLANK, count);
            drop(self.cells.splice(column..column, blanks));
            self.cells.truncate(COLUMNS);
            self.marks.retain(|(at, _)| *at < column);
        }
    }

    /// Takes columns out.
    pub(super) fn delete(&mut self, column: usize, count: usize) {
        let end = column.saturating_add(count).min(self.cells.len());
        if column < end {
            self.break_group(column);
            if end < self.cells.len() {
                self.break_group(end);
            }
            self.cells.drain(column..end);
            self.marks.retain(|(at, _)| *at < column);
        }
    }

    /// The line as text, with the sequences for its colours; each line stands for itself.
    pub(super) fn text(&self) -> String {
        let mut out = String::with_capacity(self.cells.len() + 8);
        let mut style = Style::PLAIN;
        let mut marks = self.marks.iter().peekable();
        for (column, cell) in self.cells.iter().enumerate() {
            if cell.character != REST {
                cell.style.write_change(&style, &mut out);
                style = cell.style;
                out.push(cell.character);
            }
            while let Some((_, mark)) = marks.next_if(|(at, _)| *at <= column) {
                out.push(*mark);
            }
        }
        Style::PLAIN.write_change(&style, &mut out);
        out
    }

    fn mark(&mut self, column: usize, mark: char) {
        // It belongs to the character before the cursor; at the start of a line there is none.
        let Some(at) = column.checked_sub(1).filter(|at| *at < self.cells.len()) else {
            return;
        };
        if self.marks.len() < MARKS {
            let place = self.marks.partition_point(|(other, _)| *other <= at);
            self.marks.insert(place, (at, mark));
        }
    }

    /// Makes `width` blank columns, so that no half of a wide character is left.
    fn clear_for(&mut self, column: usize, width: usize) {
        let end = column + width;
        if column < self.cells.len() {
            self.break_group(column);
            if end < self.cells.len() {
                self.break_group(end);
            }
            self.marks.retain(|(at, _)| *at < column || *at >= end);
        }
        if self.cells.len() < end {
            self.cells.resize(end, BLANK);
        }
        self.cells[column..end].fill(BLANK);
    }

    /// If a column lies inside a wide character, its parts become blanks.
    fn break_group(&mut self, column: usize) {
        if self.cells[column].character != REST {
            return;
        }
        let is_rest = |cell: &Cell| cell.character == REST;
        let first = self.cells[..column]
            .iter()
            .rposition(|cell| !is_rest(cell))
            .unwrap_or(0);
        let rest = self.cells[column..]
            .iter()
            .take_while(|cell| is_rest(cell))
            .count();
        self.cells[first..column + rest].fill(BLANK);
        self.marks
            .retain(|(at, _)| *at < first || *at >= column + rest);
    }
}
