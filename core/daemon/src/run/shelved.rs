//! Taking over what a dead writer left on its shelf (`runlane_model::shelf` has the layout).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use runlane_model::shelf::{self, FILE_BYTES, Header};
use runlane_model::spill::{FrameHeader, file_header};

use super::spilled::{SpillFrame, spill_files_of};

const SPILL_SUFFIX: &str = ".runlane-spill";
const SHELF_SUFFIX: &str = ".shelf.runlane-spill";

/// A shelf as it lies.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) header: Header,
    bytes: Vec<u8>,
}

impl Shelf {
    /// Reads the shelf at `path`; `None` if there is none or it is something else.
    pub(crate) fn read(path: &Path) -> io::Result<Option<Self>> {
        let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(no_follow)
            .open(path);
        let file = match file {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        if !file.metadata()?.is_file() {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(FILE_BYTES);
        file.take(FILE_BYTES as u64).read_to_end(&mut bytes)?;
        let header = Header::parse(&bytes);
        Ok(header.map(|header| Self { header, bytes }))
    }

    /// What is on it, in order.
    pub(crate) fn frames(&self) -> impl Iterator<Item = SpillFrame> {
        shelf::slots(&self.bytes)
            .into_iter()
            .map(|slot| SpillFrame::of(slot.first_seq, slot.bytes.to_vec()))
    }

    /// Writes what is on it into a spill file beside the writer's own, from where it is taken like any other. It is written, empty,
    /// for a writer that has only a spill file too: it says that the writer is dead.
    fn put_by(&self) -> io::Result<()> {
        let target = beside(&self.header.spill_path).ok_or(io::ErrorKind::InvalidData)?;
        let slots = shelf::slots(&self.bytes);
        if slots.is_empty() && !self.header.spill_path.exists() {
            return Ok(());
        }
        let draft = target.with_extension(format!("{}.draft", std::process::id()));
        let mut file = File::create(&draft)?;
        file.write_all(&file_header(self.header.writer))?;
        for slot in slots {
            let header = FrameHeader::of(slot.bytes, slot.entries, slot.first_seq);
            file.write_all(&header.to_bytes())?;
            file.write_all(slot.bytes)?;
        }
        std::fs::rename(&draft, &target)
    }
}

/// The spill files of one dead writer that [`put_by`] made, with the writer's own before it.
pub(crate) fn files_of_the_dead(log: &Path) -> io::Result<Vec<PathBuf>> {
    let files = spill_files_of(log)?;
    let is_dead = |path: &PathBuf| {
        let own = path
            .to_str()
            .map(|path| path.replace(SHELF_SUFFIX, SPILL_SUFFIX));
        own.and_then(|own| beside(Path::new(&own)))
            .is_some_and(|shelf| files.contains(&shelf))
    };
    Ok(files.iter().filter(|path| is_dead(path)).cloned().collect())
}

/// `run-x.<writer>.shelf.runlane-spill` for `run-x.<writer>.runlane-spill`: it comes behind that in the order of names, as its
/// entries do.
fn beside(spill_path: &Path) -> Option<PathBuf> {
    let name = spill_path.file_name()?.to_str()?;
    let stem = name.strip_suffix(SPILL_SUFFIX)?;
    let is_ours = stem.starts_with("run-") && spill_path.is_absolute();
    is_ours.then(|| spill_path.with_file_name(format!("{stem}{SHELF_SUFFIX}")))
}

/// The shelves of dead processes, of the run with this log or of all runs.
pub(crate) fn of_the_dead(log: Option<&Path>) -> Vec<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    dead_in(&shelf::directory_of(uid), log)
}

fn dead_in(directory: &Path, log: Option<&Path>) -> Vec<PathBuf> {
    // No directory: no shelves.
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_dead = |path: &PathBuf| match Shelf::read(path) {
        Ok(Some(Shelf { header, .. })) => {
            log.is_none_or(|log| belongs_to(&header.spill_path, log)) && header.owner.is_dead()
        }
        Ok(None) => false,
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "shelf cannot be read");
            false
        }
    };
    paths.filter(is_dead).collect()
}

/// Puts by what lies on shelves of dead processes. What cannot be put by stays. Only for whoever holds the run's log, or when
/// nobody has done anything about the shelves for long: a daemon takes over from the shelf of a process that it sees die.
pub(crate) fn put_by(shelves: &[PathBuf]) {
    // Two threads of a daemon may come to the same shelf.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for path in shelves {
        let Ok(Some(shelf)) = Shelf::read(path) else {
            continue;
        };
        let spill_path = &shelf.header.spill_path;
        let run_is_gone = spill_path.parent().is_none_or(|parent| !parent.exists());
        if !run_is_gone && let Err(error) = shelf.put_by() {
            tracing::error!(%error, path = %spill_path.display(), "rows of a dead process stay on its shelf");
            continue;
        }
        if let Err(error) = std::fs::remove_file(path) {
            tracing::warn!(%error, path = %path.display(), "shelf cannot be removed");
        }
    }
}

