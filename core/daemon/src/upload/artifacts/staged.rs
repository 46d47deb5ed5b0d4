//! What happens to staged copies once their version is stored: they move into the cache, where downloads look first, or go.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use runlane_model::artifact::digest::{Algorithm, Digest, Hasher};

use runlane_translog::LiveLog;

use super::super::http::open_regular;
use super::drive::reread;
use super::entries::{Entry, Source};
use super::saver::Fates;
use super::wanted::Homes;

/// Where clients stage files, below the directory of their data.
const STAGING: &str = "artifacts/staging";

/// Staged copies of one version.
#[derive(Debug)]
pub(in crate::upload) struct Leftovers {
    pub(super) source: Source,
    pub(super) homes: Homes,
    /// None if the server had everything before a file was looked at.
    pub(super) fates: Option<std::sync::Arc<Fates>>,
}

impl Leftovers {
    /// Puts everything by that lies below the staging directory; nothing else is touched. Blocks.
    pub(in crate::upload) fn put_by(&self) {
        let staging = self
            .homes
            .staging
            .as_ref()
            .and_then(|staging| staging.canonicalize().ok());
        let Some(staging) = staging else {
            return;
        };
        if let Err(error) = self.put_all_by(&staging) {
            tracing::warn!(%error, "staged files of an artifact stay");
        }
        if let Source::File(list) = &self.source
            && let Some(list) = within(&staging, list)
        {
            remove(&list);
        }
    }

    fn put_all_by(&self, staging: &Path) -> Result<(), String> {
        let mut entries = self.source.open()?;
        let mut index = 0;
        while let Some(entry) = entries.next()? {
            let Some(local) = entry.local() else {
                continue;
            };
            let was_sent = self
                .fates
                .as_ref()
                .is_some_and(|fates| fates.was_sent(index));
            index += 1;
            let local = Path::new(local);
            if let Some(staged) = within(staging, local) {
                self.put_one_by(&staged, &entry, was_sent);
            } else if let Some(staged) = moved(staging, local)
                && is_right(&staged, &entry)
            {
                self.put_one_by(&staged, &entry, true);
            }
        }
        Ok(())
    }

    fn put_one_by(&self, staged: &Path, entry: &Entry, was_sent: bool) {
        let digest = Digest::from_base64(&entry.digest).filter(|_| !entry.skip_cache);
        let place = digest.and_then(|digest| self.homes.cached(entry.algorithm(), digest));
        if let Some(place) = place {
            // The cache must never say of other bytes that they are these.
            let is_right = was_sent || is_right(staged, entry);
            if is_right && let Err(error) = keep(staged, &place) {
                tracing::debug!(%error, "a staged file is not kept in the cache");
            }
        }
        remove(staged);
    }
}

/// The copy at `local`, where the staging directory is now: a log that was moved has its copies in the one of here. A file of the
/// user's that is called the same is none.
fn moved(staging: &Path, local: &Path) -> Option<PathBuf> {
    let mut above = local.ancestors().skip(1);
    if local.exists() || !above.any(|directory| directory.ends_with(STAGING)) {
        return None;
    }
    within(staging, &staging.join(local.file_name()?))
}

/// Staged copies of a version that is known to be stored: whoever was killed as it put them by has left some.
#[derive(Debug)]
pub(in crate::upload) struct Known {
    pub(super) log: PathBuf,
    pub(super) live: Option<LiveLog>,
    pub(super) homes: Homes,
    /// Where the version's record begins.
    pub(super) begin: u64,
}

impl Known {
    /// As [`Leftovers::put_by`].
    pub(in crate::upload) fn put_by(self) {
        let place = (self.log.as_path(), self.live.as_ref());
        let source = match reread(place, self.begin, &self.homes) {
            Ok((_, Source::File(list))) if !list.exists() => return,
            Ok((_, source)) => source,
            Err(error) => {
                tracing::debug!(%error, "staged files of a stored artifact stay");
                return;
            }
        };
        let leftovers = Leftovers {
            source,
            homes: self.homes,
            fates: None,
        };
        leftovers.put_by();
    }
}

/// Whether the file has the bytes of the entry.
fn is_right(path: &Path, entry: &Entry) -> bool {
    let digest = Digest::from_base64(&entry.digest);
    digest.is_some() && digest_of(path, entry.algorithm()).ok() == digest
}

