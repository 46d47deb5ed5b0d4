//! A run as its stored documents show it: the plain reading that the columns must agree with.

use std::cell::OnceCell;

use runlane_model::json::{Object, Value, parse_object};
use runlane_model::run_filter::{Cell, Field, Key, Values, path};

use crate::store::runs::RunRow;

/// A run, asked by the keys of a filter or an order. Documents are read when first asked for.
pub(crate) struct Documents<'a> {
    run: &'a RunRow,
    keys: &'a [Key],
    tags: OnceCell<Vec<String>>,
    config: OnceCell<Object>,
    summary: OnceCell<Object>,
}

impl<'a> Documents<'a> {
    /// A view of `run`.
    pub(crate) fn new(run: &'a RunRow, keys: &'a [Key]) -> Self {
        Self {
            run,
            keys,
            tags: OnceCell::new(),
            config: OnceCell::new(),
            summary: OnceCell::new(),
        }
    }

    fn config(&self) -> &Object {
        self.config
            .get_or_init(|| parse_object(&self.run.config).unwrap_or_default())
    }

    fn summary(&self) -> &Object {
        self.summary
            .get_or_init(|| parse_object(&self.run.summary).unwrap_or_default())
    }

    fn tags(&self) -> &[String] {
        self.tags.get_or_init(|| tags_of(self.run))
    }

    /// The value at a key.
    pub(crate) fn at(&self, key: &Key) -> Cell<'_> {
        match key {
            Key::Field(field) => self.field(*field),
            Key::HasTag(tag) => presence(self.tags().contains(tag)),
            Key::Config(place) => Cell::of(path::in_config(self.config(), place)),
            Key::Summary(place) => Cell::of(path::in_object(self.summary(), place)),
            Key::Metadata(place) => Cell::of(
                metadata(self.config()).and_then(|metadata| path::in_object(metadata, place)),
            ),
            Key::Logged(place) => presence(path::in_object(self.summary(), place).is_some()),
        }
    }

    fn field(&self, field: Field) -> Cell<'_> {
        let run = self.run;
        match field {
            Field::Name => Cell::Text(&run.name),
            Field::DisplayName => Cell::Text(&run.display_name),
            Field::State => Cell::Text(&run.state),
            Field::CreatedAt => Cell::Time(run.created_at_micros),
            Field::HeartbeatAt => Cell::Time(run.heartbeat_at_micros),
            Field::Tags => Cell::Texts(self.tags().iter().map(String::as_str).collect()),
            Field::Group => Cell::of_text(run.group_name.as_deref()),
            Field::JobType => Cell::of_text(run.job_type.as_deref()),
            Field::Username => Cell::of_text(run.username.as_deref()),
            Field::Entity => Cell::Text(&run.entity),
            Field::Host => Cell::of_text(host(run, || self.config())),
            Field::Sweep => Cell::of_text(run.sweep_name.as_deref()),
            Field::Duration => Cell::Float(duration(run, own_runtime(self.summary()))),
            Field::Description => Cell::of_text(run.description.as_deref()),
            Field::Notes => Cell::of_text(run.notes.as_deref()),
            Field::Commit => Cell::of_text(run.commit_hash.as_deref()),
            Field::InputArtifacts | Field::OutputArtifacts => Cell::Texts(Vec::new()),
        }
    }
}

impl Values for Documents<'_> {
    fn cell(&self, key: usize) -> Cell<'_> {
        self.at(&self.keys[key])
    }
}

/// What is either there or not.
pub(super) fn presence(is_there: bool) -> Cell<'static> {
    if is_there {
        Cell::Bool(true)
    } else {
        Cell::Missing
    }
}

/// The run's tags.
pub(crate) fn tags_of(run: &RunRow) -> Vec<String> {
    serde_json::from_str(&run.tags).unwrap_or_default()
}

/// What the client found out about its machine: the first entry of `_wandb.e` in a stored config.
pub(crate) fn metadata(config: &Object) -> Option<&Object> {
    let entries = path::unwrapped(config.get("_wandb")?)
        .get("e")?
        .as_object()?;
    entries.values().next()?.as_object()
}

/// Name of the run's machine.
pub(super) fn host<'a>(run: &'a RunRow, config: impl FnOnce() -> &'a Object) -> Option<&'a str> {
    match &run.host {
        Some(host) => Some(host),
        None => metadata(config())?.get("host").and_then(Value::as_str),
    }
}

/// Seconds that the run has been running, by its own account in its summary.
pub(crate) fn own_runtime(summary: &Object) -> Option<f64> {
    summary
        .get("_wandb")
        .and_then(|inner| inner.get("runtime"))
        .or_else(|| summary.get("_runtime"))
        .and_then(Value::as_f64)
        .filter(|seconds| seconds.is_finite())
}

/// Seconds the run has been running, by its own account if it gives one.
#[expect(
    clippy::cast_precision_loss,
    reason = "microseconds of centuries fit an f64"
)]
pub(crate) fn duration(run: &RunRow, own: Option<f64>) -> f64 {
    own.unwrap_or_else(|| (run.heartbeat_at_micros - run.created_at_micros) as f64 / 1e6)
}
