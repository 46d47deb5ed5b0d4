//! Bringing a project's table up to date.
//!
//! Every run has a version that grows with each change of it. The database adds up the versions of 64 neighbouring runs at a
//! time, which is a walk over an index; where a sum differs from the table's, the versions themselves are compared, and runs
//! whose version differs are read. That needs no clock and no order of commits: what a commit changed differs, whoever
//! committed it and whenever, so a table is right with any number of server processes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use futures::TryStreamExt as _;
use parking_lot::{RwLock, RwLockReadGuard};

use super::table::{BUCKET, BucketMark, RunTable};
use crate::error::StoreError;
use crate::store::runs::RunRow;
use crate::store::{Store, run_list};

/// Documents that are read into columns at a time.
const BATCH_BYTES: usize = 4 << 20;

/// How a refresh ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refreshed {
    Current,
    /// It needs more than the bound; it was empty before, or not.
    TooLarge {
        from_scratch: bool,
    },
}

/// The table of one project.
#[derive(Debug, Default)]
pub(super) struct ProjectTable {
    table: Arc<RwLock<RunTable>>,
    bytes: AtomicUsize,
    /// One refresh at a time.
    gate: tokio::sync::Mutex<()>,
    /// Refreshes that began, and the last one that ended well.
    begun: AtomicU64,
    ended: AtomicU64,
}

/// What differs between database and table.
#[derive(Debug, Default)]
struct Difference {
    /// Runs to read, with their versions.
    changed: Vec<(i64, i64)>,
    gone: Vec<i64>,
}

impl ProjectTable {
    /// The table, as the last refresh left it or newer.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, RunTable> {
        self.table.read()
    }

    /// Memory, as of the last refresh.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Takes in everything that was committed before this call.
    pub(super) async fn refresh(
        &self,
        store: &Store,
        project_id: i64,
        limit_bytes: usize,
    ) -> Result<Refreshed, StoreError> {
        let before = self.begun.load(Ordering::SeqCst);
        let _gate = self.gate.lock().await;
        // Many queries come at once: one refresh that began after they came is enough for all.
        if self.ended.load(Ordering::SeqCst) > before {
            return Ok(Refreshed::Current);
        }
        let this = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let from_scratch = {
            let mut table = self.table.write();
            if table.is_worn() {
                *table = RunTable::default();
            }
            table.marks().is_empty()
        };
        let difference = self.difference(store, project_id).await?;
        if !difference.changed.is_empty() || !difference.gone.is_empty() {
            let fits = self
                .apply(store, project_id, difference, limit_bytes)
                .await?;
            if !fits {
                return Ok(Refreshed::TooLarge { from_scratch });
            }
        }
        self.ended.store(this, Ordering::SeqCst);
        Ok(Refreshed::Current)
    }

    async fn difference(&self, store: &Store, project_id: i64) -> Result<Difference, StoreError> {
        let mut reader = store.reader().await?;
        let stored = run_list::buckets(&mut reader, project_id, BUCKET).await?;
        let buckets = self.differing(&stored);
        let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else {
            return Ok(Difference::default());
        };
        let range = (first * BUCKET, (last + 1) * BUCKET);
        let versions = run_list::versions(&mut reader, project_id, BUCKET, range).await?;
        Ok(self.compare(&buckets, &versions))
    }

    fn differing(&self, stored: &[run_list::BucketRow]) -> BTreeSet<i64> {
        let table = self.table.read();
        let mut known = table.marks().clone();
        let mut buckets = BTreeSet::new();
        for row in stored {
            let mark = BucketMark {
                runs: row.runs,
                ids: row.ids,
                versions: row.versions,
            };
            if known.remove(&row.bucket) != Some(mark) {
                buckets.insert(row.bucket);
            }
        }
        buckets.extend(known.into_keys());
        buckets
    }

    fn compare(&self, buckets: &BTreeSet<i64>, versions: &[(i64, i64)]) -> Difference {
        let table = self.table.read();
        let mut known: BTreeMap<i64, i64> = buckets
            .iter()
            .flat_map(|bucket| table.versions_in(*bucket))
            .collect();
        let mut changed = Vec::new();
        for (id, version) in versions {
            if buckets.contains(&id.div_euclid(BUCKET)) && known.remove(id) != Some(*version) {
                changed.push((*id, *version));
            }
        }
        Difference {
            changed,
            gone: known.into_keys().collect(),
        }
    }

    /// Reads what differs; false if the table becomes too large.
    async fn apply(
        &self,
        store: &Store,
        project_id: i64,
        difference: Difference,
        limit_bytes: usize,
    ) -> Result<bool, StoreError> {
        let mut reader = store.reader().await?;
        let mut batch = Batch {
            gone: difference.gone.into_iter().map(|id| (id, None)).collect(),
            ..Batch::default()
        };
        for runs in difference.changed.chunks(run_list::MANY) {
            let ids: Vec<i64> = runs.iter().map(|(id, _)| *id).collect();
            let mut hidden: BTreeMap<i64, i64> = runs.iter().copied().collect();
            let mut rows = run_list::some(&mut reader, project_id, &ids);
            while let Some(row) = rows.try_next().await? {
                hidden.remove(&row.id);
                batch.bytes += row.config.len() + row.summary.len() + 1_000;
                batch.rows.push(row);
                if batch.bytes > BATCH_BYTES && !self.write(&mut batch, limit_bytes).await {
                    return Ok(false);
                }
            }
            // Those that have not come.
            let hidden = hidden.into_iter();
            batch
                .gone
                .extend(hidden.map(|(id, version)| (id, Some(version))));
        }
        Ok(self.write(&mut batch, limit_bytes).await)
    }

    async fn write(&self, batch: &mut Batch, limit_bytes: usize) -> bool {
        let rows = std::mem::take(&mut batch.rows);
        let gone = std::mem::take(&mut batch.gone);
        batch.bytes = 0;
        let table = Arc::clone(&self.table);
        let written = tokio::task::spawn_blocking(move || {
            let mut table = table.write();
            for (id, version) in gone {
                table.remove(id, version);
            }
            for row in &rows {
                table.put(row);
            }
            table.bytes()
        })
        .await;
        let Ok(bytes) = written else {
            // A bug; the next refresh begins with an empty table.
            *self.table.write() = RunTable::default();
            return false;
        };
        self.bytes.store(bytes, Ordering::Relaxed);
        bytes <= limit_bytes
    }
}

/// Runs on their way into the table.
#[derive(Debug, Default)]
struct Batch {
    rows: Vec<RunRow>,
    bytes: usize,
    /// Row ids to take out, with their versions if they are still there.
    gone: Vec<(i64, Option<i64>)>,
}
