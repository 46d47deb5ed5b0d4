//! The processes that log to the run: how rows and console lines name them, and what the log says of them.
//!
//! A run with one writer says nothing of it: its rows are W&B's. As soon as a second writer logs, and always in shared mode,
//! each row carries `_label` and, where a launcher gave one, `_rank`. The log tells of a writer with the first record that needs
//! it (`control.runlane_writer_info`), so that another daemon and `sync` know the names as well.

use std::collections::BTreeMap;

use prost::Message;
use runlane_proto::wandb_internal as pb;

use crate::wire::put_bytes;

/// How much the log says of a writer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    #[default]
    Nothing,
    /// Its rank: of a lone writer, whose rows carry no label.
    Rank,
    /// Everything.
    Label,
}

#[derive(Debug, Default)]
struct Writer {
    info: pb::RunlaneWriter,
    told: Told,
    prints: bool,
}

/// The writers of one run.
#[derive(Debug, Default)]
pub(crate) struct Writers {
    known: BTreeMap<u64, Writer>,
    first: Option<u64>,
    /// A process that joined the run has logged a row: the one that opened it is not alone.
    has_company: bool,
    /// How many have printed.
    printing: usize,
    /// Several hosts may log to the run: every row is labelled.
    shared: bool,
    /// The run was given a label: console lines carry it from the first one on.
    is_named: bool,
}

impl Writers {
    /// The writers of a run that nobody has logged to. `shared`: labels from the first row on; `is_named`: labels on the
    /// console.
    pub(crate) fn new(shared: bool, is_named: bool) -> Self {
        Self {
            shared,
            is_named,
            ..Self::default()
        }
    }

    /// A process is connected. What the log said of it before holds.
    pub(crate) fn joined(&mut self, id: u64, info: pb::RunlaneWriter) {
        if self
            .known
            .get(&id)
            .is_some_and(|known| known.told == Told::Label)
        {
            return;
        }
        let mut info = info;
        if info.label.is_empty() {
            info.label = fallback_label(id, info.pid);
        }
        let taken = self.known.iter().any(|(other, known)| {
            *other != id
                && known.info.label == info.label
                && (known.info.pid, &known.info.host) != (info.pid, &info.host)
        });
        if taken {
            // A child inherits what its launcher told its parent.
            info.label = format!("{}-{}", info.label, info.pid);
        }
        self.entry(id).info = info;
    }

    /// The log names a writer: the first one opened the run.
    pub(crate) fn is_in_log(&mut self, id: u64) {
        self.entry(id);
    }

    /// What a record of the log says of a writer.
    pub(crate) fn read(&mut self, id: u64, info: &pb::RunlaneWriter) {
        self.shared |= !info.client_id.is_empty();
        // Rows had labels when this was written, unless the run was given one.
        self.has_company |= !info.label.is_empty() && !self.is_named;
        let writer = self.entry(id);
        writer.info = info.clone();
        writer.told = if info.label.is_empty() {
            Told::Rank
        } else {
            Told::Label
        };
    }

    /// The one that opened the run.
    pub(crate) fn first(&self) -> Option<u64> {
        self.first
    }

    /// Who a writer is, as far as it is known.
    pub(crate) fn info(&self, id: u64) -> Option<&pb::RunlaneWriter> {
        self.known.get(&id).map(|writer| &writer.info)
    }

    /// The writer logs to a row.
    pub(crate) fn logs_row(&mut self, id: u64) {
        self.has_company |= *self.first.get_or_insert(id) != id;
    }

    /// The writer prints something.
    pub(crate) fn prints(&mut self, id: u64) {
        let is_new = !std::mem::replace(&mut self.entry(id).prints, true);
        self.printing += usize::from(is_new);
    }

    /// Whether rows carry the names of their writers.
    pub(crate) fn label_rows(&self) -> bool {
        self.shared || self.has_company
    }

    /// Whether rows of a writer in the log may carry its name.
    pub(crate) fn has_labelled(&self, id: u64) -> bool {
        self.known
            .get(&id)
            .is_some_and(|writer| writer.told == Told::Label)
    }

    /// How rows name a writer: its label, and its rank if it has one.
    pub(crate) fn name(&mut self, id: u64) -> (&str, Option<u32>) {
        let writer = self.entry(id);
        if writer.info.label.is_empty() {
            writer.info.label = fallback_label(id, writer.info.pid);
        }
        (&writer.info.label, writer.info.rank)
    }

