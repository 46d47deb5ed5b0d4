//! Telemetry in the run's config: `_wandb.t`, objects keyed by field number (`reference/wandb/records.md` §6).

use prost::Message;
use prost::bytes::Buf;
use prost::encoding::{WireType, decode_key, decode_varint};
use runlane_proto::wandb_internal as pb;

use crate::json::{Object, Value};

/// Takes what `newer` says on top of `base`: flags add up, texts replace.
pub fn merge(base: &mut pb::TelemetryRecord, newer: &pb::TelemetryRecord) {
    // Merging encoded messages is what protobuf defines as merging: set fields win, messages merge.
    let encoded = newer.encode_to_vec();
    if base.merge(encoded.as_slice()).is_err() {
        base.clone_from(newer);
    }
}

/// The value of `_wandb.t`: text fields as they are, messages of flags as the list of the numbers that are set,
/// messages of texts as objects.
pub fn to_config(telemetry: &pb::TelemetryRecord) -> Value {
    let mut object = Object::new();
    for (number, field) in fields(&telemetry.encode_to_vec()) {
        let Field::Bytes(bytes) = field else { continue };
        let value = match number {
            1 | 2 | 3 | 8 | 10 => flags(&bytes),
            9 => texts(&bytes),
            // `_info`, and whatever a newer client adds.
            4..=7 | 12 | 13 => Value::Text(String::from_utf8_lossy(&bytes).into_owned()),
            _ => continue,
        };
        object.insert(number.to_string(), value);
    }
    object.sort_by(|left, _, right, _| number_of(left).cmp(&number_of(right)));
    Value::Object(object)
}

fn number_of(key: &str) -> u32 {
    key.parse().unwrap_or(u32::MAX)
}

fn flags(bytes: &[u8]) -> Value {
    let set = fields(bytes)
        .into_iter()
        .filter_map(|(number, field)| match field {
            Field::Number(value) if value != 0 => Some(Value::Int(i64::from(number))),
            _ => None,
        });
    Value::List(set.collect())
}

fn texts(bytes: &[u8]) -> Value {
    let members = fields(bytes)
        .into_iter()
        .filter_map(|(number, field)| match field {
            Field::Bytes(text) => Some((
                number.to_string(),
                Value::Text(String::from_utf8_lossy(&text).into_owned()),
            )),
            Field::Number(_) => None,
        });
    Value::Object(members.collect())
}

enum Field {
    Number(u64),
    Bytes(Vec<u8>),
}

/// The fields of a message that this process encoded itself.
fn fields(mut bytes: &[u8]) -> Vec<(u32, Field)> {
    let mut found = Vec::new();
    while bytes.has_remaining() {
        let Ok((number, wire_type)) = decode_key(&mut bytes) else {
            break;
        };
        let Ok(value) = decode_varint(&mut bytes) else {
            break;
        };
        match wire_type {
            WireType::Varint => found.push((number, Field::Number(value))),
            WireType::LengthDelimited => {
                let length = usize::try_from(value)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                found.push((number, Field::Bytes(bytes[..length].to_vec())));
                bytes.advance(length);
            }
            _ => break,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telemetry_is_keyed_by_field_number() {
        let mut telemetry = pb::TelemetryRecord {
            python_version: "3.11.7".to_owned(),
            cli_version: "0.31.0".to_owned(),
            feature: Some(pb::Feature {
                finish: true,
                set_init_name: true,
                ..Default::default()
            }),
            ..Default::default()
        };
        let newer = pb::TelemetryRecord {
            platform: "linux-x86_64".to_owned(),
            feature: Some(pb::Feature {
                set_summary: true,
                ..Default::default()
            }),
            label: Some(pb::Labels {
                code_string: "x".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        merge(&mut telemetry, &newer);
        assert_eq!(
            to_config(&telemetry).to_string(),
            r#"{"3":[2,13,62],"4":"3.11.7","5":"0.31.0","9":{"1":"x"},"13":"linux-x86_64"}"#
        );
    }
}
