//! `POST /api/charts/series`: min, max and mean over any range of any series.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use runlane_history::{
    Bucketizer, Extent, Points, SERIES_CONTENT_TYPE, Series, encode_series, rates,
};
use runlane_model::key_path::KeyPath;
use serde::Deserialize;

use crate::auth::Caller;
use crate::auth::access::{Access, Action};
use crate::error::{ApiError, StoreError};
use crate::extract::ApiJson;
use crate::history::cache::SeriesPoints;
use crate::history::columns::blocking;
use crate::state::AppState;
use crate::store::streams::StreamKind;

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
    #[serde(default)]
    stream: Stream,
    /// The change per unit of x instead of the value, for counters.
    #[serde(default)]
    rate: bool,
}

/// Which rows of a run a series is of.
#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
enum Stream {
    #[default]
    History,
    /// System metrics.
    Events,
}

impl Stream {
    fn kind(self) -> StreamKind {
        match self {
            Self::History => StreamKind::History,
            Self::Events => StreamKind::Events,
        }
    }

    /// The column of a key. Rows of system metrics are flat: a dot in a key is part of its name, not a level.
    fn column(self, key: &str) -> String {
        match self {
            Self::History => key.to_owned(),
            Self::Events => KeyPath::flat(key).to_string(),
        }
    }
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
    Extension(Caller(account)): Extension<Caller>,
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
    let mut by_rows: BTreeMap<(&str, Stream), Vec<usize>> = BTreeMap::new();
    for (index, name) in request.series.iter().enumerate() {
        let rows = (name.run.as_str(), name.stream);
        by_rows.entry(rows).or_default().push(index);
    }
    let mut answers = vec![Series::unknown(); request.series.len()];
    for ((run, stream), indexes) in by_rows {
        let Some(run_id) = find_run(Access::new(&state, &account), &state, run).await? else {
            continue;
        };
        for some in indexes.chunks(KEYS_AT_ONCE) {
            let columns: Vec<String> = some
                .iter()
                .map(|index| stream.column(&request.series[*index].key))
                .collect();
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            let found = state
                .history
                .series(&state.store, (run_id, stream.kind()), &request.x, &columns)
                .await?;
            let (range, buckets) = (request.range, request.buckets);
            let rated: Vec<bool> = some
                .iter()
                .map(|index| request.series[*index].rate)
                .collect();
            let bucketed = blocking(move || {
                let bucketed = found.into_iter().zip(rated).map(|(streams, rate)| {
                    let Some(streams) = streams else {
                        return Series::unknown();
                    };
                    bucketize(&pieces_of(streams, rate), range, buckets)
                });
                Ok::<_, StoreError>(bucketed.collect::<Vec<_>>())
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

/// The row id of the run `entity/project/run`; none if there is no such run that the caller may see.
async fn find_run(
    access: Access<'_>,
    state: &AppState,
    path: &str,
) -> Result<Option<i64>, ApiError> {
    let mut parts = path.splitn(3, '/');
    let (Some(entity), Some(project), Some(run)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(ApiError::invalid(format!(
            "`{path}` is not `entity/project/run`"
        )));
    };
    let mut reader = state.store.reader().await?;
    let run = access
        .run(&mut reader, (entity, project, run), Action::Read)
        .await;
    match run {
        Ok(run) => Ok(run.map(|run| run.id)),
        Err(error) if error.status == http::StatusCode::NOT_FOUND => Ok(None),
        Err(error) => Err(error),
    }
}

/// All points of a series, or the rates of each stream by itself: what one writer counts says nothing about another.
fn pieces_of(streams: SeriesPoints, rate: bool) -> Vec<Arc<Points>> {
    if !rate {
        return streams.into_iter().flatten().collect();
    }
    streams
        .iter()
        .map(|pieces| Arc::new(rates(pieces.iter().map(Arc::as_ref))))
        .collect()
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
