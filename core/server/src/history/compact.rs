//! Moves full history out of the database tail into Parquet objects, in the background.
//!
//! The object is written and synced first; then one transaction replaces the lines by it. A crash in between leaves
//! an object that nothing refers to, never a missing line.

use runlane_history::{Chunk, KeyTable};

use super::columns::{blocking, damaged, row_or_nothing};
use super::lines;
use crate::error::StoreError;
use crate::store::chunks::{self, ChunkRow, ObjectRow};
use crate::store::streams::{self, StreamRow};
use crate::store::{Objects, Store, runs};

/// Lines of one object: enough to compress well, little enough to decode in a moment.
const OBJECT_LINES: i64 = 65_536;
const OBJECT_BYTES: usize = 64 << 20;
/// Rows with many keys are moved when they are this much, however few they are: a tail is decoded as a whole.
const TAIL_BYTES: i64 = 32 << 20;
const PAGE_CHUNKS: i64 = 32;

/// Compacts every stream whose tail has at least `min_lines` lines or is large; the number of objects written.
pub(crate) async fn run_once(store: &Store, min_lines: u64) -> Result<usize, StoreError> {
    let min_lines = i64::try_from(min_lines.max(1)).unwrap_or(i64::MAX);
    let mut written = 0;
    let streams = {
        let mut reader = store.reader().await?;
        streams::with_long_tail(&mut reader, min_lines, TAIL_BYTES).await?
    };
    for mut stream in streams {
        while is_long(&stream, min_lines) {
            match compact(store, &stream).await? {
                Some(moved) => {
                    stream.compacted_lines = moved.end_line;
                    stream.tail_bytes -= moved.bytes;
                }
                None => break,
            }
            written += 1;
        }
    }
    Ok(written)
}

fn is_long(stream: &StreamRow, min_lines: i64) -> bool {
    let lines = stream.contiguous_lines - stream.compacted_lines;
    lines >= min_lines || (lines > 0 && stream.tail_bytes >= TAIL_BYTES)
}

/// What was moved into one object.
struct Moved {
    /// Where the tail begins now.
    end_line: i64,
    /// Bytes of the lines, as they were stored.
    bytes: i64,
}

struct Encoded {
    object: Vec<u8>,
    checksums: Vec<u8>,
    key_table: String,
    steps: Option<(i64, i64)>,
}

/// Moves the next whole chunks of a stream into one object.
async fn compact(store: &Store, stream: &StreamRow) -> Result<Option<Moved>, StoreError> {
    let start = stream.compacted_lines;
    let (rows, old_table) = {
        let mut reader = store.snapshot().await?;
        let rows = whole_chunks(&mut reader, stream).await?;
        (rows, streams::key_table(&mut reader, stream.id).await?)
    };
    let Some(end) = rows.last().map(|row| row.start_line + row.line_count) else {
        return Ok(None);
    };
    let bytes = rows.iter().map(|row| row.lines.len()).sum::<usize>();
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    let encoded = blocking(move || encode(start, &rows, old_table.as_deref())).await?;
    let object = ObjectRow {
        id: 0,
        start_line: start,
        line_count: end - start,
        min_step: encoded.steps.map(|(min, _)| min),
        max_step: encoded.steps.map(|(_, max)| max),
        object_key: format!("{}.parquet", Objects::new_key("history", stream.run_id)),
        size_bytes: i64::try_from(encoded.object.len()).unwrap_or(i64::MAX),
    };
    store
        .objects
        .put(&object.object_key, encoded.object.into())
        .await?;
    let mut writer = store.writer().await?;
    runs::lock(&mut writer, stream.run_id).await?;
    if streams::compacted_lines(&mut writer, stream.id).await? != Some(start) {
        // Another process has moved them meanwhile.
        drop(writer);
        store.objects.remove(&object.object_key).await;
        return Ok(None);
    }
    chunks::move_to_object(&mut writer, stream.id, &object, &encoded.checksums).await?;
    streams::set_compacted(&mut writer, stream.id, end, bytes, &encoded.key_table).await?;
    writer.commit().await?;
    tracing::debug!(
        run_id = stream.run_id,
        start,
        end,
        bytes = object.size_bytes,
        "rows compacted"
    );
    Ok(Some(Moved {
        end_line: end,
        bytes,
    }))
}

/// The chunks right after the compacted lines that lie wholly in the contiguous part, up to the size of one object.
async fn whole_chunks(
    reader: &mut crate::store::Connection,
    stream: &StreamRow,
) -> Result<Vec<ChunkRow>, StoreError> {
    let mut found: Vec<ChunkRow> = Vec::new();
    let mut next = stream.compacted_lines;
    let mut bytes = 0;
    loop {
        let page = chunks::page_from(
            reader,
            stream.id,
            next,
            stream.contiguous_lines,
            PAGE_CHUNKS,
        )
        .await?;
        if page.is_empty() {
            return Ok(found);
        }
        for row in page {
            let end = row.start_line + row.line_count;
            let fits = found.is_empty()
                || (end - stream.compacted_lines <= OBJECT_LINES
                    && bytes + row.lines.len() <= OBJECT_BYTES);
            if row.start_line != next || end > stream.contiguous_lines || !fits {
                return Ok(found);
            }
            bytes += row.lines.len();
            next = end;
            found.push(row);
        }
    }
}

fn encode(start: i64, rows: &[ChunkRow], old_table: Option<&str>) -> Result<Encoded, StoreError> {
    let mut texts = Vec::new();
    let mut checksums = Vec::new();
    for row in rows {
        for text in lines::decode(&row.lines)? {
            checksums.extend_from_slice(&lines::checksum(text).to_le_bytes());
            texts.push(row_or_nothing(text));
        }
    }
    let chunk = Chunk::from_lines(u64::try_from(start).unwrap_or(0), &texts).map_err(damaged)?;
    let mut table = match old_table {
        Some(text) => KeyTable::from_json(text)
            .map_err(|error| StoreError::Damaged(format!("key table: {error}")))?,
        None => KeyTable::default(),
    };
    table.add_chunk(&chunk);
    let steps = (start..)
        .zip(chunk.steps())
        .map(|(line, step)| step.unwrap_or(line));
    let steps = steps.fold(None, |range: Option<(i64, i64)>, step| {
        Some(range.map_or((step, step), |(min, max)| (min.min(step), max.max(step))))
    });
    let object = chunk.to_parquet().map_err(damaged)?.into();
    Ok(Encoded {
        object,
        checksums,
        key_table: table.to_json(),
        steps,
    })
}
