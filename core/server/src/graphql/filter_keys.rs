//! The keys of filters and orders: what of a run they name, in all spellings that are in use.

use runlane_model::json::{Object, Value, parse_object};

use super::run::{runtime_seconds, tags_of};
use crate::store::runs::RunRow;

/// A known key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// A member of the run itself.
    Field(Field),
    /// Whether the run has this tag.
    HasTag(String),
    /// A config value by its dotted path.
    Config(String),
    /// A summary value by its dotted path.
    Summary(String),
}

/// Members of the run itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Name,
    DisplayName,
    State,
    CreatedAt,
    HeartbeatAt,
    Tags,
    Group,
    JobType,
    Username,
    Entity,
    Host,
    Sweep,
    Duration,
    Description,
    Notes,
    Commit,
}

impl Key {
    /// Reads a key; the error says what is wrong with it.
    pub(crate) fn parse(key: &str) -> Result<Self, String> {
        let field = match key {
            "name" => Field::Name,
            "displayName" | "display_name" => Field::DisplayName,
            "state" => Field::State,
            "createdAt" | "created_at" => Field::CreatedAt,
            "heartbeatAt" | "heartbeat_at" | "updatedAt" | "updated_at" => Field::HeartbeatAt,
            "tags" => Field::Tags,
            "group" | "groupName" => Field::Group,
            "jobType" | "job_type" => Field::JobType,
            "username" => Field::Username,
            "entity" => Field::Entity,
            "host" => Field::Host,
            "sweep" => Field::Sweep,
            "duration" => Field::Duration,
            "description" => Field::Description,
            "notes" => Field::Notes,
            "commit" => Field::Commit,
            "_step" | "_runtime" | "_timestamp" => return Ok(Self::Summary(key.to_owned())),
            _ => return Self::parse_path(key),
        };
        Ok(Self::Field(field))
    }

    fn parse_path(key: &str) -> Result<Self, String> {
        let path = |prefix: &str| key.strip_prefix(prefix).filter(|rest| !rest.is_empty());
        if let Some(rest) = path("config.") {
            return Ok(Self::Config(rest.to_owned()));
        }
        if let Some(rest) = path("summary_metrics.").or_else(|| path("summary.")) {
            return Ok(Self::Summary(rest.to_owned()));
        }
        if let Some(tag) = path("tags.") {
            return Ok(Self::HasTag(tag.to_owned()));
        }
        Err(format!("`{key}` is not a key of runs"))
    }
}

/// A run as filters see it; config and summary are read when first asked for.
pub(crate) struct RunView<'a> {
    run: &'a RunRow,
    username: &'a str,
    config: Option<Object>,
    summary: Option<Object>,
}

impl<'a> RunView<'a> {
    /// A view of `run`, made by the user `username`.
    pub(crate) fn new(run: &'a RunRow, username: &'a str) -> Self {
        Self {
            run,
            username,
            config: None,
            summary: None,
        }
    }

    /// The value at `key`; none if the run has none.
    pub(crate) fn value(&mut self, key: &Key) -> Option<Value> {
        let run = self.run;
        match key {
            Key::Field(field) => self.field(*field),
            Key::HasTag(tag) => tags_of(run).contains(tag).then_some(Value::Bool(true)),
            Key::Config(path) => {
                let config = self
                    .config
                    .get_or_insert_with(|| parse_object(&run.config).unwrap_or_default());
                config_value(config, path)
            }
            Key::Summary(path) => {
                let summary = self
                    .summary
                    .get_or_insert_with(|| parse_object(&run.summary).unwrap_or_default());
                walk_members(summary, path).cloned()
            }
        }
    }

    fn field(&self, field: Field) -> Option<Value> {
        let run = self.run;
        let text = |text: &str| Some(Value::Text(text.to_owned()));
        let optional = |text: &Option<String>| text.clone().map(Value::Text);
        let time = |micros| Some(Value::Text(iso_micros(micros)));
        match field {
            Field::Name => text(&run.name),
            Field::DisplayName => text(&run.display_name),
            Field::State => text(&run.state),
            Field::CreatedAt => time(run.created_at_micros),
            Field::HeartbeatAt => time(run.heartbeat_at_micros),
            Field::Tags => Some(Value::List(
                tags_of(run).into_iter().map(Value::Text).collect(),
            )),
            Field::Group => optional(&run.group_name),
            Field::JobType => optional(&run.job_type),
            Field::Username => text(self.username),
            Field::Entity => text(&run.entity),
            Field::Host => optional(&run.host),
            Field::Sweep => optional(&run.sweep_name),
            Field::Duration => Some(Value::Float(runtime_seconds(run))),
            Field::Description => optional(&run.description),
            Field::Notes => optional(&run.notes),
            Field::Commit => optional(&run.commit_hash),
        }
    }
}

