//! Buckets of equal x width, with exact minimum, maximum, mean and count.
//!
//! A point at x lies in bucket `floor((x - lo) / (hi - lo) * n)`, the last bucket including `hi`.
//! The mean is a compensated sum (Neumaier 1974) over the count, so that it does not depend on how
//! the rows were cut into chunks beyond the last bit. NaN and infinities count as points but enter
//! neither minimum, maximum nor mean. x need not be monotonic.

use crate::points::Points;

/// How many points a series has and where they lie on the x axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extent {
    /// Number of points.
    pub points: u64,
    /// Smallest x; NaN without points.
    pub x_min: f64,
    /// Largest x; NaN without points.
    pub x_max: f64,
}

impl Extent {
    /// No points.
    pub const EMPTY: Self = Self {
        points: 0,
        x_min: f64::NAN,
        x_max: f64::NAN,
    };

    /// Takes in more points.
    pub fn add(&mut self, points: &Points) {
        self.points += points.len() as u64;
        if let Some((low, high)) = points.span() {
            // `min` and `max` ignore a NaN, which is what an empty extent holds.
            self.x_min = self.x_min.min(low);
            self.x_max = self.x_max.max(high);
        }
    }

    /// The extent of both.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self {
            points: self.points + other.points,
            x_min: self.x_min.min(other.x_min),
            x_max: self.x_max.max(other.x_max),
        }
    }
}

impl Default for Extent {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// One line of a chart, as points or buckets by ascending x.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Every point in the range is here by itself.
    pub raw_points: bool,
    /// There is no such run or key.
    pub unknown: bool,
    /// The whole series, not only the range.
    pub extent: Extent,
    /// x of the point, or of the first point in the bucket.
    pub x: Vec<f64>,
    /// Smallest finite value.
    pub min: Vec<f64>,
    /// Largest finite value.
    pub max: Vec<f64>,
    /// Mean of the finite values.
    pub mean: Vec<f64>,
    /// Number of points.
    pub count: Vec<u32>,
}

impl Series {
    /// The answer for a run or key that does not exist.
    pub fn unknown() -> Self {
        Self {
            raw_points: true,
            unknown: true,
            ..Self::default()
        }
    }

    fn push(&mut self, x: f64, [min, max, mean]: [f64; 3], count: u32) {
        self.x.push(x);
        self.min.push(min);
        self.max.push(max);
        self.mean.push(mean);
        self.count.push(count);
    }
}

/// Buckets points chunk by chunk. Keeps at most the number of buckets in points or buckets.
#[derive(Clone, Debug)]
pub struct Bucketizer {
    extent: Extent,
    low: f64,
    high: f64,
    limit: usize,
    points: Vec<(f64, f64)>,
    /// Empty until there are more points than `limit`.
    buckets: Vec<Bucket>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    x: f64,
    min: f64,
    max: f64,
    sum: f64,
    compensation: f64,
    /// Sum of the values divided by 2^64: the mean where `sum` overflows.
    scaled_sum: f64,
    finite: u32,
    count: u32,
}

const SCALE: f64 = 18_446_744_073_709_551_616.0;

impl Bucket {
    const EMPTY: Self = Self {
        x: f64::INFINITY,
        min: f64::INFINITY,
        max: f64::NEG_INFINITY,
        sum: 0.0,
        compensation: 0.0,
        scaled_sum: 0.0,
        finite: 0,
        count: 0,
    };

    fn add(&mut self, x: f64, y: f64) {
        self.count = self.count.saturating_add(1);
        self.x = self.x.min(x);
        if !y.is_finite() {
            return;
        }
        self.finite = self.finite.saturating_add(1);
        self.min = self.min.min(y);
        self.max = self.max.max(y);
        let sum = self.sum + y;
        self.compensation += if self.sum.abs() >= y.abs() {
            (self.sum - sum) + y
        } else {
            (y - sum) + self.sum
        };
        self.sum = sum;
        self.scaled_sum += y / SCALE;
    }

    fn statistics(&self) -> [f64; 3] {
        if self.finite == 0 {
            return [f64::NAN; 3];
        }
        let count = f64::from(self.finite);
        let sum = self.sum + self.compensation;
        let mean = if sum.is_finite() {
            sum / count
        } else {
            self.scaled_sum / count * SCALE
        };
        [self.min, self.max, mean.clamp(self.min, self.max)]
    }
}

impl Bucketizer {
    /// Buckets over `low ..= high`, at most `limit` of them; `low` and `high` finite, else nothing
    /// is in range.
    pub fn new(low: f64, high: f64, limit: usize) -> Self {
        Self {
            extent: Extent::EMPTY,
            low,
            high,
            limit: limit.max(1),
            points: Vec::new(),
            buckets: Vec::new(),
        }
    }

    /// Takes in the points of one chunk.
    pub fn add(&mut self, points: &Points) {
        self.extent.add(points);
        if points
            .span()
            .is_none_or(|(low, high)| high < self.low || low > self.high)
        {
            return;
        }
        for (x, y) in points.iter() {
            if x < self.low || x > self.high {
                continue;
            }
            if self.buckets.is_empty() {
                if self.points.len() < self.limit {
                    self.points.push((x, y));
                    continue;
                }
                self.spill();
            }
            let index = self.index(x);
            self.buckets[index].add(x, y);
        }
    }

    /// Turns the points kept so far into buckets.
    fn spill(&mut self) {
        self.buckets = vec![Bucket::EMPTY; self.limit];
        for (x, y) in std::mem::take(&mut self.points) {
            let index = self.index(x);
            self.buckets[index].add(x, y);
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the fraction is within 0 and 1, and a limit is far below 2^53"
    )]
    fn index(&self, x: f64) -> usize {
        let width = self.high - self.low;
        let fraction = if width == 0.0 {
            0.0
        } else if width.is_finite() {
            (x - self.low) / width
        } else {
            (x / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0)
        };
        ((fraction * self.limit as f64) as usize).min(self.limit - 1)
    }

    /// The line so far.
    pub fn finish(mut self) -> Series {
        let mut series = Series {
            extent: self.extent,
            ..Series::default()
        };
        if self.buckets.is_empty() {
            series.raw_points = true;
            self.points
                .sort_by(|(left, _), (right, _)| left.total_cmp(right));
            for (x, y) in self.points {
                series.push(x, [y; 3], 1);
            }
            return series;
        }
        for bucket in self.buckets.iter().filter(|bucket| bucket.count > 0) {
            series.push(bucket.x, bucket.statistics(), bucket.count);
        }
        series
    }
}

/// The chart line of a whole series, given as the points of its chunks in order.
///
/// `range` is inclusive; without it, the line spans the series. At most `limit` points are returned
/// as they are; more become at most `limit` buckets of equal width.
pub fn bucketize(chunks: &[Points], range: Option<(f64, f64)>, limit: usize) -> Series {
    let (low, high) = range.unwrap_or_else(|| {
        let mut extent = Extent::EMPTY;
        for points in chunks {
            extent.add(points);
        }
        (extent.x_min, extent.x_max)
    });
    let mut bucketizer = Bucketizer::new(low, high, limit);
    for points in chunks {
        bucketizer.add(points);
    }
    bucketizer.finish()
}
