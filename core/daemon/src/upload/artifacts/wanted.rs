//! Files of a version before their upload: found, measured, and as far as it costs nothing compared with what was added.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use runlane_model::artifact::digest::{Algorithm, Digest, Hasher};
use runlane_model::artifact::parts::{Part, PartDigest, Parts, plan, plan_resumable};

use super::super::http::open_regular;
use super::entries::Entry;

/// Files up to here are read once, compared and sent from memory.
const SMALL_BYTES: u64 = 256 << 10;
const BUFFER_BYTES: usize = 256 << 10;
/// Read at a stretch.
const SLICE_BYTES: u64 = 64 << 20;

/// A file that the server is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    /// Its place among the files of the manifest that have bytes here.
    pub(super) index: usize,
    pub(super) path: String,
    pub(super) digest: String,
    pub(super) algorithm: Algorithm,
    pub(super) local: PathBuf,
    pub(super) size: u64,
    /// None while it is not known and nobody needs it: large files whose digest is another one.
    pub(super) md5: Option<Digest>,
    pub(super) cut: Option<Parts>,
    pub(super) parts: Option<Vec<PartDigest>>,
}

impl Wanted {
    /// The `md5` of a request.
    pub(super) fn md5_text(&self) -> String {
        self.md5.map(Digest::base64).unwrap_or_default()
    }

    /// The part with a number.
    pub(super) fn part(&self, number: u64) -> Option<(Part, Digest)> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        let part = self.cut?.of(self.size).nth(index)?;
        Some((part, self.parts.as_ref()?.get(index)?.md5))
    }

    /// Its bytes if they are few and still those that were added.
    pub(super) fn small(&self) -> Result<Option<Bytes>, String> {
        if self.size > SMALL_BYTES {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let file = open_regular(&self.local).map_err(|error| self.unreadable(&error))?;
        file.take(self.size + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| self.unreadable(&error))?;
        if self.md5 == Some(Digest::of(Algorithm::Md5, &bytes)) {
            Ok(Some(Bytes::from(bytes)))
        } else {
            Err(self.changed())
        }
    }

    pub(super) fn changed(&self) -> String {
        changed(&self.path, &self.local)
    }

    pub(super) fn unreadable(&self, error: &io::Error) -> String {
        unreadable(&self.path, &self.local, error)
    }
}

fn changed(path: &str, local: &Path) -> String {
    format!(
        "file `{}` has changed since it was added to the artifact: `{}`\nhint: add it again and log the artifact anew; \
         `policy=\"mutable\"` keeps a copy of what is added",
        path.escape_debug(),
        local.display()
    )
}

fn unreadable(path: &str, local: &Path, error: &io::Error) -> String {
    let hint = if error.kind() == io::ErrorKind::NotFound {
        "\nhint: it was moved or deleted before its upload; put it back and run `runlane sync` on the run, or log the artifact again"
    } else {
        ""
    };
    format!(
        "file `{}` of the artifact cannot be read: {error}: `{}`{hint}",
        path.escape_debug(),
        local.display()
    )
}

/// Where files of artifacts may be beside the place that the record names.
#[derive(Debug, Clone, Default)]
pub(super) struct Homes {
    /// Of staged copies; `None` if it is not known.
    pub(super) staging: Option<PathBuf>,
    /// Of what was uploaded or downloaded.
    pub(super) cache: Option<PathBuf>,
}

impl Homes {
    /// The file in the cache that has this content.
    pub(super) fn cached(&self, algorithm: Algorithm, digest: Digest) -> Option<PathBuf> {
        let hex = digest.hex();
        let kind = match algorithm {
            Algorithm::Md5 => "md5",
            Algorithm::Xxh128 => "xxh128",
        };
        let (first, rest) = hex.split_at(2);
        Some(
            self.cache
                .as_ref()?
                .join("obj")
                .join(kind)
                .join(first)
                .join(rest),
        )
    }

    /// The list of entries that a record names, where it is now.
    pub(super) fn list(&self, named: &str) -> PathBuf {
        let named = PathBuf::from(named);
        let staged = self.staging.as_ref().zip(named.file_name());
        let moved = staged.map(|(staging, name)| staging.join("artifact_manifests").join(name));
        match moved {
            Some(moved) if !named.exists() && moved.exists() => moved,
            _ => named,
        }
    }

    /// Finds an entry's bytes: where they were put, where the staging directory is now, or in the cache. What is found is
    /// compared before it counts, so that a wrong guess does no harm.
    fn find(&self, entry: &Entry, local: &str) -> io::Result<(PathBuf, File)> {
        let named = PathBuf::from(local);
        let error = match open_regular(&named) {
            Ok(file) => return Ok((named, file)),
            Err(error) => error,
        };
        let staged = self.staging.as_ref().zip(named.file_name());
        let staged = staged.map(|(staging, name)| staging.join(name));
        let cached = Digest::from_base64(&entry.digest)
            .and_then(|digest| self.cached(entry.algorithm(), digest));
        for path in [staged, cached].into_iter().flatten() {
            if let Ok(file) = open_regular(&path) {
                return Ok((path, file));
            }
        }
        Err(error)
    }
}

