//! All rows of a run in order, as columns: what a reader of many rows gets without a text for each of them.
//!
//! Rows come by step, those of one step in the order of their sources, whoever reads them. One Parquet object is
//! decoded at a time, with the columns that are asked for; where sources overlap in their steps (several writers), as many as overlap.
//! No transaction is open meanwhile: objects never change, and the tail was decoded before.

use std::collections::VecDeque;
use std::sync::Arc;

use runlane_history::{Chunk, columns_of_keys, gather};
use runlane_model::json::Object;

use super::cache::{HistoryCache, Piece, Place};
use super::columns::{blocking, damaged};
use super::reader::spread;
use crate::error::StoreError;
use crate::store::Store;
use crate::store::streams::StreamKind;

/// Rows that are put together from several chunks at once.
const GATHERED_ROWS: usize = 8_192;
/// Stretches of one chunk that are shorter than this, on average, are put together.
const SHORT_STRETCH: usize = 256;

/// Which rows, and what of them.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Only rows that have all of these keys, and only these; `None` for whole rows.
    pub(crate) keys: Option<Vec<String>>,
    /// First step. Rows of system metrics have no steps: all of them are given.
    pub(crate) min_step: i64,
    /// One past the last step.
    pub(crate) max_step: i64,
}

/// Some of the rows of a chunk, in order.
pub(crate) struct Batch {
    pub(crate) chunk: Arc<Chunk>,
    pub(crate) rows: Vec<u32>,
}

/// A chunk in memory and which of its rows are still due.
struct Loaded {
    chunk: Arc<Chunk>,
    source: usize,
    /// Step, line and row, by step and line.
    due: VecDeque<(i64, i64, u32)>,
}

/// Reads a run from its first row to its last.
pub(crate) struct Scan {
    history: HistoryCache,
    store: Store,
    kind: StreamKind,
    wanted: Arc<Wanted>,
    /// By their first step.
    pieces: VecDeque<Piece>,
    loaded: Vec<Loaded>,
    ready: VecDeque<Batch>,
    /// Whether decoded objects are kept for the next question.
    keeps_objects: bool,
}

impl Scan {
    /// Finds out where the rows are.
    pub(crate) async fn start(
        history: &HistoryCache,
        store: &Store,
        (run_id, kind): (i64, StreamKind),
        wanted: Wanted,
    ) -> Result<Self, StoreError> {
        let mut pieces = history.pieces(store, run_id, kind).await?;
        if kind == StreamKind::History {
            pieces.retain(|piece| {
                piece
                    .steps
                    .is_none_or(|(min, max)| max >= wanted.min_step && min < wanted.max_step)
            });
            pieces.sort_by_key(first_step);
        }
        Ok(Self {
            history: history.clone(),
            store: store.clone(),
            kind,
            wanted: Arc::new(wanted),
            pieces: pieces.into(),
            loaded: Vec::new(),
            ready: VecDeque::new(),
            keeps_objects: false,
        })
    }

