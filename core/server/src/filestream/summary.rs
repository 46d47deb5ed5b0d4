//! The summary of a run after a request.
//!
//! A lone client sends the whole document, which replaces the stored one. Of a shared run each writer knows its part only:
//! parts are merged. The client of a run that was forked or rewound knows nothing of the summary that it began with: what it sends
//! comes on top of that. A client may leave the values of its rows to the server (`X-WANDB-SERVER-SIDE-DERIVED-SUMMARY`): then the
//! last value of each key of the rows counts, and what the client sends are values that were set by hand.

use runlane_model::json::{Object, Value, parse_object};

use super::ingest::Job;
use crate::store::runs::RunRow;
use crate::store::streams::StreamKind;

/// Who logged a row is no result of the run.
const WRITER: [&str; 2] = ["_label", "_rank"];

/// The new document, given that which the run began with; none if nothing changes.
pub(super) fn after(run: &RunRow, job: &Job, base: Option<&str>) -> Option<String> {
    let sent = job.update.summary.as_ref();
    if job.client.is_empty() && !job.derives_summary {
        return sent.map(|sent| over(base, sent));
    }
    let mut summary = parse_object(&run.summary).unwrap_or_default();
    let mut changed = false;
    if job.derives_summary {
        let rows = job.update.batches.iter();
        for line in rows
            .filter(|batch| batch.kind == StreamKind::History)
            .flat_map(|batch| &batch.lines)
        {
            if let Ok(row) = parse_object(&line.text) {
                merge(&mut summary, row);
                changed = true;
            }
        }
    }
    if let Some(sent) = sent.and_then(|text| parse_object(text).ok()) {
        merge(&mut summary, sent);
        changed = true;
    }
    changed.then(|| Value::Object(summary).to_string())
}

fn over(base: Option<&str>, sent: &str) -> String {
    let Some(mut summary) = base.and_then(|text| parse_object(text).ok()) else {
        return sent.to_owned();
    };
    merge(&mut summary, parse_object(sent).unwrap_or_default());
    Value::Object(summary).to_string()
}

/// Puts `newer` over `summary`: objects member by member, `_step` only forwards, `null` never.
fn merge(summary: &mut Object, newer: Object) {
    for (key, value) in newer {
        if value == Value::Null || WRITER.contains(&key.as_str()) {
            continue;
        }
        match (summary.get_mut(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) if !new.contains_key("_type") => {
                merge(old, new);
            }
            (Some(old), value) if key == "_step" && old.as_f64() > value.as_f64() => {}
            (_, value) => {
                summary.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_comes_on_top_of_the_beginning() {
        let base = Some(r#"{"_step":4,"a":1,"loss":{"min":1}}"#);
        assert_eq!(
            over(base, r#"{"_step":6,"loss":{"min":2},"b":3}"#),
            r#"{"_step":6,"a":1,"loss":{"min":2},"b":3}"#
        );
        assert_eq!(over(None, "{}"), "{}");
    }

    #[test]
    fn parts_are_merged_member_by_member() {
        let mut summary =
            parse_object(r#"{"a":{"x":1},"m":{"_type":"image","p":1},"_step":9,"b":1}"#)
                .expect("valid");
        let newer = parse_object(
            r#"{"a":{"y":2},"m":{"_type":"image","q":2},"_step":7,"b":null,"c":NaN,"_label":"r","_rank":1}"#,
        )
        .expect("valid");
        merge(&mut summary, newer);
        let expected = r#"{"a":{"x":1,"y":2},"m":{"_type":"image","q":2},"_step":9,"b":1,"c":NaN}"#;
        assert_eq!(Value::Object(summary).to_string(), expected);
    }
}
