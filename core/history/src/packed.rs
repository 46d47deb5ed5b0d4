//! Rows as packed columns, for `scan_history`: the exact values, without a text per number.
//!
//! ```text
//! stream := "RLH1", frame*                                  all numbers little-endian
//! frame  := u32 bytes of what follows, u8 type, body
//! type 1 := u32 rows, u32 columns, column*                  rows in order
//! type 2 := u64 rows of all frames                          the last frame: a stream without it was cut short
//! column := u8 kind, u8 presence, u16 components of the key path, {u32 bytes, UTF-8}*, u32 exceptions,
//!           presence 1: ceil(rows / 8) bytes, bit `row % 8` of byte `row / 8` set where the row has a value of the kind
//!                    0: every row has one
//!           cells, {u32 row, u32 bytes, extended JSON}*
//! cells  := kind 1 integer: rows × i64
//!         | kind 2 number that is a float, kind 3 number that is an integer where it is whole: rows × f64
//!         | kind 4 boolean: ceil(rows / 8) bytes
//!         | kind 5 string, kind 6 extended JSON: (rows + 1) × u32 ends, the first 0, then the UTF-8 text
//! ```
//!
//! An exception is the exact value of a row that the kind cannot hold; it counts before the cell. A row that has neither a cell
//! nor an exception lacks the key. The decoder is `core/client/src/rows`.

use arrow_array::{Array, BooleanArray, StringArray};
use runlane_model::json::write_value;

use crate::chunk::Chunk;
use crate::column::{Cells, Column, Whole};

/// Media type of a stream.
pub const ROWS_CONTENT_TYPE: &str = "application/vnd.runlane.history";
/// What a stream begins with.
pub const ROWS_MAGIC: &[u8; 4] = b"RLH1";

const ROWS: u8 = 1;
const END: u8 = 2;

/// The frame of some rows of a chunk, in the order of `rows`; columns that none of them has are left out.
///
/// # Panics
/// With 4 GiB or more in one frame: callers cut rows by their bytes.
pub fn pack_rows(chunk: &Chunk, rows: &[u32]) -> Vec<u8> {
    let packed: Vec<Vec<u8>> = chunk
        .columns
        .iter()
        .filter_map(|column| pack_column(column, rows))
        .collect();
    let mut body = Vec::with_capacity(16 + packed.iter().map(Vec::len).sum::<usize>());
    body.extend_from_slice(&length(rows.len()));
    body.extend_from_slice(&length(packed.len()));
    for column in packed {
        body.extend_from_slice(&column);
    }
    frame(ROWS, &body)
}

/// The frame that ends a stream.
pub fn pack_end(rows: u64) -> Vec<u8> {
    frame(END, &rows.to_le_bytes())
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 5);
    out.extend_from_slice(&length(body.len() + 1));
    out.push(kind);
    out.extend_from_slice(body);
    out
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length)
        .expect("frames are far below 4 GiB")
        .to_le_bytes()
}

