//! The seam to time: the time of day, and the clock that waiting goes by.

use std::future::Future;
use std::pin::Pin;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Tells the time, and lets it pass.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Seconds since the Unix epoch.
    fn unix_secs(&self) -> f64;

    /// The time of a clock that does not jump.
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    /// Resolves at an instant of [`Clock::now`].
    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep_until(at.into()))
    }
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
