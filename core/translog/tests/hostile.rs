//! Files that are no log, or a strange one: each has its answer, its count, its end and its bounds (section 7.3).

#![expect(clippy::unwrap_used, reason = "a failed test says where")]

mod support;

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use runlane_translog::format::MAX_RECORD_BYTES;
use runlane_translog::{Error, OsFs, ReadEvent, Reader, Tail, Writer};
use support::{MemoryFs, numbered, push_chunk, record, table};

const HEADER: &[u8] = b":W&B\xe1\xbe\0";

/// What a reader makes of a file.
#[derive(Clone, Debug, PartialEq)]
struct Found {
    records: u64,
    repeated: u64,
    lost: u64,
    damaged_bytes: u64,
    tail: &'static str,
}

fn found(records: u64, lost: u64, damaged_bytes: u64, tail: &'static str) -> Found {
    Found {
        records,
        repeated: 0,
        lost,
        damaged_bytes,
        tail,
    }
}

fn read(file: &[u8]) -> Result<Found, Error> {
    let fs = MemoryFs::default();
    fs.put("log", file);
    let mut reader = Reader::open(&fs, Path::new("log"))?;
    for _ in 0..2 * file.len() + 10 {
        if let ReadEvent::End(tail) = reader.next_event()? {
            let stats = reader.stats();
            assert_eq!(fs.bytes("log"), file, "reading changes nothing");
            return Ok(Found {
                records: stats.records,
                repeated: stats.repeated_records,
                lost: stats.lost_records,
                damaged_bytes: stats.damaged_bytes,
                tail: match tail {
                    Tail::Clean => "clean",
                    Tail::Partial { .. } => "partial",
                    Tail::Zeros { .. } => "zeros",
                    Tail::Damaged { .. } => "damaged",
                },
            });
        }
    }
    panic!("endless");
}

fn chunk(type_byte: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_chunk(&mut bytes, type_byte, payload);
    bytes
}

/// Record `num`, in one chunk of 30 bytes.
fn good(num: u64) -> Vec<u8> {
    chunk(1, &numbered(num, &record(num, 16)))
}

fn log(parts: &[Vec<u8>]) -> Vec<u8> {
    [HEADER, &parts.concat()].concat()
}

