//! Histograms of numbers in memory, for `watch`: 64 bins of equal width between the smallest and the largest finite value.
//!
//! Two passes over the values, both without branches on them, so that the compiler makes vector instructions of the first
//! and most of the second: one finds the range, one counts. A tensor just written by the backward pass is still in the
//! cache. The bin of a value is `floor((value - low) / (high - low) * 64)`, the last bin holding `high`, as
//! `torch.histc` has it. Half floats are widened block by block.

/// How many bins a histogram has.
pub(crate) const BINS: usize = 64;
/// Values that are read at once: a block of widened half floats stays in the first-level cache.
const BLOCK: usize = 4096;
/// Values of a block that are looked at side by side.
const LANES: usize = 16;
/// Counters are kept this many times, so that neighbours of one bin do not wait for each other.
const TABLES: usize = 4;

/// Finite values, counted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Histogram {
    /// Values per bin: [`BINS`] bins, or one if all values are equal.
    pub(crate) counts: Vec<u64>,
    /// The bins' edges, one more than bins.
    pub(crate) edges: Vec<f64>,
}

/// Numbers in memory, by how they are stored.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Numbers<'a> {
    /// IEEE single precision.
    Single(&'a [f32]),
    /// IEEE double precision.
    Double(&'a [f64]),
    /// IEEE half precision, as bits.
    Half(&'a [u16]),
    /// The upper half of a single precision number, as bits.
    Brain(&'a [u16]),
}

impl Numbers<'_> {
    /// Counts the finite values and `zeros` more zeros; `None` if there is nothing to count.
    pub(crate) fn histogram(self, zeros: u64) -> Option<Histogram> {
        match self {
            Numbers::Single(values) => singles(&Plain(values), zeros),
            Numbers::Double(values) => doubles(values, zeros),
            Numbers::Half(values) => singles(&Widened(values, widen_half), zeros),
            Numbers::Brain(values) => singles(&Widened(values, widen_brain), zeros),
        }
    }
}

/// The 65 edges between `low` and `high`; those of single precision values are rounded to it, which makes them short to write.
pub(crate) fn edges(low: f64, high: f64, single: bool) -> Vec<f64> {
    #[expect(clippy::cast_precision_loss, reason = "64 at most")]
    let edge = |index: usize| {
        let share = index as f64 / BINS as f64;
        // Weights instead of a difference: the range may be larger than the largest number.
        let edge = low * (1.0 - share) + high * share;
        if single { short(edge) } else { edge }
    };
    (0..=BINS).map(edge).collect()
}

/// The double with the shortest decimal digits that stand for the single precision number next to `value`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to single precision is meant"
)]
pub(crate) fn short(value: f64) -> f64 {
    let single = value as f32;
    // Beyond single precision only where `value` comes from no single: then it stays as it is.
    if single.is_finite() {
        single.to_string().parse().unwrap_or(value)
    } else {
        value
    }
}

/// Counts per bin.
struct Counts {
    tables: [[u32; BINS]; TABLES],
    total: [u64; BINS],
}

impl Counts {
    fn new() -> Self {
        Self {
            tables: [[0; BINS]; TABLES],
            total: [0; BINS],
        }
    }

    /// Counts one bin number per value; a block at most, so that no counter overflows.
    #[inline]
    fn add(&mut self, bins: &[u32; LANES]) {
        for quad in bins.chunks_exact(TABLES) {
            for (table, &bin) in self.tables.iter_mut().zip(quad) {
                table[bin as usize % BINS] += 1;
            }
        }
    }

    fn add_one(&mut self, bin: u32) {
        self.tables[0][bin as usize % BINS] += 1;
    }

    /// Empties the small counters; called often enough that none overflows.
    fn carry(&mut self) {
        for table in &mut self.tables {
            for (total, count) in self.total.iter_mut().zip(table) {
                *total += u64::from(std::mem::take(count));
            }
        }
    }

    fn into_total(mut self) -> [u64; BINS] {
        self.carry();
        self.total
    }
}

/// Smallest and largest finite value, and how many are finite.
#[derive(Clone, Copy)]
struct Range<T> {
    low: T,
    high: T,
    finite: u64,
}

/// Cuts a block into whole groups and the rest.
#[inline]
fn grouped<T>(block: &[T]) -> (&[[T; LANES]], &[T]) {
    block.as_chunks()
}

impl Range<f32> {
    const NONE: Self = Self {
        low: f32::INFINITY,
        high: f32::NEG_INFINITY,
        finite: 0,
    };

