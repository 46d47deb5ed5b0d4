//! The outbox against a plain twin: a daemon that may die, a socket, a spill file.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::budget::Budget;
use super::intake::Chunk;
use super::outbox::Outbox;

#[derive(Clone, Debug)]
enum Step {
    /// The caller logged this many entries.
    Push(u32),
    /// The socket takes up to this many chunks.
    Send(u8),
    /// The daemon acknowledges up to this share of what it got.
    Acknowledge(u8),
    /// The daemon died.
    Disconnect,
    /// Everything due goes to the file.
    Spill,
    /// The budget is tight.
    Release,
    /// Milliseconds pass.
    Wait(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1u32..6).prop_map(Step::Push),
        3 => (1u8..4).prop_map(Step::Send),
        2 => any::<u8>().prop_map(Step::Acknowledge),
        1 => Just(Step::Disconnect),
        3 => Just(Step::Spill),
        2 => Just(Step::Release),
        2 => (0u16..400).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..80)
}

/// Entries are recognisable by their number.
fn chunk(first_seq: u64, entries: u32) -> Chunk {
    let bytes: Vec<u8> = (0..u64::from(entries))
        .flat_map(|number| (first_seq + number).to_le_bytes())
        .collect();
    Chunk {
        first_seq,
        entries,
        bytes: bytes.into(),
    }
}

fn numbers(bytes: &[u8]) -> Vec<u64> {
    bytes
        .chunks(8)
        .map(|part| u64::from_le_bytes(part.try_into().expect("eight bytes")))
        .collect()
}

#[derive(Default)]
struct Twin {
    file: BTreeMap<u64, Vec<u8>>,
    received: u64,
    logged: u64,
}

impl Twin {
    fn send_one(&mut self, outbox: &mut Outbox, budget: &Budget) -> bool {
        if let Some(stored) = outbox.to_read() {
            let bytes = self.file.get(&stored.place).cloned();
            assert!(bytes.is_some(), "a chunk without bytes is in the file");
            assert_eq!(outbox.read(stored.id, bytes, budget), 0);
        }
        let Some(id) = outbox.next_id() else {
            return false;
        };
        let (first_seq, bytes) = outbox.chunk(id).expect("in memory now");
        for (offset, number) in numbers(bytes).into_iter().enumerate() {
            assert_eq!(number, first_seq + offset as u64);
            // The daemon applies each entry once and never sees a gap.
            assert!(
                number <= self.received + 1,
                "gap before {number}, had {}",
                self.received
            );
            self.received = self.received.max(number);
        }
        outbox.sent(id);
        true
    }
}

proptest! {
    #[test]
    fn everything_arrives_in_order_and_memory_adds_up(steps in steps()) {
        let tight = Budget::new(8);
        let mut outbox = Outbox::new(1);
        let mut twin = Twin::default();
        let mut now = Instant::now();
        let mut pushed = 0;
        let mut buffers = Vec::new();
        for step in steps {
            match step {
                Step::Push(entries) => {
                    let chunk = chunk(pushed + 1, entries);
                    tight.force(chunk.bytes.len());
                    outbox.push(chunk, now);
                    pushed += u64::from(entries);
                }
                Step::Send(count) => {
                    for _ in 0..count {
                        twin.send_one(&mut outbox, &tight);
                    }
                }
                Step::Acknowledge(share) => {
                    let open = twin.received - twin.logged;
                    twin.logged += open * u64::from(share) / 255;
                    outbox.acknowledge(twin.logged, &tight, &mut buffers);
                }
                Step::Disconnect => {
                    // What was not in the log is gone with the daemon.
                    twin.received = twin.logged;
                    outbox.disconnected();
                }
                Step::Spill => {
                    if outbox.spill_due().is_some_and(|due| due <= now) {
                        while let Some((id, first_seq, _, bytes)) = outbox.to_spill() {
                            let last = twin.file.last_key_value().map(|(place, _)| *place);
                            prop_assert!(last.is_none_or(|place| place < first_seq), "the file is in order");
                            twin.file.insert(first_seq, bytes.to_vec());
                            outbox.spilled(id, first_seq);
                        }
                    }
                }
                Step::Release => outbox.release(&tight, &mut buffers),
                Step::Wait(millis) => now += Duration::from_millis(u64::from(millis)),
            }
            if outbox.is_spill_drained() {
                twin.file.clear();
            }
            prop_assert_eq!(outbox.is_empty(), twin.logged == pushed);
        }
        while twin.send_one(&mut outbox, &tight) {}
        prop_assert_eq!(twin.received, pushed);
        prop_assert_eq!(outbox.sent_seq(), pushed);
        outbox.acknowledge(pushed, &tight, &mut buffers);
        prop_assert!(outbox.is_empty());
        prop_assert_eq!(tight.used(), 0);
    }
}

#[test]
fn a_chunk_is_due_after_the_grace_and_sent_ones_only_after_a_long_silence() {
    use super::outbox::{ACK_GRACE, SOCKET_GRACE};
    let now = Instant::now();
    let mut outbox = Outbox::new(1);
    assert_eq!(outbox.spill_due(), None);
    outbox.push(chunk(1, 1), now);
    assert_eq!(outbox.spill_due(), Some(now + SOCKET_GRACE));
    outbox.sent(0);
    assert_eq!(outbox.spill_due(), Some(now + ACK_GRACE));
    outbox.spilled(0, 16);
    assert_eq!(outbox.spill_due(), None);
}

#[test]
fn a_chunk_that_the_file_lost_becomes_empty_entries() {
    let budget = Budget::new(0);
    let mut outbox = Outbox::new(1);
    let mut buffers = Vec::new();
    for number in 1..=20 {
        let chunk = chunk(number, 1);
        budget.force(chunk.bytes.len());
        outbox.push(chunk, Instant::now());
    }
    while let Some((id, ..)) = outbox.to_spill() {
        outbox.spilled(id, id);
    }
    outbox.release(&budget, &mut buffers);
    while outbox.to_read().is_none() {
        outbox.sent(outbox.next_id().expect("twenty chunks"));
    }
    let stored = outbox.to_read().expect("only in the file");
    assert_eq!(outbox.read(stored.id, None, &budget), 1);
    assert_eq!(
        outbox.chunk(stored.id).map(|(_, bytes)| bytes.to_vec()),
        Some(super::loss::in_place_of(1, stored.id + 1, 1))
    );
}
