//! Columns of runs, decoded once and kept for the next question.
//!
//! Four kinds of things are kept, all within one bound in bytes, the least recently used going first:
//!
//! - the decoded tail of a stream, which grows with it (only new lines are decoded);
//! - a Parquet object that is read page by page;
//! - where the columns of a Parquet object are, so that only the bytes of those asked for are read;
//! - the points of one series in one object, which never change.
//!
//! All of them are kept by stream, so that runs that were forked from each other share them.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use runlane_history::{Chunk, FileIndex, KeyTable, Points};

use super::columns::{
    blocking, chunk_bytes, damaged, kept_rows, length_of, numbered_steps, points_over,
    row_or_nothing,
};
use super::lineage::{self, Bounds, Source};
use super::lines;
use super::recent::Recent;
use crate::error::StoreError;
use crate::store::chunks::{self, ObjectRow};
use crate::store::lineage as stored_lineage;
use crate::store::streams::{self, StreamKind, StreamRow};
use crate::store::{Connection, Store};

/// Database chunks decoded into one column chunk.
const PAGE_CHUNKS: i64 = 64;
/// A column chunk shorter than this, in rows and in bytes, is decoded again with the lines that follow it, so that a run
/// that logs a row a second does not end up with a column chunk per row, nor one with hundreds of keys decode much anew.
const SMALL_ROWS: usize = 4_096;
const SMALL_BYTES: usize = 1 << 20;
const SERIES_OVERHEAD_BYTES: usize = 160;
/// Bytes at the end of an object that are read at first; the index of some hundred columns fits.
const END_BYTES: u64 = 64 << 10;
/// Memory of an index, relative to its bytes in the file, roughly.
const INDEX_FACTOR: usize = 6;

/// The points of one series, source by source, in each piece by piece in the order of the rows.
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

/// A source of a run's rows: what is in objects, each with what counts of it, and the decoded tail.
struct View {
    source: Source,
    objects: Vec<(ObjectRow, Bounds)>,
    tail: Tail,
}

impl View {
    /// The chunks of the tail that have rows that count, and which of theirs do; `None` for all.
    fn tail_chunks(&self) -> impl Iterator<Item = (&Arc<Chunk>, i64, Option<Vec<bool>>)> {
        let mut start = self.tail.start;
        self.tail.chunks.iter().filter_map(move |chunk| {
            let first = start;
            let end = first + length_of(chunk);
            start = end;
            let bounds = self.source.bounds.within(first, end, None)?;
            Some((chunk, first, kept_rows(chunk, first, bounds)))
        })
    }
}

/// Consecutive rows of a source, all in one place.
pub(super) struct Piece {
    /// Which of the run's sources.
    pub(super) source: usize,
    pub(super) start_line: i64,
    /// What of the place counts.
    pub(super) bounds: Bounds,
    /// The smallest and largest step of the place; unknown where lines have none.
    pub(super) steps: Option<(i64, i64)>,
    pub(super) place: Place,
}

/// Where rows are.
pub(super) enum Place {
    Object(ObjectRow),
    Decoded(Arc<Chunk>),
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Tail {
        stream_id: i64,
    },
    Index {
        object_id: i64,
    },
    Object {
        object_id: i64,
    },
    Series {
        object_id: i64,
        /// What counts of the object.
        bounds: Bounds,
        x: String,
        y: String,
    },
}

