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
    pub(crate) fn write_mirrored(&mut self, mirrored: tensorboard::Row, runtime: f64) {
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
