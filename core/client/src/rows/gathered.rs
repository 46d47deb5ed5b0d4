//! Columns of a data frame from frames of rows: each key one column of one type, in Arrow's buffers.
//!
//! The type of a column is the narrowest that holds all its values: integers, floats (integers among floats become the nearest
//! float), booleans, texts; of different kinds, or nested, they are texts of extended JSON. A null and a missing key are both
//! missing.

use std::collections::{BTreeMap, HashMap};

use runlane_model::json::{Value, write_f64, write_i64, write_string, write_value};

use super::{Cells, Rows, as_whole};

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No value yet.
    Empty,
    Int,
    Float,
    Bool,
    Text,
    Json,
}

impl Kind {
    /// The narrowest type for values of both.
    fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::Empty, kind) | (kind, Self::Empty) => kind,
            (one, same) if one == same => one,
            (Self::Int | Self::Float, Self::Int | Self::Float) => Self::Float,
            _ => Self::Json,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// One value, borrowed where it is long.
enum Cell<'a> {
    Int(i64),
    Float(f64),
    Bool(bool),
    Text(&'a str),
    Json(&'a str),
    Made(&'a Value),
}

impl Cell<'_> {
    fn kind(&self) -> Kind {
        match self {
            Self::Int(_) => Kind::Int,
            Self::Float(_) => Kind::Float,
            Self::Bool(_) => Kind::Bool,
            Self::Text(_) => Kind::Text,
            Self::Json(_) | Self::Made(_) => Kind::Json,
        }
    }

    fn write_json(&self, out: &mut String) {
        match self {
            Self::Int(value) => write_i64(out, *value),
            Self::Float(value) => write_f64(out, *value),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Text(text) => write_string(out, text),
            Self::Json(text) => out.push_str(text),
            Self::Made(value) => write_value(out, value),
        }
    }
}

/// The values of one key in all rows so far.
pub(crate) struct Column {
    pub(crate) kind: Kind,
    /// One bit for each row, set where there is a value.
    pub(crate) valid: Vec<u8>,
    pub(crate) missing: usize,
    rows: usize,
    /// Integers or floats, or the ends of texts.
    numbers: Vec<[u8; 8]>,
    /// Bits of booleans.
    bits: Vec<u8>,
    text: String,
}

impl Column {
    fn of_missing(rows: usize) -> Self {
        let mut column = Self {
            kind: Kind::Empty,
            valid: Vec::new(),
            missing: 0,
            rows: 0,
            numbers: Vec::new(),
            bits: Vec::new(),
            text: String::new(),
        };
        column.skip(rows);
        column
    }

    /// The buffer of values: 8 bytes for each number, a bit for each boolean, the text of texts.
    pub(crate) fn values(&self) -> &[u8] {
        match self.kind {
            Kind::Int | Kind::Float => self.numbers.as_flattened(),
            Kind::Bool => &self.bits,
            Kind::Empty => &[],
            Kind::Text | Kind::Json => self.text.as_bytes(),
        }
    }

    /// Where each text ends, 8 bytes each.
    pub(crate) fn ends(&self) -> &[u8] {
        self.numbers.as_flattened()
    }

    /// The text of a row; `None` where there is none.
    pub(crate) fn text(&self, row: usize) -> Option<&str> {
        let end = |at: usize| {
            let bytes = *self.numbers.get(at)?;
            usize::try_from(i64::from_le_bytes(bytes)).ok()
        };
        let from = if row == 0 { 0 } else { end(row - 1)? };
        (self.valid.get(row / 8)? >> (row % 8) & 1 == 1)
            .then(|| self.text.get(from..end(row)?))
            .flatten()
    }

    fn mark(&mut self, is_valid: bool) {
        set_bit(&mut self.valid, self.rows, is_valid);
        self.missing += usize::from(!is_valid);
        self.rows += 1;
    }

    /// Appends rows without a value.
    fn skip(&mut self, rows: usize) {
        for _ in 0..rows {
            match self.kind {
                Kind::Int | Kind::Float => self.numbers.push([0; 8]),
                Kind::Bool => set_bit(&mut self.bits, self.rows, false),
                Kind::Text | Kind::Json => self.push_end(),
                Kind::Empty => {}
            }
            self.mark(false);
        }
    }

    fn push_end(&mut self) {
        let end = i64::try_from(self.text.len()).unwrap_or(i64::MAX);
        self.numbers.push(end.to_le_bytes());
    }

    fn push(&mut self, cell: &Cell<'_>) {
        self.widen(self.kind.join(cell.kind()));
        match (self.kind, cell) {
            (Kind::Int, Cell::Int(value)) => self.numbers.push(value.to_le_bytes()),
            (Kind::Float, Cell::Int(value)) => self.numbers.push(nearest(*value).to_le_bytes()),
            (Kind::Float, Cell::Float(value)) => self.numbers.push(value.to_le_bytes()),
            (Kind::Bool, Cell::Bool(value)) => set_bit(&mut self.bits, self.rows, *value),
            (Kind::Text, Cell::Text(text)) => {
                self.text.push_str(text);
                self.push_end();
            }
            _ => {
                cell.write_json(&mut self.text);
                self.push_end();
            }
        }
        self.mark(true);
    }

    /// Changes the type of the values so far.
    fn widen(&mut self, kind: Kind) {
        if kind == self.kind {
            return;
        }
        let old = std::mem::replace(&mut self.kind, kind);
        if (old, kind) == (Kind::Int, Kind::Float) {
            for number in &mut self.numbers {
                *number = nearest(i64::from_le_bytes(*number)).to_le_bytes();
            }
            return;
        }
        let numbers = std::mem::take(&mut self.numbers);
        let bits = std::mem::take(&mut self.bits);
        let text = std::mem::take(&mut self.text);
        let mut start = 0;
        for row in 0..self.rows {
            let is_valid = self.valid[row / 8] >> (row % 8) & 1 == 1;
            match kind {
                Kind::Int | Kind::Float => self.numbers.push([0; 8]),
                Kind::Bool => set_bit(&mut self.bits, row, false),
                Kind::Empty => {}
                Kind::Text | Kind::Json => {
                    let cell = match old {
                        Kind::Int => Cell::Int(i64::from_le_bytes(numbers[row])),
                        Kind::Float => Cell::Float(f64::from_le_bytes(numbers[row])),
                        Kind::Bool => Cell::Bool(bits[row / 8] >> (row % 8) & 1 == 1),
                        Kind::Empty | Kind::Text | Kind::Json => {
                            let end = numbers.get(row).map_or(0, |end| i64::from_le_bytes(*end));
                            let end = usize::try_from(end).unwrap_or(0);
                            let cell = Cell::Text(&text[start..end]);
                            start = end;
                            cell
                        }
                    };
                    if is_valid {
                        cell.write_json(&mut self.text);
                    }
                    self.push_end();
                }
            }
        }
    }
}

fn set_bit(bits: &mut Vec<u8>, at: usize, value: bool) {
    if at.is_multiple_of(8) {
        bits.push(0);
    }
    if let Some(last) = bits.last_mut() {
        *last |= u8::from(value) << (at % 8);
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a column with floats holds the nearest one"
)]
fn nearest(value: i64) -> f64 {
    value as f64
}

/// All rows so far, in the order of the keys' first appearance.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) rows: usize,
    /// By the key's path, joined by dots.
    pub(crate) columns: Vec<(String, Column)>,
    by_name: HashMap<String, usize>,
}

