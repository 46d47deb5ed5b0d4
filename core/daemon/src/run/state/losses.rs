//! Data that could not be kept: markers into the log, and how much it is in all.

use prost::Message;
use runlane_proto::wandb_internal as pb;

use super::super::encode::Mark;
use super::super::loss;
use super::{EntryError, Remark, RunState};

impl RunState {
    /// Applies an entry that stands for calls its process could not keep.
    pub(super) fn apply_loss(
        &mut self,
        mark: Mark,
        bytes: &[u8],
        runtime: f64,
    ) -> Result<(), EntryError> {
        let mut lost = pb::RunlaneLoss::decode(bytes)
            .map_err(|error| EntryError::Record(error.to_string()))?;
        lost.writer = mark.writer;
        self.write_loss(&lost, Some(mark), runtime);
        Ok(())
    }

    /// Calls of a dead process that nobody has: those between what is applied and `seq`. Goes on at `seq`.
    pub(crate) fn lose_up_to(&mut self, writer: u64, seq: u64, reason: &str, runtime: f64) {
        let first_seq = self.logged_seq(writer) + 1;
        let end = Mark {
            writer,
            seq: seq.saturating_sub(1),
        };
        if end.seq < first_seq {
            return;
        }
        let lost = pb::RunlaneLoss {
            stream: loss::OTHER.to_owned(),
            writer,
            first_seq,
            last_seq: end.seq,
            count: seq - first_seq,
            reason: reason.to_owned(),
        };
        self.write_loss(&lost, Some(end), runtime);
        self.skip_to(writer, seq);
    }

    fn write_loss(&mut self, lost: &pb::RunlaneLoss, mark: Option<Mark>, runtime: f64) {
        let started = self.run.start_time.as_ref().map_or(0.0, |time| {
            super::super::recover::seconds_of(time) - f64::from(self.run.runtime)
        });
        let record = loss::record(lost, loss::timestamp(started + runtime), mark);
        self.batch.push(&record.encode_to_vec());
        if let Some(kind) = &record.record_type {
            self.apply_record(kind, lost.writer);
        }
        self.lost += lost.count;
        tracing::error!(count = lost.count, stream = %lost.stream, reason = %lost.reason, "data of a run is lost");
        self.remarks.push(Remark {
            severity: 40,
            text: loss::text(lost),
        });
    }

    /// Counts what a record of the log says.
    pub(super) fn replay_loss(&mut self, record: &pb::Record) {
        self.lost += loss::of(record).map_or(0, |lost| lost.count);
    }
}
