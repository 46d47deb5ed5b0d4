//! A disk that fails: the file is always a prefix of the log, the rest waits in memory, and nothing is lost.

#![expect(clippy::unwrap_used, reason = "a failed test says where")]

mod support;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use runlane_translog::{
    Error, LiveLog, MAX_BACKLOG_BYTES, OsFs, Position, ReadAt, ReadEvent, Reader, Tail, Writer,
};
use support::{Fault, MemoryFile, MemoryFs, numbered, read_all, record, table};

const LOG: &str = "log";
const EIO: Fault = Fault::Errno(5);

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        6 => Just(Fault::None),
        4 => (0usize..40_000).prop_map(Fault::Short),
        2 => Just(Fault::Interrupted),
        1 => Just(Fault::Error(ErrorKind::StorageFull)),
        1 => Just(Fault::Error(ErrorKind::QuotaExceeded)),
        1 => Just(EIO),
    ]
}

/// All intact records, and whether the reader saw damage.
fn read_from<F: ReadAt>(file: F) -> (Vec<Vec<u8>>, bool, Tail) {
    let mut reader = Reader::new(file, PathBuf::from(LOG), Position::START);
    let (mut found, mut damaged) = (Vec::new(), false);
    loop {
        match reader.next_event().unwrap() {
            ReadEvent::Record(record) => found.push(record.bytes.to_vec()),
            ReadEvent::Repeated(_) | ReadEvent::Damage(_) => damaged = true,
            ReadEvent::End(tail) => return (found, damaged, tail),
        }
    }
}

fn read(fs: &MemoryFs) -> (Vec<Vec<u8>>, bool, Tail) {
    use runlane_translog::Fs;
    read_from(fs.open(Path::new(LOG)).unwrap())
}

fn live(log: &LiveLog<MemoryFile>) -> Vec<Vec<u8>> {
    let (found, damaged, tail) = read_from(log.clone());
    assert!(!damaged);
    assert_eq!(tail, Tail::Clean);
    found
}

fn started(fs: &MemoryFs) -> Writer<MemoryFile> {
    Writer::create(fs, Path::new(LOG)).unwrap()
}

#[test]
fn l7_short_writes_eintr_and_errors_lose_nothing() {
    const CASES: u32 = 400;
    let lengths = prop_oneof![8 => 0usize..300, 1 => 0usize..70_000];
    let inputs = (
        prop::collection::vec(fault(), 0..80),
        prop::collection::vec(prop::collection::vec(lengths, 1..6), 1..30),
    );
    let mut runner = TestRunner::new(ProptestConfig {
        source_file: Some(file!()),
        ..ProptestConfig::with_cases(CASES)
    });
    let result = runner.run(&inputs, |(faults, batches)| {
        write_through(faults, &batches);
        Ok(())
    });
    result.unwrap();
    table(
        "L7",
        "short writes, EINTR, EIO, ENOSPC, EDQUOT at random calls",
        "0 records lost, file a prefix of the log",
        "0 records lost",
        CASES as usize,
    );
}

/// Appends while calls fail; at any time everything is in this process, and a prefix of it in the file.
fn write_through(faults: Vec<Fault>, batches: &[Vec<usize>]) {
    let fs = MemoryFs::default();
    let mut writer = started(&fs);
    fs.fail_writes(faults);
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for lengths in batches {
        let first = kept.len() as u64;
        let records: Vec<_> = (first..)
            .zip(lengths)
            .map(|(seed, length)| record(seed, *length))
            .collect();
        let appended = writer.append_batch(&records).unwrap();
        assert_eq!(appended.records.len(), records.len());
        kept.extend((first + 1..).zip(&records).map(|(num, r)| numbered(num, r)));
        assert_eq!(writer.next_num(), kept.len() as u64 + 1);
        assert_eq!(live(&writer.live()), kept);
        let (found, damaged, _) = read(&fs);
        assert!(!damaged);
        assert!(kept.starts_with(&found));
        assert_eq!(found.len() == kept.len(), writer.backlog_bytes() == 0);
        assert_eq!(writer.trouble().is_some(), writer.backlog_bytes() > 0);
    }
    fs.heal();
    assert!(writer.flush());
    assert_eq!(read(&fs), (kept.clone(), false, Tail::Clean));
    assert_eq!(read_all(&fs.bytes(LOG)).len(), kept.len());
}

