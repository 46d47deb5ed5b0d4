//! Taking up a run that another process left: its log, its open row, what its writers spilled.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use prost::Message;
use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::record::RecordType;
use runlane_translog::{OsFs, ReadEvent, Reader};
use thiserror::Error;

use super::encode::Mark;
use super::journal::Journal;
use super::output_file::OutputFile;
use super::shelved::{self, Shelf};
use super::spilled::SpillFrame;
use super::state::{EntryError, RunState, StateSettings};
use super::{mirrored, pending, spilled};

/// Who wrote a log, by its header record.
pub(crate) const PRODUCER: &str = "runlane";

/// A run that cannot be taken up.
#[derive(Debug, Error)]
pub(crate) enum RecoverError {
    /// The log cannot be opened or appended to.
    #[error(transparent)]
    Log(#[from] runlane_translog::Error),
    /// A file beside the log cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The log says nothing of a run.
    #[error("the transaction log has no run record: `{}`", .0.display())]
    NoRun(PathBuf),
}

/// A run taken up again.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) state: RunState,
    pub(crate) journal: Journal,
}

/// Opens the log at `path` for appending and rebuilds the state that it describes. The open row of the pending file is
/// open again. `settings` apply to what is logged from now on.
pub(crate) fn take_up(path: &Path, settings: &StateSettings) -> Result<Recovered, RecoverError> {
    // The lock first: what is read below is then not written to by anyone.
    let mut journal = Journal::open(path)?;
    let mut reader = Reader::open(&OsFs, path)?;
    let mut state: Option<RunState> = None;
    let mut row_seqs: BTreeMap<u64, u64> = BTreeMap::new();
    loop {
        let bytes = match reader.next_event()? {
            ReadEvent::Record(record) => record.bytes,
            ReadEvent::Repeated(_) | ReadEvent::Damage(_) => continue,
            ReadEvent::End(_) => break,
        };
        let Ok(record) = pb::Record::decode(bytes) else {
            continue;
        };
        match (&mut state, &record.record_type) {
            (Some(state), _) => {
                let mark = state.replay(&record);
                if let (Some(mark), Some(RecordType::History(_))) = (mark, &record.record_type) {
                    let seq = row_seqs.entry(mark.writer).or_default();
                    *seq = mark.seq.max(*seq);
                }
            }
            (None, Some(RecordType::Run(run))) => {
                let mut new = RunState::new(run.clone(), settings.clone());
                new.read_writer(&record);
                state = Some(new);
            }
            _ => {}
        }
    }
    let mut state = state.ok_or_else(|| RecoverError::NoRun(path.to_owned()))?;
    state.lost += journal.damaged_records;
    let saved = pending::read(path).map_err(|source| RecoverError::Io {
        path: pending::path_of(path),
        source,
    })?;
    for (mark, call) in saved {
        // Each call once: a daemon that took the run up before has saved its open row again.
        let taken = row_seqs.entry(mark.writer).or_default();
        if mark.seq > *taken {
            *taken = mark.seq;
            let runtime = runtime_of_call(&call, &state.run).unwrap_or(0.0);
            if let Err(error) = state.restore_open_call(mark, &call, runtime) {
                tracing::error!(%error, path = %path.display(), "call of the pending file left out");
            }
        }
    }
    shelved::put_by(&shelved::of_the_dead(Some(path)));
    let left = shelved::files_of_the_dead(path).map_err(|source| RecoverError::Io {
        path: path.to_owned(),
        source,
    })?;
    for spill in left {
        absorb_spill(&spill, &mut state, &mut journal)?;
    }
    Ok(Recovered { state, journal })
}

/// Removes the log at `path` if nobody writes it and nobody's calls are in it: a daemon died before it had answered the process
/// that opened the run, which opens it again. Returns whether it was.
pub(crate) fn remove_unused(path: &Path) -> Result<bool, runlane_translog::Error> {
    // Held until the file is gone.
    let _lock = Journal::open(path)?;
    let mut reader = Reader::open(&OsFs, path)?;
    loop {
        let bytes = match reader.next_event()? {
            ReadEvent::Record(record) => record.bytes,
            ReadEvent::Repeated(_) => continue,
            ReadEvent::Damage(_) => return Ok(false),
            ReadEvent::End(_) => break,
        };
        let record = pb::Record::decode(bytes).unwrap_or_default();
        let is_a_call = record
            .control
            .is_some_and(|control| control.runlane_writer != 0);
        if is_a_call || matches!(record.record_type, Some(RecordType::Exit(_))) {
            return Ok(false);
        }
    }
    if pending::path_of(path).exists() {
        return Ok(false);
    }
    Ok(std::fs::remove_file(path).is_ok())
}

/// Applies the entries of a dead writer's spill file that are not in the log yet, and removes the file.
pub(crate) fn absorb_spill(
    path: &Path,
    state: &mut RunState,
    journal: &mut Journal,
) -> Result<(), RecoverError> {
    let io_error = |source| RecoverError::Io {
        path: path.to_owned(),
        source,
    };
    if let Some(mut reader) = spilled::SpillReader::open(path).map_err(io_error)? {
        let writer = reader.writer();
        while let Some(frame) = reader.next_frame().map_err(io_error)? {
            apply_frame(&frame, writer, state);
            journal.append(&mut state.batch, Instant::now())?;
        }
    }
    journal.remove_when_written(path).map_err(io_error)
}

