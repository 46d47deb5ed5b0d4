//! How much of a console log is kept: its first and its last lines. The run's transaction log has all of them.

use std::ops::Range;

use super::Connection;
use super::streams::{Batch, StreamRow};
use crate::error::StoreError;

/// Lines and bytes that are kept at least of the beginning, and of the end.
const KEPT: Bound = Bound {
    lines: 200_000,
    bytes: 32 << 20,
};
/// How often it is looked, in lines and bytes.
const LOOK_LINES: i64 = 4_096;
const LOOK_BYTES: usize = 1 << 20;

#[derive(Clone, Copy)]
struct Bound {
    lines: i64,
    bytes: i64,
}

impl Bound {
    fn is_reached(self, lines: i64, bytes: i64) -> bool {
        lines >= self.lines || bytes >= self.bytes
    }
}

/// Whether a batch that has ended at line `end` may have made the log too long; `before` is where it ended.
pub(super) fn is_due(batch: &Batch, before: i64, end: i64) -> bool {
    let bytes: usize = batch.lines.iter().map(|line| line.text.len()).sum();
    end / LOOK_LINES != before / LOOK_LINES || bytes >= LOOK_BYTES
}

/// The parts of a batch that are not within the lines left out.
pub(super) fn outside(batch: &Batch, left_out: &Range<i64>) -> Vec<Batch> {
    let part = |from: i64, to: i64| {
        let place = |number: i64| usize::try_from(number - batch.offset).unwrap_or_default();
        let end = batch.offset + i64::try_from(batch.lines.len()).unwrap_or(i64::MAX);
        let (from, to) = (from.max(batch.offset), to.min(end));
        (from < to).then(|| Batch {
            kind: batch.kind,
            offset: from,
            lines: batch.lines[place(from)..place(to)].to_vec(),
        })
    };
    [part(i64::MIN, left_out.start), part(left_out.end, i64::MAX)]
        .into_iter()
        .flatten()
        .collect()
}

/// Removes the middle of a log that is too long, in whole chunks. Notes in `row` what is left out.
pub(super) async fn keep(
    connection: &mut Connection,
    row: &mut StreamRow,
) -> Result<(), StoreError> {
    keep_within(connection, row, KEPT).await
}

async fn keep_within(
    connection: &mut Connection,
    row: &mut StreamRow,
    kept: Bound,
) -> Result<(), StoreError> {
    let chunks: Vec<(i64, i64, i64)> = sqlx::query_as(
        "SELECT start_line, line_count, LENGTH(lines)
        FROM stream_chunks
        WHERE stream_id = $1 AND start_line + line_count <= $2
        ORDER BY start_line",
    )
    .bind(row.id)
    .bind(row.contiguous_lines)
    .fetch_all(&mut *connection)
    .await?;
    let already = row.left_out();
    let from = if already.is_empty() {
        reach(chunks.iter(), kept).map(|(start, count, _)| start + count)
    } else {
        Some(already.start)
    };
    let to = reach(chunks.iter().rev(), kept).map(|(start, _, _)| start);
    let (Some(from), Some(to)) = (from, to) else {
        return Ok(());
    };
    if to <= from.max(already.end) {
        return Ok(());
    }
    sqlx::query(
        "DELETE FROM stream_chunks
        WHERE stream_id = $1 AND start_line >= $2 AND start_line + line_count <= $3",
    )
    .bind(row.id)
    .bind(from)
    .bind(to)
    .execute(connection)
    .await?;
    (row.left_out_from, row.left_out_to) = (from, to);
    Ok(())
}

/// The chunk with which a bound is reached.
fn reach<'a>(
    chunks: impl Iterator<Item = &'a (i64, i64, i64)>,
    bound: Bound,
) -> Option<(i64, i64, i64)> {
    let (mut lines, mut bytes) = (0, 0);
    for chunk in chunks {
        lines += chunk.1;
        bytes += chunk.2;
        if bound.is_reached(lines, bytes) {
            return Some(*chunk);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::streams::{Line, StreamKind};

    fn batch(offset: i64, count: i64) -> Batch {
        let line = |number: i64| Line {
            text: number.to_string(),
            step: None,
        };
        Batch {
            kind: StreamKind::Output,
            offset,
            lines: (offset..offset + count).map(line).collect(),
        }
    }

    #[test]
    fn late_lines_in_the_gap_are_left_out_again() {
        let parts = |offset, count| {
            let parts = outside(&batch(offset, count), &(10..20));
            let texts = |part: Batch| (part.offset, part.lines.len(), part.lines[0].text.clone());
            parts.into_iter().map(texts).collect::<Vec<_>>()
        };
        assert_eq!(parts(0, 5), [(0, 5, "0".to_owned())]);
        assert_eq!(
            parts(5, 20),
            [(5, 5, "5".to_owned()), (20, 5, "20".to_owned())]
        );
        assert_eq!(parts(12, 5), []);
        assert_eq!(parts(15, 10), [(20, 5, "20".to_owned())]);
        assert_eq!(parts(30, 1), [(30, 1, "30".to_owned())]);
    }
}
