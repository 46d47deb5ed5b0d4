//! Taking over what others know of the run: its server, its log, its pending file.

use runlane_model::key_path::KeyPath;
use runlane_model::row::{OpenRows, Row};
use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::record::RecordType;

use super::super::encode::Mark;
use super::{EntryError, RunState, is_writer_name};

impl RunState {
    /// Continues the run where a server says that it stands.
    pub(crate) fn start_at(&mut self, run: pb::RunRecord) {
        self.open.begin_at(run.starting_step);
        self.inherit(&run);
        self.run = run;
    }

    /// Takes over config and summary of the stored run. Its values are as if logged: definitions still aggregate.
    pub(super) fn inherit(&mut self, run: &pb::RunRecord) {
        if let Some(record) = &run.config {
            self.config.apply(record);
        }
        for item in run.summary.iter().flat_map(|summary| &summary.update) {
            let path = KeyPath::of_item(&item.key, &item.nested_key);
            let Ok(value) = runlane_model::json::parse(&item.value_json) else {
                continue;
            };
            let mut items = Vec::new();
            runlane_model::tree::visit_leaves(&path, &value, &mut |leaf, value| {
                items.push((self.keys.intern(&leaf), value.clone()));
            });
            if path.components() == ["_runtime"]
                && let Some(secs) = value.as_f64()
            {
                // `RunRecord.runtime` has whole seconds only: without this, time would run backwards by the rest.
                self.last_runtime = self.last_runtime.max(secs);
            }
            self.summary
                .observe_items(&self.keys, &self.metrics, &items);
        }
    }

    /// Takes in what a record of the log says of its writer; the writer, 0 for the run itself.
    pub(crate) fn read_writer(&mut self, record: &pb::Record) -> u64 {
        let Some(control) = &record.control else {
            return 0;
        };
        if control.runlane_writer != 0 {
            self.writers.is_in_log(control.runlane_writer);
        }
        if let Some(info) = &control.runlane_writer_info {
            self.writers.read(control.runlane_writer, info);
            if !info.client_id.is_empty() && !self.settings.shared {
                // `sync` closes a run whose settings nobody knows any more.
                self.settings.shared = true;
                self.open = OpenRows::new(self.open.next_step(), true);
            }
        }
        control.runlane_writer
    }

    /// Applies a record that the log holds already, when a run is taken up again. Returns the mark it carries.
    pub(crate) fn replay(&mut self, record: &pb::Record) -> Option<Mark> {
        let mark = record
            .control
            .as_ref()
            .filter(|control| control.runlane_seq > 0)
            .map(|control| Mark {
                writer: control.runlane_writer,
                seq: control.runlane_seq,
            });
        if let Some(mark) = mark {
            let seq = self.seqs.entry(mark.writer).or_default();
            *seq = mark.seq.max(*seq);
        }
        let writer = self.read_writer(record);
        self.replay_loss(record);
        self.carry_metrics(record);
        self.replay_mirror(record);
        match &record.record_type {
            Some(RecordType::History(history)) => {
                self.replay_row(history, mark.map(|mark| mark.writer));
            }
            // Derived values follow from the rows; only what was set by hand carries a mark.
            Some(RecordType::Summary(_)) if mark.is_none() => {}
            Some(kind) => {
                self.apply_record(kind, writer);
                if let RecordType::Run(run) = kind
                    && run.starting_step > self.open.next_step()
                {
                    // Where the server said that the run goes on; no row was committed since.
                    self.open.begin_at(run.starting_step);
                }
            }
            None => {}
        }
        // Whoever writes them down has the log to read.
        self.console.forget_changes();
        mark
    }

    fn replay_row(&mut self, history: &pb::HistoryRecord, writer: Option<u64>) {
        let is_labelled = writer.is_some_and(|writer| self.writers.has_labelled(writer));
        let step = history.step.map_or(0, |step| step.num);
        let mut items = Vec::with_capacity(history.item.len());
        for item in &history.item {
            let path = KeyPath::of_item(&item.key, &item.nested_key);
            if is_labelled && is_writer_name(&path) {
                continue;
            }
            if let Ok(value) = runlane_model::json::parse(&item.value_json) {
                items.push((self.keys.intern(&path), value));
            }
        }
        let row = Row { step, items };
        if let Some(runtime) = self.keys.get(&KeyPath::flat("_runtime"))
            && let Some((_, value)) = row.items.iter().find(|(id, _)| *id == runtime)
        {
            self.last_runtime = value
                .as_f64()
                .unwrap_or(self.last_runtime)
                .max(self.last_runtime);
        }
        let mut known = row.clone();
        let summary = &self.summary;
        self.step_sync
            .fill(&mut self.keys, &self.metrics, &mut known, |id| {
                summary.last(id).cloned()
            });
        self.observe(&row);
        self.open.passed(writer, step);
        if let Some(writer) = writer {
            self.writers.logs_row(writer);
        }
        self.decoder.budget.taken_up(&self.keys);
    }

    /// Applies a call of the pending file whose row is not in the log.
    pub(crate) fn restore_open_call(
        &mut self,
        mark: Mark,
        call: &[u8],
        runtime: f64,
    ) -> Result<(), EntryError> {
        let decoded = self.decoder.decode(call, &mut self.keys)?;
        let named = decoded.step.filter(|_| !self.settings.shared);
        self.open.reopen(mark.writer, named);
        self.apply_decoded(mark, call, decoded, runtime);
        let seq = self.seqs.entry(mark.writer).or_default();
        *seq = mark.seq.max(*seq);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::StateSettings;
    use super::*;

    #[test]
    fn a_run_that_was_resumed_goes_on_behind_the_stored_steps_after_a_restart() {
        let record = |run: pb::RunRecord| pb::Record {
            record_type: Some(RecordType::Run(run)),
            ..Default::default()
        };
        let mut state = RunState::new(pb::RunRecord::default(), StateSettings::default());
        state.replay(&record(pb::RunRecord {
            starting_step: 12,
            resumed: true,
            ..Default::default()
        }));
        assert_eq!(state.next_step(), 12);
        // A later record of the run changes its name, not where it stands.
        state.replay(&record(pb::RunRecord {
            display_name: "new".to_owned(),
            ..Default::default()
        }));
        assert_eq!(
            (state.next_step(), state.run.display_name.as_str()),
            (12, "new")
        );
    }
}
