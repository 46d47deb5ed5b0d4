//! The summary of a run: one value per key, by default the last one logged
//! (`reference/wandb/records.md` §2.7; NaN is skipped in min, max and mean, docs/differences.md).

use crate::json::{Object, Value};
use crate::key_path::KeyPath;
use crate::metric::{Aggregations, Definition, Goal, MetricTable};
use crate::row::{Items, KeyId, KeyTable, Row};
use crate::tree;

/// What is kept of one key.
#[derive(Debug, Clone, Default)]
struct Slot {
    /// The plain last value.
    value: Option<Value>,
    aggregate: Aggregate,
    /// Set by hand: aggregation is reset, the plain last value is tracked from then on.
    explicit: bool,
    changed: bool,
}

#[derive(Debug, Clone, Default)]
struct Aggregate {
    seen: bool,
    count: u64,
    mean: f64,
    min: Option<f64>,
    max: Option<f64>,
    first: Option<Value>,
}

/// The summary, updated row by row; keys are those of the run's `KeyTable`.
#[derive(Debug, Default)]
pub struct Summary {
    slots: Vec<Slot>,
    /// Rules by key, resolved when first needed and forgotten when a metric is defined.
    rules: Vec<Option<Rule>>,
    removed: Vec<KeyPath>,
    step_key: Option<KeyId>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Rule {
    aggregations: Aggregations,
    goal: Option<Goal>,
}

/// Leaves to write or send: set these, then remove those.
#[derive(Debug, Default, PartialEq)]
pub struct SummaryChange {
    /// Path and new value.
    pub update: Vec<(KeyPath, Value)>,
    /// Leaves or subtrees that are gone.
    pub remove: Vec<KeyPath>,
}

impl SummaryChange {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.update.is_empty() && self.remove.is_empty()
    }
}

impl Summary {
    /// Takes in a committed row. `null` never reaches the summary, and `_step` never steps back: rows of several processes
    /// need not come by step, and a run that is resumed goes on behind the last one.
    pub fn observe(&mut self, keys: &KeyTable, metrics: &MetricTable, row: &Row) {
        if self.step_key.is_none() {
            self.step_key = keys.get(&KeyPath::flat("_step"));
        }
        self.observe_items(keys, metrics, &row.items);
    }

    /// As `observe`, for leaves that are not part of a row (`_step`, `_runtime`).
    pub fn observe_items(&mut self, keys: &KeyTable, metrics: &MetricTable, items: &Items) {
        let no_rules = metrics.is_empty();
        for (id, value) in items {
            if no_rules && self.replace_float(keys, *id, value) {
                continue;
            }
            if *value == Value::Null || self.steps_back(*id, value) {
                continue;
            }
            let rule = self.rule(keys, metrics, *id);
            if rule.aggregations.none {
                continue;
            }
            self.clear_conflicts(keys, *id);
            let slot = self.slot(*id);
            slot.changed = true;
            if rule.aggregations.any() && !slot.explicit {
                slot.aggregate.add(value);
            }
            slot.value = Some(value.clone());
        }
    }

    /// The short way for most items of most rows: another float in the place of a float.
    #[inline]
    fn replace_float(&mut self, keys: &KeyTable, id: KeyId, value: &Value) -> bool {
        let Some(slot) = self.slots.get_mut(id.index()) else {
            return false;
        };
        let (Some(Value::Float(last)), Value::Float(new)) = (&mut slot.value, value) else {
            return false;
        };
        if !keys.conflicts(id).is_empty() {
            return false;
        }
        *last = *new;
        slot.changed = true;
        true
    }

    fn steps_back(&self, id: KeyId, value: &Value) -> bool {
        Some(id) == self.step_key && self.last(id).and_then(Value::as_i64) > value.as_i64()
    }

    /// Sets a value by hand; an object replaces the subtree by its leaves.
    pub fn set(&mut self, keys: &mut KeyTable, path: &KeyPath, value: &Value) {
        self.clear_below(keys, path);
        tree::visit_leaves(path, value, &mut |leaf, value| {
            let id = keys.intern(&leaf);
            self.clear_conflicts(keys, id);
            *self.slot(id) = Slot {
                value: Some(value.clone()),
                explicit: true,
                changed: true,
                ..Slot::default()
            };
        });
    }

    /// Removes a leaf or a subtree.
    pub fn remove(&mut self, keys: &KeyTable, path: &KeyPath) {
        self.clear_below(keys, path);
        self.removed.push(path.clone());
    }

    /// The plain last value of a key, aggregated or not.
    pub fn last(&self, id: KeyId) -> Option<&Value> {
        self.slots.get(id.index())?.value.as_ref()
    }

    /// A definition changed: rules are looked up again.
    pub fn metrics_changed(&mut self) {
        self.rules.clear();
    }

