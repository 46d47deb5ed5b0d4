//! Reading definitions back from a stored config (`_wandb.m`, see [`MetricTable::to_config`]).

use super::{Aggregations, Definition, Goal, MetricTable};
use crate::json::{Object, Value};
use crate::limits;

impl MetricTable {
    /// The definitions in the list `m`, as our client or W&B's wrote it. What is no definition is left out: a summary is rather
    /// computed without it than not at all.
    #[must_use]
    pub fn from_config(list: &Value) -> Self {
        let mut table = Self::default();
        let entries = list.as_list().unwrap_or_default();
        let entries = &entries[..entries.len().min(limits::METRIC_DEFINITIONS)];
        let member = |entry: &'_ Value, field: &str| entry.as_object()?.get(field).cloned();
        let name_at = |index: usize| {
            member(entries.get(index)?, "1")?
                .as_str()
                .map(str::to_owned)
        };
        for entry in entries.iter().filter_map(Value::as_object) {
            let text = |field: &str| entry.get(field).and_then(Value::as_str);
            let step_metric = entry
                .get("5")
                .and_then(Value::as_i64)
                .and_then(|index| usize::try_from(index).ok()?.checked_sub(1))
                .and_then(name_at);
            let definition = definition(entry, step_metric);
            match (text("1"), text("2").and_then(|glob| glob.strip_suffix('*'))) {
                (Some(name), _) => {
                    table.exact.insert(name.to_owned(), definition);
                }
                (None, Some(prefix)) => {
                    let definition = Definition {
                        defined: true,
                        ..definition
                    };
                    table.globs.insert(prefix.to_owned(), definition);
                }
                (None, None) => {}
            }
        }
        table
    }
}

fn definition(entry: &Object, step_metric: Option<String>) -> Definition {
    let has = |field: &str, flag: i64| {
        entry
            .get(field)
            .and_then(Value::as_list)
            .is_some_and(|flags| flags.iter().any(|value| value.as_i64() == Some(flag)))
    };
    Definition {
        step_metric,
        step_sync: has("6", 1),
        hidden: has("6", 2),
        defined: has("6", 3),
        aggregations: Aggregations {
            min: has("7", 1),
            max: has("7", 2),
            mean: has("7", 3),
            best: has("7", 4),
            last: has("7", 5),
            none: has("7", 6),
            first: has("7", 8),
        },
        goal: match entry.get("8").and_then(Value::as_i64) {
            Some(1) => Some(Goal::Minimize),
            Some(2) => Some(Goal::Maximize),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    #[test]
    fn definitions_come_back() {
        let text = r#"[{"1":"epoch","6":[],"7":[]},{"1":"val/f1","6":[3],"7":[2,8],"8":2},{"2":"val/*","5":1,"6":[1],"7":[]},{"2":"*","6":[2],"7":[1,6]}]"#;
        let table = MetricTable::from_config(&parse(text).expect("valid"));
        assert_eq!(table.to_config().to_string(), text);
        let glob = table.resolve("val/x").expect("the glob");
        assert_eq!(
            (glob.step_metric.as_deref(), glob.step_sync),
            (Some("epoch"), true)
        );
        assert!(table.resolve("val/f1").expect("exact").aggregations.max);
    }

    #[test]
    fn what_is_no_definition_is_left_out() {
        for text in [
            "null",
            "{}",
            r#"[1, {}, {"1": 2}, {"2": "a*b"}, {"1": "x", "5": -7, "6": 3}]"#,
        ] {
            let table = MetricTable::from_config(&parse(text).expect("valid"));
            let known = table.to_config().to_string();
            let expected = if text.starts_with('[') {
                r#"[{"1":"x","6":[],"7":[]}]"#
            } else {
                "[]"
            };
            assert_eq!(known, expected, "{text}");
        }
    }
}
