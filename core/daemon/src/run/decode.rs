//! From the bytes of a `PartialHistoryRequest` to a `Call`, without a message in between.
//!
//! A training loop logs the same keys in the same order again and again. The decoder keeps the encoded keys of the last
//! call: a key that stands where it stood costs one comparison; another one costs one look-up by its raw bytes; only a
//! key never seen before is decoded.

use std::collections::HashMap;

use runlane_model::json::{Value, parse};
use runlane_model::key_path::KeyPath;
use runlane_model::limits;
use runlane_model::row::{Call, Items, KeyId, KeyTable};

use super::key_budget::KeyBudget;
use crate::wire::{Field, Fields, WireError, unzigzag};

/// What could not be read of calls, for one warning to the user.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Refusals {
    /// Values that could not be read.
    pub(crate) unreadable: u64,
    /// The first refused key and why.
    pub(crate) example: Option<String>,
}

impl Refusals {
    /// Whether anything was refused.
    pub(crate) fn any(&self) -> bool {
        self.unreadable > 0
    }
}

/// Decodes the calls of one run.
#[derive(Debug, Default)]
pub(crate) struct CallDecoder {
    known: HashMap<Box<[u8]>, Target>,
    /// Keys of the last call, by position.
    last: Vec<(Box<[u8]>, Target)>,
    pub(crate) refusals: Refusals,
    pub(crate) budget: KeyBudget,
}

/// What a raw key stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Key(KeyId),
    /// `_step` and `_runtime` are the daemon's to set.
    Reserved,
}

/// An item's value before its JSON, if it is JSON, has been read.
enum Raw<'a> {
    Value(Value),
    Json(&'a str),
}

impl CallDecoder {
    /// A decoder that lets new keys in as `budget` says.
    pub(crate) fn new(budget: KeyBudget) -> Self {
        Self {
            budget,
            ..Self::default()
        }
    }

    /// Decodes one call. Fails only if the bytes are no such message.
    pub(crate) fn decode(&mut self, bytes: &[u8], keys: &mut KeyTable) -> Result<Call, WireError> {
        let mut call = Call {
            // The daemon adds `_runtime` and `_step`, a label and a rank.
            items: Vec::with_capacity(self.last.len() + 4),
            ..Call::default()
        };
        let mut fields = Fields::new(bytes);
        let mut position = 0;
        while let Some(field) = fields.next_field()? {
            match field {
                (1, Field::Bytes(item)) => {
                    match self.expected_float(item, position) {
                        Some(known) => call.items.push(known),
                        None => self.item(item, position, keys, &mut call.items)?,
                    }
                    position += 1;
                }
                (2, Field::Bytes(step)) => call.step = Some(number_in(step)?.cast_signed()),
                (3, Field::Bytes(action)) => call.commit = Some(number_in(action)? != 0),
                (1..=3, _) => return Err(WireError("call")),
                _ => {}
            }
        }
        Ok(call)
    }

    /// The short way for most items of most calls: a float under the key that the last call had in this place.
    #[inline]
    fn expected_float(&self, item: &[u8], position: usize) -> Option<(KeyId, Value)> {
        const NUMBER_TAG: u8 = 6 << 3 | 1;
        let (key, Target::Key(id)) = self.last.get(position)? else {
            return None;
        };
        let value = item.strip_prefix(&**key)?.strip_prefix(&[NUMBER_TAG])?;
        let bits = u64::from_le_bytes(value.try_into().ok()?);
        Some((*id, Value::Float(f64::from_bits(bits))))
    }

    fn item(
        &mut self,
        bytes: &[u8],
        position: usize,
        keys: &mut KeyTable,
        items: &mut Items,
    ) -> Result<(), WireError> {
        let mut fields = Fields::new(bytes);
        let mut key_range: Option<(usize, usize)> = None;
        let mut raw = None;
        let mut json = None;
        loop {
            let start = fields.position();
            let Some((number, field)) = fields.next_field()? else {
                break;
            };
            match (number, field) {
                (1 | 2, Field::Bytes(_)) => {
                    let from = match key_range {
                        // Keys are written in one piece; others would not be one slice to look up.
                        Some((from, to)) if to == start => from,
                        Some(_) => return Err(WireError("scattered key")),
                        None => start,
                    };
                    key_range = Some((from, fields.position()));
                }
                (3, Field::Varint(_)) => raw = Some(Raw::Value(Value::Null)),
                (4, Field::Varint(value)) => raw = Some(Raw::Value(Value::Bool(value != 0))),
                (5, Field::Varint(value)) => raw = Some(Raw::Value(Value::Int(unzigzag(value)))),
                (6, Field::Fixed64(bits)) => {
                    raw = Some(Raw::Value(Value::Float(f64::from_bits(bits))));
                }
                (7, Field::Bytes(text)) => {
                    raw = Some(Raw::Value(Value::Text(utf8(text)?.to_owned())));
                }
                (8, Field::Bytes(text)) => raw = Some(Raw::Json(utf8(text)?)),
                (16, Field::Bytes(text)) => json = Some(utf8(text)?),
                (1..=8 | 16, _) => return Err(WireError("history item")),
                _ => {}
            }
        }
        let (from, to) = key_range.ok_or(WireError("history item without a key"))?;
        let Some(target) = self.target(&bytes[from..to], position, keys)? else {
            return Ok(());
        };
        let Target::Key(id) = target else {
            return Ok(());
        };
        match raw.or(json.map(Raw::Json)) {
            Some(Raw::Value(value)) => items.push((id, value)),
            Some(Raw::Json(text)) => self.json_item(id, text, keys, items),
            None => return Err(WireError("history item without a value")),
        }
        Ok(())
    }

