//! Columns of runs, decoded once and kept for the next question.
//!
//! Two kinds of things are kept, both within one bound in bytes, the least recently used going first:
//!
//! - the decoded tail of a run, which grows with the run (only new lines are decoded);
//! - the points of one series in one Parquet object, which never change.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use runlane_history::{Chunk, KeyTable, Points};

use super::lines;
use crate::error::StoreError;
use crate::store::chunks::{self, ObjectRow};
use crate::store::streams::{self, StreamKind, StreamRow};
use crate::store::{Connection, Store};

/// Database chunks decoded into one column chunk.
const PAGE_CHUNKS: i64 = 64;
/// A column chunk shorter than this is decoded again with the lines that follow it, so that a run that logs a row a
/// second does not end up with a column chunk per row.
const SMALL_ROWS: usize = 4_096;
/// Memory of a decoded value, roughly: number, presence, exact value.
const VALUE_BYTES: usize = 24;
const SERIES_OVERHEAD_BYTES: usize = 160;

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
    Series(Arc<Points>),
}

struct Entry {
    kept: Kept,
    bytes: usize,
    used: u64,
}

#[derive(Default)]
struct Entries {
    map: BTreeMap<Key, Entry>,
    by_use: BTreeMap<u64, Key>,
    bytes: usize,
    clock: u64,
}

/// The bounded cache; cheap to clone.
#[derive(Clone)]
pub(crate) struct HistoryCache {
    entries: Arc<Mutex<Entries>>,
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

    /// The points of each of `keys` over `x` in all rows of a run, piece by piece in order; none for a key that no row
    /// has. All of them are in memory at once, so callers ask for a few keys at a time.
    pub(crate) async fn series(
        &self,
        store: &Store,
        run_id: i64,
        x: &str,
        keys: &[&str],
    ) -> Result<Vec<Option<Vec<Arc<Points>>>>, StoreError> {
        let mut series = vec![(false, Vec::new()); keys.len()];
        for view in self.views(store, run_id).await? {
            for object in &view.objects {
                let found = self.object_points(store, object, x, keys).await?;
                for ((known, pieces), points) in series.iter_mut().zip(found) {
                    *known |= !points.is_empty();
                    pieces.push(points);
                }
            }
            for chunk in &view.tail.chunks {
                for ((known, pieces), key) in series.iter_mut().zip(keys) {
                    *known |= chunk.column(key).is_some();
                    pieces.push(Arc::new(chunk.points(x, key)));
                }
            }
        }
        Ok(series
            .into_iter()
            .map(|(known, pieces)| known.then_some(pieces))
            .collect())
    }

    /// What is known of a run's keys.
    pub(crate) async fn key_table(
        &self,
        store: &Store,
        run_id: i64,
    ) -> Result<KeyTable, StoreError> {
        let views = self.views(store, run_id).await?;
        let mut joined: Option<KeyTable> = None;
        let mut reader = store.reader().await?;
        for view in &views {
            let mut table = match streams::key_table(&mut reader, view.stream.id).await? {
                Some(text) => KeyTable::from_json(&text)
                    .map_err(|error| StoreError::Damaged(format!("key table: {error}")))?,
                None => KeyTable::default(),
            };
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
        for view in self.views(store, run_id).await? {
            for object in &view.objects {
                let bytes = store.objects.get(&object.object_key).await?;
                let start = object.start_line;
                let found = blocking(move || {
                    let chunk = Chunk::from_parquet(bytes, Some(&["_step"])).map_err(damaged)?;
                    Ok(numbered_steps(start, &chunk))
                })
                .await?;
                steps.extend(found);
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
        self.entries.lock().remove(&Key::Tail { run_id });
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
            let bytes = store.objects.get(&object.object_key).await?;
            let x = x.to_owned();
            let decoded = blocking(move || {
                let mut wanted: Vec<&str> = vec![&x];
                wanted.extend(missing.iter().map(String::as_str).filter(|y| *y != x));
                let chunk = Chunk::from_parquet(bytes, Some(&wanted)).map_err(damaged)?;
                Ok(missing
                    .iter()
                    .map(|y| Arc::new(chunk.points(&x, y)))
                    .collect::<Vec<_>>())
            })
            .await?;
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

    async fn views(&self, store: &Store, run_id: i64) -> Result<Vec<StreamView>, StoreError> {
        let key = Key::Tail { run_id };
        let known = match self.entries.lock().get(&key) {
            Some(Kept::Tails(tails)) => tails,
            _ => Arc::default(),
        };
        // One snapshot for streams, objects and chunks: compaction moves lines from one to the other.
        let mut reader = store.snapshot().await?;
        let mut views = Vec::new();
        let mut grown = false;
        for stream in streams::of_run(&mut reader, run_id, StreamKind::History).await? {
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

impl Entries {
    fn get(&mut self, key: &Key) -> Option<Kept> {
        self.clock += 1;
        let entry = self.map.get_mut(key)?;
        self.by_use.remove(&entry.used);
        entry.used = self.clock;
        self.by_use.insert(self.clock, key.clone());
        Some(entry.kept.clone())
    }

    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.map.remove(key) {
            self.by_use.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }

    fn insert(&mut self, key: Key, kept: Kept, bytes: usize, limit_bytes: usize) {
        self.remove(&key);
        if bytes > limit_bytes {
            return;
        }
        self.clock += 1;
        let used = self.clock;
        self.by_use.insert(used, key.clone());
        self.map.insert(key, Entry { kept, bytes, used });
        self.bytes += bytes;
        while self.bytes > limit_bytes {
            let Some((_, oldest)) = self.by_use.pop_first() else {
                break;
            };
            if let Some(entry) = self.map.remove(&oldest) {
                self.bytes -= entry.bytes;
            }
        }
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
    if let Some(last) = tail.chunks.pop_if(|last| last.len() < SMALL_ROWS) {
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

/// Lines that are no rows (kept for the original client's line numbers) count as empty rows.
pub(crate) fn row_or_nothing(text: &str) -> &str {
    match runlane_model::json::visit_leaves(text, &mut |_, _| {}) {
        Ok(()) => text,
        Err(_no_row) => "{}",
    }
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
