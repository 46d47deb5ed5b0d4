//! How often the daemon may be started.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const STARTS: usize = 5;
const WINDOW: Duration = Duration::from_mins(1);
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(2);

/// At most five starts a minute.
#[derive(Default)]
pub(crate) struct Restarts {
    at: VecDeque<Instant>,
    failures: u32,
    refusal_told: bool,
}

impl Restarts {
    /// Says whether a start is allowed now.
    pub(crate) fn may_start(&mut self, now: Instant) -> bool {
        while self
            .at
            .front()
            .is_some_and(|&first| now.saturating_duration_since(first) >= WINDOW)
        {
            self.at.pop_front();
        }
        self.at.len() < STARTS
    }

    /// Counts a start.
    pub(crate) fn started(&mut self, now: Instant) {
        self.at.push_back(now);
        self.refusal_told = false;
    }

    /// Says whether the user has not heard yet that no more starts are allowed; from now on the answer is no.
    pub(crate) fn refusal_is_news(&mut self) -> bool {
        !std::mem::replace(&mut self.refusal_told, true)
    }

    /// A start or a connection failed; returns how long to wait before the next attempt.
    pub(crate) fn failed(&mut self) -> Duration {
        let delay = FIRST_DELAY
            .saturating_mul(1 << self.failures.min(10))
            .min(LONGEST_DELAY);
        self.failures += 1;
        delay
    }

    /// A daemon answered.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_a_minute() {
        let mut restarts = Restarts::default();
        let start = Instant::now();
        for second in 0..5 {
            assert!(restarts.may_start(start + Duration::from_secs(second)));
            restarts.started(start + Duration::from_secs(second));
        }
        assert!(!restarts.may_start(start + Duration::from_secs(59)));
        assert!(restarts.may_start(start + Duration::from_mins(1)));
        restarts.started(start + Duration::from_mins(1));
        assert!(!restarts.may_start(start + Duration::from_mins(1)));
    }

    #[test]
    fn delays_grow_to_two_seconds_and_start_over() {
        let mut restarts = Restarts::default();
        let delays: Vec<u128> = (0..8).map(|_| restarts.failed().as_millis()).collect();
        assert_eq!(delays, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
        restarts.succeeded();
        assert_eq!(restarts.failed(), FIRST_DELAY);
    }
}
