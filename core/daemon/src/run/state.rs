//! What a run is, as its entries make it: rows, summary, config, definitions. No I/O; what has to be written comes out as
//! encoded records.

mod ending;
mod losses;
mod merge;
mod metrics;
mod mirrored;
mod records;
mod replay;
#[cfg(test)]
mod twin;
mod writers;

use std::collections::BTreeMap;

use prost::Message;
use runlane_model::config::Config;
use runlane_model::json::{Object, Value};
use runlane_model::key_path::KeyPath;
use runlane_model::metric::MetricTable;
use runlane_model::row::{Call, KeyId, KeyTable, OpenRows, Row, StepBehind};
use runlane_model::step_sync::StepSync;
use runlane_model::summary::Summary;
use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::record::RecordType;
use thiserror::Error;

use self::mirrored::MirrorLog;
use self::writers::{Writers, put_introduction, put_writer_info};
use super::console::Console;
use super::decode::CallDecoder;
use super::encode::{Mark, RecordBatch, RowEncoder, put_mark};
use super::key_budget::KeyBudget;
use super::samples::Samples;
use crate::wire::{Field, Fields, WireError};

pub(crate) use self::merge::merge_run;

/// What rows of several writers carry beside `_step`: who logged them.
pub(crate) const LABEL_KEY: &str = "_label";
/// The rank of who logged a row, if a launcher gave one.
pub(crate) const RANK_KEY: &str = "_rank";

/// A record that says nothing, to carry a control; of a kind that every reader knows.
fn empty_record() -> Vec<u8> {
    pb::Record {
        record_type: Some(RecordType::Telemetry(pb::TelemetryRecord::default())),
        ..Default::default()
    }
    .encode_to_vec()
}

/// Whether a key of a labelled row names its writer.
pub(crate) fn is_writer_name(path: &KeyPath) -> bool {
    matches!(path.components(), [only] if only == LABEL_KEY || only == RANK_KEY)
}

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
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent settings, as they come from the user"
)]
pub(crate) struct StateSettings {
    pub(crate) typed_history: bool,
    /// Other processes log to the same run elsewhere: steps mean nothing, and every row names its writer.
    pub(crate) shared: bool,
    /// The run was given a label of its own.
    pub(crate) is_named: bool,
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
    open: OpenRows,
    writers: Writers,
    step_sync: StepSync,
    samples: Samples,
    decoder: CallDecoder,
    encoder: RowEncoder,
    pub(crate) console: Console,
    pub(crate) remarks: Vec<Remark>,
    /// Per writer, the highest entry applied.
    seqs: BTreeMap<u64, u64>,
    /// What the log says of TensorBoard event files.
    pub(crate) mirror: MirrorLog,
    /// The last value of each system metric that the log had when the run was taken up.
    carried_metrics: BTreeMap<String, f64>,
    /// Calls of the open rows as they came, for the pending file.
    pub(crate) open_calls: OpenCalls,
    /// Records to append.
    pub(crate) batch: RecordBatch,
    pub(crate) rows: u64,
    /// Rows, console records and calls that could not be kept.
    pub(crate) lost: u64,
    steps_behind: u64,
    told_of_steps: bool,
    /// Values that could not be read, and how many there were when the user was told.
    unreadable: u64,
    unreadable_told: u64,
    runtime_key: Option<KeyId>,
    step_key: Option<KeyId>,
    label_keys: Option<(KeyId, KeyId)>,
    last_runtime: f64,
}

/// Calls of the open rows of all writers, encoded, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct OpenCalls {
    pub(crate) calls: Vec<(Mark, Box<[u8]>)>,
    /// How many of them, from the first, the pending file holds.
    pub(crate) saved: usize,
    /// A row was committed since the pending file was written: some of what it holds is stale.
    pub(crate) stale: bool,
}

impl OpenCalls {
    /// The last call in a writer's open row.
    fn last_of(&self, writer: u64) -> Option<Mark> {
        let mut marks = self.calls.iter().rev().map(|(mark, _)| *mark);
        marks.find(|mark| mark.writer == writer)
    }