    /// The leaves that changed since the last call, and forgets that they did.
    pub fn take_changes(&mut self, keys: &KeyTable, metrics: &MetricTable) -> SummaryChange {
        let mut change = SummaryChange {
            update: Vec::new(),
            remove: std::mem::take(&mut self.removed),
        };
        for (index, path) in keys.paths().enumerate() {
            let Some(slot) = self.slots.get_mut(index) else {
                break;
            };
            if !std::mem::take(&mut slot.changed) {
                continue;
            }
            let slot = slot.clone();
            if let Some(value) = self.shown(keys, metrics, keys.id_at(index), &slot) {
                change.update.push((path.clone(), value));
            }
        }
        // A leaf that was removed and set again since is an update only.
        change
            .remove
            .retain(|gone| !change.update.iter().any(|(path, _)| path.starts_with(gone)));
        change
    }

    /// The whole summary.
    pub fn to_object(&mut self, keys: &KeyTable, metrics: &MetricTable) -> Object {
        let mut object = Object::new();
        for (index, path) in keys.paths().enumerate() {
            let Some(slot) = self.slots.get(index).cloned() else {
                break;
            };
            if let Some(value) = self.shown(keys, metrics, keys.id_at(index), &slot) {
                tree::set(&mut object, path, value);
            }
        }
        object
    }

    fn shown(
        &mut self,
        keys: &KeyTable,
        metrics: &MetricTable,
        id: KeyId,
        slot: &Slot,
    ) -> Option<Value> {
        let last = slot.value.as_ref()?;
        let rule = self.rule(keys, metrics, id);
        if slot.explicit || !slot.aggregate.seen || !rule.aggregations.any() {
            return Some(last.clone());
        }
        Some(Value::Object(slot.aggregate.shown(rule, last)))
    }

    fn rule(&mut self, keys: &KeyTable, metrics: &MetricTable, id: KeyId) -> Rule {
        if metrics.is_empty() {
            return Rule::default();
        }
        if self.rules.len() <= id.index() {
            self.rules.resize(keys.len().max(id.index() + 1), None);
        }
        *self.rules[id.index()].get_or_insert_with(|| {
            metrics
                .resolve(&keys.path(id).to_string())
                .map_or_else(Rule::default, Rule::of)
        })
    }

    fn slot(&mut self, id: KeyId) -> &mut Slot {
        if self.slots.len() <= id.index() {
            self.slots.resize(id.index() + 1, Slot::default());
        }
        &mut self.slots[id.index()]
    }

    fn clear_conflicts(&mut self, keys: &KeyTable, id: KeyId) {
        for conflict in keys.conflicts(id) {
            if let Some(slot) = self.slots.get_mut(conflict.index()) {
                *slot = Slot::default();
            }
        }
    }

    fn clear_below(&mut self, keys: &KeyTable, path: &KeyPath) {
        for (slot, key) in self.slots.iter_mut().zip(keys.paths()) {
            if key.starts_with(path) {
                *slot = Slot::default();
            }
        }
    }
}

impl Rule {
    fn of(definition: &Definition) -> Self {
        Self {
            aggregations: definition.aggregations,
            goal: definition.goal,
        }
    }
}

impl Aggregate {
    fn add(&mut self, value: &Value) {
        self.seen = true;
        if self.first.is_none() {
            self.first = Some(value.clone());
        }
        let Some(number) = value.as_f64().filter(|number| !number.is_nan()) else {
            return;
        };
        self.count += 1;
        self.min = Some(self.min.map_or(number, |min| min.min(number)));
        self.max = Some(self.max.map_or(number, |max| max.max(number)));
        // A running mean: a sum of many values would lose digits, and overflow before they do.
        #[expect(
            clippy::cast_precision_loss,
            reason = "a count of rows is far below 2^53"
        )]
        let share = 1.0 / self.count as f64;
        self.mean += (number - self.mean) * share;
    }

    /// The members that W&B shows; with no number seen, min and max are 0 and the mean is NaN, as there.
    fn shown(&self, rule: Rule, last: &Value) -> Object {
        let mut object = Object::new();
        let mut put = |wanted: bool, name: &str, value: Value| {
            if wanted {
                object.insert(name.to_owned(), value);
            }
        };
        let wanted = rule.aggregations;
        let (min, max) = (self.min.unwrap_or(0.0), self.max.unwrap_or(0.0));
        put(wanted.min, "min", number(min));
        put(wanted.max, "max", number(max));
        put(
            wanted.mean,
            "mean",
            number(if self.count == 0 { f64::NAN } else { self.mean }),
        );
        put(
            wanted.first,
            "first",
            self.first.clone().unwrap_or(Value::Null),
        );
        put(wanted.last, "last", last.clone());
        let best = match rule.goal {
            Some(Goal::Minimize) => number(min),
            Some(Goal::Maximize) => number(max),
            None => last.clone(),
        };
        put(wanted.best, "best", best);
        object
    }
}

/// Whole numbers are shown as integers.
fn number(value: f64) -> Value {
    let float = Value::Float(value);
    match float.as_i64() {
        Some(whole) if !(value == 0.0 && value.is_sign_negative()) => Value::Int(whole),
        _ => float,
    }
}