/// Appends to a disk that is full at byte `capacity`; later there is space again.
fn fill_up_and_go_on(capacity: usize, fault: ErrorKind, records: &[Vec<u8>]) {
    let fs = MemoryFs::default();
    let mut writer = started(&fs);
    fs.set_capacity(Some(capacity));
    let mut expected = Vec::new();
    for (num, record) in (1..).zip(records) {
        if fault != ErrorKind::StorageFull {
            // The quota's errno where the disk's would come.
            let left = capacity.saturating_sub(usize::try_from(writer.len()).unwrap());
            if left < record.len() + 20 && writer.backlog_bytes() == 0 {
                fs.fail_writes([Fault::Short(left), Fault::Error(fault)]);
            }
        }
        writer.append(record).unwrap();
        expected.push(numbered(num, record));
    }
    assert!(writer.backlog_bytes() > 0, "capacity {capacity}");
    let error = writer.trouble().unwrap();
    assert!(
        [ErrorKind::StorageFull, fault].contains(&error.kind()),
        "{error}"
    );
    let in_file = read(&fs).0;
    assert!(expected.starts_with(&in_file));
    assert_eq!(in_file, {
        let found = read_all(&fs.bytes(LOG));
        found
            .into_iter()
            .map(|found| found.payload)
            .collect::<Vec<_>>()
    });
    assert_eq!(live(&writer.live()), expected);
    // What is durable is what the file holds.
    writer.sync().unwrap();
    assert!(writer.synced_len() <= capacity as u64);
    assert!(!writer.flush(), "still full");
    fs.heal();
    assert!(writer.flush());
    writer.sync().unwrap();
    assert_eq!(writer.synced_len(), writer.len());
    let (found, damaged, tail) = read(&fs);
    assert_eq!(found, expected);
    assert!(!damaged && tail == Tail::Clean);
}

#[test]
fn l4_a_disk_full_at_any_byte_of_a_block_loses_nothing() {
    // Small records and one that spans blocks: 33 KiB of them, cut at every byte of the first block.
    let records: Vec<_> = (0..60)
        .map(|seed| record(seed, if seed == 20 { 9000 } else { 400 }))
        .collect();
    let stride = if support::full() { 1 } else { 3 };
    let mut trials = 0;
    for capacity in (7..32_768 + 40).step_by(stride) {
        fill_up_and_go_on(capacity, ErrorKind::StorageFull, &records);
        trials += 1;
    }
    for capacity in (7..32_768).step_by(211) {
        fill_up_and_go_on(capacity, ErrorKind::QuotaExceeded, &records);
        trials += 1;
    }
    table(
        "L4",
        "ENOSPC or EDQUOT at byte N of a block, space returns",
        "0 records lost, file a prefix meanwhile",
        "0 records lost",
        trials,
    );
}

