//! Console lines: parsing of both formats, and `GET /api/runs/{entity}/{project}/{run}/logs`.

use axum::Json;
use axum::extract::State;
use runlane_model::json::{Value, parse_object};
use serde::{Deserialize, Serialize};

use crate::error::{ApiError, StoreError};
use crate::extract::{ApiPath, ApiQuery};
use crate::history::lines;
use crate::state::AppState;
use crate::store::streams::{self, StreamKind};
use crate::store::{Store, chunks, runs};

/// Lines in one answer.
pub(crate) const MAX_LINES: i64 = 10_000;
const DEFAULT_LINES: i64 = 1_000;
const PAGE_CHUNKS: i64 = 32;

/// One console line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct LogLine {
    pub(crate) number: i64,
    pub(crate) timestamp: Option<String>,
    pub(crate) level: Option<String>,
    pub(crate) label: Option<String>,
    pub(crate) text: String,
}

#[derive(Deserialize)]
pub(crate) struct LogQuery {
    from: Option<i64>,
    limit: Option<i64>,
}

#[derive(Serialize)]
pub(crate) struct LogPage {
    total: i64,
    lines: Vec<LogLine>,
}

/// Answers with a range of lines; without `from`, the last ones.
pub(crate) async fn of_run(
    State(state): State<AppState>,
    ApiPath((entity, project, run)): ApiPath<(String, String, String)>,
    ApiQuery(query): ApiQuery<LogQuery>,
) -> Result<Json<LogPage>, ApiError> {
    let limit = query.limit.unwrap_or(DEFAULT_LINES);
    if !(0..=MAX_LINES).contains(&limit) {
        return Err(ApiError::invalid(format!(
            "`limit` must be between 0 and {MAX_LINES}"
        )));
    }
    let entity = state.resolve_entity(&entity);
    let run = {
        let mut reader = state.store.reader().await?;
        runs::find(&mut reader, &entity, &project, &run).await?
    };
    let run = run.ok_or_else(|| ApiError::not_found("there is no such run"))?;
    let from = query.from.unwrap_or(run.log_line_count - limit).max(0);
    let lines = read(&state.store, run.id, from, limit).await?;
    Ok(Json(LogPage {
        total: run.log_line_count,
        lines,
    }))
}

/// Up to `limit` lines from line `from` of the run's console; writers follow one another.
pub(crate) async fn read(
    store: &Store,
    run_id: i64,
    from: i64,
    limit: i64,
) -> Result<Vec<LogLine>, StoreError> {
    let mut reader = store.reader().await?;
    let mut found = Vec::new();
    // Line numbers count through the writers' streams.
    let mut base = 0;
    let until = from.saturating_add(limit);
    for stream in streams::of_run(&mut reader, run_id, StreamKind::Output).await? {
        let count = stream.contiguous_lines;
        let mut next = (from - base).clamp(0, count);
        let end = (until - base).clamp(0, count);
        while next < end {
            let page = chunks::page_from(&mut reader, stream.id, next, end, PAGE_CHUNKS).await?;
            if page.is_empty() {
                break;
            }
            for chunk in &page {
                for (line, text) in (chunk.start_line..).zip(lines::decode(&chunk.lines)?) {
                    if line >= next && line < end {
                        found.push(parse(base + line, text));
                        next = line + 1;
                    }
                }
            }
        }
        base += count;
    }
    Ok(found)
}

/// Reads a line in the structured format, or in the plain one: `[ERROR ]<timestamp> [[label] ]<text>`.
fn parse(number: i64, raw: &str) -> LogLine {
    if raw.starts_with('{')
        && let Ok(object) = parse_object(raw)
        && let Some(Value::Text(content)) = object.get("content")
    {
        let text = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
        return LogLine {
            number,
            timestamp: text("ts"),
            level: text("level"),
            label: text("label"),
            text: content.clone(),
        };
    }
    let (level, rest) = match raw.strip_prefix("ERROR ") {
        Some(rest) => (Some("error".to_owned()), rest),
        None => (None, raw),
    };
    let Some((timestamp, text)) = rest
        .split_once(' ')
        .filter(|(stamp, _)| is_timestamp(stamp))
    else {
        let timestamp = is_timestamp(rest).then(|| rest.to_owned());
        let text = if timestamp.is_some() {
            String::new()
        } else {
            raw.to_owned()
        };
        return LogLine {
            number,
            timestamp,
            text,
            ..LogLine::default()
        };
    };
    // A label in the plain format cannot be told from text in brackets, so it stays in the text.
    LogLine {
        number,
        timestamp: Some(timestamp.to_owned()),
        level,
        label: None,
        text: text.to_owned(),
    }
}

fn is_timestamp(text: &str) -> bool {
    text.len() >= 19
        && text.bytes().enumerate().all(|(index, byte)| match index {
            4 | 7 => byte == b'-',
            10 => byte == b'T',
            13 | 16 => byte == b':',
            19 => byte == b'.',
            _ => byte.is_ascii_digit() || (byte == b'Z' && index + 1 == text.len()),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(
        timestamp: Option<&str>,
        level: Option<&str>,
        label: Option<&str>,
        text: &str,
    ) -> LogLine {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        LogLine {
            number: 5,
            timestamp: owned(timestamp),
            level: owned(level),
            label: owned(label),
            text: text.into(),
        }
    }

    #[test]
    fn both_formats_are_read() {
        let stamp = "2026-01-02T03:04:05.678901";
        let cases = [
            (
                r#"{"level":"error","ts":"2026-01-02T03:04:05","label":"r0","content":"boom"}"#
                    .to_owned(),
                line(
                    Some("2026-01-02T03:04:05"),
                    Some("error"),
                    Some("r0"),
                    "boom",
                ),
            ),
            (
                format!("{stamp} hello world"),
                line(Some(stamp), None, None, "hello world"),
            ),
            (
                format!("ERROR {stamp} bad"),
                line(Some(stamp), Some("error"), None, "bad"),
            ),
            (
                format!("{stamp} [INFO] ok"),
                line(Some(stamp), None, None, "[INFO] ok"),
            ),
            (format!("{stamp} "), line(Some(stamp), None, None, "")),
            (
                r#"{"x": 1}"#.to_owned(),
                line(None, None, None, r#"{"x": 1}"#),
            ),
            ("plain".to_owned(), line(None, None, None, "plain")),
            (
                "ERROR no time".to_owned(),
                line(None, None, None, "ERROR no time"),
            ),
        ];
        for (raw, expected) in cases {
            assert_eq!(parse(5, &raw), expected, "{raw}");
        }
    }
}
