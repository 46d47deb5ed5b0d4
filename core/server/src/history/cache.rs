//! Columns of runs, decoded once and kept for the next question.
//!
//! Three kinds of things are kept, all within one bound in bytes, the least recently used going first:
//!
//! - the decoded tail of a run's rows of one kind, which grows with the run (only new lines are decoded);
//! - where the columns of a Parquet object are, so that only the bytes of those asked for are read;
//! - the points of one series in one object, which never change.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use runlane_history::{Chunk, FileIndex, KeyTable, Points};

use super::lines;
use super::recent::Recent;
use crate::error::StoreError;
use crate::store::chunks::{self, ObjectRow};
use crate::store::streams::{self, StreamKind, StreamRow};
use crate::store::{Connection, Store};

/// Database chunks decoded into one column chunk.
const PAGE_CHUNKS: i64 = 64;
/// A column chunk shorter than this, in rows and in bytes, is decoded again with the lines that follow it, so that a run
/// that logs a row a second does not end up with a column chunk per row, nor one with hundreds of keys decode much anew.
const SMALL_ROWS: usize = 4_096;
const SMALL_BYTES: usize = 1 << 20;
/// Memory of a decoded value, roughly: number, presence, exact value.
const VALUE_BYTES: usize = 24;
const SERIES_OVERHEAD_BYTES: usize = 160;
/// Bytes at the end of an object that are read at first; the index of some hundred columns fits.
const END_BYTES: u64 = 64 << 10;
/// Memory of an index, relative to its bytes in the file, roughly.
const INDEX_FACTOR: usize = 6;

/// The points of one series, stream by stream, in each piece by piece in the order of the rows.
pub(crate) type SeriesPoints = Vec<Vec<Arc<Points>>>;

/// The tail of one stream as columns.
#[derive(Clone, Default)]
struct Tail {
    /// First line, the number of compacted lines.
    start: i64,
    /// One past the last decoded line.
    end: i64,
    chunks: Vec<Arc<Chunk>>,
}

/// The streams of a run: what is in objects, and the decoded tail.
struct StreamView {
    stream: StreamRow,
    objects: Vec<ObjectRow>,
    tail: Tail,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Tail {
        run_id: i64,
        kind: StreamKind,
    },
    Index {
        object_id: i64,
    },
    Series {
        object_id: i64,
        x: String,
        y: String,
    },
}

#[derive(Clone)]
enum Kept {
    Tails(Arc<BTreeMap<i64, Tail>>),
    Index(FileIndex),
    Series(Arc<Points>),
}

/// The bounded cache; cheap to clone.
#[derive(Clone)]
pub(crate) struct HistoryCache {
    entries: Arc<Mutex<Recent<Key, Kept>>>,
    limit_bytes: usize,
}

