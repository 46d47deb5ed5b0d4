//! History items as bytes.
//!
//! An item is `key` (field 1) or the components of `nested_key` (field 2), then the typed value (fields 3 to 8).

use super::held::{Held, Hole};
use crate::sys::python::Plain;
use crate::wire::{close_message, open_message, put_bytes, put_varint, varint_len, zigzag};

const ITEM: u8 = 0x0a;
const KEY: u8 = 0x0a;
const NESTED_KEY: u8 = 0x12;
const NONE: u8 = 0x18;
const BOOLEAN: u8 = 0x20;
const INTEGER: u8 = 0x28;
const NUMBER: u8 = 0x31;
const TEXT: u8 = 0x3a;
const JSON: u8 = 0x42;

/// The buffers of one encoder, kept from call to call.
#[derive(Default)]
pub(crate) struct Items {
    /// The entry as far as it is written.
    pub(crate) out: Vec<u8>,
    /// JSON text of the value at hand.
    pub(crate) json: String,
    /// Values that are still being made.
    pub(super) holes: Vec<Hole>,
    /// Where the entry and the call in it start.
    pub(super) heads: (usize, usize),
}

impl Items {
    /// Forgets the last call, keeps the memory (unless a huge call blew it up).
    pub(crate) fn clear(&mut self) {
        const KEPT_BYTES: usize = 256 << 10;
        self.out.clear();
        self.json.clear();
        self.holes.clear();
        if self.out.capacity() > KEPT_BYTES {
            self.out.shrink_to(KEPT_BYTES);
        }
        if self.json.capacity() > KEPT_BYTES {
            self.json.shrink_to(KEPT_BYTES);
        }
    }

    /// Takes the call out if a value of it is still being made.
    pub(crate) fn take_held(&mut self) -> Option<Held> {
        if self.holes.is_empty() {
            return None;
        }
        Some(Held {
            out: std::mem::take(&mut self.out),
            heads: self.heads,
            holes: std::mem::take(&mut self.holes),
        })
    }

    /// Appends an item with a top-level key.
    #[inline]
    pub(crate) fn put_plain(&mut self, key: &str, value: Plain<'_>) {
        let value_bytes = value_len(value);
        // The usual item: every length fits one byte, and a few copies of known size do it.
        if key.len() + value_bytes + 2 < 0x80 {
            let (key_len, item_len) = (short(key.len()), short(key.len() + value_bytes + 2));
            self.out.reserve(key.len() + value_bytes + 4);
            self.out.extend_from_slice(&[ITEM, item_len, KEY, key_len]);
            self.out.extend_from_slice(key.as_bytes());
        } else {
            let key_bytes = 1 + varint_len(key.len() as u64) + key.len();
            self.open_item(key_bytes + value_bytes);
            put_bytes(&mut self.out, KEY, key.as_bytes());
        }
        self.put_value(value);
    }

    /// Appends an item whose key is already encoded (see [`Path`]).
    pub(crate) fn put_at(&mut self, path: &Path, value: Plain<'_>) {
        self.open_item(path.encoded().len() + value_len(value));
        self.out.extend_from_slice(path.encoded());
        self.put_value(value);
    }

    /// Appends an item whose value is the JSON text in `self.json`.
    pub(crate) fn put_json_at(&mut self, path: &Path) {
        let start = open_message(&mut self.out, ITEM);
        self.out.extend_from_slice(path.encoded());
        put_bytes(&mut self.out, JSON, self.json.as_bytes());
        close_message(&mut self.out, start);
    }

    /// Appends the item `_timestamp`.
    #[inline]
    pub(crate) fn put_timestamp(&mut self, seconds: f64) {
        const HEAD: &[u8; 15] = b"\x0a\x15\x0a\x0a_timestamp\x31";
        self.out.extend_from_slice(HEAD);
        self.out.extend_from_slice(&seconds.to_le_bytes());
    }

    #[inline]
    fn open_item(&mut self, bytes: usize) {
        self.out.reserve(bytes + 6);
        self.out.push(ITEM);
        put_varint(&mut self.out, bytes as u64);
    }

    #[inline]
    fn put_value(&mut self, value: Plain<'_>) {
        let out = &mut self.out;
        match value {
            Plain::Float(number) => {
                let mut bytes = [NUMBER; 9];
                bytes[1..].copy_from_slice(&number.to_le_bytes());
                out.extend_from_slice(&bytes);
            }
            Plain::Int(integer) => {
                out.push(INTEGER);
                put_varint(out, zigzag(integer));
            }
            Plain::Bool(boolean) => out.extend_from_slice(&[BOOLEAN, u8::from(boolean)]),
            Plain::None => out.extend_from_slice(&[NONE, 0]),
            Plain::Text(text) => put_bytes(out, TEXT, text.as_bytes()),
        }
    }
}

