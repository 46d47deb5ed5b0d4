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
    is_paused: bool,
}

impl Age {
    /// A run that started at `started_secs` (Unix time) and had run for `before` seconds then.
    pub(crate) fn of(clock: &dyn Clock, started_secs: f64, before: f64) -> Self {
        let since = clock.unix_secs() - started_secs;
        Self {
            at: tokio::time::Instant::now(),
            secs: since.max(0.0) + before.max(0.0),
            is_paused: false,
        }
    }

    /// Seconds that the run has run until now.
    pub(crate) fn secs(&self) -> f64 {
        self.secs_at(tokio::time::Instant::now())
    }

    /// Lets the time stand still (between the cells of a notebook), or go on.
    pub(crate) fn set_paused(&mut self, is_paused: bool) {
        self.set_paused_at(is_paused, tokio::time::Instant::now());
    }

    fn secs_at(&self, now: tokio::time::Instant) -> f64 {
        if self.is_paused {
            return self.secs;
        }
        self.secs + now.saturating_duration_since(self.at).as_secs_f64()
    }

    fn set_paused_at(&mut self, is_paused: bool, now: tokio::time::Instant) {
        self.secs = self.secs_at(now);
        self.at = now;
        self.is_paused = is_paused;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn pauses_do_not_count() {
        let mut age = Age::of(&SystemClock, SystemClock.unix_secs(), 100.0);
        let at = |secs| age.at + Duration::from_secs(secs);
        let [five, later, latest] = [5, 605, 607].map(at);
        let end = latest + Duration::from_secs(2);
        let begin = age.secs;
        age.set_paused_at(true, five);
        age.set_paused_at(true, later);
        assert!((age.secs_at(later) - begin - 5.0).abs() < 1e-3);
        age.set_paused_at(false, later);
        age.set_paused_at(false, latest);
        assert!((age.secs_at(end) - begin - 9.0).abs() < 1e-3);
    }
}
