//! Console output on its way into the stream of entries: what is printed through Python, and what is read from the
//! descriptors themselves.

pub(crate) mod decoder;
pub(crate) mod flow;
pub(crate) mod marker;
pub(crate) mod redirect;

use std::sync::{Mutex, MutexGuard, PoisonError};

use runlane_proto::wandb_internal::record::RecordType;
use runlane_proto::wandb_internal::{OutputRawRecord, Record, output_raw_record};

use self::flow::Flow;
use crate::encode::encode_record;
use crate::hub::Stream;
use crate::py::settings::timestamp;
use crate::queue::intake::Refused;
use crate::queue::loss::Kind;

/// Both streams of one process, for one run.
#[derive(Debug, Default)]
pub(crate) struct Output {
    flows: Mutex<[Flow; 2]>,
}

impl Output {
    fn flows(&self) -> MutexGuard<'_, [Flow; 2]> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    /// Takes what was printed to standard output or error; never waits for room. Fails if the run takes no more.
    pub(crate) fn print(&self, is_error: bool, text: &str, now_micros: u64) -> Result<(), Refused> {
        let mut outcome = Ok(());
        self.output.flows()[usize::from(is_error)].write(text, now_micros, &mut |text| {
            outcome = self.append_output(is_error, text, now_micros);
        });
        outcome
    }

    /// Passes on output that waits and has waited long enough; all of it at the end. Called by the writer thread, and before the
    /// run is finished.
    pub(crate) fn look_after_output(&self, now_micros: u64, ends: bool) {
        let mut flows = self.output.flows();
        for (is_error, flow) in [false, true].into_iter().zip(flows.iter_mut()) {
            let pass = &mut |text: &str| {
                // A run that is finished takes nothing; a full queue has counted it.
                drop(self.append_output(is_error, text, now_micros));
            };
            if ends {
                flow.end(pass);
            } else {
                flow.look(now_micros, pass);
            }
        }
    }

    fn append_output(&self, is_error: bool, text: &str, now_micros: u64) -> Result<(), Refused> {
        use output_raw_record::OutputType::{Stderr, Stdout};
        let output = OutputRawRecord {
            output_type: if is_error { Stderr } else { Stdout }.into(),
            timestamp: Some(timestamp(now_micros.cast_signed())),
            line: text.to_owned(),
            ..OutputRawRecord::default()
        };
        let record = Record {
            record_type: Some(RecordType::OutputRaw(output)),
            ..Record::default()
        };
        match encode_record(&record) {
            // Waiting for room would wait with the lock, which a thread that has the interpreter may want.
            Some(entry) => self.append(&entry, Kind::Console, now_micros, |_wait| {}),
            None => Ok(()),
        }
    }
}
