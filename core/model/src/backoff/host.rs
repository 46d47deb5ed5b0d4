//! The requests of one process to one host: unhindered while the host answers, few and in turn while it does not.
//!
//! The gate decides when the next request may go. While requests fail, at most one a second passes, whoever sends it, and
//! only a few are under way; with each success the spacing halves, so that a host that has come back is not met by
//! everybody at once. Who waits at the gate is let through in order of arrival, so a run that storms delays the others by
//! one place and no more. How long a run waits before it comes to the gate is its own [`Backoff`](super::Backoff).

use std::time::{Duration, Instant};

/// Failures in a row, whoever had them, from which the host counts as failing, if nobody had a success for a while.
const DOWN_AFTER: u32 = 3;
const SILENCE: Duration = Duration::from_secs(5);
/// Between requests to a failing host; up to a quarter more by chance.
const SPACING: Duration = Duration::from_secs(1);
/// Requests to a failing host that are under way at the same time: one that hangs does not hold up the others.
const UNDER_WAY: u32 = 4;
/// A smaller spacing is none.
const NO_SPACING: Duration = Duration::from_millis(10);
/// Quick second tries in stock at most, and how many each success earns.
const QUICK_TRIES: u32 = 20;
const EARNED: u32 = 2;

/// What the gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Go; [`HostGate::succeeded`] or [`HostGate::failed`] must follow.
    Go,
    /// Ask again then.
    At(Instant),
    /// Ask again when a request under way has ended.
    AfterAnother,
}

/// The gate of one host.
#[derive(Debug, Clone, PartialEq)]
pub struct HostGate {
    failures: u32,
    under_way: u32,
    spacing: Duration,
    next: Option<Instant>,
    last_success: Option<(Instant, Duration)>,
    quick_tries: u32,
}

impl Default for HostGate {
    fn default() -> Self {
        Self {
            failures: 0,
            under_way: 0,
            spacing: Duration::ZERO,
            next: None,
            last_success: None,
            quick_tries: QUICK_TRIES,
        }
    }
}

impl HostGate {
    /// Whether a request may go now. `random` is uniform in `0..1`.
    pub fn enter(&mut self, now: Instant, random: f64) -> Admission {
        if self.spacing > Duration::ZERO {
            if let Some(next) = self.next.filter(|next| *next > now) {
                return Admission::At(next);
            }
            if self.under_way >= UNDER_WAY && self.failures >= DOWN_AFTER {
                return Admission::AfterAnother;
            }
            self.next = Some(now + self.spacing.mul_f64(1.0 + 0.25 * random.clamp(0.0, 1.0)));
        }
        self.under_way += 1;
        Admission::Go
    }

    /// The host answered sensibly, whatever it said.
    pub fn succeeded(&mut self, now: Instant, took: Duration) {
        self.under_way = self.under_way.saturating_sub(1);
        self.failures = 0;
        self.spacing /= 2;
        if self.spacing < NO_SPACING {
            (self.spacing, self.next) = (Duration::ZERO, None);
        }
        self.quick_tries = (self.quick_tries + EARNED).min(QUICK_TRIES);
        self.last_success = Some((now, took));
    }

    /// There was no answer, or one that asks to come back later.
    pub fn failed(&mut self, now: Instant) {
        self.under_way = self.under_way.saturating_sub(1);
        self.failures = self.failures.saturating_add(1);
        if self.failures >= DOWN_AFTER && !self.answered_lately(now) {
            self.spacing = SPACING;
        }
    }

    fn answered_lately(&self, now: Instant) -> bool {
        self.last_success
            .is_some_and(|(at, _)| now.saturating_duration_since(at) <= SILENCE)
    }