    /// A writer's row is committed: its calls are in the log.
    fn committed(&mut self, writer: u64) {
        let saved = self.saved;
        let mut kept = saved;
        let mut place = 0;
        self.calls.retain(|(mark, _)| {
            let is_other = mark.writer != writer;
            kept -= usize::from(!is_other && place < saved);
            place += 1;
            is_other
        });
        self.stale |= kept < saved;
        self.saved = kept;
    }
}

impl RunState {
    pub(crate) fn new(run: pb::RunRecord, settings: StateSettings) -> Self {
        let mut config = Config::default();
        if let Some(record) = &run.config {
            config.apply(record);
        }
        let open = OpenRows::new(run.starting_step, settings.shared);
        let writers = Writers::new(settings.shared, settings.is_named);
        let encoder = RowEncoder::new(settings.typed_history);
        let decoder = CallDecoder::new(settings.key_budget.clone());
        let mirror = MirrorLog::of(&run);
        Self {
            keys: KeyTable::default(),
            metrics: MetricTable::default(),
            config,
            run,
            exit: None,
            settings,
            summary: Summary::default(),
            open,
            writers,
            step_sync: StepSync::default(),
            samples: Samples::default(),
            decoder,
            encoder,
            console: Console::default(),
            remarks: Vec::new(),
            seqs: BTreeMap::new(),
            mirror,
            carried_metrics: BTreeMap::new(),
            open_calls: OpenCalls::default(),
            batch: RecordBatch::default(),
            rows: 0,
            lost: 0,
            steps_behind: 0,
            told_of_steps: false,
            unreadable: 0,
            unreadable_told: 0,
            runtime_key: None,
            step_key: None,
            label_keys: None,
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

    /// Up to which entry of each writer everything is in the log: the calls of an open row are not yet.
    pub(crate) fn seqs_in_log(&self) -> BTreeMap<u64, u64> {
        let mut seqs = self.seqs.clone();
        for (mark, _) in &self.open_calls.calls {
            if let Some(seq) = seqs.get_mut(&mark.writer) {
                *seq = (*seq).min(mark.seq - 1);
            }
        }
        seqs
    }

    /// The step that the next row gets, unless it names one.
    pub(crate) fn next_step(&self) -> i64 {
        self.open.next_step()
    }

    /// The step that the next row of a writer gets: that of its open row, if it has one.
    pub(crate) fn next_step_of(&self, writer: u64) -> i64 {
        self.open.next_step_of(writer)
    }

    /// Writes the run record, with who opens the run: all others that log to it are company. In shared mode the server is
    /// told who it is before anything is logged.
    pub(crate) fn begin(&mut self, run: pb::RunRecord, writer: u64, info: pb::RunlaneWriter) {
        let record = pb::Record {
            record_type: Some(RecordType::Run(run)),
            ..Default::default()
        };
        self.batch.push(&record.encode_to_vec());
        self.writers.joined(writer, info);
        let info = if self.settings.shared || self.settings.is_named {
            self.writers.news_of(writer)
        } else {
            None
        };
        self.batch
            .amend_last(|out| put_introduction(out, writer, info));
    }

    /// Writes who a writer is before it has a record of its own in the log: its row is open, and the pending file says
    /// nothing of it.
    fn introduce(&mut self, writer: u64) {
        if let Some(info) = self.writers.news_of(writer) {
            self.batch.push(&empty_record());
            self.batch
                .amend_last(|out| put_introduction(out, writer, Some(info)));
        }
    }

    /// A process is connected that may log to the run.
    pub(crate) fn writer_joined(&mut self, writer: u64, info: pb::RunlaneWriter) {
        self.writers.joined(writer, info);
    }

    /// Who a writer is, as far as it is known.
    pub(crate) fn writer_info(&self, writer: u64) -> Option<&pb::RunlaneWriter> {
        self.writers.info(writer)
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
                (3, Field::Bytes(loss)) if !applied => {
                    self.apply_loss(mark, loss, runtime)?;
                    applied = true;
                }
                (1..=3, _) => return Err(WireError("entry").into()),
                _ => {}
            }
        }
        self.seqs.insert(mark.writer, mark.seq);
        Ok(())
    }

