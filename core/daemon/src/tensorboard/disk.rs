//! The seam to the file system: listing log directories, reading event files, putting files into the run.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Directories below a log directory are read down to this depth.
const DEEPEST: usize = 16;
/// Entries looked at in one listing.
const MOST_ENTRIES: usize = 50_000;

/// A file in a log directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) inode: u64,
}

/// What mirroring needs of a file system.
pub(crate) trait EventDisk: Send + std::fmt::Debug {
    /// Files below `directory` whose names `admits`, at any depth, without those below one of `others`; in the order of their
    /// paths.
    fn list(
        &self,
        directory: &str,
        others: &BTreeSet<String>,
        admits: &dyn Fn(&str) -> bool,
    ) -> io::Result<Vec<Found>>;

    /// At most `most` bytes of a file from `offset` on.
    fn read(&self, path: &str, offset: u64, most: usize) -> io::Result<Vec<u8>>;

    /// Writes a file of the run; one that is there is kept.
    fn store(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Puts a link to a file into the run.
    fn link(&self, source: &str, name: &str) -> io::Result<()>;
}

/// The file system of this host.
#[derive(Debug)]
pub(crate) struct OsDisk {
    /// Where files of the run are.
    files_dir: PathBuf,
}

impl OsDisk {
    pub(crate) fn new(files_dir: &str) -> Self {
        Self {
            files_dir: PathBuf::from(files_dir),
        }
    }
}

impl EventDisk for OsDisk {
    fn list(
        &self,
        directory: &str,
        others: &BTreeSet<String>,
        admits: &dyn Fn(&str) -> bool,
    ) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        let mut looked_at = 0;
        let mut waiting = vec![(directory.to_owned(), 0)];
        while let Some((place, depth)) = waiting.pop() {
            let entries = match fs::read_dir(&place) {
                Ok(entries) => entries,
                Err(error) if depth == 0 => return Err(error),
                // Removed or closed to us meanwhile.
                Err(_) => continue,
            };
            for entry in entries.filter_map(Result::ok) {
                looked_at += 1;
                if looked_at > MOST_ENTRIES {
                    return Err(io::Error::other(format!(
                        "it has more than {MOST_ENTRIES} entries"
                    )));
                }
                let name = entry.file_name();
                let Some(name) = name.to_str() else {
                    continue;
                };
                let path = format!("{}/{name}", place.trim_end_matches('/'));
                let Ok(kind) = entry.file_type() else {
                    continue;
                };
                // Links to directories are not followed: they may lead in a circle.
                if kind.is_dir() && depth < DEEPEST && !others.contains(&path) {
                    waiting.push((path, depth + 1));
                } else if !kind.is_dir()
                    && admits(name)
                    && let Ok(metadata) = fs::metadata(&path)
                    && metadata.is_file()
                {
                    found.push(Found {
                        path,
                        size: metadata.len(),
                        inode: metadata.ino(),
                    });
                }
            }
        }
        found.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    fn read(&self, path: &str, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(most as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn store(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.files_dir.join(name);
        if path.exists() {
            return Ok(());
        }
        make_parent(&path)?;
        // Renamed into place: the uploader must not find half of it.
        let partial = path.with_extension("runlane-partial");
        let written = File::create(&partial).and_then(|mut file| file.write_all(bytes));
        let stored = written.and_then(|()| fs::rename(&partial, &path));
        if stored.is_err() {
            // Whatever could be written of it is of no use.
            _ = fs::remove_file(&partial);
        }
        stored
    }

    fn link(&self, source: &str, name: &str) -> io::Result<()> {
        let path = self.files_dir.join(name);
        make_parent(&path)?;
        match std::os::unix::fs::symlink(source, &path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(&path)?;
                std::os::unix::fs::symlink(source, &path)
            }
            other => other,
        }
    }
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_listed_with_everything_below_it_but_other_log_directories() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().join("logs");
        fs::create_dir_all(root.join("sub/deep")).expect("made");
        fs::create_dir_all(root.join("told")).expect("made");
        for name in ["b.ev", "a.ev", "c.txt", "sub/deep/d.ev", "told/e.ev"] {
            fs::write(root.join(name), name).expect("written");
        }
        std::os::unix::fs::symlink(&root, root.join("sub/loop")).expect("linked");
        std::os::unix::fs::symlink(root.join("b.ev"), root.join("link.ev")).expect("linked");
        std::os::unix::fs::symlink("nowhere", root.join("gone.ev")).expect("linked");
        let root = root.to_str().expect("UTF-8").to_owned();
        let others = BTreeSet::from([format!("{root}/told")]);
        let disk = OsDisk::new("/nonexistent");
        let found = disk
            .list(&root, &others, &|name| name.contains(".ev"))
            .expect("listed");
        let names: Vec<&str> = found
            .iter()
            .map(|file| file.path[root.len() + 1..].trim_start_matches('/'))
            .collect();
        assert_eq!(names, ["a.ev", "b.ev", "link.ev", "sub/deep/d.ev"]);
        assert_eq!(found[0].size, 4);
        assert!(disk.list("/nonexistent", &others, &|_| true).is_err());
        // A log directory may itself be a link.
        let alias = directory.path().join("alias");
        std::os::unix::fs::symlink(&root, &alias).expect("linked");
        let alias = alias.to_str().expect("UTF-8");
        let found = disk.list(alias, &BTreeSet::new(), &|name| name == "a.ev");
        assert_eq!(found.expect("listed").len(), 1);
    }

    #[test]
    fn files_of_the_run_are_written_once_and_links_are_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let disk = OsDisk::new(directory.path().to_str().expect("UTF-8"));
        disk.store("media/images/a.png", b"one").expect("stored");
        disk.store("media/images/a.png", b"two").expect("kept");
        let path = directory.path().join("media/images/a.png");
        assert_eq!(fs::read(&path).expect("there"), b"one");
        for source in ["/somewhere", "/elsewhere"] {
            disk.link(source, "train/events").expect("linked");
            let target = fs::read_link(directory.path().join("train/events")).expect("a link");
            assert_eq!(target, Path::new(source));
        }
    }
}
