//! What was appended is read back, by the crate's reader and by an independent one.

#![expect(clippy::unwrap_used, reason = "a failed test says where")]

mod support;

use std::os::unix::fs::FileExt;
use std::path::Path;

use proptest::prelude::*;
use runlane_translog::{OsFs, Position, ReadEvent, Reader, Tail, Writer};
use support::{MemoryFs, numbered, read_all, record, table};

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
    const BLOCK: u64 = 32_768;
    const FAR: u64 = 3 << 29;
    let fs = MemoryFs::default();
    let mut writer = Writer::create(&fs, Path::new(PATH)).unwrap();
    let lengths = (0..300u64).map(|seed| {
        if seed % 50 == 7 {
            40_000
        } else {
            seed * 3 % 500
        }
    });
    let records: Vec<_> = (0..)
        .zip(lengths)
        .map(|(seed, length)| record(seed, usize::try_from(length).unwrap()))
        .collect();
    let spans = writer.append_batch(&records).unwrap().records.to_vec();
    // All blocks but the first stand as well at the end of a file that is a gibibyte longer: a hole stands for the rest.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(PATH);
    let file = std::fs::File::create(&path).unwrap();
    let bytes = fs.bytes(PATH);
    let (first, others) = bytes.split_at(usize::try_from(BLOCK).unwrap());
    file.write_all_at(first, 0).unwrap();
    file.write_all_at(others, FAR).unwrap();
    let mut trials = 0;
    for (index, span) in spans.iter().enumerate() {
        if span.offset < BLOCK {
            continue;
        }
        let position = Position {
            offset: FAR + span.offset - BLOCK,
            last_num: span.num - 1,
        };
        let mut reader = Reader::open_at(&OsFs, &path, position).unwrap();
        for (span, record) in spans.iter().zip(&records).skip(index).take(3) {
            match reader.next_event().unwrap() {
                ReadEvent::Record(found) => {
                    assert_eq!(found.bytes, numbered(span.num, record));
                    assert_eq!(found.end, FAR + span.end - BLOCK);
                }
                other => panic!("{other:?}"),
            }
        }
        trials += 1;
    }
    assert!(trials > 150);
    table(
        "L9",
        "seek to every record beyond 1.5 GiB of a log",
        "the record, whole",
        "0 records off",
        trials,
    );
}
