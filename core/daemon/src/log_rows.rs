//! The rows of a log, from its last ones on, while it may still grow. What `runlane tail` shows.

use std::io;
use std::path::Path;

use prost::Message;
use runlane_model::json::{Object, Value, parse, write_value};
use runlane_model::key_path::KeyPath;
use runlane_model::tree;
use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::record::RecordType;
use runlane_translog::format::BLOCK_SIZE;
use runlane_translog::{OsFs, Position, ReadEvent, Reader};

/// How far from the end the last rows are looked for at first; then twice as far, and so on.
const FIRST_LOOK_BYTES: u64 = 8 * BLOCK_SIZE as u64;

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// Its step.
    pub step: i64,
    /// All of it as one JSON object; NaN and infinities are written as Python's `json` does.
    pub json: String,
    /// Number of the writer; 0 in logs of other programs.
    pub writer: u64,
}

/// Reads rows forwards. Blocks on file reads.
#[derive(Debug)]
pub struct LogRows {
    reader: Reader,
    skip: u64,
    exit_code: Option<i32>,
}

impl LogRows {
    /// Opens the log at `path` so that its last `last` rows come first.
    ///
    /// The file is read backwards by ever larger steps, so that the end of a large log costs little.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is no log.
    pub fn open(path: &Path, last: u64) -> Result<Self, runlane_translog::Error> {
        let size = std::fs::metadata(path).map_or(0, |data| data.len());
        if last == u64::MAX {
            return Self::from_offset(path, 0);
        }
        let mut look = FIRST_LOOK_BYTES;
        loop {
            let from = size.saturating_sub(look) / BLOCK_SIZE as u64 * BLOCK_SIZE as u64;
            let count = Self::from_offset(path, from)?.count()?;
            if count >= last || from == 0 {
                let mut rows = Self::from_offset(path, from)?;
                rows.skip = count.saturating_sub(last);
                return Ok(rows);
            }
            look = look.saturating_mul(2);
        }
    }

    fn from_offset(path: &Path, offset: u64) -> Result<Self, runlane_translog::Error> {
        let position = Position {
            offset,
            last_num: 0,
        };
        Ok(Self {
            reader: Reader::open_at(&OsFs, path, position)?,
            skip: 0,
            exit_code: None,
        })
    }

    fn count(&mut self) -> Result<u64, runlane_translog::Error> {
        let mut count = 0;
        while let Some(found) = self.next_record()? {
            count += u64::from(matches!(found.record_type, Some(RecordType::History(_))));
        }
        Ok(count)
    }

    /// The next rows, at most `limit` of about `bytes` bytes; none at the present end of the log.
    ///
    /// # Errors
    ///
    /// The file cannot be read any more.
    pub fn read(
        &mut self,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<LogRow>, runlane_translog::Error> {
        let mut rows = Vec::new();
        let mut size = 0;
        while rows.len() < limit && size < bytes {
            let Some(record) = self.next_record()? else {
                break;
            };
            match &record.record_type {
                Some(RecordType::History(_)) if self.skip > 0 => self.skip -= 1,
                Some(RecordType::History(history)) => {
                    let row = row_of(history, record.control.as_ref());
                    size += row.json.len();
                    rows.push(row);
                }
                Some(RecordType::Exit(exit)) => self.exit_code = Some(exit.exit_code),
                _ => {}
            }
        }
        Ok(rows)
    }

    /// The exit code of the run, once its exit record was read.
    pub fn exit_code(&self) -> Option<i32> {
        self.exit_code
    }

    /// The next record that can be decoded; damage is passed over.
    fn next_record(&mut self) -> Result<Option<pb::Record>, runlane_translog::Error> {
        loop {
            match self.reader.next_event()? {
                ReadEvent::Record(found) => {
                    if let Ok(record) = pb::Record::decode(found.bytes) {
                        return Ok(Some(record));
                    }
                }
                ReadEvent::Repeated(_) | ReadEvent::Damage(_) => {}
                ReadEvent::End(_) => return Ok(None),
            }
        }
    }
}

fn row_of(history: &pb::HistoryRecord, control: Option<&pb::Control>) -> LogRow {
    let mut object = Object::new();
    for item in &history.item {
        // A value that is no JSON is shown as the text it is.
        let value =
            parse(&item.value_json).unwrap_or_else(|_error| Value::from(item.value_json.as_str()));
        tree::set(
            &mut object,
            &KeyPath::of_item(&item.key, &item.nested_key),
            value,
        );
    }
    let step = history.step.map(|step| step.num);
    if let (Some(step), None) = (step, object.get("_step")) {
        object.insert("_step".to_owned(), Value::Int(step));
    }
    let mut json = String::new();
    write_value(&mut json, &Value::Object(object));
    LogRow {
        step: step.unwrap_or(0),
        json,
        writer: control.map_or(0, |control| control.runlane_writer),
    }
}

/// Whether a file that could not be opened as a log is not there at all.
pub fn is_missing(error: &runlane_translog::Error) -> bool {
    matches!(error, runlane_translog::Error::Open { source, .. } if source.kind() == io::ErrorKind::NotFound)
}
