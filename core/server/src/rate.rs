//! A bound on the requests of one API key or session: a token bucket each, in memory of this process.
//!
//! Every answer says where the caller stands (`RateLimit-Limit`, `-Remaining`, `-Reset`). W&B's client slows its file stream down
//! by `Remaining / Reset`, but not while `Reset` is at most 1, which it is until much is used up.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use parking_lot::Mutex;

use crate::auth;
use crate::error::ApiError;
use crate::state::AppState;

/// Callers that are remembered; those that used nothing lately are forgotten first.
const CALLERS: usize = 10_000;

/// The buckets of all callers.
pub(crate) struct RateLimiter {
    per_sec: f64,
    burst: f64,
    hasher: RandomState,
    buckets: Mutex<HashMap<u64, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// Where a caller stands after a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Standing {
    allowed: bool,
    limit: u64,
    remaining: u64,
    /// Until the bucket is full, or, for a refused request, until it has one token.
    reset_secs: u64,
}

impl RateLimiter {
    /// `per_sec` requests a second, with `burst_secs` seconds' worth saved up; none if `per_sec` is 0.
    pub(crate) fn new(per_sec: u32, burst_secs: u32) -> Self {
        Self {
            per_sec: f64::from(per_sec),
            burst: f64::from(per_sec) * f64::from(burst_secs.max(1)),
            hasher: RandomState::new(),
            buckets: Mutex::default(),
        }
    }

    /// Counts a request of `caller` at `now`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts of requests and seconds, small and not negative"
    )]
    fn take(&self, caller: u64, now: Instant) -> Standing {
        let mut buckets = self.buckets.lock();
        if buckets.len() >= CALLERS && !buckets.contains_key(&caller) {
            let (burst, per_sec) = (self.burst, self.per_sec);
            buckets.retain(|_, bucket| bucket.at_time(now, per_sec, burst) < burst);
            if buckets.len() >= CALLERS {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(caller).or_insert(Bucket {
            tokens: self.burst,
            at: now,
        });
        let tokens = bucket.at_time(now, self.per_sec, self.burst);
        let allowed = tokens >= 1.0;
        let left = if allowed { tokens - 1.0 } else { tokens };
        *bucket = Bucket {
            tokens: left,
            at: now,
        };
        let missing = if allowed {
            self.burst - left
        } else {
            1.0 - left
        };
        Standing {
            allowed,
            limit: self.burst as u64,
            remaining: left as u64,
            reset_secs: (missing / self.per_sec).ceil() as u64,
        }
    }
}

impl Bucket {
    fn at_time(self, now: Instant, per_sec: f64, burst: f64) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        (self.tokens + since * per_sec).min(burst)
    }
}

/// Counts the request; one too many is answered 429. Stands behind the check of credentials, so that nobody is counted who
/// has none.
pub(crate) async fn limit(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let rate = &state.rate;
    if rate.per_sec <= 0.0 {
        return next.run(request).await;
    }
    let caller = rate.hasher.hash_one(credential(request.headers()));
    let standing = rate.take(caller, Instant::now());
    let mut response = if standing.allowed {
        next.run(request).await
    } else {
        let mut refusal = ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            format!(
                "more than {} requests a second with one API key; try again",
                rate.per_sec
            ),
        )
        .into_response();
        refusal.headers_mut().insert(
            header::RETRY_AFTER,
            HeaderValue::from(standing.reset_secs.max(1)),
        );
        refusal
    };
    for (name, value) in [
        ("ratelimit-limit", standing.limit),
        ("ratelimit-remaining", standing.remaining),
        ("ratelimit-reset", standing.reset_secs),
    ] {
        response
            .headers_mut()
            .insert(HeaderName::from_static(name), HeaderValue::from(value));
    }
    response
}

fn credential(headers: &HeaderMap) -> &[u8] {
    headers
        .get(header::AUTHORIZATION)
        .map(HeaderValue::as_bytes)
        .or_else(|| auth::cookie(headers).map(str::as_bytes))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_empties_and_fills() {
        let rate = RateLimiter::new(10, 2);
        let start = Instant::now();
        let mut last = rate.take(1, start);
        for _ in 1..20 {
            last = rate.take(1, start);
        }
        assert_eq!(
            (last.allowed, last.remaining, last.reset_secs),
            (true, 0, 2)
        );
        let refused = rate.take(1, start);
        assert_eq!((refused.allowed, refused.reset_secs), (false, 1));
        assert!(rate.take(2, start).allowed, "others are not touched");
        let later = start + Duration::from_millis(150);
        assert!(rate.take(1, later).allowed && !rate.take(1, later).allowed);
        let full = rate.take(1, later + Duration::from_mins(1));
        assert_eq!((full.remaining, full.reset_secs), (19, 1));
    }

    #[test]
    fn callers_that_are_remembered_are_bounded() {
        let rate = RateLimiter::new(10, 1);
        let start = Instant::now();
        for caller in 0..3 * CALLERS as u64 {
            rate.take(caller, start + Duration::from_millis(caller));
        }
        assert!(rate.buckets.lock().len() <= CALLERS);
    }
}
