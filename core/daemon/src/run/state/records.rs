//! Records of the client and of the log, other than rows: into the log, then into the state.

use prost::Message;
use runlane_model::key_path::KeyPath;
use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::record::RecordType;

use super::super::encode::{Mark, put_mark};
use super::{EntryError, Remark, RunState, merge_run};
use crate::wire::{Field, Fields, put_varint};

/// The fields that `put_with_step` deals with: `Record.artifact` and `ArtifactRecord.runlane_next_step`.
const ARTIFACT: u32 = 8;
const NEXT_STEP: u32 = 2000;

/// Writes the encoded record of an artifact with the step at which it was logged, without decoding its manifest.
fn put_with_step(out: &mut Vec<u8>, bytes: &[u8], step: u64) {
    let mut added = Vec::new();
    put_varint(&mut added, u64::from(NEXT_STEP) << 3);
    put_varint(&mut added, step);
    let mut fields = Fields::new(bytes);
    let mut start = 0;
    while let Ok(Some((number, field))) = fields.next_field() {
        let end = fields.position();
        match field {
            Field::Bytes(artifact) if number == ARTIFACT => {
                put_varint(out, u64::from(ARTIFACT) << 3 | 2);
                put_varint(out, (artifact.len() + added.len()) as u64);
                out.extend_from_slice(artifact);
                out.extend_from_slice(&added);
            }
            _ => out.extend_from_slice(&bytes[start..end]),
        }
        start = end;
    }
}

impl RunState {
    /// Takes a record of the client: into the log with its mark, then into the state.
    pub(super) fn apply_client_record(
        &mut self,
        mark: Mark,
        bytes: &[u8],
    ) -> Result<(), EntryError> {
        let record =
            pb::Record::decode(bytes).map_err(|error| EntryError::Record(error.to_string()))?;
        let Some(kind) = &record.record_type else {
            // A kind of a later release: the log keeps it for a reader that knows it.
            if !bytes.is_empty() && record.num == 0 {
                self.batch.push_with(|out| {
                    out.extend_from_slice(bytes);
                    put_mark(out, mark);
                });
            }
            return Ok(());
        };
        if matches!(
            kind,
            RecordType::Request(_) | RecordType::Exit(_) | RecordType::Header(_)
        ) {
            // Requests are never stored; the others are the daemon's to write.
            return Ok(());
        }
        let is_artifact = matches!(kind, RecordType::Artifact(_));
        let next_step = u64::try_from(self.next_step_of(mark.writer)).unwrap_or(0);
        self.batch.push_with(|out| {
            // `num` is the log's to give. Other fields, unknown ones included, stay byte for byte.
            let numbered = (record.num != 0).then(|| {
                pb::Record {
                    num: 0,
                    ..record.clone()
                }
                .encode_to_vec()
            });
            let bytes = numbered.as_deref().unwrap_or(bytes);
            if is_artifact {
                put_with_step(out, bytes, next_step);
            } else {
                out.extend_from_slice(bytes);
            }
            put_mark(out, mark);
        });
        self.apply_record(kind, mark.writer);
        self.tell_of_writer(mark.writer);
        Ok(())
    }

    /// Takes a record that comes with the opening of the run.
    pub(crate) fn preface(&mut self, record: &pb::Record) {
        let Some(kind) = &record.record_type else {
            return;
        };
        self.batch.push(
            &pb::Record {
                num: 0,
                ..record.clone()
            }
            .encode_to_vec(),
        );
        self.apply_record(kind, 0);
    }

    /// Applies what a record of a writer (0: of the run itself) says, other than a row.
    pub(super) fn apply_record(&mut self, kind: &RecordType, writer: u64) {
        match kind {
            RecordType::Config(record) => {
                for (path, error) in self.config.apply(record) {
                    self.remarks.push(Remark {
                        severity: 30,
                        text: format!("config value `{path}` left out: {error}"),
                    });
                }
            }
            RecordType::Summary(record) => self.apply_summary(record),
            RecordType::Metric(record) => match self.metrics.apply(record) {
                Ok(()) => {
                    self.summary.metrics_changed();
                    self.step_sync.metrics_changed();
                }
                Err(error) => self.remarks.push(Remark {
                    severity: 30,
                    text: error.to_string(),
                }),
            },
            RecordType::Run(record) => {
                self.inherit(record);
                merge_run(&mut self.run, record);
            }
            RecordType::OutputRaw(record) => {
                self.writers.prints(writer);
                self.console.write(writer, record);
            }
            RecordType::OutputLogger(record) => {
                self.console.write_logged(writer, record);
            }
            RecordType::Tbrecord(record) => self.tell_mirror(record, writer),
            RecordType::Exit(record) => self.exit = Some(record.clone()),
            _ => {}
        }
    }

    fn apply_summary(&mut self, record: &pb::SummaryRecord) {
        for item in &record.update {
            let path = KeyPath::of_item(&item.key, &item.nested_key);
            match runlane_model::json::parse(&item.value_json) {
                Ok(value) => self.summary.set(&mut self.keys, &path, &value),
                Err(error) => {
                    self.remarks.push(Remark {
                        severity: 30,
                        text: format!("summary value `{path}` left out: {error}"),
                    });
                }
            }
        }
        for item in &record.remove {
            self.summary
                .remove(&self.keys, &KeyPath::of_item(&item.key, &item.nested_key));
        }
    }

    /// Complete parts of the console, to be uploaded.
    pub(crate) fn add_console_files(&mut self, names: Vec<String>) {
        let file = |path| pb::FilesItem {
            path,
            policy: pb::files_item::PolicyType::Now.into(),
            r#type: pb::files_item::FileType::Wandb.into(),
        };
        let record = pb::Record {
            record_type: Some(RecordType::Files(pb::FilesRecord {
                files: names.into_iter().map(file).collect(),
                ..Default::default()
            })),
            ..Default::default()
        };
        self.batch.push(&record.encode_to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_is_a_field_of_the_artifact() {
        let artifact = pb::ArtifactRecord {
            name: "data".to_owned(),
            manifest: Some(pb::ArtifactManifest::default()),
            ..Default::default()
        };
        let record = |artifact| pb::Record {
            record_type: Some(RecordType::Artifact(artifact)),
            ..Default::default()
        };
        let mut given = record(artifact.clone()).encode_to_vec();
        put_varint(&mut given, 19 << 3 | 2);
        put_varint(&mut given, 2);
        given.extend_from_slice(b"id");
        let mut bytes = Vec::new();
        put_with_step(&mut bytes, &given, 300);
        let read = pb::Record::decode(&*bytes).expect("a record");
        let expected = pb::ArtifactRecord {
            runlane_next_step: 300,
            ..artifact
        };
        let expected = pb::Record {
            uuid: "id".to_owned(),
            ..record(expected)
        };
        assert_eq!(read, expected);
    }
}
