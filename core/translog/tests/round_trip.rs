//! What was appended is read back, by the crate's reader and by an independent one.

#![expect(clippy::unwrap_used, reason = "a failed test says where")]

mod support;

use std::path::Path;

use proptest::prelude::*;
use runlane_translog::{OsFs, Position, ReadEvent, Reader, Tail, Writer};
use support::{MemoryFs, numbered, read_all, record};

const PATH: &str = "run-x.wandb";

/// Lengths around nothing, around a block, and beyond three blocks.
fn record_length() -> impl Strategy<Value = usize> {
    prop_oneof![
        10 => 0usize..200,
        3 => 32_700usize..32_800,
        1 => 0usize..130_000,
    ]
}

/// All records from `position` on, and how the log ended.
fn read_from(fs: &MemoryFs, position: Position) -> (Vec<(u64, u64, Vec<u8>)>, Tail) {
    let mut reader = Reader::open_at(fs, Path::new(PATH), position).unwrap();
    let mut records = Vec::new();
    loop {
        match reader.next_event().unwrap() {
            ReadEvent::Record(found) => {
                records.push((found.offset, found.num.unwrap(), found.bytes.to_vec()));
            }
            ReadEvent::End(tail) => return (records, tail),
            other => panic!("unexpected {other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn l9_batches_come_back_with_dense_numbers_from_any_position(
        batches in prop::collection::vec(prop::collection::vec(record_length(), 0..6), 1..8),
        reopen_every in 1usize..4,
    ) {
        let fs = MemoryFs::default();
        let mut writer = Writer::create(&fs, Path::new(PATH)).unwrap();
        let mut expected = Vec::new();
        let mut seed = 0;
        for (index, lengths) in batches.iter().enumerate() {
            if index % reopen_every == 0 {
                let (again, recovery) = Writer::open_append(&fs, Path::new(PATH)).unwrap();
                prop_assert_eq!(recovery.tail, Tail::Clean);
                prop_assert_eq!(recovery.stats.records, expected.len() as u64);
                prop_assert_eq!(again.next_num(), writer.next_num());
                prop_assert_eq!(again.len(), writer.len());
                writer = again;
            }
            let records: Vec<_> = lengths.iter().map(|&length| {
                seed += 1;
                if length == 0 { Vec::new() } else { record(seed, length) }
            }).collect();
            let before = fs.write_calls();
            let appended = writer.append_batch(&records).unwrap();
            prop_assert_eq!(appended.records.len(), records.len());
            for (span, record) in appended.records.iter().zip(&records) {
                expected.push((span.offset, span.num, numbered(span.num, record)));
            }
            prop_assert!(fs.write_calls() <= before + 1, "one write for a batch");
            prop_assert_eq!(fs.bytes(PATH).len() as u64, writer.len());
        }
        for (num, (_, given, _)) in (1..).zip(&expected) {
            prop_assert_eq!(num, *given);
        }
        let (records, tail) = read_from(&fs, Position::START);
        prop_assert_eq!(tail, Tail::Clean);
        prop_assert_eq!(&records, &expected);

        let others = read_all(&fs.bytes(PATH));
        prop_assert_eq!(others.len(), expected.len());
        for (other, (offset, _, payload)) in others.iter().zip(&expected) {
            prop_assert_eq!(other.offset as u64, *offset);
            prop_assert_eq!(&other.payload, payload);
        }

        for skip in 0..=expected.len() {
            let offset = expected.get(skip).map_or(writer.len(), |(offset, _, _)| *offset);
            let position = Position { offset, last_num: skip as u64 };
            let (rest, tail) = read_from(&fs, position);
            prop_assert_eq!(tail, Tail::Clean);
            prop_assert_eq!(&rest[..], &expected[skip..]);
        }
    }
}

#[test]
fn l9_positions_beyond_a_gibibyte_are_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(PATH);
    let mut writer = Writer::create(&OsFs, &path).unwrap();
    writer.append(&record(1, 100)).unwrap();
    drop(writer);
    // A hole stands for a gibibyte of records: readers take it for unused blocks.
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(3 << 29).unwrap();
    drop(file);
    let (mut writer, recovery) = Writer::open_append(&OsFs, &path).unwrap();
    assert!(matches!(recovery.tail, Tail::Zeros { .. }), "{recovery:?}");
    assert_eq!(
        writer.len(),
        recovery_end(&recovery.tail),
        "the zeros are cut off"
    );
    let span = writer.append(&record(2, 40_000)).unwrap();
    let mut reader = Reader::open_at(
        &OsFs,
        &path,
        Position {
            offset: span.offset,
            last_num: 1,
        },
    )
    .unwrap();
    match reader.next_event().unwrap() {
        ReadEvent::Record(found) => assert_eq!(found.bytes, numbered(2, &record(2, 40_000))),
        other => panic!("{other:?}"),
    }
}

fn recovery_end(tail: &Tail) -> u64 {
    match tail {
        Tail::Zeros { offset, .. } => *offset,
        other => panic!("{other:?}"),
    }
}
