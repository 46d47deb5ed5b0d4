//! The order language of runs: a sign and one key.

use std::cmp::Ordering;

use runlane_model::json::Value;

use super::filter::compare;
use super::filter_keys::{Field, Key, RunView};
use crate::error::ApiError;
use crate::store::runs::RunRow;

/// A checked order.
#[derive(Debug)]
pub(crate) struct Order {
    key: Key,
    descending: bool,
}

impl Order {
    /// Reads an order; the default is oldest first.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, ApiError> {
        let text = text
            .filter(|text| !text.is_empty())
            .unwrap_or("+created_at");
        let (descending, name) = match text.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let key = Key::parse(name).map_err(|what| {
            ApiError::new(
                http::StatusCode::BAD_REQUEST,
                "invalid_order",
                format!("invalid order: {what}"),
            )
        })?;
        Ok(Self { key, descending })
    }

    /// Whether runs are ordered by their creation, which the database does itself.
    pub(crate) fn is_creation(&self) -> bool {
        self.key == Key::Field(Field::CreatedAt)
    }

    /// Whether the largest comes first.
    pub(crate) fn is_descending(&self) -> bool {
        self.descending
    }

    /// Sorts; runs without a value (or with NaN) come last in both directions, ties in order of creation.
    pub(crate) fn sort(&self, runs: &mut Vec<RunRow>, username: &str) {
        let taken = std::mem::take(runs);
        let mut keyed: Vec<(Option<Value>, RunRow)> = taken
            .into_iter()
            .map(|run| {
                (
                    RunView::new(&run, username)
                        .value(&self.key)
                        .filter(is_sortable),
                    run,
                )
            })
            .collect();
        keyed.sort_by(|(left, left_run), (right, right_run)| {
            let by_value = match (left, right) {
                (Some(left), Some(right)) => {
                    let order =
                        compare(left, right).unwrap_or_else(|| rank(left).cmp(&rank(right)));
                    if self.descending {
                        order.reverse()
                    } else {
                        order
                    }
                }
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => Ordering::Equal,
            };
            by_value.then(left_run.id.cmp(&right_run.id))
        });
        runs.extend(keyed.into_iter().map(|(_, run)| run));
    }
}

fn is_sortable(value: &Value) -> bool {
    !matches!(value, Value::Null) && !value.as_f64().is_some_and(f64::is_nan)
}

/// Values of different types are kept apart, so that the order stays total.
fn rank(value: &Value) -> u8 {
    match value {
        Value::Bool(_) => 0,
        Value::Int(_) | Value::Float(_) => 1,
        Value::Text(_) => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::super::filter_keys::tests::example_run;
    use super::*;

    fn names(order: &str, summaries: &[&str]) -> String {
        let mut runs: Vec<RunRow> = (0_i64..)
            .zip(summaries)
            .map(|(id, summary)| RunRow {
                id,
                name: id.to_string(),
                summary: (*summary).to_owned(),
                ..example_run()
            })
            .collect();
        Order::parse(Some(order))
            .expect(order)
            .sort(&mut runs, "alice");
        runs.iter().map(|run| run.name.as_str()).collect()
    }

    #[test]
    fn missing_values_come_last_in_both_directions() {
        let summaries = [
            r#"{"s":NaN}"#,
            r#"{"s":2}"#,
            "{}",
            r#"{"s":10}"#,
            r#"{"s":2}"#,
        ];
        assert_eq!(names("+summary_metrics.s", &summaries), "14302");
        assert_eq!(names("-summary_metrics.s", &summaries), "31402");
        assert_eq!(names("summary.s", &summaries), "14302");
    }

    #[test]
    fn unknown_keys_are_refused() {
        let error = Order::parse(Some("+nonsense")).expect_err("unknown");
        assert_eq!(error.code, "invalid_order");
    }
}
