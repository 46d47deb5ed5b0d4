//! What a run is, as its entries make it: rows, summary, config, definitions. No I/O; what has to be written comes out as
//! encoded records.

mod ending;
mod merge;
mod replay;

use std::collections::BTreeMap;

use prost::Message;
use runlane_model::config::Config;
use runlane_model::json::{Object, Value};
use runlane_model::key_path::KeyPath;
use runlane_model::metric::MetricTable;
use runlane_model::row::{KeyTable, Row, StepMerger};
use runlane_model::step_sync::StepSync;
use runlane_model::summary::Summary;
use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::record::RecordType;
use thiserror::Error;

use super::console::{Console, Line};
use super::decode::CallDecoder;
use super::encode::{Mark, RecordBatch, RowEncoder, put_mark};
use super::key_budget::KeyBudget;
use super::samples::Samples;
use crate::wire::{Field, Fields, WireError};

pub(crate) use self::merge::merge_run;

/// Entries that break the protocol; the connection they came on is closed.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum EntryError {
    /// The bytes are no entry.
    #[error("cannot read an entry: {0}")]
    Malformed(#[from] WireError),
    /// A record in an entry does not decode.
    #[error("cannot read a record: {0}")]
    Record(String),
    /// Entries are missing before this one.
    #[error("entries are missing: expected number {expected}, got {got}")]
    Gap {
        /// The next number in order.
        expected: u64,
        /// The number that came.
        got: u64,
    },
}

/// Something the user should see; severity as in a `Notice`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remark {
    pub(crate) severity: u32,
    pub(crate) text: String,
}

/// How a run starts.
#[derive(Debug, Clone, Default)]
pub(crate) struct StateSettings {
    pub(crate) typed_history: bool,
    pub(crate) ignore_steps: bool,
    /// Derive no summary from rows; the server does.
    pub(crate) explicit_summary_only: bool,
    pub(crate) key_budget: KeyBudget,
}

/// The state of one run.
#[derive(Debug)]
pub(crate) struct RunState {
    pub(crate) keys: KeyTable,
    pub(crate) metrics: MetricTable,
    pub(crate) config: Config,
    pub(crate) run: pb::RunRecord,
    pub(crate) exit: Option<pb::RunExitRecord>,
    settings: StateSettings,
    summary: Summary,
    merger: StepMerger,
    step_sync: StepSync,
    samples: Samples,
    decoder: CallDecoder,
    encoder: RowEncoder,
    console: Console,
    /// Lines for `output.log` since they were last taken.
    pub(crate) lines: Vec<Line>,
    pub(crate) remarks: Vec<Remark>,
    /// Per writer, the highest entry applied.
    seqs: BTreeMap<u64, u64>,
    /// The last call in the open row.
    open_mark: Option<Mark>,
    /// Calls of the open row as they came, for the pending file.
    pub(crate) open_calls: OpenCalls,
    /// Records to append.
    pub(crate) batch: RecordBatch,
    pub(crate) rows: u64,
    steps_behind: u64,
    /// Values that could not be read, and how many there were when the user was told.
    unreadable: u64,
    unreadable_told: u64,
    runtime_key: Option<runlane_model::row::KeyId>,
    step_key: Option<runlane_model::row::KeyId>,
    last_runtime: f64,
}

/// Calls of the open row, encoded.
#[derive(Debug, Default)]
pub(crate) struct OpenCalls {
    pub(crate) calls: Vec<(Mark, Box<[u8]>)>,
    /// How many of them the pending file holds.
    pub(crate) saved: usize,
    /// A row was committed since the pending file was written: what it holds is stale.
    pub(crate) stale: bool,
}

