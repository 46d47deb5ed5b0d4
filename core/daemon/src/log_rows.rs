//! The rows of a log, from its last ones on, while it may still grow. What `runlane tail` shows.

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

#[cfg(test)]
mod tests {
    use runlane_translog::Writer;

    use super::*;

    fn history(step: i64, items: &[(&[&str], &str)]) -> Vec<u8> {
        let item = items.iter().map(|(path, json)| pb::HistoryItem {
            nested_key: path.iter().map(|part| (*part).to_owned()).collect(),
            value_json: (*json).to_owned(),
            ..Default::default()
        });
        let history = pb::HistoryRecord {
            item: item.collect(),
            step: Some(pb::HistoryStep { num: step }),
            ..Default::default()
        };
        pb::Record {
            record_type: Some(RecordType::History(history)),
            ..Default::default()
        }
        .encode_to_vec()
    }

    fn exit(exit_code: i32) -> Vec<u8> {
        let exit = pb::RunExitRecord {
            exit_code,
            ..Default::default()
        };
        pb::Record {
            record_type: Some(RecordType::Exit(exit)),
            ..Default::default()
        }
        .encode_to_vec()
    }

    fn steps(rows: &[LogRow]) -> Vec<i64> {
        rows.iter().map(|row| row.step).collect()
    }

    fn all(rows: &mut LogRows) -> Vec<LogRow> {
        let mut found = Vec::new();
        loop {
            let read = rows.read(100, 1 << 20).expect("readable");
            if read.is_empty() {
                return found;
            }
            found.extend(read);
        }
    }

    /// 3,000 rows in about 3 MB: many times what is looked at first.
    fn long_log(path: &Path) -> Writer {
        let mut writer = Writer::create(&OsFs, path).expect("created");
        let filler = format!("\"{}\"", "f".repeat(1_000));
        for step in 0..3_000 {
            writer
                .append(&history(step, &[(&["x"], "1"), (&["f"], &filler)]))
                .expect("appended");
        }
        writer
    }

    #[test]
    fn the_last_rows_of_a_long_log_come_first_and_new_ones_behind() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("run-x.wandb");
        let mut writer = long_log(&path);
        for last in [0, 1, 7, 255, 256, 300, 2_999, 3_000, 9_999, u64::MAX] {
            let mut rows = LogRows::open(&path, last).expect("a log");
            let expected: Vec<i64> = (0..3_000)
                .skip(3_000_usize.saturating_sub(usize::try_from(last).unwrap_or(usize::MAX)))
                .collect();
            assert_eq!(steps(&all(&mut rows)), expected, "last {last}");
        }
        let mut rows = LogRows::open(&path, 2).expect("a log");
        assert_eq!(steps(&all(&mut rows)), [2_998, 2_999]);
        writer.append(&history(3_000, &[])).expect("appended");
        assert_eq!(steps(&all(&mut rows)), [3_000]);
        assert_eq!(rows.exit_code(), None);
        writer.append(&exit(4)).expect("appended");
        assert_eq!((all(&mut rows).len(), rows.exit_code()), (0, Some(4)));
    }

    #[test]
    fn a_message_is_bounded_by_rows_and_bytes() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("run-x.wandb");
        long_log(&path);
        let mut rows = LogRows::open(&path, 1_000).expect("a log");
        assert_eq!(rows.read(10, 1 << 20).expect("readable").len(), 10);
        let some = rows.read(1_000, 5_000).expect("readable");
        assert!((4..=6).contains(&some.len()), "{}", some.len());
    }

    #[test]
    fn a_row_is_one_object_whatever_its_keys() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("run-x.wandb");
        let mut writer = Writer::create(&OsFs, &path).expect("created");
        writer
            .append(&history(
                5,
                &[
                    (&["a", "b"], "1"),
                    (&["a", "c"], "NaN"),
                    (&["bad"], "{no json"),
                ],
            ))
            .expect("appended");
        let mut rows = LogRows::open(&path, 1).expect("a log");
        assert_eq!(
            all(&mut rows)[0].json,
            r#"{"a":{"b":1,"c":NaN},"bad":"{no json","_step":5}"#
        );
    }

    #[test]
    fn damage_costs_only_what_it_hits() {
        use std::os::unix::fs::FileExt;
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("run-x.wandb");
        long_log(&path);
        let size = std::fs::metadata(&path).expect("there").len();
        let file = std::fs::File::options()
            .write(true)
            .open(&path)
            .expect("opened");
        file.write_all_at(&[0xff; 64], size - 20_000)
            .expect("written");
        let mut rows = LogRows::open(&path, 100).expect("a log");
        let found = steps(&all(&mut rows));
        assert_eq!(found.len(), 100);
        assert!(found.is_sorted() && found.last() == Some(&2_999));
    }

    #[test]
    fn what_is_no_log_is_an_error() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("run-x.wandb");
        assert!(LogRows::open(&path, 1).is_err());
        std::fs::write(&path, b"something else").expect("written");
        let error = LogRows::open(&path, 1).expect_err("no log");
        assert!(
            error.to_string().contains("not a transaction log"),
            "{error}"
        );
    }
}
