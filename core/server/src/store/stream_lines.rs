//! Lines of a stream as they are put into chunks: appended, filled in where they are missing, or put in place of others.

use std::collections::BTreeMap;

use super::Connection;
use super::chunks::{self, ChunkRow, NewChunk};
use super::streams::{Batch, Line};
use crate::error::StoreError;
use crate::history::lines;

/// A new batch is joined to the chunk before it while that is smaller than this: a run that logs a row a second must
/// not leave a row in the database for each, and rewriting this much per request costs nothing.
const JOIN_BELOW_BYTES: usize = 32 << 10;
/// Joined chunks are cut at this size, so that rewriting the last console line stays cheap.
const CHUNK_BYTES: usize = 256 << 10;
/// Stores lines that touch nothing stored, joined to a small chunk right before them.
pub(super) async fn append(
    connection: &mut Connection,
    stream_id: i64,
    offset: i64,
    new: &[Line],
) -> Result<(), StoreError> {
    let mut chunk = NewChunk {
        start_line: offset,
        line_count: 0,
        min_step: None,
        max_step: None,
        lines: Vec::new(),
    };
    let bound = i64::try_from(JOIN_BELOW_BYTES).unwrap_or(i64::MAX);
    if size(new) < bound
        && let Some(old) = chunks::small_before(connection, stream_id, offset, bound).await?
    {
        chunks::remove(connection, old.id).await?;
        chunk = NewChunk {
            start_line: old.start_line,
            line_count: old.line_count,
            min_step: old.min_step,
            max_step: old.max_step,
            lines: old.lines,
        };
    }
    for line in new {
        add_line(&mut chunk, line);
        if chunk.lines.len() >= CHUNK_BYTES {
            chunks::insert(connection, stream_id, &chunk).await?;
            chunk = NewChunk {
                start_line: chunk.start_line + chunk.line_count,
                line_count: 0,
                min_step: None,
                max_step: None,
                lines: Vec::new(),
            };
        }
    }
    if chunk.line_count > 0 {
        chunks::insert(connection, stream_id, &chunk).await?;
    }
    Ok(())
}

fn add_line(chunk: &mut NewChunk, line: &Line) {
    lines::push(&mut chunk.lines, &line.text);
    chunk.line_count += 1;
    if let Some(step) = line.step {
        chunk.min_step = Some(chunk.min_step.map_or(step, |min| min.min(step)));
        chunk.max_step = Some(chunk.max_step.map_or(step, |max| max.max(step)));
    }
}

/// Replaces what the new lines cover; the rest of the chunks that they touch is kept.
pub(super) async fn rewrite(
    connection: &mut Connection,
    stream_id: i64,
    offset: i64,
    new: &[Line],
) -> Result<(), StoreError> {
    let end = offset + length(new);
    let mut merged: BTreeMap<i64, Line> = BTreeMap::new();
    for chunk in chunks::overlapping(connection, stream_id, offset, end).await? {
        for (number, text) in numbered(&chunk)? {
            merged.insert(
                number,
                Line {
                    text: text.to_owned(),
                    step: None,
                },
            );
        }
        chunks::remove(connection, chunk.id).await?;
    }
    for (number, line) in (offset..).zip(new) {
        merged.insert(number, line.clone());
    }
    // The touched chunks and the new range overlap each other, so the union has no hole.
    let start = merged.keys().next().copied().unwrap_or(offset);
    let lines: Vec<Line> = merged.into_values().collect();
    append(connection, stream_id, start, &lines).await
}

/// What came of a batch that touches lines stored before.
#[derive(Default)]
pub(super) struct Filled {
    /// Lines that differ from what is stored.
    pub(super) conflicts: i64,
    /// Bytes of the lines that were missing.
    pub(super) bytes: i64,
}

/// Stores the lines that are missing.
pub(super) async fn fill(
    connection: &mut Connection,
    stream_id: i64,
    batch: &Batch,
) -> Result<Filled, StoreError> {
    let end = batch.offset + length(&batch.lines);
    let mut known: BTreeMap<i64, u32> = BTreeMap::new();
    for (start, sums) in chunks::object_checksums(connection, stream_id, batch.offset, end).await? {
        let (sums, _rest) = sums.as_chunks::<4>();
        known.extend((start..).zip(sums.iter().map(|sum| u32::from_le_bytes(*sum))));
    }
    let mut filled = Filled::default();
    let mut stored: BTreeMap<i64, bool> = BTreeMap::new();
    let line_at = |number: i64| {
        usize::try_from(number - batch.offset)
            .ok()
            .and_then(|index| batch.lines.get(index))
    };
    for chunk in chunks::overlapping(connection, stream_id, batch.offset, end).await? {
        for (number, text) in numbered(&chunk)? {
            if let Some(line) = line_at(number) {
                stored.insert(number, line.text == text);
            }
        }
    }
    let mut missing: Vec<Line> = Vec::new();
    let mut missing_start = batch.offset;
    for (number, line) in (batch.offset..).zip(&batch.lines) {
        let same = stored.get(&number).copied().or_else(|| {
            known
                .get(&number)
                .map(|sum| *sum == lines::checksum(&line.text))
        });
        match same {
            None => {
                if missing.is_empty() {
                    missing_start = number;
                }
                missing.push(line.clone());
            }
            Some(same) => {
                filled.conflicts += i64::from(!same);
                if !missing.is_empty() {
                    filled.bytes += size(&missing);
                    let lines = std::mem::take(&mut missing);
                    append(connection, stream_id, missing_start, &lines).await?;
                }
            }
        }
    }
    if !missing.is_empty() {
        filled.bytes += size(&missing);
        append(connection, stream_id, missing_start, &missing).await?;
    }
    Ok(filled)
}

fn numbered(chunk: &ChunkRow) -> Result<impl Iterator<Item = (i64, &str)>, StoreError> {
    Ok((chunk.start_line..).zip(lines::decode(&chunk.lines)?))
}

/// Bytes of lines as they are stored.
pub(super) fn size(lines: &[Line]) -> i64 {
    let bytes = lines.iter().map(|line| line.text.len() + 4).sum::<usize>();
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

pub(super) fn length(lines: &[Line]) -> i64 {
    i64::try_from(lines.len()).unwrap_or(i64::MAX)
}
