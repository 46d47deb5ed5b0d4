//! Rows of a run in order: the contiguous lines of its sources, from Parquet objects and the tail.
//!
//! A run has one stream, or one per writer in shared mode, and before them those of the runs that it was forked from
//! ([`super::lineage`]). Rows are merged by step, rows of one step in the order of their sources.

use runlane_history::Chunk;

use super::columns::{blocking, damaged};
use super::lineage::{self, Bounds};
use super::lines;
use crate::error::StoreError;
use crate::store::chunks::{self, ObjectRow};
use crate::store::streams::StreamKind;
use crate::store::{Connection, Store};

/// Rows of a writer that count as its last ones: a host samples each of its resources into rows of their own.
const RECENT_LINES: i64 = 64;

/// A row as it is stored, with its step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredRow {
    /// `_step`, or the line's number where the writer sent none.
    pub(crate) step: i64,
    /// The row's JSON text.
    pub(crate) text: String,
}

/// Where consecutive lines of a source lie, all in one place.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    /// Which of the run's sources.
    pub(crate) source: usize,
    pub(crate) start_line: i64,
    /// What of the place counts: a chunk may go on beyond it, and a run may have been forked in the middle of an object.
    pub(crate) bounds: Bounds,
    /// The smallest and largest step of the lines in the place; unknown where some have none.
    pub(crate) steps: Option<(i64, i64)>,
    pub(crate) place: Place,
}

/// A place of lines.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// The row id of a chunk in the database.
    Chunk(i64),
    /// A Parquet object.
    Object(ObjectRow),
}

impl Span {
    /// One past the last line that counts.
    pub(crate) fn end_line(&self) -> i64 {
        self.bounds.end_line
    }
}

/// A row and where it came from: rows of one step stand in the order of their sources.
struct Placed {
    source: usize,
    line: i64,
    row: StoredRow,
}

impl Placed {
    fn order(&self) -> (i64, usize, i64) {
        (self.row.step, self.source, self.line)
    }
}

/// At most `samples` rows spread evenly over the run, the first and the last among them.
pub(crate) async fn sample(
    store: &Store,
    run_id: i64,
    kind: StreamKind,
    samples: usize,
) -> Result<Vec<StoredRow>, StoreError> {
    let mut reader = store.snapshot().await?;
    let spans = spans(&mut reader, run_id, kind).await?;
    let total: i64 = spans
        .iter()
        .map(|span| span.end_line() - span.start_line)
        .sum();
    let wanted: Vec<i64> = spread(usize::try_from(total).unwrap_or(0), samples)
        .filter_map(|index| i64::try_from(index).ok())
        .collect();
    let mut rows = Vec::with_capacity(wanted.len());
    // Lines are counted through the streams: each is sampled as evenly as a lone one would be.
    let mut before = 0;
    for span in &spans {
        let end = before + span.end_line() - span.start_line;
        let inside: Vec<i64> = wanted
            .iter()
            .filter(|index| (before..end).contains(*index))
            .map(|index| index - before + span.start_line)
            .collect();
        before = end;
        if inside.is_empty() {
            continue;
        }
        let is_wanted = move |line| inside.binary_search(&line).is_ok();
        let numbered = read_numbered(store, &mut reader, span, is_wanted).await?;
        rows.extend(numbered.into_iter().map(|(line, row)| Placed {
            source: span.source,
            line,
            row,
        }));
    }
    if kind == StreamKind::History {
        rows.sort_by_key(Placed::order);
    }
    Ok(rows.into_iter().map(|placed| placed.row).collect())
}

/// The last row; of several writers', that with the largest step.
pub(crate) async fn last(
    store: &Store,
    run_id: i64,
    kind: StreamKind,
) -> Result<Option<StoredRow>, StoreError> {
    let mut reader = store.snapshot().await?;
    let spans = spans(&mut reader, run_id, kind).await?;
    let mut last: Option<StoredRow> = None;
    for (index, span) in spans.iter().enumerate() {
        let is_end = spans
            .get(index + 1)
            .is_none_or(|next| next.source != span.source);
        if !is_end {
            continue;
        }
        let numbered = read_numbered(store, &mut reader, span, |_| true).await?;
        let rows = numbered.into_iter().map(|(_, row)| row);
        last = last.into_iter().chain(rows).max_by_key(|row| row.step);
    }
    Ok(last)
}

/// The texts of the last rows of each writer, oldest first.
pub(crate) async fn recent(
    store: &Store,
    run_id: i64,
    kind: StreamKind,
) -> Result<Vec<String>, StoreError> {
    let mut reader = store.snapshot().await?;
    let spans = spans(&mut reader, run_id, kind).await?;
    let mut rows = Vec::new();
    for (index, span) in spans.iter().enumerate() {
        let rest = spans[index..]
            .iter()
            .take_while(|other| other.source == span.source);
        let from = rest.last().map_or(0, Span::end_line) - RECENT_LINES;
        if span.end_line() > from {
            let is_recent = move |line| line >= from;
            let numbered = read_numbered(store, &mut reader, span, is_recent).await?;
            rows.extend(numbered.into_iter().map(|(_, row)| row.text));
        }
    }
    Ok(rows)
}

