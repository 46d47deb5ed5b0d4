//! Loss markers: what stands in the log in the place of data that could not be kept.
//!
//! A marker is a record of console output (stderr), so that every reader of the log shows it, and says the same in
//! `control.runlane_loss` for those that count.

use std::fmt::Write;

use prost::Message;
use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::record::RecordType;

use super::encode::Mark;

/// `RunlaneLoss.stream`: rows.
pub(crate) const HISTORY: &str = "history";
/// `RunlaneLoss.stream`: console output.
pub(crate) const CONSOLE: &str = "console";
/// `RunlaneLoss.stream`: system metrics.
pub(crate) const SYSTEM: &str = "system";
/// `RunlaneLoss.stream`: calls of which nobody knows what they were.
pub(crate) const OTHER: &str = "other";

/// The marker of `loss`, at a time in Unix seconds and nanoseconds; `mark` is that of the entry that brought it.
pub(crate) fn record(loss: &pb::RunlaneLoss, at: (i64, i32), mark: Option<Mark>) -> pb::Record {
    let mut output = pb::OutputRawRecord {
        timestamp: Some(prost_types::Timestamp {
            seconds: at.0,
            nanos: at.1,
        }),
        line: format!("{}\n", text(loss)),
        ..Default::default()
    };
    output.set_output_type(pb::output_raw_record::OutputType::Stderr);
    let (writer, seq) = mark.map_or((0, 0), |mark| (mark.writer, mark.seq));
    pb::Record {
        record_type: Some(RecordType::OutputRaw(output)),
        control: Some(pb::Control {
            runlane_writer: writer,
            runlane_seq: seq,
            runlane_loss: Some(loss.clone()),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// As [`record`], encoded, without a mark.
pub(crate) fn encoded(loss: &pb::RunlaneLoss, at: (i64, i32)) -> Vec<u8> {
    record(loss, at, None).encode_to_vec()
}

/// The loss that a record marks.
pub(crate) fn of(record: &pb::Record) -> Option<&pb::RunlaneLoss> {
    record.control.as_ref()?.runlane_loss.as_ref()
}

/// What is lost, for people.
pub(crate) fn text(loss: &pb::RunlaneLoss) -> String {
    let one = loss.count == 1;
    let what = match (loss.stream.as_str(), one) {
        (HISTORY, true) => "row",
        (HISTORY, false) => "rows",
        (CONSOLE, true) => "console record",
        (CONSOLE, false) => "console records",
        (SYSTEM, true) => "system metrics record",
        (SYSTEM, false) => "system metrics records",
        (_, true) => "logged call",
        (_, false) => "logged calls",
    };
    let mut text = format!("runlane: {} {what} lost", loss.count);
    if loss.first_seq > 0 {
        let (first, last) = (loss.first_seq, loss.last_seq);
        write!(
            text,
            " (calls {first} to {last} of process {:016x})",
            loss.writer
        )
        .expect("writing to a string never fails");
    }
    if !loss.reason.is_empty() {
        text.push_str(": ");
        text.push_str(&loss.reason);
    }
    text
}

/// A point in time as records have it.
#[expect(clippy::cast_possible_truncation, reason = "a date within range")]
pub(crate) fn timestamp(unix_secs: f64) -> (i64, i32) {
    (
        unix_secs.floor() as i64,
        (unix_secs.rem_euclid(1.0) * 1e9) as i32,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_says_the_same_in_words_and_numbers() {
        let loss = pb::RunlaneLoss {
            stream: HISTORY.to_owned(),
            writer: 0xfeed,
            first_seq: 12,
            last_seq: 20,
            count: 9,
            reason: "the disk was full".to_owned(),
        };
        let mark = Mark { writer: 1, seq: 2 };
        let record = record(&loss, (100, 5), Some(mark));
        assert_eq!(of(&record), Some(&loss));
        let control = record.control.as_ref().expect("a mark");
        assert_eq!((control.runlane_writer, control.runlane_seq), (1, 2));
        let Some(RecordType::OutputRaw(output)) = &record.record_type else {
            panic!("{record:?}")
        };
        assert_eq!(
            output.line,
            "runlane: 9 rows lost (calls 12 to 20 of process 000000000000feed): the disk was full\n"
        );
        assert_eq!(
            output.output_type(),
            pb::output_raw_record::OutputType::Stderr
        );
    }
}
