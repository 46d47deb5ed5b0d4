//! Line streams of a run, applied exactly once.
//!
//! A stream is addressed by line number. A batch is a range of lines; however often and in whatever order batches
//! come, each line is stored once:
//!
//! - history and events are append-only: the first text of a line wins, the same text again is nothing new, another
//!   text is a conflict that is counted and left out;
//! - console lines are rewritable: the last text wins, a batch replaces what it covers; the middle of a long log is
//!   removed again (`log_bound`);
//! - a batch beyond the end leaves a hole; the lines are kept, but readers see the contiguous part only until the
//!   hole is filled.

use std::ops::Range;

use super::database::Flag;
use super::stream_lines::{append, fill, length, rewrite, size};
use super::{Connection, chunks, log_bound};
use crate::error::StoreError;

/// Holes named in an acknowledgement.
const HOLES_SHOWN: i64 = 16;

/// What the lines of a stream are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum StreamKind {
    /// Rows of metrics.
    History,
    /// System metrics.
    Events,
    /// Console lines.
    Output,
}

impl StreamKind {
    /// The number in the database.
    pub(crate) fn code(self) -> i64 {
        match self {
            Self::History => 0,
            Self::Events => 1,
            Self::Output => 2,
        }
    }

    /// Whether a line may be replaced.
    fn rewritable(self) -> bool {
        self == Self::Output
    }
}

/// One line with its step, where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) step: Option<i64>,
}

/// Lines `offset … offset + lines.len() - 1` of a stream.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) kind: StreamKind,
    pub(crate) offset: i64,
    pub(crate) lines: Vec<Line>,
}

/// Where a stream stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StreamState {
    /// Lines from 0 without a hole.
    pub(crate) contiguous: i64,
    /// One past the last stored line.
    pub(crate) end: i64,
    /// Lines left out because another text was stored before.
    pub(crate) conflicts: i64,
    /// Missing ranges (start, end), at most a few.
    pub(crate) holes: Vec<(i64, i64)>,
    /// What was odd about the batch that was just applied.
    pub(crate) oddity: Oddity,
}

/// How a batch did not fit what was stored. A client that knows the stream sends none such.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Oddity {
    /// It began behind the end, so that lines are missing.
    pub(crate) gap: bool,
    /// Lines that were left out because another text was stored before.
    pub(crate) conflicts: i64,
    /// It has lines in the place of inherited rows; they were left out.
    pub(crate) inherited: bool,
}

/// A stream's row.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct StreamRow {
    pub(crate) id: i64,
    pub(crate) run_id: i64,
    /// Lines before this one are the run's inherited rows, which are not in this stream.
    pub(crate) first_line: i64,
    pub(crate) contiguous_lines: i64,
    pub(crate) end_line: i64,
    pub(crate) conflict_count: i64,
    /// Lines from 0 that are in Parquet objects.
    pub(crate) compacted_lines: i64,
    /// Bytes of the lines behind them; not counted for console lines.
    pub(crate) tail_bytes: i64,
    pub(super) left_out_from: i64,
    pub(super) left_out_to: i64,
}

impl StreamRow {
    /// Lines of the contiguous part that are not kept.
    pub(crate) fn left_out(&self) -> Range<i64> {
        self.left_out_from..self.left_out_to
    }
}

/// The streams of one kind of a run, one per writer, in the order of their first line.
pub(crate) async fn of_run(
    connection: &mut Connection,
    run_id: i64,
    kind: StreamKind,
) -> Result<Vec<StreamRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT id, run_id, first_line, contiguous_lines, end_line, conflict_count, compacted_lines, tail_bytes,
            left_out_from, left_out_to
        FROM streams
        WHERE run_id = $1 AND kind = $2
        ORDER BY id",
    )
    .bind(run_id)
    .bind(kind.code())
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

async fn find(
    connection: &mut Connection,
    run_id: i64,
    kind: StreamKind,
    client: &str,
) -> Result<Option<StreamRow>, StoreError> {
    let row = sqlx::query_as(
        "SELECT id, run_id, first_line, contiguous_lines, end_line, conflict_count, compacted_lines, tail_bytes,
            left_out_from, left_out_to
        FROM streams
        WHERE run_id = $1 AND kind = $2 AND client = $3",
    )
    .bind(run_id)
    .bind(kind.code())
    .bind(client)
    .fetch_optional(connection)
    .await?;
    Ok(row)
}