    /// The next rows; `None` behind the last ones.
    pub(crate) async fn next(&mut self) -> Result<Option<Batch>, StoreError> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            if let Some(piece) = self.pieces.pop_front() {
                if let Some(loaded) = self.load(piece).await? {
                    self.loaded.push(loaded);
                }
            } else if self.loaded.is_empty() {
                return Ok(None);
            }
            // No row of the pieces to come stands before one with a smaller step than theirs.
            let until = match (self.kind, self.pieces.front()) {
                (StreamKind::History, Some(next)) => Some(first_step(next)),
                _ => None,
            };
            self.release(until).await?;
        }
    }

    async fn load(&self, piece: Piece) -> Result<Option<Loaded>, StoreError> {
        let chunk = match piece.place {
            Place::Decoded(chunk) => chunk,
            Place::Object(object) if self.keeps_objects => {
                self.history.kept_object(&self.store, &object).await?
            }
            Place::Object(object) => {
                let names = self.wanted.keys.as_ref().and_then(|keys| {
                    let mut names = columns_of_keys(keys)?;
                    names.push("_step".to_owned());
                    Some(names)
                });
                let chunk = self.history.object(&self.store, &object, names).await?;
                Arc::new(chunk)
            }
        };
        let (kind, wanted) = (self.kind, Arc::clone(&self.wanted));
        let (source, start, bounds) = (piece.source, piece.start_line, piece.bounds);
        blocking(move || {
            let steps: Vec<i64> = (start..)
                .zip(chunk.steps())
                .map(|(line, step)| step.unwrap_or(line))
                .collect();
            let mut rows: Vec<u32> = (0u32..)
                .zip((start..).zip(&steps))
                .filter(|(_, (line, step))| {
                    bounds.contain(*line, **step)
                        && (kind != StreamKind::History
                            || (wanted.min_step..wanted.max_step).contains(*step))
                })
                .map(|(row, _)| row)
                .collect();
            let chunk = if let Some(keys) = &wanted.keys {
                let Some(picked) = chunk.pick(keys, &steps) else {
                    return Ok(None);
                };
                rows = picked.rows_with_all(&rows);
                Arc::new(picked)
            } else {
                if !chunk.all_have_rows() {
                    rows.retain(|row| chunk.has_row(*row as usize));
                }
                chunk
            };
            let mut due: Vec<(i64, i64, u32)> = rows
                .into_iter()
                .map(|row| (steps[row as usize], start + i64::from(row), row))
                .collect();
            if kind == StreamKind::History && !due.is_sorted() {
                due.sort_unstable();
            }
            Ok((!due.is_empty()).then(|| Loaded {
                chunk,
                source,
                due: due.into(),
            }))
        })
        .await
    }

    /// Makes batches of the rows in memory with a step before `until`.
    async fn release(&mut self, until: Option<i64>) -> Result<(), StoreError> {
        let is_due = |step: i64| until.is_none_or(|until| step < until);
        let heads = |loaded: &[Loaded]| -> Vec<usize> {
            (0..loaded.len())
                .filter(|index| {
                    let head = loaded[*index].due.front();
                    head.is_some_and(|(step, ..)| is_due(*step))
                })
                .collect()
        };
        let mut order: Vec<(usize, u32)> = Vec::new();
        loop {
            let ready = heads(&self.loaded);
            match ready[..] {
                [] => break,
                // The usual case: nothing to merge with.
                [only] if order.is_empty() => {
                    let loaded = &mut self.loaded[only];
                    let count = loaded.due.partition_point(|(step, ..)| is_due(*step));
                    let rows = loaded.due.drain(..count).map(|(.., row)| row).collect();
                    let chunk = Arc::clone(&loaded.chunk);
                    self.ready.push_back(Batch { chunk, rows });
                    break;
                }
                _ => {
                    let first = ready.into_iter().min_by_key(|index| {
                        let loaded = &self.loaded[*index];
                        let head = loaded.due.front();
                        head.map(|(step, line, _)| (*step, loaded.source, *line))
                    });
                    let Some(first) = first else { break };
                    if let Some((.., row)) = self.loaded[first].due.pop_front() {
                        order.push((first, row));
                    }
                }
            }
        }
        let stretches: Vec<&[(usize, u32)]> = order.chunk_by(|one, two| one.0 == two.0).collect();
        if stretches.len() * SHORT_STRETCH <= order.len() {
            for stretch in stretches {
                self.ready.push_back(Batch {
                    chunk: Arc::clone(&self.loaded[stretch[0].0].chunk),
                    rows: stretch.iter().map(|(_, row)| *row).collect(),
                });
            }
        } else {
            for rows in order.chunks(GATHERED_ROWS) {
                let rows: Vec<(Arc<Chunk>, u32)> = rows
                    .iter()
                    .map(|(index, row)| (Arc::clone(&self.loaded[*index].chunk), *row))
                    .collect();
                let chunk = blocking(move || gather(&rows).map_err(damaged)).await?;
                let count = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
                self.ready.push_back(Batch {
                    chunk: Arc::new(chunk),
                    rows: (0..count).collect(),
                });
            }
        }
        self.loaded.retain(|loaded| !loaded.due.is_empty());
        Ok(())
    }
}

