//! `POST /api/charts/series`: min, max and mean over any range of any series.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use runlane_history::{Bucketizer, Extent, Points, SERIES_CONTENT_TYPE, Series, encode_series};
use serde::Deserialize;

use crate::error::{ApiError, StoreError};
use crate::extract::ApiJson;
use crate::history::cache::blocking;
use crate::state::AppState;
use crate::store::runs;

const MAX_SERIES: usize = 1_000;
const MAX_BUCKETS: usize = 10_000;
const DEFAULT_BUCKETS: usize = 1_000;
/// Series of one run that are in memory at once: 16 MB each for a million points.
const KEYS_AT_ONCE: usize = 8;

#[derive(Deserialize)]
pub(crate) struct Request {
    #[serde(default = "default_x")]
    x: String,
    range: Option<(f64, f64)>,
    #[serde(default = "default_buckets")]
    buckets: usize,
    series: Vec<SeriesName>,
}

#[derive(Deserialize)]
struct SeriesName {
    run: String,
    key: String,
}

fn default_x() -> String {
    "_step".into()
}

fn default_buckets() -> usize {
    DEFAULT_BUCKETS
}

/// Answers with one packed series per question, in order.
pub(crate) async fn series(
    State(state): State<AppState>,
    ApiJson(request): ApiJson<Request>,
) -> Result<Response, ApiError> {
    if request.series.len() > MAX_SERIES {
        return Err(ApiError::invalid(format!(
            "more than {MAX_SERIES} series in one request"
        )));
    }
    if !(1..=MAX_BUCKETS).contains(&request.buckets) {
        return Err(ApiError::invalid(format!(
            "`buckets` must be between 1 and {MAX_BUCKETS}"
        )));
    }
    if let Some((low, high)) = request.range
        && !(low.is_finite() && high.is_finite() && low <= high)
    {
        return Err(ApiError::invalid(
            "`range` must be two finite numbers, the smaller first",
        ));
    }
    let mut by_run: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, name) in request.series.iter().enumerate() {
        by_run.entry(&name.run).or_default().push(index);
    }
    let mut answers = vec![Series::unknown(); request.series.len()];
    for (run, indexes) in by_run {
        let Some(run_id) = find_run(&state, run).await? else {
            continue;
        };
        for some in indexes.chunks(KEYS_AT_ONCE) {
            let keys: Vec<&str> = some
                .iter()
                .map(|index| request.series[*index].key.as_str())
                .collect();
            let found = state
                .history
                .series(&state.store, run_id, &request.x, &keys)
                .await?;
            let (range, buckets) = (request.range, request.buckets);
            let bucketed = blocking(move || {
                Ok::<_, StoreError>(
                    found
                        .into_iter()
                        .map(|pieces| match pieces {
                            Some(pieces) => bucketize(&pieces, range, buckets),
                            None => Series::unknown(),
                        })
                        .collect::<Vec<_>>(),
                )
            })
            .await?;
            for (index, series) in some.iter().zip(bucketed) {
                answers[*index] = series;
            }
        }
    }
    let bytes = encode_series(&answers);
    Ok(([(header::CONTENT_TYPE, SERIES_CONTENT_TYPE)], bytes).into_response())
}

/// The row id of the run `entity/project/run`; none if there is no such run.
async fn find_run(state: &AppState, path: &str) -> Result<Option<i64>, ApiError> {
    let mut parts = path.splitn(3, '/');
    let (Some(entity), Some(project), Some(run)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(ApiError::invalid(format!(
            "`{path}` is not `entity/project/run`"
        )));
    };
    let entity = state.resolve_entity(entity);
    let mut reader = state.store.reader().await?;
    Ok(runs::find(&mut reader, &entity, project, run)
        .await?
        .map(|run| run.id))
}

fn bucketize(pieces: &[Arc<Points>], range: Option<(f64, f64)>, buckets: usize) -> Series {
    let mut extent = Extent::EMPTY;
    for points in pieces {
        extent.add(points);
    }
    let (low, high) = range.unwrap_or((extent.x_min, extent.x_max));
    let mut bucketizer = Bucketizer::new(low, high, buckets);
    for points in pieces {
        bucketizer.add(points);
    }
    Series {
        extent,
        ..bucketizer.finish()
    }
}
