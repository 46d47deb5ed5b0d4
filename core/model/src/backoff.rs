//! The one retry policy: capped exponential backoff with full jitter, `Retry-After`, and what may be retried
//! (`reference/reliability.md` I11, `reference/wandb/filestream.md` §6).

use std::time::Duration;

/// How long to wait between tries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// The bound of the first wait.
    pub first: Duration,
    /// No wait is longer, whatever the server asks for.
    pub longest: Duration,
    /// The cap on `Retry-After`.
    pub longest_asked: Duration,
}

/// For uploads: from one second to one a minute; a server may ask for up to ten minutes.
pub const UPLOAD: Policy = Policy {
    first: Duration::from_secs(1),
    longest: Duration::from_mins(1),
    longest_asked: Duration::from_mins(10),
};

/// The tries since the last success.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    policy: Policy,
    failures: u32,
}

impl Backoff {
    /// No failure yet.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            failures: 0,
        }
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Forgets the failures.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// The wait after a failure. `random` is uniform in `0..1`; `retry_after` is what the server asked for and is
    /// kept to, up to the cap, with up to a tenth of jitter on top so that clients do not return together.
    pub fn failed(&mut self, random: f64, retry_after: Option<Duration>) -> Duration {
        let exponent = self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        let random = random.clamp(0.0, 1.0);
        if let Some(asked) = retry_after {
            return asked
                .min(self.policy.longest_asked)
                .mul_f64(1.0 + 0.1 * random);
        }
        let bound = self
            .policy
            .first
            .saturating_mul(1 << exponent)
            .min(self.policy.longest);
        // Full jitter, but never a busy loop.
        bound.mul_f64(random).max(self.policy.first / 10)
    }
}

/// What an HTTP status means for a request that may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Stored.
    Success,
    /// Try again later.
    Retry,
    /// The credentials are refused: pause until they change.
    Unauthorized,
    /// This request will never be accepted; a smaller one might.
    Refused,
}

/// Judges a status. Redirects never reach this point.
pub fn judge(status: u16) -> Verdict {
    match status {
        200..=299 => Verdict::Success,
        401 | 403 => Verdict::Unauthorized,
        400 | 404 | 409 | 410 | 413 | 422 | 501 => Verdict::Refused,
        _ => Verdict::Retry,
    }
}

/// Reads `Retry-After` in its seconds form (fractions allowed); an HTTP date is resolved by the caller, who has the
/// clock. Negative, absurd and malformed values are treated as absent.
pub fn retry_after_secs(header: &str) -> Option<Duration> {
    let seconds: f64 = header.trim().parse().ok()?;
    (seconds.is_finite() && seconds >= 0.0)
        .then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_forget_on_success() {
        let mut backoff = Backoff::new(UPLOAD);
        let waits: Vec<f64> = (0..9)
            .map(|_| backoff.failed(1.0, None).as_secs_f64())
            .collect();
        assert_eq!(waits, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]);
        backoff.succeeded();
        assert_eq!(backoff.failed(0.5, None), Duration::from_millis(500));
        assert_eq!(backoff.failed(0.0, None), Duration::from_millis(100));
    }

    #[test]
    fn the_server_is_obeyed_up_to_the_cap() {
        let mut backoff = Backoff::new(UPLOAD);
        assert_eq!(
            backoff.failed(0.0, Some(Duration::from_secs(7))),
            Duration::from_secs(7)
        );
        assert_eq!(
            backoff.failed(0.0, Some(Duration::from_secs(1_000_000_000))),
            Duration::from_mins(10)
        );
        assert_eq!(retry_after_secs("2.5"), Some(Duration::from_millis(2_500)));
        for odd in ["-1", "soon", "NaN", ""] {
            assert_eq!(retry_after_secs(odd), None, "{odd}");
        }
    }

    #[test]
    fn statuses_are_judged() {
        assert_eq!(judge(201), Verdict::Success);
        assert_eq!(judge(429), Verdict::Retry);
        assert_eq!(judge(503), Verdict::Retry);
        assert_eq!(judge(403), Verdict::Unauthorized);
        assert_eq!(judge(413), Verdict::Refused);
    }
}
