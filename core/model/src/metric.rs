//! Metric definitions: `define_metric`, its merging and its meaning (`reference/wandb/run-semantics.md` §7).

mod stored;

use indexmap::IndexMap;
use runlane_proto::wandb_internal as pb;
use thiserror::Error;

use crate::json::{Object, Value};
use crate::limits;

/// The aggregations that a summary keeps of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a set of independent flags, as in the record"
)]
pub struct Aggregations {
    /// Smallest value.
    pub min: bool,
    /// Largest value.
    pub max: bool,
    /// Mean of the values.
    pub mean: bool,
    /// First value.
    pub first: bool,
    /// Last value.
    pub last: bool,
    /// Best value by the metric's goal.
    pub best: bool,
    /// Keep the metric out of the summary; wins over the others.
    pub none: bool,
}

impl Aggregations {
    /// Whether the summary holds an object of aggregates instead of the plain last value.
    pub fn any(self) -> bool {
        self.min || self.max || self.mean || self.first || self.last || self.best
    }

    fn merge(&mut self, other: Self) {
        self.min |= other.min;
        self.max |= other.max;
        self.mean |= other.mean;
        self.first |= other.first;
        self.last |= other.last;
        self.best |= other.best;
        self.none |= other.none;
    }
}

/// Which way a metric is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Smaller is better.
    Minimize,
    /// Larger is better.
    Maximize,
}

/// What is defined for one name or glob.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Definition {
    /// The metric that is its x axis, dotted.
    pub step_metric: Option<String>,
    /// Insert the last value of the step metric into rows that lack it.
    pub step_sync: bool,
    /// Keep out of automatic charts.
    pub hidden: bool,
    /// Defined by the user, rather than implied as somebody's step metric.
    pub defined: bool,
    /// What the summary keeps.
    pub aggregations: Aggregations,
    /// For `Aggregations::best`.
    pub goal: Option<Goal>,
}

impl Definition {
    fn merge(&mut self, other: Self) {
        if other.step_metric.is_some() {
            self.step_metric = other.step_metric;
        }
        self.step_sync |= other.step_sync;
        self.hidden |= other.hidden;
        self.defined |= other.defined;
        self.aggregations.merge(other.aggregations);
        self.goal = other.goal.or(self.goal);
    }
}

/// A metric record that cannot be taken.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum MetricError {
    /// Neither name nor glob.
    #[error("metric definition has no name")]
    NoName,
    /// A `*` anywhere but at the end.
    #[error("metric glob `{0}` is not supported: `*` may only be the last character")]
    Glob(String),
    /// Too many definitions.
    #[error("more than {} metric definitions", limits::METRIC_DEFINITIONS)]
    TooMany,
}

/// All definitions of a run, in the order they were first made.
#[derive(Debug, Clone, Default)]
pub struct MetricTable {
    exact: IndexMap<String, Definition>,
    /// By prefix, without the `*`.
    globs: IndexMap<String, Definition>,
}

impl MetricTable {
    /// Applies a metric record; a step metric gets an implicit definition.
    pub fn apply(&mut self, record: &pb::MetricRecord) -> Result<(), MetricError> {
        let definition = definition_of(record);
        if let Some(step) = &definition.step_metric
            && !self.exact.contains_key(step)
        {
            self.room()?;
            self.exact.insert(step.clone(), Definition::default());
        }
        let overwrite = record
            .control
            .as_ref()
            .is_some_and(|control| control.overwrite);
        let (table, name) = match (record.name.as_str(), record.glob_name.as_str()) {
            ("", "") => return Err(MetricError::NoName),
            ("", glob) => match glob.strip_suffix('*') {
                Some(prefix) if !prefix.contains('*') => (&mut self.globs, prefix),
                _ => return Err(MetricError::Glob(glob.to_owned())),
            },
            (name, _) => (&mut self.exact, name),
        };
        match table.get_mut(name) {
            Some(existing) if !overwrite => existing.merge(definition),
            Some(existing) => *existing = definition,
            None => {
                if self.exact.len() + self.globs.len() >= limits::METRIC_DEFINITIONS {
                    return Err(MetricError::TooMany);
                }
                let table = if record.name.is_empty() {
                    &mut self.globs
                } else {
                    &mut self.exact
                };
                table.insert(name.to_owned(), definition);
            }
        }
        Ok(())
    }

    fn room(&self) -> Result<(), MetricError> {
        if self.exact.len() + self.globs.len() >= limits::METRIC_DEFINITIONS {
            return Err(MetricError::TooMany);
        }
        Ok(())
    }

    /// The definition that holds for a dotted key: the exact one if the user made it, else the first glob that
    /// matches. Keys that begin with `_` match no glob.
    pub fn resolve(&self, dotted: &str) -> Option<&Definition> {
        let exact = self.exact.get(dotted);
        if exact.is_some_and(|definition| definition.defined) || dotted.starts_with('_') {
            return exact;
        }
        self.globs
            .iter()
            .find(|(prefix, _)| dotted.starts_with(prefix.as_str()))
            .map(|(_, definition)| definition)
            .or(exact)
    }

