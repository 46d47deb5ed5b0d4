//! Reading and holding a filter.

use super::condition::{Members, Side, Test};
use super::key::{Field, Key, shortened};
use super::timestamp::Period;
use super::{Values, number::Number};
use crate::json::{Object, Value, parse};

const MAX_BYTES: usize = 256 << 10;
const MAX_DEPTH: usize = 20;
const MAX_CONDITIONS: usize = 2_000;
/// A regular expression costs more than any other condition.
const MAX_PATTERNS: usize = 50;
const MAX_PATTERN_BYTES: usize = 4 << 10;

/// A compiled regular expression (RE2 syntax, found anywhere in the text).
pub trait Pattern: std::fmt::Debug + Send + Sync {
    /// Whether it occurs in `text`; must take time proportional to the text's length.
    fn is_match(&self, text: &str) -> bool;
}

/// Compiles a regular expression; the error says what is wrong with it.
pub type Compile<'a> = dyn Fn(&str) -> Result<Box<dyn Pattern>, String> + 'a;

/// Reads a key; the error says what is wrong with it.
pub type ReadKey<'a> = dyn Fn(&str) -> Result<Key, String> + 'a;

/// A filter that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid filter: {what} (at `{}`)", if pointer.is_empty() { "filters" } else { pointer })]
pub struct FilterError {
    /// JSON pointer (RFC 6901) of the place in the filter; empty for the whole.
    pub pointer: String,
    /// What is wrong there.
    pub what: String,
}

/// A checked filter.
#[derive(Debug)]
pub struct Filter {
    node: Node,
    keys: Vec<Key>,
    text: String,
}

#[derive(Debug)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    /// A condition on the key with this number.
    Test(usize, Test),
}

impl Filter {
    /// Reads a filter; null, empty text and `{}` match everything.
    ///
    /// # Errors
    /// The text is no JSON object, names an unknown key or operator, has an operand of a wrong type, NaN or a NUL
    /// character in it, or is larger than anybody needs: 256 KiB, 20 levels, 2,000 conditions, 50 regular expressions of
    /// 4 KiB. A list of values, or an `$or` of equalities on one key, is one condition.
    pub fn parse(text: Option<&str>, compile: &Compile<'_>) -> Result<Self, FilterError> {
        Self::parse_with(text, compile, &Key::parse)
    }

    /// As [`Self::parse`], over something else than runs: `read_key` says what its keys are.
    pub fn parse_with(
        text: Option<&str>,
        compile: &Compile<'_>,
        read_key: &ReadKey<'_>,
    ) -> Result<Self, FilterError> {
        let text = text.map_or("", str::trim);
        if text.len() > MAX_BYTES {
            return Err(fault("", format!("longer than {MAX_BYTES} bytes")));
        }
        let value = if text.is_empty() {
            Value::Null
        } else {
            parse(text).map_err(|error| fault("", error.to_string()))?
        };
        let mut reader = Reader {
            compile,
            read_key,
            keys: Vec::new(),
            conditions: 0,
            patterns: 0,
        };
        let (node, text) = match value {
            Value::Null => (Node::All(Vec::new()), "{}".to_owned()),
            Value::Object(object) => {
                let node = reader.all_of(&object, "", 0)?;
                (node, Value::Object(object).to_string())
            }
            _ => return Err(fault("", "not an object")),
        };
        Ok(Self {
            node,
            keys: reader.keys,
            text,
        })
    }

    /// Whether every run passes.
    pub fn is_everything(&self) -> bool {
        matches!(&self.node, Node::All(nodes) if nodes.is_empty())
    }

    /// The keys it asks for, each once.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The filter as text; equal for filters that were written equally, but for white space.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a run passes.
    pub fn matches(&self, run: &impl Values) -> bool {
        holds(&self.node, run)
    }

    /// Run ids, sorted, of which every run that passes has one; none if runs with other ids may pass.
    pub fn names(&self) -> Option<Vec<&str>> {
        let place = self
            .keys
            .iter()
            .position(|key| *key == Key::Field(Field::Name))?;
        names(&self.node, place)
    }
}

