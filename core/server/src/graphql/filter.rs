//! The filter language of runs: JSON objects in the style of `MongoDB`'s queries.
//!
//! Missing keys equal null; ordering comparisons never match them. Values of different JSON types are never equal
//! and never ordered. `tags` is a list: comparing it with a text asks whether the tag is there.

use std::cmp::Ordering;

use regex::{Regex, RegexBuilder};
use runlane_model::json::{Object, Value, parse};

use super::filter_keys::{Key, RunView};
use crate::error::ApiError;
use crate::store::runs::RunRow;

const MAX_BYTES: usize = 256 << 10;
const MAX_DEPTH: usize = 20;
const MAX_CONDITIONS: usize = 2_000;
const MAX_REGEX_BYTES: usize = 1 << 20;

/// A checked filter.
#[derive(Debug)]
pub(crate) struct Filter(Node);

#[derive(Debug)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Test(Key, Test),
}

#[derive(Debug)]
enum Test {
    Equal(Value),
    Order(Value, fn(Ordering) -> bool),
    In(Vec<Value>),
    Regex(Regex),
    Contains(String),
    Exists(bool),
}

impl Filter {
    /// Reads a filter; null, empty text and `{}` match everything.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, ApiError> {
        let text = text.map_or("", str::trim);
        if text.is_empty() {
            return Ok(Self(Node::All(Vec::new())));
        }
        if text.len() > MAX_BYTES {
            return Err(fault("", format!("longer than {MAX_BYTES} bytes")));
        }
        let value = parse(text).map_err(|error| fault("", error.to_string()))?;
        let mut budget = MAX_CONDITIONS;
        let node = match &value {
            Value::Null => Node::All(Vec::new()),
            Value::Object(object) => all_of(object, "", 0, &mut budget)?,
            _ => return Err(fault("", "not an object")),
        };
        Ok(Self(node))
    }

    /// Whether every run passes.
    pub(crate) fn is_everything(&self) -> bool {
        matches!(&self.0, Node::All(nodes) if nodes.is_empty())
    }

    /// Whether a run passes.
    pub(crate) fn matches(&self, run: &RunRow, username: &str) -> bool {
        self.is_everything() || holds(&self.0, &mut RunView::new(run, username))
    }
}

fn fault(pointer: &str, what: impl Into<String>) -> ApiError {
    let what = what.into();
    let place = if pointer.is_empty() {
        "filters"
    } else {
        pointer
    };
    ApiError::new(
        http::StatusCode::BAD_REQUEST,
        "invalid_filter",
        format!("invalid filter: {what} (at `{place}`)"),
    )
}

fn all_of(
    object: &Object,
    pointer: &str,
    depth: usize,
    budget: &mut usize,
) -> Result<Node, ApiError> {
    if depth > MAX_DEPTH {
        return Err(fault(
            pointer,
            format!("nested more than {MAX_DEPTH} levels"),
        ));
    }
    let mut nodes = Vec::with_capacity(object.len());
    for (key, value) in object {
        let at = format!("{pointer}/{key}");
        *budget = budget
            .checked_sub(1)
            .ok_or_else(|| fault(&at, format!("more than {MAX_CONDITIONS} conditions")))?;
        nodes.push(match key.as_str() {
            "$and" => Node::All(list_of(value, &at, depth, budget)?),
            "$or" => Node::Any(list_of(value, &at, depth, budget)?),
            "$nor" => Node::Not(Box::new(Node::Any(list_of(value, &at, depth, budget)?))),
            "$not" => {
                let inner = value
                    .as_object()
                    .ok_or_else(|| fault(&at, "needs an object"))?;
                Node::Not(Box::new(all_of(inner, &at, depth + 1, budget)?))
            }
            operator if operator.starts_with('$') => {
                return Err(fault(&at, format!("`{operator}` is not known here")));
            }
            name => condition(
                &Key::parse(name).map_err(|what| fault(&at, what))?,
                value,
                &at,
                budget,
            )?,
        });
    }
    Ok(if nodes.len() == 1 {
        nodes.remove(0)
    } else {
        Node::All(nodes)
    })
}

