//! `RateLimit-Remaining` and `RateLimit-Reset`: how fast requests may follow each other
//! (`reference/wandb/filestream.md` §6).

use std::time::{Duration, Instant};

/// What the headers of one answer say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimit {
    /// Units of the quota that are left.
    pub remaining: f64,
    /// Seconds until the quota is renewed.
    pub reset: f64,
}

/// Requests over which the units per request are estimated.
const WINDOW: u32 = 5;
/// Weight of the older estimate.
const OLD_WEIGHT: f64 = 0.2;
/// Requests per second.
const SLOWEST: f64 = 0.1;
const FASTEST: f64 = 65_536.0;
/// Requests that may go at once after a pause.
const BURST: f64 = 10.0;

/// The pace of one sender of requests; without headers, none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pace {
    units_per_request: Option<f64>,
    /// The units left when the window began, and requests since.
    window: Option<(f64, u32)>,
    /// Requests per second, how many may go now, and when that was counted.
    allowed: Option<(f64, f64, Instant)>,
}

impl Pace {
    /// Takes in the headers of an answer.
    pub fn observe(&mut self, now: Instant, limit: Option<RateLimit>) {
        let Some(RateLimit { remaining, reset }) = limit else {
            return;
        };
        let (begun, requests) = self.window.get_or_insert((remaining, 0));
        if remaining > *begun {
            // The quota was renewed.
            (*begun, *requests) = (remaining, 0);
        }
        *requests += 1;
        if *requests >= WINDOW {
            let estimate = (*begun - remaining) / f64::from(*requests);
            self.window = Some((remaining, 0));
            if estimate > 0.0 {
                self.units_per_request = Some(self.units_per_request.map_or(estimate, |old| {
                    OLD_WEIGHT * old + (1.0 - OLD_WEIGHT) * estimate
                }));
            }
        }
        if reset <= 1.0 {
            return;
        }
        let units = self.units_per_request.unwrap_or(1.0);
        let rate = (remaining / reset / units).clamp(SLOWEST, FASTEST);
        // A burst never takes more than half of what is left: others may use the same quota.
        let burst = (remaining / units / 2.0).clamp(0.0, BURST);
        let credit = self.credit(now).min(burst);
        self.allowed = Some((rate, credit, now));
    }

    fn credit(&self, now: Instant) -> f64 {
        self.allowed.map_or(BURST, |(rate, credit, at)| {
            (credit + rate * now.saturating_duration_since(at).as_secs_f64()).min(BURST)
        })
    }

    /// When the next request may go.
    pub fn next(&self, now: Instant) -> Instant {
        let credit = self.credit(now);
        match self.allowed {
            Some((rate, ..)) if credit < 1.0 => {
                now + Duration::from_secs_f64((1.0 - credit) / rate)
            }
            _ => now,
        }
    }

    /// A request goes out.
    pub fn sent(&mut self, now: Instant) {
        let credit = self.credit(now);
        if let Some((rate, ..)) = self.allowed {
            self.allowed = Some((rate, (credit - 1.0).max(0.0), now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(remaining: f64, reset: f64) -> RateLimit {
        RateLimit { remaining, reset }
    }

    #[test]
    fn what_is_left_is_spread_over_the_time_until_renewal() {
        let start = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.next(start), start);
        pace.observe(start, None);
        assert_eq!(pace.next(start), start);
        // One of the two may go at once, the next when it has been earned.
        pace.observe(start, Some(limit(2.0, 8.0)));
        pace.sent(start);
        assert_eq!(pace.next(start), start + Duration::from_secs(4));
        // Nothing left: one request in ten seconds, to hear of the renewal.
        pace.observe(start, Some(limit(0.0, 3_600.0)));
        assert_eq!(pace.next(start), start + Duration::from_secs(10));
        // A quota that is renewed at once asks for nothing.
        let mut pace = Pace::default();
        pace.observe(start, Some(limit(0.0, 0.5)));
        assert_eq!(pace.next(start), start);
    }

    #[test]
    fn units_per_request_are_learned() {
        let mut now = Instant::now();
        let mut pace = Pace::default();
        for sent in 0..30_u32 {
            now = pace.next(now).max(now + Duration::from_millis(1));
            pace.sent(now);
            pace.observe(now, Some(limit(1_000.0 - 10.0 * f64::from(sent), 100.0)));
        }
        // About 7 units a second at 10 units each.
        let next = pace.next(now).max(now);
        pace.sent(next);
        let wait = pace.next(next) - next;
        assert!(
            wait > Duration::from_secs(1) && wait < Duration::from_millis(1_600),
            "{wait:?}"
        );
    }

    #[test]
    fn a_long_pause_earns_a_burst_and_no_more() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.observe(start, Some(limit(100.0, 100.0)));
        let mut now = start + Duration::from_hours(1);
        let mut at_once = 0;
        while pace.next(now) == now {
            pace.sent(now);
            at_once += 1;
        }
        assert_eq!(at_once, 10);
        now = pace.next(now);
        assert_eq!(
            now,
            start + Duration::from_hours(1) + Duration::from_secs(1)
        );
    }
}
