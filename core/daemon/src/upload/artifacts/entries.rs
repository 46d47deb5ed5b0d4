//! The entries of a record's manifest, one after another: from the record, or from the file beside it that clients write
//! for many entries (gzip, one JSON object a line).
//!
//! A manifest is read more than once (files first, then as a whole) and never held decoded.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use prost::Message;
use runlane_model::artifact::digest::Algorithm;
use runlane_model::artifact::manifest::{Extra, MOST_ENTRIES};
use runlane_proto::wandb_internal as pb;
use serde::Deserialize;

use super::super::http::open_regular;
use crate::wire::{Field, Fields};

/// The longest line of a manifest file.
const MOST_LINE_BYTES: u64 = 1 << 20;
/// The field of a record that has the artifact, of an artifact that has the manifest, of a manifest that has an entry.
const ARTIFACT: u32 = 8;
const MANIFEST: u32 = 12;
const CONTENTS: u32 = 4;

/// One entry as a client describes it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) digest: String,
    #[serde(rename = "ref")]
    pub(super) reference: Option<String>,
    pub(super) size: Option<u64>,
    #[serde(alias = "birthArtifactID")]
    pub(super) birth_artifact_id: Option<String>,
    pub(super) local_path: Option<String>,
    pub(super) skip_cache: bool,
    pub(super) extra: Option<Extra>,
}

impl Entry {
    /// Where its bytes are, if they are to be uploaded.
    pub(super) fn local(&self) -> Option<&str> {
        self.local_path.as_deref().filter(|path| !path.is_empty())
    }

    /// Where it leads to, if it is a reference.
    pub(super) fn reference(&self) -> Option<&str> {
        self.reference.as_deref().filter(|uri| !uri.is_empty())
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        let extra = self.extra.as_ref();
        let named = extra.and_then(|extra| extra.get("alg")?.as_str());
        named.and_then(|name| name.parse().ok()).unwrap_or_default()
    }
}

impl From<pb::ArtifactManifestEntry> for Entry {
    fn from(entry: pb::ArtifactManifestEntry) -> Self {
        let text = |text: String| (!text.is_empty()).then_some(text);
        let extra: Extra = entry
            .extra
            .into_iter()
            .filter_map(|item| Some((item.key, serde_json::from_str(&item.value_json).ok()?)))
            .collect();
        Self {
            path: entry.path,
            digest: entry.digest,
            reference: text(entry.r#ref),
            size: u64::try_from(entry.size).ok(),
            birth_artifact_id: text(entry.birth_artifact_id),
            local_path: text(entry.local_path),
            skip_cache: entry.skip_cache,
            extra: (!extra.is_empty()).then_some(extra),
        }
    }
}

/// Where the entries are.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// Encoded, as they stand in the record.
    Record(Bytes),
    File(PathBuf),
}

impl Source {
    /// The manifest within an encoded record of a log; what it says beside its entries was read before.
    pub(super) fn of_record(record: &Bytes) -> Self {
        let inner = |message: Bytes, wanted: u32| {
            let mut fields = Fields::new(&message);
            while let Ok(Some((number, field))) = fields.next_field() {
                if let (true, Field::Bytes(bytes)) = (number == wanted, field) {
                    return message.slice_ref(bytes);
                }
            }
            Bytes::new()
        };
        Self::Record(inner(inner(record.clone(), ARTIFACT), MANIFEST))
    }

    /// Reads from the first entry on.
    pub(super) fn open(&self) -> Result<Entries, String> {
        let reading = match self {
            Self::Record(bytes) => Reading::Record {
                bytes: bytes.clone(),
                offset: 0,
            },
            Self::File(path) => {
                let file = open_regular(path).map_err(|error| {
                    format!(
                        "its list of files cannot be read: {error}: `{}`",
                        path.display()
                    )
                })?;
                Reading::File {
                    lines: Box::new(BufReader::new(MultiGzDecoder::new(BufReader::new(file)))),
                    path: path.clone(),
                }
            }
        };
        Ok(Entries { reading, count: 0 })
    }
}

/// Reads entries in their order.
#[derive(Debug)]
pub(super) struct Entries {
    reading: Reading,
    count: usize,
}

#[derive(Debug)]
enum Reading {
    Record {
        bytes: Bytes,
        offset: usize,
    },
    File {
        lines: Box<BufReader<MultiGzDecoder<BufReader<File>>>>,
        path: PathBuf,
    },
}

impl Entries {
    /// The next entry; `None` behind the last one.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, String> {
        let entry = match &mut self.reading {
            Reading::Record { bytes, offset } => next_encoded(bytes, offset)?,
            Reading::File { lines, path } => next_line(lines).map_err(|error| {
                format!(
                    "its list of files is damaged: {error}: `{}`",
                    path.display()
                )
            })?,
        };
        if entry.is_some() {
            self.count += 1;
            if self.count > MOST_ENTRIES {
                return Err(format!("it has more than {MOST_ENTRIES} entries"));
            }
        }
        Ok(entry)
    }
}