fn list_of(
    value: &Value,
    pointer: &str,
    depth: usize,
    budget: &mut usize,
) -> Result<Vec<Node>, ApiError> {
    let items = value
        .as_list()
        .ok_or_else(|| fault(pointer, "needs a list"))?;
    let mut nodes = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let at = format!("{pointer}/{index}");
        let object = item
            .as_object()
            .ok_or_else(|| fault(&at, "not an object"))?;
        nodes.push(all_of(object, &at, depth + 1, budget)?);
    }
    Ok(nodes)
}

fn condition(
    key: &Key,
    value: &Value,
    pointer: &str,
    budget: &mut usize,
) -> Result<Node, ApiError> {
    let operators = match value {
        Value::Object(object) if object.keys().any(|key| key.starts_with('$')) => object,
        plain => return Ok(Node::Test(key.clone(), Test::Equal(plain.clone()))),
    };
    let mut nodes = Vec::new();
    for (operator, operand) in operators {
        let at = format!("{pointer}/{operator}");
        *budget = budget
            .checked_sub(1)
            .ok_or_else(|| fault(&at, format!("more than {MAX_CONDITIONS} conditions")))?;
        let test = |test| Node::Test(key.clone(), test);
        let not = |node| Node::Not(Box::new(node));
        nodes.push(match operator.as_str() {
            "$eq" => test(Test::Equal(operand.clone())),
            "$ne" => not(test(Test::Equal(operand.clone()))),
            "$gt" => test(Test::Order(operand.clone(), Ordering::is_gt)),
            "$gte" => test(Test::Order(operand.clone(), Ordering::is_ge)),
            "$lt" => test(Test::Order(operand.clone(), Ordering::is_lt)),
            "$lte" => test(Test::Order(operand.clone(), Ordering::is_le)),
            "$in" => test(Test::In(values(operand, &at)?)),
            "$nin" => not(test(Test::In(values(operand, &at)?))),
            "$regex" => test(Test::Regex(regex(operand, &at)?)),
            "$contains" => test(Test::Contains(text(operand, &at)?.to_owned())),
            "$exists" => match operand {
                Value::Bool(wanted) => test(Test::Exists(*wanted)),
                _ => return Err(fault(&at, "needs true or false")),
            },
            "$not" => not(condition(key, operand, &at, budget)?),
            other => return Err(fault(&at, format!("operator `{other}` is not supported"))),
        });
    }
    Ok(Node::All(nodes))
}

fn values(operand: &Value, pointer: &str) -> Result<Vec<Value>, ApiError> {
    let values = operand
        .as_list()
        .ok_or_else(|| fault(pointer, "needs a list"))?;
    Ok(values.to_vec())
}

fn text<'a>(operand: &'a Value, pointer: &str) -> Result<&'a str, ApiError> {
    operand
        .as_str()
        .ok_or_else(|| fault(pointer, "needs a text"))
}

fn regex(operand: &Value, pointer: &str) -> Result<Regex, ApiError> {
    RegexBuilder::new(text(operand, pointer)?)
        .size_limit(MAX_REGEX_BYTES)
        .dfa_size_limit(MAX_REGEX_BYTES)
        .build()
        .map_err(|error| fault(pointer, error.to_string()))
}

fn holds(node: &Node, run: &mut RunView<'_>) -> bool {
    match node {
        Node::All(nodes) => nodes.iter().all(|node| holds(node, run)),
        Node::Any(nodes) => nodes.iter().any(|node| holds(node, run)),
        Node::Not(node) => !holds(node, run),
        Node::Test(key, test) => passes(test, run.value(key).as_ref()),
    }
}

fn passes(test: &Test, value: Option<&Value>) -> bool {
    // A test on a list asks for one element that passes, but a list may also be compared as a whole.
    if let Some(Value::List(items)) = value {
        let as_whole = match test {
            Test::Equal(Value::Null) => items.is_empty(),
            Test::Equal(wanted) => wanted == &Value::List(items.clone()),
            Test::Exists(wanted) => *wanted,
            _ => false,
        };
        return as_whole || items.iter().any(|item| passes(test, Some(item)));
    }
    match test {
        Test::Equal(wanted) => equal(value, wanted),
        Test::In(wanted) => wanted.iter().any(|wanted| equal(value, wanted)),
        Test::Order(limit, fits) => value
            .and_then(|value| compare(value, limit))
            .is_some_and(fits),
        Test::Regex(regex) => value
            .and_then(Value::as_str)
            .is_some_and(|text| regex.is_match(text)),
        Test::Contains(part) => value
            .and_then(Value::as_str)
            .is_some_and(|text| text.contains(part)),
        Test::Exists(wanted) => value.is_some() == *wanted,
    }
}

