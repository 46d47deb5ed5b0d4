//! Where the counters of system metrics stood when another daemon sampled them.

use std::collections::BTreeMap;

use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::record::RecordType;

use super::RunState;

/// Keys that are remembered; a log can hold any number of them.
const MAX_KEYS: usize = 16_384;

impl RunState {
    /// The writer that opened the run, as far as it is known.
    pub(crate) fn opened_by(&self) -> Option<u64> {
        self.writers.first()
    }

    /// Remembers the values of a log's sample.
    pub(super) fn carry_metrics(&mut self, record: &pb::Record) {
        let Some(RecordType::Stats(stats)) = &record.record_type else {
            return;
        };
        for item in &stats.item {
            let Ok(value) = item.value_json.parse::<f64>() else {
                continue;
            };
            if let Some(known) = self.carried_metrics.get_mut(&item.key) {
                *known = value;
            } else if self.carried_metrics.len() < MAX_KEYS {
                self.carried_metrics.insert(item.key.clone(), value);
            }
        }
    }

    /// The last value of each key; whoever samples goes on from there.
    pub(crate) fn take_carried_metrics(&mut self) -> BTreeMap<String, f64> {
        std::mem::take(&mut self.carried_metrics)
    }
}

#[cfg(test)]
mod tests {
    use super::super::StateSettings;
    use super::*;

    #[test]
    fn the_last_value_of_each_key_is_carried_over_once() {
        let mut state = RunState::new(pb::RunRecord::default(), StateSettings::default());
        for value in ["1", "2.5", "[]"] {
            let item = |key: &str| pb::StatsItem {
                key: key.to_owned(),
                value_json: value.to_owned(),
            };
            let sample = pb::StatsRecord {
                item: vec![item("network.sent")],
                ..Default::default()
            };
            state.replay(&pb::Record {
                record_type: Some(RecordType::Stats(sample)),
                ..Default::default()
            });
        }
        let expected = BTreeMap::from([("network.sent".to_owned(), 2.5)]);
        assert_eq!(state.take_carried_metrics(), expected);
        assert!(state.take_carried_metrics().is_empty());
    }
}
