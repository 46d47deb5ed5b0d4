//! A disk that fails: what was acknowledged stays, the rest is refused, and the next append works.

#![expect(clippy::unwrap_used, reason = "a failed test says where")]

mod support;

use std::io::ErrorKind;
use std::path::Path;

use proptest::prelude::*;
use runlane_translog::{Error, OsFs, ReadEvent, Reader, Tail, Writer};
use support::{Fault, MemoryFs, numbered, read_all, record};

const LOG: &str = "log";

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        6 => Just(Fault::None),
        4 => (0usize..40_000).prop_map(Fault::Short),
        2 => Just(Fault::Interrupted),
        1 => Just(Fault::Error(ErrorKind::StorageFull)),
        1 => Just(Fault::Error(ErrorKind::QuotaExceeded)),
        1 => Just(Fault::Error(ErrorKind::Other)),
    ]
}

/// All intact records, and whether the reader saw damage.
fn read(fs: &MemoryFs) -> (Vec<Vec<u8>>, bool, Tail) {
    let mut reader = Reader::open(fs, Path::new(LOG)).unwrap();
    let (mut found, mut damaged) = (Vec::new(), false);
    loop {
        match reader.next_event().unwrap() {
            ReadEvent::Record(record) => found.push(record.bytes.to_vec()),
            ReadEvent::Repeated(_) | ReadEvent::Damage(_) => damaged = true,
            ReadEvent::End(tail) => return (found, damaged, tail),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn acknowledged_records_survive_any_write_fault(
        faults in prop::collection::vec(fault(), 0..80),
        truncates in prop::collection::vec(prop_oneof![3 => Just(Fault::None), 1 => Just(Fault::Error(ErrorKind::Other))], 0..20),
        batches in prop::collection::vec(
            prop::collection::vec(prop_oneof![8 => 0usize..300, 1 => 0usize..70_000], 1..6), 1..30),
    ) {
        let fs = MemoryFs::default();
        let mut writer = Writer::create(&fs, Path::new(LOG)).unwrap();
        fs.fail_writes(faults);
        fs.fail_truncates(truncates);
        let mut kept: Vec<Vec<u8>> = Vec::new();
        let mut seed = 0;
        for lengths in &batches {
            let records: Vec<_> = lengths.iter().map(|&length| { seed += 1; record(seed, length) }).collect();
            let count = match writer.append_batch(&records) {
                Ok(appended) => appended.records.len(),
                Err(Error::Append { appended, .. }) => usize::try_from(appended).unwrap(),
                Err(other) => return Err(TestCaseError::fail(other.to_string())),
            };
            for record in &records[..count] {
                kept.push(numbered(kept.len() as u64 + 1, record));
            }
            prop_assert_eq!(writer.next_num(), kept.len() as u64 + 1);
            let (found, _, _) = read(&fs);
            prop_assert_eq!(&found, &kept);
        }
        // With the disk well again, one more append leaves a log without a trace of trouble.
        fs.fail_writes([]);
        loop {
            match writer.append(&record(999, 77)) {
                Ok(_) => break,
                Err(error) => {
                    let refused = matches!(error, Error::Append { appended: 0, .. });
                    prop_assert!(refused, "{}", error);
                }
            }
        }
        kept.push(numbered(kept.len() as u64 + 1, &record(999, 77)));
        let (found, damaged, tail) = read(&fs);
        prop_assert_eq!(&found, &kept);
        prop_assert!(!damaged);
        prop_assert_eq!(tail, Tail::Clean);
        prop_assert_eq!(read_all(&fs.bytes(LOG)).len(), kept.len());
    }

    #[test]
    fn a_full_disk_at_any_byte_keeps_whole_records(
        capacity in 7usize..100_000,
        lengths in prop::collection::vec(0usize..9000, 5..30),
    ) {
        let fs = MemoryFs::default();
        let mut writer = Writer::create(&fs, Path::new(LOG)).unwrap();
        fs.set_capacity(Some(capacity));
        let records: Vec<_> = (0..).zip(&lengths).map(|(seed, &length)| record(seed, length)).collect();
        let result = writer.append_batch(&records).map(|appended| appended.records.len());
        let count = match result {
            Ok(count) => count,
            Err(error) => {
                prop_assert!(error.is_out_of_space());
                prop_assert!(error.is_retryable());
                let Error::Append { appended, .. } = error else { panic!("{error}") };
                usize::try_from(appended).unwrap()
            }
        };
        prop_assert_eq!(read(&fs).0.len(), count);
        prop_assert_eq!(fs.bytes(LOG).len() as u64, writer.len(), "the torn record is cut off");
        fs.set_capacity(None);
        writer.append_batch(&records[count..]).unwrap();
        let (found, damaged, _) = read(&fs);
        prop_assert!(!damaged);
        let expected = records.iter().zip(1..).map(|(record, num)| numbered(num, record));
        prop_assert!(found.into_iter().eq(expected));
    }
}

#[test]
fn a_torn_record_that_cannot_be_cut_off_becomes_unused_space() {
    let fs = MemoryFs::default();
    let mut writer = Writer::create(&fs, Path::new(LOG)).unwrap();
    writer.append(&record(1, 100)).unwrap();
    fs.fail_writes([Fault::Short(50_000), Fault::Error(ErrorKind::StorageFull)]);
    let fail = Fault::Error(ErrorKind::PermissionDenied);
    fs.fail_truncates([fail]);
    writer.append(&record(2, 60_000)).unwrap_err();
    let span = writer.append(&record(3, 100)).unwrap();
    assert_eq!((span.num, span.offset), (2, 65_536));
    let (found, damaged, tail) = read(&fs);
    assert_eq!(
        found,
        [numbered(1, &record(1, 100)), numbered(2, &record(3, 100))]
    );
    assert!(!damaged, "no number is missing");
    assert_eq!(tail, Tail::Clean);
}

#[test]
fn a_failed_sync_is_final_and_the_next_segment_has_the_unsynced_records() {
    let fs = MemoryFs::default();
    let mut writer = Writer::create(&fs, Path::new(LOG)).unwrap();
    writer.append(&record(1, 100)).unwrap();
    writer.sync().unwrap();
    assert_eq!(fs.directory_syncs(), 1);
    assert_eq!(writer.unsynced_bytes(), 0);
    writer
        .append_batch([record(2, 50_000), record(3, 10)])
        .unwrap();
    writer.append(&record(4, 10)).unwrap();
    let synced = writer.synced_len();

    fs.fail_syncs([Fault::Interrupted, Fault::Error(ErrorKind::Other)]);
    let error = writer.sync().unwrap_err();
    assert!(matches!(error, Error::SyncFailed { synced_len, .. } if synced_len == synced));
    assert!(writer.is_suspect());
    assert!(matches!(writer.sync().unwrap_err(), Error::Suspect { .. }));
    assert!(matches!(
        writer.append(&record(5, 1)).unwrap_err(),
        Error::Suspect { .. }
    ));
    assert!(writer.begin_sync().is_none());

    // The first new place is bad as well; nothing is lost by trying.
    fs.fail_syncs([Fault::Error(ErrorKind::Other)]);
    writer.rollover(&fs, Path::new("bad")).unwrap_err();
    let (mut next, rollover) = writer.rollover(&fs, Path::new("segment")).unwrap();
    assert_eq!(rollover.carried, Some(2..=4));
    assert_eq!(rollover.unproven, None);
    assert_eq!(next.unsynced_bytes(), 0);
    assert_eq!(next.append(&record(5, 1)).unwrap().num, 5);

    let mut reader = Reader::open(&fs, Path::new("segment")).unwrap();
    let expected = [
        record(2, 50_000),
        record(3, 10),
        record(4, 10),
        record(5, 1),
    ];
    for (num, expected) in (2..).zip(&expected) {
        match reader.next_event().unwrap() {
            ReadEvent::Record(found) => {
                assert_eq!(found.bytes, numbered(num, expected));
                assert_eq!(found.num, Some(num));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(reader.next_event().unwrap(), ReadEvent::End(Tail::Clean));
    assert_eq!(
        reader.stats().lost_records,
        0,
        "a later segment begins with a later number"
    );
}

#[test]
fn a_sync_elsewhere_covers_what_was_appended_before_it() {
    let fs = MemoryFs::default();
    let mut writer = Writer::create(&fs, Path::new(LOG)).unwrap();
    writer.append(&record(1, 100)).unwrap();
    let covered = writer.len();
    let pending = writer.begin_sync().unwrap();
    assert!(writer.begin_sync().is_none(), "one at a time");
    let outcome = std::thread::scope(|scope| scope.spawn(|| pending.run()).join().unwrap());
    writer.append(&record(2, 100)).unwrap();
    writer.complete_sync(outcome).unwrap();
    assert_eq!(writer.synced_len(), covered);
    assert_eq!(writer.unsynced_bytes(), writer.len() - covered);

    fs.fail_syncs([Fault::Error(ErrorKind::Other)]);
    writer.sync().unwrap_err();
    let (_, rollover) = writer.rollover(&fs, Path::new("segment")).unwrap();
    assert_eq!(rollover.carried, Some(2..=2));
}

#[test]
fn more_unsynced_records_than_fit_are_named() {
    let fs = MemoryFs::default();
    let mut writer = Writer::create(&fs, Path::new(LOG)).unwrap();
    for seed in 1..=30 {
        writer.append(&record(seed, 100_000)).unwrap();
    }
    fs.fail_syncs([Fault::Error(ErrorKind::Other)]);
    writer.sync().unwrap_err();
    let (_, rollover) = writer.rollover(&fs, Path::new("segment")).unwrap();
    assert_eq!(rollover.unproven, Some(1..=20));
    assert_eq!(rollover.carried, Some(21..=30));
}

#[test]
fn retained_records_survive_a_repaired_tear_between_them() {
    let fs = MemoryFs::default();
    let mut writer = Writer::create(&fs, Path::new(LOG)).unwrap();
    writer.append(&record(1, 100)).unwrap();
    fs.fail_writes([Fault::Short(500), Fault::Error(ErrorKind::StorageFull)]);
    fs.fail_truncates([Fault::Error(ErrorKind::Other)]);
    writer.append(&record(2, 5_000)).unwrap_err();
    writer
        .append_batch([record(3, 100), record(4, 70_000)])
        .unwrap();
    let (_, rollover) = writer.rollover(&fs, Path::new("segment")).unwrap();
    assert_eq!(rollover.carried, Some(1..=3));
    let payloads: Vec<_> = read_all(&fs.bytes("segment"))
        .into_iter()
        .map(|f| f.payload)
        .collect();
    let expected = [record(1, 100), record(3, 100), record(4, 70_000)];
    assert!(
        payloads
            .into_iter()
            .eq((1..).zip(&expected).map(|(num, r)| numbered(num, r)))
    );
}

#[test]
fn every_cut_of_a_log_is_continued() {
    let fs = MemoryFs::default();
    let mut writer = Writer::create(&fs, Path::new("whole")).unwrap();
    let records: Vec<_> = (0..40).map(|seed| record(seed, 1000)).collect();
    let spans = writer.append_batch(&records).unwrap().records.to_vec();
    let whole = fs.bytes("whole");
    for cut in (0..whole.len()).step_by(13).chain(32_700..32_800) {
        fs.put(LOG, &whole[..cut]);
        let (mut writer, _) = Writer::open_append(&fs, Path::new(LOG)).unwrap();
        let complete = spans.partition_point(|span| span.end <= cut as u64);
        let span = writer.append(&record(99, 500)).unwrap();
        assert_eq!(span.num, complete as u64 + 1, "cut at {cut}");
        let (found, damaged, tail) = read(&fs);
        assert_eq!(found.len(), complete + 1, "cut at {cut}");
        assert_eq!(found[complete], numbered(span.num, &record(99, 500)));
        assert!(!damaged);
        assert_eq!(tail, Tail::Clean);
    }
}

#[test]
fn a_damaged_end_is_left_alone() {
    let fs = MemoryFs::default();
    let mut writer = Writer::create(&fs, Path::new(LOG)).unwrap();
    let spans = writer
        .append_batch((0..20).map(|seed| record(seed, 500)))
        .unwrap()
        .records
        .to_vec();
    let mut bytes = fs.bytes(LOG);
    bytes[usize::try_from(spans[10].offset).unwrap() + 20] ^= 1;
    fs.put(LOG, &bytes);
    let (mut writer, recovery) = Writer::open_append(&fs, Path::new(LOG)).unwrap();
    assert!(
        matches!(recovery.tail, Tail::Damaged { .. }),
        "{recovery:?}"
    );
    let span = writer.append(&record(99, 500)).unwrap();
    assert_eq!(span.offset, 32_768);
    assert_eq!(fs.bytes(LOG)[..bytes.len()], bytes);
    let (found, damaged, _) = read(&fs);
    assert!(damaged);
    assert_eq!(found.len(), 11);
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let error = Reader::open(&OsFs, directory.path()).unwrap_err();
    assert!(matches!(error, Error::Open { .. }), "{error}");
    let fifo = directory.path().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
    assert!(matches!(
        Reader::open(&OsFs, &fifo).unwrap_err(),
        Error::Open { .. }
    ));
    assert!(matches!(
        Writer::open_append(&OsFs, &fifo).unwrap_err(),
        Error::Open { .. }
    ));
    let missing = Reader::open(&OsFs, &directory.path().join("none")).unwrap_err();
    assert_eq!(missing.io_error().unwrap().kind(), ErrorKind::NotFound);
}
