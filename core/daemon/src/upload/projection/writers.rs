//! Who wrote a log, as its records tell: labels of console lines and system metrics, the writer in shared mode.

use std::collections::{BTreeMap, BTreeSet};

use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::record::RecordType;

/// The processes that wrote a log.
#[derive(Debug, Default)]
pub(super) struct LogWriters {
    known: BTreeMap<u64, pb::RunlaneWriter>,
    printing: BTreeSet<u64>,
    with_rows: BTreeSet<u64>,
    /// The one that the first record with a writer names, if it says more than its number.
    first: Option<pb::RunlaneWriter>,
    seen: bool,
}

impl LogWriters {
    /// Takes in what a record says of its writer; the writer, 0 for the run itself.
    pub(super) fn read(&mut self, record: &pb::Record) -> u64 {
        let Some(control) = record.control.as_ref() else {
            return 0;
        };
        let writer = control.runlane_writer;
        if let Some(info) = &control.runlane_writer_info {
            if !self.seen {
                self.first = Some(info.clone());
            }
            self.known.insert(writer, info.clone());
        }
        self.seen |= writer != 0;
        if matches!(record.record_type, Some(RecordType::History(_))) {
            self.with_rows.insert(writer);
        }
        writer
    }

    /// The writer of the log in shared mode, where others write to the same run elsewhere.
    pub(super) fn shared(&self) -> Option<&pb::RunlaneWriter> {
        self.first
            .as_ref()
            .filter(|info| !info.client_id.is_empty())
    }

    /// The label of the whole log: one that was given, or that of shared mode.
    pub(super) fn own_label(&self) -> &str {
        self.first.as_ref().map_or("", |info| info.label.as_str())
    }

    /// Whether rows of a writer carry its name.
    pub(super) fn has_named(&self, writer: u64) -> bool {
        self.known
            .get(&writer)
            .is_some_and(|info| !info.label.is_empty())
    }

    /// The label of a writer's console lines. `given` is that of the settings, for lines of the run itself too.
    pub(super) fn line_label(&self, writer: u64, given: &str) -> String {
        let own = if given.is_empty() {
            self.own_label()
        } else {
            given
        };
        let are_several = self.with_rows.len() > 1 || self.printing.len() > 1;
        if own.is_empty() && !are_several {
            return String::new();
        }
        self.known
            .get(&writer)
            .map(|info| info.label.as_str())
            .filter(|label| !label.is_empty())
            .unwrap_or(own)
            .to_owned()
    }

    /// A writer prints something.
    pub(super) fn prints(&mut self, writer: u64) {
        self.printing.insert(writer);
    }
}
