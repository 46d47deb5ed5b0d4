//! Rows that come from TensorBoard event files instead of calls, and what the log says of them: how far each file is in it.

use prost::Message;
use runlane_model::row::Row;
use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::record::RecordType;

use super::{RunState, empty_record};
use crate::tensorboard::{self, Logged, Opened, Told};
use crate::wire::put_bytes;

/// What the log says of event files.
#[derive(Debug, Default)]
pub(crate) struct MirrorLog {
    /// Log directories, in the order in which processes told them.
    pub(crate) told: Vec<Told>,
    /// Files of which rows are in the log, or may be; the first has number 1.
    pub(crate) files: Vec<Logged>,
    /// Unix seconds: when this run (not one that it resumes) began.
    pub(crate) started: u64,
}

impl MirrorLog {
    pub(super) fn of(run: &pb::RunRecord) -> Self {
        let started = run.start_time.as_ref().map_or(0, |time| time.seconds);
        Self {
            started: u64::try_from(started).unwrap_or(0),
            ..Self::default()
        }
    }

    fn read(&mut self, mirror: &pb::RunlaneMirror) {
        let place = usize::try_from(mirror.file).unwrap_or(usize::MAX);
        if place == self.files.len() + 1 {
            self.files.push(Logged {
                path: mirror.path.clone(),
                inode: mirror.inode,
                namespace: mirror.namespace.clone(),
                end: mirror.end,
            });
        } else if let Some(file) = place.checked_sub(1).and_then(|it| self.files.get_mut(it)) {
            file.end = file.end.max(mirror.end);
        }
    }
}

impl RunState {
    /// A process uses a log directory.
    pub(super) fn tell_mirror(&mut self, record: &pb::TbRecord, writer: u64) {
        self.mirror.told.push(Told {
            writer,
            directory: record.log_dir.clone(),
            root: record.root_dir.clone(),
            save: record.save,
            save_path: record.save_path.clone(),
            any_time: record.ignore_timestamp,
            host: (!record.ignore_hostname && !record.runlane_host.is_empty())
                .then(|| record.runlane_host.clone()),
        });
    }

    /// Takes in what a record of the log says of an event file.
    pub(super) fn replay_mirror(&mut self, record: &pb::Record) {
        let control = record.control.as_ref();
        if let Some(mirror) = control.and_then(|control| control.runlane_mirror.as_ref()) {
            self.mirror.read(mirror);
        }
    }

    /// Writes that rows of an event file follow.
    pub(crate) fn write_opened(&mut self, opened: &Opened) {
        match &opened.saved_as {
            Some(name) => self.write_file(name, pb::files_item::PolicyType::End),
            None => self.batch.push(&empty_record()),
        }
        let mirror = pb::RunlaneMirror {
            file: opened.file,
            end: opened.logged.end,
            path: opened.logged.path.clone(),
            inode: opened.logged.inode,
            namespace: opened.logged.namespace.clone(),
        };
        self.put_mirror(&mirror);
        self.mirror.read(&mirror);
    }

    /// Writes a row of an event file; `runtime` is the run's age in seconds.
    ///
    /// It closes the row that its process has open: a program that logs through TensorBoard alone may never do so, and the gradients
    /// of a watched model, which belong to the next row, would replace each other until the end.
    pub(crate) fn write_mirrored(&mut self, mirrored: tensorboard::Row, runtime: f64) {
        self.commit_open_row(mirrored.writer, runtime);
        for name in &mirrored.files {
            self.write_file(name, pb::files_item::PolicyType::Now);
        }
        let mut items = Vec::with_capacity(mirrored.items.len() + 4);
        for (path, value) in mirrored.items {
            let is_known = self.keys.get(&path).is_some();
            if is_known || self.decoder.budget.admit(&path, &self.keys) {
                items.push((self.keys.intern(&path), value));
            }
        }
        let step = self.open.give_step();
        self.commit_of(Row { step, items }, mirrored.writer, None, runtime);
        let mirror = pb::RunlaneMirror {
            file: mirrored.file,
            end: mirrored.end,
            ..Default::default()
        };
        self.put_mirror(&mirror);
        self.mirror.read(&mirror);
        self.report_refusals();
    }

    fn write_file(&mut self, name: &str, policy: pb::files_item::PolicyType) {
        let is_media = name.starts_with("media/");
        let kind = if is_media {
            pb::files_item::FileType::Media
        } else {
            pb::files_item::FileType::Other
        };
        let files = pb::FilesRecord {
            files: vec![pb::FilesItem {
                path: name.to_owned(),
                policy: policy.into(),
                r#type: kind.into(),
            }],
            ..Default::default()
        };
        let record = pb::Record {
            record_type: Some(RecordType::Files(files)),
            ..Default::default()
        };
        self.batch.push(&record.encode_to_vec());
    }

    /// Adds to the last record how far a file is in the log: readers merge it with other controls.
    fn put_mirror(&mut self, mirror: &pb::RunlaneMirror) {
        let mut control = Vec::new();
        put_bytes(&mut control, 2004, &mirror.encode_to_vec());
        self.batch.amend_last(|out| put_bytes(out, 16, &control));
    }
}