/// Times compare as text, so that partial ones (`2026-01`) work.
fn iso_micros(micros: i64) -> String {
    chrono::DateTime::from_timestamp_micros(micros)
        .unwrap_or_default()
        .format("%Y-%m-%dT%H:%M:%S%.6f")
        .to_string()
}

/// Config values lie in `{"value": v}` wrappers; both `lr` and `lr.value` name the value of `lr`. Keys with dots in
/// them are tried at their longest first.
fn config_value(config: &Object, path: &str) -> Option<Value> {
    let ends = std::iter::once(path.len()).chain(path.rmatch_indices('.').map(|(at, _)| at));
    for end in ends {
        let Some(entry) = config.get(&path[..end]) else {
            continue;
        };
        let value = entry.get("value").unwrap_or(entry);
        let rest = path[end..].strip_prefix('.');
        let found = match rest {
            None => Some(value),
            Some(rest) => walk(value, rest).or_else(|| match rest.strip_prefix("value") {
                Some("") => Some(value),
                Some(inner) => walk(value, inner.strip_prefix('.')?),
                None => None,
            }),
        };
        if found.is_some() {
            return found.cloned();
        }
    }
    None
}

/// The value at a dotted path: members by their longest name, elements of lists by number.
fn walk<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    match value {
        Value::Object(object) => walk_members(object, path),
        Value::List(items) => {
            let (index, rest) = path
                .split_once('.')
                .map_or((path, None), |(index, rest)| (index, Some(rest)));
            let item = items.get(index.parse::<usize>().ok()?)?;
            rest.map_or(Some(item), |rest| walk(item, rest))
        }
        _ => None,
    }
}

fn walk_members<'a>(object: &'a Object, path: &str) -> Option<&'a Value> {
    object.get(path).or_else(|| {
        path.rmatch_indices('.')
            .find_map(|(at, _)| walk(object.get(&path[..at])?, &path[at + 1..]))
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A finished run with a little of everything.
    pub(crate) fn example_run() -> RunRow {
        RunRow {
            id: 1,
            project_id: 1,
            project: "p".into(),
            entity: "alice".into(),
            name: "run0".into(),
            display_name: "name-0".into(),
            description: None,
            notes: None,
            tags: r#"["odd","x"]"#.into(),
            state: "finished".into(),
            group_name: Some("g0".into()),
            job_type: Some("train".into()),
            commit_hash: None,
            host: None,
            program: None,
            repo: None,
            sweep_name: None,
            config: r#"{"lr":{"value":0.1},"nested":{"value":{"x":1,"l":[5,{"y":6}]}},"a.b":{"value":2},"opt":{"value":{"name":"adam"}},"value":{"value":3}}"#.into(),
            summary: r#"{"loss":1.0,"train":{"acc":NaN},"_runtime":12.5}"#.into(),
            exit_code: Some(0),
            stop_requested: false,
            created_at_micros: 1_700_000_000_000_000,
            heartbeat_at_micros: 1_700_000_100_000_000,
            history_line_count: 0,
            events_line_count: 0,
            log_line_count: 0,
            last_step: None,
            lost_rows: 0,
            version: 1,
            deleted_at_micros: None,
        }
    }

    #[test]
    fn config_keys_are_found_in_every_spelling() {
        let run = example_run();
        let mut view = RunView::new(&run, "alice");
        let mut at = |key: &str| {
            view.value(&Key::parse(key).expect(key))
                .and_then(|value| value.as_f64())
        };
        for (key, expected) in [
            ("config.lr", Some(0.1)),
            ("config.lr.value", Some(0.1)),
            ("config.nested.x", Some(1.0)),
            ("config.nested.value.x", Some(1.0)),
            ("config.nested.l.1.y", Some(6.0)),
            ("config.a.b", Some(2.0)),
            ("config.a.b.value", Some(2.0)),
            ("config.value", Some(3.0)),
            ("config.gone", None),
            ("summary_metrics.loss", Some(1.0)),
            ("summary.loss", Some(1.0)),
            ("_runtime", Some(12.5)),
        ] {
            assert_eq!(at(key), expected, "{key}");
        }
    }
}