/// A file on its way to being [`Wanted`]: large ones are read piece by piece, so that others get their turn.
#[derive(Debug)]
pub(super) struct Measuring {
    wanted: Wanted,
    file: File,
    expected: Digest,
    whole: Option<Hasher>,
    /// The MD5 of the whole is needed as well.
    md5: Option<Hasher>,
    done: Vec<PartDigest>,
    left: u64,
}

/// Begins to measure the file of `entry`, whose bytes are at `local`.
pub(super) fn begin(
    entry: &Entry,
    local: &str,
    index: usize,
    homes: &Homes,
    is_resumable: bool,
) -> Result<Measuring, String> {
    let expected = Digest::from_base64(&entry.digest).ok_or_else(|| {
        format!(
            "file `{}` of the artifact has no digest of 16 bytes",
            entry.path.escape_debug()
        )
    })?;
    let (path, file) = homes
        .find(entry, local)
        .map_err(|error| unreadable(&entry.path, Path::new(local), &error))?;
    let size = file
        .metadata()
        .map_err(|error| unreadable(&entry.path, &path, &error))?
        .len();
    if entry.size.is_some_and(|known| known != size) {
        return Err(changed(&entry.path, &path));
    }
    let cut = if is_resumable {
        plan_resumable(size)
    } else {
        plan(size)
    };
    let algorithm = entry.algorithm();
    // Whether the content is the one that was added shows when it is sent, unless its MD5 is not known before.
    let reads = cut.is_some() || algorithm != Algorithm::Md5;
    Ok(Measuring {
        whole: reads.then(|| Hasher::new(algorithm)),
        md5: (algorithm != Algorithm::Md5 && cut.is_none()).then(|| Hasher::new(Algorithm::Md5)),
        wanted: Wanted {
            index,
            path: entry.path.clone(),
            digest: entry.digest.clone(),
            algorithm,
            local: path,
            size,
            md5: (algorithm == Algorithm::Md5).then_some(expected),
            cut,
            parts: None,
        },
        left: if reads { size } else { 0 },
        file,
        expected,
        done: Vec::new(),
    })
}

impl Measuring {
    /// Bytes that reading has to go through.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Reads on, a part at most; the file once it is measured. Blocks.
    pub(super) fn go_on(&mut self) -> Result<Option<Wanted>, String> {
        // What is not cut goes in slices all the same: others want their turn.
        let slice = self.wanted.cut.map_or(SLICE_BYTES, |cut| cut.part_bytes);
        let length = slice.min(self.left);
        let mut part = self.wanted.cut.map(|_| Hasher::new(Algorithm::Md5));
        let mut buffer = vec![0; BUFFER_BYTES.min(usize::try_from(length).unwrap_or(BUFFER_BYTES))];
        let mut unread = length;
        while unread > 0 {
            let room = usize::try_from(unread)
                .unwrap_or(BUFFER_BYTES)
                .min(buffer.len());
            let count = match self.file.read(&mut buffer[..room]) {
                Ok(0) => return Err(self.wanted.changed()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.wanted.unreadable(&error)),
            };
            for hasher in [&mut self.whole, &mut self.md5, &mut part]
                .into_iter()
                .flatten()
            {
                hasher.update(&buffer[..count]);
            }
            unread -= count as u64;
        }
        self.left -= length;
        if let Some(part) = part {
            self.done.push(PartDigest {
                number: self.done.len() as u64 + 1,
                md5: part.finish(),
            });
        }
        if self.left > 0 {
            return Ok(None);
        }
        if self
            .whole
            .take()
            .is_some_and(|whole| whole.finish() != self.expected)
        {
            return Err(self.wanted.changed());
        }
        let mut wanted = self.wanted.clone();
        if let Some(md5) = self.md5.take() {
            wanted.md5 = Some(md5.finish());
        }
        wanted.parts = wanted.cut.map(|_| std::mem::take(&mut self.done));
        Ok(Some(wanted))
    }
}

/// The MD5 of a file whose digest is another one, for a server that wants it whole after all. Blocks.
pub(super) fn md5_of(wanted: &Wanted) -> Result<Digest, String> {
    let mut file = open_regular(&wanted.local).map_err(|error| wanted.unreadable(&error))?;
    let mut hasher = Hasher::new(Algorithm::Md5);
    let mut buffer = vec![0; BUFFER_BYTES];
    file.seek(SeekFrom::Start(0))
        .map_err(|error| wanted.unreadable(&error))?;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(wanted.unreadable(&error)),
        }
    }
}