fn equal(value: Option<&Value>, wanted: &Value) -> bool {
    match (value.unwrap_or(&Value::Null), wanted) {
        (Value::Null, Value::Null) => true,
        (left, right) => match (left.as_f64(), right.as_f64()) {
            (Some(left), Some(right)) => {
                left.total_cmp(&right).is_eq() || left.partial_cmp(&right) == Some(Ordering::Equal)
            }
            _ => left == right,
        },
    }
}

/// The order of two values of one type; none if they are of different types, or not numbers or texts.
pub(super) fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

#[cfg(test)]
mod tests {
    use super::super::filter_keys::tests::example_run;
    use super::*;

    #[test]
    fn documented_filters_select_as_documented() {
        let run = example_run();
        let cases = [
            ("{}", true),
            (r#"{"state": "finished"}"#, true),
            (r#"{"config.lr": {"$gt": 0.05}}"#, true),
            (r#"{"config.lr.value": {"$gt": 0.5}}"#, false),
            (r#"{"config.nested.x": 1}"#, true),
            (r#"{"summary_metrics.loss": {"$lt": 1.5}}"#, true),
            (r#"{"summary_metrics.missing": {"$lt": 1.5}}"#, false),
            (r#"{"summary_metrics.missing": null}"#, true),
            (r#"{"tags": {"$in": ["odd"]}}"#, true),
            (r#"{"tags": "even"}"#, false),
            (r#"{"tags": {"$ne": "odd"}}"#, false),
            (r#"{"tags": null}"#, false),
            (r#"{"displayName": {"$regex": "^name-[01]"}}"#, true),
            (r#"{"display_name": {"$contains": "ame"}}"#, true),
            (r#"{"$or": [{"name": "run0"}, {"group": "g1"}]}"#, true),
            (r#"{"$or": []}"#, false),
            (r#"{"$and": []}"#, true),
            (r#"{"$nor": [{"name": "run0"}]}"#, false),
            (r#"{"jobType": "train", "username": "alice"}"#, true),
            (r#"{"createdAt": {"$gt": "2020-01-01T00:00:00"}}"#, true),
            (r#"{"created_at": {"$lt": "2020-01"}}"#, false),
            (r#"{"config.lr": {"$not": {"$gt": 0.05}}}"#, false),
            (
                r#"{"config.lr": {"$exists": true}, "config.zz": {"$exists": false}}"#,
                true,
            ),
            (r#"{"config.lr": "0.1"}"#, false),
            (r#"{"config.lr": {"$nin": [0.2, 0.3]}}"#, true),
            (r#"{"config.opt": {"name": "adam"}}"#, true),
            (r#"{"duration": {"$gte": 10}}"#, true),
        ];
        for (text, expected) in cases {
            let filter = Filter::parse(Some(text)).expect(text);
            assert_eq!(filter.matches(&run, "alice"), expected, "{text}");
        }
    }

    #[test]
    fn faults_are_named_with_their_place() {
        let deep = format!("{}{{}}{}", r#"{"$and": ["#.repeat(30), "]}".repeat(30));
        let cases = [
            ("[1]", "not an object"),
            ("{", "filters"),
            (r#"{"config.lr": {"$where": "1"}}"#, "/config.lr/$where"),
            (r#"{"$where": "1"}"#, "`$where`"),
            (r#"{"name": {"$regex": "("}}"#, "/name/$regex"),
            (r#"{"name": {"$in": "x"}}"#, "needs a list"),
            (r#"{"nonsense": 1}"#, "nonsense"),
            (r#"{"$or": [1]}"#, "/$or/0"),
            (&deep, "nested"),
        ];
        for (text, part) in cases {
            let error = Filter::parse(Some(text)).expect_err(text);
            assert_eq!(error.code, "invalid_filter");
            assert!(error.message.contains(part), "{text}: {}", error.message);
        }
    }
}