fn next_encoded(bytes: &Bytes, offset: &mut usize) -> Result<Option<Entry>, String> {
    let mut fields = Fields::new(bytes.get(*offset..).unwrap_or_default());
    let damaged = |error: &dyn std::fmt::Display| format!("its manifest is damaged: {error}");
    while let Some((number, field)) = fields.next_field().map_err(|error| damaged(&error))? {
        if let (CONTENTS, Field::Bytes(entry)) = (number, field) {
            *offset += fields.position();
            let entry =
                pb::ArtifactManifestEntry::decode(entry).map_err(|error| damaged(&error))?;
            return Ok(Some(entry.into()));
        }
    }
    *offset = bytes.len();
    Ok(None)
}

fn next_line(lines: &mut impl BufRead) -> Result<Option<Entry>, String> {
    loop {
        let mut line = Vec::new();
        let mut bounded = std::io::Read::take(&mut *lines, MOST_LINE_BYTES);
        let count = bounded
            .read_until(b'\n', &mut line)
            .map_err(|error| error.to_string())?;
        if count == 0 {
            return Ok(None);
        }
        if line.last() != Some(&b'\n') && count as u64 == MOST_LINE_BYTES {
            return Err(format!("a line has more than {MOST_LINE_BYTES} bytes"));
        }
        if !line.trim_ascii().is_empty() {
            return serde_json::from_slice(&line)
                .map(Some)
                .map_err(|error| error.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn all(source: &Source) -> Result<Vec<Entry>, String> {
        let mut entries = source.open()?;
        let mut found = Vec::new();
        while let Some(entry) = entries.next()? {
            found.push(entry);
        }
        Ok(found)
    }

    #[test]
    fn entries_of_a_record_are_read_one_by_one() {
        let contents = ["a", "b/é", ""].map(|path| pb::ArtifactManifestEntry {
            path: path.to_owned(),
            size: 5,
            local_path: format!("/staging/{path}"),
            extra: vec![pb::ExtraItem {
                key: "alg".to_owned(),
                value_json: "\"XXH128\"".to_owned(),
            }],
            ..Default::default()
        });
        let record = pb::Record {
            num: 7,
            record_type: Some(pb::record::RecordType::Artifact(pb::ArtifactRecord {
                name: "data".to_owned(),
                manifest: Some(pb::ArtifactManifest {
                    version: 1,
                    contents: contents.to_vec(),
                    ..Default::default()
                }),
                ..Default::default()
            })),
            ..Default::default()
        };
        let source = Source::of_record(&Bytes::from(record.encode_to_vec()));
        let found = all(&source).expect("readable");
        let expected: Vec<Entry> = contents.into_iter().map(Entry::from).collect();
        assert_eq!(found, expected);
        assert_eq!(
            (found[1].algorithm(), found[1].local()),
            (Algorithm::Xxh128, Some("/staging/b/é"))
        );
        assert_eq!(all(&Source::of_record(&Bytes::new())), Ok(Vec::new()));
    }

    #[test]
    fn entries_of_a_file_are_read_and_its_damage_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("list.jl.gz");
        let write = |text: &str| {
            let file = File::create(&path).expect("created");
            let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
            encoder.write_all(text.as_bytes()).expect("written");
            encoder.finish().expect("finished");
        };
        let source = Source::File(path.clone());
        write(
            "{\"path\": \"a\", \"digest\": \"d\", \"size\": 3, \"local_path\": \"/x\", \"birthArtifactID\": \"QQ==\", \"extra\": {}}\n\n\
             {\"path\": \"b\", \"digest\": \"u\", \"ref\": \"s3://u\", \"skip_cache\": true, \"new\": 1}",
        );
        let found = all(&source).expect("readable");
        assert_eq!(
            (found[0].local(), found[0].birth_artifact_id.as_deref()),
            (Some("/x"), Some("QQ=="))
        );
        assert_eq!(
            (found[1].reference(), found[1].size),
            (Some("s3://u"), None)
        );
        write("{\"path\": \"a\"");
        assert!(all(&source).expect_err("damaged").contains("list.jl.gz"));
        write(&format!("{{\"path\": \"{}\"}}", "a".repeat(2 << 20)));
        assert!(
            all(&source)
                .expect_err("too long")
                .contains("a line has more")
        );
        std::fs::write(&path, b"no gzip").expect("written");
        all(&source).expect_err("no gzip");
        std::fs::remove_file(&path).expect("removed");
        assert!(all(&source).expect_err("gone").contains("cannot be read"));
    }
}
