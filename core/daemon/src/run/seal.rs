//! What of a run that ends on a full disk is written into the reserve, and what is given up.
//!
//! Given up first are system metrics, then console output, then rows, the last ones first, so that the rows of the log stay those
//! that a server may have counted. Everything else is kept: config, summary, files, artifacts, the exit.

use prost::Message;
use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::record::RecordType;

use super::loss;

/// Bytes that framing adds to a record at most, its share of block ends included.
const FRAMING_BYTES: u64 = 32;
/// Room for the markers themselves.
const MARKER_BYTES: u64 = 3 * 512;

const REASON: &str = "the disk was full at the end of the run";

/// What to write in the place of the records that wait.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// In their order.
    pub(crate) kept: Vec<Vec<u8>>,
    pub(crate) losses: Vec<pb::RunlaneLoss>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Essential,
    History,
    Console,
    System,
}

/// Decides for `waiting` records and `room` bytes. What is essential is kept whether it fits or not.
pub(crate) fn plan(waiting: &[Vec<u8>], room: u64) -> Plan {
    let decoded: Vec<Option<pb::Record>> = waiting
        .iter()
        .map(|bytes| pb::Record::decode(bytes.as_slice()).ok())
        .collect();
    let ranks: Vec<Rank> = decoded
        .iter()
        .map(|record| record.as_ref().map_or(Rank::Essential, rank_of))
        .collect();
    let size = |index: &usize| waiting[*index].len() as u64 + FRAMING_BYTES;
    let of_rank = |rank| {
        let ranks = &ranks;
        (0..ranks.len()).filter(move |index| ranks[*index] == rank)
    };
    let essential: u64 = of_rank(Rank::Essential).map(|index| size(&index)).sum();
    let mut room = room.saturating_sub(essential + MARKER_BYTES);
    let mut keep: Vec<bool> = ranks.iter().map(|rank| *rank == Rank::Essential).collect();
    let mut losses = Vec::new();
    for (rank, stream) in [
        (Rank::History, loss::HISTORY),
        (Rank::Console, loss::CONSOLE),
        (Rank::System, loss::SYSTEM),
    ] {
        let mut dropped: Option<pb::RunlaneLoss> = None;
        for index in of_rank(rank) {
            // Once one does not fit, none behind it is kept: no hole in the stream.
            if dropped.is_none() && size(&index) <= room {
                room -= size(&index);
                keep[index] = true;
                continue;
            }
            let lost = dropped.get_or_insert_with(|| pb::RunlaneLoss {
                stream: stream.to_owned(),
                reason: REASON.to_owned(),
                ..Default::default()
            });
            lost.count += 1;
            add_mark(lost, decoded[index].as_ref());
        }
        if let Some(lost) = dropped {
            // The less important streams have to go as well.
            room = 0;
            losses.push(lost);
        }
    }
    let kept = waiting
        .iter()
        .zip(&keep)
        .filter(|(_, keep)| **keep)
        .map(|(record, _)| record.clone())
        .collect();
    Plan { kept, losses }
}

fn rank_of(record: &pb::Record) -> Rank {
    if loss::of(record).is_some() {
        return Rank::Essential;
    }
    match &record.record_type {
        Some(RecordType::History(_)) => Rank::History,
        Some(RecordType::Output(_) | RecordType::OutputRaw(_) | RecordType::OutputLogger(_)) => {
            Rank::Console
        }
        Some(RecordType::Stats(_)) => Rank::System,
        _ => Rank::Essential,
    }
}

/// Names the entries that are lost, as long as they are of one writer.
fn add_mark(lost: &mut pb::RunlaneLoss, record: Option<&pb::Record>) {
    let Some(control) = record.and_then(|record| record.control.as_ref()) else {
        return;
    };
    let (writer, seq) = (control.runlane_writer, control.runlane_seq);
    if seq == 0 {
        return;
    }
    if lost.count == 1 {
        (lost.writer, lost.first_seq, lost.last_seq) = (writer, seq, seq);
    } else if lost.writer == writer {
        lost.last_seq = lost.last_seq.max(seq);
    } else {
        (lost.writer, lost.first_seq, lost.last_seq) = (0, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(record_type: RecordType, seq: u64) -> Vec<u8> {
        pb::Record {
            record_type: Some(record_type),
            control: (seq > 0).then(|| pb::Control {
                runlane_writer: 7,
                runlane_seq: seq,
                ..Default::default()
            }),
            ..Default::default()
        }
        .encode_to_vec()
    }

    fn row(seq: u64) -> Vec<u8> {
        let item = pb::HistoryItem {
            key: "x".repeat(100),
            ..Default::default()
        };
        encoded(
            RecordType::History(pb::HistoryRecord {
                item: vec![item],
                ..Default::default()
            }),
            seq,
        )
    }

    fn waiting() -> Vec<Vec<u8>> {
        let line = || RecordType::OutputRaw(pb::OutputRawRecord::default());
        vec![
            row(1),
            encoded(line(), 2),
            encoded(RecordType::Stats(pb::StatsRecord::default()), 0),
            encoded(RecordType::Config(pb::ConfigRecord::default()), 3),
            row(4),
            encoded(line(), 5),
            row(6),
            encoded(RecordType::Exit(pb::RunExitRecord::default()), 0),
        ]
    }

    fn counts(plan: &Plan) -> Vec<(&str, u64, u64, u64)> {
        plan.losses
            .iter()
            .map(|lost| {
                (
                    lost.stream.as_str(),
                    lost.count,
                    lost.first_seq,
                    lost.last_seq,
                )
            })
            .collect()
    }

    #[test]
    fn with_room_for_all_nothing_is_dropped() {
        let plan = plan(&waiting(), 100_000);
        assert_eq!(plan.kept, waiting());
        assert_eq!(plan.losses, []);
    }

    #[test]
    fn rows_go_from_the_end_after_everything_less_important() {
        let all = waiting();
        let essential = (all[3].len() + all[7].len()) as u64 + 2 * FRAMING_BYTES + MARKER_BYTES;
        let row_bytes = all[0].len() as u64 + FRAMING_BYTES;
        let plan_two = plan(&all, essential + 2 * row_bytes + row_bytes / 2);
        assert_eq!(
            plan_two.kept,
            [&all[0], &all[3], &all[4], &all[7]].map(Clone::clone)
        );
        assert_eq!(
            counts(&plan_two),
            [
                ("history", 1, 6, 6),
                ("console", 2, 2, 5),
                ("system", 1, 0, 0)
            ]
        );
        let plan_none = plan(&all, 0);
        assert_eq!(plan_none.kept, [&all[3], &all[7]].map(Clone::clone));
        assert_eq!(counts(&plan_none)[0], ("history", 3, 1, 6));
        // What was decided stays decided: markers are never dropped.
        let mut again: Vec<Vec<u8>> = plan_none
            .losses
            .iter()
            .map(|lost| loss::encoded(lost, (0, 0)))
            .collect();
        again.extend(plan_none.kept);
        let plan_again = plan(&again, 0);
        assert_eq!((plan_again.kept, plan_again.losses.len()), (again, 0));
    }
}
