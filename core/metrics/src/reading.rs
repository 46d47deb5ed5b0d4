//! What a sampler read: raw values, before they are a run's.

use std::borrow::Cow;
use std::time::Duration;

/// A reading holds no more metrics than this; an endpoint that sends millions must not fill the log.
pub const MAX_METRICS: usize = 4_096;

/// What a value means over time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// The value as it is now.
    Gauge,
    /// Does not change: a run records it once.
    Once,
    /// A counter that only grows: a run sees what was added since its first reading.
    SinceStart,
    /// A counter that only grows: a run sees `scale` times its growth per second since the previous reading, so nothing at the
    /// first one.
    Rate {
        /// Of seconds of CPU time, 100 makes percent of one core.
        scale: f64,
    },
    /// A counter that is a part of another one: a run sees how much of the growth of the whole was its, in percent. Nothing
    /// at the first reading.
    Share {
        /// The whole.
        whole: f64,
    },
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// As it is published, without the prefix `system.` and a label.
    pub key: Cow<'static, str>,
    /// Finite.
    pub value: f64,
    /// What it means over time.
    pub kind: Kind,
}

/// Which runs see a group of values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Shown {
    /// Every run that wants the sampler.
    #[default]
    Everyone,
    /// Runs one of whose processes, or a descendant of it, is among these process ids.
    Users(Vec<u32>),
    /// Runs of this local rank, and runs without one.
    LocalRank(u32),
}

/// Values that are shown or left out together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Group {
    /// The device index that `x_stats_gpu_device_ids` restricts; `None` for values of no device.
    pub device: Option<u32>,
    /// Which runs see it.
    pub shown: Shown,
    /// The values.
    pub metrics: Vec<Metric>,
}

impl Group {
    /// Values of device `index`.
    pub fn of_device(index: u32) -> Self {
        Self {
            device: Some(index),
            ..Self::default()
        }
    }

    /// The same, for runs that `shown` names.
    #[must_use]
    pub fn shown_to(mut self, shown: Shown) -> Self {
        self.shown = shown;
        self
    }

    /// Adds a value that holds now. Numbers that are not finite are no measurement and left out.
    pub fn gauge(&mut self, key: impl Into<Cow<'static, str>>, value: f64) {
        self.add(key, value, Kind::Gauge);
    }

    /// Adds a value; numbers that are not finite are left out.
    pub fn add(&mut self, key: impl Into<Cow<'static, str>>, value: f64, kind: Kind) {
        if value.is_finite() {
            let key = key.into();
            self.metrics.push(Metric { key, value, kind });
        }
    }
}

/// One reading of one sampler.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// When it was taken, by [`Host::now`](crate::Host::now).
    pub at: Duration,
    /// The values.
    pub groups: Vec<Group>,
    /// What could not be read although the rest could: each text is a warning, told once.
    pub troubles: Vec<String>,
}

impl Reading {
    /// A reading of one group.
    pub fn of(at: Duration, group: Group) -> Self {
        Self {
            at,
            groups: vec![group],
            troubles: Vec::new(),
        }
    }

    /// How many values it has.
    pub fn len(&self) -> usize {
        self.groups.iter().map(|group| group.metrics.len()).sum()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Leaves out what is beyond [`MAX_METRICS`]; returns how many values that were.
    pub fn cut(&mut self) -> usize {
        let mut room = MAX_METRICS;
        let mut dropped = 0;
        for group in &mut self.groups {
            dropped += group.metrics.len().saturating_sub(room);
            group.metrics.truncate(room);
            room -= group.metrics.len();
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_bounded_and_finite() {
        let mut group = Group::default();
        group.gauge("nan", f64::NAN);
        group.gauge("inf", f64::INFINITY);
        for index in 0..MAX_METRICS + 10 {
            group.gauge(format!("key{index}"), 1.0);
        }
        let mut reading = Reading::of(Duration::ZERO, group);
        reading.groups.push(Group::of_device(0));
        reading.groups[1].gauge("late", 1.0);
        assert_eq!(reading.len(), MAX_METRICS + 11);
        assert_eq!(reading.cut(), 11);
        assert_eq!(reading.len(), MAX_METRICS);
    }
}
