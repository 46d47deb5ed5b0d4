//! What a `file_stream` request says, checked completely before anything is stored.

use std::collections::BTreeMap;

use runlane_model::json::{Leaf, parse_object, visit_leaves};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::error::ApiError;
use crate::store::streams::{Batch, Line, StreamKind};

/// Bound of one line; W&B's client skips longer ones itself.
pub(super) const MAX_LINE_BYTES: usize = 10 << 20;
/// Bound of the lines of one request.
pub(super) const MAX_LINES: usize = 500_000;
/// Beyond any run's length: larger offsets are mistakes.
const MAX_OFFSET: i64 = 1 << 40;

/// A checked request.
#[derive(Debug, Default)]
pub(crate) struct Update {
    /// Lines to store.
    pub(crate) batches: Vec<Batch>,
    /// The new summary document.
    pub(crate) summary: Option<String>,
    /// How the run ended, if it did.
    pub(crate) end: Option<RunEnd>,
    /// The machine is about to be taken away.
    pub(crate) preempting: bool,
    /// Rows that the client could not keep so far.
    pub(crate) lost: Option<i64>,
    /// The generation of the run that the client writes to, where it says so.
    pub(crate) generation: Option<i64>,
}

/// The end of a run, as its client tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunEnd {
    /// Exit code of the process.
    pub(crate) exit_code: i64,
    /// The training process died; the exit code is not its own.
    pub(crate) trainer_died: bool,
}

#[derive(Deserialize)]
struct Body {
    files: Option<BTreeMap<String, FilePart>>,
    #[serde(rename = "uploaded")]
    _uploaded: Option<Vec<String>>,
    preempting: Option<bool>,
    complete: Option<bool>,
    exitcode: Option<i64>,
    runlane: Option<Extra>,
}

#[derive(Deserialize)]
struct FilePart {
    offset: i64,
    #[serde(deserialize_with = "lines")]
    content: Vec<String>,
}

/// Said by the reader of lines when there are too many, and looked for by [`parse`].
const TOO_MANY_LINES: &str = "too many lines in one request";

/// Lines, counted while they are read: a body of empty ones would take many times its size in memory.
fn lines<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Lines;
    impl<'de> Visitor<'de> for Lines {
        type Value = Vec<String>;

        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("a list of lines")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<String>, A::Error> {
            let mut lines = Vec::new();
            while let Some(line) = items.next_element()? {
                if lines.len() >= MAX_LINES {
                    return Err(A::Error::custom(TOO_MANY_LINES));
                }
                lines.push(line);
            }
            Ok(lines)
        }
    }
    deserializer.deserialize_seq(Lines)
}

#[derive(Deserialize)]
struct Extra {
    #[serde(default)]
    trainer_died: bool,
    lost: Option<u32>,
    generation: Option<i64>,
}

/// Reads and checks a body. With `strict`, anything odd is refused; without it, lines that are not rows are kept as
/// they are and unknown files are left out.
pub(crate) fn parse(body: &[u8], strict: bool) -> Result<Update, ApiError> {
    let body: Body = serde_json::from_slice(body).map_err(|error| {
        let text = error.to_string();
        if text.starts_with(TOO_MANY_LINES) {
            return ApiError::too_large(format!("more than {MAX_LINES} lines in one request"));
        }
        ApiError::malformed(format!("not a file_stream request: {text}"))
    })?;
    let mut update = Update {
        preempting: body.preempting == Some(true),
        ..Update::default()
    };
    let mut lines = 0;
    for (name, part) in body.files.unwrap_or_default() {
        lines += part.content.len();
        if lines > MAX_LINES {
            return Err(ApiError::too_large(format!(
                "more than {MAX_LINES} lines in one request"
            )));
        }
        if !(0..=MAX_OFFSET).contains(&part.offset) {
            return Err(ApiError::invalid(format!(
                "`{name}`: offset {} is out of range",
                part.offset
            )));
        }
        if let Some(long) = part.content.iter().find(|line| line.len() > MAX_LINE_BYTES) {
            return Err(ApiError::too_large(format!(
                "`{name}`: a line of {} bytes; the limit is {MAX_LINE_BYTES}",
                long.len()
            )));
        }
        match name.as_str() {
            "wandb-history.jsonl" => {
                update
                    .batches
                    .push(row_batch(StreamKind::History, &name, part, strict)?);
            }
            "wandb-events.jsonl" => {
                update
                    .batches
                    .push(row_batch(StreamKind::Events, &name, part, strict)?);
            }
            "output.log" => {
                let lines = part
                    .content
                    .into_iter()
                    .map(|text| Line { text, step: None })
                    .collect();
                update.batches.push(Batch {
                    kind: StreamKind::Output,
                    offset: part.offset,
                    lines,
                });
            }
            "wandb-summary.json" => update.summary = summary(part, strict)?.or(update.summary),
            _ if strict => {
                return Err(ApiError::invalid(format!(
                    "`{name}` is not a stream; streams are `wandb-history.jsonl`, `wandb-events.jsonl`, `wandb-summary.json` and `output.log`"
                )));
            }
            _ => tracing::warn!(
                file = name,
                lines = part.content.len(),
                "unknown stream left out"
            ),
        }
    }
    update.lost = body
        .runlane
        .as_ref()
        .and_then(|extra| extra.lost)
        .map(i64::from);
    update.generation = body.runlane.as_ref().and_then(|extra| extra.generation);
    update.end = run_end(body.complete, body.exitcode, body.runlane)?;
    Ok(update)
}

