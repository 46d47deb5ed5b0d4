//! What one run sees of readings.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::{Group, Kind, Reading, Settings, Shown};

/// As a sampler gives it.
type Key = Cow<'static, str>;

/// Counters that a view remembers; beyond, they are left out.
const MAX_COUNTERS: usize = 16_384;

/// A counter since the run's first reading.
#[derive(Debug, Clone, Copy)]
struct Counter {
    raw: f64,
    since_start: f64,
}

/// One run's (or one of its processes') side of the readings: where its counters began, what it asked for.
#[derive(Debug, Default)]
pub struct View {
    device_ids: Option<Vec<u32>>,
    local_rank: Option<u32>,
    counters: BTreeMap<Key, Counter>,
    rates: BTreeMap<Key, (Duration, f64)>,
    shares: BTreeMap<Key, (f64, f64)>,
    told: BTreeSet<Key>,
    /// Where counters stood that another daemon had followed.
    carried: BTreeMap<String, f64>,
}

impl View {
    /// A run that begins. `carried`: the last values that the run recorded of each key before this daemon took it up;
    /// counters go on from there.
    pub fn new(settings: &Settings, carried: BTreeMap<String, f64>) -> Self {
        Self {
            device_ids: settings.gpu_device_ids.clone(),
            local_rank: settings.local_rank,
            carried,
            ..Self::default()
        }
    }

    /// What the run records of a reading. `owns` says whether one of some process ids belongs to the run. Readings of one
    /// sampler come in the order in which they were taken.
    pub fn take(&mut self, reading: &Reading, owns: impl Fn(&[u32]) -> bool) -> Vec<(Key, f64)> {
        let mut shown: Vec<(Key, f64)> = Vec::with_capacity(reading.len());
        for group in &reading.groups {
            if !self.sees(group, &owns) {
                continue;
            }
            let is_sum = matches!(group.shown, Shown::Users(_));
            for metric in &group.metrics {
                let value = match metric.kind {
                    Kind::Gauge => Some(metric.value),
                    Kind::Once => self.once(&metric.key).then_some(metric.value),
                    Kind::SinceStart => self.since_start(&metric.key, metric.value),
                    Kind::Rate { scale } => {
                        let rate = self.rate(&metric.key, reading.at, metric.value);
                        rate.map(|per_second| per_second * scale)
                    }
                    Kind::Share { whole } => self.share(&metric.key, metric.value, whole),
                };
                let Some(value) = value else { continue };
                // Processes of one run on one device: the run's use is theirs together.
                let earlier = is_sum.then(|| shown.iter_mut().find(|(key, _)| *key == metric.key));
                match earlier.flatten() {
                    Some((_, sum)) => *sum += value,
                    None => shown.push((metric.key.clone(), value)),
                }
            }
        }
        shown
    }

    fn sees(&self, group: &Group, owns: &impl Fn(&[u32]) -> bool) -> bool {
        if let (Some(index), Some(wanted)) = (group.device, &self.device_ids)
            && !wanted.contains(&index)
        {
            return false;
        }
        match &group.shown {
            Shown::Everyone => true,
            Shown::Users(pids) => owns(pids),
            Shown::LocalRank(rank) => self.local_rank.is_none_or(|own| own == *rank),
        }
    }

    fn once(&mut self, key: &Key) -> bool {
        let has_room = self.told.len() < MAX_COUNTERS;
        has_room && !self.carried.contains_key(key.as_ref()) && self.told.insert(key.clone())
    }

    fn since_start(&mut self, key: &Key, raw: f64) -> Option<f64> {
        if let Some(counter) = self.counters.get_mut(key) {
            // A counter that falls began anew, or lost a part of what it counts: the run's own does not fall.
            counter.since_start += (raw - counter.raw).max(0.0);
            counter.raw = raw;
            return Some(counter.since_start);
        }
        if self.counters.len() >= MAX_COUNTERS {
            return None;
        }
        let since_start = self.carried.remove(key.as_ref()).unwrap_or(0.0);
        self.counters
            .insert(key.clone(), Counter { raw, since_start });
        Some(since_start)
    }

    /// Growth per second since the previous reading; none at the first one and when no time has passed.
    fn rate(&mut self, key: &Key, at: Duration, value: f64) -> Option<f64> {
        if self.rates.len() >= MAX_COUNTERS && !self.rates.contains_key(key) {
            return None;
        }
        let (before, old) = self.rates.insert(key.clone(), (at, value))?;
        let elapsed = at.checked_sub(before)?.as_secs_f64();
        (elapsed > 0.0).then(|| (value - old).max(0.0) / elapsed)
    }

