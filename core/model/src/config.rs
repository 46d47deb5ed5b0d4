//! The config of a run: a tree of inputs, with W&B's reserved key `_wandb` (`reference/wandb/records.md` §2.8, §6).

use runlane_proto::wandb_internal as pb;

use crate::json::{JsonError, Object, Value, parse, parse_object};
use crate::key_path::KeyPath;
use crate::tree;

/// The reserved top-level key.
pub const INTERNAL: &str = "_wandb";

/// The config tree, values not wrapped.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config(Object);

impl Config {
    /// Applies a config record: updates in order, then removals. An item whose JSON is malformed is left out and
    /// returned, so that one bad value costs nothing else.
    pub fn apply(&mut self, record: &pb::ConfigRecord) -> Vec<(KeyPath, JsonError)> {
        let mut refused = Vec::new();
        for item in &record.update {
            let path = KeyPath::of_item(&item.key, &item.nested_key);
            match parse(&item.value_json) {
                Ok(value) => self.set(&path, value),
                Err(error) => refused.push((path, error)),
            }
        }
        for item in &record.remove {
            tree::remove(&mut self.0, &KeyPath::of_item(&item.key, &item.nested_key));
        }
        refused
    }

    /// Sets a value; an object writes each of its leaves under the path and keeps others that stand there.
    pub fn set(&mut self, path: &KeyPath, value: Value) {
        match value {
            Value::Object(object) if !object.is_empty() => {
                for (key, inner) in object {
                    self.set(&path.child(&key), inner);
                }
            }
            leaf => tree::set(&mut self.0, path, leaf),
        }
    }

    /// The value at `path`.
    pub fn get(&self, path: &KeyPath) -> Option<&Value> {
        tree::get(&self.0, path)
    }

    /// The tree without the internal key.
    pub fn user_values(&self) -> Object {
        let mut values = self.0.clone();
        values.shift_remove(INTERNAL);
        values
    }

    /// The whole tree.
    pub fn tree(&self) -> &Object {
        &self.0
    }

    /// As the server and `config.yaml` have it: each top-level key as `{"value": …}`.
    pub fn to_wrapped(&self) -> Object {
        self.0
            .iter()
            .map(|(key, value)| {
                let wrapped = Object::from_iter([("value".to_owned(), value.clone())]);
                (key.clone(), Value::Object(wrapped))
            })
            .collect()
    }

    /// Reads the wrapped form; entries that are not wrapped (very old servers) are taken as they are.
    pub fn from_wrapped(text: &str) -> Result<Self, JsonError> {
        let entries = parse_object(text)?
            .into_iter()
            .map(|(key, entry)| match entry {
                Value::Object(mut wrapped) => match wrapped.shift_remove("value") {
                    Some(value) => (key, value),
                    None => (key, Value::Object(wrapped)),
                },
                plain => (key, plain),
            });
        Ok(Self(entries.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(key: &str, nested: &[&str], json: &str) -> pb::ConfigItem {
        pb::ConfigItem {
            key: key.to_owned(),
            nested_key: nested.iter().map(|part| (*part).to_owned()).collect(),
            value_json: json.to_owned(),
        }
    }

    #[test]
    fn records_update_then_remove_and_objects_merge() {
        let mut config = Config::default();
        let refused = config.apply(&pb::ConfigRecord {
            update: vec![
                item("lr", &[], "0.1"),
                item("opt", &[], r#"{"name":"sgd","momentum":0.9}"#),
                item("", &["opt", "name"], r#""adam""#),
                item("bad", &[], "{"),
                item("gone", &[], "1"),
                item("_wandb", &[], r#"{"t":{"4":"3.11"}}"#),
            ],
            remove: vec![item("gone", &[], "")],
            ..Default::default()
        });
        assert_eq!(refused.len(), 1);
        let shown = Value::Object(config.user_values()).to_string();
        assert_eq!(shown, r#"{"lr":0.1,"opt":{"name":"adam","momentum":0.9}}"#);
        let wrapped = Value::Object(config.to_wrapped()).to_string();
        assert_eq!(Config::from_wrapped(&wrapped), Ok(config));
    }
}