/// Where the stream of one writer stands.
pub(crate) async fn state(
    connection: &mut Connection,
    run_id: i64,
    kind: StreamKind,
    client: &str,
) -> Result<StreamState, StoreError> {
    let Some(row) = find(connection, run_id, kind, client).await? else {
        return Ok(StreamState::default());
    };
    with_holes(connection, &row).await
}

/// Whether a writer has sent anything to the run.
pub(crate) async fn is_known(
    connection: &mut Connection,
    run_id: i64,
    client: &str,
) -> Result<bool, StoreError> {
    let known: Flag = sqlx::query_scalar(
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM streams WHERE run_id = $1 AND client = $2) THEN 1 ELSE 0 END",
    )
    .bind(run_id)
    .bind(client)
    .fetch_one(connection)
    .await?;
    Ok(known.into())
}

/// Applies `batch` to the stream of one writer; idempotent.
pub(crate) async fn apply(
    connection: &mut Connection,
    run_id: i64,
    client: &str,
    batch: &Batch,
) -> Result<StreamState, StoreError> {
    let mut row = match find(connection, run_id, batch.kind, client).await? {
        Some(row) => row,
        None => create(connection, run_id, batch.kind, client, 0).await?,
    };
    let before = row.end_line;
    let mut oddity = Oddity {
        gap: batch.offset > before && !batch.lines.is_empty(),
        inherited: batch.offset < row.first_line && !batch.lines.is_empty(),
        conflicts: row.conflict_count,
    };
    let own = behind_inherited(batch, row.first_line);
    let batch = own.as_ref().unwrap_or(batch);
    if batch.lines.is_empty() {
        oddity.conflicts = 0;
        let state = with_holes(connection, &row).await?;
        return Ok(StreamState { oddity, ..state });
    }
    let end = batch.offset + length(&batch.lines);
    if batch.offset >= row.end_line {
        append(connection, row.id, batch.offset, &batch.lines).await?;
        row.tail_bytes += size(&batch.lines);
    } else if batch.kind.rewritable() {
        for part in log_bound::outside(batch, &row.left_out()) {
            rewrite(connection, row.id, part.offset, &part.lines).await?;
        }
    } else {
        let filled = fill(connection, row.id, batch).await?;
        row.conflict_count += filled.conflicts;
        row.tail_bytes += filled.bytes;
    }
    row.end_line = row.end_line.max(end);
    if batch.offset <= row.contiguous_lines {
        row.contiguous_lines = row.contiguous_lines.max(end);
        if row.contiguous_lines < row.end_line {
            row.contiguous_lines = extend(connection, row.id, row.contiguous_lines).await?;
        }
    }
    if batch.kind.rewritable() && log_bound::is_due(batch, before, row.end_line) {
        log_bound::keep(connection, &mut row).await?;
    }
    sqlx::query(
        "UPDATE streams
        SET contiguous_lines = $2, end_line = $3, conflict_count = $4, tail_bytes = $5,
            left_out_from = $6, left_out_to = $7
        WHERE id = $1",
    )
    .bind(row.id)
    .bind(row.contiguous_lines)
    .bind(row.end_line)
    .bind(row.conflict_count)
    .bind(row.tail_bytes)
    .bind(row.left_out_from)
    .bind(row.left_out_to)
    .execute(&mut *connection)
    .await?;
    oddity.conflicts = row.conflict_count - oddity.conflicts;
    let state = with_holes(connection, &row).await?;
    Ok(StreamState { oddity, ..state })
}

/// The lines of `batch` that do not stand in the place of inherited rows; `None` if that is all of them.
fn behind_inherited(batch: &Batch, first_line: i64) -> Option<Batch> {
    if batch.offset >= first_line {
        return None;
    }
    let inherited = usize::try_from(first_line - batch.offset).unwrap_or(usize::MAX);
    Some(Batch {
        kind: batch.kind,
        offset: first_line,
        lines: batch.lines.iter().skip(inherited).cloned().collect(),
    })
}

/// Begins the history of the lone writer of a run behind `first_line` inherited rows, so that lines are counted through.
pub(crate) async fn begin_behind(
    connection: &mut Connection,
    run_id: i64,
    first_line: i64,
) -> Result<(), StoreError> {
    create(connection, run_id, StreamKind::History, "", first_line).await?;
    Ok(())
}