/// Applies the entries on a dead writer's shelf that are not in the log yet, and removes it.
pub(crate) fn absorb_shelf(
    path: &Path,
    writer: u64,
    state: &mut RunState,
    journal: &mut Journal,
) -> Result<(), RecoverError> {
    let io_error = |source| RecoverError::Io {
        path: path.to_owned(),
        source,
    };
    let shelf = Shelf::read(path).map_err(io_error)?;
    let Some(shelf) = shelf.filter(|shelf| shelf.header.writer == writer) else {
        return Ok(());
    };
    for frame in shelf.frames() {
        apply_frame(&frame, writer, state);
    }
    journal.append(&mut state.batch, Instant::now())?;
    journal.remove_when_written(path).map_err(io_error)
}

fn apply_frame(frame: &SpillFrame, writer: u64, state: &mut RunState) {
    for (seq, entry) in (frame.first_seq..).zip(frame.entries()) {
        let runtime = runtime_of_entry(entry, &state.run).unwrap_or(0.0);
        match state.apply_entry(Mark { writer, seq }, entry, runtime) {
            Ok(()) => {}
            Err(EntryError::Gap { .. }) => {
                // What is between was in the dead process's memory: it is gone, the rest is not.
                let reason = "the process died before they were written";
                state.lose_up_to(writer, seq, reason, runtime);
                if let Err(error) = state.apply_entry(Mark { writer, seq }, entry, runtime) {
                    tracing::error!(%error, "entry of a dead process left out");
                }
            }
            Err(error) => {
                let reason = format!("it cannot be read: {error}");
                state.lose_up_to(writer, seq + 1, &reason, runtime);
            }
        }
    }
}

/// Closes a run whose processes and daemon died: its open row and spilled entries go into the log. Nothing is done if there
/// is nothing to take over or somebody writes the log; whether anything was done.
pub(crate) fn absorb_leftovers(path: &Path) -> Result<bool, RecoverError> {
    let io_error = |source| RecoverError::Io {
        path: path.to_owned(),
        source,
    };
    let spills = spilled::spill_files_of(path).map_err(io_error)?;
    let shelves = shelved::of_the_dead(Some(path));
    if spills.is_empty() && shelves.is_empty() && !pending::path_of(path).exists() {
        return Ok(false);
    }
    let mut recovered = match take_up(path, &StateSettings::default()) {
        Err(RecoverError::Log(runlane_translog::Error::Locked { .. })) => return Ok(false),
        other => other?,
    };
    let (state, journal) = (&mut recovered.state, &mut recovered.journal);
    if state.exit.is_none() {
        for spill in &spills {
            absorb_spill(spill, state, journal)?;
        }
        mirrored::read_to_the_end(path, state, journal)?;
        state.write_death(0.0);
        journal.append(&mut state.batch, Instant::now())?;
        journal.sync()?;
        if let Some(directory) = path.parent() {
            let mut output = OutputFile::left_in(&directory.join("files"));
            output.take_up(path, &mut state.console, Instant::now());
            output.end(state.console.take_changes(), Instant::now());
        }
    }
    pending::PendingFile::beside(path)
        .remove()
        .map_err(io_error)?;
    Ok(true)
}

/// The age of the run when an entry's call was made, by the call's own `_timestamp`: the entry may have waited for hours.
pub(crate) fn runtime_of_entry(entry: &[u8], run: &pb::RunRecord) -> Option<f64> {
    match runlane_proto::local::Entry::decode(entry).ok()?.entry? {
        runlane_proto::local::entry::Entry::Call(call) => runtime_of(&call, run),
        runlane_proto::local::entry::Entry::Record(_)
        | runlane_proto::local::entry::Entry::Loss(_) => None,
    }
}

fn runtime_of_call(call: &[u8], run: &pb::RunRecord) -> Option<f64> {
    runtime_of(&pb::PartialHistoryRequest::decode(call).ok()?, run)
}

fn runtime_of(call: &pb::PartialHistoryRequest, run: &pb::RunRecord) -> Option<f64> {
    use pb::history_item::Value as Typed;
    let item = call
        .item
        .iter()
        .find(|item| item.key == "_timestamp" || item.nested_key == ["_timestamp"])?;
    let timestamp = match &item.value {
        Some(Typed::Number(seconds)) => *seconds,
        _ => item.value_json.parse().ok()?,
    };
    let started = run.start_time.as_ref().map(seconds_of)?;
    let runtime = timestamp - started + f64::from(run.runtime);
    (runtime.is_finite() && runtime >= 0.0).then_some(runtime)
}

/// Unix seconds of a protobuf timestamp.
pub(crate) fn seconds_of(time: &prost_types::Timestamp) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a date needs fewer digits")]
    let seconds = time.seconds as f64;
    seconds + f64::from(time.nanos) / 1e9
}
