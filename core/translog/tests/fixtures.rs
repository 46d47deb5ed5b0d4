//! Logs written by wandb 0.31.0: everything that their `expected.json` says about the file.

#![expect(clippy::unwrap_used, reason = "a failed test says where")]

mod support;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use prost::Message;
use runlane_proto::wandb_internal::Record;
use runlane_translog::{ReadEvent, Reader, Tail, Writer};
use support::{MemoryFs, read_all};

const FIXTURES: [&str; 8] = [
    "a-scalars",
    "b-media",
    "c-artifacts",
    "d-definitions",
    "e1-killed-service",
    "e2-killed-client",
    "f-long",
    "g-typed-history",
];

fn load(name: &str) -> (serde_json::Value, Vec<u8>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/wandb-offline");
    let folder = root.join(name);
    let expected = std::fs::read(folder.join("expected.json")).expect("a fixture has it");
    let expected: serde_json::Value = serde_json::from_slice(&expected).expect("JSON");
    let file = folder.join(expected["wandb_file"].as_str().expect("a path"));
    let mut log = Vec::new();
    if expected["compressed"] == "gzip" {
        let file = std::fs::File::open(&file).expect("readable");
        flate2::read::GzDecoder::new(file)
            .read_to_end(&mut log)
            .expect("gzip");
    } else {
        log = std::fs::read(&file).expect("readable");
    }
    (expected, log)
}

/// `OutputRaw(…)` becomes `output_raw`.
fn type_name(record: &Record) -> String {
    let kind = record.record_type.as_ref().expect("a record has a type");
    let debug = format!("{kind:?}");
    let variant = debug.split('(').next().expect("the variant");
    let mut name = String::new();
    for (index, letter) in variant.chars().enumerate() {
        if letter.is_uppercase() && index > 0 {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

#[test]
fn fixtures_read_as_their_expectations_say() {
    for name in FIXTURES {
        let (expected, log) = load(name);
        assert_eq!(
            log.len() as u64,
            expected["wandb_file_bytes"].as_u64().unwrap(),
            "{name}"
        );
        let crc = format!("{:08x}", crc32fast::hash(&log));
        assert_eq!(crc, expected["crc32_of_file"].as_str().unwrap(), "{name}");

        let fs = MemoryFs::default();
        fs.put("log", &log);
        let mut reader = Reader::open(&fs, Path::new("log")).unwrap();
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let mut payloads = Vec::new();
        let mut numbers = 1..;
        let tail = loop {
            match reader.next_event().unwrap() {
                ReadEvent::Record(found) => {
                    assert_eq!(found.num, numbers.next(), "{name}");
                    let record = Record::decode(found.bytes).expect("a record");
                    assert_eq!(u64::try_from(record.num).ok(), found.num);
                    *counts.entry(type_name(&record)).or_default() += 1;
                    payloads.push(found.bytes.to_vec());
                }
                ReadEvent::End(tail) => break tail,
                other => panic!("{name}: {other:?}"),
            }
        };
        let truncated = expected["truncated"].as_bool().unwrap_or(false);
        assert_eq!(
            matches!(tail, Tail::Partial { .. }),
            truncated,
            "{name}: {tail:?}"
        );
        assert_eq!(tail == Tail::Clean, !truncated, "{name}: {tail:?}");
        assert_eq!(
            payloads.len() as u64,
            expected["records_total"].as_u64().unwrap(),
            "{name}"
        );
        let wanted: BTreeMap<String, u64> =
            serde_json::from_value(expected["record_counts"].clone()).unwrap();
        assert_eq!(counts, wanted, "{name}");
        let others = read_all(&log).into_iter().map(|found| found.payload);
        assert!(
            others.eq(payloads.iter().cloned()),
            "{name}: the independent reader differs"
        );
    }
}

#[test]
fn our_writer_lays_records_out_byte_for_byte_as_wandb_does() {
    for name in FIXTURES {
        let (_, log) = load(name);
        let fs = MemoryFs::default();
        let mut writer = Writer::create(&fs, Path::new("log")).unwrap();
        let records: Vec<_> = read_all(&log)
            .into_iter()
            .map(|found| {
                // The number comes first in W&B's encoding, as in ours: it is what the writer adds.
                let digits = found.payload[1..]
                    .iter()
                    .position(|byte| byte & 0x80 == 0)
                    .unwrap();
                assert_eq!(found.payload[0], 8);
                found.payload[digits + 2..].to_vec()
            })
            .collect();
        for batch in records.chunks(50) {
            writer.append_batch(batch).unwrap();
        }
        let ours = fs.bytes("log");
        assert_eq!(ours, log[..ours.len()], "{name}");
    }
}

#[test]
fn a_log_cut_by_a_kill_is_continued() {
    let (expected, log) = load("e1-killed-service");
    let total = expected["records_total"].as_u64().unwrap();
    let fs = MemoryFs::default();
    fs.put("log", &log);
    let (mut writer, recovery) = Writer::open_append(&fs, Path::new("log")).unwrap();
    assert!(matches!(recovery.tail, Tail::Partial { .. }));
    assert_eq!(recovery.stats.records, total);
    assert_eq!(
        writer.append(&support::record(1, 100)).unwrap().num,
        total + 1
    );
    assert_eq!(read_all(&fs.bytes("log")).len() as u64, total + 1);
}