#[cfg(test)]
mod tests {
    use runlane_model::json::Value;
    use runlane_model::key_path::KeyPath;
    use runlane_proto::local;

    use super::super::{Mark, StateSettings};
    use super::*;

    fn row(step: i64, end: u64, writer: u64) -> tensorboard::Row {
        tensorboard::Row {
            file: 1,
            writer,
            items: vec![
                (KeyPath::flat("train/loss"), Value::Float(0.5)),
                (KeyPath::flat("global_step"), Value::Int(step)),
            ],
            files: vec!["media/images/a.png".to_owned()],
            end,
        }
    }

    fn records(state: &RunState) -> Vec<pb::Record> {
        let decoded = state.batch.iter().map(pb::Record::decode);
        decoded.map(|record| record.expect("a record")).collect()
    }

    fn history(records: &[pb::Record]) -> Vec<&pb::HistoryRecord> {
        let rows = records
            .iter()
            .filter_map(|record| match &record.record_type {
                Some(RecordType::History(history)) => Some(history),
                _ => None,
            });
        rows.collect()
    }

    #[test]
    fn the_log_says_how_far_each_file_is() {
        let run = pb::RunRecord {
            start_time: Some(prost_types::Timestamp {
                seconds: 1_000,
                nanos: 900_000_000,
            }),
            ..Default::default()
        };
        let mut state = RunState::new(run.clone(), StateSettings::default());
        let told = pb::TbRecord {
            log_dir: "/w/logs".to_owned(),
            runlane_host: "node1".to_owned(),
            ..Default::default()
        };
        state.tell_mirror(&told, 7);
        let opened = Opened {
            file: 1,
            logged: Logged {
                path: "/w/logs/events".to_owned(),
                inode: 5,
                namespace: "train".to_owned(),
                end: 0,
            },
            saved_as: Some("train/events".to_owned()),
        };
        state.write_opened(&opened);
        state.write_mirrored(row(10, 100, 7), 1.0);
        state.write_mirrored(row(20, 250, 7), 2.0);
        let records = records(&state);
        let rows = history(&records);
        let steps: Vec<i64> = rows
            .iter()
            .map(|row| row.step.map_or(0, |it| it.num))
            .collect();
        assert_eq!(steps, [0, 1]);
        let keys: Vec<&str> = rows[0]
            .item
            .iter()
            .map(|item| item.nested_key[0].as_str())
            .collect();
        assert_eq!(keys, ["train/loss", "global_step", "_runtime", "_step"]);
        let is_file =
            |record: &&pb::Record| matches!(&record.record_type, Some(RecordType::Files(_)));
        assert_eq!(records.iter().filter(is_file).count(), 3);

        let mut reborn = RunState::new(run, StateSettings::default());
        for record in &records {
            reborn.replay(record);
        }
        let expected = Logged {
            end: 250,
            ..opened.logged
        };
        assert_eq!(reborn.mirror.files, [expected]);
        assert_eq!(reborn.mirror.files, state.mirror.files);
        assert_eq!(reborn.mirror.started, 1_000);
        assert_eq!(reborn.next_step(), 2);
        assert_eq!(state.mirror.told[0].host.as_deref(), Some("node1"));
    }

    #[test]
    fn a_row_closes_what_its_own_process_has_open() {
        let mut state = RunState::new(pb::RunRecord::default(), StateSettings::default());
        let open = |key: &str| {
            let call = pb::PartialHistoryRequest {
                item: vec![pb::HistoryItem {
                    key: key.to_owned(),
                    value_json: "1".to_owned(),
                    ..Default::default()
                }],
                action: Some(pb::HistoryAction { flush: false }),
                ..Default::default()
            };
            local::Entry {
                entry: Some(local::entry::Entry::Call(call)),
            }
            .encode_to_vec()
        };
        let apply = |state: &mut RunState, writer, seq, key| {
            state
                .apply_entry(Mark { writer, seq }, &open(key), 1.0)
                .expect("a call");
        };
        apply(&mut state, 7, 1, "gradients/a");
        apply(&mut state, 8, 1, "other");
        state.write_mirrored(row(10, 100, 7), 1.0);
        apply(&mut state, 7, 2, "gradients/a");
        state.write_mirrored(row(20, 200, 7), 2.0);
        let records = records(&state);
        let firsts: Vec<String> = history(&records)
            .iter()
            .map(|row| row.item[0].nested_key.join("/") + &row.item[0].key)
            .collect();
        assert_eq!(
            firsts,
            ["gradients/a", "train/loss", "gradients/a", "train/loss"]
        );
    }

    #[test]
    fn a_row_names_who_told_of_its_directory_only_in_company() {
        let settings = StateSettings {
            shared: true,
            ..StateSettings::default()
        };
        let mut state = RunState::new(pb::RunRecord::default(), settings);
        let info = pb::RunlaneWriter {
            label: "rank-1".to_owned(),
            ..Default::default()
        };
        state.writer_joined(7, info);
        state.write_mirrored(row(1, 10, 7), 1.0);
        let records = records(&state);
        let label = history(&records)[0]
            .item
            .iter()
            .find(|item| item.nested_key == ["_label"])
            .map(|item| item.value_json.as_str());
        assert_eq!(label, Some("\"rank-1\""));
    }
}
