//! Waiting for the daemon without holding the interpreter, and without swallowing Ctrl-C.

use std::time::{Duration, Instant};

use pyo3::prelude::*;

use super::connection::DaemonError;
use crate::hub::{Answer, Hub, Slot};

/// How often a waiting thread looks for signals.
const LOOK: Duration = Duration::from_millis(50);

/// Waits for the next answer until `deadline`; `None` if there was none.
///
/// Errors: what a signal handler raises; `DaemonError` if the writer thread is gone.
pub(crate) fn next_answer(
    py: Python<'_>,
    hub: &Hub,
    slot: &Slot,
    deadline: Instant,
) -> PyResult<Option<Answer>> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if let Some(answer) = py.detach(|| slot.wait(left.min(LOOK))) {
            return Ok(Some(answer));
        }
        py.check_signals()?;
        if hub.status().stopped {
            return Err(DaemonError::new_err(
                "the connection to the daemon was closed",
            ));
        }
        if left.is_zero() {
            return Ok(None);
        }
    }
}

/// The error of a wait that took too long, with what went wrong last.
pub(crate) fn no_answer(hub: &Hub, timeout_secs: f64) -> PyErr {
    let reason = hub
        .status()
        .failure
        .map_or_else(String::new, |failure| format!(": {failure}"));
    DaemonError::new_err(format!(
        "the daemon did not answer within {timeout_secs} s{reason}"
    ))
}

/// A timeout in seconds as a duration; negative and NaN are zero, at most a year.
pub(crate) fn duration(secs: f64) -> Duration {
    const YEAR: f64 = 366.0 * 86400.0;
    Duration::try_from_secs_f64(secs.min(YEAR)).unwrap_or_default()
}
