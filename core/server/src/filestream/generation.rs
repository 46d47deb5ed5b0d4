//! Telling clients of an earlier state of a run from those of the present one.
//!
//! A run that is rewound begins anew behind its kept rows, and its old process may still be running. What that one sends must not
//! land among the new rows. Our client says which generation it writes to. W&B's does not, but it counts: it never leaves a gap,
//! never sends other text for a line that is stored, and its summary goes no further than its rows. Whatever breaks this in a run
//! that was rewound comes from the process that does not know of it. The answer (409) ends its stream for good.

use runlane_model::json::{Value, parse_object};

use super::ingest::Job;
use crate::error::ApiError;
use crate::graphql::lineage::{archived, rewound};
use crate::store::runs::RunRow;
use crate::store::streams::Oddity;

/// Refuses requests that name another generation, and any for an archive.
pub(super) fn check(run: &RunRow, job: &Job) -> Result<(), ApiError> {
    if run.archive_of.is_some() {
        return Err(archived(run));
    }
    match job.update.generation {
        Some(generation) if generation != run.generation => Err(rewound(run)),
        _ => Ok(()),
    }
}

/// Refuses lines that do not fit what is stored, where that tells an old client.
pub(super) fn check_lines(run: &RunRow, job: &Job, oddity: Oddity) -> Result<(), ApiError> {
    if oddity.inherited {
        return Err(if run.generation > 0 {
            rewound(run)
        } else {
            ApiError::invalid(format!(
                "run `{}` begins behind the rows of the run that it was forked from: its lines do not start at 0",
                run.name
            ))
        });
    }
    if guesses(run, job) && (oddity.gap || oddity.conflicts > 0) {
        return Err(rewound(run));
    }
    Ok(())
}

/// Whether the summary of a request is one for the run's rows, which go to `last_step` with those of the request; an error if
/// it tells an old client.
pub(super) fn takes_summary(
    run: &RunRow,
    job: &Job,
    last_step: Option<i64>,
) -> Result<bool, ApiError> {
    if !(guesses(run, job) && job.is_original) {
        return Ok(true);
    }
    let step = job
        .update
        .summary
        .as_deref()
        .and_then(|text| parse_object(text).ok())
        .and_then(|summary| summary.get("_step").and_then(Value::as_i64));
    match (step, last_step) {
        (Some(step), Some(last)) if step > last => Err(rewound(run)),
        (Some(step), Some(last)) if step < last && job.update.end.is_some() => Err(rewound(run)),
        (Some(step), Some(last)) => Ok(step >= last),
        _ => Ok(true),
    }
}

/// Whether the generation of a request is to be found out.
fn guesses(run: &RunRow, job: &Job) -> bool {
    run.generation > 0 && job.update.generation.is_none() && job.client.is_empty()
}
