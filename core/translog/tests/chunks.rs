//! Any sequence of chunks, valid or not: the reader agrees with an independent one and always ends.

#![expect(clippy::unwrap_used, reason = "a failed test says where")]

mod support;

use std::path::Path;

use proptest::prelude::*;
use runlane_translog::{Error, ReadEvent, Reader};
use support::{Found, MemoryFs, push_chunk, read_all, record};

#[derive(Clone, Debug)]
enum Piece {
    Chunk { type_byte: u8, length: usize },
    BadChecksum { type_byte: u8, length: usize },
    Zeros(usize),
    ToBlockEnd { leave: usize },
    Overlong,
}

fn piece() -> impl Strategy<Value = Piece> {
    let type_byte =
        prop_oneof![4 => Just(1u8), 4 => Just(2), 3 => Just(3), 4 => Just(4), 1 => any::<u8>()];
    let length = prop_oneof![6 => 0usize..300, 1 => 0usize..32_700];
    prop_oneof![
        20 => (type_byte.clone(), length.clone())
            .prop_map(|(type_byte, length)| Piece::Chunk { type_byte, length }),
        1 => (type_byte, length)
            .prop_map(|(type_byte, length)| Piece::BadChecksum { type_byte, length }),
        1 => (0usize..40).prop_map(Piece::Zeros),
        2 => (0usize..20).prop_map(|leave| Piece::ToBlockEnd { leave }),
        1 => Just(Piece::Overlong),
    ]
}

fn build(pieces: &[Piece]) -> Vec<u8> {
    let mut file = b":W&B\xe1\xbe\0".to_vec();
    for (seed, piece) in (0..).zip(pieces) {
        let mut left = 32_768 - file.len() % 32_768;
        if left < 7 {
            file.resize(file.len() + left, 0);
            left = 32_768;
        }
        match *piece {
            Piece::Chunk { type_byte, length } | Piece::BadChecksum { type_byte, length } => {
                // Whole fields, so that any sequence of payloads is a message.
                let mut payload = if length == 0 {
                    Vec::new()
                } else {
                    record(seed, length)
                };
                if payload.len() + 7 > left {
                    payload = match left - 7 {
                        0..10 => Vec::new(),
                        room => record(seed, room - 10),
                    };
                }
                let start = push_chunk(&mut file, type_byte, &payload);
                if matches!(piece, Piece::BadChecksum { .. }) {
                    file[start] ^= 1;
                }
            }
            Piece::Zeros(count) => file.resize(file.len() + count, 0),
            Piece::ToBlockEnd { leave } => {
                if left > leave + 20 {
                    let payload = record(seed, left - leave - 7 - 6);
                    let payload = &payload[..payload.len().min(left - leave - 7)];
                    let whole = payload.len() == record(seed, left - leave - 13).len();
                    push_chunk(&mut file, 1, if whole { payload } else { &[] });
                }
            }
            Piece::Overlong => file.extend_from_slice(&[1, 2, 3, 4, 0xff, 0xff, 1]),
        }
    }
    file
}

/// Reads all records; fails if the reader does not end.
fn read(file: &[u8]) -> Result<Vec<Found>, Error> {
    let fs = MemoryFs::default();
    fs.put("log", file);
    let mut reader = Reader::open(&fs, Path::new("log"))?;
    let mut found = Vec::new();
    for _ in 0..file.len() + 10 {
        match reader.next_event()? {
            ReadEvent::Record(record) | ReadEvent::Repeated(record) => found.push(Found {
                offset: usize::try_from(record.offset).unwrap(),
                payload: record.bytes.to_vec(),
            }),
            ReadEvent::Damage(_) => {}
            ReadEvent::End(_) => return Ok(found),
        }
    }
    panic!("endless");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn l3_any_chunks_are_read_as_the_independent_reader_does(
        pieces in prop::collection::vec(piece(), 0..60),
        cut in 0usize..200,
    ) {
        let mut file = build(&pieces);
        file.truncate(file.len().saturating_sub(cut).max(7));
        let found = read(&file).unwrap();
        prop_assert_eq!(found, read_all(&file));
    }

    #[test]
    fn l3_random_bytes_are_refused_or_read_to_an_end(
        bytes in prop::collection::vec(any::<u8>(), 0..3000),
        repeat in 1usize..40,
        with_header in any::<bool>(),
    ) {
        let mut file = if with_header { b":W&B\xe1\xbe\0".to_vec() } else { Vec::new() };
        for _ in 0..repeat {
            file.extend_from_slice(&bytes);
        }
        match read(&file) {
            Ok(found) => prop_assert!(found.is_empty()),
            Err(error) => {
                let known = matches!(error, Error::NotALog { .. } | Error::UnsupportedVersion { .. });
                prop_assert!(known, "{}", error);
                prop_assert!(!with_header);
            }
        }
    }
}

#[test]
fn s7_3_chunk_level_surprises_cost_only_their_record() {
    let chunk = |type_byte, payload: &[u8]| {
        let mut bytes = Vec::new();
        push_chunk(&mut bytes, type_byte, payload);
        bytes
    };
    let good = chunk(1, &[0x10, 1]);
    for (name, surprise) in [
        ("MIDDLE without FIRST", chunk(3, &[0x10, 9])),
        ("LAST without FIRST", chunk(4, &[0x10, 9])),
        ("FIRST then FULL", chunk(2, &[0x10, 9])),
        ("type 0 with a checksum", chunk(0, &[0x10, 9])),
        ("type 5", chunk(5, &[0x10, 9])),
        ("no protobuf", chunk(1, &[0x10])),
        (
            "FIRST then type 9",
            [chunk(2, &[0x10, 9]), chunk(9, &[])].concat(),
        ),
        (
            "FIRST then FIRST then FULL",
            [chunk(2, &[0x10, 9]), chunk(2, &[0x10, 9])].concat(),
        ),
    ] {
        let file = [&b":W&B\xe1\xbe\0"[..], &good, &surprise, &good].concat();
        let offsets: Vec<_> = read(&file)
            .unwrap()
            .iter()
            .map(|found| found.offset)
            .collect();
        assert_eq!(offsets, [7, 7 + good.len() + surprise.len()], "{name}");
    }
}
