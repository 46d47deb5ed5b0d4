//! How many of many numbers lie between given edges, exactly as `numpy.histogram` counts them for bins of equal width.
//!
//! A value belongs to the bin `i` with `edges[i] <= value < edges[i + 1]`, the last bin holding its upper edge. Where a value lies is
//! computed from the width of the bins, side by side for a group of values. Edges are rounded numbers, so a value next to one may come
//! out on its wrong side: a group that has such a value, or one that is not finite, is compared with the edges one by one.

use std::thread;

use crate::sys::cast::small_index;

/// Most bins.
pub(crate) const MAX_BINS: usize = 512;
/// Values that are looked at side by side.
const LANES: usize = 16;
/// Counters are kept this many times, so that neighbours of one bin do not wait for each other.
const TABLES: usize = 4;
/// Values from which on a second thread takes one half; below, starting it costs more.
const SHARED: usize = 1 << 17;
/// How far from an edge a value must be to be counted without a look at it, in bins, beside what the edges deviate.
const MARGIN: f64 = 1e-9;

/// A number that a double holds exactly.
pub(crate) trait Value: Copy + Into<f64> + Sync {}

impl Value for f32 {}
impl Value for f64 {}

/// Smallest and largest finite value; `None` if there is none.
pub(crate) fn range<T: Value>(values: &[T]) -> Option<(f64, f64)> {
    let (low, high) = halves(values, range_of, |one, other| {
        (one.0.min(other.0), one.1.max(other.1))
    });
    (low <= high).then_some((low, high))
}

/// The number of values per bin; what is not finite or beyond the edges counts nowhere. `None` for edges that do not grow, for too
/// many, and for a width of bins that has no inverse.
pub(crate) fn count<T: Value>(values: &[T], edges: &[f64]) -> Option<Vec<u64>> {
    let places = Places::new(edges)?;
    Some(halves(
        values,
        |part| places.count(part),
        |one, other| {
            one.iter()
                .zip(&other)
                .map(|(one, other)| one + other)
                .collect()
        },
    ))
}

/// Computes something of both halves of many values at once, and puts it together.
fn halves<T: Sync, R: Send>(
    values: &[T],
    compute: impl Fn(&[T]) -> R + Sync,
    join: impl FnOnce(R, R) -> R,
) -> R {
    if values.len() < SHARED {
        return compute(values);
    }
    let (first, second) = values.split_at(values.len() / 2 / LANES * LANES);
    thread::scope(|scope| {
        let spawned = thread::Builder::new()
            .name("runlane-count".to_owned())
            .spawn_scoped(scope, || compute(second));
        let one = compute(first);
        // Without a thread to be had, or its answer, the caller does both.
        let other = spawned
            .ok()
            .and_then(|handle| handle.join().ok())
            .unwrap_or_else(|| compute(second));
        join(one, other)
    })
}

#[inline]
fn range_of<T: Value>(values: &[T]) -> (f64, f64) {
    let (groups, rest) = values.as_chunks::<LANES>();
    let mut low = [f64::INFINITY; LANES];
    let mut high = [f64::NEG_INFINITY; LANES];
    for group in groups {
        for lane in 0..LANES {
            let value: f64 = group[lane].into();
            // NaN is neither below nor above anything; the infinities become it.
            let value = if value.abs() < f64::INFINITY {
                value
            } else {
                f64::NAN
            };
            low[lane] = if value < low[lane] { value } else { low[lane] };
            high[lane] = if value > high[lane] {
                value
            } else {
                high[lane]
            };
        }
    }
    let finite = rest.iter().map(|&value| value.into());
    let finite = finite.filter(|value: &f64| value.is_finite());
    let (low, high) = (
        low.into_iter().chain(finite.clone()),
        high.into_iter().chain(finite),
    );
    (
        low.fold(f64::INFINITY, f64::min),
        high.fold(f64::NEG_INFINITY, f64::max),
    )
}

/// Where values lie between edges.
struct Places<'a> {
    edges: &'a [f64],
    low: f64,
    high: f64,
    factor: f64,
    margin: f64,
}

