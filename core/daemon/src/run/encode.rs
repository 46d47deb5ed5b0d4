//! From a committed row to the bytes of its history record, as W&B's service writes them: every item with
//! `nested_key` and `value_json`.

use runlane_model::json::{Value, with_f64_text, write_value};
use runlane_model::row::{KeyId, KeyTable, Row};

use crate::wire::{put_bytes, put_number, put_varint, varint_len, zigzag};

/// Records waiting for one append, back to back.
#[derive(Debug, Default)]
pub(crate) struct RecordBatch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl RecordBatch {
    /// Appends a record that `write` writes.
    pub(crate) fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// Appends an encoded record.
    pub(crate) fn push(&mut self, record: &[u8]) {
        self.push_with(|out| out.extend_from_slice(record));
    }

    /// Appends to the last record.
    pub(crate) fn amend_last(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(end) = self.ends.last_mut() {
            write(&mut self.bytes);
            *end = self.bytes.len();
        }
    }

    /// The records in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let record = &self.bytes[start..*end];
            start = *end;
            record
        })
    }

    /// Whether none waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Forgets all records; a buffer that has grown beyond a mebibyte is given back.
    pub(crate) fn clear(&mut self) {
        const KEPT: usize = 1 << 20;
        self.ends.clear();
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
    }
}

/// Up to which call of which writer the log holds everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) writer: u64,
    pub(crate) seq: u64,
}

/// Encodes the rows of one run; remembers the encoded form of each key.
#[derive(Debug, Default)]
pub(crate) struct RowEncoder {
    keys: Vec<Box<[u8]>>,
    typed: bool,
    item: Vec<u8>,
    text: String,
}

impl RowEncoder {
    /// `typed` writes the typed value beside the JSON text.
    pub(crate) fn new(typed: bool) -> Self {
        Self {
            typed,
            ..Self::default()
        }
    }

    /// Appends the record of `row` to `batch`.
    pub(crate) fn encode(
        &mut self,
        batch: &mut RecordBatch,
        keys: &KeyTable,
        row: &Row,
        mark: Option<Mark>,
    ) {
        batch.push_with(|out| self.write(out, keys, row, mark));
    }

    fn write(&mut self, out: &mut Vec<u8>, keys: &KeyTable, row: &Row, mark: Option<Mark>) {
        // The history message's length comes before its content: its items are collected first.
        self.item.clear();
        for (id, value) in &row.items {
            let key = encoded_key(&mut self.keys, keys, *id);
            if !self.typed
                && let Value::Float(number) = value
            {
                // Most values of most rows.
                let item = &mut self.item;
                with_f64_text(*number, |text| put_item(item, key, &[], text.as_bytes()));
                continue;
            }
            self.text.clear();
            write_value(&mut self.text, value);
            let typed = if self.typed {
                typed_bytes(value, &self.text)
            } else {
                Vec::new()
            };
            put_item(&mut self.item, key, &typed, self.text.as_bytes());
        }
        let step = row.step.cast_unsigned();
        let step_bytes = if step == 0 { 0 } else { 1 + varint_len(step) };
        out.reserve(self.item.len() + 64);
        out.push(0x12);
        put_varint(out, (self.item.len() + 2 + step_bytes) as u64);
        out.extend_from_slice(&self.item);
        put_varint(out, 2 << 3 | 2);
        put_varint(out, step_bytes as u64);
        if step != 0 {
            put_number(out, 1, step);
        }
        if let Some(mark) = mark {
            put_mark(out, mark);
        }
    }
}

/// Appends one history item: its key's fields, the typed value's, and `value_json`.
#[inline]
fn put_item(out: &mut Vec<u8>, key: &[u8], typed: &[u8], text: &[u8]) {
    let length = key.len() + typed.len() + 2 + varint_len(text.len() as u64) + text.len();
    out.push(0x0a);
    put_varint(out, length as u64);
    out.extend_from_slice(key);
    out.extend_from_slice(typed);
    // Field 16, length-delimited.
    out.extend_from_slice(&[0x82, 0x01]);
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text);
}

