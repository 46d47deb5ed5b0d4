//! The run as its log tells it, record by record: what is to be sent of each, and what the run looks like by then.

mod lines;
mod writers;

use std::collections::BTreeMap;

use prost::Message;
use runlane_model::config::Config;
use runlane_model::environment;
use runlane_model::json::{Object, Value, parse};
use runlane_model::key_path::KeyPath;
use runlane_model::metric::MetricTable;
use runlane_model::row::{KeyTable, Row};
use runlane_model::summary::Summary;
use runlane_model::{telemetry, tree};
use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::record::RecordType;

pub(crate) use self::lines::LineFormat;
use self::lines::{console_line, line_of, metrics_line};
use self::writers::LogWriters;
use super::stream::Lines;
use crate::run::console::{Changes, Console};
use crate::run::recover::{PRODUCER, seconds_of};
use crate::run::state::{is_writer_name, merge_run};

/// What one record leads to.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) lines: Vec<(Lines, String)>,
    pub(crate) console: Option<ConsoleLines>,
    pub(crate) files: Vec<pb::FilesItem>,
    pub(crate) alerts: Vec<pb::AlertRecord>,
    pub(crate) preempting: bool,
    pub(crate) warnings: Vec<String>,
}

/// What has changed of the console.
#[derive(Debug, Default)]
pub(crate) struct ConsoleLines {
    /// New and changed lines by number.
    pub(crate) lines: Vec<(u64, String)>,
    /// Lines before this number never change again.
    pub(crate) fixed: u64,
}

/// Where a resumed run goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Shift {
    pub(crate) step: i64,
    pub(crate) runtime: f64,
}

/// A run, folded from its records.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent marks of what has changed"
)]
pub(crate) struct Projection {
    pub(crate) run: Option<pb::RunRecord>,
    /// Entity, project and id as the first run record has them.
    pub(crate) asked: pb::RunRecord,
    pub(crate) config: Config,
    pub(crate) exit: Option<pb::RunExitRecord>,
    /// Records of what cannot be uploaded from a log: directories of TensorBoard that another client followed.
    pub(crate) kept: u64,
    /// The step of the last row.
    last_step: Option<i64>,
    /// Rows, lines and other data that could not be kept, by the log's markers.
    pub(crate) lost: u64,
    pub(crate) format: LineFormat,
    /// The server derives the summary from the rows: only values set by hand are sent.
    pub(crate) explicit_summary_only: bool,
    /// Added to steps and runtimes of the log's rows: the log counts from 0, the server's run goes on.
    pub(crate) shift: Shift,
    /// Changes of the run itself and its config since they were last sent.
    pub(crate) run_changed: bool,
    pub(crate) config_changed: bool,
    pub(crate) summary_changed: bool,
    /// Written by us: the summary follows from the rows.
    is_ours: bool,
    keys: KeyTable,
    metrics: MetricTable,
    derived: Summary,
    /// The summary as summary records alone make it.
    recorded: Object,
    telemetry: pb::TelemetryRecord,
    environments: BTreeMap<String, pb::EnvironmentRecord>,
    writers: LogWriters,
    console: Console,
}

impl Projection {
    /// Before the first record.
    pub(crate) fn new(format: LineFormat) -> Self {
        Self {
            format,
            ..Self::default()
        }
    }

    /// Whether the log says that a server told it where to go on: its steps are the server's.
    pub(crate) fn has_met_server(&self) -> bool {
        self.run.as_ref().is_some_and(|run| {
            run.resumed || run.forked || run.starting_step > 0 || !run.storage_id.is_empty()
        })
    }

    /// Whether a record belongs to the head of a log, before anything was logged.
    pub(crate) fn is_head(record: &pb::Record) -> bool {
        use RecordType::{Config, Environment, Files, Header, Metric, Run, Telemetry};
        matches!(
            record.record_type,
            None | Some(
                Header(_)
                    | Run(_)
                    | Environment(_)
                    | Telemetry(_)
                    | Files(_)
                    | Config(_)
                    | Metric(_)
            )
        )
    }

