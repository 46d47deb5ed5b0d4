//! Chunks of rows as columns: which rows count, their points and steps.

use std::sync::Arc;

use runlane_history::{Chunk, Points};

use super::lineage::Bounds;
use crate::error::StoreError;

/// Memory of a decoded value, roughly: number, presence, exact value.
const VALUE_BYTES: usize = 24;

/// Lines that are no rows (kept for the original client's line numbers) count as empty rows.
pub(crate) fn row_or_nothing(text: &str) -> &str {
    match runlane_model::json::visit_leaves(text, &mut |_, _| {}) {
        Ok(()) => text,
        Err(_no_row) => "{}",
    }
}

/// Which rows of a chunk that begins at line `start` are within `bounds`; `None` for all.
pub(super) fn kept_rows(chunk: &Chunk, start: i64, bounds: Bounds) -> Option<Vec<bool>> {
    if bounds.max_step.is_none() && start + length_of(chunk) <= bounds.end_line {
        return None;
    }
    let kept = (start..)
        .zip(chunk.steps())
        .map(|(line, step)| bounds.contain(line, step.unwrap_or(line)));
    Some(kept.collect())
}

pub(super) fn length_of(chunk: &Chunk) -> i64 {
    i64::try_from(chunk.len()).unwrap_or(i64::MAX)
}

/// The points of each of `keys` over `x`, in the rows that are kept (`None` for all).
pub(super) fn points_over(
    chunk: &Chunk,
    x: &str,
    keys: &[&str],
    kept: Option<&[bool]>,
) -> Vec<Arc<Points>> {
    let over = chunk.numbers(x);
    let points = keys.iter().map(|key| match (&over, chunk.numbers(key)) {
        (Some(x), Some(y)) => Arc::new(match kept {
            None => Points::zip(x, &y),
            Some(kept) => x
                .iter()
                .zip(y.iter())
                .zip(kept)
                .filter_map(|((x, y), kept)| kept.then_some((x?, y?)))
                .collect(),
        }),
        _ => Arc::default(),
    });
    points.collect()
}

pub(super) fn numbered_steps(start: i64, chunk: &Chunk, kept: Option<&[bool]>) -> Vec<i64> {
    let steps = (start..)
        .zip(chunk.steps())
        .map(|(line, step)| step.unwrap_or(line));
    match kept {
        None => steps.collect(),
        Some(kept) => steps
            .zip(kept)
            .filter_map(|(step, kept)| kept.then_some(step))
            .collect(),
    }
}

pub(super) fn chunk_bytes(chunk: &Chunk) -> usize {
    chunk.columns().len() * (chunk.len() * VALUE_BYTES + 256)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "used as a function of `map_err`"
)]
pub(crate) fn damaged(error: runlane_history::HistoryError) -> StoreError {
    StoreError::Damaged(error.to_string())
}

/// Runs CPU work off the network threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|panicked| StoreError::Damaged(format!("decoding failed: {panicked}")))?
}
