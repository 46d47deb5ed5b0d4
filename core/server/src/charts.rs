//! `POST /api/charts/series`: min, max and mean over any range of any series.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use runlane_history::{Bucketizer, Extent, SERIES_CONTENT_TYPE, Series, encode_series};
use serde::Deserialize;

use crate::error::{ApiError, StoreError};
use crate::extract::ApiJson;
use crate::history::cache::blocking;
use crate::state::AppState;
use crate::store::runs;

const MAX_SERIES: usize = 1_000;
const MAX_BUCKETS: usize = 10_000;
const DEFAULT_BUCKETS: usize = 1_000;

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
    let mut answers = Vec::with_capacity(request.series.len());
    for name in &request.series {
        answers.push(one(&state, &request, name).await?);
    }
    let bytes = encode_series(&answers);
    Ok(([(header::CONTENT_TYPE, SERIES_CONTENT_TYPE)], bytes).into_response())
}

async fn one(state: &AppState, request: &Request, name: &SeriesName) -> Result<Series, ApiError> {
    let mut parts = name.run.splitn(3, '/');
    let (Some(entity), Some(project), Some(run)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(ApiError::invalid(format!(
            "`{}` is not `entity/project/run`",
            name.run
        )));
    };
    let entity = state.resolve_entity(entity);
    let run = {
        let mut reader = state.store.reader().await?;
        runs::find(&mut reader, &entity, project, run).await?
    };
    let Some(run) = run else {
        return Ok(Series::unknown());
    };
    let pieces = state
        .history
        .series(&state.store, run.id, &request.x, &name.key)
        .await?;
    let Some(pieces) = pieces else {
        return Ok(Series::unknown());
    };
    let (range, buckets) = (request.range, request.buckets);
    let series = blocking(move || {
        let mut extent = Extent::EMPTY;
        for points in &pieces {
            extent.add(points);
        }
        let (low, high) = range.unwrap_or((extent.x_min, extent.x_max));
        let mut bucketizer = Bucketizer::new(low, high, buckets);
        for points in &pieces {
            bucketizer.add(points);
        }
        Ok::<_, StoreError>(Series {
            extent,
            ..bucketizer.finish()
        })
    })
    .await?;
    Ok(series)
}