#[test]
fn l4_no_more_is_taken_in_when_the_backlog_is_full() {
    let fs = MemoryFs::default();
    let mut writer = started(&fs);
    fs.set_capacity(Some(50_000));
    let mut taken = 0;
    let refused = loop {
        match writer.append(&record(taken, 300_000)) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(refused.is_retryable());
    assert!(matches!(refused, Error::BacklogFull { bytes, .. } if bytes >= MAX_BACKLOG_BYTES));
    assert!(writer.backlog_bytes() < MAX_BACKLOG_BYTES + 301_000);
    fs.set_capacity(None);
    assert!(writer.flush());
    writer.append(&record(taken, 300_000)).unwrap();
    assert_eq!(read(&fs).0.len() as u64, taken + 1);
}

#[test]
fn l4_the_reserve_takes_what_must_be_written_on_a_full_disk() {
    const RESERVE: usize = 4 << 20;
    let fs = MemoryFs::default();
    fs.allow_reserves();
    fs.set_capacity(Some(8 << 20));
    let mut writer = started(&fs);
    writer.keep_reserve(RESERVE as u64);
    let mut count = 0;
    while writer.backlog_bytes() < 200_000 {
        writer.append(&record(count, 5_000)).unwrap();
        count += 1;
    }
    // What the others left of the disk is full, the reserve is whole.
    let in_file = read(&fs).0;
    assert!(fs.bytes(LOG).len() > 2 << 20, "most of the rest was used");
    let left = usize::try_from(writer.reserve_left().unwrap().unwrap()).unwrap();
    assert!(left >= RESERVE, "{left}");
    let waiting = writer.backlog().unwrap();
    assert_eq!(
        waiting.len() + in_file.len(),
        usize::try_from(count).unwrap()
    );
    for (seed, waiting) in (in_file.len() as u64..).zip(&waiting) {
        assert_eq!(waiting, &record(seed, 5_000));
    }
    let essential = [record(7_001, 100), record(7_002, 3 << 20)];
    writer.replace_backlog(&essential).unwrap();
    assert_eq!(writer.backlog_bytes(), 0);
    writer.sync().unwrap();
    let mut expected = in_file;
    for record in &essential {
        expected.push(numbered(expected.len() as u64 + 1, record));
    }
    assert_eq!(read(&fs), (expected.clone(), false, Tail::Clean));
    assert_eq!(live(&writer.live()), expected);
    assert_eq!(read_all(&fs.bytes(LOG)).len(), expected.len());
    writer.release_reserve().unwrap();
    assert_eq!(fs.used() as u64, writer.len());
}

#[test]
fn l4_a_small_disk_gets_a_small_reserve_and_no_support_gets_none() {
    let fs = MemoryFs::default();
    fs.allow_reserves();
    fs.set_capacity(Some(1 << 20));
    let mut writer = started(&fs);
    writer.keep_reserve(4 << 20);
    let left = writer.reserve_left().unwrap().unwrap();
    assert!((200_000..800_000).contains(&left), "{left}");
    writer.append(&record(1, 10_000)).unwrap();
    assert_eq!(writer.backlog_bytes(), 0);

    let fs = MemoryFs::default();
    let mut writer = started(&fs);
    writer.keep_reserve(4 << 20);
    assert_eq!(writer.reserve_left().unwrap(), None);
    writer.append(&record(1, 10_000)).unwrap();
    assert_eq!(writer.backlog_bytes(), 0);
}

#[test]
fn l4_the_reserve_of_real_files_takes_space_but_no_size() {
    use std::os::unix::fs::MetadataExt;
    let mut tried = 0;
    for parent in [std::env::current_dir().unwrap(), PathBuf::from("/dev/shm")] {
        let Ok(directory) = tempfile::tempdir_in(&parent) else {
            continue;
        };
        let path = directory.path().join("run-x.wandb");
        let mut writer = Writer::create(&OsFs, &path).unwrap();
        writer.keep_reserve(4 << 20);
        if writer.reserve_left().unwrap().is_none() {
            continue;
        }
        tried += 1;
        let blocks = || std::fs::metadata(&path).unwrap().blocks() * 512;
        assert!(blocks() >= 4 << 20, "{}", blocks());
        for seed in 0..30 {
            writer.append(&record(seed, 100_000)).unwrap();
        }
        let size = std::fs::metadata(&path).unwrap().len();
        assert_eq!(size, writer.len());
        assert!(blocks() >= size + (4 << 20));
        writer.release_reserve().unwrap();
        assert!(blocks() < size + 100_000, "given back");
        // A dead process's reserve goes when its log is taken up.
        writer.keep_reserve(4 << 20);
        drop(writer);
        assert!(blocks() >= size + (4 << 20));
        let (writer, recovery) = Writer::open_append(&OsFs, &path).unwrap();
        assert_eq!(recovery.tail, Tail::Clean);
        assert_eq!((writer.len(), blocks() < size + 100_000), (size, true));
    }
    assert!(tried > 0, "neither this disk nor /dev/shm reserves space");
}

#[test]
fn l5_a_failed_sync_is_final_and_the_log_goes_on_in_a_sound_copy() {
    let fs = MemoryFs::default();
    let mut writer = started(&fs);
    let mut reader = Reader::new(writer.live(), PathBuf::from(LOG), Position::START);
    let mut expected = Vec::new();
    let mut append = |writer: &mut Writer<MemoryFile>, length: usize| {
        let num = writer.next_num();
        writer.append(&record(num, length)).unwrap();
        expected.push(numbered(num, &record(num, length)));
        expected.clone()
    };
    append(&mut writer, 100);
    writer.sync().unwrap();
    assert_eq!(fs.directory_syncs(), 1);
    append(&mut writer, 50_000);
    append(&mut writer, 10);
    let synced = writer.synced_len();

    // Fails once, then would succeed: nobody asks again.
    fs.fail_syncs([Fault::Interrupted, EIO]);
    let error = writer.sync().unwrap_err();
    assert!(matches!(error, Error::SyncFailed { synced_len, .. } if synced_len == synced));
    assert!(writer.is_suspect());
    assert!(matches!(writer.sync().unwrap_err(), Error::Suspect { .. }));
    assert!(writer.begin_sync().is_none());
    let before = fs.bytes(LOG);
    let all = append(&mut writer, 300);
    assert_eq!(fs.bytes(LOG), before, "a suspect file takes nothing more");
    assert!(writer.backlog_bytes() > 0);
    assert_eq!(live(&writer.live()), all);

    // The first attempts fail, each in its own way; nothing changes.
    fs.fail_creates([EIO]);
    let outcome = writer.begin_repair(fs.clone()).unwrap().run();
    assert!(matches!(
        writer.complete_repair(outcome).unwrap_err(),
        Error::RepairFailed { .. }
    ));
    fs.fail_syncs([EIO]);
    let outcome = writer.begin_repair(fs.clone()).unwrap().run();
    writer.complete_repair(outcome).unwrap_err();
    fs.fail_writes([Fault::Error(ErrorKind::StorageFull)]);
    let outcome = writer.begin_repair(fs.clone()).unwrap().run();
    assert!(
        writer
            .complete_repair(outcome)
            .unwrap_err()
            .is_out_of_space()
    );
    fs.fail_renames([EIO]);
    let outcome = writer.begin_repair(fs.clone()).unwrap().run();
    writer.complete_repair(outcome).unwrap_err();
    assert!(!fs.exists("log.runlane-new"), "no leftovers");
    assert_eq!((fs.bytes(LOG), writer.synced_len()), (before, synced));
    assert!(writer.is_suspect());

    // In the new file, but its name is not durable yet: it takes nothing and proves nothing.
    fs.fail_directory_syncs([EIO]);
    let outcome = writer.begin_repair(fs.clone()).unwrap().run();
    writer.complete_repair(outcome).unwrap_err();
    assert!(writer.is_suspect());
    assert_eq!(writer.synced_len(), synced);

    let pending = writer.begin_repair(fs.clone()).unwrap();
    assert!(writer.begin_repair(fs.clone()).is_none(), "one at a time");
    // Appended while the copy is made, on this thread, to be written behind it.
    let all = append(&mut writer, 70_000);
    let outcome = std::thread::scope(|scope| scope.spawn(|| pending.run()).join().unwrap());
    let report = writer.complete_repair(outcome).unwrap();
    assert_eq!((report.unreadable_bytes, report.lost_records), (0, 0));
    assert!(!writer.is_suspect());
    assert_eq!(writer.backlog_bytes(), 0);
    assert!(writer.synced_len() > synced && writer.synced_len() < writer.len());
    let all = {
        assert_eq!(read(&fs).0, all);
        append(&mut writer, 20)
    };
    writer.sync().unwrap();
    assert_eq!(read(&fs), (all.clone(), false, Tail::Clean));
    assert_eq!(read_all(&fs.bytes(LOG)).len(), all.len());
    // A reader that was there all the time has missed nothing.
    let mut seen = Vec::new();
    while let ReadEvent::Record(record) = reader.next_event().unwrap() {
        seen.push(record.bytes.to_vec());
    }
    assert_eq!(seen, all);
    table(
        "L5",
        "fsync fails once; EIO on create, write, fsync, rename of the copy",
        "0 records lost, D3 never reported for the failed range",
        "0 records lost",
        6,
    );
}

#[test]
fn l5_what_the_old_file_cannot_give_is_counted() {
    for block in 0..4u64 {
        let fs = MemoryFs::default();
        let mut writer = started(&fs);
        let mut spans = Vec::new();
        for seed in 0..400 {
            let span = writer.append(&record(seed, 300)).unwrap();
            spans.push(span);
        }
        writer.sync().unwrap();
        // In the same block as what could not be synced: still in memory, so nothing of it is lost.
        for seed in 400..410 {
            spans.push(writer.append(&record(seed, 300)).unwrap());
        }
        fs.fail_syncs([EIO]);
        writer.sync().unwrap_err();
        let bad = block * 32_768 + 9_000..block * 32_768 + 9_100;
        fs.set_unreadable(bad.clone());
        let outcome = writer.begin_repair(fs.clone()).unwrap().run();
        let report = writer.complete_repair(outcome).unwrap();
        fs.heal();
        writer.append(&record(999, 300)).unwrap();
        writer.sync().unwrap();
        let is_last_block = writer.len() / 32_768 == block;
        let (found, _, _) = read(&fs);
        let lost = spans.len() + 1 - found.len();
        assert_eq!(report.lost_records, lost as u64, "block {block}");
        if is_last_block {
            assert_eq!((report.unreadable_bytes, lost), (0, 0));
        } else {
            assert_eq!(report.unreadable_bytes, 4096);
            // The rest of that block, and the record that crosses into it.
            let end = (block + 1) * 32_768;
            let hit = |span: &&runlane_translog::RecordSpan| {
                span.end > bad.start / 4096 * 4096 && span.offset < end
            };
            assert!(lost > 0 && lost <= spans.iter().filter(hit).count());
        }
    }
}

#[test]
fn l5_more_unsynced_records_than_memory_keeps_come_from_the_old_file() {
    let fs = MemoryFs::default();
    let mut writer = started(&fs);
    for seed in 1..=30 {
        writer.append(&record(seed, 100_000)).unwrap();
    }
    fs.fail_syncs([EIO]);
    writer.sync().unwrap_err();
    // The kernel dropped a page of the first third, which no sync had covered.
    let mut bytes = fs.bytes(LOG);
    bytes[240_000..244_096].fill(0);
    fs.put(LOG, &bytes);
    let outcome = writer.begin_repair(fs.clone()).unwrap().run();
    let report = writer.complete_repair(outcome).unwrap();
    assert_eq!((report.unreadable_bytes, report.lost_records), (0, 1));
    assert_eq!(read(&fs).0.len(), 29);
}

#[test]
fn l5_a_file_that_cannot_be_read_where_it_ends_still_goes_on() {
    let fs = MemoryFs::default();
    let mut writer = started(&fs);
    for seed in 0..200 {
        writer.append(&record(seed, 300)).unwrap();
    }
    drop(writer);
    let (mut writer, _) = Writer::open_append(&fs, Path::new(LOG)).unwrap();
    writer.append(&record(200, 300)).unwrap();
    fs.fail_syncs([EIO]);
    writer.sync().unwrap_err();
    fs.set_unreadable(0..u64::MAX);
    let outcome = writer.begin_repair(fs.clone()).unwrap().run();
    let report = writer.complete_repair(outcome).unwrap();
    fs.heal();
    let kept = read(&fs).0.len() as u64;
    assert!(kept > 50, "the last block was in memory: {kept}");
    assert_eq!(report.lost_records + kept, 201);
}

#[test]
fn a_sync_elsewhere_covers_what_was_appended_before_it() {
    let fs = MemoryFs::default();
    let mut writer = started(&fs);
    writer.append(&record(1, 100)).unwrap();
    let covered = writer.len();
    let pending = writer.begin_sync().unwrap();
    assert!(writer.begin_sync().is_none(), "one at a time");
    let outcome = std::thread::scope(|scope| scope.spawn(|| pending.run()).join().unwrap());
    writer.append(&record(2, 100)).unwrap();
    writer.complete_sync(outcome).unwrap();
    assert_eq!(writer.synced_len(), covered);
    assert_eq!(writer.unsynced_bytes(), writer.len() - covered);
}

#[test]
fn l1_every_cut_of_a_log_is_continued() {
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
fn a_torn_end_that_cannot_be_cut_off_becomes_unused_space() {
    let fs = MemoryFs::default();
    let mut writer = started(&fs);
    writer.append(&record(1, 100)).unwrap();
    let whole = writer.len();
    writer.append(&record(2, 60_000)).unwrap();
    let torn = fs.bytes(LOG)[..50_000].to_vec();
    fs.put(LOG, &torn);
    fs.fail_truncates([Fault::Error(ErrorKind::PermissionDenied)]);
    let (mut writer, recovery) = Writer::open_append(&fs, Path::new(LOG)).unwrap();
    assert!(matches!(recovery.tail, Tail::Partial { offset, .. } if offset == whole));
    let span = writer.append(&record(3, 100)).unwrap();
    assert_eq!((span.num, span.offset), (2, 65_536));
    let (found, damaged, tail) = read(&fs);
    assert_eq!(
        found,
        [numbered(1, &record(1, 100)), numbered(2, &record(3, 100))]
    );
    assert!(!damaged, "no number is missing");
    assert_eq!(tail, Tail::Clean);
    // Neither way works: the log is not taken up.
    fs.put(LOG, &torn);
    fs.fail_truncates([EIO]);
    fs.fail_writes([EIO]);
    let error = Writer::open_append(&fs, Path::new(LOG)).unwrap_err();
    assert!(matches!(error, Error::Append { .. }));
    assert_eq!(fs.bytes(LOG), torn);
}

#[test]
fn a_damaged_end_is_left_alone() {
    let fs = MemoryFs::default();
    let mut writer = started(&fs);
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
fn a_log_whose_header_finds_no_space_leaves_no_file() {
    let fs = MemoryFs::default();
    fs.set_capacity(Some(3));
    let error = Writer::create(&fs, Path::new(LOG)).unwrap_err();
    assert!(error.is_out_of_space());
    assert!(!fs.exists(LOG));
}