    /// Whether nothing is defined.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.globs.is_empty()
    }

    /// The list for `config._wandb.m`: objects keyed by field number (`reference/wandb/records.md` §6).
    pub fn to_config(&self) -> Value {
        let position = |name: &str| self.exact.get_index_of(name).map(|index| index + 1);
        let entry = |field: &str, name: String, definition: &Definition| {
            let mut object = Object::new();
            object.insert(field.to_owned(), Value::Text(name));
            if let Some(index) = definition.step_metric.as_deref().and_then(position) {
                object.insert(
                    "5".to_owned(),
                    Value::Int(i64::try_from(index).unwrap_or(i64::MAX)),
                );
            }
            let exact = field == "1";
            object.insert(
                "6".to_owned(),
                numbers(&[
                    (definition.step_sync, 1),
                    (definition.hidden, 2),
                    (definition.defined && exact, 3),
                ]),
            );
            let kept = definition.aggregations;
            object.insert(
                "7".to_owned(),
                numbers(&[
                    (kept.min, 1),
                    (kept.max, 2),
                    (kept.mean, 3),
                    (kept.best, 4),
                    (kept.last, 5),
                    (kept.none, 6),
                    (kept.first, 8),
                ]),
            );
            if let Some(goal) = definition.goal {
                object.insert(
                    "8".to_owned(),
                    Value::Int(if goal == Goal::Minimize { 1 } else { 2 }),
                );
            }
            Value::Object(object)
        };
        let exact = self
            .exact
            .iter()
            .map(|(name, definition)| entry("1", name.clone(), definition));
        let globs = self
            .globs
            .iter()
            .map(|(prefix, definition)| entry("2", format!("{prefix}*"), definition));
        Value::List(exact.chain(globs).collect())
    }
}

fn numbers(flags: &[(bool, i64)]) -> Value {
    Value::List(
        flags
            .iter()
            .filter(|(set, _)| *set)
            .map(|(_, number)| Value::Int(*number))
            .collect(),
    )
}

fn definition_of(record: &pb::MetricRecord) -> Definition {
    let options = record.options.unwrap_or_default();
    let summary = record.summary.unwrap_or_default();
    Definition {
        step_metric: (!record.step_metric.is_empty()).then(|| record.step_metric.clone()),
        step_sync: options.step_sync,
        hidden: options.hidden,
        defined: options.defined || !record.expanded_from_glob,
        aggregations: Aggregations {
            min: summary.min,
            max: summary.max,
            mean: summary.mean,
            first: summary.first,
            last: summary.last,
            best: summary.best,
            none: summary.none,
        },
        goal: match record.goal() {
            pb::metric_record::MetricGoal::GoalUnset => None,
            pb::metric_record::MetricGoal::GoalMinimize => Some(Goal::Minimize),
            pb::metric_record::MetricGoal::GoalMaximize => Some(Goal::Maximize),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, step_metric: &str, summary: pb::MetricSummary) -> pb::MetricRecord {
        let (name, glob_name) = if name.ends_with('*') {
            ("", name)
        } else {
            (name, "")
        };
        pb::MetricRecord {
            name: name.to_owned(),
            glob_name: glob_name.to_owned(),
            step_metric: step_metric.to_owned(),
            options: Some(pb::MetricOptions {
                step_sync: !step_metric.is_empty(),
                hidden: false,
                defined: true,
            }),
            summary: Some(summary),
            ..Default::default()
        }
    }

    #[test]
    fn exact_definitions_win_over_globs_and_hidden_keys_match_none() {
        let mut table = MetricTable::default();
        table
            .apply(&record("val/*", "epoch", pb::MetricSummary::default()))
            .expect("valid");
        let max = pb::MetricSummary {
            max: true,
            ..Default::default()
        };
        table.apply(&record("val/f1", "", max)).expect("valid");
        table
            .apply(&record(
                "*",
                "",
                pb::MetricSummary {
                    min: true,
                    ..Default::default()
                },
            ))
            .expect("valid");
        assert!(table.resolve("val/f1").expect("exact").aggregations.max);
        assert_eq!(
            table
                .resolve("val/x")
                .and_then(|found| found.step_metric.as_deref()),
            Some("epoch")
        );
        assert!(
            table
                .resolve("other")
                .expect("the last glob")
                .aggregations
                .min
        );
        assert_eq!(table.resolve("_runtime"), None);
        assert_eq!(
            table.to_config().to_string(),
            r#"[{"1":"epoch","6":[],"7":[]},{"1":"val/f1","6":[3],"7":[2]},{"2":"val/*","5":1,"6":[1],"7":[]},{"2":"*","6":[],"7":[1]}]"#
        );
    }

    #[test]
    fn definitions_merge_unless_overwritten() {
        let mut table = MetricTable::default();
        let min = pb::MetricSummary {
            min: true,
            ..Default::default()
        };
        let max = pb::MetricSummary {
            max: true,
            ..Default::default()
        };
        table.apply(&record("loss", "", min)).expect("valid");
        table.apply(&record("loss", "", max)).expect("valid");
        let kept = table.resolve("loss").expect("defined").aggregations;
        assert!(kept.min && kept.max);
        let mut replacing = record("loss", "", max);
        replacing.control = Some(pb::MetricControl { overwrite: true });
        table.apply(&replacing).expect("valid");
        assert!(!table.resolve("loss").expect("defined").aggregations.min);
    }

    #[test]
    fn bad_names_are_refused() {
        let mut table = MetricTable::default();
        assert_eq!(
            table.apply(&pb::MetricRecord::default()),
            Err(MetricError::NoName)
        );
        let inner = pb::MetricRecord {
            glob_name: "a*b*".to_owned(),
            ..Default::default()
        };
        assert_eq!(
            table.apply(&inner),
            Err(MetricError::Glob("a*b*".to_owned()))
        );
    }
}