    fn apply_call(&mut self, mark: Mark, bytes: &[u8], runtime: f64) -> Result<(), EntryError> {
        let call = self.decoder.decode(bytes, &mut self.keys)?;
        self.apply_decoded(mark, bytes, call, runtime);
        Ok(())
    }

    fn apply_decoded(&mut self, mark: Mark, bytes: &[u8], call: Call, runtime: f64) {
        if self.settings.shared && call.step.is_some() && !self.told_of_steps {
            self.told_of_steps = true;
            let text = "in shared mode `step` has no effect: each process counts its own rows\n\
                        hint: log a metric of your own and make it the x axis with `define_metric`"
                .to_owned();
            self.remarks.push(Remark { severity: 30, text });
        }
        let writer = mark.writer;
        let committed = match self.open.apply(&self.keys, writer, call) {
            Ok(committed) => committed,
            Err(behind) => {
                self.report_step_behind(&behind);
                self.pass(mark);
                return;
            }
        };
        self.writers.logs_row(writer);
        if let Some(row) = committed.earlier {
            // A later explicit step ended this row before this call was looked at: it ends with an earlier call.
            let last = self.open_calls.last_of(writer);
            self.commit(row, last.unwrap_or(mark), runtime);
            self.open_calls.committed(writer);
        }
        if let Some(row) = committed.row {
            self.commit(row, mark, runtime);
            if !self.open_calls.calls.is_empty() {
                self.open_calls.committed(writer);
            }
        } else {
            self.open_calls.calls.push((mark, bytes.into()));
            self.introduce(writer);
        }
        self.report_refusals();
    }

    /// Writes that an entry of which nothing is kept was here: the next daemon must not wait for it.
    fn pass(&mut self, mark: Mark) {
        self.batch.push(&empty_record());
        self.batch.amend_last(|out| put_mark(out, mark));
    }

    fn report_step_behind(&mut self, behind: &StepBehind) {
        self.steps_behind += 1;
        // Once, and then ever more rarely: a loop that is wrong once is wrong every time.
        if self.steps_behind.is_power_of_two() {
            let text = match self.steps_behind {
                1 => behind.to_string(),
                count => format!("{behind} ({count} calls so far)"),
            };
            self.remarks.push(Remark { severity: 30, text });
        }
    }

    /// Writes a row that ends with the call of `mark`.
    fn commit(&mut self, row: Row, mark: Mark, runtime: f64) {
        self.commit_of(row, mark.writer, Some(mark), runtime);
    }

    /// Writes a row that a writer has made; without a mark if no call of it is in the row.
    fn commit_of(&mut self, mut row: Row, writer: u64, mark: Option<Mark>, runtime: f64) {
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
        if self.writers.label_rows() {
            let label_keys = self.label_keys();
            // Whatever the user logged under these names: it is neither a metric nor the writer's name.
            row.items
                .retain(|(id, _)| *id != label_keys.0 && *id != label_keys.1);
            self.observe(&row);
            let (label, rank) = self.writers.name(writer);
            row.items.push((label_keys.0, Value::from(label)));
            row.items
                .extend(rank.map(|rank| (label_keys.1, Value::Int(rank.into()))));
        } else {
            self.observe(&row);
        }
        self.encoder.encode(&mut self.batch, &self.keys, &row, mark);
        self.tell_of_writer(writer);
    }

    fn label_keys(&mut self) -> (KeyId, KeyId) {
        let keys = &mut self.keys;
        *self.label_keys.get_or_insert_with(|| {
            (
                keys.intern(&KeyPath::flat(LABEL_KEY)),
                keys.intern(&KeyPath::flat(RANK_KEY)),
            )
        })
    }

    /// Adds to the record just written who its writer is, if the log has to say so.
    fn tell_of_writer(&mut self, writer: u64) {
        if let Some(info) = self.writers.news_of(writer) {
            self.batch.amend_last(|out| put_writer_info(out, &info));
        }
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

    /// The whole summary.
    pub(crate) fn summary(&mut self) -> Object {
        self.summary.to_object(&self.keys, &self.metrics)
    }

    /// Samples of every metric.
    pub(crate) fn sampled(&self, limit: usize) -> Vec<pb::SampledHistoryItem> {
        self.samples.items(&self.keys, limit)
    }
}