fn belongs_to(spill_path: &Path, log: &Path) -> bool {
    let name = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    let stem = log
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    spill_path.parent() == log.parent()
        && matches!((name(spill_path), stem), (Some(name), Some(stem)) if name.starts_with(&format!("{stem}.")))
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use runlane_model::shelf::{
        Owner, SLOT_BYTES, SLOTS_OFFSET, TABLE_ENTRY_BYTES, TABLE_OFFSET, slot_state,
    };
    use runlane_proto::local;

    use super::super::spilled::SpillReader;
    use super::*;

    /// A shelf with two entries from 4 on and one from 9 on, in the wrong order.
    fn shelf_of(owner: Owner, spill_path: &Path) -> Vec<u8> {
        let header = Header {
            writer: 0xff,
            owner,
            spill_path: spill_path.to_owned(),
        };
        let mut file = header.to_bytes().expect("short enough");
        file.resize(FILE_BYTES, 0);
        for (index, (first_seq, entries)) in [(9, 1), (4, 2)].into_iter().enumerate() {
            let batch = local::Batch {
                entry: vec![local::Entry::default(); entries],
                ..Default::default()
            }
            .encode_to_vec();
            let at = TABLE_OFFSET + index * TABLE_ENTRY_BYTES;
            let length = u32::try_from(batch.len()).expect("small");
            let state = slot_state(u32::try_from(entries).expect("small"), length);
            file[at..at + 8].copy_from_slice(&u64::to_le_bytes(first_seq));
            file[at + 8..at + 16].copy_from_slice(&state.to_le_bytes());
            let start = SLOTS_OFFSET + index * SLOT_BYTES;
            file[start..start + batch.len()].copy_from_slice(&batch);
        }
        file
    }

    fn myself() -> Owner {
        Owner::of(std::process::id()).expect("this process")
    }

    fn dead() -> Owner {
        Owner {
            started_ticks: myself().started_ticks - 1,
            ..myself()
        }
    }

    #[test]
    fn rows_of_the_dead_are_put_by_and_those_of_the_living_stay() {
        let directory = tempfile::tempdir().expect("a directory");
        let shelves = directory.path().join("shelves");
        let run = directory.path().join("run");
        for made in [&shelves, &run] {
            std::fs::create_dir(made).expect("made");
        }
        let log = run.join("run-x.wandb");
        let spill_path = run.join("run-x.00000000000000ff.runlane-spill");
        std::fs::write(shelves.join("ff"), shelf_of(dead(), &spill_path)).expect("written");
        std::fs::write(shelves.join("living"), shelf_of(myself(), &spill_path)).expect("written");
        std::fs::write(shelves.join("other"), b"something else").expect("written");
        let of_another_run = dead_in(&shelves, Some(&directory.path().join("run/run-y.wandb")));
        assert!(of_another_run.is_empty());
        put_by(&dead_in(&shelves, Some(&log)));
        assert!(!shelves.join("ff").exists());
        assert!(shelves.join("living").exists() && shelves.join("other").exists());
        let files = spill_files_of(&log).expect("listed");
        assert_eq!(files.len(), 1);
        let mut reader = SpillReader::open(&files[0])
            .expect("readable")
            .expect("a spill file");
        assert_eq!(reader.writer(), 0xff);
        let mut found = Vec::new();
        while let Some(frame) = reader.next_frame().expect("readable") {
            found.push((frame.first_seq, frame.entries().count()));
        }
        assert_eq!(found, [(4, 2), (9, 1)]);
        std::fs::write(&spill_path, file_header(0xff)).expect("written");
        std::fs::write(
            run.join("run-x.0000000000000001.runlane-spill"),
            b"of a living one",
        )
        .expect("written");
        let dead = files_of_the_dead(&log).expect("listed");
        assert_eq!(dead, [spill_path, files[0].clone()]);
    }

    #[test]
    fn the_shelf_of_a_run_that_was_deleted_goes_with_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let spill_path = directory
            .path()
            .join("gone/run-x.00000000000000ff.runlane-spill");
        let shelf = directory.path().join("ff");
        std::fs::write(&shelf, shelf_of(dead(), &spill_path)).expect("written");
        put_by(&dead_in(directory.path(), None));
        assert!(!shelf.exists());
    }

    #[test]
    fn nothing_is_written_to_a_place_that_no_run_has() {
        for path in [
            "/etc/run-x.ff.conf",
            "run-x.ff.runlane-spill",
            "/etc/x.runlane-spill",
        ] {
            assert_eq!(beside(Path::new(path)), None, "{path}");
        }
    }
}
