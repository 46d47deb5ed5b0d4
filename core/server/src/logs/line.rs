//! One console line, in both formats that clients send.

use runlane_model::json::{Value, parse_object};
use serde::Serialize;

/// One console line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct LogLine {
    pub(crate) number: i64,
    pub(crate) timestamp: Option<String>,
    pub(crate) level: Option<String>,
    pub(crate) label: Option<String>,
    pub(crate) text: String,
}

/// Reads a line in the structured format, or in the plain one: `[ERROR ]<timestamp> [[label] ]<text>`.
pub(super) fn parse(number: i64, raw: &str) -> LogLine {
    if raw.starts_with('{')
        && let Ok(object) = parse_object(raw)
        && let Some(Value::Text(content)) = object.get("content")
    {
        let text = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
        return LogLine {
            number,
            timestamp: text("ts"),
            level: text("level"),
            label: text("label"),
            text: content.clone(),
        };
    }
    let (level, rest) = match raw.strip_prefix("ERROR ") {
        Some(rest) => (Some("error".to_owned()), rest),
        None => (None, raw),
    };
    let Some((timestamp, text)) = rest
        .split_once(' ')
        .filter(|(stamp, _)| is_timestamp(stamp))
    else {
        let timestamp = is_timestamp(rest).then(|| rest.to_owned());
        let text = if timestamp.is_some() {
            String::new()
        } else {
            raw.to_owned()
        };
        return LogLine {
            number,
            timestamp,
            text,
            ..LogLine::default()
        };
    };
    // A label in the plain format cannot be told from text in brackets, so it stays in the text.
    LogLine {
        number,
        timestamp: Some(timestamp.to_owned()),
        level,
        label: None,
        text: text.to_owned(),
    }
}

fn is_timestamp(text: &str) -> bool {
    text.len() >= 19
        && text.bytes().enumerate().all(|(index, byte)| match index {
            4 | 7 => byte == b'-',
            10 => byte == b'T',
            13 | 16 => byte == b':',
            19 => byte == b'.',
            _ => byte.is_ascii_digit() || (byte == b'Z' && index + 1 == text.len()),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(
        timestamp: Option<&str>,
        level: Option<&str>,
        label: Option<&str>,
        text: &str,
    ) -> LogLine {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        LogLine {
            number: 5,
            timestamp: owned(timestamp),
            level: owned(level),
            label: owned(label),
            text: text.into(),
        }
    }

    #[test]
    fn both_formats_are_read() {
        let stamp = "2026-01-02T03:04:05.678901";
        let cases = [
            (
                r#"{"level":"error","ts":"2026-01-02T03:04:05","label":"r0","content":"boom"}"#
                    .to_owned(),
                line(
                    Some("2026-01-02T03:04:05"),
                    Some("error"),
                    Some("r0"),
                    "boom",
                ),
            ),
            (
                format!("{stamp} hello world"),
                line(Some(stamp), None, None, "hello world"),
            ),
            (
                format!("ERROR {stamp} bad"),
                line(Some(stamp), Some("error"), None, "bad"),
            ),
            (
                format!("{stamp} [INFO] ok"),
                line(Some(stamp), None, None, "[INFO] ok"),
            ),
            (format!("{stamp} "), line(Some(stamp), None, None, "")),
            (
                r#"{"x": 1}"#.to_owned(),
                line(None, None, None, r#"{"x": 1}"#),
            ),
            ("plain".to_owned(), line(None, None, None, "plain")),
            (
                "ERROR no time".to_owned(),
                line(None, None, None, "ERROR no time"),
            ),
        ];
        for (raw, expected) in cases {
            assert_eq!(parse(5, &raw), expected, "{raw}");
        }
    }
}
