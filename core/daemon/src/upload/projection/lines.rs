//! Rows and console output as lines of the stream's files.

use runlane_model::environment;
use runlane_model::json::{Object, Value, parse, write_f64, write_i64, write_string, write_value};
use runlane_model::key_path::KeyPath;
use runlane_model::tree;
use runlane_proto::wandb_internal as pb;

use crate::run::console::Line;

/// How console lines are written.
#[derive(Debug, Clone, Default)]
pub(crate) struct LineFormat {
    pub(crate) structured_console: bool,
    pub(crate) label: String,
    pub(crate) max_line_bytes: usize,
}

/// A row as one nested JSON object.
pub(super) fn line_of(leaves: &[(KeyPath, Value)]) -> String {
    let flat = leaves.iter().all(|(path, _)| path.components().len() == 1);
    let mut line = String::with_capacity(leaves.len() * 24);
    if !flat {
        let mut object = Object::new();
        for (path, value) in leaves {
            tree::set(&mut object, path, value.clone());
        }
        write_value(&mut line, &Value::Object(object));
        return line;
    }
    line.push('{');
    for (index, (path, value)) in leaves.iter().enumerate() {
        if index > 0 {
            line.push(',');
        }
        write_string(&mut line, &path.components()[0]);
        line.push(':');
        match value {
            Value::Int(number) => write_i64(&mut line, *number),
            other => write_value(&mut line, other),
        }
    }
    line.push('}');
    line
}

/// A console line as the server takes it (`reference/wandb/filestream.md` §3).
pub(super) fn console_line(line: &Line, structured: bool, label: &str) -> String {
    let at = environment::iso_without_zone(line.at.0, line.at.1);
    let mut out = String::new();
    if structured {
        out.push('{');
        if line.is_error {
            out.push_str("\"level\":\"error\",");
        }
        out.push_str("\"ts\":");
        write_string(&mut out, &at);
        if !label.is_empty() {
            out.push_str(",\"label\":");
            write_string(&mut out, label);
        }
        out.push_str(",\"content\":");
        write_string(&mut out, &line.text);
        out.push('}');
        return out;
    }
    if line.is_error {
        out.push_str("ERROR ");
    }
    out.push_str(&at);
    out.push(' ');
    if !label.is_empty() {
        out.push('[');
        out.push_str(label);
        out.push_str("] ");
    }
    out.push_str(&line.text);
    out
}

/// One sample of system metrics as a line of the events stream. The label of the log goes to each key that has none of
/// its own, as those of processes that joined the run.
pub(super) fn metrics_line(
    at_secs: f64,
    runtime_secs: f64,
    items: &[pb::StatsItem],
    label: &str,
) -> String {
    let mut line = String::from("{\"_wandb\":true,\"_timestamp\":");
    write_f64(&mut line, at_secs);
    line.push_str(",\"_runtime\":");
    write_f64(&mut line, runtime_secs);
    for item in items {
        let Ok(value) = parse(&item.value_json) else {
            continue;
        };
        let mut key = format!("system.{}", item.key);
        if !label.is_empty() && !item.key.contains("/l:") {
            key.push_str("/l:");
            key.push_str(label);
        }
        line.push(',');
        write_string(&mut line, &key);
        line.push(':');
        write_value(&mut line, &value);
    }
    line.push('}');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_carry_the_label_of_their_log_or_of_their_process() {
        let item = |key: &str, value: &str| pb::StatsItem {
            key: key.to_owned(),
            value_json: value.to_owned(),
        };
        let items = [
            item("cpu", "1.5"),
            item("cpu/l:worker", "2"),
            item("odd", "no JSON"),
        ];
        assert_eq!(
            metrics_line(10.5, 0.5, &items, ""),
            r#"{"_wandb":true,"_timestamp":10.5,"_runtime":0.5,"system.cpu":1.5,"system.cpu/l:worker":2}"#
        );
        assert_eq!(
            metrics_line(10.5, 0.5, &items, "node-1"),
            r#"{"_wandb":true,"_timestamp":10.5,"_runtime":0.5,"system.cpu/l:node-1":1.5,"system.cpu/l:worker":2}"#
        );
    }
}
