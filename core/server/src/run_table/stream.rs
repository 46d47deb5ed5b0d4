//! Queries without a table: over named runs, and over projects that are too large for one.

use std::sync::Arc;

use runlane_model::run_filter::{Filter, Key};

use super::cursor::{Position, PositionKey};
use super::documents::Documents;
use super::search::{Gathering, position};
use super::{RunPage, RunQuery, blocking, gone, load};
use crate::error::{ApiError, StoreError};
use crate::store::runs::RunRow;
use crate::store::{Store, run_list};

/// Runs read at a time.
const PAGE: i64 = 100;

/// One page, from all runs of the project.
pub(super) async fn page(store: &Store, query: &RunQuery) -> Result<RunPage, ApiError> {
    let mut gathering = Gathering::new(&query.search, start(store, query).await?);
    let mut after_id = 0;
    loop {
        let rows = read(store, query.project_id, after_id).await?;
        let Some(last) = rows.last() else { break };
        after_id = last.id;
        gather(&mut gathering, query, rows).await?;
    }
    answer(store, query, gathering).await
}

/// One page, from the runs with these names.
pub(super) async fn named(
    store: &Store,
    query: &RunQuery,
    names: &[&str],
) -> Result<RunPage, ApiError> {
    let mut gathering = Gathering::new(&query.search, start(store, query).await?);
    for names in names.chunks(run_list::MANY) {
        let rows = {
            let mut reader = store.reader().await?;
            run_list::named(&mut reader, query.project_id, names).await?
        };
        gather(&mut gathering, query, rows).await?;
    }
    answer(store, query, gathering).await
}

/// The number of runs of the project that pass.
pub(super) async fn count(
    store: &Store,
    project_id: i64,
    filter: &Arc<Filter>,
) -> Result<i64, ApiError> {
    let mut total = 0;
    let mut after_id = 0;
    loop {
        let rows = read(store, project_id, after_id).await?;
        let Some(last) = rows.last() else {
            return Ok(total);
        };
        after_id = last.id;
        total += passing(filter, rows).await?;
    }
}

/// The number of runs with these names that pass.
pub(super) async fn count_named(
    store: &Store,
    project_id: i64,
    filter: &Arc<Filter>,
    names: &[&str],
) -> Result<i64, ApiError> {
    let mut total = 0;
    for names in names.chunks(run_list::MANY) {
        let rows = {
            let mut reader = store.reader().await?;
            run_list::named(&mut reader, project_id, names).await?
        };
        total += passing(filter, rows).await?;
    }
    Ok(total)
}

async fn passing(filter: &Arc<Filter>, rows: Vec<RunRow>) -> Result<i64, ApiError> {
    let filter = Arc::clone(filter);
    let count = blocking(move || {
        let passes = |run: &&RunRow| filter.matches(&Documents::new(run, filter.keys()));
        rows.iter().filter(passes).count()
    });
    Ok(i64::try_from(count.await?).unwrap_or(i64::MAX))
}

/// A page of its own connection, so that a long query holds none.
async fn read(store: &Store, project_id: i64, after_id: i64) -> Result<Vec<RunRow>, StoreError> {
    let mut reader = store.reader().await?;
    run_list::by_row_id(&mut reader, project_id, after_id, PAGE).await
}

/// The position behind which the page begins, with its value.
async fn start(store: &Store, query: &RunQuery) -> Result<Option<Position<'static>>, ApiError> {
    let Some(after) = &query.search.after else {
        return Ok(None);
    };
    if after.key != PositionKey::OfRun {
        return Ok(Some(after.clone()));
    }
    let runs = load(store, query.project_id, vec![(after.id, String::new())]).await?;
    let (run, _) = runs.first().ok_or_else(gone)?;
    Ok(Some(place(run, query.search.order_key())))
}

fn place(run: &RunRow, key: &Key) -> Position<'static> {
    let documents = Documents::new(run, &[]);
    position(documents.at(key), run.created_at_micros, run.id).into_owned()
}

async fn gather(
    gathering: &mut Gathering<'_, 'static>,
    query: &RunQuery,
    rows: Vec<RunRow>,
) -> Result<(), ApiError> {
    let search = Arc::clone(&query.search);
    let passing = blocking(move || {
        let filter = &search.filter;
        let passing = rows
            .iter()
            .filter(|run| filter.matches(&Documents::new(run, filter.keys())));
        passing
            .map(|run| place(run, search.order_key()))
            .collect::<Vec<_>>()
    });
    for run in passing.await? {
        gathering.add(run);
    }
    Ok(())
}

async fn answer(
    store: &Store,
    query: &RunQuery,
    gathering: Gathering<'_, 'static>,
) -> Result<RunPage, ApiError> {
    let found = gathering.finish();
    let ends = found
        .page
        .iter()
        .map(|run| (run.id, run.encode(&query.list)));
    let ends = ends.collect();
    Ok(RunPage {
        total: found.total,
        runs: load(store, query.project_id, ends).await?,
        has_next: found.has_next,
    })
}