    /// Applies one record.
    pub(crate) fn apply(&mut self, record: &pb::Record) -> Effects {
        let mut effects = Effects::default();
        let marked = record
            .control
            .as_ref()
            .is_some_and(|control| control.runlane_seq > 0);
        let loss = record
            .control
            .as_ref()
            .and_then(|control| control.runlane_loss.as_ref());
        self.lost += loss.map_or(0, |loss| loss.count);
        let writer = self.writers.read(record);
        match &record.record_type {
            Some(RecordType::Header(header)) => {
                let producer = header
                    .version_info
                    .as_ref()
                    .map_or("", |version| version.producer.as_str());
                self.is_ours = producer.split(' ').next() == Some(PRODUCER);
            }
            Some(RecordType::Run(run)) => self.run_record(run),
            Some(RecordType::History(history)) => self.row(history, writer, &mut effects),
            Some(RecordType::Summary(summary)) => self.summary_record(summary, marked),
            Some(RecordType::Config(config)) => {
                for (path, error) in self.config.apply(config) {
                    effects
                        .warnings
                        .push(format!("config value `{path}` left out: {error}"));
                }
                self.config_changed = true;
            }
            Some(RecordType::Metric(metric)) => {
                if let Err(error) = self.metrics.apply(metric) {
                    effects.warnings.push(error.to_string());
                }
                self.derived.metrics_changed();
                self.config_changed = true;
            }
            Some(RecordType::Telemetry(newer)) if *newer == pb::TelemetryRecord::default() => {}
            Some(RecordType::Telemetry(newer)) => {
                telemetry::merge(&mut self.telemetry, newer);
                self.config_changed = true;
            }
            Some(RecordType::Environment(newer)) => {
                let entry = self
                    .environments
                    .entry(newer.writer_id.clone())
                    .or_default();
                environment::merge(entry, newer);
                self.config_changed = true;
            }
            Some(RecordType::Stats(stats)) => effects.lines.push(self.stats(stats)),
            Some(RecordType::OutputRaw(_)) => {
                self.writers.prints(writer);
                self.console.read(record);
                effects.console = Some(self.take_console());
            }
            Some(RecordType::OutputLogger(_)) => {
                self.console.read(record);
                effects.console = Some(self.take_console());
            }
            Some(RecordType::Files(files)) => effects.files.clone_from(&files.files),
            Some(RecordType::Alert(alert)) => effects.alerts.push(alert.clone()),
            Some(RecordType::Preempting(_)) => effects.preempting = true,
            Some(RecordType::Exit(exit)) => self.exit = Some(exit.clone()),
            // What a process of ours followed is in the log as rows; of others' directories nobody knows what became.
            Some(RecordType::Tbrecord(_)) if !self.is_ours => self.kept += 1,
            _ => {}
        }
        effects
    }

    /// The log has ended: no console line changes any more.
    pub(crate) fn end(&mut self) -> Effects {
        self.console.finish();
        Effects {
            console: Some(self.take_console()),
            ..Effects::default()
        }
    }

    fn run_record(&mut self, run: &pb::RunRecord) {
        if let Some(config) = &run.config {
            self.config.apply(config);
            self.config_changed = true;
        }
        if let Some(newer) = &run.telemetry {
            telemetry::merge(&mut self.telemetry, newer);
        }
        if let Some(summary) = &run.summary {
            self.inherit_record(summary);
        }
        if let Some(known) = &mut self.run {
            merge_run(known, run);
        } else {
            self.asked.entity.clone_from(&run.entity);
            self.asked.project.clone_from(&run.project);
            self.asked.run_id.clone_from(&run.run_id);
            self.run = Some(run.clone());
        }
        self.run_changed = true;
    }

