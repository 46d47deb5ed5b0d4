//! What the daemon itself writes of a run: the summary from time to time, and the end.

use prost::Message;
use runlane_model::json::write_value;
use runlane_model::row::Row;
use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::record::RecordType;

use super::{Remark, RunState};

impl RunState {
    /// Commits the open rows of all writers, as the end of a run does.
    pub(crate) fn commit_open_rows(&mut self, runtime: f64) {
        for writer in self.open.open_writers() {
            if let Some(row) = self.open.take(writer) {
                self.commit_taken(writer, row, runtime);
            }
        }
    }

    /// Commits what a process has logged so far: its open row is a row of its own, and the next call begins another.
    pub(super) fn commit_open_row(&mut self, writer: u64, runtime: f64) {
        if let Some(row) = self.open.take(writer) {
            self.commit_taken(writer, row, runtime);
        }
    }

    /// Writes out what a process left that is gone: its open row. The run goes on.
    pub(crate) fn writer_gone(&mut self, writer: u64, runtime: f64) {
        if let Some(row) = self.open.release(writer) {
            self.commit_taken(writer, row, runtime);
        }
    }

    fn commit_taken(&mut self, writer: u64, row: Row, runtime: f64) {
        if let Some(mark) = self.open_calls.last_of(writer) {
            self.commit(row, mark, runtime);
            self.open_calls.committed(writer);
        }
    }

    /// Sets the age counter, in whole seconds, and writes the leaves of the summary that changed as one record.
    pub(crate) fn write_summary(&mut self, final_runtime: Option<f64>) {
        let change = self.summary.take_changes(&self.keys, &self.metrics);
        let mut record = pb::SummaryRecord::default();
        if let Some(runtime) = final_runtime {
            record.update.push(pb::SummaryItem {
                nested_key: vec!["_wandb".to_owned(), "runtime".to_owned()],
                value_json: whole_seconds(runtime).to_string(),
                ..Default::default()
            });
        }
        for (path, value) in change.update {
            let mut json = String::new();
            write_value(&mut json, &value);
            record.update.push(pb::SummaryItem {
                nested_key: path.components().to_vec(),
                value_json: json,
                ..Default::default()
            });
        }
        for path in change.remove {
            record.remove.push(pb::SummaryItem {
                nested_key: path.components().to_vec(),
                ..Default::default()
            });
        }
        if record.update.is_empty() && record.remove.is_empty() {
            return;
        }
        let record = pb::Record {
            record_type: Some(RecordType::Summary(record)),
            ..Default::default()
        };
        self.batch.push(&record.encode_to_vec());
    }

    /// Ends the run: the last lines, the last summary, the exit record.
    pub(crate) fn write_exit(&mut self, exit: pb::RunExitRecord, runtime: f64) {
        self.commit_open_rows(runtime);
        self.report_refused_keys();
        self.console.finish();
        self.write_summary(Some(runtime.max(self.last_runtime)));
        let exit = pb::RunExitRecord {
            runtime: whole_seconds(runtime),
            ..exit
        };
        let record = pb::Record {
            record_type: Some(RecordType::Exit(exit.clone())),
            ..Default::default()
        };
        self.batch.push(&record.encode_to_vec());
        self.exit = Some(exit);
    }

    /// Ends a run whose process died: everything but an exit record.
    pub(crate) fn write_death(&mut self, runtime: f64) {
        self.commit_open_rows(runtime);
        self.report_refused_keys();
        self.console.finish();
        self.write_summary(Some(runtime.max(self.last_runtime)));
    }

    /// Says what the limit of keys has cost.
    fn report_refused_keys(&mut self) {
        let refused = self.decoder.budget.refused();
        if refused > 0 {
            tracing::warn!(refused, run = %self.run.run_id, "values of keys beyond the limit were left out");
            let text =
                format!("{refused} values of new keys beyond the limit of a run were left out");
            self.remarks.push(Remark { severity: 30, text });
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "clamped to the range of the field"
)]
fn whole_seconds(runtime: f64) -> i32 {
    runtime.clamp(0.0, f64::from(i32::MAX)) as i32
}