    fn share(&mut self, key: &Key, part: f64, whole: f64) -> Option<f64> {
        if self.shares.len() >= MAX_COUNTERS && !self.shares.contains_key(key) {
            return None;
        }
        let (old_part, old_whole) = self.shares.insert(key.clone(), (part, whole))?;
        let grown = whole - old_whole;
        (grown > 0.0).then(|| ((part - old_part) / grown).clamp(0.0, 1.0) * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at: f64, metrics: &[(&'static str, f64, Kind)]) -> Reading {
        let mut group = Group::default();
        for (key, value, kind) in metrics {
            group.add(*key, *value, *kind);
        }
        Reading::of(Duration::from_secs_f64(at), group)
    }

    fn shown(view: &mut View, reading: &Reading) -> Vec<(String, f64)> {
        let taken = view.take(reading, |_| false);
        taken
            .into_iter()
            .map(|(key, value)| (key.into_owned(), value))
            .collect()
    }

    fn pairs(expected: &[(&str, f64)]) -> Vec<(String, f64)> {
        let owned = |(key, value): &(&str, f64)| ((*key).to_owned(), *value);
        expected.iter().map(owned).collect()
    }

    #[test]
    fn counters_begin_at_the_first_reading_and_never_fall() {
        let mut view = View::default();
        let sent = |at, value| reading(at, &[("sent", value, Kind::SinceStart)]);
        assert_eq!(
            shown(&mut view, &sent(0.0, 1_000.0)),
            pairs(&[("sent", 0.0)])
        );
        assert_eq!(
            shown(&mut view, &sent(1.0, 1_500.0)),
            pairs(&[("sent", 500.0)])
        );
        // An interface is gone, and with it what it counted.
        assert_eq!(
            shown(&mut view, &sent(2.0, 200.0)),
            pairs(&[("sent", 500.0)])
        );
        assert_eq!(
            shown(&mut view, &sent(3.0, 260.0)),
            pairs(&[("sent", 560.0)])
        );
    }

    #[test]
    fn counters_go_on_where_another_daemon_left_them() {
        let carried = BTreeMap::from([("sent".to_owned(), 700.0), ("model".to_owned(), 1.0)]);
        let mut view = View::new(&Settings::default(), carried);
        let both = |at, value| {
            let kinds = [
                ("sent", value, Kind::SinceStart),
                ("model", 1.0, Kind::Once),
            ];
            reading(at, &kinds)
        };
        assert_eq!(
            shown(&mut view, &both(0.0, 50.0)),
            pairs(&[("sent", 700.0)])
        );
        assert_eq!(
            shown(&mut view, &both(1.0, 51.0)),
            pairs(&[("sent", 701.0)])
        );
    }

    #[test]
    fn rates_need_two_readings() {
        let mut view = View::default();
        let cpu = |at, value| reading(at, &[("cpu", value, Kind::Rate { scale: 50.0 })]);
        assert_eq!(shown(&mut view, &cpu(0.0, 3.0)), []);
        assert_eq!(shown(&mut view, &cpu(2.0, 4.0)), pairs(&[("cpu", 25.0)]));
        assert_eq!(shown(&mut view, &cpu(2.0, 4.0)), []);
        assert_eq!(shown(&mut view, &cpu(3.0, 1.0)), pairs(&[("cpu", 0.0)]));
    }

    #[test]
    fn what_does_not_change_is_told_once() {
        let mut view = View::default();
        let model = reading(0.0, &[("model", 9.0, Kind::Once)]);
        assert_eq!(shown(&mut view, &model), pairs(&[("model", 9.0)]));
        assert_eq!(shown(&mut view, &model), []);
    }

    #[test]
    fn processes_of_a_run_on_one_device_are_added_up() {
        let mut reading = Reading::default();
        for pid in [7, 8, 9] {
            let mut own = Group::of_device(0).shown_to(Shown::Users(vec![pid]));
            own.gauge("memory", 10.0);
            reading.groups.push(own);
        }
        let taken = View::default().take(&reading, |pids| pids[0] < 9);
        assert_eq!(taken, [(Cow::Borrowed("memory"), 20.0)]);
    }

    #[test]
    fn a_run_sees_its_devices_and_its_own_use_only() {
        let mut reading = Reading::default();
        for index in 0..2 {
            let mut group = Group::of_device(index);
            group.gauge(format!("gpu.{index}.gpu"), 1.0);
            let mut own = Group::of_device(index).shown_to(Shown::Users(vec![100 + index]));
            own.gauge(format!("gpu.process.{index}.gpu"), 2.0);
            let mut core = Group::default().shown_to(Shown::LocalRank(index));
            core.gauge(format!("trn.{index}"), 3.0);
            reading.groups.extend([group, own, core]);
        }
        let settings = Settings {
            gpu_device_ids: Some(vec![1]),
            local_rank: Some(0),
            ..Settings::default()
        };
        let mut view = View::new(&settings, BTreeMap::new());
        let taken = view.take(&reading, |pids| pids.contains(&101));
        let keys: Vec<_> = taken.iter().map(|(key, _)| key.as_ref()).collect();
        assert_eq!(keys, ["trn.0", "gpu.1.gpu", "gpu.process.1.gpu"]);
        let mut all = View::default();
        assert_eq!(all.take(&reading, |_| true).len(), 6);
    }
}