impl Gathered {
    /// Appends the rows of a frame.
    pub(crate) fn add(&mut self, rows: &Rows<'_>) {
        let until = self.rows + rows.count;
        // Names that differ only in what their dots mean are one column: of a row the first spelling counts.
        let mut by_place: BTreeMap<usize, Vec<&super::Column<'_>>> = BTreeMap::new();
        for column in &rows.columns {
            let place = self.place(column.path.join("."));
            by_place.entry(place).or_default().push(column);
        }
        for (place, spellings) in by_place {
            let values = &mut self.columns[place].1;
            for row in 0..rows.count {
                match spellings.iter().find_map(|column| cell_of(column, row)) {
                    Some(cell) => values.push(&cell),
                    None => values.skip(1),
                }
            }
        }
        self.rows = until;
        for (_, column) in &mut self.columns {
            column.skip(until - column.rows);
        }
    }

    fn place(&mut self, name: String) -> usize {
        if let Some(place) = self.by_name.get(&name) {
            return *place;
        }
        self.by_name.insert(name.clone(), self.columns.len());
        self.columns.push((name, Column::of_missing(self.rows)));
        self.columns.len() - 1
    }
}

fn cell_of<'a>(column: &'a super::Column<'a>, row: usize) -> Option<Cell<'a>> {
    if let Some(value) = column.exception(row) {
        return match value {
            Value::Null => None,
            Value::Bool(value) => Some(Cell::Bool(*value)),
            Value::Int(value) => Some(Cell::Int(*value)),
            Value::Float(value) => Some(Cell::Float(*value)),
            Value::Text(text) => Some(Cell::Text(text)),
            nested => Some(Cell::Made(nested)),
        };
    }
    column.is_valid(row).then(|| match &column.cells {
        Cells::Ints(cells) => Cell::Int(i64::from_le_bytes(cells[row])),
        Cells::Floats(cells) => Cell::Float(f64::from_le_bytes(cells[row])),
        Cells::Numbers(cells) => {
            let value = f64::from_le_bytes(cells[row]);
            as_whole(value).map_or(Cell::Float(value), Cell::Int)
        }
        Cells::Bools(bits) => Cell::Bool(super::Column::is_true(bits, row)),
        Cells::Texts(texts) => Cell::Text(texts.get(row)),
        Cells::Json(texts) => Cell::Json(texts.get(row)),
    })
}

