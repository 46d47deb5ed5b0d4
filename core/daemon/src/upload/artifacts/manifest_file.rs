//! The manifest of a version as a file, entry by entry.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use runlane_model::artifact::digest::{Algorithm, Digest, Hasher};
use runlane_model::artifact::manifest;
use serde_json::json;

use super::entries::{Entry, Source};
use super::saver::Fates;
use crate::own_file;

/// References of a client to a version that had no id of the server's when they were made, and what they become.
const CLIENT_SCHEME: &str = "wandb-client-artifact://";
const SERVER_SCHEME: &str = "wandb-artifact://";

/// A manifest file on disk; removed when it is dropped.
#[derive(Debug)]
pub(super) struct ManifestFile {
    pub(super) path: PathBuf,
    pub(super) length: u64,
    pub(super) md5: Digest,
}

impl Drop for ManifestFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "manifest file was gone already");
        }
    }
}

/// The client id that a reference names, if it is one to a client's version.
pub(super) fn client_id(reference: &str) -> Option<&str> {
    let rest = reference.strip_prefix(CLIENT_SCHEME)?;
    let name = rest.split('/').next().unwrap_or(rest);
    // `<id>:latest` names the newest version of its collection.
    let id = name.split(':').next().unwrap_or(name);
    (!id.is_empty()).then_some(id)
}

/// The reference with the server's id in the client's place.
fn resolved(reference: &str, ids: &BTreeMap<String, String>) -> Option<String> {
    let id = ids.get(client_id(reference)?)?;
    let rest = reference.strip_prefix(CLIENT_SCHEME)?;
    let path = rest.split_once('/').map_or("", |(_, path)| path);
    // Server ids are base64 of a readable one; in URIs they stand in hexadecimal.
    let decoded = STANDARD
        .decode(id)
        .or_else(|_| URL_SAFE_NO_PAD.decode(id))
        .ok()?;
    Some(format!(
        "{SERVER_SCHEME}{}/{path}",
        super::super::http::hex(&decoded)
    ))
}

/// Writes the manifest of the entries of `source`. Blocks.
pub(super) fn write(
    source: &Source,
    path: &Path,
    fates: &Fates,
    ids: &BTreeMap<String, String>,
    storage_region: Option<&str>,
) -> Result<ManifestFile, String> {
    let unwritten = |error: io::Error| {
        format!(
            "its manifest cannot be written: {error}: `{}`",
            path.display()
        )
    };
    let file = own_file::options()
        .write(true)
        .truncate(true)
        .open(path)
        .map_err(unwritten)?;
    let mut out = Hashing {
        file: BufWriter::new(file),
        hasher: Hasher::new(Algorithm::Md5),
        length: 0,
    };
    let mut written = ManifestFile {
        path: path.to_owned(),
        length: 0,
        md5: Digest([0; 16]),
    };
    let mut config = json!({"storageLayout": "V2"});
    if let Some(region) = storage_region {
        config["storageRegion"] = region.into();
    }
    let head = format!(
        "{{\"version\":1,\"storagePolicy\":\"wandb-storage-policy-v1\",\"storagePolicyConfig\":{config},\"contents\":{{"
    );
    out.write_all(head.as_bytes()).map_err(unwritten)?;
    let mut entries = source.open()?;
    let (mut index, mut is_first) = (0, true);
    while let Some(entry) = entries.next()? {
        let birth = entry
            .local()
            .and_then(|_| fates.birth(index))
            .map(str::to_owned);
        index += usize::from(entry.local().is_some());
        if !std::mem::take(&mut is_first) {
            out.write_all(b",").map_err(unwritten)?;
        }
        let path = serde_json::to_string(&entry.path).map_err(|error| error.to_string())?;
        let entry = stored(entry, birth, ids);
        let entry = serde_json::to_string(&entry).map_err(|error| error.to_string())?;
        out.write_all(path.as_bytes())
            .and_then(|()| out.write_all(b":"))
            .and_then(|()| out.write_all(entry.as_bytes()))
            .map_err(unwritten)?;
    }
    out.write_all(b"}}")
        .and_then(|()| out.flush())
        .map_err(unwritten)?;
    (written.length, written.md5) = (out.length, out.hasher.finish());
    Ok(written)
}

/// The entry as the version has it.
fn stored(entry: Entry, birth: Option<String>, ids: &BTreeMap<String, String>) -> manifest::Entry {
    let reference = entry
        .reference()
        .map(|uri| resolved(uri, ids).unwrap_or_else(|| uri.to_owned()));
    manifest::Entry {
        digest: entry.digest,
        reference,
        size: entry.size.unwrap_or(0),
        birth_artifact_id: birth.or(entry.birth_artifact_id),
        extra: entry.extra.unwrap_or_default(),
    }
}

struct Hashing {
    file: BufWriter<File>,
    hasher: Hasher,
    length: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.length += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use runlane_model::artifact::manifest::Manifest;

    use super::*;

    #[test]
    fn references_to_a_clients_version_lead_to_the_servers() {
        let ids = BTreeMap::from([("abc".to_owned(), "QXJ0aWZhY3Q6Mzc=".to_owned())]);
        let found = |uri: &str| resolved(uri, &ids);
        assert_eq!(
            found("wandb-client-artifact://abc/dir/a b.json").as_deref(),
            Some("wandb-artifact://41727469666163743a3337/dir/a b.json")
        );
        assert_eq!(
            found("wandb-client-artifact://abc:latest/x").as_deref(),
            Some("wandb-artifact://41727469666163743a3337/x")
        );
        assert_eq!(found("wandb-client-artifact://other/x"), None);
        assert_eq!(found("s3://abc/x"), None);
    }

    #[test]
    fn the_file_is_a_manifest_that_readers_take() {
        let directory = tempfile::tempdir().expect("a directory");
        let list = directory.path().join("list.jl.gz");
        let mut encoder = flate2::write::GzEncoder::new(
            File::create(&list).expect("created"),
            flate2::Compression::fast(),
        );
        let digest = "XUFAKrxLKna5cZ2REBfFkg==";
        for line in [
            json!({"path": "a \"é\"", "digest": digest, "size": 5, "local_path": "/x"}),
            json!({"path": "b", "digest": digest, "size": 5, "birth_artifact_id": "QQ=="}),
            json!({"path": "c", "digest": "u", "ref": "wandb-client-artifact://id/u", "extra": {"etag": "1"}}),
        ] {
            writeln!(encoder, "{line}").expect("written");
        }
        encoder.finish().expect("finished");
        let mut fates = Fates::default();
        fates.set_birth(0, "Qg==");
        let ids = BTreeMap::from([("id".to_owned(), "Qw==".to_owned())]);
        let path = directory.path().join("manifest");
        let written = write(&Source::File(list), &path, &fates, &ids, Some("eu")).expect("written");
        let bytes = std::fs::read(&path).expect("there");
        assert_eq!(written.length, bytes.len() as u64);
        assert_eq!(written.md5, Digest::of(Algorithm::Md5, &bytes));
        let manifest = Manifest::read(&bytes).expect("a manifest");
        let births: Vec<_> = manifest
            .entries
            .values()
            .map(|entry| entry.birth_artifact_id.as_deref())
            .collect();
        assert_eq!(births, [Some("Qg=="), Some("QQ=="), None]);
        assert_eq!(
            manifest.entries["c"].reference.as_deref(),
            Some("wandb-artifact://43/u")
        );
        assert_eq!(manifest.storage_region.as_deref(), Some("eu"));
        assert_eq!(manifest.write(), bytes);
        drop(written);
        assert!(!path.exists());
    }
}