    /// What the next record of a writer has to say of it, if anything.
    pub(crate) fn news_of(&mut self, id: u64) -> Option<pb::RunlaneWriter> {
        let names = self.shared || self.is_named || self.has_company || self.printing > 1;
        let wanted = if names || self.first != Some(id) {
            Told::Label
        } else if self.entry(id).info.rank.is_some() {
            Told::Rank
        } else {
            Told::Nothing
        };
        if self
            .known
            .get(&id)
            .is_some_and(|writer| writer.told >= wanted)
        {
            return None;
        }
        // Not before: a writer that nobody introduced gets a name.
        self.name(id);
        let writer = self.entry(id);
        writer.told = wanted;
        let mut info = writer.info.clone();
        if wanted == Told::Rank {
            info.label.clear();
        }
        Some(info)
    }

    fn entry(&mut self, id: u64) -> &mut Writer {
        self.first.get_or_insert(id);
        self.known.entry(id).or_default()
    }
}

fn fallback_label(id: u64, pid: u32) -> String {
    if pid == 0 {
        format!("writer-{:08x}", id >> 32)
    } else {
        format!("pid-{pid}")
    }
}

/// Appends `control {runlane_writer_info}` to a record: readers merge it with the control that carries the mark.
pub(crate) fn put_writer_info(out: &mut Vec<u8>, info: &pb::RunlaneWriter) {
    let mut control = Vec::new();
    put_bytes(&mut control, 2002, &info.encode_to_vec());
    put_bytes(out, 16, &control);
}

/// Appends a control to a record of no entry: who a writer is.
pub(crate) fn put_introduction(out: &mut Vec<u8>, writer: u64, info: Option<pb::RunlaneWriter>) {
    let control = pb::Control {
        runlane_writer: writer,
        runlane_writer_info: info,
        ..Default::default()
    };
    put_bytes(out, 16, &control.encode_to_vec());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(label: &str, pid: u32, rank: Option<u32>) -> pb::RunlaneWriter {
        pb::RunlaneWriter {
            label: label.to_owned(),
            pid,
            rank,
            ..Default::default()
        }
    }

    #[test]
    fn a_lone_writer_is_not_named_and_its_rank_is_told_once() {
        let mut writers = Writers::new(false, false);
        writers.joined(1, info("rank-3", 10, Some(3)));
        writers.logs_row(1);
        assert!(!writers.label_rows());
        assert_eq!(writers.news_of(1), Some(info("", 10, Some(3))));
        assert_eq!(writers.news_of(1), None);

        let mut plain = Writers::new(false, false);
        plain.joined(1, info("pid-10", 10, None));
        plain.logs_row(1);
        plain.prints(1);
        assert_eq!(plain.news_of(1), None);
    }

    #[test]
    fn a_second_writer_names_both() {
        let mut writers = Writers::new(false, false);
        writers.joined(1, info("pid-10", 10, None));
        writers.logs_row(1);
        writers.joined(2, info("Process-1", 11, None));
        assert!(!writers.label_rows());
        // Before it logs a row: it may die before it does.
        assert_eq!(writers.news_of(2), Some(info("Process-1", 11, None)));
        assert_eq!(writers.news_of(1), None);
        writers.logs_row(2);
        assert!(writers.label_rows());
        assert_eq!(writers.news_of(1), Some(info("pid-10", 10, None)));
        assert_eq!(writers.name(2), ("Process-1", None));
    }

    #[test]
    fn a_label_belongs_to_one_process() {
        let mut writers = Writers::new(true, true);
        writers.joined(1, info("rank-0", 10, Some(0)));
        writers.joined(2, info("rank-0", 11, Some(0)));
        writers.joined(3, info("", 12, None));
        assert_eq!(writers.name(1).0, "rank-0");
        assert_eq!(writers.name(2), ("rank-0-11", Some(0)));
        assert_eq!(writers.name(3).0, "pid-12");
        assert_eq!(writers.name(0xabcd_0123_0000_0000).0, "writer-abcd0123");
    }

    #[test]
    fn what_the_log_says_holds() {
        let mut writers = Writers::new(false, false);
        writers.read(2, &info("worker", 11, None));
        writers.joined(2, info("pid-12", 12, None));
        assert_eq!(writers.name(2).0, "worker");
        assert_eq!(writers.news_of(2), None);
        assert!(writers.has_labelled(2));
    }
}