/// Appends `control {runlane_writer, runlane_seq}` to a record.
pub(crate) fn put_mark(out: &mut Vec<u8>, mark: Mark) {
    // Two tags of two bytes each.
    let length = 4 + varint_len(mark.writer) + varint_len(mark.seq);
    put_varint(out, 16 << 3 | 2);
    put_varint(out, length as u64);
    put_number(out, 2000, mark.writer);
    put_number(out, 2001, mark.seq);
}

fn encoded_key<'a>(cache: &'a mut Vec<Box<[u8]>>, keys: &KeyTable, id: KeyId) -> &'a [u8] {
    while cache.len() <= id.index() {
        let path = keys.path(keys.id_at(cache.len()));
        let mut encoded = Vec::new();
        for component in path.components() {
            put_bytes(&mut encoded, 2, component.as_bytes());
        }
        cache.push(encoded.into_boxed_slice());
    }
    &cache[id.index()]
}

fn typed_bytes(value: &Value, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        Value::Null => put_number(&mut out, 3, 0),
        Value::Bool(value) => put_number(&mut out, 4, u64::from(*value)),
        Value::Int(value) => put_number(&mut out, 5, zigzag(*value)),
        Value::Float(value) => {
            put_varint(&mut out, 6 << 3 | 1);
            out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
        Value::Text(text) => put_bytes(&mut out, 7, text.as_bytes()),
        Value::List(_) | Value::Object(_) => put_bytes(&mut out, 8, text.as_bytes()),
    }
    out
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use runlane_model::key_path::KeyPath;
    use runlane_proto::wandb_internal as pb;
    use runlane_proto::wandb_internal::history_item::Value as Typed;

    use super::*;

    fn encoded(typed: bool) -> pb::Record {
        let mut keys = KeyTable::default();
        let items = vec![
            (keys.intern(&KeyPath::flat("loss")), Value::Float(0.5)),
            (keys.intern(&KeyPath::from_dotted("a.b")), Value::Int(-2)),
            (keys.intern(&KeyPath::flat("x.y")), Value::from("t")),
        ];
        let mut batch = RecordBatch::default();
        let mark = Some(Mark {
            writer: 9,
            seq: 300,
        });
        RowEncoder::new(typed).encode(&mut batch, &keys, &Row { step: 7, items }, mark);
        let record = batch.iter().next().expect("one record");
        pb::Record::decode(record).expect("valid protobuf")
    }

    #[test]
    fn a_row_is_a_history_record_with_its_mark() {
        let record = encoded(false);
        let control = record.control.expect("marked");
        assert_eq!((control.runlane_writer, control.runlane_seq), (9, 300));
        let Some(pb::record::RecordType::History(history)) = record.record_type else {
            panic!("history")
        };
        assert_eq!(history.step, Some(pb::HistoryStep { num: 7 }));
        let items: Vec<_> = history
            .item
            .iter()
            .map(|item| {
                (
                    item.nested_key.join("/"),
                    item.value_json.clone(),
                    item.value.is_some(),
                )
            })
            .collect();
        let expected = [("loss", "0.5"), ("a/b", "-2"), ("x.y", "\"t\"")];
        assert_eq!(
            items,
            expected.map(|(key, json)| (key.to_owned(), json.to_owned(), false))
        );
    }

    #[test]
    fn typed_values_stand_beside_the_text() {
        let record = encoded(true);
        let Some(pb::record::RecordType::History(history)) = record.record_type else {
            panic!("history")
        };
        let values: Vec<_> = history
            .item
            .into_iter()
            .filter_map(|item| item.value)
            .collect();
        assert_eq!(
            values,
            [
                Typed::Number(0.5),
                Typed::Integer(-2),
                Typed::Text("t".to_owned())
            ]
        );
    }

    #[test]
    fn a_batch_forgets_what_was_appended() {
        let mut batch = RecordBatch::default();
        for record in [b"one".as_slice(), b"two", b"three"] {
            batch.push(record);
        }
        assert_eq!(batch.iter().nth(2), Some(b"three".as_slice()));
        batch.clear();
        assert!(batch.is_empty());
    }
}
