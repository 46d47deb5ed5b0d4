//! Reading while the log grows: never half a record, never an end that is final.

#![expect(clippy::unwrap_used, reason = "a failed test says where")]

mod support;

use std::path::Path;

use proptest::prelude::*;
use runlane_translog::{OsFs, ReadEvent, Reader, Tail, Writer};
use support::{MemoryFs, numbered, record};

proptest! {
    #[test]
    fn a_growing_file_yields_each_record_once(
        lengths in prop::collection::vec(prop_oneof![8 => 0usize..500, 1 => 0usize..100_000], 1..30),
        steps in prop::collection::vec(1usize..20_000, 1..60),
    ) {
        let fs = MemoryFs::default();
        let mut writer = Writer::create(&fs, Path::new("whole")).unwrap();
        let records: Vec<_> = (1..).zip(&lengths).map(|(seed, &len)| record(seed, len)).collect();
        let spans = writer.append_batch(&records).unwrap().records.to_vec();
        let whole = fs.bytes("whole");

        fs.put("log", b"");
        let mut reader = Reader::open(&fs, Path::new("log")).unwrap();
        let mut seen = 0;
        let mut written = 0;
        for step in steps.iter().copied().cycle() {
            written = (written + step).min(whole.len());
            fs.put("log", &whole[..written]);
            loop {
                match reader.next_event().unwrap() {
                    ReadEvent::Record(found) => {
                        prop_assert_eq!(found.offset, spans[seen].offset);
                        prop_assert_eq!(found.bytes, &numbered(seen as u64 + 1, &records[seen])[..]);
                        seen += 1;
                    }
                    ReadEvent::End(_) => break,
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            let complete = spans.partition_point(|span| span.end <= written as u64);
            prop_assert_eq!(seen, complete);
            prop_assert_eq!(reader.position().last_num, seen as u64);
            if written == whole.len() { break; }
        }
    }
}

#[test]
fn a_torn_end_that_is_rewritten_is_read_afresh() {
    let fs = MemoryFs::default();
    let mut writer = Writer::create(&fs, Path::new("log")).unwrap();
    writer.append(&record(1, 50)).unwrap();
    let before = fs.bytes("log");
    writer.append(&record(2, 40_000)).unwrap();
    let torn = fs.bytes("log")[..before.len() + 300].to_vec();

    fs.put("log", &torn);
    let mut reader = Reader::open(&fs, Path::new("log")).unwrap();
    assert!(matches!(reader.next_event().unwrap(), ReadEvent::Record(_)));
    assert!(matches!(
        reader.next_event().unwrap(),
        ReadEvent::End(Tail::Partial { .. })
    ));

    let (mut writer, _) = Writer::open_append(&fs, Path::new("log")).unwrap();
    writer.append(&record(3, 200)).unwrap();
    match reader.next_event().unwrap() {
        ReadEvent::Record(found) => assert_eq!(found.bytes, numbered(2, &record(3, 200))),
        other => panic!("{other:?}"),
    }
    assert_eq!(reader.next_event().unwrap(), ReadEvent::End(Tail::Clean));
}

#[test]
fn a_reader_beside_a_writing_thread_sees_every_record() {
    const RECORDS: u64 = 20_000;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run-x.wandb");
    let mut writer = Writer::create(&OsFs, &path).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for first in (1..=RECORDS).step_by(10) {
                let batch = (first..first + 10)
                    .map(|seed| record(seed, usize::try_from(seed * 31 % 700).unwrap()));
                writer.append_batch(batch).unwrap();
            }
        });
        let mut reader = Reader::open(&OsFs, &path).unwrap();
        let mut next = 1;
        while next <= RECORDS {
            match reader.next_event().unwrap() {
                ReadEvent::Record(found) => {
                    let length = usize::try_from(next * 31 % 700).unwrap();
                    assert_eq!(found.bytes, numbered(next, &record(next, length)));
                    next += 1;
                }
                ReadEvent::End(_) => std::thread::yield_now(),
                other => panic!("{other:?}"),
            }
        }
    });
}
