//! Rows of a run's history as a server packs them: frames of columns (the layout is described in `core/history/src/packed.rs`).

mod gathered;

use runlane_model::json::{JsonError, Value, parse};

pub(crate) use self::gathered::{Gathered, Kind};

const ROWS: u8 = 1;
const END: u8 = 2;

/// Why bytes are no frame.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame of history rows is cut short")]
    CutShort,
    #[error("a frame of history rows has an unknown {what} {value}")]
    Unknown { what: &'static str, value: u8 },
    #[error("a text in a frame of history rows is not UTF-8")]
    Text(#[from] std::str::Utf8Error),
    #[error("a value in a frame of history rows: {0}")]
    Json(#[from] JsonError),
}

/// What a frame holds.
pub(crate) enum Frame<'a> {
    Rows(Rows<'a>),
    /// The last one: how many rows there were.
    End(u64),
}

/// Some rows, column by column.
pub(crate) struct Rows<'a> {
    pub(crate) count: usize,
    pub(crate) columns: Vec<Column<'a>>,
}

/// The values of one key.
pub(crate) struct Column<'a> {
    pub(crate) path: Vec<&'a str>,
    pub(crate) cells: Cells<'a>,
    /// Bits of the rows that have a cell; `None` if all have.
    valid: Option<&'a [u8]>,
    /// By ascending row.
    pub(crate) exceptions: Vec<(usize, Value)>,
}

/// The cells of one key, one for each row.
pub(crate) enum Cells<'a> {
    Ints(&'a [[u8; 8]]),
    Floats(&'a [[u8; 8]]),
    /// A whole number is an integer.
    Numbers(&'a [[u8; 8]]),
    Bools(&'a [u8]),
    Texts(Texts<'a>),
    Json(Texts<'a>),
}

/// Texts behind each other.
pub(crate) struct Texts<'a> {
    ends: &'a [[u8; 4]],
    text: &'a str,
}

impl<'a> Texts<'a> {
    pub(crate) fn get(&self, row: usize) -> &'a str {
        let end = |at: usize| u32::from_le_bytes(self.ends[at]) as usize;
        // Checked when the frame was read.
        self.text.get(end(row)..end(row + 1)).unwrap_or_default()
    }
}

fn bit(bits: &[u8], row: usize) -> bool {
    bits[row / 8] >> (row % 8) & 1 == 1
}

impl Column<'_> {
    /// Whether the row has a cell; it may have an exception all the same.
    pub(crate) fn is_valid(&self, row: usize) -> bool {
        self.valid.is_none_or(|bits| bit(bits, row))
    }

    /// Whether every row has a cell and none an exception.
    pub(crate) fn is_plain(&self) -> bool {
        self.valid.is_none() && self.exceptions.is_empty()
    }

    /// The exact value of a row that its cell does not have.
    pub(crate) fn exception(&self, row: usize) -> Option<&Value> {
        if self.exceptions.is_empty() {
            return None;
        }
        let place = self
            .exceptions
            .binary_search_by_key(&row, |(row, _)| *row)
            .ok()?;
        Some(&self.exceptions[place].1)
    }

    pub(crate) fn is_true(bits: &[u8], row: usize) -> bool {
        bit(bits, row)
    }
}

/// The integer that a whole float stands for.
#[expect(clippy::cast_possible_truncation, reason = "checked by the condition")]
pub(crate) fn as_whole(value: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let negative_zero = value == 0.0 && value.is_sign_negative();
    (value.fract() == 0.0 && value.abs() < LIMIT && !negative_zero).then_some(value as i64)
}

impl<'a> Frame<'a> {
    /// Reads a frame, its length left out.
    ///
    /// # Errors
    ///
    /// Any byte that is not where it should be.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let mut cursor = Cursor(bytes);
        match cursor.byte()? {
            ROWS => {
                let count = cursor.length()?;
                let columns = cursor.length()?;
                // A column takes 8 bytes at least; more cannot be there, whatever the number says.
                let mut found = Vec::with_capacity(columns.min(bytes.len() / 8));
                for _ in 0..columns {
                    found.push(read_column(&mut cursor, count)?);
                }
                // Every row has some key.
                if found.is_empty() && count > 0 {
                    return Err(FrameError::CutShort);
                }
                Ok(Self::Rows(Rows {
                    count,
                    columns: found,
                }))
            }
            END => Ok(Self::End(u64::from_le_bytes(cursor.array()?))),
            value => Err(FrameError::Unknown {
                what: "type",
                value,
            }),
        }
    }
}

fn read_column<'a>(cursor: &mut Cursor<'a>, rows: usize) -> Result<Column<'a>, FrameError> {
    let kind = cursor.byte()?;
    let is_partial = cursor.byte()? != 0;
    let depth = u16::from_le_bytes(cursor.array()?);
    let mut path = Vec::new();
    for _ in 0..depth {
        path.push(cursor.text()?);
    }
    if path.is_empty() {
        return Err(FrameError::CutShort);
    }
    let exceptions = cursor.length()?;
    let bits = rows.div_ceil(8);
    let valid = is_partial.then(|| cursor.take(bits)).transpose()?;
    let cells = match kind {
        1 => Cells::Ints(cursor.arrays(rows)?),
        2 => Cells::Floats(cursor.arrays(rows)?),
        3 => Cells::Numbers(cursor.arrays(rows)?),
        4 => Cells::Bools(cursor.take(bits)?),
        5 => Cells::Texts(read_texts(cursor, rows)?),
        6 => Cells::Json(read_texts(cursor, rows)?),
        value => {
            return Err(FrameError::Unknown {
                what: "kind of column",
                value,
            });
        }
    };
    let mut found = Vec::new();
    for _ in 0..exceptions {
        let row = cursor.length()?;
        found.push((row, parse(cursor.text()?)?));
    }
    if !found.is_sorted_by_key(|(row, _)| *row) || found.last().is_some_and(|(row, _)| *row >= rows)
    {
        return Err(FrameError::CutShort);
    }
    Ok(Column {
        path,
        cells,
        valid,
        exceptions: found,
    })
}

