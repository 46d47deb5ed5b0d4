//! Random calls of several writers, with deaths of writers and of the daemon, against a plain twin that keeps each writer's
//! rows by themselves.

use std::collections::BTreeMap;

use proptest::prelude::*;
use prost::Message;
use runlane_proto::local;
use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::history_item::Value as Typed;
use runlane_proto::wandb_internal::record::RecordType;

use super::super::encode::Mark;
use super::super::pending::PendingFile;
use super::super::recover::take_up;
use super::{LABEL_KEY, RunState, StateSettings};
use crate::run::journal::Journal;

const WRITERS: u64 = 3;

#[derive(Debug, Clone)]
enum Event {
    /// A call of a writer: which key it writes, its step, its `commit`.
    Call(u64, u8, Option<i64>, Option<bool>),
    /// A writer's process is gone; another one takes its place.
    Gone(u64),
    /// The daemon is killed; the next one takes the run up.
    Killed,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let call = (
        0..WRITERS,
        0..3_u8,
        proptest::option::weighted(0.6, 0..8_i64),
        proptest::option::weighted(0.3, any::<bool>()),
    )
        .prop_map(|(writer, key, step, commit)| Event::Call(writer, key, step, commit));
    let event =
        prop_oneof![12 => call, 1 => (0..WRITERS).prop_map(Event::Gone), 1 => Just(Event::Killed)];
    proptest::collection::vec(event, 0..60)
}

/// A row as both sides show it: the step that calls named, and the last value of each key.
type Row = (Option<i64>, BTreeMap<String, i64>);

/// One writer of the twin: the rule of one process, written down once more.
#[derive(Default)]
struct Twin {
    rows: Vec<Row>,
    open: Option<Row>,
    /// The smallest step that may still be named.
    floor: i64,
}

impl Twin {
    fn close(&mut self) {
        self.rows.extend(self.open.take());
    }
}

/// A run with its files, as the actor keeps it.
struct Run {
    directory: tempfile::TempDir,
    state: RunState,
    journal: Journal,
    pending: PendingFile,
}

impl Run {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("run-x.wandb");
        let mut state = RunState::new(pb::RunRecord::default(), StateSettings::default());
        let run = pb::RunRecord {
            run_id: "x".to_owned(),
            ..Default::default()
        };
        state.begin(run, 1 << 40, pb::RunlaneWriter::default());
        let mut run = Self {
            journal: Journal::create(&path).expect("a new log"),
            pending: PendingFile::beside(&path),
            directory,
            state,
        };
        run.write_out();
        run
    }

    fn write_out(&mut self) {
        let now = std::time::Instant::now();
        self.journal
            .append(&mut self.state.batch, now)
            .expect("appended");
        self.pending
            .save(&mut self.state.open_calls)
            .expect("saved");
    }

    /// The next daemon, which knows nothing but the files.
    fn reborn(self) -> Self {
        let Self {
            directory,
            state,
            journal,
            pending,
        } = self;
        drop((state, journal, pending));
        let path = directory.path().join("run-x.wandb");
        let recovered = take_up(&path, &StateSettings::default()).expect("taken up");
        let mut run = Self {
            directory,
            state: recovered.state,
            journal: recovered.journal,
            pending: PendingFile::beside(&path),
        };
        run.write_out();
        run
    }

    fn rows(&self) -> Vec<pb::Record> {
        let path = self.directory.path().join("run-x.wandb");
        let mut reader =
            runlane_translog::Reader::open(&runlane_translog::OsFs, &path).expect("a log");
        let mut found = Vec::new();
        loop {
            match reader.next_event().expect("readable") {
                runlane_translog::ReadEvent::Record(record) => {
                    let record = pb::Record::decode(record.bytes).expect("a record");
                    if matches!(record.record_type, Some(RecordType::History(_))) {
                        found.push(record);
                    }
                }
                runlane_translog::ReadEvent::End(_) => return found,
                _ => {}
            }
        }
    }
}

fn entry(key: u8, value: i64, step: Option<i64>, commit: Option<bool>) -> Vec<u8> {
    let call = pb::PartialHistoryRequest {
        item: vec![pb::HistoryItem {
            key: format!("k{key}"),
            value: Some(Typed::Integer(value)),
            ..Default::default()
        }],
        step: step.map(|num| pb::HistoryStep { num }),
        action: commit.map(|flush| pb::HistoryAction { flush }),
        ..Default::default()
    };
    local::Entry {
        entry: Some(local::entry::Entry::Call(call)),
    }
    .encode_to_vec()
}

