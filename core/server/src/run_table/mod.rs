//! Queries over the runs of a project: filter, order, page, count.
//!
//! A process keeps the runs of the projects that it is asked about as columns ([`table`]), so that a query reads of all runs
//! only the keys that it names, and from the database only the runs of its page. The columns are no truth: every query first
//! asks the database which runs have changed ([`refresh`]), so it sees all that was committed before it came, whichever
//! process wrote it. Tables are dropped when they have not been used for longest, and a project that would need more than
//! the bound is read from the database page by page ([`stream`]), with the same answer.
//!
//! Three kinds of queries need no table: all runs by creation, counts of all runs, and runs by their names.

mod bound;
mod column;
pub(crate) mod cursor;
pub(crate) mod documents;
mod refresh;
mod search;
mod stream;
mod table;
#[cfg(test)]
mod tests;
mod texts;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use regex::{Regex, RegexBuilder};
use runlane_model::run_filter::{Filter, FilterError, Key, Order, Pattern, ReadKey};

use self::cursor::{ListHash, Position, PositionKey};
use self::refresh::{ProjectTable, Refreshed};
pub(crate) use self::search::Search;
use crate::error::{ApiError, StoreError};
use crate::store::runs::RunRow;
use crate::store::{Store, run_list};

/// More names in a filter are looked up in the table.
const MAX_NAMES: usize = 500;
/// A project that was too large for the bound is not tried again for this long.
const TOO_LARGE_FOR: Duration = Duration::from_mins(10);
const MAX_REGEX_BYTES: usize = 1 << 20;

#[derive(Debug)]
struct Re(Regex);

impl Pattern for Re {
    fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

/// Reads a filter; null and empty text match everything.
pub(crate) fn parse_filter(text: Option<&str>) -> Result<Filter, ApiError> {
    parse_filter_with(text, &Key::parse)
}

/// As [`parse_filter`], over something else than runs.
pub(crate) fn parse_filter_with(
    text: Option<&str>,
    read_key: &ReadKey<'_>,
) -> Result<Filter, ApiError> {
    let compile = |pattern: &str| -> Result<Box<dyn Pattern>, String> {
        let built = RegexBuilder::new(pattern)
            .size_limit(MAX_REGEX_BYTES)
            .dfa_size_limit(MAX_REGEX_BYTES)
            .build();
        match built {
            Ok(regex) => Ok(Box::new(Re(regex))),
            Err(regex::Error::CompiledTooBig(_)) => {
                Err("a regular expression that is too large when compiled".to_owned())
            }
            // The library shows the place in several lines; the last one says what is wrong.
            Err(error) => {
                let text = error.to_string();
                let what = text.lines().last().unwrap_or_default();
                Err(format!(
                    "not a regular expression in RE2 syntax: {}",
                    what.trim_start_matches("error: ")
                ))
            }
        }
    };
    Filter::parse_with(text, &compile, read_key).map_err(|error: FilterError| {
        ApiError::new(
            http::StatusCode::BAD_REQUEST,
            "invalid_filter",
            error.to_string(),
        )
    })
}

/// Reads an order; the default is oldest first.
pub(crate) fn parse_order(text: Option<&str>) -> Result<Order, ApiError> {
    Order::parse(text).map_err(|what| {
        ApiError::new(
            http::StatusCode::BAD_REQUEST,
            "invalid_order",
            format!("invalid order: {what}"),
        )
    })
}

/// A question for runs, read and checked.
#[derive(Debug, Clone)]
pub(crate) struct RunQuery {
    project_id: i64,
    list: ListHash,
    search: Arc<Search>,
}

impl RunQuery {
    /// From the arguments of a list of runs.
    pub(crate) fn new(
        project_id: i64,
        filters: Option<&str>,
        order: Option<&str>,
        after: Option<&str>,
        first: usize,
    ) -> Result<Self, ApiError> {
        let filter = parse_filter(filters)?;
        let order = parse_order(order)?;
        let list = ListHash::new(project_id, &filter, &order);
        let after = after
            .filter(|after| !after.is_empty())
            .map(|after| cursor::decode(after, &list))
            .transpose()?;
        Ok(Self {
            project_id,
            list,
            search: Arc::new(Search {
                filter,
                order,
                after,
                first,
            }),
        })
    }
}

/// One page of runs.
#[derive(Debug)]
pub(crate) struct RunPage {
    /// Runs that pass the filter, on all pages.
    pub(crate) total: i64,
    /// The runs with their cursors.
    pub(crate) runs: Vec<(RunRow, String)>,
    pub(crate) has_next: bool,
}

enum Entry {
    Table {
        table: Arc<ProjectTable>,
        last_use: u64,
    },
    TooLarge {
        since: Instant,
    },
}

/// The tables of this process; cheap to clone.
#[derive(Clone)]
pub(crate) struct RunTables {
    entries: Arc<Mutex<Entries>>,
    limit_bytes: usize,
}

#[derive(Default)]
struct Entries {
    by_project: BTreeMap<i64, Entry>,
    uses: u64,
}

impl RunTables {
    /// Tables of at most `limit_bytes` together.
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self {
            entries: Arc::default(),
            limit_bytes,
        }
    }