#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the caller checked that it is below 128"
)]
const fn short(length: usize) -> u8 {
    length as u8
}

#[inline]
fn value_len(value: Plain<'_>) -> usize {
    match value {
        Plain::Float(_) => 9,
        Plain::Int(integer) => 1 + varint_len(zigzag(integer)),
        Plain::Bool(_) | Plain::None => 2,
        Plain::Text(text) => 1 + varint_len(text.len() as u64) + text.len(),
    }
}

/// Where a value stands: a top-level key or the path of a nested one, kept in encoded form.
#[derive(Clone)]
pub(crate) struct Path {
    encoded: Vec<u8>,
    components: Vec<(usize, String)>,
}

impl Path {
    /// The path of a top-level key.
    pub(crate) fn of(key: &str) -> Self {
        let mut path = Self {
            encoded: Vec::with_capacity(key.len() + 16),
            components: Vec::new(),
        };
        path.components.push((0, key.to_owned()));
        put_bytes(&mut path.encoded, KEY, key.as_bytes());
        path
    }

    /// Goes one level down.
    pub(crate) fn push(&mut self, component: &str) {
        if self.components.len() == 1 {
            // From a flat key to a path: the same bytes but for the tag.
            self.encoded[0] = NESTED_KEY;
        }
        self.components
            .push((self.encoded.len(), component.to_owned()));
        put_bytes(&mut self.encoded, NESTED_KEY, component.as_bytes());
    }

    /// Goes one level up.
    pub(crate) fn pop(&mut self) {
        if let Some((length, _)) = self.components.pop() {
            self.encoded.truncate(length);
        }
        if self.components.len() == 1 {
            self.encoded[0] = KEY;
        }
    }

    /// The innermost component.
    pub(crate) fn last(&self) -> &str {
        self.components
            .last()
            .map_or("", |(_, component)| component)
    }

    /// The path for a message to the user.
    pub(crate) fn dotted(&self) -> String {
        let components: Vec<&str> = self.components.iter().map(|(_, it)| it.as_str()).collect();
        components.join(".")
    }

    fn encoded(&self) -> &[u8] {
        &self.encoded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;
    use runlane_proto::wandb_internal::history_item::Value;
    use runlane_proto::wandb_internal::{HistoryItem, PartialHistoryRequest};

    fn decode(items: &Items) -> Vec<HistoryItem> {
        PartialHistoryRequest::decode(items.out.as_slice())
            .expect("valid protobuf")
            .item
    }

    #[test]
    fn every_plain_value_decodes_as_it_was() {
        let long = "x".repeat(300);
        let mut items = Items::default();
        items.put_plain("f", Plain::Float(-0.0));
        items.put_plain("i", Plain::Int(i64::MIN));
        items.put_plain("b", Plain::Bool(false));
        items.put_plain("n", Plain::None);
        items.put_plain(&long, Plain::Text(&long));
        items.put_timestamp(12.5);
        let decoded = decode(&items);
        let keys: Vec<&str> = decoded.iter().map(|item| item.key.as_str()).collect();
        assert_eq!(keys, ["f", "i", "b", "n", &long, "_timestamp"]);
        assert!(
            matches!(decoded[0].value, Some(Value::Number(it)) if it.to_bits() == (-0.0_f64).to_bits())
        );
        assert_eq!(decoded[1].value, Some(Value::Integer(i64::MIN)));
        assert_eq!(decoded[2].value, Some(Value::Boolean(false)));
        assert_eq!(decoded[3].value, Some(Value::None(0)));
        assert_eq!(decoded[4].value, Some(Value::Text(long.clone())));
        assert_eq!(decoded[5].value, Some(Value::Number(12.5)));
    }

    #[test]
    fn a_path_is_a_key_at_the_top_and_nested_below() {
        let mut items = Items::default();
        let mut path = Path::of("a.b");
        path.push("c");
        items.put_at(&path, Plain::Int(1));
        path.push("d");
        "[1]".clone_into(&mut items.json);
        items.put_json_at(&path);
        assert_eq!(path.dotted(), "a.b.c.d");
        path.pop();
        path.pop();
        items.put_at(&path, Plain::Int(2));
        let decoded = decode(&items);
        assert_eq!(decoded[0].nested_key, ["a.b", "c"]);
        assert_eq!(decoded[1].nested_key, ["a.b", "c", "d"]);
        assert_eq!(decoded[1].value, Some(Value::Json("[1]".into())));
        assert_eq!(
            (decoded[2].key.as_str(), decoded[2].nested_key.len()),
            ("a.b", 0)
        );
    }
}