fn read_texts<'a>(cursor: &mut Cursor<'a>, rows: usize) -> Result<Texts<'a>, FrameError> {
    let ends: &[[u8; 4]] = cursor.arrays(rows.checked_add(1).ok_or(FrameError::CutShort)?)?;
    let places = || ends.iter().map(|end| u32::from_le_bytes(*end) as usize);
    let text = std::str::from_utf8(cursor.take(places().next_back().unwrap_or(0))?)?;
    let is_whole = places().next() == Some(0)
        && places().is_sorted()
        && places().all(|end| text.is_char_boundary(end));
    if is_whole {
        Ok(Texts { ends, text })
    } else {
        Err(FrameError::CutShort)
    }
}

/// The rest of a frame.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], FrameError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(FrameError::CutShort)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, FrameError> {
        Ok(self.array::<1>()?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let (taken, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(FrameError::CutShort)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn arrays<const N: usize>(&mut self, count: usize) -> Result<&'a [[u8; N]], FrameError> {
        let bytes = self.take(count.checked_mul(N).ok_or(FrameError::CutShort)?)?;
        Ok(bytes.as_chunks::<N>().0)
    }

    fn length(&mut self) -> Result<usize, FrameError> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn text(&mut self) -> Result<&'a str, FrameError> {
        let length = self.length()?;
        Ok(std::str::from_utf8(self.take(length)?)?)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What `runlane-history` writes, see its test of the same file.
    pub(crate) const GOLDEN: &[u8] = include_bytes!("../../../../tests/golden/rows/1.bin");

    pub(crate) fn golden_frames() -> Vec<&'static [u8]> {
        let mut rest = &GOLDEN[4..];
        let mut frames = Vec::new();
        while let Some((length, tail)) = rest.split_first_chunk::<4>() {
            let (frame, tail) = tail.split_at(u32::from_le_bytes(*length) as usize);
            frames.push(frame);
            rest = tail;
        }
        frames
    }

    #[test]
    fn the_bytes_of_the_server_are_read() {
        let frames = golden_frames();
        let Ok(Frame::Rows(rows)) = Frame::read(frames[0]) else {
            panic!("rows are expected");
        };
        let paths: Vec<String> = rows
            .columns
            .iter()
            .map(|column| column.path.join("/"))
            .collect();
        assert_eq!((rows.count, paths.join(" ").as_str()), (2, "i n/f t b"));
        assert_eq!(rows.columns[0].exception(0), Some(&Value::Null));
        assert!(!rows.columns[1].is_valid(0) && rows.columns[1].is_valid(1));
        let Cells::Texts(texts) = &rows.columns[2].cells else {
            panic!("texts are expected");
        };
        assert_eq!([texts.get(0), texts.get(1)], ["é", "a"]);
        assert!(matches!(Frame::read(frames[1]), Ok(Frame::End(2))));
    }

    #[test]
    fn a_frame_that_is_cut_anywhere_is_refused() {
        let whole = golden_frames()[0];
        for end in 0..whole.len() {
            assert!(Frame::read(&whole[..end]).is_err(), "{end} bytes");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(
            changes in proptest::collection::vec((0usize..129, any::<u8>()), 1..8)
        ) {
            let mut bytes = golden_frames()[0].to_vec();
            for (place, value) in changes {
                let place = place % bytes.len();
                bytes[place] = value;
            }
            if let Ok(Frame::Rows(rows)) = Frame::read(&bytes) {
                let mut gathered = Gathered::default();
                gathered.add(&rows);
                for column in &rows.columns {
                    for row in 0..rows.count.min(4) {
                        column.is_valid(row);
                        if let Cells::Texts(texts) | Cells::Json(texts) = &column.cells {
                            texts.get(row);
                        }
                    }
                }
            }
        }
    }
}