    fn row(&mut self, history: &pb::HistoryRecord, writer: u64, effects: &mut Effects) {
        let step = history.step.map(|step| step.num + self.shift.step);
        self.last_step = step.or(self.last_step);
        let mut leaves: Vec<(KeyPath, Value)> = Vec::with_capacity(history.item.len() + 1);
        for item in &history.item {
            let path = KeyPath::of_item(&item.key, &item.nested_key);
            let mut value = match parse(&item.value_json) {
                Ok(value) => value,
                Err(error) => {
                    effects
                        .warnings
                        .push(format!("value `{path}` left out: {error}"));
                    continue;
                }
            };
            if let ([only], true) = (path.components(), self.shift != Shift::default()) {
                value = self.shifted(only, value);
            }
            leaves.push((path, value));
        }
        let is_step = |path: &KeyPath| matches!(path.components(), [only] if only == "_step");
        if let Some(step) = step
            && !leaves.iter().any(|(path, _)| is_step(path))
        {
            leaves.push((KeyPath::flat("_step"), Value::Int(step)));
        }
        let line = line_of(&leaves);
        self.summary_changed = true;
        if self.is_ours {
            let is_named = self.writers.has_named(writer);
            let items = leaves
                .into_iter()
                .filter(|(path, _)| !(is_named && is_writer_name(path)))
                .map(|(path, value)| (self.keys.intern(&path), value))
                .collect();
            let row = Row {
                step: step.unwrap_or(0),
                items,
            };
            if !self.explicit_summary_only {
                self.derived.observe(&self.keys, &self.metrics, &row);
            }
        }
        if line.len() > self.format.max_line_bytes {
            effects.warnings.push(format!(
                "a row of {} bytes is too long and is not uploaded",
                line.len()
            ));
        } else {
            effects.lines.push((Lines::History, line));
        }
    }

    fn shifted(&self, key: &str, value: Value) -> Value {
        match (key, &value) {
            ("_step", Value::Int(step)) => Value::Int(step + self.shift.step),
            ("_runtime", number) => number.as_f64().map_or(value.clone(), |runtime| {
                Value::Float(runtime + self.shift.runtime)
            }),
            _ => value,
        }
    }

    fn summary_record(&mut self, record: &pb::SummaryRecord, marked: bool) {
        self.summary_changed = true;
        let internal =
            |item: &pb::SummaryItem| item.nested_key.first().is_some_and(|key| key == "_wandb");
        for item in &record.update {
            let path = KeyPath::of_item(&item.key, &item.nested_key);
            let Ok(value) = parse(&item.value_json) else {
                continue;
            };
            // Of our own logs, values without a mark repeat what the rows say.
            if !self.is_ours {
                tree::set(&mut self.recorded, &path, value);
            } else if marked || internal(item) {
                self.derived.set(&mut self.keys, &path, &value);
            }
        }
        for item in &record.remove {
            let path = KeyPath::of_item(&item.key, &item.nested_key);
            if !self.is_ours {
                tree::remove(&mut self.recorded, &path);
            } else if marked {
                self.derived.remove(&self.keys, &path);
            }
        }
    }

    /// Values that a resumed run had before, below those of this log.
    pub(crate) fn inherit_summary(&mut self, text: &str) {
        let Ok(object) = runlane_model::json::parse_object(text) else {
            return;
        };
        for (key, value) in object {
            if key != "_step" {
                self.inherit_value(&KeyPath::flat(key), value);
            }
        }
    }

    fn inherit_record(&mut self, record: &pb::SummaryRecord) {
        for item in &record.update {
            if let Ok(value) = parse(&item.value_json) {
                self.inherit_value(&KeyPath::of_item(&item.key, &item.nested_key), value);
            }
        }
    }

    fn inherit_value(&mut self, path: &KeyPath, value: Value) {
        self.summary_changed = true;
        if self.is_ours {
            let mut items = Vec::new();
            tree::visit_leaves(path, &value, &mut |leaf, value| {
                items.push((self.keys.intern(&leaf), value.clone()));
            });
            self.derived
                .observe_items(&self.keys, &self.metrics, &items);
        } else if tree::get(&self.recorded, path).is_none() {
            tree::set(&mut self.recorded, path, value);
        }
    }

