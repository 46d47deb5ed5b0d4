//! Hostile files do not cost memory: at most twice the largest record and a mebibyte (section 7.3).

#![expect(clippy::unwrap_used, reason = "a failed test says where")]
#![expect(unsafe_code, reason = "an allocator is unsafe by nature")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use runlane_translog::{Position, ReadAt, ReadEvent, Reader};
use support::{numbered, push_chunk, record, table};

/// The system's allocator, counting.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn grown(bytes: usize) {
    let now = NOW.fetch_add(bytes, Ordering::Relaxed) + bytes;
    MOST.fetch_max(now, Ordering::Relaxed);
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One block, again and again.
struct Repeated {
    first: Vec<u8>,
    block: Vec<u8>,
    blocks: u64,
}

impl ReadAt for Repeated {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let number = offset / 32_768;
        if number >= self.blocks {
            return Ok(0);
        }
        let block = if number == 0 {
            &self.first
        } else {
            &self.block
        };
        let from = usize::try_from(offset % 32_768).unwrap();
        let count = buffer.len().min(block.len() - from);
        buffer[..count].copy_from_slice(&block[from..from + count]);
        Ok(count)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.blocks * 32_768)
    }
}

/// A block of 32 KiB that begins with `head`, filled up by `chunk` as often as it fits.
fn block(head: &[u8], chunk: &[u8]) -> Vec<u8> {
    let mut bytes = head.to_vec();
    while bytes.len() + chunk.len() <= 32_768 {
        bytes.extend_from_slice(chunk);
    }
    bytes.resize(32_768, 0);
    bytes
}

fn chunk(type_byte: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_chunk(&mut bytes, type_byte, payload);
    bytes
}

/// Most bytes that reading the file takes, and the records found.
fn cost(file: Repeated) -> (usize, u64) {
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let mut reader = Reader::new(file, PathBuf::from("hostile"), Position::START);
    loop {
        if let ReadEvent::End(_) = reader.next_event().unwrap() {
            break;
        }
    }
    let records = reader.stats().records;
    drop(reader);
    (MOST.load(Ordering::Relaxed) - before, records)
}

#[test]
fn s7_3_hostile_logs_take_no_more_memory_than_twice_their_largest_record_and_a_mebibyte() {
    const MIB: usize = 1 << 20;
    let header = b":W&B\xe1\xbe\0";
    let row = numbered(1, &record(1, 100));
    let full = |payload: &[u8]| chunk(1, payload);
    let cases: [(&str, Vec<u8>, Vec<u8>, usize); 6] = [
        (
            "orphaned pieces",
            chunk(3, &[0x10, 1]),
            chunk(3, &[0x10, 1]),
            0,
        ),
        (
            "beginnings without an end",
            chunk(2, &[7; 3000]),
            chunk(2, &[7; 3000]),
            3000,
        ),
        (
            "the same record for ever",
            full(&row),
            full(&row),
            row.len(),
        ),
        (
            "checksums that do not match",
            full(&row),
            vec![9; 32_768],
            row.len(),
        ),
        ("rubbish messages", full(&row), full(&[0x08]), row.len()),
        ("zeros", full(&row), vec![0; 32_768], row.len()),
    ];
    let mut worst = 0;
    for (name, first, rest, largest) in cases {
        let file = Repeated {
            first: block(header, &first),
            block: block(&[], &rest),
            blocks: 3_000,
        };
        let (bytes, _) = cost(file);
        assert!(bytes <= 2 * largest + MIB, "{name}: {bytes} bytes");
        worst = worst.max(bytes.saturating_sub(2 * largest));
    }
    // A record of 40 MiB that never ends.
    let length = 40 * MIB;
    let mut first = header.to_vec();
    first.extend(chunk(2, &record(1, 10)[..6]));
    let file = Repeated {
        first: block(&first, &chunk(3, &[0x7a; 1000])),
        block: chunk(3, &vec![0x7a; 32_761]),
        blocks: 40 * 32,
    };
    let (bytes, records) = cost(file);
    assert_eq!(records, 0);
    assert!(
        bytes <= 2 * length + MIB,
        "{bytes} bytes for a record of 40 MiB"
    );
    table(
        "7.3",
        "hostile logs of 100 MiB, a record of 40 MiB without an end",
        "memory 2 x largest record + 1 MiB",
        &format!("{} KiB beside the record", worst / 1024),
        7,
    );
}