#[cfg(test)]
mod tests {
    use runlane_proto::wandb_internal as pb;

    use super::*;

    #[derive(Default)]
    struct Run {
        keys: KeyTable,
        metrics: MetricTable,
        summary: Summary,
    }

    impl Run {
        fn log(&mut self, key: &str, value: Value) {
            let id = self.keys.intern(&KeyPath::from_dotted(key));
            let row = Row {
                step: 0,
                items: vec![(id, value)],
            };
            self.summary.observe(&self.keys, &self.metrics, &row);
        }

        fn define(&mut self, name: &str, summary: pb::MetricSummary) {
            let record = pb::MetricRecord {
                name: name.to_owned(),
                summary: Some(summary),
                ..Default::default()
            };
            self.metrics.apply(&record).expect("valid");
            self.summary.metrics_changed();
        }

        fn shown(&mut self) -> String {
            Value::Object(self.summary.to_object(&self.keys, &self.metrics)).to_string()
        }
    }

    #[test]
    fn the_last_value_stays_and_null_never_arrives() {
        let mut run = Run::default();
        run.log("a", Value::Int(1));
        run.log("a", Value::Float(f64::NAN));
        run.log("a", Value::Null);
        run.log("b.c", Value::from("x"));
        assert_eq!(run.shown(), r#"{"a":NaN,"b":{"c":"x"}}"#);
    }

    #[test]
    fn the_step_never_steps_back() {
        let mut run = Run::default();
        for step in [3, 1, 4] {
            run.log("_step", Value::Int(step));
            run.log("a", Value::Int(step));
        }
        run.log("_step", Value::Int(2));
        assert_eq!(run.shown(), r#"{"_step":4,"a":4}"#);
    }

    #[test]
    fn nan_is_skipped_in_min_max_and_mean() {
        let mut run = Run::default();
        run.define(
            "loss",
            pb::MetricSummary {
                min: true,
                max: true,
                mean: true,
                first: true,
                last: true,
                ..Default::default()
            },
        );
        for value in [4.0, f64::NAN, 2.0] {
            run.log("loss", Value::Float(value));
        }
        assert_eq!(
            run.shown(),
            r#"{"loss":{"min":2,"max":4,"mean":3,"first":4.0,"last":2.0}}"#
        );
    }

    #[test]
    fn setting_by_hand_resets_the_aggregation_and_replaces_a_subtree() {
        let mut run = Run::default();
        run.define(
            "acc",
            pb::MetricSummary {
                max: true,
                ..Default::default()
            },
        );
        run.log("acc", Value::Int(5));
        run.summary
            .set(&mut run.keys, &KeyPath::flat("acc"), &Value::Int(1));
        run.log("acc", Value::Int(3));
        let nested = crate::json::parse(r#"{"a":{"b":1}}"#).expect("valid");
        run.summary
            .set(&mut run.keys, &KeyPath::flat("nested"), &nested);
        run.summary
            .set(&mut run.keys, &KeyPath::flat("gone"), &Value::Int(1));
        run.summary.remove(&run.keys, &KeyPath::flat("gone"));
        assert_eq!(run.shown(), r#"{"acc":3,"nested":{"a":{"b":1}}}"#);
    }

    #[test]
    fn only_changed_leaves_are_taken() {
        let mut run = Run::default();
        run.define(
            "quiet",
            pb::MetricSummary {
                none: true,
                ..Default::default()
            },
        );
        run.log("a", Value::Int(1));
        run.log("quiet", Value::Int(1));
        let change = run.summary.take_changes(&run.keys, &run.metrics);
        assert_eq!(change.update, [(KeyPath::flat("a"), Value::Int(1))]);
        assert!(run.summary.take_changes(&run.keys, &run.metrics).is_empty());
        run.summary.remove(&run.keys, &KeyPath::flat("a"));
        run.log("b", Value::Int(2));
        let change = run.summary.take_changes(&run.keys, &run.metrics);
        assert_eq!(change.update, [(KeyPath::flat("b"), Value::Int(2))]);
        assert_eq!(change.remove, [KeyPath::flat("a")]);
    }

    #[test]
    fn a_leaf_logged_over_a_subtree_replaces_it() {
        let mut run = Run::default();
        run.log("a.b", Value::Int(1));
        run.log("a", Value::Int(2));
        assert_eq!(run.shown(), r#"{"a":2}"#);
    }

    #[test]
    fn only_non_numbers_give_what_wandb_gives() {
        let mut run = Run::default();
        run.define(
            "phase",
            pb::MetricSummary {
                min: true,
                mean: true,
                last: true,
                ..Default::default()
            },
        );
        run.log("phase", Value::from("warmup"));
        assert_eq!(
            run.shown(),
            r#"{"phase":{"min":0,"mean":NaN,"last":"warmup"}}"#
        );
    }
}
