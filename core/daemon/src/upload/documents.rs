//! The files that the end of a run writes: `config.yaml`, `wandb-summary.json`, `wandb-metadata.json`.

use std::io;
use std::path::Path;

use runlane_model::json::{Object, Value, write_f64, write_string};

use super::projection::Projection;
use crate::own_file;

/// Writes the documents into the run's files directory; returns their names.
pub(crate) fn write(files: &Path, projection: &mut Projection) -> io::Result<Vec<String>> {
    std::fs::create_dir_all(files)?;
    let mut names = Vec::new();
    let mut put = |name: &str, text: String| -> io::Result<()> {
        own_file::replace(&files.join(name), text.as_bytes())?;
        names.push(name.to_owned());
        Ok(())
    };
    put("config.yaml", yaml(&projection.wrapped_config()))?;
    put(
        "wandb-summary.json",
        Value::Object(projection.summary()).to_string(),
    )?;
    if let Some(metadata) = projection.metadata() {
        put("wandb-metadata.json", Value::Object(metadata).to_string())?;
    }
    Ok(names)
}

/// A tree as block YAML.
fn yaml(object: &Object) -> String {
    let mut out = String::new();
    members(&mut out, object, 0);
    if out.is_empty() {
        out.push_str("{}\n");
    }
    out
}

fn members(out: &mut String, object: &Object, indent: usize) {
    for (key, value) in object {
        out.extend(std::iter::repeat_n(' ', indent));
        scalar_text(out, key);
        out.push(':');
        below(out, value, indent);
    }
}

/// Writes a value behind its key or dash.
fn below(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(object) if !object.is_empty() => {
            out.push('\n');
            members(out, object, indent + 4);
        }
        Value::List(values) if !values.is_empty() => {
            out.push('\n');
            for value in values {
                out.extend(std::iter::repeat_n(' ', indent + 4));
                out.push('-');
                below(out, value, indent + 4);
            }
        }
        scalar => {
            out.push(' ');
            write_scalar(out, scalar);
            out.push('\n');
        }
    }
}

fn write_scalar(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => out.push_str(&value.to_string()),
        Value::Float(value) if value.is_nan() => out.push_str(".nan"),
        Value::Float(value) if value.is_infinite() => {
            out.push_str(if *value > 0.0 { ".inf" } else { "-.inf" });
        }
        Value::Float(value) => {
            let start = out.len();
            write_f64(out, *value);
            // YAML 1.1 reads `1e-30` and `1.0e30` as texts: an exponent needs a dot before it and a sign.
            if let Some(at) = out[start..].find('e').map(|at| start + at) {
                if out[at + 1..].starts_with(|first: char| first.is_ascii_digit()) {
                    out.insert(at + 1, '+');
                }
                if !out[start..at].contains('.') {
                    out.insert_str(at, ".0");
                }
            }
        }
        Value::Text(text) => scalar_text(out, text),
        Value::List(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
}

/// A text, plain if no YAML reader can take it for anything else.
fn scalar_text(out: &mut String, text: &str) {
    const WORDS: [&str; 11] = [
        "true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf",
    ];
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "_-./".contains(character))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if plain {
        out.push_str(text);
    } else {
        // A JSON string is a YAML string.
        write_string(out, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_block_yaml() {
        let text = r#"{"lr":{"value":1e-30,"big":1e+300},"opt":{"value":{"name":"adam","betas":[0.9,[1]],"on":"off","e":{}}},"1x":null,"n":NaN}"#;
        let object = runlane_model::json::parse_object(text).expect("valid");
        let expected = "lr:\n    value: 1.0e-30\n    big: 1.0e+300\nopt:\n    value:\n        name: adam\n        betas:\n            - 0.9\n            -\n                - 1\n        \"on\": \"off\"\n        e: {}\n\"1x\": null\n\"n\": .nan\n";
        assert_eq!(yaml(&object), expected);
        assert_eq!(yaml(&Object::new()), "{}\n");
    }
}