/// What a row of the log says: its step, its label, the keys that were logged.
fn shown(record: &pb::Record) -> (i64, Option<String>, BTreeMap<String, i64>) {
    let Some(RecordType::History(history)) = &record.record_type else {
        panic!("a row")
    };
    let mut label = None;
    let mut keys = BTreeMap::new();
    for item in &history.item {
        let [key] = item.nested_key.as_slice() else {
            panic!("a flat key")
        };
        if key == LABEL_KEY {
            label = Some(item.value_json.trim_matches('"').to_owned());
        } else if key.starts_with('k') {
            keys.insert(key.clone(), item.value_json.parse().expect("a number"));
        }
    }
    (history.step.map_or(0, |step| step.num), label, keys)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_writer_touches_the_rows_of_another(events in events()) {
        let mut run = Run::new();
        let mut twins: BTreeMap<u64, Twin> = BTreeMap::new();
        // Number of the process in each place: one that is gone is followed by another writer.
        let mut incarnations: BTreeMap<u64, u64> = BTreeMap::new();
        let writer_in = |incarnations: &BTreeMap<u64, u64>, place: u64| {
            1 + place + WRITERS * incarnations.get(&place).copied().unwrap_or(0)
        };
        let mut seqs: BTreeMap<u64, u64> = BTreeMap::new();
        let mut value = 0;
        // Where the run's steps stand: behind every step that was named or given.
        let mut next = 0;
        for event in events {
            match event {
                Event::Call(place, key, step, commit) => {
                    let writer = writer_in(&incarnations, place);
                    let seq = seqs.entry(writer).or_default();
                    *seq += 1;
                    value += 1;
                    let info = pb::RunlaneWriter { label: format!("w{writer}"), ..Default::default() };
                    run.state.writer_joined(writer, info);
                    run.state
                        .apply_entry(Mark { writer, seq: *seq }, &entry(key, value, step, commit), 1.0)
                        .expect("applied");
                    run.write_out();
                    let twin = twins.entry(writer).or_default();
                    if let Some(given) = step {
                        if given < twin.floor {
                            continue;
                        }
                        if given > twin.floor {
                            // Closed by a later step: what it is not part of gets the run's next step.
                            if twin.open.as_ref().is_some_and(|(named, _)| named.is_none()) {
                                next += 1;
                            }
                            twin.close();
                        }
                        twin.floor = given;
                        next = next.max(given + 1);
                    }
                    let open = twin.open.get_or_insert_with(|| (None, BTreeMap::new()));
                    open.0 = step.or(open.0);
                    open.1.insert(format!("k{key}"), value);
                    if commit.unwrap_or(step.is_none()) {
                        if let Some(named) = open.0 {
                            twin.floor = named + 1;
                        } else {
                            next += 1;
                            twin.floor = next;
                        }
                        twin.close();
                    }
                }
                Event::Gone(place) => {
                    let writer = writer_in(&incarnations, place);
                    run.state.writer_gone(writer, 1.0);
                    run.write_out();
                    if let Some(twin) = twins.get_mut(&writer) {
                        if twin.open.as_ref().is_some_and(|(named, _)| named.is_none()) {
                            next += 1;
                        }
                        twin.close();
                    }
                    *incarnations.entry(place).or_default() += 1;
                }
                Event::Killed => run = run.reborn(),
            }
            prop_assert_eq!(run.state.next_step(), next);
        }
        run.state.write_exit(pb::RunExitRecord::default(), 2.0);
        run.write_out();
        let mut found: BTreeMap<u64, Vec<pb::Record>> = BTreeMap::new();
        for record in run.rows() {
            let control = record.control.clone().expect("marked");
            found.entry(control.runlane_writer).or_default().push(record);
        }
        for (writer, twin) in &mut twins {
            twin.close();
            let rows = found.remove(writer).unwrap_or_default();
            prop_assert_eq!(rows.len(), twin.rows.len(), "rows of writer {}", writer);
            for (record, (named, keys)) in rows.iter().zip(&twin.rows) {
                let (step, label, logged) = shown(record);
                prop_assert_eq!(&logged, keys);
                if let Some(named) = named {
                    prop_assert_eq!(step, *named);
                }
                // All of these joined the run: each of their rows says so.
                prop_assert_eq!(label, Some(format!("w{writer}")));
            }
        }
        prop_assert!(found.is_empty(), "rows of nobody");
    }
}
