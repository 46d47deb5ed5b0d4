//! The fields of a run that read its lines.

use async_graphql::SimpleObject;
use runlane_model::json::{Object, Value, parse_object};
use runlane_model::key_path::KeyPath;
use serde::Deserialize;

use super::Scope;
use super::page::{Page, PageInfo};
use super::scalars::{Json, JsonString};
use crate::error::ApiError;
use crate::history::reader;
use crate::history::scan::{Wanted, sample_keys, steps_of, window};
use crate::logs::{self, LogLine as StoredLine};
use crate::store::runs::RunRow;
use crate::store::streams::{self, StreamKind};

const DEFAULT_SAMPLES: usize = 500;
/// Rows in one answer.
const MAX_SAMPLES: usize = 100_000;
const MAX_SPECS: usize = 100;
/// Steps of `Run.keySteps`: more than a slider has places.
const MAX_KEY_STEPS: usize = 10_000;
const MAX_SPEC_KEYS: usize = 1_000;

/// One of the series that `sampledHistory` asks for.
#[derive(Deserialize)]
struct Spec {
    keys: Vec<String>,
    samples: Option<usize>,
    #[serde(rename = "minStep")]
    min_step: Option<i64>,
    #[serde(rename = "maxStep")]
    max_step: Option<i64>,
}

fn checked_samples(samples: Option<i32>) -> Result<usize, ApiError> {
    match samples {
        None => Ok(DEFAULT_SAMPLES),
        Some(samples) => usize::try_from(samples)
            .map(|samples| samples.min(MAX_SAMPLES))
            .map_err(|_negative| ApiError::invalid("`samples` must not be negative")),
    }
}

/// Stored history lines of one writer in shared mode.
pub(super) async fn lines_of(scope: &Scope, run_id: i64, client: &str) -> Result<i64, ApiError> {
    let mut reader = scope.state.store.reader().await?;
    let state = streams::state(&mut reader, run_id, StreamKind::History, client).await?;
    Ok(state.contiguous)
}

/// `Run.history`: a window of all rows, or a sample of the whole run.
pub(super) async fn rows(
    scope: &Scope,
    run_id: i64,
    (min_step, max_step): (Option<i64>, Option<i64>),
    samples: Option<i32>,
) -> Result<Vec<String>, ApiError> {
    let limit = checked_samples(samples)?;
    let store = &scope.state.store;
    if min_step.is_some() || max_step.is_some() {
        let (min_step, max_step) = (min_step.unwrap_or(i64::MIN), max_step.unwrap_or(i64::MAX));
        // The client sizes its pages by steps; where a step has several rows, all of them are due.
        let width = usize::try_from(max_step.saturating_sub(min_step)).unwrap_or(0);
        let limit = if width <= limit { MAX_SAMPLES } else { limit };
        let steps = (min_step, max_step);
        return Ok(window(&scope.state.history, store, run_id, steps, limit).await?);
    }
    let rows = reader::sample(store, run_id, StreamKind::History, limit).await?;
    Ok(rows.into_iter().map(|row| row.text).collect())
}

/// `Run.events`: a sample of the system metrics.
pub(super) async fn events(
    scope: &Scope,
    run_id: i64,
    samples: Option<i32>,
) -> Result<Vec<String>, ApiError> {
    let limit = checked_samples(samples)?;
    let rows = reader::sample(&scope.state.store, run_id, StreamKind::Events, limit).await?;
    Ok(rows.into_iter().map(|row| row.text).collect())
}

/// `Run.sampledHistory`: per spec, rows that have all its keys.
pub(super) async fn sampled(
    scope: &Scope,
    run_id: i64,
    specs: &[JsonString],
) -> Result<Vec<Json>, ApiError> {
    if specs.len() > MAX_SPECS {
        return Err(ApiError::invalid(format!(
            "more than {MAX_SPECS} specs in one request"
        )));
    }
    let mut series = Vec::with_capacity(specs.len());
    for text in specs {
        let spec: Spec = serde_json::from_str(&text.0)
            .map_err(|error| ApiError::invalid(format!("`specs`: {error}")))?;
        if spec.keys.len() > MAX_SPEC_KEYS {
            return Err(ApiError::invalid(format!(
                "more than {MAX_SPEC_KEYS} keys in one spec"
            )));
        }
        let samples = spec.samples.unwrap_or(DEFAULT_SAMPLES).min(MAX_SAMPLES);
        let wanted = Wanted {
            keys: Some(spec.keys),
            min_step: spec.min_step.unwrap_or(i64::MIN),
            // Inclusive here, unlike in `history`.
            max_step: spec
                .max_step
                .map_or(i64::MAX, |step| step.saturating_add(1)),
        };
        let state = &scope.state;
        let rows = sample_keys(&state.history, &state.store, run_id, wanted, samples).await?;
        series.push(Json(
            rows.into_iter()
                .map(|row| Value::Object(row).to_strict())
                .collect(),
        ));
    }
    Ok(series)
}

/// `Run.keySteps`: where a key was logged, without its values, which may be large.
pub(super) async fn key_steps(
    scope: &Scope,
    run_id: i64,
    key: String,
    min_step: Option<i64>,
) -> Result<Vec<i64>, ApiError> {
    let wanted = Wanted {
        keys: Some(vec![key]),
        min_step: min_step.unwrap_or(i64::MIN),
        max_step: i64::MAX,
    };
    let state = &scope.state;
    Ok(steps_of(&state.history, &state.store, run_id, wanted, MAX_KEY_STEPS).await?)
}