#[derive(Clone)]
enum Kept {
    Tail(Arc<Tail>),
    Index(FileIndex),
    Object(Arc<Chunk>),
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
            for (object, bounds) in &view.objects {
                let found = self
                    .object_points(store, (object, *bounds), x, keys)
                    .await?;
                for (at, points) in found.into_iter().enumerate() {
                    add(at, !points.is_empty(), points);
                }
            }
            for (chunk, _, kept) in view.tail_chunks() {
                let found = points_over(chunk, x, keys, kept.as_deref());
                for (at, points) in found.into_iter().enumerate() {
                    let known = kept.is_none() && chunk.column(keys[at]).is_some();
                    add(at, known || !points.is_empty(), points);
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
        if kind == StreamKind::History {
            let inherited = inherited_keys(&mut reader, run_id).await?;
            let numeric = inherited
                .iter()
                .filter(|(_, stats)| stats.type_counts.contains_key("number"));
            keys.extend(numeric.map(|(key, _)| key.to_owned()));
        }
        for view in views.iter().filter(|view| !view.source.inherited) {
            let compacted = compacted_keys(&mut reader, view.source.stream.id).await?;
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
        let mut own: Option<KeyTable> = None;
        let mut reader = store.reader().await?;
        for view in views.iter().filter(|view| !view.source.inherited) {
            let mut table = compacted_keys(&mut reader, view.source.stream.id).await?;
            for chunk in &view.tail.chunks {
                table.add_chunk(chunk);
            }
            match &mut own {
                Some(own) => own.merge(&table),
                None => own = Some(table),
            }
        }
        let mut joined = inherited_keys(&mut reader, run_id).await?;
        joined.follow(&own.unwrap_or_default());
        Ok(joined)
    }

    /// The step of every row, ascending; the line's number where a row has none.
    pub(crate) async fn steps(&self, store: &Store, run_id: i64) -> Result<Vec<i64>, StoreError> {
        let mut steps = Vec::new();
        for view in self.views(store, run_id, StreamKind::History).await? {
            for (object, bounds) in &view.objects {
                let (start, bounds) = (object.start_line, *bounds);
                let keys = vec!["_step".to_owned()];
                let found = self.object_columns(store, object, keys, move |chunk| {
                    let kept = kept_rows(chunk, start, bounds);
                    numbered_steps(start, chunk, kept.as_deref())
                });
                steps.extend(found.await?);
            }
            for (chunk, start, kept) in view.tail_chunks() {
                steps.extend(numbered_steps(start, chunk, kept.as_deref()));
            }
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// Where the rows of a run are, source by source in the order of their lines; the tail is decoded.
    pub(super) async fn pieces(
        &self,
        store: &Store,
        run_id: i64,
        kind: StreamKind,
    ) -> Result<Vec<Piece>, StoreError> {
        let mut pieces = Vec::new();
        for (source, view) in self
            .views(store, run_id, kind)
            .await?
            .into_iter()
            .enumerate()
        {
            let tail: Vec<Piece> = view
                .tail_chunks()
                .map(|(chunk, start_line, _)| Piece {
                    source,
                    start_line,
                    bounds: view.source.bounds,
                    steps: chunk
                        .steps()
                        .into_iter()
                        .try_fold(None, |range, step| {
                            let step = step?;
                            let (min, max) = range.unwrap_or((step, step));
                            Some(Some((step.min(min), step.max(max))))
                        })
                        .flatten(),
                    place: Place::Decoded(Arc::clone(chunk)),
                })
                .collect();
            let objects = view.objects.into_iter().map(|(object, bounds)| Piece {
                source,
                start_line: object.start_line,
                bounds,
                steps: object.min_step.zip(object.max_step),
                place: Place::Object(object),
            });
            pieces.extend(objects.chain(tail));
        }
        Ok(pieces)
    }

    /// One whole object, kept for the next question.
    pub(super) async fn kept_object(
        &self,
        store: &Store,
        object: &ObjectRow,
    ) -> Result<Arc<Chunk>, StoreError> {
        let key = Key::Object {
            object_id: object.id,
        };
        if let Some(Kept::Object(chunk)) = self.entries.lock().get(&key) {
            return Ok(chunk);
        }
        let chunk = Arc::new(self.object(store, object, None).await?);
        let bytes = chunk_bytes(&chunk);
        self.keep(key, Kept::Object(Arc::clone(&chunk)), bytes);
        Ok(chunk)
    }

    /// One object, with the columns of `names` or all.
    pub(super) async fn object(
        &self,
        store: &Store,
        object: &ObjectRow,
        names: Option<Vec<String>>,
    ) -> Result<Chunk, StoreError> {
        if let Some(names) = names {
            return self
                .object_columns(store, object, names, Chunk::clone)
                .await;
        }
        let bytes = store.objects.get(&object.object_key).await?;
        blocking(move || Chunk::from_parquet(bytes, None).map_err(damaged)).await
    }

    /// The points of each of `keys` in one object; it is read once for all that are not kept.
    async fn object_points(
        &self,
        store: &Store,
        (object, bounds): (&ObjectRow, Bounds),
        x: &str,
        keys: &[&str],
    ) -> Result<Vec<Arc<Points>>, StoreError> {
        let key_of = |y: &str| Key::Series {
            object_id: object.id,
            bounds,
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
            let mut wanted: BTreeSet<String> = missing.iter().cloned().collect();
            wanted.insert(x.clone());
            if bounds.max_step.is_some() {
                wanted.insert("_step".to_owned());
            }
            let start = object.start_line;
            let wanted = wanted.into_iter().collect();
            let decoded = self.object_columns(store, object, wanted, move |chunk| {
                let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
                let kept = kept_rows(chunk, start, bounds);
                points_over(chunk, &x, &missing, kept.as_deref())
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
    ) -> Result<Vec<View>, StoreError> {
        // One snapshot for streams, objects and chunks: compaction moves lines from one to the other.
        let mut reader = store.snapshot().await?;
        let mut views = Vec::new();
        for source in lineage::sources(&mut reader, run_id, kind).await? {
            let objects = chunks::objects(&mut reader, source.stream.id).await?;
            let objects = objects.into_iter().filter_map(|object| {
                let end = object.start_line + object.line_count;
                let steps = object.min_step.zip(object.max_step);
                let bounds = source.bounds.within(object.start_line, end, steps)?;
                Some((object, bounds))
            });
            let objects = objects.collect();
            let tail = if source.bounds.end_line > source.stream.compacted_lines {
                self.tail(&mut reader, &source.stream).await?
            } else {
                Tail::default()
            };
            views.push(View {
                source,
                objects,
                tail,
            });
        }
        Ok(views)
    }

    /// The decoded tail of a stream.
    async fn tail(&self, reader: &mut Connection, stream: &StreamRow) -> Result<Tail, StoreError> {
        let key = Key::Tail {
            stream_id: stream.id,
        };
        let known = match self.entries.lock().get(&key) {
            Some(Kept::Tail(tail)) if tail.start == stream.compacted_lines => Some(tail),
            _ => None,
        };
        if let Some(tail) = &known
            && tail.end == stream.contiguous_lines
        {
            return Ok(Tail::clone(tail));
        }
        let tail = grow(reader, stream, known.as_deref().cloned()).await?;
        let size = tail.chunks.iter().map(|chunk| chunk_bytes(chunk)).sum();
        self.keep(key, Kept::Tail(Arc::new(tail.clone())), size);
        Ok(tail)
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
        tail.end -= length_of(&last);
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
        tail.end += length_of(&chunk);
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

/// What is known of the keys of a run's inherited rows. Parts of one run stand beside each other, those of its forks behind them.
async fn inherited_keys(reader: &mut Connection, run_id: i64) -> Result<KeyTable, StoreError> {
    let mut joined = KeyTable::default();
    let mut level: Option<(i64, KeyTable)> = None;
    for (owner, text) in stored_lineage::key_tables(reader, run_id).await? {
        let table = KeyTable::from_json(&text)
            .map_err(|error| StoreError::Damaged(format!("key table: {error}")))?;
        match &mut level {
            Some((run, beside)) if *run == owner => beside.merge(&table),
            _ => {
                if let Some((_, before)) = level.replace((owner, table)) {
                    joined.follow(&before);
                }
            }
        }
    }
    if let Some((_, last)) = level {
        joined.follow(&last);
    }
    Ok(joined)
}
