//! Mean and quantiles of a distribution that comes as counts in buckets.

use super::messages::{Buckets, Distribution};

/// A distribution has no more buckets than this.
const MAX_BUCKETS: usize = 4_096;

const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p999", 0.999)];

/// Distributions with the same buckets, added up.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    count: f64,
    sum: f64,
    buckets: Option<Buckets>,
    counts: Vec<f64>,
}

impl Statistics {
    pub(super) fn add(&mut self, distribution: &Distribution) {
        if distribution.count <= 0 || distribution.bucket_counts.len() > MAX_BUCKETS {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
        let exact = |count: i64| count.max(0) as f64;
        let options = distribution.bucket_options.as_ref();
        let buckets = options.and_then(|options| options.options.clone());
        if self.count > 0.0 && buckets != self.buckets {
            // Of other buckets there is no sum.
            return;
        }
        self.buckets = buckets;
        self.count += exact(distribution.count);
        self.sum += exact(distribution.count) * distribution.mean;
        let counts = &distribution.bucket_counts;
        self.counts.resize(self.counts.len().max(counts.len()), 0.0);
        for (sum, &count) in self.counts.iter_mut().zip(counts) {
            *sum += exact(count);
        }
    }

    /// `mean`, and the quantiles where there are buckets.
    pub(super) fn values(&self) -> Vec<(&'static str, f64)> {
        if self.count <= 0.0 {
            return Vec::new();
        }
        let mean = ("mean", self.sum / self.count);
        let quantile = |&(name, share): &(&'static str, f64)| Some((name, self.quantile(share)?));
        let quantiles = QUANTILES.iter().filter_map(quantile);
        std::iter::once(mean).chain(quantiles).collect()
    }

    /// Where a share of the counts is reached: linear within a bucket.
    fn quantile(&self, share: f64) -> Option<f64> {
        let buckets = self.buckets.as_ref()?;
        let total: f64 = self.counts.iter().sum();
        let wanted = total * share;
        let mut below = 0.0;
        for (index, &count) in self.counts.iter().enumerate() {
            if count > 0.0 && below + count >= wanted {
                let part = (wanted - below) / count;
                let low = start(buckets, index).unwrap_or(0.0);
                // What lies beyond the last bound is taken as lying at it.
                let high = start(buckets, index + 1).unwrap_or(low);
                return Some(low + part * (high - low));
            }
            below += count;
        }
        None
    }
}

/// Where a bucket begins; nothing for the first one, which has no lower bound, and behind the last bound.
fn start(buckets: &Buckets, index: usize) -> Option<f64> {
    let before = index.checked_sub(1)?;
    let steps = i32::try_from(before).ok()?;
    match buckets {
        Buckets::Exponential(buckets) => (steps <= buckets.num_finite_buckets)
            .then(|| buckets.scale * buckets.growth_factor.powi(steps)),
        Buckets::Linear(buckets) => (steps <= buckets.num_finite_buckets)
            .then(|| buckets.offset + buckets.width * f64::from(steps)),
        Buckets::Explicit(buckets) => buckets.bounds.get(before).copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::messages::{BucketOptions, Explicit, Exponential, Linear};
    use super::*;

    fn distribution(buckets: Buckets, mean: f64, counts: &[i64]) -> Distribution {
        Distribution {
            count: counts.iter().sum(),
            mean,
            bucket_options: Some(BucketOptions {
                options: Some(buckets),
            }),
            bucket_counts: counts.to_vec(),
        }
    }

    fn exponential() -> Buckets {
        Buckets::Exponential(Exponential {
            num_finite_buckets: 3,
            growth_factor: 2.0,
            scale: 10.0,
        })
    }

    #[test]
    fn quantiles_lie_within_their_buckets() {
        // 0..10, 10..20, 20..40, 40..80, 80…
        let mut statistics = Statistics::default();
        statistics.add(&distribution(exponential(), 25.0, &[0, 50, 40, 9, 1]));
        let values = statistics.values();
        assert_eq!(values[0], ("mean", 25.0));
        assert_eq!(values[1], ("p50", 20.0));
        assert_eq!(values[2], ("p90", 40.0));
        assert!((values[3].1 - (40.0 + 5.0 / 9.0 * 40.0)).abs() < 1e-9);
        assert_eq!(values[4], ("p999", 80.0));
    }

    #[test]
    fn parts_are_added_up() {
        let mut statistics = Statistics::default();
        statistics.add(&distribution(exponential(), 12.0, &[0, 1]));
        statistics.add(&distribution(exponential(), 30.0, &[0, 0, 3]));
        // Of other buckets.
        let explicit = Buckets::Explicit(Explicit { bounds: vec![1.0] });
        statistics.add(&distribution(explicit, 1e9, &[5, 5]));
        assert_eq!(statistics.values()[0], ("mean", 25.5));
        let median = statistics.values()[1].1;
        assert!((20.0..40.0).contains(&median), "{median}");
    }

    #[test]
    fn other_bounds_are_understood() {
        let linear = Buckets::Linear(Linear {
            num_finite_buckets: 2,
            width: 5.0,
            offset: 100.0,
        });
        let mut statistics = Statistics::default();
        statistics.add(&distribution(linear, 1.0, &[0, 0, 4, 0]));
        assert_eq!(statistics.values()[1], ("p50", 107.5));
        let explicit = Buckets::Explicit(Explicit {
            bounds: vec![1.0, 3.0],
        });
        let mut statistics = Statistics::default();
        statistics.add(&distribution(explicit, 1.0, &[0, 2, 0]));
        assert_eq!(statistics.values()[1], ("p50", 2.0));
    }

    #[test]
    fn what_is_empty_or_too_large_has_no_values() {
        let mut statistics = Statistics::default();
        statistics.add(&distribution(exponential(), 1.0, &[]));
        statistics.add(&distribution(exponential(), 1.0, &vec![1; MAX_BUCKETS + 1]));
        assert_eq!(statistics.values(), []);
        statistics.add(&Distribution {
            count: 4,
            mean: 2.0,
            ..Distribution::default()
        });
        assert_eq!(statistics.values(), [("mean", 2.0)]);
    }
}