    #[inline]
    fn of(block: &[f32]) -> Self {
        let (groups, rest) = grouped(block);
        let mut low = [f32::INFINITY; LANES];
        let mut high = [f32::NEG_INFINITY; LANES];
        let mut finite = [0_u32; LANES];
        for group in groups {
            for lane in 0..LANES {
                let value = group[lane];
                // False for NaN and both infinities.
                let counts = value.abs() < f32::INFINITY;
                low[lane] = if counts && value < low[lane] {
                    value
                } else {
                    low[lane]
                };
                high[lane] = if counts && value > high[lane] {
                    value
                } else {
                    high[lane]
                };
                finite[lane] += u32::from(counts);
            }
        }
        let mut range = Self::NONE;
        for lane in 0..LANES {
            range = range.with(Self {
                low: low[lane],
                high: high[lane],
                finite: finite[lane].into(),
            });
        }
        for &value in rest.iter().filter(|value| value.is_finite()) {
            range = range.with(Self {
                low: value,
                high: value,
                finite: 1,
            });
        }
        range
    }

    #[inline]
    fn with(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
            finite: self.finite + other.finite,
        }
    }
}

/// Where single precision values lie, prepared for many of them.
#[derive(Clone, Copy)]
struct Scale {
    low: f32,
    factor: f32,
}

impl Scale {
    /// `None` where single precision does not hold the range or its inverse.
    #[expect(clippy::cast_precision_loss, reason = "64")]
    fn new(low: f32, high: f32) -> Option<Self> {
        let factor = BINS as f32 / (high - low);
        (factor.is_normal() && (high - low).is_finite()).then_some(Self { low, factor })
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 64; a signed number is what vector instructions make"
    )]
    #[inline]
    fn bin(self, value: f32) -> u32 {
        (((value - self.low) * self.factor) as i32 as u32).min(BINS as u32 - 1)
    }
}

#[inline]
fn count_block(block: &[f32], scale: Scale, counts: &mut Counts) {
    let (groups, rest) = grouped(block);
    for group in groups {
        let mut bins = [0; LANES];
        for lane in 0..LANES {
            bins[lane] = scale.bin(group[lane]);
        }
        counts.add(&bins);
    }
    for &value in rest {
        counts.add_one(scale.bin(value));
    }
}

/// As [`count_block`] where not every value is finite.
fn count_finite(block: &[f32], scale: Scale, counts: &mut Counts) {
    for &value in block.iter().filter(|value| value.is_finite()) {
        counts.add_one(scale.bin(value));
    }
}

/// Where single precision values come from, block by block.
trait Source {
    fn visit(&self, visit: impl FnMut(&[f32]));
}

struct Plain<'a>(&'a [f32]);

impl Source for Plain<'_> {
    #[inline]
    fn visit(&self, visit: impl FnMut(&[f32])) {
        self.0.chunks(BLOCK).for_each(visit);
    }
}

struct Widened<'a, F>(&'a [u16], F);

impl<F: Fn(u16) -> f32> Source for Widened<'_, F> {
    #[inline]
    fn visit(&self, mut visit: impl FnMut(&[f32])) {
        let mut buffer = [0.0; BLOCK];
        for block in self.0.chunks(BLOCK) {
            for (wide, &bits) in buffer.iter_mut().zip(block) {
                *wide = (self.1)(bits);
            }
            visit(&buffer[..block.len()]);
        }
    }
}