fn names(node: &Node, name_key: usize) -> Option<Vec<&str>> {
    match node {
        Node::All(nodes) => nodes.iter().find_map(|node| names(node, name_key)),
        Node::Any(nodes) if nodes.len() == 1 => names(&nodes[0], name_key),
        Node::Test(key, Test::Equal(Value::Text(name))) if *key == name_key => Some(vec![name]),
        Node::Test(key, Test::In(members)) if *key == name_key => members.only_texts(),
        _ => None,
    }
}

fn holds(node: &Node, run: &impl Values) -> bool {
    match node {
        Node::All(nodes) => nodes.iter().all(|node| holds(node, run)),
        Node::Any(nodes) => nodes.iter().any(|node| holds(node, run)),
        Node::Not(node) => !holds(node, run),
        Node::Test(key, test) => test.passes(&run.cell(*key)),
    }
}

fn fault(pointer: &str, what: impl Into<String>) -> FilterError {
    const SHOWN: usize = 400;
    let start = pointer.len().saturating_sub(SHOWN);
    let start = (start..=pointer.len())
        .find(|at| pointer.is_char_boundary(*at))
        .unwrap_or(start);
    let mut shown = String::from(if start > 0 { "…" } else { "" });
    for character in pointer[start..].chars() {
        if character.is_control() {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    FilterError {
        pointer: shown,
        what: what.into(),
    }
}

/// The pointer one level down.
fn below(pointer: &str, member: &str) -> String {
    format!("{pointer}/{}", member.replace('~', "~0").replace('/', "~1"))
}

struct Reader<'a> {
    compile: &'a Compile<'a>,
    read_key: &'a ReadKey<'a>,
    keys: Vec<Key>,
    conditions: usize,
    patterns: usize,
}

impl Reader<'_> {
    fn count(&mut self, pointer: &str) -> Result<(), FilterError> {
        self.conditions += 1;
        if self.conditions > MAX_CONDITIONS {
            return Err(fault(
                pointer,
                format!("more than {MAX_CONDITIONS} conditions"),
            ));
        }
        Ok(())
    }

    fn key(&mut self, name: &str, pointer: &str) -> Result<usize, FilterError> {
        let key = (self.read_key)(name).map_err(|what| fault(pointer, what))?;
        Ok(self
            .keys
            .iter()
            .position(|known| *known == key)
            .unwrap_or_else(|| {
                self.keys.push(key);
                self.keys.len() - 1
            }))
    }

    fn all_of(
        &mut self,
        object: &Object,
        pointer: &str,
        depth: usize,
    ) -> Result<Node, FilterError> {
        if depth > MAX_DEPTH {
            return Err(fault(
                pointer,
                format!("nested more than {MAX_DEPTH} levels"),
            ));
        }
        let mut nodes = Vec::with_capacity(object.len());
        for (name, value) in object {
            let at = below(pointer, name);
            self.count(&at)?;
            nodes.push(match name.as_str() {
                "$and" => Node::All(self.list_of(value, &at, depth)?),
                "$or" => self.any_of(value, &at, depth)?,
                "$nor" => Node::Not(Box::new(self.any_of(value, &at, depth)?)),
                "$not" => {
                    let inner = value
                        .as_object()
                        .ok_or_else(|| fault(&at, "needs an object"))?;
                    Node::Not(Box::new(self.all_of(inner, &at, depth + 1)?))
                }
                operator if operator.starts_with('$') => return Err(unknown(operator, &at)),
                name => {
                    let key = self.key(name, &at)?;
                    self.condition(key, value, &at, depth)?
                }
            });
        }
        Ok(if nodes.len() == 1 {
            nodes.remove(0)
        } else {
            Node::All(nodes)
        })
    }

    fn list_of(
        &mut self,
        value: &Value,
        pointer: &str,
        depth: usize,
    ) -> Result<Vec<Node>, FilterError> {
        list(value, pointer)?
            .iter()
            .enumerate()
            .map(|(index, item)| {
                let at = below(pointer, &index.to_string());
                let object = item
                    .as_object()
                    .ok_or_else(|| fault(&at, "not an object"))?;
                self.all_of(object, &at, depth + 1)
            })
            .collect()
    }

    fn any_of(&mut self, value: &Value, pointer: &str, depth: usize) -> Result<Node, FilterError> {
        // `{"$or": [{"name": "a"}, {"name": "b"}, …]}`, one item for each of a sweep's thousands of runs, is a list of names.
        if let Some((name, values)) = equalities(list(value, pointer)?) {
            let at = below(&below(pointer, "0"), name);
            let key = self.key(name, &at)?;
            return self.is_one_of(key, values, pointer);
        }
        Ok(Node::Any(self.list_of(value, pointer, depth)?))
    }

    fn condition(
        &mut self,
        key: usize,
        value: &Value,
        pointer: &str,
        depth: usize,
    ) -> Result<Node, FilterError> {
        if depth > MAX_DEPTH {
            return Err(fault(
                pointer,
                format!("nested more than {MAX_DEPTH} levels"),
            ));
        }
        let operators = match value {
            Value::Object(object) if object.keys().any(|key| key.starts_with('$')) => object,
            plain => return self.is_one_of(key, vec![plain.clone()], pointer),
        };
        let mut nodes = Vec::with_capacity(operators.len());
        for (operator, operand) in operators {
            let at = below(pointer, operator);
            self.count(&at)?;
            nodes.push(self.operator(key, operator, operand, &at, depth)?);
        }
        Ok(if nodes.len() == 1 {
            nodes.remove(0)
        } else {
            Node::All(nodes)
        })
    }

    fn operator(
        &mut self,
        key: usize,
        operator: &str,
        operand: &Value,
        at: &str,
        depth: usize,
    ) -> Result<Node, FilterError> {
        let not = |node| Node::Not(Box::new(node));
        let test = |test| Ok(Node::Test(key, test));
        match operator {
            "$eq" => self.is_one_of(key, vec![operand.clone()], at),
            "$ne" => Ok(not(self.is_one_of(key, vec![operand.clone()], at)?)),
            "$in" => self.is_one_of(key, list(operand, at)?.to_vec(), at),
            "$nin" => Ok(not(self.is_one_of(key, list(operand, at)?.to_vec(), at)?)),
            "$gt" => self.order(key, Side::Above, operand, at),
            "$gte" => self.order(key, Side::AtLeast, operand, at),
            "$lt" => self.order(key, Side::Below, operand, at),
            "$lte" => self.order(key, Side::AtMost, operand, at),
            "$regex" => test(Test::Matches(self.pattern(operand, at)?)),
            "$contains" => test(Test::Contains(text(operand, at)?.to_owned())),
            "$exists" => match operand {
                Value::Bool(wanted) => test(Test::Exists(*wanted)),
                _ => Err(fault(at, "needs true or false")),
            },
            "$all" => {
                let wanted = list(operand, at)?.to_vec();
                check(&Value::List(wanted.clone()), at)?;
                test(Test::All(wanted))
            }
            "$size" => {
                let size = operand.as_i64().and_then(|size| usize::try_from(size).ok());
                test(Test::Size(size.ok_or_else(|| {
                    fault(at, "needs a whole number from 0 on")
                })?))
            }
            "$not" => match operand {
                Value::Object(inner) if inner.keys().any(|key| key.starts_with('$')) => {
                    Ok(not(self.condition(key, operand, at, depth + 1)?))
                }
                _ => Err(fault(at, "needs an object of operators")),
            },
            other if other.starts_with('$') => Err(unknown(other, at)),
            other => Err(fault(
                at,
                format!("`{}` stands among operators", shortened(other)),
            )),
        }
    }

    /// The condition that a value is one of these.
    fn is_one_of(&self, key: usize, values: Vec<Value>, at: &str) -> Result<Node, FilterError> {
        for value in &values {
            check(value, at)?;
        }
        let Key::Field(field) = &self.keys[key] else {
            return Ok(Node::Test(key, equality(values)));
        };
        if field.is_time() {
            let written = values.iter().filter(|value| **value != Value::Null);
            let periods: Result<_, _> = written.map(|value| period(value, at)).collect();
            return Ok(Node::Test(key, Test::During(periods?)));
        }
        let empty = field.is_list() && values.contains(&Value::Null);
        let equal = Node::Test(key, equality(values));
        Ok(if empty {
            Node::Any(vec![equal, Node::Test(key, Test::Size(0))])
        } else {
            equal
        })
    }

    fn order(
        &self,
        key: usize,
        side: Side,
        operand: &Value,
        at: &str,
    ) -> Result<Node, FilterError> {
        check(operand, at)?;
        let test = match &self.keys[key] {
            Key::Field(field) if field.is_time() => Test::TimeOrder(side, period(operand, at)?),
            _ if matches!(operand, Value::Text(_)) || Number::of(operand).is_some() => {
                Test::Order(side, operand.clone())
            }
            _ => return Err(fault(at, "needs a number or a text")),
        };
        Ok(Node::Test(key, test))
    }

    fn pattern(&mut self, operand: &Value, at: &str) -> Result<Box<dyn Pattern>, FilterError> {
        self.patterns += 1;
        if self.patterns > MAX_PATTERNS {
            return Err(fault(
                at,
                format!("more than {MAX_PATTERNS} regular expressions"),
            ));
        }
        let text = text(operand, at)?;
        if text.len() > MAX_PATTERN_BYTES {
            return Err(fault(
                at,
                format!("a regular expression of more than {MAX_PATTERN_BYTES} bytes"),
            ));
        }
        (self.compile)(text).map_err(|what| fault(at, what))
    }
}