    /// The key behind raw bytes; `None` if it is refused.
    fn target(
        &mut self,
        raw: &[u8],
        position: usize,
        keys: &mut KeyTable,
    ) -> Result<Option<Target>, WireError> {
        if let Some((expected, target)) = self.last.get(position)
            && **expected == *raw
        {
            return Ok(Some(*target));
        }
        let target = match self.known.get(raw) {
            Some(target) => *target,
            None => match self.new_target(raw, keys)? {
                Some(target) => {
                    self.known.insert(raw.into(), target);
                    target
                }
                None => return Ok(None),
            },
        };
        let entry = (Box::from(raw), target);
        if let Some(slot) = self.last.get_mut(position) {
            *slot = entry;
        } else if self.last.len() == position {
            // A refused item leaves a hole; its followers are found by look-up.
            self.last.push(entry);
        }
        Ok(Some(target))
    }

    fn new_target(&mut self, raw: &[u8], keys: &mut KeyTable) -> Result<Option<Target>, WireError> {
        let mut fields = Fields::new(raw);
        let (mut flat, mut nested) = (String::new(), Vec::new());
        while let Some(field) = fields.next_field()? {
            match field {
                (1, Field::Bytes(key)) => utf8(key)?.clone_into(&mut flat),
                (2, Field::Bytes(component)) => nested.push(utf8(component)?.to_owned()),
                _ => return Err(WireError("history item key")),
            }
        }
        let path = KeyPath::of_item(&flat, &nested);
        if let [only] = path.components()
            && (only == "_step" || only == "_runtime")
        {
            return Ok(Some(Target::Reserved));
        }
        Ok(self.intern(&path, keys).map(Target::Key))
    }

    fn intern(&mut self, path: &KeyPath, keys: &mut KeyTable) -> Option<KeyId> {
        if let Some(id) = keys.get(path) {
            return Some(id);
        }
        let bytes: usize = path.components().iter().map(String::len).sum();
        // The first component is the row's own key; the value below it may nest as deep as the limit.
        let deepest = limits::NESTING + 1;
        if bytes > limits::KEY_BYTES * deepest || path.components().len() > deepest {
            self.refuse(path, "the key is too long or nested too deeply");
            return None;
        }
        self.budget.admit(path, keys).then(|| keys.intern(path))
    }

    fn json_item(&mut self, id: KeyId, text: &str, keys: &mut KeyTable, items: &mut Items) {
        match parse(text) {
            Ok(Value::Object(object)) => {
                let path = keys.path(id).clone();
                self.expand(&path, &Value::Object(object), keys, items);
            }
            Ok(value) => items.push((id, value)),
            Err(error) => self.refuse(&keys.path(id).clone(), &error.to_string()),
        }
    }

    fn expand(&mut self, path: &KeyPath, value: &Value, keys: &mut KeyTable, items: &mut Items) {
        let mut leaves = Vec::new();
        runlane_model::tree::visit_leaves(path, value, &mut |leaf, value| {
            leaves.push((leaf, value.clone()));
        });
        for (leaf, value) in leaves {
            if let Some(id) = self.intern(&leaf, keys) {
                items.push((id, value));
            }
        }
    }

    fn refuse(&mut self, path: &KeyPath, reason: &str) {
        self.refusals.unreadable += 1;
        if self.refusals.example.is_none() {
            let shown: String = path.to_string().chars().take(80).collect();
            self.refusals.example = Some(format!("`{shown}`: {reason}"));
        }
    }
}

