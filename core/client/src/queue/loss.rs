//! Data that could not be kept, and the entry that stands in its place: numbers stay dense, and nothing is missing silently.

use prost::Message as _;
use runlane_proto::local::{Entry, entry};
use runlane_proto::wandb_internal::RunlaneLoss;

use crate::wire::put_bytes;

/// Memory is full and the spill file takes nothing.
pub(crate) const FULL: &str =
    "the memory of the training process was full and its spill file could not grow";
/// A frame of the spill file does not come back.
pub(crate) const DAMAGED: &str = "the spill file was damaged";

/// What a lost entry was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A call of `log`.
    History,
    /// Console output.
    Console,
    /// Anything else.
    Other,
}

impl Kind {
    const ALL: [Self; 3] = [Self::History, Self::Console, Self::Other];

    fn stream(self) -> &'static str {
        match self {
            Self::History => "history",
            Self::Console => "console",
            Self::Other => "other",
        }
    }
}

/// Counts of entries by kind.
#[derive(Debug, Default)]
pub(crate) struct Losses([u64; 3]);

impl Losses {
    /// Counts one.
    pub(crate) fn add(&mut self, kind: Kind) {
        self.0[kind as usize] += 1;
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Takes the counts out, as an entry for each kind that has any.
    pub(crate) fn take_entries(&mut self, writer: u64) -> Vec<Vec<u8>> {
        let counts = std::mem::take(&mut self.0);
        Kind::ALL
            .into_iter()
            .zip(counts)
            .filter(|&(_, count)| count > 0)
            .map(|(kind, count)| {
                encode(RunlaneLoss {
                    stream: kind.stream().to_owned(),
                    writer,
                    first_seq: 0,
                    last_seq: 0,
                    count,
                    reason: FULL.to_owned(),
                })
            })
            .collect()
    }
}

/// Entries with the numbers `first_seq` to `first_seq + entries - 1` that the spill file lost: a marker, and empty ones which the
/// daemon skips.
pub(crate) fn in_place_of(writer: u64, first_seq: u64, entries: u32) -> Vec<u8> {
    let mut out = encode(RunlaneLoss {
        stream: Kind::History.stream().to_owned(),
        writer,
        first_seq,
        last_seq: first_seq + u64::from(entries) - 1,
        count: u64::from(entries),
        reason: DAMAGED.to_owned(),
    });
    for _ in 1..entries {
        out.extend_from_slice(&[ENTRY, 0]);
    }
    out
}

/// `Batch.entry`.
const ENTRY: u8 = 0x1a;

fn encode(loss: RunlaneLoss) -> Vec<u8> {
    let entry = Entry {
        entry: Some(entry::Entry::Loss(loss)),
    };
    let mut out = Vec::with_capacity(160);
    put_bytes(&mut out, ENTRY, &entry.encode_to_vec());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use runlane_proto::local::Batch;

    #[test]
    fn an_entry_for_each_kind_that_lost_something() {
        let mut losses = Losses::default();
        for kind in [Kind::Console, Kind::History, Kind::History] {
            losses.add(kind);
        }
        assert_eq!(losses.total(), 3);
        let bytes: Vec<u8> = losses.take_entries(9).concat();
        let batch = Batch::decode(bytes.as_slice()).expect("valid");
        let found: Vec<(String, u64, u64)> = batch
            .entry
            .into_iter()
            .map(|entry| match entry.entry {
                Some(entry::Entry::Loss(loss)) => (loss.stream, loss.count, loss.writer),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(found, [("history".into(), 2, 9), ("console".into(), 1, 9)]);
        assert_eq!(losses.total(), 0);
    }

    #[test]
    fn numbers_stay_dense_where_the_file_lost_entries() {
        let batch = Batch::decode(in_place_of(9, 5, 3).as_slice()).expect("valid");
        assert_eq!(batch.entry.len(), 3);
        let Some(entry::Entry::Loss(loss)) = &batch.entry[0].entry else {
            panic!("{batch:?}")
        };
        assert_eq!((loss.first_seq, loss.last_seq, loss.count), (5, 7, 3));
        assert!(batch.entry[1..].iter().all(|entry| entry.entry.is_none()));
    }
}