fn unknown(operator: &str, at: &str) -> FilterError {
    fault(
        at,
        format!("operator `{}` is not supported", shortened(operator)),
    )
}

fn equality(mut values: Vec<Value>) -> Test {
    match values.pop() {
        Some(value) if values.is_empty() => Test::Equal(value),
        last => {
            values.extend(last);
            Test::In(Members::new(values))
        }
    }
}

/// The key and the values, if all items are equalities on one key with plain values.
fn equalities(items: &[Value]) -> Option<(&str, Vec<Value>)> {
    let mut name = None;
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        let object = item.as_object().filter(|object| object.len() == 1)?;
        let (key, value) = object.first()?;
        let value = match value {
            Value::Object(operators) => {
                let (operator, operand) = operators.first().filter(|_| operators.len() == 1)?;
                (operator == "$eq").then_some(operand)?
            }
            plain => plain,
        };
        if key.starts_with('$') || *name.get_or_insert(key.as_str()) != key.as_str() {
            return None;
        }
        values.push(value.clone());
    }
    Some((name?, values))
}

fn list<'a>(operand: &'a Value, pointer: &str) -> Result<&'a [Value], FilterError> {
    operand
        .as_list()
        .ok_or_else(|| fault(pointer, "needs a list"))
}

fn text<'a>(operand: &'a Value, pointer: &str) -> Result<&'a str, FilterError> {
    check(operand, pointer)?;
    operand
        .as_str()
        .ok_or_else(|| fault(pointer, "needs a text"))
}

fn period(operand: &Value, pointer: &str) -> Result<Period, FilterError> {
    operand.as_str().and_then(Period::parse).ok_or_else(|| {
        fault(
            pointer,
            "needs a time as text, such as `2026-11-22T02:20:08`",
        )
    })
}

/// Values that nothing stored can equal are a mistake of whoever wrote them.
fn check(value: &Value, pointer: &str) -> Result<(), FilterError> {
    let nul = |text: &str| {
        if text.contains('\0') {
            Err(fault(pointer, "a text with a NUL character"))
        } else {
            Ok(())
        }
    };
    match value {
        Value::Float(number) if number.is_nan() => {
            Err(fault(pointer, "NaN is not equal to anything"))
        }
        Value::Text(text) => nul(text),
        Value::List(items) => items.iter().try_for_each(|item| check(item, pointer)),
        Value::Object(members) => members.iter().try_for_each(|(key, value)| {
            nul(key)?;
            check(value, pointer)
        }),
        _ => Ok(()),
    }
}
