//! Rows and console output as lines of the stream's files.

use runlane_model::environment;
use runlane_model::json::{Object, Value, write_i64, write_string, write_value};
use runlane_model::key_path::KeyPath;
use runlane_model::tree;

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