#[inline]
fn widen_brain(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// IEEE half precision has 5 bits of exponent and 10 of fraction.
#[inline]
fn widen_half(bits: u16) -> f32 {
    let bits = u32::from(bits);
    let sign = (bits & 0x8000) << 16;
    let magnitude = (bits & 0x7fff) << 13;
    // As if it were single precision, the exponent's bias is 112 too small; multiplying corrects it, subnormals included.
    let value = f32::from_bits(magnitude) * f32::from_bits((127 + 112) << 23);
    let is_finite = magnitude < 0x1f << 23;
    let value = if is_finite {
        value.to_bits()
    } else {
        magnitude | 0xff << 23
    };
    f32::from_bits(value | sign)
}

#[inline]
fn singles(source: &impl Source, zeros: u64) -> Option<Histogram> {
    let mut range = Range::<f32>::NONE;
    let mut length = 0_u64;
    source.visit(|block| {
        range = range.with(Range::<f32>::of(block));
        length += block.len() as u64;
    });
    if zeros > 0 {
        range = range.with(Range {
            low: 0.0,
            high: 0.0,
            finite: zeros,
        });
        length += zeros;
    }
    let (low, high) = (range.low, range.high);
    if range.finite == 0 || low >= high {
        return single_bin(low.into(), range.finite, true);
    }
    let Some(scale) = Scale::new(low, high) else {
        let mut wide = Vec::new();
        source.visit(|block| wide.extend(block.iter().map(|&value| f64::from(value))));
        let counted = doubles(&wide, zeros)?;
        return Some(Histogram {
            edges: edges(low.into(), high.into(), true),
            ..counted
        });
    };
    let is_whole = range.finite == length;
    let mut counts = Counts::new();
    source.visit(|block| {
        if is_whole {
            count_block(block, scale, &mut counts);
        } else {
            count_finite(block, scale, &mut counts);
        }
        counts.carry();
    });
    let mut counts = counts.into_total();
    if zeros > 0 {
        counts[scale.bin(0.0) as usize] += zeros;
    }
    Some(Histogram {
        counts: counts.into(),
        edges: edges(low.into(), high.into(), true),
    })
}

/// All values are `value`: one bin without width.
fn single_bin(value: f64, count: u64, single: bool) -> Option<Histogram> {
    let edge = if single { short(value) } else { value };
    (count > 0).then(|| Histogram {
        counts: vec![count],
        edges: vec![edge; 2],
    })
}

fn doubles(values: &[f64], zeros: u64) -> Option<Histogram> {
    let extra = (zeros > 0).then_some(0.0);
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = finite()
        .chain(extra)
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
    if low >= high {
        return single_bin(low, finite().count() as u64 + zeros, false);
    }
    // Halves: the difference of two huge values overflows.
    let half_range = high / 2.0 - low / 2.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "between 0 and 64"
    )]
    let bin = |value: f64| {
        (((value / 2.0 - low / 2.0) / half_range * BINS as f64) as usize).min(BINS - 1)
    };
    let mut counts = vec![0; BINS];
    for value in finite() {
        counts[bin(value)] += 1;
    }
    if zeros > 0 {
        counts[bin(0.0)] += zeros;
    }
    Some(Histogram {
        counts,
        edges: edges(low, high, false),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[f32], zeros: u64) -> Option<Histogram> {
        Numbers::Single(values).histogram(zeros)
    }

    #[test]
    fn values_lie_in_the_bins_whose_edges_surround_them() {
        let values: Vec<f32> = (0..1000_u16).map(f32::from).collect();
        let histogram = of(&values, 0).expect("values");
        assert_eq!(histogram.counts.len(), BINS);
        assert_eq!(histogram.edges.len(), BINS + 1);
        assert_eq!((histogram.edges[0], histogram.edges[BINS]), (0.0, 999.0));
        assert_eq!(histogram.counts.iter().sum::<u64>(), 1000);
        // 999 / 64 = 15.6 values a bin.
        assert!(
            histogram
                .counts
                .iter()
                .all(|count| (15..=17).contains(count))
        );
    }

    #[test]
    fn nan_and_infinities_are_left_out() {
        let odd = [
            f32::NAN,
            1.0,
            f32::INFINITY,
            2.0,
            f32::NEG_INFINITY,
            -f32::NAN,
        ];
        let histogram = of(&odd, 0).expect("two are finite");
        assert_eq!(histogram.counts.iter().sum::<u64>(), 2);
        assert_eq!((histogram.counts[0], histogram.counts[BINS - 1]), (1, 1));
        assert_eq!(of(&odd.repeat(5000), 0).map(|it| it.counts[0]), Some(5000));
        assert_eq!(of(&[f32::NAN; 40], 0), None);
        assert_eq!(of(&[], 0), None);
    }

    #[test]
    fn equal_values_make_one_bin() {
        let histogram = of(&[2.5; 77], 0).expect("values");
        assert_eq!(
            (histogram.counts, histogram.edges),
            (vec![77], vec![2.5, 2.5])
        );
        assert_eq!(
            of(&[], 9).map(|it| (it.counts, it.edges)),
            Some((vec![9], vec![0.0; 2]))
        );
    }

    #[test]
    fn zeros_of_a_sparse_tensor_widen_the_range_and_are_counted_where_zero_lies() {
        let histogram = of(&[1.0, 2.0], 24).expect("values");
        assert_eq!((histogram.counts[0], histogram.edges[0]), (24, 0.0));
        let below = of(&[-1.0, -2.0], 24).expect("values");
        assert_eq!((below.counts[BINS - 1], below.edges[BINS]), (24, 0.0));
        let around = of(&[-1.0, 1.0], 24).expect("values");
        assert_eq!(around.counts[BINS / 2], 24);
    }

    #[test]
    fn ranges_beyond_single_precision_are_counted() {
        let huge = of(&[-3.0e38, 0.0, 3.0e38], 0).expect("values");
        assert_eq!(
            (huge.counts[0], huge.counts[BINS / 2], huge.counts[BINS - 1]),
            (1, 1, 1)
        );
        let tiny = f32::from_bits(1);
        let subnormal = of(&[0.0, tiny, 64.0 * tiny], 0).expect("values");
        assert_eq!(
            (
                subnormal.counts[0],
                subnormal.counts[1],
                subnormal.counts[63]
            ),
            (1, 1, 1)
        );
        let doubles = Numbers::Double(&[-1.7e308, 0.0, 1.7e308])
            .histogram(0)
            .expect("values");
        assert_eq!(doubles.counts.iter().sum::<u64>(), 3);
        assert!(doubles.edges.iter().all(|edge| edge.is_finite()));
    }

    #[test]
    fn half_floats_widen_exactly() {
        for (bits, value) in [(0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (0, 0.0)] {
            assert_eq!(widen_half(bits).to_bits(), f32::to_bits(value), "{bits:#x}");
        }
        assert_eq!(
            widen_half(1).to_bits(),
            2.0_f32.powi(-24).to_bits(),
            "the smallest"
        );
        assert_eq!(
            widen_half(0x3ff).to_bits(),
            (1023.0 * 2.0_f32.powi(-24)).to_bits()
        );
        assert_eq!(widen_half(0x7c00).to_bits(), f32::INFINITY.to_bits());
        assert_eq!(widen_half(0xfc00).to_bits(), f32::NEG_INFINITY.to_bits());
        assert!(widen_half(0x7e00).is_nan());
        assert_eq!(widen_brain(0xbf80).to_bits(), f32::to_bits(-1.0));
        let histogram = Numbers::Half(&[0x3c00, 0x4000, 0x7c00])
            .histogram(0)
            .expect("values");
        assert_eq!(histogram.counts.iter().sum::<u64>(), 2);
    }

    #[test]
    fn edges_of_singles_are_short_to_write() {
        assert_eq!(short(f64::from(0.1_f32)).to_string(), "0.1");
        assert_eq!(short(1e300).to_string(), 1e300.to_string());
    }

    /// The plain way, value by value, in double precision.
    fn twin(values: &[f32]) -> Vec<u64> {
        let finite: Vec<f64> = values
            .iter()
            .filter(|value| value.is_finite())
            .map(|&value| value.into())
            .collect();
        let low = finite.iter().copied().fold(f64::INFINITY, f64::min);
        let high = finite.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut counts = vec![0; BINS];
        for value in finite {
            let bin = ((value - low) / (high - low) * 64.0).floor();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "0 to 64"
            )]
            let bin = (bin as usize).min(BINS - 1);
            counts[bin] += 1;
        }
        counts
    }

    proptest! {
        #[test]
        fn counts_are_those_of_double_precision_but_for_values_on_an_edge(
            values in prop::collection::vec(
                prop_oneof![9 => -1000.0_f32..1000.0, 1 => Just(f32::NAN), 1 => Just(f32::INFINITY)], 0..300),
            repeats in 1..80_u32,
        ) {
            let values = values.repeat(repeats as usize);
            let Some(histogram) = of(&values, 0) else {
                prop_assert!(values.iter().all(|value| !value.is_finite()));
                return Ok(());
            };
            let finite = values.iter().filter(|value| value.is_finite()).count() as u64;
            prop_assert_eq!(histogram.counts.iter().sum::<u64>(), finite);
            if histogram.counts.len() == 1 {
                return Ok(());
            }
            // A value within rounding of an edge may lie on either side of it; there are few.
            let mut moved = 0_i64;
            let mut carried = 0_i64;
            for (ours, theirs) in histogram.counts.iter().zip(twin(&values)) {
                carried += ours.cast_signed() - theirs.cast_signed();
                moved = moved.max(carried.abs());
            }
            prop_assert!(moved <= 2 * i64::from(repeats), "moved {}", moved);
        }
    }
}
