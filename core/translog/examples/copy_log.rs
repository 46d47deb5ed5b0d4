//! Copies the intact records of one transaction log into a new one: `copy_log FROM TO`.
//!
//! A damaged log becomes one without damage; what was lost is said on standard error.

use std::path::Path;

use runlane_translog::{OsFs, ReadEvent, Reader, Writer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<_> = std::env::args_os().skip(1).collect();
    let [from, to] = paths.as_slice() else {
        return Err("usage: copy_log FROM TO".into());
    };
    let mut reader = Reader::open(&OsFs, Path::new(from))?;
    let mut writer = Writer::create(&OsFs, Path::new(to))?;
    loop {
        match reader.next_event()? {
            ReadEvent::Record(record) => {
                // A later `num` field wins over the one that the writer puts in front: cut it off.
                writer.append(without_number(record.bytes))?;
            }
            ReadEvent::Repeated(_) => {}
            ReadEvent::Damage(damage) => report(&format!("{damage:?}")),
            ReadEvent::End(tail) => {
                writer.sync()?;
                report(&format!("{tail:?}, {:?}", reader.stats()));
                return Ok(());
            }
        }
    }
}

/// The record behind its leading `num` field.
fn without_number(record: &[u8]) -> &[u8] {
    const NUM_TAG: u8 = 8;
    match record {
        [NUM_TAG, rest @ ..] => {
            let last = rest
                .iter()
                .position(|byte| byte & 0x80 == 0)
                .map_or(rest.len(), |at| at + 1);
            &rest[last..]
        }
        other => other,
    }
}

#[expect(clippy::print_stderr, reason = "a command-line program")]
fn report(text: &str) {
    eprintln!("{text}");
}