/// Rows that are not in Parquet files which the client could read itself.
#[derive(SimpleObject)]
#[graphql(name = "ParquetHistory")]
pub(crate) struct ParquetHistory {
    parquet_urls: Vec<String>,
    live_data: Vec<Json>,
}

/// `Run.parquetHistory`: all rows count as live.
pub(super) async fn live(
    scope: &Scope,
    run_id: i64,
    live_keys: &[String],
) -> Result<ParquetHistory, ApiError> {
    let live_data = if live_keys.iter().all(|key| key == "_step") {
        let steps = scope
            .state
            .history
            .steps(&scope.state.store, run_id)
            .await?;
        steps
            .into_iter()
            .map(|step| Json(serde_json::json!({"_step": step})))
            .collect()
    } else {
        let mut keys = vec!["_step".to_owned()];
        keys.extend(live_keys.iter().filter(|key| *key != "_step").cloned());
        let wanted = Wanted {
            keys: Some(keys),
            min_step: i64::MIN,
            max_step: i64::MAX,
        };
        let state = &scope.state;
        let rows = sample_keys(&state.history, &state.store, run_id, wanted, usize::MAX).await?;
        rows.into_iter()
            .map(|row| Json(Value::Object(row).to_strict()))
            .collect()
    };
    Ok(ParquetHistory {
        parquet_urls: Vec::new(),
        live_data,
    })
}

/// `Run.historyKeys`.
pub(super) async fn keys(scope: &Scope, run_id: i64) -> Result<Json, ApiError> {
    let table = scope
        .state
        .history
        .key_table(&scope.state.store, run_id)
        .await?;
    if table.is_empty() {
        return Ok(Json(serde_json::Value::Null));
    }
    Ok(Json(table.history_keys().to_strict()))
}

/// `Run.historyTail` and `eventsTail`: a JSON array of the last row's text.
pub(super) async fn tail(
    scope: &Scope,
    run_id: i64,
    kind: StreamKind,
) -> Result<JsonString, ApiError> {
    let last = reader::last(&scope.state.store, run_id, kind).await?;
    let rows: Vec<String> = last.map(|row| row.text).into_iter().collect();
    Ok(JsonString(serde_json::Value::from(rows).to_string()))
}

/// `Run.systemMetrics`: the last value of each `system.…` key. A host samples its resources one by one, each into rows of
/// its own, so the last row alone does not have them all.
pub(super) async fn system_metrics(scope: &Scope, run_id: i64) -> Result<JsonString, ApiError> {
    let rows = reader::recent(&scope.state.store, run_id, StreamKind::Events).await?;
    let mut rows: Vec<Object> = rows
        .iter()
        .filter_map(|text| parse_object(text).ok())
        .collect();
    // Of the same key in rows of several writers the newest counts.
    rows.sort_by(|left, right| sampled_at(left).total_cmp(&sampled_at(right)));
    let kept: Object = rows
        .into_iter()
        .flatten()
        .filter(|(key, _)| key.starts_with("system."))
        .collect();
    Ok(JsonString(Value::Object(kept).to_string()))
}

fn sampled_at(row: &Object) -> f64 {
    row.get("_timestamp")
        .and_then(Value::as_f64)
        .unwrap_or(f64::NEG_INFINITY)
}

/// `Run.systemMetricKeys`: the keys of the system metrics that have numbers.
pub(super) async fn system_metric_keys(
    scope: &Scope,
    run_id: i64,
) -> Result<Vec<String>, ApiError> {
    let state = &scope.state;
    let keys = state
        .history
        .numeric_keys(&state.store, run_id, StreamKind::Events)
        .await?;
    let names = keys.iter().filter_map(|column| {
        // Rows are flat, so the dots of a name are its own.
        match KeyPath::from_dotted(column).components() {
            [name] => Some(name.clone()),
            _ => None,
        }
    });
    // `_runtime` and the like are axes.
    Ok(names.filter(|name| !name.starts_with('_')).collect())
}

#[derive(SimpleObject)]
pub(crate) struct LogLineConnection {
    edges: Vec<LogLineEdge>,
    page_info: PageInfo,
}

#[derive(SimpleObject)]
pub(crate) struct LogLineEdge {
    node: LogLine,
}

/// A console line.
#[derive(SimpleObject)]
#[graphql(name = "LogLine")]
pub(crate) struct LogLine {
    number: i64,
    timestamp: Option<String>,
    level: Option<String>,
    label: Option<String>,
    line: String,
}

impl From<StoredLine> for LogLine {
    fn from(line: StoredLine) -> Self {
        Self {
            number: line.number,
            timestamp: line.timestamp,
            level: line.level,
            label: line.label,
            line: line.text,
        }
    }
}

/// `Run.logLines`: a page from the start, or the last lines.
pub(super) async fn log_lines(
    scope: &Scope,
    run: &RunRow,
    first: Option<i32>,
    after: Option<&str>,
    last: Option<i32>,
) -> Result<LogLineConnection, ApiError> {
    let (from, limit) = match last {
        Some(last) if first.is_none() => {
            let last = i64::from(last.max(0)).min(logs::MAX_LINES);
            ((run.log_line_count - last).max(0), last)
        }
        _ => {
            let page = Page::new(first.or(Some(1_000)), after)?;
            (page.offset, page.first)
        }
    };
    let lines = logs::read(&scope.state.store, run.id, from, limit).await?;
    let shown = i64::try_from(lines.len()).unwrap_or(0);
    Ok(LogLineConnection {
        page_info: PageInfo::new(from, shown, run.log_line_count),
        edges: lines
            .into_iter()
            .map(|line| LogLineEdge { node: line.into() })
            .collect(),
    })
}