    /// The request was given up: it says nothing of the host.
    pub fn abandoned(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// How long requests take that are answered, if some were a moment ago and quick second tries are in stock; takes one.
    pub fn hope(&mut self, now: Instant) -> Option<Duration> {
        let (_, took) = self.last_success?;
        if self.quick_tries == 0 || !self.answered_lately(now) {
            return None;
        }
        self.quick_tries -= 1;
        Some(took)
    }

    /// Whether nothing is known of the host that would be missed.
    pub fn is_idle(&self, now: Instant) -> bool {
        self.under_way == 0 && self.failures == 0 && !self.answered_lately(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backoff::{Backoff, UPLOAD};

    fn went(gate: &mut HostGate, now: Instant) -> bool {
        gate.enter(now, 0.0) == Admission::Go
    }

    #[test]
    fn a_host_that_answers_is_not_spared() {
        let now = Instant::now();
        let mut gate = HostGate::default();
        for _ in 0..1_000 {
            assert!(went(&mut gate, now));
        }
        // Two failures among successes are no outage.
        for _ in 0..300 {
            gate.failed(now);
            gate.failed(now);
            gate.succeeded(now, Duration::ZERO);
        }
        assert!(went(&mut gate, now));
    }

    #[test]
    fn a_failing_host_gets_one_request_a_second_and_few_at_a_time() {
        let mut now = Instant::now();
        let mut gate = HostGate::default();
        for _ in 0..DOWN_AFTER {
            assert!(went(&mut gate, now));
            gate.failed(now);
        }
        let mut sent = 0;
        for _tick in 0..100 {
            now += Duration::from_millis(100);
            sent += usize::from(went(&mut gate, now));
        }
        assert_eq!(sent, UNDER_WAY as usize, "none of them was answered");
        assert_eq!(gate.enter(now, 0.0), Admission::AfterAnother);
        gate.under_way = 0;
        let mut sent = 0;
        for _tick in 0..600 {
            now += Duration::from_millis(100);
            if went(&mut gate, now) {
                sent += 1;
                gate.failed(now);
            }
        }
        assert!((59..=60).contains(&sent), "{sent} in a minute");
    }

    #[test]
    fn after_an_outage_the_pace_rises_step_by_step() {
        let mut now = Instant::now();
        let mut gate = HostGate::default();
        for _ in 0..DOWN_AFTER {
            assert!(went(&mut gate, now));
            gate.failed(now);
        }
        let mut at = Vec::new();
        let start = now;
        while at.len() < 12 {
            match gate.enter(now, 0.0) {
                Admission::Go => {
                    at.push((now - start).as_millis());
                    gate.succeeded(now, Duration::ZERO);
                }
                Admission::At(next) => now = next,
                Admission::AfterAnother => unreachable!("each is answered"),
            }
        }
        assert_eq!(at[0], 0);
        assert!(
            at[1] >= 1_000 && at[2] - at[1] >= 500 && at[3] - at[2] >= 250,
            "{at:?}"
        );
        assert!(at[11] < 2_100, "{at:?}");
    }

    #[test]
    fn hope_is_earned_by_successes_and_runs_out() {
        let now = Instant::now();
        let mut gate = HostGate::default();
        assert_eq!(gate.hope(now), None);
        gate.succeeded(now, Duration::from_millis(3));
        let quick = std::iter::from_fn(|| gate.hope(now)).count();
        assert_eq!(quick, QUICK_TRIES as usize);
        gate.succeeded(now, Duration::from_millis(3));
        assert_eq!(gate.hope(now + Duration::from_mins(1)), None);
        for _ in 0..EARNED {
            assert_eq!(gate.hope(now), Some(Duration::from_millis(3)));
        }
        assert_eq!(gate.hope(now), None);
    }

    /// I11 for a process with many runs over a week without a server, and the time until each is through afterwards.
    #[test]
    fn a_week_of_outage_keeps_to_the_envelope_and_every_run_gets_its_turn() {
        const RUNS: usize = 50;
        let start = Instant::now();
        let mut gate = HostGate::default();
        let mut backoffs = vec![Backoff::new(UPLOAD); RUNS];
        let mut due: Vec<Instant> = vec![start; RUNS];
        let mut tries = [0_u64; RUNS];
        let mut seed = 88_172_645_463_325_252_u64;
        let mut random = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            f64::from(u32::try_from(seed >> 40).expect("24 bits")) / f64::from(1 << 24)
        };
        let mut sent: Vec<Duration> = Vec::new();
        let mut now = start;
        let outage = Duration::from_hours(7 * 24);
        while now < start + outage {
            // First come, first served: the run that has waited longest.
            let (run, at) = due
                .iter()
                .copied()
                .enumerate()
                .min_by_key(|(_, at)| *at)
                .expect("runs");
            now = now.max(at);
            match gate.enter(now, random()) {
                Admission::Go => {
                    sent.push(now - start);
                    tries[run] += 1;
                    gate.failed(now);
                    let hope = gate.hope(now);
                    due[run] = now + backoffs[run].failed(random(), None, hope);
                }
                Admission::At(next) => now = next,
                Admission::AfterAnother => unreachable!("each has failed"),
            }
        }
        let late: Vec<&Duration> = sent
            .iter()
            .filter(|at| **at >= Duration::from_secs(30))
            .collect();
        for pair in late.windows(11) {
            assert!(
                pair[10].saturating_sub(*pair[0]) >= Duration::from_secs(10),
                "more than one a second"
            );
        }
        let (least, most) = (
            tries.iter().min().expect("runs"),
            tries.iter().max().expect("runs"),
        );
        assert!(
            *least * 10 > *most * 8,
            "turns are uneven: {least} to {most}"
        );
        let mut through = [false; RUNS];
        let back = now;
        while through.contains(&false) {
            let (run, at) = due
                .iter()
                .copied()
                .enumerate()
                .filter(|(run, _)| !through[*run])
                .min_by_key(|(_, at)| *at)
                .expect("runs");
            now = now.max(at);
            match gate.enter(now, random()) {
                Admission::Go => {
                    gate.succeeded(now, Duration::from_millis(5));
                    through[run] = true;
                }
                Admission::At(next) => now = next,
                Admission::AfterAnother => unreachable!("each is answered"),
            }
        }
        assert!(now - back < Duration::from_secs(70), "{:?}", now - back);
    }
}
