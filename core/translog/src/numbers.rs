//! Which record numbers have been seen: gaps are losses, repeats are copies.

use std::ops::RangeInclusive;

/// Gaps remembered one by one; older ones are only counted. Bounds memory on hostile files.
const MAX_OPEN_GAPS: usize = 8192;

/// What a record's number says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sighting {
    /// The next one, or one that was missing.
    New,
    /// A new one, with these missing before it.
    AfterGap(RangeInclusive<u64>),
    /// A copy of one seen before.
    Repeated,
}

/// The set of numbers seen, as the highest one and the gaps below it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    highest: u64,
    /// Ascending, disjoint, all below `highest`.
    gaps: Vec<RangeInclusive<u64>>,
    closed_missing: u64,
}

impl Numbers {
    /// As if everything up to `highest` had been seen.
    pub(crate) fn seen_up_to(highest: u64) -> Self {
        Self {
            highest,
            ..Self::default()
        }
    }

    pub(crate) fn highest(&self) -> u64 {
        self.highest
    }

    /// Numbers below the highest one that were never seen.
    pub(crate) fn missing(&self) -> u64 {
        self.gaps.iter().fold(self.closed_missing, |sum, gap| {
            sum.saturating_add(gap_len(gap))
        })
    }

    pub(crate) fn see(&mut self, num: u64) -> Sighting {
        if num > self.highest {
            let gap = self.highest + 1..=num - 1;
            self.highest = num;
            if gap.is_empty() {
                return Sighting::New;
            }
            self.gaps.push(gap.clone());
            self.forget_oldest_gaps();
            return Sighting::AfterGap(gap);
        }
        let index = self.gaps.partition_point(|gap| *gap.end() < num);
        let Some(gap) = self
            .gaps
            .get(index)
            .filter(|gap| gap.contains(&num))
            .cloned()
        else {
            return Sighting::Repeated;
        };
        let (before, after) = (*gap.start()..=num - 1, num + 1..=*gap.end());
        let parts = [before, after].into_iter().filter(|part| !part.is_empty());
        self.gaps.splice(index..=index, parts);
        self.forget_oldest_gaps();
        Sighting::New
    }

    fn forget_oldest_gaps(&mut self) {
        let surplus = self.gaps.len().saturating_sub(MAX_OPEN_GAPS);
        for gap in self.gaps.drain(..surplus) {
            self.closed_missing = self.closed_missing.saturating_add(gap_len(&gap));
        }
    }
}

fn gap_len(gap: &RangeInclusive<u64>) -> u64 {
    gap.end() - gap.start() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn late_records_close_their_gap() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.see(1), Sighting::New);
        assert_eq!(numbers.see(6), Sighting::AfterGap(2..=5));
        assert_eq!(numbers.missing(), 4);
        assert_eq!(numbers.see(3), Sighting::New);
        assert_eq!(numbers.see(3), Sighting::Repeated);
        assert_eq!(numbers.missing(), 3);
        assert_eq!(numbers.see(6), Sighting::Repeated);
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_a_plain_set(order in proptest::collection::vec(1u64..60, 0..120)) {
            let mut numbers = Numbers::default();
            let mut seen = BTreeSet::new();
            for num in order {
                let repeated = numbers.see(num) == Sighting::Repeated;
                proptest::prop_assert_eq!(repeated, !seen.insert(num));
                let highest = *seen.last().unwrap();
                proptest::prop_assert_eq!(numbers.highest(), highest);
                proptest::prop_assert_eq!(numbers.missing(), highest - seen.len() as u64);
            }
        }
    }

    #[test]
    fn memory_stays_bounded_with_endless_gaps() {
        let mut numbers = Numbers::default();
        for num in 1..=40_000u64 {
            numbers.see(num * 2);
        }
        assert_eq!(numbers.gaps.len(), MAX_OPEN_GAPS);
        assert_eq!(numbers.missing(), 40_000);
    }
}