impl<'a> Places<'a> {
    fn new(edges: &'a [f64]) -> Option<Self> {
        let bins = edges.len().checked_sub(1)?;
        if bins == 0 || bins > MAX_BINS || !edges.is_sorted_by(|one, other| one < other) {
            return None;
        }
        let (low, high) = (edges[0], edges[bins]);
        #[expect(clippy::cast_precision_loss, reason = "512 at most")]
        let factor = bins as f64 / (high - low);
        if !factor.is_normal() {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "512 at most")]
        let deviation = |(index, edge): (usize, &f64)| ((edge - low) * factor - index as f64).abs();
        let uneven = edges.iter().enumerate().map(deviation).fold(0.0, f64::max);
        (uneven < 0.25).then_some(Self {
            edges,
            low,
            high,
            factor,
            margin: uneven + MARGIN,
        })
    }

    fn bins(&self) -> usize {
        self.edges.len() - 1
    }

    fn count<T: Value>(&self, values: &[T]) -> Vec<u64> {
        let mut tables = [[0_u64; MAX_BINS]; TABLES];
        let (groups, rest) = values.as_chunks::<LANES>();
        let far = 0.5 - self.margin;
        for group in groups {
            let mut bins = [0; LANES];
            let mut near_edges = 0_u32;
            for lane in 0..LANES {
                let (bin, beyond) = small_index((group[lane].into() - self.low) * self.factor);
                bins[lane] = bin;
                near_edges += u32::from((beyond - 0.5).abs() > far);
            }
            if near_edges == 0 {
                for quad in bins.chunks_exact(TABLES) {
                    for (table, &bin) in tables.iter_mut().zip(quad) {
                        table[bin as usize % MAX_BINS] += 1;
                    }
                }
            } else {
                self.compare(group, &mut tables[0]);
            }
        }
        self.compare(rest, &mut tables[0]);
        (0..self.bins())
            .map(|bin| tables.iter().map(|table| table[bin]).sum())
            .collect()
    }

    /// Counts values one by one.
    #[cold]
    fn compare<T: Value>(&self, values: &[T], table: &mut [u64; MAX_BINS]) {
        for &value in values {
            let value: f64 = value.into();
            if !(value >= self.low && value <= self.high) {
                continue;
            }
            let (bin, _) = small_index((value - self.low) * self.factor);
            let mut bin = (bin as usize).min(self.bins() - 1);
            while bin > 0 && value < self.edges[bin] {
                bin -= 1;
            }
            while bin + 1 < self.bins() && value >= self.edges[bin + 1] {
                bin += 1;
            }
            table[bin] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bin by bin, as the definition says.
    #[expect(clippy::float_cmp, reason = "an edge is a value, bit by bit")]
    fn plainly(values: &[f64], edges: &[f64]) -> Vec<u64> {
        let bins = edges.len() - 1;
        (0..bins)
            .map(|bin| {
                let holds = |value: &&f64| {
                    **value >= edges[bin]
                        && (**value < edges[bin + 1] || (bin + 1 == bins && **value == edges[bins]))
                };
                values.iter().filter(holds).count() as u64
            })
            .collect()
    }

    fn spread(low: f64, high: f64, bins: u32) -> Vec<f64> {
        let step = (high - low) / f64::from(bins);
        let mut edges: Vec<f64> = (0..=bins).map(|at| f64::from(at) * step + low).collect();
        if let Some(last) = edges.last_mut() {
            *last = high;
        }
        edges
    }

    proptest! {
        #[test]
        fn counts_are_those_of_the_definition(
            mut values in prop::collection::vec(prop_oneof![-1e3_f64..1e3, (-50_i32..50).prop_map(f64::from)], 2..200),
            bins in 1_u32..512,
        ) {
            values.push(f64::NAN);
            values.push(f64::INFINITY);
            let (low, high) = range(&values).expect("finite values");
            prop_assume!(low < high);
            let edges = spread(low, high, bins);
            // Every edge itself, too.
            values.extend(&edges);
            prop_assert_eq!(count(&values, &edges), Some(plainly(&values, &edges)));
        }
    }

    #[test]
    fn two_threads_count_what_one_does() {
        let values: Vec<f64> = (0..u32::try_from(SHARED).expect("small") * 2 + 7)
            .map(|at| f64::from(at.wrapping_mul(2_654_435_761) >> 8))
            .collect();
        let (low, high) = range(&values).expect("finite values");
        assert_eq!((low, high), range_of(&values));
        let edges = spread(low, high, 64);
        let counted = count(&values, &edges).expect("even edges");
        assert_eq!(counted, plainly(&values, &edges));
        assert_eq!(counted.iter().sum::<u64>(), values.len() as u64);
    }

    #[test]
    fn edges_that_cannot_be_computed_with_are_refused() {
        assert_eq!(count(&[1.0_f64], &[1.0, 1.0]), None);
        assert_eq!(count(&[1.0_f64], &[1.0]), None);
        assert_eq!(count(&[1.0_f64], &[0.0, 1e-320]), None);
        assert_eq!(count(&[1.0_f64], &[0.0, 0.1, 1.0]), None);
        assert_eq!(count(&[1.0_f64], &spread(0.0, 1.0, 600)), None);
        assert_eq!(range(&[f64::NAN, f64::INFINITY]), None);
        assert_eq!(range::<f32>(&[]), None);
    }
}
