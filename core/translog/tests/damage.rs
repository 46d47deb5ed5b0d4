//! Every way a file can be damaged: what is intact is read, what is lost is counted, nothing is made up.

#![expect(clippy::unwrap_used, reason = "a failed test says where")]

mod support;

use std::io;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use runlane_translog::format::BLOCK_SIZE;
use runlane_translog::{
    Error, Position, ReadAt, ReadEvent, Reader, ReaderStats, RecordSpan, Tail, Writer,
};
use support::{MemoryFs, full, numbered, read_all, record, table};

/// A file that is a slice of memory.
#[derive(Clone, Copy)]
struct Image<'a>(&'a [u8]);

impl ReadAt for Image<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = usize::try_from(offset).unwrap().min(self.0.len());
        let count = buffer.len().min(self.0.len() - from);
        buffer[..count].copy_from_slice(&self.0[from..from + count]);
        Ok(count)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }
}

/// A log with what is known about it.
struct Original {
    bytes: Vec<u8>,
    spans: Vec<RecordSpan>,
    /// By number, from 1 on.
    payloads: Vec<Vec<u8>>,
}

impl Original {
    fn new(lengths: &[usize]) -> Self {
        let fs = MemoryFs::default();
        let mut writer = Writer::create(&fs, Path::new("log")).unwrap();
        let records: Vec<_> = (1..)
            .zip(lengths)
            .map(|(seed, &len)| record(seed, len))
            .collect();
        let spans = writer.append_batch(&records).unwrap().records.to_vec();
        let payloads = spans
            .iter()
            .zip(&records)
            .map(|(span, r)| numbered(span.num, r))
            .collect();
        Self {
            bytes: fs.bytes("log"),
            spans,
            payloads,
        }
    }

    fn payload(&self, num: u64) -> Option<&[u8]> {
        let index = usize::try_from(num.checked_sub(1)?).ok()?;
        self.payloads.get(index).map(Vec::as_slice)
    }

    /// Small records with some that cross a block.
    fn of_about(bytes: usize) -> Self {
        let lengths = (0usize..).map(|index| {
            if index % 37 == 5 {
                9_000
            } else {
                index * 7 % 150
            }
        });
        let mut total = 0;
        Self::new(
            &lengths
                .take_while(|length| {
                    total += length + 12;
                    total < bytes
                })
                .collect::<Vec<_>>(),
        )
    }
}

#[derive(Debug, Default)]
struct Outcome {
    nums: Vec<u64>,
    lost: Vec<u64>,
    tail: Option<Tail>,
    stats: ReaderStats,
}

/// Reads to the end; every record must be one of the original's.
fn read(image: &[u8], original: &Original) -> Result<Outcome, Error> {
    read_from(image, original, Position::START)
}

/// As [`read`], behind a record.
fn read_from(image: &[u8], original: &Original, from: Position) -> Result<Outcome, Error> {
    let mut reader = Reader::new(Image(image), PathBuf::from("image"), from);
    let mut outcome = Outcome::default();
    let mut events = 0;
    loop {
        events += 1;
        assert!(events <= image.len() * 2 + 10, "endless");
        match reader.next_event()? {
            ReadEvent::Record(found) => {
                let num = found.num.expect("written with a number");
                assert!(
                    original.payload(num) == Some(found.bytes),
                    "record {num} is made up"
                );
                outcome.nums.push(num);
            }
            ReadEvent::Repeated(found) => assert!(outcome.nums.contains(&found.num.unwrap())),
            ReadEvent::Damage(damage) => {
                assert!(damage.offset + damage.length <= image.len() as u64);
                outcome
                    .lost
                    .extend(damage.lost_records.into_iter().flatten());
            }
            ReadEvent::End(tail) => {
                outcome.tail = Some(tail);
                outcome.stats = reader.stats();
                return Ok(outcome);
            }
        }
    }
}

