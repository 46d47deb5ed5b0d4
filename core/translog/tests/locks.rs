//! Two that want one log: exactly one writes it, the other is told, and no bytes mix.

#![expect(clippy::unwrap_used, reason = "a failed test says where")]

mod support;

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;

use runlane_translog::{Error, Fs, LocklessFs, OsFs, ReadEvent, Reader, Tail, Writer};
use support::{full, numbered, read_all, record, table};

const NAME: &str = "run-x.wandb";
/// Names the log that the child process is to hold.
const HOLD: &str = "RUNLANE_TEST_HOLDS_LOG";

fn rounds() -> usize {
    if full() { 1000 } else { 50 }
}

/// Dense numbers from 1 on, all intact, in both readers' eyes.
fn check(path: &Path, records: u64) {
    let mut reader = Reader::open(&OsFs, path).unwrap();
    let mut next = 1;
    loop {
        match reader.next_event().unwrap() {
            ReadEvent::Record(found) => {
                assert_eq!(found.num, Some(next));
                next += 1;
            }
            ReadEvent::End(tail) => {
                assert_eq!(tail, Tail::Clean);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(next - 1, records);
    assert_eq!(
        read_all(&std::fs::read(path).unwrap()).len() as u64,
        records
    );
}

fn race<S: Fs + Copy>(fs: S) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(NAME);
    let mut expected = 0;
    for round in 0..rounds() {
        if round % 5 == 0 {
            // A run begins: both want to create its log.
            std::fs::remove_file(&path).ok();
            expected = 0;
        }
        let barrier = Barrier::new(2);
        let contend = |seed: u64| {
            barrier.wait();
            let opened = if round % 5 == 0 {
                Writer::create(&fs, &path)
            } else {
                Writer::open_append(&fs, &path).map(|(writer, _)| writer)
            };
            let mut writer = match opened {
                Ok(writer) => writer,
                Err(Error::Locked { .. }) => return 0,
                Err(Error::Create { source, .. }) => {
                    assert!(matches!(
                        source.kind(),
                        ErrorKind::AlreadyExists | ErrorKind::ResourceBusy
                    ));
                    return 0;
                }
                Err(other) => panic!("{other}"),
            };
            for _ in 0..20 {
                writer.append(&record(seed, 300)).unwrap();
            }
            20
        };
        let written: u64 = std::thread::scope(|scope| {
            let other = scope.spawn(|| contend(1));
            contend(2) + other.join().unwrap()
        });
        assert!(written == 20 || written == 40, "{written}");
        if round % 5 == 0 {
            assert_eq!(written, 20, "a log is created once");
        }
        expected += written;
        check(&path, expected);
    }
    drop(directory);
}

#[test]
fn l8_two_that_race_for_a_log_never_mix_their_bytes() {
    race(OsFs);
    table(
        "L8",
        "two writers create or take up one log at once",
        "one writes, the other gets a typed error; 0 bytes mixed",
        "0 records off",
        rounds(),
    );
}

#[test]
fn l8_nor_on_a_file_system_without_locks() {
    race(LocklessFs);
    table(
        "L8",
        "the same on a file system without locks",
        "one writes, the other gets a typed error; 0 bytes mixed",
        "0 records off",
        rounds(),
    );
}

/// Run in a process of its own, it holds the log until it is killed.
#[test]
fn child_that_holds_a_log() {
    let Some(path) = std::env::var_os(HOLD) else {
        return;
    };
    let lockless = std::env::var_os("RUNLANE_TEST_LOCKLESS").is_some();
    let path = Path::new(&path);
    let mut writer = if lockless {
        Writer::open_append(&LocklessFs, path).unwrap().0
    } else {
        Writer::open_append(&OsFs, path).unwrap().0
    };
    writer.append(&record(5, 500)).unwrap();
    std::io::stdout().write_all(b"held\n").unwrap();
    std::thread::sleep(std::time::Duration::from_mins(1));
}

fn holder(path: &Path, lockless: bool) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "child_that_holds_a_log", "--nocapture"])
        .env(HOLD, path)
        .stdout(Stdio::piped());
    if lockless {
        command.env("RUNLANE_TEST_LOCKLESS", "1");
    }
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines
            .map_while(Result::ok)
            .any(|line| line.contains("held"))
    );
    child
}

#[test]
fn l8_the_lock_of_a_killed_process_is_free() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(NAME);
    let mut writer = Writer::create(&OsFs, &path).unwrap();
    writer.append(&record(1, 100)).unwrap();
    assert!(matches!(
        Writer::open_append(&OsFs, &path).unwrap_err(),
        Error::Locked { .. }
    ));
    drop(writer);
    for lockless in [false, true] {
        let open = || {
            if lockless {
                Writer::open_append(&LocklessFs, &path)
            } else {
                Writer::open_append(&OsFs, &path)
            }
        };
        let mut child = holder(&path, lockless);
        let error = open().unwrap_err();
        assert!(matches!(error, Error::Locked { .. }), "{error}");
        assert!(error.is_retryable());
        child.kill().unwrap();
        child.wait().unwrap();
        let (writer, recovery) = open().unwrap();
        assert_eq!(recovery.tail, Tail::Clean);
        assert_eq!(recovery.stats.lost_records, 0);
        drop(writer);
    }
    check(&path, 3);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    table(
        "L8",
        "stale lock, and stale claim without locks, of a killed process",
        "taken over at once, 0 records lost",
        "0 records lost",
        2,
    );
}

#[test]
fn creating_twice_leaves_the_first_log_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(NAME);
    let mut writer = Writer::create(&OsFs, &path).unwrap();
    writer.append(&record(1, 10)).unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = Writer::create(&OsFs, &path).unwrap_err();
    assert_eq!(error.io_error().unwrap().kind(), ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert!(before.ends_with(&numbered(1, &record(1, 10))));
}