fn number_in(message: &[u8]) -> Result<u64, WireError> {
    let mut fields = Fields::new(message);
    let mut number = 0;
    while let Some(field) = fields.next_field()? {
        match field {
            (1, Field::Varint(value)) => number = value,
            (1, _) => return Err(WireError("number")),
            _ => {}
        }
    }
    Ok(number)
}

fn utf8(bytes: &[u8]) -> Result<&str, WireError> {
    std::str::from_utf8(bytes).map_err(|_invalid| WireError("invalid utf-8"))
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use runlane_proto::wandb_internal as pb;
    use runlane_proto::wandb_internal::history_item::Value as Typed;

    use super::*;

    fn call(items: &[(&str, Typed)]) -> Vec<u8> {
        let item = items
            .iter()
            .map(|(key, value)| pb::HistoryItem {
                key: (*key).to_owned(),
                value: Some(value.clone()),
                ..Default::default()
            })
            .collect();
        pb::PartialHistoryRequest {
            item,
            ..Default::default()
        }
        .encode_to_vec()
    }

    fn shown(call: &Call, keys: &KeyTable) -> Vec<String> {
        call.items
            .iter()
            .map(|(id, value)| format!("{}={value}", keys.path(*id)))
            .collect()
    }

    #[test]
    fn every_kind_of_value_is_read_and_objects_are_expanded() {
        let mut keys = KeyTable::default();
        let mut decoder = CallDecoder::default();
        let bytes = call(&[
            ("none", Typed::None(0)),
            ("flag", Typed::Boolean(true)),
            ("count", Typed::Integer(-7)),
            ("loss", Typed::Number(0.5)),
            ("text", Typed::Text("a\"b".to_owned())),
            ("list", Typed::Json("[1, 2.5]".to_owned())),
            (
                "nested",
                Typed::Json(r#"{"a":{"b":1,"c":{}},"d.e":null}"#.to_owned()),
            ),
            ("_step", Typed::Integer(5)),
        ]);
        for _again in 0..2 {
            let read = decoder.decode(&bytes, &mut keys).expect("valid");
            assert_eq!(
                shown(&read, &keys),
                [
                    "none=null",
                    "flag=true",
                    "count=-7",
                    "loss=0.5",
                    r#"text="a\"b""#,
                    "list=[1,2.5]",
                    "nested.a.b=1",
                    "nested.d\\.e=null"
                ]
            );
        }
        assert!(!decoder.refusals.any());
    }

    #[test]
    fn keys_may_move_and_nest() {
        let mut keys = KeyTable::default();
        let mut decoder = CallDecoder::default();
        for order in [["a", "b"], ["b", "a"], ["c", "a"]] {
            let bytes = call(&[(order[0], Typed::Integer(1)), (order[1], Typed::Integer(2))]);
            let read = decoder.decode(&bytes, &mut keys).expect("valid");
            assert_eq!(
                shown(&read, &keys),
                [format!("{}=1", order[0]), format!("{}=2", order[1])]
            );
        }
        let nested = pb::PartialHistoryRequest {
            item: vec![pb::HistoryItem {
                nested_key: vec!["x".to_owned(), "y".to_owned()],
                value_json: "NaN".to_owned(),
                ..Default::default()
            }],
            step: Some(pb::HistoryStep { num: -3 }),
            action: Some(pb::HistoryAction { flush: false }),
            ..Default::default()
        };
        let read = decoder
            .decode(&nested.encode_to_vec(), &mut keys)
            .expect("valid");
        assert_eq!(shown(&read, &keys), ["x.y=NaN"]);
        assert_eq!((read.step, read.commit), (Some(-3), Some(false)));
    }

    #[test]
    fn bad_json_is_refused_and_the_rest_kept() {
        let mut keys = KeyTable::default();
        let mut decoder = CallDecoder::default();
        let bytes = call(&[
            ("bad", Typed::Json("{".to_owned())),
            ("good", Typed::Integer(1)),
        ]);
        let read = decoder.decode(&bytes, &mut keys).expect("valid");
        assert_eq!(shown(&read, &keys), ["good=1"]);
        assert_eq!(decoder.refusals.unreadable, 1);
        assert!(
            decoder
                .refusals
                .example
                .as_deref()
                .is_some_and(|text| text.starts_with("`bad`: "))
        );
    }

    #[test]
    fn other_bytes_are_an_error() {
        let mut keys = KeyTable::default();
        let mut decoder = CallDecoder::default();
        assert!(decoder.decode(&[0x0a, 0x02, 0x0a], &mut keys).is_err());
        assert!(
            decoder
                .decode(&[0x0a, 0x02, 0x20, 0x01], &mut keys)
                .is_err()
        );
    }
}