fn pack_column(column: &Column, rows: &[u32]) -> Option<Vec<u8>> {
    let array = column.cells.array();
    let valid: Vec<bool> = if array.null_count() == 0 {
        Vec::new()
    } else {
        rows.iter()
            .map(|row| array.is_valid(*row as usize))
            .collect()
    };
    let exceptions: Vec<(usize, String)> = if column.exceptions.is_empty() {
        Vec::new()
    } else {
        let found = rows.iter().enumerate().filter_map(|(place, row)| {
            let value = column.exception(*row as usize)?;
            let mut text = String::new();
            write_value(&mut text, value);
            Some((place, text))
        });
        found.collect()
    };
    if !valid.is_empty() && exceptions.is_empty() && !valid.contains(&true) {
        return None;
    }
    let is_partial = valid.contains(&false);
    let mut out = Vec::with_capacity(rows.len() * 8 + 64);
    out.push(match &column.cells {
        Cells::Ints(_) => 1,
        Cells::Floats(_, Whole::Float) => 2,
        Cells::Floats(_, Whole::Int) => 3,
        Cells::Bools(_) => 4,
        Cells::Texts(_) => 5,
        Cells::Json(_) => 6,
    });
    out.push(u8::from(is_partial));
    let components = column.path.components();
    let count = u16::try_from(components.len()).expect("paths are at most 128 levels deep");
    out.extend_from_slice(&count.to_le_bytes());
    for component in components {
        out.extend_from_slice(&length(component.len()));
        out.extend_from_slice(component.as_bytes());
    }
    out.extend_from_slice(&length(exceptions.len()));
    if is_partial {
        pack_bits(&mut out, valid.iter().copied());
    }
    match &column.cells {
        Cells::Ints(cells) => {
            let values = cells.values();
            out.extend(
                rows.iter()
                    .flat_map(|row| values[*row as usize].to_le_bytes()),
            );
        }
        Cells::Floats(cells, _) => {
            let values = cells.values();
            out.extend(
                rows.iter()
                    .flat_map(|row| values[*row as usize].to_le_bytes()),
            );
        }
        Cells::Bools(cells) => pack_bits(&mut out, rows.iter().map(|row| is_true(cells, *row))),
        Cells::Texts(cells) | Cells::Json(cells) => pack_texts(&mut out, cells, rows),
    }
    for (place, text) in exceptions {
        out.extend_from_slice(&length(place));
        out.extend_from_slice(&length(text.len()));
        out.extend_from_slice(text.as_bytes());
    }
    Some(out)
}

fn is_true(cells: &BooleanArray, row: u32) -> bool {
    cells.is_valid(row as usize) && cells.value(row as usize)
}

fn pack_bits(out: &mut Vec<u8>, bits: impl Iterator<Item = bool>) {
    let (mut byte, mut count) = (0u8, 0);
    for bit in bits {
        byte |= u8::from(bit) << count;
        count += 1;
        if count == 8 {
            out.push(byte);
            (byte, count) = (0, 0);
        }
    }
    if count > 0 {
        out.push(byte);
    }
}

fn pack_texts(out: &mut Vec<u8>, cells: &StringArray, rows: &[u32]) {
    let texts = || {
        rows.iter().map(|row| {
            let row = *row as usize;
            if cells.is_valid(row) {
                cells.value(row)
            } else {
                ""
            }
        })
    };
    let mut end = 0;
    out.extend_from_slice(&length(end));
    for text in texts() {
        end += text.len();
        out.extend_from_slice(&length(end));
    }
    for text in texts() {
        out.extend_from_slice(text.as_bytes());
    }
}

impl Chunk {
    /// Bytes of the row in packed columns, roughly.
    pub fn packed_bytes(&self, row: u32) -> usize {
        let row = row as usize;
        let text = |cells: &StringArray| {
            4 + if cells.is_valid(row) {
                cells.value(row).len()
            } else {
                0
            }
        };
        self.columns
            .iter()
            .map(|column| match &column.cells {
                Cells::Texts(cells) | Cells::Json(cells) => text(cells),
                Cells::Bools(_) => 1,
                Cells::Ints(_) | Cells::Floats(..) => 8,
            })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes are a contract with `core/client`, whose test reads the same frame.
    #[test]
    fn a_frame_has_the_bytes_that_the_decoder_knows() {
        let lines = [
            r#"{"i": 1, "n": {"f": 0.5}, "t": "a"}"#,
            r#"{"i": null, "b": true, "t": "é"}"#,
        ];
        let chunk = Chunk::from_lines(0, &lines).expect("rows");
        let mut stream = ROWS_MAGIC.to_vec();
        stream.extend(pack_rows(&chunk, &[1, 0]));
        stream.extend(pack_end(2));
        assert_eq!(stream, include_bytes!("../../../tests/golden/rows/1.bin"));
    }

    #[test]
    fn columns_without_a_row_are_left_out() {
        let chunk = Chunk::from_lines(0, &[r#"{"a": 1}"#, r#"{"b": 2}"#]).expect("rows");
        let packed = pack_rows(&chunk, &[0]);
        assert_eq!(&packed[5..13], [1, 0, 0, 0, 1, 0, 0, 0]);
    }
}