type Case = (&'static str, Vec<u8>, Found);

/// Logs whose strangeness lies in their chunks.
fn chunk_cases() -> Vec<Case> {
    vec![
        ("empty", Vec::new(), found(0, 0, 0, "clean")),
        ("header only", HEADER.to_vec(), found(0, 0, 0, "clean")),
        (
            "zero tail",
            log(&[good(1), vec![0; 100]]),
            found(1, 0, 0, "zeros"),
        ),
        (
            "type 0",
            log(&[good(1), chunk(0, &[0x10, 1]), good(3)]),
            found(2, 1, 9, "clean"),
        ),
        (
            "type 5",
            log(&[good(1), chunk(5, &[0x10, 1]), good(3)]),
            found(2, 1, 9, "clean"),
        ),
        (
            "MIDDLE without FIRST",
            log(&[good(1), chunk(3, &[0x10, 1]), good(2)]),
            found(2, 0, 9, "clean"),
        ),
        (
            "LAST without FIRST",
            log(&[good(1), chunk(4, &[0x10, 1]), good(3)]),
            found(2, 1, 9, "clean"),
        ),
        (
            "FIRST then FIRST",
            log(&[
                good(1),
                chunk(2, &[8, 2]),
                chunk(2, &[8, 3]),
                chunk(4, &[0x10, 1]),
            ]),
            found(2, 1, 9, "clean"),
        ),
        (
            "checksum right, protobuf bad",
            log(&[good(1), chunk(1, &[0x08]), good(3)]),
            found(2, 1, 8, "clean"),
        ),
        (
            "length crossing the block",
            log(&[good(1), vec![1, 2, 3, 4, 0xff, 0xff, 1]]),
            found(1, 0, 0, "damaged"),
        ),
        (
            "duplicate number",
            log(&[good(1), good(2), good(1), good(3)]),
            Found {
                repeated: 1,
                ..found(3, 0, 0, "clean")
            },
        ),
        (
            "a second log appended",
            log(&[good(1), good(2), HEADER.to_vec(), good(1)]),
            found(2, 0, 0, "damaged"),
        ),
        (
            "a record that never ends",
            log(&[good(1), chunk(2, &[8, 2]), chunk(3, &[0x12, 2, 1])]),
            found(1, 0, 0, "partial"),
        ),
    ]
}

/// Logs that are cut within their header, and logs with a given number of bytes left at the end of a block.
fn border_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for length in 1..7 {
        cases.push((
            "1 to 6 bytes",
            HEADER[..length].to_vec(),
            found(0, 0, 0, "partial"),
        ));
    }
    // A FULL chunk up to `left` bytes before the end of the block, then padding or an empty FIRST.
    for left in [7, 6, 1, 0] {
        let length = 32_768 - 7 - left - 7 - good(1).len() - 2 - 5;
        let mut log = log(&[good(1), chunk(1, &numbered(2, &record(2, length)))]);
        assert_eq!(log.len(), 32_768 - left, "{left}");
        if left == 7 {
            log.extend(chunk(2, &[]));
            log.extend(chunk(4, &numbered(3, &record(3, 9))));
        } else {
            log.resize(32_768, 0);
            log.extend(good(3));
        }
        cases.push((
            "7, 6, 1 or 0 bytes left in a block",
            log,
            found(3, 0, 0, "clean"),
        ));
    }
    // Damage up to the end of a block before an intact one: the next record tells how many are lost.
    let mut crossing = log(&[good(1), vec![9, 9, 9, 9, 0xff, 0xff, 1]]);
    crossing.resize(32_768, 7);
    crossing.extend(good(8));
    let damaged = 32_768 - 7 - good(1).len() as u64;
    cases.push((
        "length crossing a whole block",
        crossing,
        found(2, 6, damaged, "clean"),
    ));
    cases
}

#[test]
fn s7_3_every_strange_log_has_its_answer_and_its_exact_count() {
    let cases = [chunk_cases(), border_cases()].concat();
    let count = cases.len();
    for (name, file, expected) in cases {
        assert_eq!(read(&file).unwrap(), expected, "{name}");
    }
    table(
        "7.3",
        "strange logs: lengths, types, orders, paddings, duplicates, a second log",
        "exact result and count, no panic, always an end",
        "0 off",
        count,
    );
}

#[test]
fn s7_3_files_that_are_no_logs_are_refused_and_left_alone() {
    for (name, bytes) in [
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0 gzip".to_vec()),
        ("wrong ident", b":W&X\xe1\xbe\0".to_vec()),
        ("part of a wrong ident", b":W&X".to_vec()),
        ("wrong magic", b":W&B\xe2\xbe\0".to_vec()),
        ("zeros", vec![0; 100_000]),
    ] {
        let error = read(&bytes).unwrap_err();
        assert!(matches!(error, Error::NotALog { .. }), "{name}: {error}");
    }
    let mut newer = log(&[good(1)]);
    newer[6] = 7;
    let error = read(&newer).unwrap_err();
    assert!(matches!(error, Error::UnsupportedVersion { found: 7, .. }));
    assert!(error.to_string().contains("reads version 7"), "{error}");
    let fs = MemoryFs::default();
    fs.put("log", &newer);
    let error = Writer::open_append(&fs, Path::new("log")).unwrap_err();
    assert!(matches!(error, Error::UnsupportedVersion { .. }));
    assert_eq!(fs.bytes("log"), newer, "untouched");
}