async fn create(
    connection: &mut Connection,
    run_id: i64,
    kind: StreamKind,
    client: &str,
    first_line: i64,
) -> Result<StreamRow, StoreError> {
    let id = sqlx::query_scalar(
        "INSERT INTO streams (run_id, kind, client, contiguous_lines, end_line, conflict_count, compacted_lines, first_line)
        VALUES ($1, $2, $3, $4, $4, 0, $4, $4)
        RETURNING id",
    )
    .bind(run_id)
    .bind(kind.code())
    .bind(client)
    .bind(first_line)
    .fetch_one(connection)
    .await?;
    Ok(StreamRow {
        id,
        run_id,
        first_line,
        contiguous_lines: first_line,
        end_line: first_line,
        conflict_count: 0,
        compacted_lines: first_line,
        tail_bytes: 0,
        left_out_from: 0,
        left_out_to: 0,
    })
}

/// Where the contiguous part ends if chunks beyond `contiguous` join it.
async fn extend(
    connection: &mut Connection,
    stream_id: i64,
    mut contiguous: i64,
) -> Result<i64, StoreError> {
    loop {
        let reach: Option<i64> = sqlx::query_scalar(
            "SELECT MAX(start_line + line_count)
            FROM stream_chunks
            WHERE stream_id = $1 AND start_line <= $2 AND start_line + line_count > $2",
        )
        .bind(stream_id)
        .bind(contiguous)
        .fetch_one(&mut *connection)
        .await?;
        match reach {
            Some(end) => contiguous = end,
            None => return Ok(contiguous),
        }
    }
}

async fn with_holes(
    connection: &mut Connection,
    row: &StreamRow,
) -> Result<StreamState, StoreError> {
    let mut holes = Vec::new();
    if row.end_line > row.contiguous_lines {
        let mut at = row.contiguous_lines;
        for (start, count) in
            chunks::ranges_from(connection, row.id, row.contiguous_lines, 4 * HOLES_SHOWN).await?
        {
            if start > at {
                holes.push((at, start));
            }
            at = start + count;
        }
        holes.truncate(usize::try_from(HOLES_SHOWN).unwrap_or(usize::MAX));
    }
    Ok(StreamState {
        contiguous: row.contiguous_lines,
        end: row.end_line,
        conflicts: row.conflict_count,
        holes,
        oddity: Oddity::default(),
    })
}

/// What is known of the keys in a stream's Parquet objects, as JSON.
pub(crate) async fn key_table(
    connection: &mut Connection,
    stream_id: i64,
) -> Result<Option<String>, StoreError> {
    let table: Option<Option<String>> =
        sqlx::query_scalar("SELECT key_table FROM streams WHERE id = $1")
            .bind(stream_id)
            .fetch_optional(connection)
            .await?;
    Ok(table.flatten())
}

/// How many lines of a stream are in objects.
pub(crate) async fn compacted_lines(
    connection: &mut Connection,
    stream_id: i64,
) -> Result<Option<i64>, StoreError> {
    let lines = sqlx::query_scalar("SELECT compacted_lines FROM streams WHERE id = $1")
        .bind(stream_id)
        .fetch_optional(connection)
        .await?;
    Ok(lines)
}

/// Notes that the lines before `compacted_lines` are in Parquet objects, the last of them moved there being `moved_bytes`.
pub(crate) async fn set_compacted(
    connection: &mut Connection,
    stream_id: i64,
    compacted_lines: i64,
    moved_bytes: i64,
    key_table: &str,
) -> Result<(), StoreError> {
    // Streams that are older than the count of bytes may hold more than was counted.
    sqlx::query(
        "UPDATE streams
        SET compacted_lines = $2, key_table = $3,
            tail_bytes = CASE WHEN tail_bytes > $4 THEN tail_bytes - $4 ELSE 0 END
        WHERE id = $1",
    )
    .bind(stream_id)
    .bind(compacted_lines)
    .bind(key_table)
    .bind(moved_bytes)
    .execute(connection)
    .await?;
    Ok(())
}

/// Streams of rows with at least `lines` contiguous lines or `bytes` in the tail.
pub(crate) async fn with_long_tail(
    connection: &mut Connection,
    lines: i64,
    bytes: i64,
) -> Result<Vec<StreamRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT id, run_id, first_line, contiguous_lines, end_line, conflict_count, compacted_lines, tail_bytes,
            left_out_from, left_out_to
        FROM streams
        WHERE kind IN (0, 1) AND (
            contiguous_lines - compacted_lines >= $1
            OR tail_bytes >= $2 AND contiguous_lines > compacted_lines
        )
        ORDER BY id
        LIMIT 100",
    )
    .bind(lines)
    .bind(bytes)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}
