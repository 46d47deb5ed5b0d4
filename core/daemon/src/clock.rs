//! The seam to the wall clock; waiting goes through tokio's clock, which tests pause.

use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time of day.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Seconds since the Unix epoch.
    fn unix_secs(&self) -> f64;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn unix_secs(&self) -> f64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |elapsed| elapsed.as_secs_f64())
    }
}

/// The age of a run: measured once against the wall clock, then counted on a clock that does not jump.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Age {
    at: tokio::time::Instant,
    secs: f64,
}

impl Age {
    /// A run that started at `started_secs` (Unix time) and had run for `before` seconds then.
    pub(crate) fn of(clock: &dyn Clock, started_secs: f64, before: f64) -> Self {
        let since = clock.unix_secs() - started_secs;
        Self {
            at: tokio::time::Instant::now(),
            secs: since.max(0.0) + before.max(0.0),
        }
    }

    /// Seconds that the run has run until now.
    pub(crate) fn secs(&self) -> f64 {
        self.secs + self.at.elapsed().as_secs_f64()
    }
}