fn run_end(
    complete: Option<bool>,
    exit_code: Option<i64>,
    extra: Option<Extra>,
) -> Result<Option<RunEnd>, ApiError> {
    if complete != Some(true) {
        return Ok(None);
    }
    let trainer_died = extra.is_some_and(|extra| extra.trainer_died);
    match exit_code {
        Some(exit_code) => Ok(Some(RunEnd {
            exit_code,
            trainer_died,
        })),
        None if trainer_died => Ok(Some(RunEnd {
            exit_code: 255,
            trainer_died,
        })),
        None => Err(ApiError::invalid("`complete` needs an `exitcode`")),
    }
}

fn row_batch(
    kind: StreamKind,
    name: &str,
    part: FilePart,
    strict: bool,
) -> Result<Batch, ApiError> {
    let mut lines = Vec::with_capacity(part.content.len());
    for (index, text) in part.content.into_iter().enumerate() {
        let step = match step_of(&text) {
            Ok(step) => step,
            Err(error) if strict => {
                return Err(ApiError::invalid(format!(
                    "`{name}`: element {index} is not a row: {error}"
                )));
            }
            // Kept, so that the client's line numbers stay right; readers leave it out.
            Err(error) => {
                tracing::warn!(file = name, index, %error, "line is not a row");
                None
            }
        };
        lines.push(Line { text, step });
    }
    Ok(Batch {
        kind,
        offset: part.offset,
        lines,
    })
}

/// The `_step` of a row, if it has one; an error if the text is no row.
fn step_of(text: &str) -> Result<Option<i64>, runlane_model::json::JsonError> {
    let mut step = None;
    visit_leaves(text, &mut |path, leaf| {
        if let ([key], Leaf::Int(value)) = (path, leaf)
            && key == "_step"
        {
            step = Some(value);
        }
    })?;
    Ok(step)
}

fn summary(part: FilePart, strict: bool) -> Result<Option<String>, ApiError> {
    let Some(text) = part.content.into_iter().next_back() else {
        return Ok(None);
    };
    match parse_object(&text) {
        Ok(_object) => Ok(Some(text)),
        Err(error) if strict => Err(ApiError::invalid(format!(
            "`wandb-summary.json` is not a JSON object: {error}"
        ))),
        Err(error) => {
            tracing::warn!(%error, "summary left out");
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_text_and_tell_their_step() {
        let body = br#"{"files": {"wandb-history.jsonl": {"offset": 3, "content": ["{\"a\": NaN, \"_step\": 7}"]}}}"#;
        let update = parse(body, true).expect("valid");
        let [batch] = &update.batches[..] else {
            panic!("one batch")
        };
        assert_eq!((batch.kind, batch.offset), (StreamKind::History, 3));
        assert_eq!(
            batch.lines,
            [Line {
                text: "{\"a\": NaN, \"_step\": 7}".into(),
                step: Some(7)
            }]
        );
    }

    #[test]
    fn malformed_bodies_are_refused_whole() {
        let cases: [(&str, u16); 10] = [
            ("", 400),
            ("[]", 400),
            ("not json", 400),
            (r#"{"files": []}"#, 400),
            (
                r#"{"files": {"output.log": {"offset": 0.5, "content": []}}}"#,
                400,
            ),
            (
                r#"{"files": {"output.log": {"offset": -1, "content": []}}}"#,
                422,
            ),
            (
                r#"{"files": {"output.log": {"offset": 0, "content": [1]}}}"#,
                400,
            ),
            (
                r#"{"files": {"evil.txt": {"offset": 0, "content": []}}}"#,
                422,
            ),
            (
                r#"{"files": {"wandb-history.jsonl": {"offset": 0, "content": ["[1]"]}}}"#,
                422,
            ),
            (r#"{"complete": true}"#, 422),
        ];
        for (body, status) in cases {
            let error = parse(body.as_bytes(), true).expect_err(body);
            assert_eq!(error.status.as_u16(), status, "{body}");
        }
    }

    #[test]
    fn heartbeat_is_an_empty_update() {
        let update = parse(b"{}", true).expect("heartbeat");
        assert!(update.batches.is_empty() && update.summary.is_none() && update.end.is_none());
    }

    #[test]
    fn original_client_keeps_its_line_numbers() {
        let body = br#"{"files": {"wandb-history.jsonl": {"offset": 0, "content": ["oops", "{}"]}, "x": {"offset": 0, "content": ["y"]}}}"#;
        let update = parse(body, false).expect("lenient");
        assert_eq!(update.batches.len(), 1);
        assert_eq!(update.batches[0].lines.len(), 2);
    }
}
