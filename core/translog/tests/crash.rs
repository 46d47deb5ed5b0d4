//! Power loss: from a recorded trace of writes and syncs, the disks that a crash may leave are made, and each is read.
//!
//! The model: what was written before a completed sync of its file is on the disk. Of what was written since, any sectors
//! are there and any are not, in any order, the last one torn; the size is the old one, the new one, or one between,
//! with zeros where data is missing. A name is durable after a sync of its directory; before, the file may be there or not,
//! and a renamed one may still have its old name.

#![expect(clippy::unwrap_used, reason = "a failed test says where")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use runlane_translog::{ReadEvent, Reader, Tail, Writer};
use support::{Fault, MemoryFs, Op, full, numbered, read_all, record, table};

const LOG: &str = "log";
const BESIDE: &str = "log.runlane-new";

/// A run of appends and syncs, with a sync that fails and the repair after it.
struct Trace {
    ops: Vec<Op>,
    /// (operations done, records that were reported as durable then).
    claims: Vec<(usize, usize)>,
    payloads: Vec<Vec<u8>>,
}

fn trace() -> Trace {
    let fs = MemoryFs::default();
    let mut writer = Writer::create(&fs, Path::new(LOG)).unwrap();
    let mut payloads = Vec::new();
    let mut claims = vec![(0, 0)];
    let mut ends = Vec::new();
    for round in 0..24u64 {
        for batch in 0..3u64 {
            let length = match (round, batch) {
                (4, 1) => 9_000,
                (8, 0) => 700,
                _ => usize::try_from(round * 137 % 900 + batch * 150).unwrap(),
            };
            let num = writer.next_num();
            let payload = record(num, length);
            ends.push(writer.append(&payload).unwrap().end);
            payloads.push(numbered(num, &payload));
        }
        if round == 7 || round == 11 {
            fs.fail_syncs([Fault::Errno(5)]);
            writer.sync().unwrap_err();
            let pending = writer.begin_repair(fs.clone()).unwrap();
            let outcome = pending.run();
            writer.complete_repair(outcome).unwrap();
        } else if round % 3 != 2 {
            writer.sync().unwrap();
        }
        let durable = ends.partition_point(|end| *end <= writer.synced_len());
        claims.push((fs.trace().len(), durable));
    }
    Trace {
        ops: fs.trace(),
        claims,
        payloads,
    }
}

/// A file as it is on the disk for certain, and what was written to it since.
#[derive(Clone, Default)]
struct OnDisk {
    certain: Vec<u8>,
    newest: Vec<u8>,
}

/// The disk after the first operations of a trace.
#[derive(Clone, Default)]
struct Disk {
    files: BTreeMap<u64, OnDisk>,
    /// Names for certain, and as they are now.
    certain_names: BTreeMap<String, u64>,
    names: BTreeMap<String, u64>,
}

impl Disk {
    fn apply(&mut self, op: &Op) {
        let name = |path: &Path| path.to_str().unwrap().to_owned();
        match op {
            Op::Create { path, inode } => {
                self.files.insert(*inode, OnDisk::default());
                self.names.insert(name(path), *inode);
            }
            Op::Write {
                inode,
                offset,
                bytes,
            } => {
                let newest = &mut self.files.get_mut(inode).unwrap().newest;
                if newest.len() < offset + bytes.len() {
                    newest.resize(offset + bytes.len(), 0);
                }
                newest[*offset..offset + bytes.len()].copy_from_slice(bytes);
            }
            Op::Truncate { inode, size } => {
                self.files.get_mut(inode).unwrap().newest.resize(*size, 0);
            }
            Op::Sync { inode } => {
                let file = self.files.get_mut(inode).unwrap();
                file.certain = file.newest.clone();
            }
            Op::Rename { from, to } => {
                let inode = self.names.remove(&name(from)).unwrap();
                self.names.insert(name(to), inode);
            }
            Op::SyncDirectory => self.certain_names = self.names.clone(),
        }
    }

    /// Which files the log's name may lead to after a crash; `None`: none.
    fn possible_logs(&self) -> BTreeSet<Option<u64>> {
        let of = |names: &BTreeMap<String, u64>| names.get(LOG).copied();
        BTreeSet::from([of(&self.certain_names), of(&self.names)])
    }
}

/// A generator of its own: the images are the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }
}