#[test]
fn s7_3_what_is_no_regular_file_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
    let socket = directory.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for path in [directory.path(), &fifo, &socket, Path::new("/dev/null")] {
        let error = Reader::open(&OsFs, path).unwrap_err();
        assert!(matches!(error, Error::Open { .. }), "{error}");
        let error = Writer::open_append(&OsFs, path).unwrap_err();
        assert!(matches!(error, Error::Open { .. }), "{error}");
    }
    let missing = Reader::open(&OsFs, &directory.path().join("none")).unwrap_err();
    assert_eq!(missing.io_error().unwrap().kind(), ErrorKind::NotFound);
    // Root may read everything; for anyone else a file without permission is refused with its reason.
    let path = directory.path().join("run-x.wandb");
    drop(Writer::create(&OsFs, &path).unwrap());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o0)).unwrap();
    if !rustix::process::geteuid().is_root() {
        let error = Reader::open(&OsFs, &path).unwrap_err();
        assert_eq!(
            error.io_error().unwrap().kind(),
            ErrorKind::PermissionDenied
        );
    }
    table(
        "7.3",
        "no log, newer version, directory, FIFO, socket, device, no permission",
        "typed error at once, file untouched",
        "0 off",
        13,
    );
}

#[test]
fn s7_3_a_record_beyond_two_gibibytes_is_refused_before_anything_is_written() {
    let fs = MemoryFs::default();
    let mut writer = Writer::create(&fs, Path::new("log")).unwrap();
    writer.append(&record(1, 10)).unwrap();
    let before = fs.bytes("log");
    // Zeroed memory that is never touched.
    let huge = vec![0u8; MAX_RECORD_BYTES];
    let error = writer.append_batch([&record(2, 10), &huge]).unwrap_err();
    assert!(matches!(error, Error::RecordTooLarge { .. }), "{error}");
    assert_eq!(fs.bytes("log"), before);
    assert_eq!(writer.append(&record(2, 10)).unwrap().num, 2);
}

#[test]
fn l11_unknown_fields_and_record_types_stay_byte_for_byte() {
    let fs = MemoryFs::default();
    let mut writer = Writer::create(&fs, Path::new("log")).unwrap();
    // An unknown record type, unknown fields of each wire type beside a known one, a group, nothing at all.
    let records: Vec<Vec<u8>> = vec![
        [0xfa, 0xfa, 0x03, 3, 1, 2, 3].to_vec(),
        [
            &[0x12, 2, 0x0a, 0][..],
            &[0x88, 0xfa, 0x01, 0xff, 0x7f],
            &[0x91, 0xfa, 0x01, 1, 2, 3, 4, 5, 6, 7, 8],
            &[0x95, 0xfa, 0x01, 1, 2, 3, 4],
        ]
        .concat(),
        [0x9b, 0x3e, 0x10, 1, 0x9c, 0x3e].to_vec(),
        Vec::new(),
    ];
    writer.append_batch(&records).unwrap();
    drop(writer);
    let (mut writer, recovery) = Writer::open_append(&fs, Path::new("log")).unwrap();
    assert_eq!(recovery.stats.records, 4);
    writer.append_batch(&records).unwrap();
    fs.fail_syncs([support::Fault::Errno(5)]);
    writer.sync().unwrap_err();
    let outcome = writer.begin_repair(fs.clone()).unwrap().run();
    writer.complete_repair(outcome).unwrap();
    let mut reader = Reader::open(&fs, Path::new("log")).unwrap();
    for num in 1..=8u64 {
        let expected = &records[usize::try_from((num - 1) % 4).unwrap()];
        match reader.next_event().unwrap() {
            ReadEvent::Record(found) => assert_eq!(found.bytes, numbered(num, expected)),
            other => panic!("{other:?}"),
        }
    }
    table(
        "L11",
        "unknown fields of every wire type and an unknown record, appended, taken up, copied",
        "byte for byte",
        "0 bytes off",
        8,
    );
}