impl HistoryCache {
    /// A cache of at most `limit_bytes`.
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self {
            entries: Arc::default(),
            limit_bytes,
        }
    }

    /// The points of each of `keys` over `x` in all rows of one kind; none for a key that no row has. All of them are in
    /// memory at once, so callers ask for a few keys at a time.
    pub(crate) async fn series(
        &self,
        store: &Store,
        (run_id, kind): (i64, StreamKind),
        x: &str,
        keys: &[&str],
    ) -> Result<Vec<Option<SeriesPoints>>, StoreError> {
        let mut series = vec![(false, SeriesPoints::new()); keys.len()];
        for view in self.views(store, run_id, kind).await? {
            for (_, streams) in &mut series {
                streams.push(Vec::new());
            }
            let mut add = |at: usize, known: bool, points: Arc<Points>| {
                let (found, streams) = &mut series[at];
                *found |= known;
                if let Some(pieces) = streams.last_mut() {
                    pieces.push(points);
                }
            };
            for object in &view.objects {
                let found = self.object_points(store, object, x, keys).await?;
                for (at, points) in found.into_iter().enumerate() {
                    add(at, !points.is_empty(), points);
                }
            }
            for chunk in &view.tail.chunks {
                for (at, points) in points_over(chunk, x, keys).into_iter().enumerate() {
                    add(at, chunk.column(keys[at]).is_some(), points);
                }
            }
        }
        Ok(series
            .into_iter()
            .map(|(known, streams)| known.then_some(streams))
            .collect())
    }

    /// The keys that have numbers in rows of one kind, dotted, in alphabetical order.
    pub(crate) async fn numeric_keys(
        &self,
        store: &Store,
        run_id: i64,
        kind: StreamKind,
    ) -> Result<BTreeSet<String>, StoreError> {
        let views = self.views(store, run_id, kind).await?;
        let mut keys = BTreeSet::new();
        let mut reader = store.reader().await?;
        for view in &views {
            let compacted = compacted_keys(&mut reader, view.stream.id).await?;
            let numeric = compacted
                .iter()
                .filter(|(_, stats)| stats.type_counts.contains_key("number"));
            keys.extend(numeric.map(|(key, _)| key.to_owned()));
            for column in view.tail.chunks.iter().flat_map(|chunk| chunk.columns()) {
                if column.has_numbers() && !keys.contains(column.name()) {
                    keys.insert(column.name().to_owned());
                }
            }
        }
        Ok(keys)
    }

    /// What is known of the keys of a run's history.
    pub(crate) async fn key_table(
        &self,
        store: &Store,
        run_id: i64,
    ) -> Result<KeyTable, StoreError> {
        let views = self.views(store, run_id, StreamKind::History).await?;
        let mut joined: Option<KeyTable> = None;
        let mut reader = store.reader().await?;
        for view in &views {
            let mut table = compacted_keys(&mut reader, view.stream.id).await?;
            for chunk in &view.tail.chunks {
                table.add_chunk(chunk);
            }
            match &mut joined {
                Some(joined) => joined.merge(&table),
                None => joined = Some(table),
            }
        }
        Ok(joined.unwrap_or_default())
    }

    /// The step of every row, ascending; the line's number where a row has none.
    pub(crate) async fn steps(&self, store: &Store, run_id: i64) -> Result<Vec<i64>, StoreError> {
        let mut steps = Vec::new();
        for view in self.views(store, run_id, StreamKind::History).await? {
            for object in &view.objects {
                let start = object.start_line;
                let keys = vec!["_step".to_owned()];
                let found = self.object_columns(store, object, keys, move |chunk| {
                    numbered_steps(start, chunk)
                });
                steps.extend(found.await?);
            }
            let mut start = view.tail.start;
            for chunk in &view.tail.chunks {
                steps.extend(numbered_steps(start, chunk));
                start += i64::try_from(chunk.len()).unwrap_or(0);
            }
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// Drops what is known of a run's tail (the run was deleted or cut).
    pub(crate) fn forget(&self, run_id: i64) {
        let mut entries = self.entries.lock();
        for kind in [StreamKind::History, StreamKind::Events] {
            entries.remove(&Key::Tail { run_id, kind });
        }
    }

    /// The points of each of `keys` in one object; it is read once for all that are not kept.
    async fn object_points(
        &self,
        store: &Store,
        object: &ObjectRow,
        x: &str,
        keys: &[&str],
    ) -> Result<Vec<Arc<Points>>, StoreError> {
        let key_of = |y: &str| Key::Series {
            object_id: object.id,
            x: x.to_owned(),
            y: y.to_owned(),
        };
        let mut found: Vec<Option<Arc<Points>>> = {
            let mut entries = self.entries.lock();
            let kept = keys.iter().map(|y| match entries.get(&key_of(y)) {
                Some(Kept::Series(points)) => Some(points),
                _ => None,
            });
            kept.collect()
        };
        let missing: Vec<String> = keys
            .iter()
            .zip(&found)
            .filter(|(_, points)| points.is_none())
            .map(|(y, _)| (*y).to_owned())
            .collect();
        if !missing.is_empty() {
            let x = x.to_owned();
            let mut wanted = vec![x.clone()];
            wanted.extend(missing.iter().filter(|y| **y != x).cloned());
            let decoded = self.object_columns(store, object, wanted, move |chunk| {
                let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
                points_over(chunk, &x, &missing)
            });
            let decoded = decoded.await?;
            let places = keys
                .iter()
                .zip(found.iter_mut())
                .filter(|(_, points)| points.is_none());
            for ((y, place), points) in places.zip(decoded) {
                let size = points.len() * 16 + SERIES_OVERHEAD_BYTES;
                self.keep(key_of(y), Kept::Series(Arc::clone(&points)), size);
                *place = Some(points);
            }
        }
        Ok(found.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// What `read` finds in the columns of `keys` of one object.
    async fn object_columns<T: Send + 'static>(
        &self,
        store: &Store,
        object: &ObjectRow,
        keys: Vec<String>,
        read: impl FnOnce(&Chunk) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let index = self.index(store, object).await?;
        let ranges = {
            let names: Vec<&str> = keys.iter().map(String::as_str).collect();
            index.ranges(Some(&names))
        };
        let parts = store.objects.ranges(&object.object_key, &ranges).await?;
        blocking(move || {
            let names: Vec<&str> = keys.iter().map(String::as_str).collect();
            let chunk = index.decode(parts, Some(&names)).map_err(damaged)?;
            Ok(read(&chunk))
        })
        .await
    }

    /// Where the columns of an object are.
    async fn index(&self, store: &Store, object: &ObjectRow) -> Result<FileIndex, StoreError> {
        let key = Key::Index {
            object_id: object.id,
        };
        if let Some(Kept::Index(index)) = self.entries.lock().get(&key) {
            return Ok(index);
        }
        let size = u64::try_from(object.size_bytes).unwrap_or(0);
        let end_of = |bytes: u64| size.saturating_sub(bytes)..size;
        let mut end = read_range(store, object, end_of(END_BYTES)).await?;
        let needed = FileIndex::needed_bytes(&end).map_err(damaged)?;
        if needed > end.len() {
            let needed = u64::try_from(needed).unwrap_or(u64::MAX);
            end = read_range(store, object, end_of(needed)).await?;
        }
        let index = blocking(move || FileIndex::read(&end, size).map_err(damaged)).await?;
        self.keep(key, Kept::Index(index.clone()), needed * INDEX_FACTOR);
        Ok(index)
    }

    async fn views(
        &self,
        store: &Store,
        run_id: i64,
        kind: StreamKind,
    ) -> Result<Vec<StreamView>, StoreError> {
        let key = Key::Tail { run_id, kind };
        let known = match self.entries.lock().get(&key) {
            Some(Kept::Tails(tails)) => tails,
            _ => Arc::default(),
        };
        // One snapshot for streams, objects and chunks: compaction moves lines from one to the other.
        let mut reader = store.snapshot().await?;
        let mut views = Vec::new();
        let mut grown = false;
        for stream in streams::of_run(&mut reader, run_id, kind).await? {
            let objects = chunks::objects(&mut reader, stream.id).await?;
            let old = known
                .get(&stream.id)
                .filter(|tail| tail.start == stream.compacted_lines);
            let current = old.is_some_and(|tail| tail.end == stream.contiguous_lines);
            let tail = if current {
                old.cloned().unwrap_or_default()
            } else {
                grown = true;
                grow(&mut reader, &stream, old.cloned()).await?
            };
            views.push(StreamView {
                stream,
                objects,
                tail,
            });
        }
        drop(reader);
        if grown {
            let tails: BTreeMap<i64, Tail> = views
                .iter()
                .map(|view| (view.stream.id, view.tail.clone()))
                .collect();
            let size = tails
                .values()
                .flat_map(|tail| &tail.chunks)
                .map(|chunk| chunk_bytes(chunk))
                .sum();
            self.keep(key, Kept::Tails(Arc::new(tails)), size);
        }
        Ok(views)
    }

    fn keep(&self, key: Key, kept: Kept, bytes: usize) {
        self.entries
            .lock()
            .insert(key, kept, bytes, self.limit_bytes);
    }
}

/// Decodes the lines of a stream that `old` does not have.
async fn grow(
    reader: &mut Connection,
    stream: &StreamRow,
    old: Option<Tail>,
) -> Result<Tail, StoreError> {
    let start = stream.compacted_lines;
    let mut tail = old.unwrap_or(Tail {
        start,
        end: start,
        chunks: Vec::new(),
    });
    let is_small =
        |chunk: &mut Arc<Chunk>| chunk.len() < SMALL_ROWS && chunk_bytes(chunk) < SMALL_BYTES;
    if let Some(last) = tail.chunks.pop_if(is_small) {
        tail.end -= i64::try_from(last.len()).unwrap_or(0);
    }
    let until = stream.contiguous_lines;
    while tail.end < until {
        let from = tail.end;
        let page = chunks::page_from(reader, stream.id, from, until, PAGE_CHUNKS).await?;
        if page.is_empty() {
            return Err(StoreError::Damaged(format!(
                "history lines from {from} on are missing"
            )));
        }
        let chunk = blocking(move || {
            let mut texts = Vec::new();
            for row in &page {
                let numbered = (row.start_line..).zip(lines::decode(&row.lines)?);
                texts.extend(
                    numbered
                        .filter(|(line, _)| (from..until).contains(line))
                        .map(|(_, text)| row_or_nothing(text)),
                );
            }
            Chunk::from_lines(u64::try_from(from).unwrap_or(0), &texts).map_err(damaged)
        })
        .await?;
        if chunk.is_empty() {
            return Err(StoreError::Damaged(format!(
                "history lines from {from} on are missing"
            )));
        }
        tail.end += i64::try_from(chunk.len()).unwrap_or(0);
        tail.chunks.push(Arc::new(chunk));
    }
    Ok(tail)
}

/// What is known of the keys in a stream's objects.
async fn compacted_keys(reader: &mut Connection, stream_id: i64) -> Result<KeyTable, StoreError> {
    match streams::key_table(reader, stream_id).await? {
        Some(text) => KeyTable::from_json(&text)
            .map_err(|error| StoreError::Damaged(format!("key table: {error}"))),
        None => Ok(KeyTable::default()),
    }
}

async fn read_range(
    store: &Store,
    object: &ObjectRow,
    range: Range<u64>,
) -> Result<Bytes, StoreError> {
    let parts = store.objects.ranges(&object.object_key, &[range]).await?;
    Ok(parts.into_iter().next().unwrap_or_default())
}

/// Lines that are no rows (kept for the original client's line numbers) count as empty rows.
pub(crate) fn row_or_nothing(text: &str) -> &str {
    match runlane_model::json::visit_leaves(text, &mut |_, _| {}) {
        Ok(()) => text,
        Err(_no_row) => "{}",
    }
}

/// The points of each of `keys` over `x`.
fn points_over(chunk: &Chunk, x: &str, keys: &[&str]) -> Vec<Arc<Points>> {
    let over = chunk.numbers(x);
    let points = keys.iter().map(|key| match (&over, chunk.numbers(key)) {
        (Some(x), Some(y)) => Arc::new(Points::zip(x, &y)),
        _ => Arc::default(),
    });
    points.collect()
}

fn numbered_steps(start: i64, chunk: &Chunk) -> Vec<i64> {
    (start..)
        .zip(chunk.steps())
        .map(|(line, step)| step.unwrap_or(line))
        .collect()
}

fn chunk_bytes(chunk: &Chunk) -> usize {
    chunk.columns().len() * (chunk.len() * VALUE_BYTES + 256)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "used as a function of `map_err`"
)]
pub(crate) fn damaged(error: runlane_history::HistoryError) -> StoreError {
    StoreError::Damaged(error.to_string())
}

/// Runs CPU work off the network threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|panicked| StoreError::Damaged(format!("decoding failed: {panicked}")))?
}
