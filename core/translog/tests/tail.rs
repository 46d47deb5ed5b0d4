//! Reading while the log grows: never half a record, never an end that is final.

#![expect(clippy::unwrap_used, reason = "a failed test says where")]

mod support;

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use runlane_translog::{Error, Fs, LogFile, OsFile, OsFs, ReadAt, ReadEvent, Reader, Tail, Writer};
use support::{MemoryFs, numbered, record, table};

proptest! {
    #[test]
    fn l9_a_growing_file_yields_each_record_once(
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
fn l9_a_torn_end_that_is_rewritten_is_read_afresh() {
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
fn l9_a_reader_beside_a_writing_thread_sees_every_record() {
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
    table(
        "L9",
        "reader beside a writing thread",
        "each record once and whole, never a final end",
        "0 records off",
        usize::try_from(RECORDS).unwrap(),
    );
}

/// A file system whose first sync fails.
#[derive(Debug)]
struct FailingSync {
    inner: OsFile,
    failures: AtomicU32,
}

impl ReadAt for FailingSync {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.inner.size()
    }
}

impl LogFile for FailingSync {
    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize> {
        self.inner.write_at(buffer, offset)
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.inner.truncate(size)
    }

    fn reserve(&self, from: u64, to: u64) -> io::Result<()> {
        self.inner.reserve(from, to)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self
            .failures
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            })
            .is_ok()
        {
            return Err(io::Error::from_raw_os_error(5));
        }
        self.inner.sync_data()
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.inner.sync_directory()
    }

    fn is_at(&self, path: &Path) -> bool {
        self.inner.is_at(path)
    }
}

#[derive(Clone, Debug)]
struct FailingFs;

impl FailingFs {
    fn over(inner: OsFile, failures: u32) -> FailingSync {
        FailingSync {
            inner,
            failures: AtomicU32::new(failures),
        }
    }
}

impl Fs for FailingFs {
    type File = FailingSync;

    fn create_new(&self, path: &Path) -> io::Result<FailingSync> {
        Ok(Self::over(OsFs.create_new(path)?, 1))
    }

    fn open_exclusive(&self, path: &Path) -> io::Result<FailingSync> {
        Ok(Self::over(OsFs.open_exclusive(path)?, 0))
    }

    fn open(&self, path: &Path) -> io::Result<FailingSync> {
        Ok(Self::over(OsFs.open(path)?, 0))
    }

    fn create_replacement(&self, path: &Path, old: &FailingSync) -> io::Result<FailingSync> {
        Ok(Self::over(OsFs.create_replacement(path, &old.inner)?, 0))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsFs.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        OsFs.remove(path)
    }
}

#[test]
fn l5_a_reader_follows_the_log_into_the_file_that_replaced_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run-x.wandb");
    let mut writer = Writer::create(&FailingFs, &path).unwrap();
    for seed in 1..=100 {
        writer.append(&record(seed, 1000)).unwrap();
    }
    let mut reader = Reader::open(&OsFs, &path).unwrap();
    let mut next = 1;
    let mut read_to = |last: u64| {
        while let ReadEvent::Record(found) = reader.next_event().unwrap() {
            assert_eq!(found.bytes, numbered(next, &record(next, 1000)));
            next += 1;
        }
        assert_eq!(next - 1, last);
    };
    read_to(100);
    writer.sync().unwrap_err();
    let outcome = writer.begin_repair(FailingFs).unwrap().run();
    // Somebody who opens the log now must not get it, and the old file is nobody's.
    assert!(matches!(
        Writer::open_append(&OsFs, &path).unwrap_err(),
        Error::Locked { .. }
    ));
    writer.complete_repair(outcome).unwrap();
    for seed in 101..=200 {
        writer.append(&record(seed, 1000)).unwrap();
    }
    writer.sync().unwrap();
    read_to(200);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

const NO_DESCRIPTORS: &str = "RUNLANE_TEST_NO_DESCRIPTORS";

/// Run in a process of its own, whose descriptors it uses up.
#[test]
fn child_without_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Some(path) = std::env::var_os(NO_DESCRIPTORS) else {
        return;
    };
    let mut writer = Writer::create(&FailingFs, Path::new(&path)).unwrap();
    for seed in 1..=50 {
        writer.append(&record(seed, 1000)).unwrap();
    }
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: Some(64),
        maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    let mut all = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        all.push(file);
    }
    assert!(!all.is_empty());
    writer.sync().unwrap_err();
    let outcome = writer.begin_repair(FailingFs).unwrap().run();
    writer.complete_repair(outcome).unwrap();
    writer.append(&record(51, 1000)).unwrap();
    writer.sync().unwrap();
    assert!(
        std::fs::File::open("/dev/null").is_err(),
        "nothing was free"
    );
    io::stdout().write_all(b"repaired\n").unwrap();
}

#[test]
fn t8b_a_first_sync_and_a_repair_need_no_free_descriptor() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run-x.wandb");
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_without_descriptors", "--nocapture"])
        .env(NO_DESCRIPTORS, &path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("repaired"), "{output:?}");
    let mut reader = Reader::open(&OsFs, &path).unwrap();
    for num in 1..=51 {
        match reader.next_event().unwrap() {
            ReadEvent::Record(found) => assert_eq!(found.num, Some(num)),
            other => panic!("{other:?}"),
        }
    }
    table(
        "T8b",
        "no descriptor free, then fsync fails",
        "the log is replaced, 0 records lost",
        "0 records lost",
        1,
    );
}
