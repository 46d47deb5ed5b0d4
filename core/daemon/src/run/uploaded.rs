//! Which entries of a writer the server has stored: positions in the log become sequence numbers.
//!
//! Uploading is a cursor over the log and knows bytes. How far each writer was when the log had a certain length is noted now and
//! then; the notes are bounded, and become coarser the farther uploading lags behind.

use std::collections::{BTreeMap, VecDeque};

/// Notes that are kept.
const NOTES: usize = 128;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Uploaded {
    notes: VecDeque<Note>,
    reached: BTreeMap<u64, u64>,
}

#[derive(Debug)]
struct Note {
    log_bytes: u64,
    seqs: BTreeMap<u64, u64>,
}

impl Uploaded {
    /// The log has `log_bytes`, and each writer's entries up to these numbers are in it.
    pub(crate) fn log_grew(&mut self, log_bytes: u64, seqs: impl FnOnce() -> BTreeMap<u64, u64>) {
        if self
            .notes
            .back()
            .is_some_and(|last| last.log_bytes >= log_bytes)
        {
            return;
        }
        if self.notes.len() == NOTES {
            // Every second one goes, the newest stays: an answer may lag, but never runs ahead.
            let mut keeps = false;
            self.notes.retain(|_| {
                keeps = !keeps;
                !keeps
            });
        }
        self.notes.push_back(Note {
            log_bytes,
            seqs: seqs(),
        });
    }

    /// The highest entry of `writer` that is stored when `uploaded_bytes` of the log are.
    pub(crate) fn seq(&mut self, writer: u64, uploaded_bytes: u64) -> u64 {
        while let Some(note) = self
            .notes
            .pop_front_if(|note| note.log_bytes <= uploaded_bytes)
        {
            self.reached = note.seqs;
        }
        self.reached.get(&writer).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seqs(first: u64, second: u64) -> BTreeMap<u64, u64> {
        BTreeMap::from([(1, first), (2, second)])
    }

    #[test]
    fn the_last_note_that_is_uploaded_whole_counts() {
        let mut uploaded = Uploaded::default();
        uploaded.log_grew(100, || seqs(1, 0));
        uploaded.log_grew(200, || seqs(5, 2));
        assert_eq!(uploaded.seq(1, 99), 0);
        assert_eq!(uploaded.seq(1, 199), 1);
        assert_eq!((uploaded.seq(1, 200), uploaded.seq(2, 200)), (5, 2));
        assert_eq!(uploaded.seq(3, 200), 0, "a writer nobody knows");
    }

    #[test]
    fn notes_are_bounded_and_never_run_ahead() {
        let mut uploaded = Uploaded::default();
        for number in 1..=100_000 {
            uploaded.log_grew(number * 10, || seqs(number, 0));
        }
        assert!(uploaded.notes.len() <= NOTES);
        for bytes in (0..=1_000_000).step_by(7919) {
            assert!(uploaded.seq(1, bytes) <= bytes / 10);
        }
        assert_eq!(uploaded.seq(1, 1_000_000), 100_000);
    }
}