#[cfg(test)]
mod tests {
    use super::super::Frame;
    use super::super::tests::golden_frames;
    use super::*;

    fn column(cells: &[Option<Cell<'_>>]) -> Column {
        let mut column = Column::of_missing(1);
        for cell in cells {
            match cell {
                Some(cell) => column.push(cell),
                None => column.skip(1),
            }
        }
        column
    }

    #[test]
    fn columns_are_as_narrow_as_their_values() {
        let ints = column(&[Some(Cell::Int(3)), None]);
        assert_eq!(
            (ints.kind, ints.missing, &ints.valid[..]),
            (Kind::Int, 2, &[0b010][..])
        );
        let floats = column(&[Some(Cell::Int(3)), Some(Cell::Float(0.5))]);
        let expected: Vec<u8> = [0.0, 3.0, 0.5]
            .iter()
            .flat_map(|x: &f64| x.to_le_bytes())
            .collect();
        assert_eq!((floats.kind, floats.values()), (Kind::Float, &expected[..]));
        let mixed = column(&[
            Some(Cell::Int(3)),
            Some(Cell::Text("a\"")),
            None,
            Some(Cell::Bool(true)),
        ]);
        let texts: Vec<_> = (0..5).map(|row| mixed.text(row)).collect();
        assert_eq!(mixed.kind, Kind::Json);
        assert_eq!(
            texts,
            [None, Some("3"), Some(r#""a\"""#), None, Some("true")]
        );
        let widened = column(&[Some(Cell::Text("x")), Some(Cell::Int(1))]);
        assert_eq!(
            [widened.text(1), widened.text(2)],
            [Some("\"x\""), Some("1")]
        );
        let bools = column(&[Some(Cell::Bool(true)), Some(Cell::Bool(false))]);
        assert_eq!((bools.kind, bools.values()), (Kind::Bool, &[0b010][..]));
    }

    #[test]
    fn keys_that_come_and_go_are_missing_elsewhere() {
        let frame = Frame::read(golden_frames()[0]);
        let Ok(Frame::Rows(rows)) = frame else {
            panic!("rows are expected");
        };
        let mut gathered = Gathered::default();
        gathered.add(&Rows {
            count: 1,
            columns: Vec::new(),
        });
        gathered.add(&rows);
        assert_eq!(gathered.rows, 3);
        let seen: Vec<(&str, Kind, usize)> = gathered
            .columns
            .iter()
            .map(|(name, column)| (name.as_str(), column.kind, column.missing))
            .collect();
        let expected = [
            ("i", Kind::Int, 2),
            ("n.f", Kind::Float, 2),
            ("t", Kind::Text, 1),
            ("b", Kind::Bool, 2),
        ];
        assert_eq!(seen, expected);
    }
}