    /// The runs of a page.
    pub(crate) async fn page(&self, store: &Store, query: &RunQuery) -> Result<RunPage, ApiError> {
        let search = &query.search;
        if search.filter.is_everything() && search.order.is_creation() {
            return by_creation(store, query).await;
        }
        if let Some(names) = search.filter.names()
            && names.len() <= MAX_NAMES
        {
            return stream::named(store, query, &names).await;
        }
        let Some(table) = self.current(store, query.project_id).await? else {
            return stream::page(store, query).await;
        };
        let asked = Arc::clone(search);
        let list = query.list.clone();
        let found = blocking(move || {
            let table = table.read();
            let found = search::in_table(&table, &asked)?;
            let ends = found
                .page
                .iter()
                .map(|run| (run.id, run.encode(&list)))
                .collect::<Vec<_>>();
            Some((found.total, ends, found.has_next))
        })
        .await?;
        let (total, ends, has_next) = found.ok_or_else(gone)?;
        Ok(RunPage {
            total,
            runs: load(store, query.project_id, ends).await?,
            has_next,
        })
    }

    /// The number of runs that pass a filter.
    pub(crate) async fn count(
        &self,
        store: &Store,
        project_id: i64,
        filter: Filter,
    ) -> Result<i64, ApiError> {
        let filter = Arc::new(filter);
        if filter.is_everything() {
            let mut reader = store.reader().await?;
            return Ok(run_list::count(&mut reader, project_id).await?);
        }
        if let Some(names) = filter.names()
            && names.len() <= MAX_NAMES
        {
            return stream::count_named(store, project_id, &filter, &names).await;
        }
        let Some(table) = self.current(store, project_id).await? else {
            return stream::count(store, project_id, &filter).await;
        };
        blocking(move || search::count_in_table(&table.read(), &filter)).await
    }

    /// The project's table as of now; none if it would be too large.
    async fn current(
        &self,
        store: &Store,
        project_id: i64,
    ) -> Result<Option<Arc<ProjectTable>>, StoreError> {
        for attempt in 0..2 {
            let Some(table) = self.entry(project_id) else {
                return Ok(None);
            };
            match table.refresh(store, project_id, self.limit_bytes).await? {
                Refreshed::Current => {
                    self.make_room(project_id);
                    return Ok(Some(table));
                }
                // What it has kept of keys that no run has any more may be what is too much.
                Refreshed::TooLarge { from_scratch } if !from_scratch && attempt == 0 => {
                    self.entries.lock().by_project.remove(&project_id);
                }
                Refreshed::TooLarge { .. } => break,
            }
        }
        tracing::warn!(
            project_id,
            limit_bytes = self.limit_bytes,
            "the runs of a project are too many to be kept; queries read them from the database"
        );
        let since = Instant::now();
        let mut entries = self.entries.lock();
        entries
            .by_project
            .insert(project_id, Entry::TooLarge { since });
        Ok(None)
    }