/// What a crash may make of `file`, with sectors of `sector` bytes: `random` images beside the systematic ones.
fn images(file: &OnDisk, sector: usize, random: usize, dice: &mut Random) -> BTreeSet<Vec<u8>> {
    let length = file.newest.len().max(file.certain.len());
    let differs = |index: &usize| {
        let range = index * sector..((index + 1) * sector).min(length);
        file.certain.get(range.clone()) != file.newest.get(range)
    };
    let dirty: Vec<usize> = (0..length.div_ceil(sector)).filter(differs).collect();
    let image = |written: &dyn Fn(usize) -> bool, size: usize, torn: Option<usize>| {
        let mut bytes = file.certain.clone();
        bytes.resize(file.newest.len().max(file.certain.len()), 0);
        for index in dirty.iter().copied().filter(|index| written(*index)) {
            let start = index * sector;
            let mut end = (start + sector).min(file.newest.len());
            if torn == Some(index) {
                end = start + (end - start) / 3;
            }
            if start < end {
                bytes[start..end].copy_from_slice(&file.newest[start..end]);
            }
        }
        bytes.truncate(size);
        bytes
    };
    let (old, new) = (file.certain.len(), file.newest.len());
    let mut found = BTreeSet::from([file.certain.clone(), image(&|_| true, new, None)]);
    found.insert(image(&|_| false, new, None));
    for last in &dirty {
        let size = ((last + 1) * sector).clamp(old.min(new), new);
        found.insert(image(&|index| index <= *last, size, None));
        found.insert(image(&|index| index <= *last, new, None));
        found.insert(image(&|index| index <= *last, new, Some(*last)));
        found.insert(image(&|index| index != *last, new, None));
        found.insert(image(&|index| index >= *last, new, None));
        found.insert(image(&|index| index == *last, new, None));
    }
    for _ in 0..random {
        let mask = dice.next();
        let size = old.min(new) + dice.below(new.abs_diff(old) + 1);
        let torn = dirty.get(dice.below(dirty.len() * 2)).copied();
        found.insert(image(&|index| mask >> (index % 64) & 1 == 1, size, torn));
    }
    found
}

/// Reads a disk after a crash; whatever is found must have been written, and what was durable must be there.
fn check(fs: &MemoryFs, image: &[u8], trace: &Trace, durable: usize, thorough: bool) -> usize {
    fs.put(LOG, image);
    let mut nums = BTreeSet::new();
    let mut in_order = Vec::new();
    let mut reader = Reader::open(fs, Path::new(LOG)).unwrap();
    for _ in 0..image.len() + 10 {
        match reader.next_event() {
            Ok(ReadEvent::Record(found)) => {
                let num = usize::try_from(found.num.unwrap()).unwrap();
                assert!(
                    trace.payloads[num - 1] == found.bytes,
                    "record {num} is made up"
                );
                assert!(nums.insert(num), "record {num} comes twice");
                if thorough {
                    in_order.push(found.bytes.to_vec());
                }
            }
            Ok(ReadEvent::End(_)) => break,
            Ok(_) => {}
            Err(error) => {
                // A file of which nothing is there but its size.
                assert!(durable == 0, "{error}");
                return 0;
            }
        }
    }
    assert!(
        nums.range(..=durable).count() == durable,
        "a durable record is gone"
    );
    if thorough {
        let others: Vec<_> = read_all(image)
            .into_iter()
            .map(|found| found.payload)
            .collect();
        assert_eq!(others, in_order);
        let (mut writer, _) = Writer::open_append(fs, Path::new(LOG)).unwrap();
        let added = writer.append(&record(4_000, 333)).unwrap();
        assert!(nums.last().is_none_or(|last| added.num > *last as u64));
        let mut reader = Reader::open(fs, Path::new(LOG)).unwrap();
        let mut last = Vec::new();
        let mut count = 0;
        loop {
            match reader.next_event().unwrap() {
                ReadEvent::Record(found) => {
                    count += 1;
                    last = found.bytes.to_vec();
                }
                ReadEvent::End(tail) => {
                    assert!(tail == Tail::Clean, "{tail:?}");
                    break;
                }
                _ => {}
            }
        }
        assert_eq!(
            (count, last),
            (nums.len() + 1, numbered(added.num, &record(4_000, 333)))
        );
    }
    nums.len()
}

#[test]
fn l2_no_power_loss_takes_what_was_reported_durable() {
    let trace = trace();
    let random = if full() { 15_000 } else { 600 };
    let mut dice = Random(0x5eed_1234_5678_9abc);
    let mut disk = Disk::default();
    let fs = MemoryFs::default();
    let mut total = 0;
    let mut absent = 0;
    let mut most_saved = 0;
    for crash_at in 0..=trace.ops.len() {
        if crash_at > 0 {
            disk.apply(&trace.ops[crash_at - 1]);
        }
        let claim = trace.claims.partition_point(|(done, _)| *done <= crash_at);
        let durable = trace.claims[..claim]
            .last()
            .map_or(0, |(_, records)| *records);
        assert!(disk.names.contains_key(LOG) || crash_at == 0);
        assert!(!disk.certain_names.contains_key(BESIDE));
        for log in disk.possible_logs() {
            let Some(inode) = log else {
                assert_eq!(durable, 0, "the file is absent although it was synced");
                absent += 1;
                continue;
            };
            for sector in [512, 4096] {
                for image in images(&disk.files[&inode], sector, random, &mut dice) {
                    total += 1;
                    let saved = check(&fs, &image, &trace, durable, total % 40 == 0);
                    most_saved = most_saved.max(saved);
                }
            }
        }
    }
    assert!(absent > 0);
    assert_eq!(most_saved, trace.payloads.len());
    assert!(total >= 50_000, "{total}");
    table(
        "L2",
        "power loss: unsynced sectors (512 B, 4 KiB) lost, torn, zeroed, reordered; sizes and names too",
        "every durable record, nothing made up",
        "0 records off",
        total,
    );
}
