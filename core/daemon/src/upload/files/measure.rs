//! Reading files before their upload, and looking at live ones.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

use super::super::http::{hex, open_regular};
use super::live::Fingerprint;
use crate::clock::Clock;

/// A file as it was read.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) path: PathBuf,
    pub(super) length: u64,
    pub(super) md5: String,
    pub(super) md5_base64: String,
    pub(super) fingerprint: Fingerprint,
    /// How long reading took.
    pub(super) took: Duration,
}

/// What a batch comes to.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) changed: BTreeMap<String, Measured>,
    /// The server has these contents already.
    pub(super) unchanged: Vec<(String, Measured)>,
    pub(super) warnings: Vec<String>,
}

/// Reads each file once; what is missing or no file is left out with a warning.
pub(super) fn measure(
    clock: &dyn Clock,
    directory: &Path,
    names: &[String],
    known: &BTreeMap<String, String>,
) -> Batch {
    let mut batch = Batch::default();
    for name in names {
        let start = clock.now();
        match place_of(directory, name).and_then(|path| measure_one(&path)) {
            Ok(mut file) => {
                file.took = clock.now().saturating_duration_since(start);
                if known.get(name) == Some(&file.md5) {
                    batch.unchanged.push((name.clone(), file));
                } else {
                    batch.changed.insert(name.clone(), file);
                }
            }
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound && known.contains_key(name) =>
            {
                let text =
                    format!("file `{name}` has vanished: what was uploaded of it last stays");
                batch.warnings.push(text);
            }
            Err(error) => {
                let text = format!("file `{name}` not uploaded: {error}");
                batch.warnings.push(text);
            }
        }
    }
    batch
}

/// Looks at files: one `stat` each, by a thread that may wait.
pub(crate) fn look(directory: &Path, names: Vec<Arc<str>>) -> Vec<(Arc<str>, Option<Fingerprint>)> {
    let stat = |name: Arc<str>| {
        let metadata = std::fs::metadata(directory.join(&*name)).ok();
        let fingerprint = metadata
            .filter(std::fs::Metadata::is_file)
            .as_ref()
            .map(Fingerprint::of);
        (name, fingerprint)
    };
    names.into_iter().map(stat).collect()
}

/// Where a file is. Its folders must lie in the run's files, whatever links an unpacked run directory holds; the file
/// itself may be a link to anywhere, as `save` makes it.
fn place_of(directory: &Path, name: &str) -> std::io::Result<PathBuf> {
    let path = directory.join(name);
    let folder = path.parent().unwrap_or(directory).canonicalize()?;
    if folder.starts_with(directory.canonicalize()?) {
        return Ok(path);
    }
    let text = "its folder is a link that leads out of the run directory";
    Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, text))
}

/// Reads a file up to the length that it has when it is opened: one that grows without end is read once.
fn measure_one(path: &Path) -> std::io::Result<Measured> {
    let file = open_regular(path)?;
    let metadata = file.metadata()?;
    let mut file = file.take(metadata.len());
    let mut hasher = Md5::new();
    let mut buffer = vec![0; 1 << 16];
    let mut length = 0;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        length += count as u64;
    }
    let md5 = hasher.finalize();
    Ok(Measured {
        path: path.to_owned(),
        length,
        md5: hex(&md5),
        md5_base64: STANDARD.encode(md5),
        fingerprint: Fingerprint::of(&metadata),
        took: Duration::ZERO,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn only_changed_regular_files_are_uploaded() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("a"), b"hello").expect("written");
        std::fs::create_dir(directory.path().join("d")).expect("created");
        let names = ["a", "d", "missing"].map(str::to_owned);
        let batch = measure(&SystemClock, directory.path(), &names, &BTreeMap::new());
        assert_eq!(batch.changed["a"].md5, "5d41402abc4b2a76b9719d911017c592");
        assert_eq!((batch.changed.len(), batch.warnings.len()), (1, 2));
        let known = BTreeMap::from([
            ("a".to_owned(), batch.changed["a"].md5.clone()),
            ("missing".to_owned(), String::new()),
        ]);
        let again = measure(&SystemClock, directory.path(), &names, &known);
        assert!(again.changed.is_empty());
        assert_eq!(again.unchanged[0].0, "a");
        assert!(
            again.warnings[1].contains("has vanished"),
            "{:?}",
            again.warnings
        );
    }

    #[test]
    fn a_look_sees_files_behind_links_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = |name: &str| directory.path().join(name);
        std::fs::write(place("a"), b"hello").expect("written");
        std::os::unix::fs::symlink(place("a"), place("link")).expect("linked");
        std::os::unix::fs::symlink(place("loop"), place("loop")).expect("linked");
        std::fs::create_dir(place("d")).expect("created");
        let names = ["a", "link", "loop", "d", "missing"].map(Arc::from);
        let found = look(directory.path(), names.to_vec());
        let seen: Vec<bool> = found.iter().map(|(_, found)| found.is_some()).collect();
        assert_eq!(seen, [true, true, false, false, false]);
        assert_eq!(found[0].1, found[1].1);
        std::fs::write(place("a"), b"hello, world").expect("written");
        assert_ne!(look(directory.path(), vec!["a".into()])[0].1, found[0].1);
    }
}