/// The texts of rows with a step in `min_step .. max_step`, the first `limit` of them. Readers ask for one such page after the
/// other, so the objects that they are in are kept decoded for a while.
pub(crate) async fn window(
    history: &HistoryCache,
    store: &Store,
    run_id: i64,
    (min_step, max_step): (i64, i64),
    limit: usize,
) -> Result<Vec<String>, StoreError> {
    let wanted = Wanted {
        keys: None,
        min_step,
        max_step,
    };
    let mut scan = Scan::start(history, store, (run_id, StreamKind::History), wanted).await?;
    scan.keeps_objects = true;
    let mut texts = Vec::new();
    while texts.len() < limit
        && let Some(batch) = scan.next().await?
    {
        let due = limit - texts.len();
        let found = blocking(move || {
            let rows = batch.rows.iter().take(due);
            let found: Vec<String> = rows.map(|row| batch.chunk.line(*row as usize)).collect();
            Ok(found)
        });
        texts.extend(found.await?);
    }
    Ok(texts)
}

/// At most `samples` of the rows that have all of `keys`, evenly spread, as objects of these keys only.
pub(crate) async fn sample_keys(
    history: &HistoryCache,
    store: &Store,
    run_id: i64,
    wanted: Wanted,
    samples: usize,
) -> Result<Vec<Object>, StoreError> {
    let mut scan = Scan::start(history, store, (run_id, StreamKind::History), wanted).await?;
    // Of the requested keys alone: 8 bytes a value.
    let mut found: Vec<Batch> = Vec::new();
    while let Some(batch) = scan.next().await? {
        found.push(batch);
    }
    blocking(move || {
        let total = found.iter().map(|batch| batch.rows.len()).sum();
        let mut chosen = spread(total, samples).peekable();
        let mut rows = Vec::new();
        let mut before = 0;
        for batch in &found {
            let end = before + batch.rows.len();
            while let Some(index) = chosen.next_if(|index| *index < end) {
                rows.push(flat_row(&batch.chunk, batch.rows[index - before]));
            }
            before = end;
        }
        Ok(rows)
    })
    .await
}

/// At most `limit` of the steps of the rows that have all of the keys, evenly spread, each once.
pub(crate) async fn steps_of(
    history: &HistoryCache,
    store: &Store,
    run_id: i64,
    mut wanted: Wanted,
    limit: usize,
) -> Result<Vec<i64>, StoreError> {
    if let Some(keys) = &mut wanted.keys {
        keys.push("_step".to_owned());
    }
    let mut scan = Scan::start(history, store, (run_id, StreamKind::History), wanted).await?;
    let mut steps: Vec<i64> = Vec::new();
    while let Some(batch) = scan.next().await? {
        let found = batch.chunk.steps();
        let found = batch.rows.iter().filter_map(|row| found[*row as usize]);
        steps.extend(found);
        steps.dedup();
    }
    Ok(spread(steps.len(), limit)
        .map(|index| steps[index])
        .collect())
}

/// A row of picked keys: their names stand as they were asked for, whatever dots are in them.
fn flat_row(chunk: &Chunk, row: u32) -> Object {
    let values = chunk.columns().iter().filter_map(|column| {
        let value = column.value(row as usize)?;
        Some((column.path().components().join("."), value))
    });
    values.collect()
}

/// No row has a smaller step; lines without one may have any.
fn first_step(piece: &Piece) -> i64 {
    piece.steps.map_or(i64::MIN, |(min, _)| min)
}