    fn entry(&self, project_id: i64) -> Option<Arc<ProjectTable>> {
        let mut entries = self.entries.lock();
        entries.uses += 1;
        let use_now = entries.uses;
        match entries.by_project.get_mut(&project_id) {
            Some(Entry::Table { table, last_use }) => {
                *last_use = use_now;
                return Some(Arc::clone(table));
            }
            Some(Entry::TooLarge { since }) if since.elapsed() < TOO_LARGE_FOR => return None,
            _ => {}
        }
        let table = Arc::new(ProjectTable::default());
        entries.by_project.insert(
            project_id,
            Entry::Table {
                table: Arc::clone(&table),
                last_use: use_now,
            },
        );
        Some(table)
    }

    /// Drops the tables that have not been used for longest until all fit; never that of `keep`.
    fn make_room(&self, keep: i64) {
        let mut entries = self.entries.lock();
        let mut tables: Vec<_> = entries
            .by_project
            .iter()
            .filter_map(|(project, entry)| match entry {
                Entry::Table { table, last_use } => Some((*last_use, *project, table.bytes())),
                Entry::TooLarge { .. } => None,
            })
            .collect();
        tables.sort_unstable();
        let mut total: usize = tables.iter().map(|(.., bytes)| bytes).sum();
        for (_, project, bytes) in tables {
            if total <= self.limit_bytes {
                break;
            }
            if project != keep {
                entries.by_project.remove(&project);
                total -= bytes;
            }
        }
    }
}

fn gone() -> ApiError {
    ApiError::new(
        http::StatusCode::BAD_REQUEST,
        "invalid_cursor",
        "the run at which `after` points is gone; begin again without it",
    )
}

/// Runs what would hold up other requests for too long.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_panicked| ApiError::unavailable("the query failed; try again"))
}

/// All runs by creation, which the database does by itself.
async fn by_creation(store: &Store, query: &RunQuery) -> Result<RunPage, ApiError> {
    let search = &query.search;
    let after = search.after.as_ref().map(|after| run_list::After {
        created_at_micros: after.created_at_micros,
        id: after.id,
    });
    let wanted = i64::try_from(search.first).unwrap_or(i64::MAX - 1) + 1;
    let mut reader = store.reader().await?;
    let total = run_list::count(&mut reader, query.project_id).await?;
    let mut rows = run_list::page(
        &mut reader,
        query.project_id,
        search.order.descending,
        after,
        wanted,
    )
    .await?;
    let has_next = rows.len() > search.first;
    rows.truncate(search.first);
    let with_cursor = |run: RunRow| {
        let position = Position {
            key: PositionKey::None,
            created_at_micros: run.created_at_micros,
            id: run.id,
        };
        let cursor = position.encode(&query.list);
        (run, cursor)
    };
    Ok(RunPage {
        total,
        runs: rows.into_iter().map(with_cursor).collect(),
        has_next,
    })
}

/// The runs with these row ids, in this order; those that have been deleted since are left out.
async fn load(
    store: &Store,
    project_id: i64,
    ends: Vec<(i64, String)>,
) -> Result<Vec<(RunRow, String)>, StoreError> {
    use futures::TryStreamExt as _;
    let mut reader = store.reader().await?;
    let mut loaded: BTreeMap<i64, RunRow> = BTreeMap::new();
    let ids: Vec<i64> = ends.iter().map(|(id, _)| *id).collect();
    for ids in ids.chunks(run_list::MANY) {
        let mut rows = run_list::some(&mut reader, project_id, ids);
        while let Some(row) = rows.try_next().await? {
            loaded.insert(row.id, row);
        }
    }
    let found = ends
        .into_iter()
        .filter_map(|(id, cursor)| Some((loaded.remove(&id)?, cursor)));
    Ok(found.collect())
}