/// Reads on from `position`; the numbers found, and how the image ends.
fn read_on(image: &[u8], position: Position, original: &Original) -> (Vec<u64>, Tail) {
    let mut reader = Reader::new(Image(image), PathBuf::from("image"), position);
    let mut nums = Vec::new();
    loop {
        match reader.next_event().unwrap() {
            ReadEvent::Record(found) => {
                let num = found.num.unwrap();
                assert!(original.payload(num) == Some(found.bytes));
                nums.push(num);
            }
            ReadEvent::End(tail) => return (nums, tail),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn l1_every_cut_of_the_log_keeps_all_complete_records() {
    let original = Original::of_about(200 * 1024);
    let mut read_whole = 0;
    for cut in 0..=original.bytes.len() {
        let image = &original.bytes[..cut];
        let complete = original
            .spans
            .partition_point(|span| span.end <= cut as u64);
        // Whole blocks before the cut are the same for all cuts within one: read on behind them, and at times all of it.
        let start = cut / BLOCK_SIZE * BLOCK_SIZE;
        let before = original
            .spans
            .partition_point(|span| span.end <= start as u64);
        let from_start = before == 0 || cut % 61 == 0;
        let (nums, tail) = if from_start {
            read_on(image, Position::START, &original)
        } else {
            let last = original.spans[before - 1];
            let (offset, last_num) = (last.end, last.num);
            read_on(image, Position { offset, last_num }, &original)
        };
        let first = if from_start { 1 } else { before as u64 + 1 };
        assert!(nums.into_iter().eq(first..=complete as u64), "cut at {cut}");
        let end = original.spans[..complete].last().map_or(7, |span| span.end);
        let next = original.spans.get(complete).map_or(end, |span| span.offset);
        // Between two records there may be padding, which belongs to neither.
        let clean = cut == 0 || (7..=next).contains(&(cut as u64)) && cut as u64 >= end;
        match tail {
            Tail::Clean => assert!(clean, "cut at {cut}"),
            Tail::Partial { offset, length } => {
                assert!(!clean, "cut at {cut}");
                assert_eq!(offset + length, cut as u64);
                assert!(offset == next || cut < 7);
            }
            other => panic!("cut at {cut}: {other:?}"),
        }
        if cut % 97 == 0 || full() {
            assert_eq!(read_all(image).len(), complete);
            read_whole += 1;
        }
    }
    assert!(read_whole > 2000);
    table(
        "L1",
        "log of 200 KiB cut at every byte",
        "exactly the records before the cut",
        "0 records off",
        original.bytes.len() + 1,
    );
}

#[test]
fn l3_every_flipped_bit_costs_at_most_the_rest_of_its_block() {
    let (mut lossless, mut costly) = (0, 0);
    let (mut worst, mut most) = (0, 0);
    for block in 0..2 {
        let start = block * BLOCK_SIZE;
        let original = Original::of_about(start + BLOCK_SIZE + 5000);
        let mut image = original.bytes.clone();
        let count = original.spans.len() as u64;
        // Whole blocks before the damage are read on from, as an uploader does.
        let before = original
            .spans
            .partition_point(|span| span.end <= start as u64);
        let from = match before {
            0 => Position::START,
            before => Position {
                offset: original.spans[before - 1].end,
                last_num: before as u64,
            },
        };
        for (position, bit) in
            (start..start + BLOCK_SIZE).flat_map(|at| (0..8).map(move |bit| (at, bit)))
        {
            image[position] ^= 1 << bit;
            let result = read_from(&image, &original, from);
            image[position] ^= 1 << bit;
            if position == 6 {
                assert!(matches!(result, Err(Error::UnsupportedVersion { .. })));
                continue;
            }
            let outcome = result.unwrap();
            let block_end = start + BLOCK_SIZE;
            // Records are numbered from 1, in the order of their spans.
            let first = original
                .spans
                .partition_point(|span| span.end <= position as u64);
            let behind = original
                .spans
                .partition_point(|span| span.offset < block_end as u64);
            let exposed: Vec<_> = (first as u64 + 1..=behind as u64).collect();
            let mut found = outcome.nums.iter().copied().peekable();
            let missing: Vec<_> = (from.last_num + 1..=count)
                .filter(|num| found.next_if_eq(num).is_none())
                .collect();
            assert!(found.next().is_none(), "bit {bit} of {position}");
            assert!(
                missing
                    .iter()
                    .all(|num| exposed.first() <= Some(num) && Some(num) <= exposed.last()),
                "bit {bit} of {position}"
            );
            assert_eq!(outcome.lost, missing, "bit {bit} of {position}");
            assert_eq!(outcome.stats.lost_records, missing.len() as u64);
            assert_eq!(
                outcome.stats.records + missing.len() as u64,
                count - from.last_num
            );
            assert_eq!(outcome.tail, Some(Tail::Clean));
            worst = worst.max(missing.len());
            most = most.max(exposed.len());
            if missing.is_empty() {
                lossless += 1;
            } else {
                costly += 1;
            }
        }
    }
    // The file header and padding hold no record; all else is covered by a checksum.
    assert!(costly > 2 * BLOCK_SIZE * 8 - 8 * 32, "{costly}");
    assert!(lossless >= 6 * 8, "{lossless}");
    table(
        "L3",
        "each bit of 2 blocks flipped",
        "records of the damaged block from there on, counted",
        &format!("{worst} of {most} records exposed in a block"),
        2 * BLOCK_SIZE * 8,
    );
}

#[derive(Clone, Debug)]
enum Damage {
    Zero {
        sector: usize,
        bytes: usize,
    },
    Swap {
        left: usize,
        right: usize,
        bytes: usize,
    },
    Copy {
        from: usize,
        to: usize,
        bytes: usize,
    },
    Garbage {
        at: usize,
        seed: u64,
        bytes: usize,
    },
    Append {
        seed: u64,
        bytes: usize,
    },
    Cut {
        keep: usize,
    },
}

fn damage() -> impl Strategy<Value = Damage> {
    let size = prop_oneof![Just(512usize), Just(4096), Just(BLOCK_SIZE)];
    // Moved whole blocks join parts of different records; they have a test of their own.
    let part = prop_oneof![Just(512usize), Just(4096)];
    let place = 0usize..400;
    prop_oneof![
        (place.clone(), size.clone()).prop_map(|(sector, bytes)| Damage::Zero { sector, bytes }),
        (place.clone(), place.clone(), part.clone())
            .prop_map(|(left, right, bytes)| Damage::Swap { left, right, bytes }),
        (place.clone(), place.clone(), part.clone()).prop_map(|(from, to, bytes)| Damage::Copy {
            from,
            to,
            bytes
        }),
        (0usize..200_000, any::<u64>(), 1usize..5000)
            .prop_map(|(at, seed, bytes)| Damage::Garbage { at, seed, bytes }),
        (any::<u64>(), 1usize..70_000).prop_map(|(seed, bytes)| Damage::Append { seed, bytes }),
        (0usize..200_000).prop_map(|keep| Damage::Cut { keep }),
    ]
}

/// Does that to the image.
fn apply(image: &mut Vec<u8>, damage: &Damage) {
    let sector = |index: usize, bytes: usize, total: usize| {
        let sectors = (total / bytes).max(1);
        let start = index % sectors * bytes;
        start..(start + bytes).min(total)
    };
    let total = image.len();
    match *damage {
        Damage::Zero {
            sector: index,
            bytes,
        } => image[sector(index, bytes, total)].fill(0),
        Damage::Swap { left, right, bytes } => {
            let (left, right) = (sector(left, bytes, total), sector(right, bytes, total));
            for (left, right) in left.zip(right) {
                image.swap(left, right);
            }
        }
        Damage::Copy { from, to, bytes } => {
            let (from, to) = (sector(from, bytes, total), sector(to, bytes, total));
            if from.len() == to.len() {
                image.copy_within(from, to.start);
            }
        }
        Damage::Garbage { at, seed, bytes } => {
            let at = at % total.max(1);
            let end = (at + bytes).min(total);
            let noise = record(seed, end - at);
            let length = end - at;
            image[at..end].copy_from_slice(&noise[noise.len() - length..]);
        }
        Damage::Append { seed, bytes } => image.extend(record(seed, bytes)),
        Damage::Cut { keep } => image.truncate(keep),
    }
}

#[test]
fn l3_many_faults_at_once_never_make_up_or_repeat_a_record() {
    const CASES: u32 = 400;
    let lengths = prop_oneof![9 => 0usize..400, 1 => 0usize..90_000];
    let inputs = (
        prop::collection::vec(damage(), 1..6),
        prop::collection::vec(lengths, 50..300),
    );
    let mut runner = TestRunner::new(ProptestConfig {
        source_file: Some(file!()),
        ..ProptestConfig::with_cases(CASES)
    });
    let result = runner.run(&inputs, |(damages, lengths)| {
        read_after(&damages, &lengths);
        Ok(())
    });
    result.unwrap();
    table(
        "L3",
        "sectors zeroed, swapped, copied, overwritten, cut, appended, several at once",
        "nothing made up or twice, intact blocks whole, loss counted exactly",
        "0 records off",
        CASES as usize,
    );
}

fn read_after(damages: &[Damage], lengths: &[usize]) {
    let original = Original::new(lengths);
    let mut image = original.bytes.clone();
    for damage in damages {
        apply(&mut image, damage);
        if image.is_empty() {
            break;
        }
    }
    let outcome = match read(&image, &original) {
        Ok(outcome) => outcome,
        Err(Error::NotALog { .. } | Error::UnsupportedVersion { .. }) => {
            let header = ..7.min(image.len());
            assert_ne!(image[header], original.bytes[header]);
            return;
        }
        Err(other) => panic!("{other}"),
    };
    let mut once = outcome.nums.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), outcome.nums.len(), "a record came twice");

    let same = image
        .iter()
        .zip(&original.bytes)
        .take_while(|(a, b)| a == b)
        .count();
    let whole = original
        .spans
        .partition_point(|span| span.end <= same as u64);
    let before_damage: Vec<u64> = (1..=whole as u64).collect();
    assert!(outcome.nums.starts_with(&before_damage));

    // Whole blocks that did not change lose no record that lies within them.
    for span in &original.spans {
        let blocks = span.offset / 32_768 * 32_768..span.end.div_ceil(32_768) * 32_768;
        let range = usize::try_from(blocks.start).unwrap()..usize::try_from(blocks.end).unwrap();
        let range = range.start..range.end.min(original.bytes.len());
        if image.get(range.clone()) == Some(&original.bytes[range]) {
            assert!(outcome.nums.contains(&span.num), "record {} lost", span.num);
        }
    }
    let highest = once.last().copied().unwrap_or(0);
    assert_eq!(outcome.stats.lost_records, highest - once.len() as u64);
}

#[test]
fn l3_moved_blocks_neither_make_up_nor_repeat_a_record() {
    // Lengths all differ, so that parts of different records never fit by chance.
    let original = Original::new(&(100..700).collect::<Vec<_>>());
    let blocks = original.bytes.len() / BLOCK_SIZE;
    assert!(blocks > 6);
    let count = original.spans.len();
    for left in 1..blocks {
        for right in left + 1..blocks {
            let range = |block: usize| block * BLOCK_SIZE..(block + 1) * BLOCK_SIZE;
            let mut swapped = original.bytes.clone();
            swapped[range(left)].copy_from_slice(&original.bytes[range(right)]);
            swapped[range(right)].copy_from_slice(&original.bytes[range(left)]);
            let outcome = read(&swapped, &original).unwrap();
            // At most the records across the four borders are gone.
            assert!(outcome.nums.len() >= count - 4, "{left} {right}");
            assert_eq!(
                outcome.stats.lost_records,
                (count - outcome.nums.len()) as u64
            );
            assert_eq!(outcome.stats.repeated_records, 0);

            let mut copied = original.bytes.clone();
            copied.copy_within(range(left), range(right).start);
            let outcome = read(&copied, &original).unwrap();
            assert!(outcome.stats.repeated_records > 0);
            assert_eq!(
                outcome.stats.lost_records,
                (count - outcome.nums.len()) as u64
            );
        }
    }
}

#[test]
fn l5_unreadable_blocks_are_skipped_and_counted() {
    let original = Original::of_about(5 * BLOCK_SIZE);
    let fs = MemoryFs::default();
    fs.put("log", &original.bytes);
    for block in 0..6u64 {
        let bad = block * 32_768..(block + 1) * 32_768;
        fs.set_unreadable(bad.clone());
        let mut reader = Reader::open(&fs, Path::new("log")).unwrap();
        let mut nums = Vec::new();
        loop {
            match reader.next_event().unwrap() {
                ReadEvent::Record(found) => nums.push(found.num.unwrap()),
                ReadEvent::End(_) => break,
                _ => {}
            }
        }
        let intact = original
            .spans
            .iter()
            .filter(|span| span.end <= bad.start || span.offset >= bad.end)
            .map(|span| span.num);
        assert!(nums.iter().copied().eq(intact), "block {block}");
    }
}

#[test]
fn l3_a_zero_tail_is_told_from_a_clean_end() {
    let original = Original::new(&[10, 20]);
    let end = original.bytes.len();
    for extra in [7, 100, BLOCK_SIZE, 3 * BLOCK_SIZE] {
        let mut image = original.bytes.clone();
        image.resize(end + extra, 0);
        let outcome = read(&image, &original).unwrap();
        assert_eq!(outcome.nums, [1, 2]);
        let expected = Tail::Zeros {
            offset: end as u64,
            length: extra as u64,
        };
        assert_eq!(outcome.tail, Some(expected));
    }
}

#[test]
fn l3_a_second_log_appended_is_reported_as_damage() {
    let original = Original::new(&[100, 200]);
    let mut image = original.bytes.clone();
    image.extend_from_slice(&original.bytes);
    let outcome = read(&image, &original).unwrap();
    assert_eq!(outcome.nums, [1, 2]);
    assert!(
        matches!(outcome.tail, Some(Tail::Damaged { .. })),
        "{outcome:?}"
    );
}

#[test]
fn l3_a_damaged_file_header_loses_no_record() {
    let original = Original::new(&[100, 200]);
    let mut image = original.bytes.clone();
    image[..7].fill(0xff);
    let outcome = read(&image, &original).unwrap();
    assert_eq!(outcome.nums, [1, 2]);
    assert_eq!(outcome.stats.damaged_bytes, 7);
}