/// The file at `path` if it is a regular one below `directory`, whatever links lead there.
fn within(directory: &Path, path: &Path) -> Option<PathBuf> {
    let folder = path.parent()?.canonicalize().ok()?;
    let path = folder.join(path.file_name()?);
    let is_file = path.symlink_metadata().is_ok_and(|data| data.is_file());
    (folder.starts_with(directory) && is_file).then_some(path)
}

/// Moves a file into its place in the cache.
fn keep(staged: &Path, place: &Path) -> io::Result<()> {
    if place.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(place.parent().unwrap_or(place))?;
    std::fs::set_permissions(staged, Permissions::from_mode(0o644))?;
    match std::fs::rename(staged, place) {
        // Another file system: a copy takes its place in one step as well.
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let mut name = place.file_name().unwrap_or_default().to_owned();
            name.push(format!(".{}.runlane-tmp", std::process::id()));
            let copy = place.with_file_name(name);
            let copied =
                std::fs::copy(staged, &copy).and_then(|_bytes| std::fs::rename(&copy, place));
            if copied.is_err() {
                remove(&copy);
            }
            copied
        }
        other => other,
    }
}

fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, path = %path.display(), "staged file stays");
        }
        _ => {}
    }
}

fn digest_of(path: &Path, algorithm: Algorithm) -> io::Result<Digest> {
    let mut file = open_regular(path)?;
    let mut hasher = Hasher::new(algorithm);
    let mut buffer = vec![0; 256 << 10];
    loop {
        match io::Read::read(&mut file, &mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use runlane_proto::wandb_internal as pb;

    use super::*;

    #[test]
    fn only_staged_files_move_and_only_right_ones_into_the_cache() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = |name: &str| directory.path().join(name);
        std::fs::create_dir_all(place("staging")).expect("created");
        let digest = Digest::of(Algorithm::Md5, b"hello");
        let other = Digest::of(Algorithm::Md5, b"other");
        std::os::unix::fs::symlink(place("mine"), place("staging/link")).expect("linked");
        let mut contents = Vec::new();
        for name in ["away", "here", "stale"] {
            std::fs::write(place("staging").join(name), b"again").expect("written");
        }
        let again = Digest::of(Algorithm::Md5, b"again");
        for (name, digest, skip_cache) in [
            // Staged elsewhere, and gone there; called as a staged file only; with other bytes.
            ("gone/artifacts/staging/away", again, false),
            ("gone/data/here", again, false),
            ("gone/artifacts/staging/stale", other, false),
            ("staging/a", digest, false),
            ("staging/wrong", other, false),
            ("staging/skipped", digest, true),
            ("mine", digest, false),
            ("staging/../mine", digest, false),
            ("staging/link", digest, false),
            ("staging/gone", digest, false),
        ] {
            if !name.contains("gone") && !name.contains("link") {
                std::fs::write(place(name), b"hello").expect("written");
            }
            contents.push(pb::ArtifactManifestEntry {
                path: name.to_owned(),
                digest: digest.base64(),
                local_path: place(name).display().to_string(),
                skip_cache,
                ..Default::default()
            });
        }
        let record = pb::Record {
            record_type: Some(pb::record::RecordType::Artifact(pb::ArtifactRecord {
                manifest: Some(pb::ArtifactManifest {
                    contents,
                    ..Default::default()
                }),
                ..Default::default()
            })),
            ..Default::default()
        };
        let homes = Homes {
            staging: Some(place("staging")),
            cache: Some(place("cache")),
        };
        let leftovers = Leftovers {
            source: Source::of_record(&bytes::Bytes::from(record.encode_to_vec())),
            homes: homes.clone(),
            fates: None,
        };
        leftovers.put_by();
        let cached = |digest| homes.cached(Algorithm::Md5, digest).expect("a place");
        assert_eq!(std::fs::read(cached(digest)).expect("cached"), b"hello");
        assert!(!cached(other).exists());
        assert_eq!(std::fs::read(place("mine")).expect("untouched"), b"hello");
        assert_eq!(std::fs::read(cached(again)).expect("cached"), b"again");
        let left = std::fs::read_dir(place("staging")).expect("there");
        let left = left.map(|entry| entry.expect("readable").file_name());
        let mut left: Vec<_> = left.collect();
        left.sort();
        assert_eq!(left, ["here", "link", "stale"]);
        leftovers.put_by();
    }
}
