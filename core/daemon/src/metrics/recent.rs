//! The last samples of a run, for its program (`x_stats_buffer_size`).

use std::collections::{BTreeMap, VecDeque};

use runlane_proto::local;

/// All keys together hold no more samples: 16 MiB, and one message takes them.
const MAX_SAMPLES: usize = 1 << 20;

/// Samples by key, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    by_key: BTreeMap<String, VecDeque<(f64, f64)>>,
    /// Of each key.
    limit: usize,
    held: usize,
}

impl Recent {
    /// Room for `size` samples of each key: -1 for all, 0 for none.
    pub(crate) fn of_size(size: i32) -> Self {
        Self {
            limit: usize::try_from(size).unwrap_or(usize::MAX),
            ..Self::default()
        }
    }

    /// Keeps one sample, in the place of the key's oldest one if there is no room.
    pub(crate) fn add(&mut self, key: &str, at_secs: f64, value: f64) {
        if self.limit == 0 {
            return;
        }
        if !self.by_key.contains_key(key) {
            self.by_key.insert(key.to_owned(), VecDeque::new());
        }
        let Some(samples) = self.by_key.get_mut(key) else {
            return;
        };
        if samples.len() >= self.limit || self.held >= MAX_SAMPLES {
            // A key that is new when everything is taken keeps nothing.
            if samples.pop_front().is_none() {
                return;
            }
            self.held -= 1;
        }
        samples.push_back((at_secs, value));
        self.held += 1;
    }

    /// Everything that is kept.
    pub(crate) fn all(&self) -> local::SystemMetrics {
        let series = |samples: &VecDeque<(f64, f64)>| local::MetricSamples {
            timestamp: samples.iter().map(|(at, _)| *at).collect(),
            value: samples.iter().map(|(_, value)| *value).collect(),
        };
        local::SystemMetrics {
            metrics: self
                .by_key
                .iter()
                .filter(|(_, samples)| !samples.is_empty())
                .map(|(key, samples)| (key.clone(), series(samples)))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(recent: &Recent, key: &str) -> Vec<f64> {
        let mut all = recent.all();
        all.metrics.remove(key).unwrap_or_default().value
    }

    #[test]
    fn the_last_samples_of_each_key_are_kept() {
        let mut recent = Recent::of_size(2);
        for value in [1.0, 2.0, 3.0] {
            recent.add("cpu", 100.0 + value, value);
        }
        recent.add("disk", 101.0, 9.0);
        assert_eq!(values(&recent, "cpu"), [2.0, 3.0]);
        assert_eq!(recent.all().metrics["cpu"].timestamp, [102.0, 103.0]);
        assert_eq!(values(&recent, "disk"), [9.0]);
    }

    #[test]
    fn none_and_all_are_sizes_too_and_all_is_bounded() {
        let mut none = Recent::of_size(0);
        none.add("cpu", 1.0, 1.0);
        assert!(none.all().metrics.is_empty());
        let mut all = Recent::of_size(-1);
        for index in 0..MAX_SAMPLES + 5 {
            #[expect(clippy::cast_precision_loss, reason = "small")]
            all.add("cpu", 0.0, index as f64);
        }
        let kept = values(&all, "cpu");
        assert_eq!((kept.len(), kept[0]), (MAX_SAMPLES, 5.0));
        all.add("late", 0.0, 1.0);
        assert!(values(&all, "late").is_empty());
    }
}
