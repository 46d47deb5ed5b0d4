//! The one retry policy: capped exponential backoff with full jitter, `Retry-After`, what may be retried, the pace that
//! `RateLimit-*` headers ask for, and the gate that all requests of a process to one host pass
//! (`reference/reliability.md` I11, `reference/wandb/filestream.md` §6). No clock and no randomness of its own.

mod host;
mod rate_limit;

use std::time::Duration;

pub use self::host::{Admission, HostGate};
pub use self::rate_limit::{Pace, RateLimit};

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

/// The shortest bound of a wait while the host answers others.
const SHORTEST: Duration = Duration::from_millis(10);
/// Failures in a row after which such waits grow as well.
const PATIENT: u32 = 3;

/// The tries since the last success.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    policy: Policy,
    failures: u32,
    /// Those of them that were repeated soon.
    hopeful: u32,
}

impl Backoff {
    /// No failure yet.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            failures: 0,
            hopeful: 0,
        }
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Forgets the failures.
    pub fn succeeded(&mut self) {
        (self.failures, self.hopeful) = (0, 0);
    }

    /// The wait after a failure. `random` is uniform in `0..1`; `retry_after` is what the server asked for and is
    /// kept to, up to the cap, with up to a tenth of jitter on top so that clients do not return together.
    ///
    /// `hope` is the time that requests to this host take, if it answers some of them ([`HostGate::hope`]): a request
    /// that failed among others that did not is repeated after a part of that time. A link that loses half of all
    /// requests then still carries nearly half of what a good one does.
    pub fn failed(
        &mut self,
        random: f64,
        retry_after: Option<Duration>,
        hope: Option<Duration>,
    ) -> Duration {
        let failures = self.failures;
        self.failures = self.failures.saturating_add(1);
        let random = random.clamp(0.0, 1.0);
        if let Some(asked) = retry_after {
            return asked
                .min(self.policy.longest_asked)
                .mul_f64(1.0 + 0.1 * random);
        }
        let (first, exponent) = match hope {
            Some(latency) => {
                self.hopeful = self.hopeful.saturating_add(1);
                (
                    (latency / 4).max(SHORTEST).min(self.policy.first),
                    self.hopeful.saturating_sub(PATIENT),
                )
            }
            None => (self.policy.first, failures - self.hopeful),
        };
        let bound = first
            .saturating_mul(1 << exponent.min(16))
            .min(self.policy.longest);
        // Full jitter, but never a busy loop.
        bound.mul_f64(random).max(first / 10)
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

/// Judges a status. Redirects that reach this point were not followed: a wrong address, or a network's sign-in page.
pub fn judge(status: u16) -> Verdict {
    match status {
        200..=299 => Verdict::Success,
        401 | 403 => Verdict::Unauthorized,
        400 | 404 | 409 | 410 | 413 | 422 | 501 => Verdict::Refused,
        _ => Verdict::Retry,
    }
}

/// Reads `Retry-After` in its seconds form (fractions allowed); an HTTP date is resolved by the caller, who has the
/// clock. Negative and malformed values are treated as absent; absurdly large ones meet the policy's cap.
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
            .map(|_| backoff.failed(1.0, None, None).as_secs_f64())
            .collect();
        assert_eq!(waits, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]);
        backoff.succeeded();
        assert_eq!(backoff.failed(0.5, None, None), Duration::from_millis(500));
        assert_eq!(backoff.failed(0.0, None, None), Duration::from_millis(100));
    }

    #[test]
    fn the_server_is_obeyed_up_to_the_cap() {
        let mut backoff = Backoff::new(UPLOAD);
        let mut wait = |asked: &str| backoff.failed(0.0, retry_after_secs(asked), None);
        assert_eq!(wait("7"), Duration::from_secs(7));
        assert_eq!(wait("1000000000"), Duration::from_mins(10));
        assert_eq!(wait("1e300"), Duration::from_mins(10));
        assert_eq!(retry_after_secs("2.5"), Some(Duration::from_millis(2_500)));
        for odd in ["-1", "soon", "NaN", "inf", ""] {
            assert_eq!(retry_after_secs(odd), None, "{odd}");
        }
        let mut backoff = Backoff::new(UPLOAD);
        let jittered = backoff.failed(1.0, Some(Duration::from_secs(10)), None);
        assert_eq!(jittered, Duration::from_secs(11));
    }

    #[test]
    fn a_host_that_answers_others_is_asked_again_soon_but_not_forever() {
        let mut backoff = Backoff::new(UPLOAD);
        let hope = Some(Duration::from_millis(400));
        let waits: Vec<u128> = (0..6)
            .map(|_| backoff.failed(1.0, None, hope).as_millis())
            .collect();
        assert_eq!(waits, [100, 100, 100, 200, 400, 800]);
        // Once the host answers nobody, the usual waits begin.
        assert_eq!(backoff.failed(1.0, None, None), Duration::from_secs(1));
        assert_eq!(backoff.failed(1.0, None, None), Duration::from_secs(2));
    }

    #[test]
    fn statuses_are_judged() {
        assert_eq!(judge(201), Verdict::Success);
        assert_eq!(judge(302), Verdict::Retry);
        assert_eq!(judge(429), Verdict::Retry);
        assert_eq!(judge(503), Verdict::Retry);
        assert_eq!(judge(403), Verdict::Unauthorized);
        assert_eq!(judge(413), Verdict::Refused);
    }
}
