//! Inserting the step metric into rows that lack it (`define_metric(step_metric=…, step_sync=True)`,
//! `reference/wandb/run-semantics.md` §7).

use std::collections::HashMap;

use crate::json::Value;
use crate::key_path::KeyPath;
use crate::metric::MetricTable;
use crate::row::{KeyId, KeyTable, Row};

/// Knows the last value of each step metric that rows follow.
#[derive(Debug, Default)]
pub struct StepSync {
    /// By key.
    follows: Vec<Follows>,
    last: HashMap<KeyId, Value>,
}

#[derive(Debug, Clone, Copy, Default)]
enum Follows {
    #[default]
    NotLookedUp,
    Nothing,
    Step(KeyId),
}

impl StepSync {
    /// Adds to `row` the last value of each step metric that one of its keys follows and that the row lacks; 0 if it
    /// was never logged. `known` tells the last value of a key from before it became a step metric.
    pub fn fill(
        &mut self,
        keys: &mut KeyTable,
        metrics: &MetricTable,
        row: &mut Row,
        known: impl Fn(KeyId) -> Option<Value>,
    ) {
        if metrics.is_empty() {
            return;
        }
        let mut missing: Vec<KeyId> = Vec::new();
        for (id, value) in &row.items {
            if let Some(last) = self.last.get_mut(id) {
                last.clone_from(value);
            }
            let Some(step) = self.step_metric_of(keys, metrics, *id) else {
                continue;
            };
            let present = |wanted: KeyId| row.items.iter().any(|(other, _)| *other == wanted);
            if !missing.contains(&step) && !present(step) {
                missing.push(step);
            }
        }
        for step in missing {
            let value = self
                .last
                .entry(step)
                .or_insert_with(|| known(step).unwrap_or(Value::Int(0)));
            row.items.push((step, value.clone()));
        }
    }

    /// A definition changed: what follows what is looked up again.
    pub fn metrics_changed(&mut self) {
        self.follows.clear();
    }

    fn step_metric_of(
        &mut self,
        keys: &mut KeyTable,
        metrics: &MetricTable,
        id: KeyId,
    ) -> Option<KeyId> {
        match self.follows.get(id.index()) {
            Some(Follows::Step(step)) => return Some(*step),
            Some(Follows::Nothing) => return None,
            Some(Follows::NotLookedUp) | None => {}
        }
        let step = metrics
            .resolve(&keys.path(id).to_string())
            .filter(|definition| definition.step_sync)
            .and_then(|definition| definition.step_metric.as_deref())
            .map(|name| keys.intern(&KeyPath::from_dotted(name)))
            .filter(|step| *step != id);
        if self.follows.len() <= id.index() {
            self.follows
                .resize(keys.len().max(id.index() + 1), Follows::NotLookedUp);
        }
        self.follows[id.index()] = step.map_or(Follows::Nothing, Follows::Step);
        step
    }
}

#[cfg(test)]
mod tests {
    use runlane_proto::wandb_internal as pb;

    use super::*;

    fn defined(name: &str, step_metric: &str) -> MetricTable {
        let mut metrics = MetricTable::default();
        let record = pb::MetricRecord {
            name: name.to_owned(),
            step_metric: step_metric.to_owned(),
            options: Some(pb::MetricOptions {
                step_sync: true,
                hidden: false,
                defined: true,
            }),
            ..Default::default()
        };
        metrics.apply(&record).expect("valid");
        metrics
    }

    #[test]
    fn the_last_value_is_inserted_and_zero_before_the_first() {
        let metrics = defined("loss", "epoch");
        let (mut keys, mut sync) = (KeyTable::default(), StepSync::default());
        let loss = keys.intern(&KeyPath::flat("loss"));
        let epoch = keys.intern(&KeyPath::flat("epoch"));
        let mut filled = |items: &[(KeyId, i64)]| {
            let items = items
                .iter()
                .map(|(id, value)| (*id, Value::Int(*value)))
                .collect();
            let mut row = Row { step: 0, items };
            sync.fill(&mut keys, &metrics, &mut row, |_| None);
            row.items
                .iter()
                .map(|(id, value)| (*id, value.as_i64().expect("an int")))
                .collect::<Vec<_>>()
        };
        assert_eq!(filled(&[(loss, 1)]), [(loss, 1), (epoch, 0)]);
        assert_eq!(filled(&[(epoch, 4), (loss, 2)]), [(epoch, 4), (loss, 2)]);
        assert_eq!(filled(&[(loss, 3)]), [(loss, 3), (epoch, 4)]);
        assert_eq!(filled(&[(epoch, 5)]), [(epoch, 5)]);
    }

    #[test]
    fn a_value_from_before_the_definition_counts() {
        let metrics = defined("loss", "epoch");
        let (mut keys, mut sync) = (KeyTable::default(), StepSync::default());
        let loss = keys.intern(&KeyPath::flat("loss"));
        let mut row = Row {
            step: 0,
            items: vec![(loss, Value::Int(1))],
        };
        sync.fill(&mut keys, &metrics, &mut row, |_| Some(Value::Int(9)));
        assert_eq!(row.items[1].1, Value::Int(9));
    }
}