    fn stats(&self, stats: &pb::StatsRecord) -> (Lines, String) {
        let at = stats.timestamp.as_ref().map_or(0.0, seconds_of);
        let started = self
            .run
            .as_ref()
            .and_then(|run| run.start_time.as_ref())
            .map_or(at, seconds_of);
        let label = if self.format.label.is_empty() {
            self.writers.own_label()
        } else {
            &self.format.label
        };
        let runtime = (at - started).max(0.0) + self.shift.runtime;
        (Lines::Events, metrics_line(at, runtime, &stats.item, label))
    }

    fn take_console(&mut self) -> ConsoleLines {
        let Changes { lines, fixed } = self.console.take_changes();
        let lines = lines.into_iter().map(|(number, line)| {
            let label = self.writers.line_label(line.writer, &self.format.label);
            let text = console_line(&line, self.format.structured_console, &label);
            (number, text)
        });
        ConsoleLines {
            lines: lines.collect(),
            fixed,
        }
    }

    /// The step at which an artifact was logged, as W&B's client tells it: the one before that of the row being made; none before
    /// the first row.
    pub(crate) fn step_of(&self, record: &pb::ArtifactRecord) -> Option<i64> {
        if self.is_ours {
            let step = record.runlane_next_step - 1;
            (step >= 0).then_some(step + self.shift.step)
        } else {
            self.last_step
        }
    }

    /// The log's writer in shared mode, where others write to the same run elsewhere.
    pub(crate) fn shared(&self) -> Option<&pb::RunlaneWriter> {
        self.writers.shared()
    }

    /// Whether another process or host is the primary writer of the run.
    pub(crate) fn joins(&self) -> bool {
        self.shared().is_some_and(|writer| writer.joins)
    }

    /// Longest line that the server takes.
    pub(crate) fn max_line_bytes(&self) -> usize {
        self.format.max_line_bytes
    }

    /// The summary document.
    pub(crate) fn summary(&mut self) -> Object {
        if self.is_ours {
            self.derived.to_object(&self.keys, &self.metrics)
        } else {
            self.recorded.clone()
        }
    }

    /// The config as the server gets it, `_wandb` included.
    pub(crate) fn wrapped_config(&self) -> Object {
        let mut config = self.config.clone();
        let internal = |key: &str| KeyPath::nested(vec!["_wandb".to_owned(), key.to_owned()]);
        let mut put = |key: &str, value: Value| {
            if let Some(path) = internal(key) {
                config.set(&path, value);
            }
        };
        if !self.telemetry.cli_version.is_empty() {
            put(
                "cli_version",
                Value::from(self.telemetry.cli_version.as_str()),
            );
        }
        if !self.telemetry.python_version.is_empty() {
            put(
                "python_version",
                Value::from(self.telemetry.python_version.as_str()),
            );
        }
        put("t", telemetry::to_config(&self.telemetry));
        put("m", self.metrics.to_config());
        let environments = self
            .environments
            .iter()
            .filter(|(writer, _)| !writer.is_empty());
        let environments: Object = environments
            .map(|(writer, record)| (writer.clone(), Value::Object(environment::to_json(record))))
            .collect();
        if !environments.is_empty() {
            put("e", Value::Object(environments));
        }
        if let Some(point) = self.run.as_ref().and_then(|run| run.branch_point.as_ref()) {
            let step = Value::Float(point.value)
                .as_i64()
                .map_or(Value::Float(point.value), Value::Int);
            put(
                "branch_point",
                Value::Object(Object::from_iter([
                    ("run_id".to_owned(), Value::from(point.run.as_str())),
                    ("step".to_owned(), step),
                ])),
            );
        }
        config.to_wrapped()
    }

    /// The content of `wandb-metadata.json`, if anything is known.
    pub(crate) fn metadata(&self) -> Option<Object> {
        self.environments
            .values()
            .next()
            .map(environment::to_json)
            .filter(|object| !object.is_empty())
    }

    /// Program, repository and commit, as the server wants them apart.
    pub(crate) fn environment(&self) -> Option<&pb::EnvironmentRecord> {
        self.environments.values().next()
    }
}

/// Decodes a record of a log; `None` if it is none.
pub(crate) fn decode(bytes: &[u8]) -> Option<pb::Record> {
    pb::Record::decode(bytes).ok()
}