impl RunState {
    pub(crate) fn new(run: pb::RunRecord, settings: StateSettings) -> Self {
        let mut config = Config::default();
        if let Some(record) = &run.config {
            config.apply(record);
        }
        let merger = StepMerger::new(run.starting_step, settings.ignore_steps);
        let encoder = RowEncoder::new(settings.typed_history);
        let decoder = CallDecoder::new(settings.key_budget.clone());
        Self {
            keys: KeyTable::default(),
            metrics: MetricTable::default(),
            config,
            run,
            exit: None,
            settings,
            summary: Summary::default(),
            merger,
            step_sync: StepSync::default(),
            samples: Samples::default(),
            decoder,
            encoder,
            console: Console::default(),
            lines: Vec::new(),
            remarks: Vec::new(),
            seqs: BTreeMap::new(),
            open_mark: None,
            open_calls: OpenCalls::default(),
            batch: RecordBatch::default(),
            rows: 0,
            steps_behind: 0,
            unreadable: 0,
            unreadable_told: 0,
            runtime_key: None,
            step_key: None,
            last_runtime: 0.0,
        }
    }

    /// The highest entry of a writer that was applied.
    pub(crate) fn logged_seq(&self, writer: u64) -> u64 {
        self.seqs.get(&writer).copied().unwrap_or(0)
    }

    /// Gives up the entries of a writer below `seq`: the process that had them is dead.
    pub(crate) fn skip_to(&mut self, writer: u64, seq: u64) {
        self.seqs.insert(writer, seq.saturating_sub(1));
    }

    /// The highest entry of every writer.
    pub(crate) fn logged_seqs(&self) -> BTreeMap<u64, u64> {
        self.seqs.clone()
    }

    /// The step that the next row gets.
    pub(crate) fn next_step(&self) -> i64 {
        self.merger.step()
    }

    /// Applies the entry with number `seq` of `writer`; `runtime` is the run's age in seconds. An entry that was applied
    /// before is skipped.
    pub(crate) fn apply_entry(
        &mut self,
        mark: Mark,
        entry: &[u8],
        runtime: f64,
    ) -> Result<(), EntryError> {
        let logged = self.logged_seq(mark.writer);
        if mark.seq <= logged {
            return Ok(());
        }
        if mark.seq != logged + 1 {
            return Err(EntryError::Gap {
                expected: logged + 1,
                got: mark.seq,
            });
        }
        let mut fields = Fields::new(entry);
        let mut applied = false;
        while let Some(field) = fields.next_field()? {
            match field {
                (1, Field::Bytes(call)) if !applied => {
                    self.apply_call(mark, call, runtime)?;
                    applied = true;
                }
                (2, Field::Bytes(record)) if !applied => {
                    self.apply_client_record(mark, record)?;
                    applied = true;
                }
                (1 | 2, _) => return Err(WireError("entry").into()),
                _ => {}
            }
        }
        self.seqs.insert(mark.writer, mark.seq);
        Ok(())
    }

    fn apply_call(&mut self, mark: Mark, bytes: &[u8], runtime: f64) -> Result<(), EntryError> {
        let call = self.decoder.decode(bytes, &mut self.keys)?;
        // A later explicit step commits the open row before this call is looked at: that row ends with an earlier call.
        let closes_open_row = self.merger.is_open()
            && !self.settings.ignore_steps
            && call.step.is_some_and(|step| step > self.merger.step());
        let mut earlier = if closes_open_row {
            self.open_mark
        } else {
            None
        };
        let mut committed: [Option<Row>; 2] = [None, None];
        let outcome = self.merger.apply(&self.keys, call, &mut |row| {
            let slot = usize::from(committed[0].is_some());
            committed[slot] = Some(row);
        });
        if let Err(behind) = outcome {
            self.steps_behind += 1;
            // Once, and then ever more rarely: a loop that is wrong once is wrong every time.
            if self.steps_behind.is_power_of_two() {
                let text = match self.steps_behind {
                    1 => behind.to_string(),
                    count => format!("{behind} ({count} calls so far)"),
                };
                self.remarks.push(Remark { severity: 30, text });
            }
            return Ok(());
        }
        for row in committed.into_iter().flatten() {
            let mark = earlier.take().unwrap_or(mark);
            self.commit(row, Some(mark), runtime);
            self.open_calls.calls.clear();
            self.open_calls.stale |= self.open_calls.saved > 0;
            self.open_calls.saved = 0;
            self.open_mark = None;
        }
        if self.merger.is_open() {
            self.open_mark = Some(mark);
            self.open_calls.calls.push((mark, bytes.into()));
        }
        self.report_refusals();
        Ok(())
    }