/// `samples` indexes of `0..total`, evenly spread, first and last included; all of them if they are fewer.
pub(crate) fn spread(total: usize, samples: usize) -> impl Iterator<Item = usize> {
    let count = samples.min(total);
    (0..count).map(move |index| {
        if count == total {
            index
        } else if count == 1 {
            total - 1
        } else {
            // u128: both factors may be large.
            let exact = (index as u128 * (total - 1) as u128) / (count - 1) as u128;
            usize::try_from(exact).unwrap_or(total - 1)
        }
    })
}

/// The spans of all sources of a run, source by source in the order of their lines, within one snapshot.
pub(crate) async fn spans(
    connection: &mut Connection,
    run_id: i64,
    kind: StreamKind,
) -> Result<Vec<Span>, StoreError> {
    let mut spans = Vec::new();
    for (index, source) in lineage::sources(connection, run_id, kind)
        .await?
        .iter()
        .enumerate()
    {
        spans.extend(spans_of(connection, index, source.stream.id, source.bounds).await?);
    }
    debug_assert!(spans.is_sorted_by_key(|span: &Span| (span.source, span.start_line)));
    Ok(spans)
}

/// Where the lines of a stream that count lie.
pub(crate) async fn spans_of(
    connection: &mut Connection,
    source: usize,
    stream_id: i64,
    bounds: Bounds,
) -> Result<Vec<Span>, StoreError> {
    let objects = chunks::objects(connection, stream_id).await?;
    let objects = objects.into_iter().map(|object| {
        let lines = (object.start_line, object.line_count);
        let steps = object.min_step.zip(object.max_step);
        (lines, steps, Place::Object(object))
    });
    let chunks = chunks::spans(connection, stream_id, bounds.end_line).await?;
    let chunks = chunks.into_iter().map(|chunk| {
        let lines = (chunk.start_line, chunk.line_count);
        (
            lines,
            chunk.min_step.zip(chunk.max_step),
            Place::Chunk(chunk.id),
        )
    });
    let spans = objects
        .chain(chunks)
        .filter_map(|((start_line, count), steps, place)| {
            let bounds = bounds.within(start_line, start_line + count, steps)?;
            Some(Span {
                source,
                start_line,
                bounds,
                steps,
                place,
            })
        });
    Ok(spans.collect())
}

/// The rows of the lines of `span` that count and are wanted, with their line numbers.
pub(crate) async fn read_numbered(
    store: &Store,
    connection: &mut Connection,
    span: &Span,
    is_wanted: impl Fn(i64) -> bool + Send + 'static,
) -> Result<Vec<(i64, StoredRow)>, StoreError> {
    let (start, end) = (span.start_line, span.end_line());
    let bounds = span.bounds;
    match &span.place {
        Place::Chunk(id) => {
            let blob = chunks::lines(connection, *id).await?.unwrap_or_default();
            let numbered = (start..end).zip(lines::decode(&blob)?);
            Ok(numbered
                .filter(|(line, _)| is_wanted(*line))
                .filter_map(|(line, text)| Some((line, to_row(line, text)?)))
                .filter(|(line, row)| bounds.contain(*line, row.step))
                .collect())
        }
        Place::Object(object) => {
            let bytes = store.objects.get(&object.object_key).await?;
            blocking(move || {
                let chunk = Chunk::from_parquet(bytes, None).map_err(damaged)?;
                let steps = chunk.steps();
                let rows = (start..end)
                    .zip(steps)
                    .enumerate()
                    .filter(|(_, (line, _))| is_wanted(*line))
                    .map(|(index, (line, step))| (index, line, step.unwrap_or(line)))
                    .filter(|(_, line, step)| bounds.contain(*line, *step))
                    .map(|(index, line, step)| {
                        let text = chunk.line(index);
                        (line, StoredRow { step, text })
                    });
                // Only lines that were no rows come back empty.
                Ok(rows.filter(|(_, row)| row.text != "{}").collect())
            })
            .await
        }
    }
}

/// The row in a line; none if the line is no row.
fn to_row(line: i64, text: &str) -> Option<StoredRow> {
    let mut step = None;
    runlane_model::json::visit_leaves(text, &mut |path, leaf| {
        if let ([key], runlane_model::json::Leaf::Int(value)) = (path, leaf)
            && key == "_step"
        {
            step = Some(value);
        }
    })
    .ok()?;
    Some(StoredRow {
        step: step.unwrap_or(line),
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_keep_both_ends() {
        assert_eq!(spread(5, 10).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!(spread(11, 3).collect::<Vec<_>>(), [0, 5, 10]);
        assert_eq!(spread(7, 1).collect::<Vec<_>>(), [6]);
        assert_eq!(spread(0, 5).count() + spread(5, 0).count(), 0);
    }
}
