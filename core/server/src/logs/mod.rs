//! The console of runs: `GET /api/runs/{entity}/{project}/{run}/logs`, a range of lines or those that match.
//!
//! Lines are counted through the writers' streams, one after the other, or within one of them. Of a long log the middle is
//! not kept (`store::log_bound`); numbers stay what they are, and the ranges that are missing are named.

mod line;
mod search;

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

pub(crate) use self::line::LogLine;
use self::line::parse;
use self::search::{Filter, Found};
use crate::auth::Caller;
use crate::auth::access::{Access, Action};
use crate::error::{ApiError, StoreError};
use crate::extract::{ApiPath, ApiQuery};
use crate::history::lines;
use crate::state::AppState;
use crate::store::streams::{self, StreamKind, StreamRow};
use crate::store::{Connection, Store, chunks};

/// Lines in one answer.
pub(crate) const MAX_LINES: i64 = 10_000;
const DEFAULT_LINES: i64 = 1_000;
const PAGE_CHUNKS: i64 = 32;

#[derive(Deserialize)]
pub(crate) struct LogQuery {
    from: Option<i64>,
    limit: Option<i64>,
    /// Only this stream of the run's, counted from 0; lines are counted within it.
    writer: Option<usize>,
    /// A regular expression that the text, without colours, must match.
    search: Option<String>,
    label: Option<String>,
    level: Option<String>,
}

/// The lines of one process in shared mode, or of the only one.
#[derive(Debug, Serialize)]
struct Writer {
    /// The name that its first line carries.
    label: Option<String>,
    total: i64,
}

#[derive(Serialize)]
pub(crate) struct LogPage {
    total: i64,
    /// Ranges `[from, to)` of lines that are not kept.
    gaps: Vec<(i64, i64)>,
    /// The streams of the run, where there are several.
    writers: Vec<Writer>,
    lines: Vec<LogLine>,
    /// Of a search: where to go on, if the end was not reached.
    next: Option<i64>,
}

/// The streams that a request is about.
struct Streams {
    rows: Vec<StreamRow>,
}

impl Streams {
    fn total(&self) -> i64 {
        self.rows.iter().map(|row| row.contiguous_lines).sum()
    }

    /// The number of each one's first line.
    fn numbered(&self) -> impl Iterator<Item = (i64, &StreamRow)> {
        self.rows.iter().scan(0, |next, row| {
            let base = *next;
            *next += row.contiguous_lines;
            Some((base, row))
        })
    }

    fn gaps(&self) -> Vec<(i64, i64)> {
        let gaps = self.numbered().map(|(base, row)| {
            let gap = row.left_out();
            (base + gap.start, base + gap.end)
        });
        gaps.filter(|(from, to)| from < to).collect()
    }
}

/// Answers with a range of lines, without `from` the last ones; with a filter, with those from `from` on that pass it.
pub(crate) async fn of_run(
    State(state): State<AppState>,
    Extension(Caller(account)): Extension<Caller>,
    ApiPath((entity, project, run)): ApiPath<(String, String, String)>,
    ApiQuery(query): ApiQuery<LogQuery>,
) -> Result<Json<LogPage>, ApiError> {
    let limit = query.limit.unwrap_or(DEFAULT_LINES);
    if !(0..=MAX_LINES).contains(&limit) {
        return Err(ApiError::invalid(format!(
            "`limit` must be between 0 and {MAX_LINES}"
        )));
    }
    let filter = Filter::of(query.search.as_deref(), query.label, query.level)?;
    let mut reader = state.store.reader().await?;
    let run = Access::new(&state, &account)
        .existing_run(&mut reader, (&entity, &project, &run), Action::Read)
        .await?;
    let all = Streams {
        rows: streams::of_run(&mut reader, run.id, StreamKind::Output).await?,
    };
    let writers = if all.rows.len() > 1 {
        writers(&mut reader, &all).await?
    } else {
        Vec::new()
    };
    let wanted = match query.writer {
        None => all,
        Some(index) => Streams {
            rows: all.rows.into_iter().skip(index).take(1).collect(),
        },
    };
    let total = wanted.total();
    let found = match filter {
        None => {
            let from = query.from.unwrap_or(total - limit).max(0);
            Found {
                lines: range(&mut reader, &wanted, from, limit).await?,
                next: None,
            }
        }
        Some(filter) => {
            let from = query.from.unwrap_or(0).max(0);
            search::run(&mut reader, &wanted, filter, from, limit).await?
        }
    };
    Ok(Json(LogPage {
        total,
        gaps: wanted.gaps(),
        writers,
        lines: found.lines,
        next: found.next,
    }))
}

async fn writers(reader: &mut Connection, all: &Streams) -> Result<Vec<Writer>, StoreError> {
    let mut found = Vec::new();
    for row in &all.rows {
        let one = Streams {
            rows: vec![row.clone()],
        };
        let first = range(reader, &one, 0, 1).await?;
        found.push(Writer {
            label: first.into_iter().next().and_then(|line| line.label),
            total: row.contiguous_lines,
        });
    }
    Ok(found)
}

/// Up to `limit` lines from line `from` of the run's console; writers follow one another.
pub(crate) async fn read(
    store: &Store,
    run_id: i64,
    from: i64,
    limit: i64,
) -> Result<Vec<LogLine>, StoreError> {
    let mut reader = store.reader().await?;
    let all = Streams {
        rows: streams::of_run(&mut reader, run_id, StreamKind::Output).await?,
    };
    range(&mut reader, &all, from, limit).await
}

async fn range(
    reader: &mut Connection,
    wanted: &Streams,
    from: i64,
    limit: i64,
) -> Result<Vec<LogLine>, StoreError> {
    let mut found = Vec::new();
    let until = from.saturating_add(limit);
    for (base, stream) in wanted.numbered() {
        let count = stream.contiguous_lines;
        let mut next = (from - base).clamp(0, count);
        let end = (until - base).clamp(0, count);
        while next < end {
            let page = chunks::page_from(reader, stream.id, next, end, PAGE_CHUNKS).await?;
            let Some(last) = page.last() else { break };
            let behind = last.start_line + last.line_count;
            for chunk in &page {
                for (line, text) in (chunk.start_line..).zip(lines::decode(&chunk.lines)?) {
                    if (next..end).contains(&line) {
                        found.push(parse(base + line, text));
                    }
                }
            }
            next = behind;
        }
    }
    Ok(found)
}