    fn commit(&mut self, mut row: Row, mark: Option<Mark>, runtime: f64) {
        let summary = &self.summary;
        self.step_sync
            .fill(&mut self.keys, &self.metrics, &mut row, |id| {
                summary.last(id).cloned()
            });
        // Time never runs backwards within a run, whatever clock a replayed row is measured with.
        self.last_runtime = runtime.max(self.last_runtime);
        let keys = &mut self.keys;
        let runtime_key = *self
            .runtime_key
            .get_or_insert_with(|| keys.intern(&KeyPath::flat("_runtime")));
        let step_key = *self
            .step_key
            .get_or_insert_with(|| keys.intern(&KeyPath::flat("_step")));
        row.items
            .push((runtime_key, Value::Float(self.last_runtime)));
        row.items.push((step_key, Value::Int(row.step)));
        self.encoder.encode(&mut self.batch, &self.keys, &row, mark);
        self.observe(&row);
    }

    fn observe(&mut self, row: &Row) {
        if !self.settings.explicit_summary_only {
            self.summary.observe(&self.keys, &self.metrics, row);
        }
        self.samples.observe(row);
        self.rows += 1;
    }

    /// Remarks on what was left out of calls.
    fn report_refusals(&mut self) {
        for text in self.decoder.budget.take_remarks() {
            self.remarks.push(Remark { severity: 30, text });
        }
        if !self.decoder.refusals.any() {
            return;
        }
        let refusals = std::mem::take(&mut self.decoder.refusals);
        self.unreadable += refusals.unreadable;
        // A loop repeats its mistakes: told at once, and then ever more rarely.
        if self.unreadable >= self.unreadable_told.saturating_mul(2).max(1) {
            self.unreadable_told = self.unreadable;
            let (count, example) = (self.unreadable, refusals.example.unwrap_or_default());
            let text = format!("{count} logged values were left out so far: {example}");
            self.remarks.push(Remark { severity: 30, text });
        }
    }

    /// Takes a record of the client: into the log with its mark, then into the state.
    fn apply_client_record(&mut self, mark: Mark, bytes: &[u8]) -> Result<(), EntryError> {
        let record =
            pb::Record::decode(bytes).map_err(|error| EntryError::Record(error.to_string()))?;
        let Some(kind) = &record.record_type else {
            return Ok(());
        };
        if matches!(
            kind,
            RecordType::Request(_) | RecordType::Exit(_) | RecordType::Header(_)
        ) {
            // Requests are never stored; the others are the daemon's to write.
            return Ok(());
        }
        self.batch.push_with(|out| {
            // `num` is the log's to give. Other fields, unknown ones included, stay byte for byte.
            if record.num == 0 {
                out.extend_from_slice(bytes);
            } else {
                out.extend_from_slice(
                    &pb::Record {
                        num: 0,
                        ..record.clone()
                    }
                    .encode_to_vec(),
                );
            }
            put_mark(out, mark);
        });
        self.apply_record(kind);
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
        self.apply_record(kind);
    }

    /// Applies what a record other than a row says.
    fn apply_record(&mut self, kind: &RecordType) {
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
            RecordType::OutputRaw(record) => self.console.write(record, &mut self.lines),
            RecordType::OutputLogger(record) => {
                Console::write_logged(record, (0, 0), &mut self.lines);
            }
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

    /// The whole summary.
    pub(crate) fn summary(&mut self) -> Object {
        self.summary.to_object(&self.keys, &self.metrics)
    }

    /// Samples of every metric.
    pub(crate) fn sampled(&self, limit: usize) -> Vec<pb::SampledHistoryItem> {
        self.samples.items(&self.keys, limit)
    }
}
