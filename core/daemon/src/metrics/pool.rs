//! The samplers that somebody wants: which are at rest, which are being read, which are left alone for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use runlane_metrics::{Pace, Reading, SampleError, Sampler, Spec};
use runlane_proto::control;

/// Something that is not here is looked for again after this time: a driver may be loaded later.
const ABSENT_PAUSE: Duration = Duration::from_mins(5);
/// A sampler that fails again and again is asked this often at least.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// What came of a reading.
pub(super) type Outcome = Result<Reading, SampleError>;

#[derive(Default)]
struct Entry {
    name: String,
    pace: Option<Pace>,
    /// Not here while it is being read.
    sampler: Option<Box<dyn Sampler>>,
    users: u32,
    not_before: Duration,
    failures_in_a_row: u32,
    readings: u64,
    failures: u64,
    problem: String,
}

/// Samplers by id.
#[derive(Default)]
pub(super) struct Pool {
    entries: BTreeMap<String, Entry>,
}

impl Pool {
    /// One more user of a sampler.
    pub(super) fn want(&mut self, spec: Spec) {
        let entry = self.entries.entry(spec.id).or_default();
        entry.users += 1;
        if entry.pace.is_none() {
            entry.name = spec.name;
            entry.pace = Some(spec.pace);
            entry.sampler = Some((spec.make)());
        }
    }

    /// One user less; without any, the sampler goes, at once or when its reading is done.
    pub(super) fn release(&mut self, id: &str) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.users = entry.users.saturating_sub(1);
            if entry.users == 0 && entry.sampler.is_some() {
                self.entries.remove(id);
            }
        }
    }

    /// Takes a sampler out to be read; `None` while it is being read, or left alone.
    pub(super) fn take(&mut self, id: &str, now: Duration) -> Option<(Box<dyn Sampler>, Pace)> {
        let entry = self.entries.get_mut(id)?;
        if entry.not_before > now {
            return None;
        }
        Some((entry.sampler.take()?, entry.pace.unwrap_or(Pace::Slow)))
    }

    /// A sampler comes back with what it read. `interval`: how often it is asked.
    pub(super) fn put_back(
        &mut self,
        id: &str,
        sampler: Box<dyn Sampler>,
        outcome: &Outcome,
        now: Duration,
        interval: Duration,
    ) {
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        if entry.users == 0 {
            self.entries.remove(id);
            return;
        }
        entry.sampler = Some(sampler);
        match outcome {
            Ok(_) => {
                entry.readings += 1;
                entry.failures_in_a_row = 0;
                entry.problem.clear();
                entry.not_before = Duration::ZERO;
            }
            Err(SampleError::Absent) => {
                entry.problem = SampleError::Absent.to_string();
                entry.not_before = now + ABSENT_PAUSE;
            }
            Err(SampleError::Failed(problem)) => {
                entry.failures += 1;
                entry.failures_in_a_row = entry.failures_in_a_row.saturating_add(1);
                entry.problem.clone_from(problem);
                // The first time, the next tick may try again; then every second, every fourth …
                let ticks = 1u32 << (entry.failures_in_a_row - 1).min(16);
                let pause = interval.saturating_mul(ticks).min(LONGEST_PAUSE);
                // A tick that comes a little early is the one that is meant.
                entry.not_before = now + pause.saturating_sub(interval / 2);
            }
        }
    }

    /// The name of a sampler, for the user; empty if it is not wanted any more.
    pub(super) fn name(&self, id: &str) -> &str {
        self.entries.get(id).map_or("", |entry| entry.name.as_str())
    }

    /// Every sampler and how it does.
    pub(super) fn views(&self) -> Vec<control::Sampler> {
        self.entries
            .values()
            .map(|entry| control::Sampler {
                name: entry.name.clone(),
                runs: entry.users,
                readings: entry.readings,
                failures: entry.failures,
                problem: entry.problem.clone(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use runlane_metrics::Host;

    use super::*;

    struct Nothing;

    impl Sampler for Nothing {
        fn sample(&mut self, _host: &dyn Host) -> Outcome {
            Ok(Reading::default())
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn pool(users: usize) -> Pool {
        let mut pool = Pool::default();
        for _ in 0..users {
            pool.want(Spec::of_host("x", Pace::Quick, || Nothing));
        }
        pool
    }

    #[test]
    fn a_sampler_lives_as_long_as_somebody_wants_it() {
        let mut pool = pool(2);
        assert_eq!(pool.views()[0].runs, 2);
        pool.release("x");
        let (sampler, _) = pool.take("x", SECOND).expect("at rest");
        assert!(pool.take("x", SECOND).is_none());
        pool.release("x");
        // It goes when it comes back.
        assert_eq!(pool.views().len(), 1);
        pool.put_back("x", sampler, &Ok(Reading::default()), SECOND, SECOND);
        assert!(pool.views().is_empty());
    }

    #[test]
    fn a_failing_sampler_is_asked_ever_more_rarely_until_it_recovers() {
        let mut pool = pool(1);
        let mut asked = Vec::new();
        for tick in 1..40 {
            let now = SECOND * tick;
            let Some((sampler, _)) = pool.take("x", now) else {
                continue;
            };
            asked.push(tick);
            let failed = Err(SampleError::Failed("no".to_owned()));
            pool.put_back("x", sampler, &failed, now, SECOND);
        }
        assert_eq!(asked, [1, 2, 4, 8, 16, 32]);
        assert_eq!(pool.views()[0].problem, "no");
        let (sampler, _) = pool.take("x", SECOND * 100).expect("asked");
        pool.put_back("x", sampler, &Ok(Reading::default()), SECOND * 100, SECOND);
        assert!(pool.take("x", SECOND * 101).is_some());
        let view = pool.views().remove(0);
        assert_eq!(
            (view.readings, view.failures, view.problem.as_str()),
            (1, 6, "")
        );
    }

    #[test]
    fn what_is_absent_is_looked_for_again_much_later() {
        let mut pool = pool(1);
        let (sampler, _) = pool.take("x", SECOND).expect("at rest");
        pool.put_back("x", sampler, &Err(SampleError::Absent), SECOND, SECOND);
        assert!(pool.take("x", SECOND * 200).is_none());
        assert!(pool.take("x", SECOND * 301).is_some());
    }
}
