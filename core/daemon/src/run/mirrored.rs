//! TensorBoard event files of a run whose processes and daemon died: what they hold goes into the log.

use std::path::Path;
use std::time::{Duration, Instant};

use super::journal::Journal;
use super::state::RunState;
use crate::tensorboard::{Mirror, Mirrored, OsDisk};

/// Reads the event files of the run with the log at `path` to their ends. Files that are not here (the run is another machine's)
/// are passed over.
pub(super) fn read_to_the_end(
    path: &Path,
    state: &mut RunState,
    journal: &mut Journal,
) -> Result<(), runlane_translog::Error> {
    let Some(directory) = path.parent().and_then(Path::to_str) else {
        return Ok(());
    };
    if state.mirror.told.is_empty() {
        return Ok(());
    }
    let disk = Box::new(OsDisk::new(&format!("{directory}/files")));
    let mut mirror = Mirror::new(state.mirror.started, disk, &state.mirror.files);
    let mut remarks = Vec::new();
    for told in state.mirror.told.clone() {
        mirror.tell(told, Duration::ZERO, &mut remarks);
    }
    mirror.begin_end();
    loop {
        let polled = mirror.poll(Duration::ZERO);
        remarks.extend(polled.remarks);
        for found in polled.found {
            match found {
                Mirrored::Opened(opened) => state.write_opened(&opened),
                Mirrored::Row(row) => state.write_mirrored(row, 0.0),
            }
        }
        journal.append(&mut state.batch, Instant::now())?;
        if polled.done {
            break;
        }
    }
    for remark in remarks {
        tracing::warn!(remark = %remark.text, "event files of a run that was left");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use runlane_proto::wandb_internal as pb;
    use runlane_proto::wandb_internal::record::RecordType;
    use runlane_translog::{OsFs, ReadEvent, Reader};

    use super::super::encode::{Mark, RecordBatch, put_mark};
    use super::super::state::StateSettings;
    use super::*;
    use crate::run::recover::take_up;
    use crate::tensorboard::{framed, writing};

    fn steps_in(path: &Path) -> Vec<String> {
        let mut reader = Reader::open(&OsFs, path).expect("a log");
        let mut found = Vec::new();
        loop {
            let bytes = match reader.next_event().expect("readable") {
                ReadEvent::Record(record) => record.bytes,
                ReadEvent::End(_) => return found,
                ReadEvent::Repeated(_) | ReadEvent::Damage(_) => continue,
            };
            let record = pb::Record::decode(bytes).expect("a record");
            if let Some(RecordType::History(history)) = record.record_type {
                let step = history
                    .item
                    .iter()
                    .find(|it| it.nested_key == ["global_step"]);
                found.extend(step.map(|item| item.value_json.clone()));
            }
        }
    }

    #[test]
    fn what_files_hold_that_nobody_read_is_in_the_log_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let logs = directory.path().join("tb");
        std::fs::create_dir(&logs).expect("made");
        let event = |step| framed(&writing::event(step, 1.0, &[writing::scalar("x", 1.0)]));
        let file = logs.join("events.out.tfevents.5.vm");
        std::fs::write(&file, [event(1), event(2)].concat()).expect("written");
        let path = directory.path().join("run-x.wandb");
        let mut journal = Journal::create(&path).expect("a log");
        let mut batch = RecordBatch::default();
        let told = pb::TbRecord {
            log_dir: logs.to_str().expect("UTF-8").to_owned(),
            ..Default::default()
        };
        for kind in [
            RecordType::Run(pb::RunRecord::default()),
            RecordType::Tbrecord(told),
        ] {
            let record = pb::Record {
                record_type: Some(kind),
                ..Default::default()
            };
            batch.push_with(|out| {
                out.extend(record.encode_to_vec());
                put_mark(out, Mark { writer: 7, seq: 1 });
            });
        }
        journal.append(&mut batch, Instant::now()).expect("written");
        drop(journal);
        // Twice: what the first one wrote is not written again.
        for _ in 0..2 {
            let mut recovered = take_up(&path, &StateSettings::default()).expect("taken up");
            read_to_the_end(&path, &mut recovered.state, &mut recovered.journal).expect("read");
            assert_eq!(steps_in(&path), ["1", "2"]);
        }
        std::fs::remove_dir_all(&logs).expect("removed");
        let mut recovered = take_up(&path, &StateSettings::default()).expect("taken up");
        read_to_the_end(&path, &mut recovered.state, &mut recovered.journal).expect("read");
        assert_eq!(steps_in(&path), ["1", "2"]);
    }
}
