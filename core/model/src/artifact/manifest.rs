//! The manifest of an artifact: what is in it (`artifacts-client.md` §2 and §3).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::digest::{Algorithm, Digest, Hasher};
use super::names::{InvalidArtifactName, check_entry_path};

/// Entries of one artifact.
pub const MOST_ENTRIES: usize = 1_000_000;
/// Bytes of a reference.
const REFERENCE_BYTES: usize = 8 << 10;
/// Bytes of an entry's digest; that of a reference may be its URI.
const DIGEST_BYTES: usize = REFERENCE_BYTES;
/// The only storage policy there is.
const STORAGE_POLICY: &str = "wandb-storage-policy-v1";
/// The head of what the digest of a manifest is made of.
const DIGEST_HEAD: &[u8] = b"wandb-artifact-manifest-v1\n";
/// Schemes of what would run where a page shows it as a link.
const FORBIDDEN_SCHEMES: [&str; 4] = ["javascript", "vbscript", "data", "blob"];

/// The members of an entry that only its maker knows.
pub type Extra = serde_json::Map<String, serde_json::Value>;

/// One entry: a file that was uploaded, or a reference to something elsewhere.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Entry {
    /// Of a file base64 of its digest, of a reference whatever tells its states apart.
    pub digest: String,
    /// Where a reference leads to.
    pub reference: Option<String>,
    /// Bytes; 0 if unknown.
    pub size: u64,
    /// The artifact with which a file was stored first.
    pub birth_artifact_id: Option<String>,
    /// Checksums of references, and the algorithm of a digest that is not MD5.
    pub extra: Extra,
}

impl Entry {
    /// How the digest was made.
    pub fn algorithm(&self) -> Algorithm {
        let named = self.extra.get("alg").and_then(serde_json::Value::as_str);
        named.and_then(|name| name.parse().ok()).unwrap_or_default()
    }

    /// The digest of a file's bytes; none for a reference.
    pub fn content(&self) -> Option<Digest> {
        match self.reference {
            Some(_) => None,
            None => Digest::from_base64(&self.digest),
        }
    }

    fn check(&self, path: &str) -> Result<(), ManifestError> {
        check_entry_path(path)?;
        let fault = |what: String| ManifestError::Entry {
            path: path.to_owned(),
            what,
        };
        if let Some(reference) = &self.reference {
            check_reference(reference).map_err(fault)?;
            if self.digest.is_empty() || self.digest.len() > DIGEST_BYTES {
                return Err(fault(format!(
                    "its digest must have 1 to {DIGEST_BYTES} bytes"
                )));
            }
        } else if self.content().is_none() {
            return Err(fault("its digest is not base64 of 16 bytes".to_owned()));
        }
        Ok(())
    }
}

/// Checks that `uri` has a scheme, and none that would run where it is shown.
pub fn check_reference(uri: &str) -> Result<(), String> {
    if uri.len() > REFERENCE_BYTES {
        return Err(format!(
            "its reference has more than {REFERENCE_BYTES} bytes"
        ));
    }
    let scheme = uri
        .split_once(':')
        .map(|(scheme, _)| scheme)
        .unwrap_or_default();
    let mut characters = scheme.bytes();
    let is_scheme = characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        && characters.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !is_scheme || uri.contains(|character: char| character.is_control()) {
        return Err("its reference is not a URI with a scheme".to_owned());
    }
    if FORBIDDEN_SCHEMES
        .iter()
        .any(|bad| scheme.eq_ignore_ascii_case(bad))
    {
        return Err(format!(
            "references with the scheme `{scheme}:` are not allowed"
        ));
    }
    Ok(())
}

/// A manifest that cannot be used.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// The file as a whole.
    #[error("the manifest cannot be read: {0}")]
    Unreadable(String),
    /// One entry of it.
    #[error("entry `{path}` of the manifest: {what}")]
    Entry {
        /// Its path.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// The path of one.
    #[error("the manifest has an {0}")]
    Path(#[from] InvalidArtifactName),
}

/// What an artifact holds, by path.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Manifest {
    /// In ascending order of their paths.
    pub entries: BTreeMap<String, Entry>,
    /// Where the bytes are, if not where they are by default.
    pub storage_region: Option<String>,
}

impl Manifest {
    /// Reads a manifest file of version 1. The caller bounds its bytes; it takes a few times that in memory.
    ///
    /// Errors name the entry: a path that leaves its root or stands there twice, a digest or size that is none.
    pub fn read(json: &[u8]) -> Result<Self, ManifestError> {
        let unreadable = |error: serde_json::Error| ManifestError::Unreadable(error.to_string());
        let document: Document = serde_json::from_slice(json).map_err(unreadable)?;
        if document.version != 1 {
            let version = document.version;
            return Err(ManifestError::Unreadable(format!(
                "its version is {version}, version 1 is known"
            )));
        }
        if document
            .storage_policy
            .as_deref()
            .is_some_and(|policy| policy != STORAGE_POLICY)
        {
            let text = format!("its storage policy is not `{STORAGE_POLICY}`");
            return Err(ManifestError::Unreadable(text));
        }
        let entries = document.contents.0;
        for (path, entry) in &entries {
            entry.check(path)?;
        }
        Ok(Self {
            entries,
            storage_region: document.storage_policy_config.storage_region,
        })
    }

    /// The manifest file.
    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers are always JSON")
    }

    /// The digest by which equal contents are known: hexadecimal, over paths and digests in order of the paths.
    pub fn digest(&self, algorithm: Algorithm) -> String {
        let entries = self.entries.iter();
        digest_of(
            algorithm,
            entries.map(|(path, entry)| (path.as_str(), entry.digest.as_str())),
        )
    }

    /// Takes in the entries of `newer`; those of equal paths take the place of the old ones.
    pub fn overlay(&mut self, newer: Self) {
        self.entries.extend(newer.entries);
        self.storage_region = newer.storage_region.or(self.storage_region.take());
    }

    /// Bytes of all entries.
    pub fn size(&self) -> u64 {
        let sizes = self.entries.values().map(|entry| entry.size);
        sizes.fold(0, u64::saturating_add)
    }
}

/// The digest of a manifest with these paths and digests, in ascending order of the paths.
pub fn digest_of<'a>(
    algorithm: Algorithm,
    entries: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(DIGEST_HEAD);
    for (path, digest) in entries {
        hasher.update(path.as_bytes());
        hasher.update(b":");
        hasher.update(digest.as_bytes());
        hasher.update(b"\n");
    }
    hasher.finish().hex()
}

/// As W&B's client writes it.
impl Serialize for Manifest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("version", &1)?;
        map.serialize_entry("storagePolicy", STORAGE_POLICY)?;
        map.serialize_entry(
            "storagePolicyConfig",
            &PolicyConfig {
                storage_layout: Some("V2".to_owned()),
                storage_region: self.storage_region.clone(),
            },
        )?;
        map.serialize_entry("contents", &self.entries)?;
        map.end()
    }
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("digest", &self.digest)?;
        if let Some(reference) = &self.reference {
            map.serialize_entry("ref", reference)?;
        }
        map.serialize_entry("size", &self.size)?;
        if let Some(id) = &self.birth_artifact_id {
            map.serialize_entry("birthArtifactID", id)?;
        }
        if !self.extra.is_empty() {
            map.serialize_entry("extra", &self.extra)?;
        }
        map.end()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    version: i64,
    #[serde(default)]
    storage_policy: Option<String>,
    #[serde(default)]
    storage_policy_config: PolicyConfig,
    contents: Contents,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct PolicyConfig {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    storage_layout: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    storage_region: Option<String>,
}

struct Contents(BTreeMap<String, Entry>);

impl<'de> Deserialize<'de> for Contents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ContentsVisitor)
    }
}

struct ContentsVisitor;

impl<'de> Visitor<'de> for ContentsVisitor {
    type Value = Contents;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of entries by path")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Contents, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some(path) = map.next_key::<String>()? {
            if entries.len() == MOST_ENTRIES {
                return Err(A::Error::custom(format!(
                    "it has more than {MOST_ENTRIES} entries"
                )));
            }
            match entries.entry(path) {
                Slot::Occupied(taken) => {
                    return Err(A::Error::custom(format!(
                        "entry `{}` stands in it twice",
                        shown(taken.key())
                    )));
                }
                Slot::Vacant(free) => {
                    let path = free.key().clone();
                    free.insert(map.next_value_seed(EntrySeed(&path))?);
                }
            }
        }
        Ok(Contents(entries))
    }
}

/// Reads one entry; its errors name it.
struct EntrySeed<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for EntrySeed<'_> {
    type Value = Entry;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Entry, D::Error> {
        let named =
            |error: D::Error| D::Error::custom(format!("entry `{}`: {error}", shown(self.0)));
        let given = Given::deserialize(deserializer).map_err(named)?;
        Ok(Entry {
            digest: given.digest,
            reference: given.reference.filter(|reference| !reference.is_empty()),
            size: given.size.unwrap_or(0),
            birth_artifact_id: given.birth_artifact_id.filter(|id| !id.is_empty()),
            extra: given.extra.unwrap_or_default(),
        })
    }
}

fn shown(path: &str) -> String {
    path.chars()
        .take(200)
        .flat_map(char::escape_debug)
        .collect()
}

/// An entry as it is written; what only its maker needs is left out.
#[derive(Deserialize)]
struct Given {
    digest: String,
    #[serde(default, rename = "ref")]
    reference: Option<String>,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default, rename = "birthArtifactID")]
    birth_artifact_id: Option<String>,
    #[serde(default)]
    extra: Option<Extra>,
    #[serde(default, rename = "local_path")]
    _local_path: IgnoredAny,
    #[serde(default, rename = "skip_cache")]
    _skip_cache: IgnoredAny,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = "XUFAKrxLKna5cZ2REBfFkg==";

    fn with(path: &str, entry: &str) -> String {
        format!(
            r#"{{"version": 1, "storagePolicy": "wandb-storage-policy-v1", "contents": {{"{path}": {entry}}}}}"#
        )
    }

    fn refusal(json: &str) -> String {
        Manifest::read(json.as_bytes()).expect_err(json).to_string()
    }

    #[test]
    fn digests_are_those_of_the_reference() {
        let empty = Manifest::default();
        assert_eq!(
            empty.digest(Algorithm::Md5),
            "64e7c61456b10382e2f3b571ac24b659"
        );
        let entries = |digest: &str| Manifest {
            entries: [(
                "q.txt".to_owned(),
                Entry {
                    digest: digest.to_owned(),
                    ..Entry::default()
                },
            )]
            .into(),
            storage_region: None,
        };
        assert_eq!(
            entries(HELLO).digest(Algorithm::Md5),
            "22572f4f3494bd013f0af76b2bdf1598"
        );
        let xxh = entries("tenBrQcbPn/Hec+qXlI4GA==");
        assert_eq!(
            xxh.digest(Algorithm::Xxh128),
            "ce6b81b5cc6189a6b7bfd1879a52e911"
        );
    }

    #[test]
    fn what_a_client_wrote_is_read_and_written_again() {
        let json = br#"{"version": 1, "storagePolicy": "wandb-storage-policy-v1", "storagePolicyConfig": {"storageLayout": "V2"},
            "contents": {
                "x.txt": {"digest": "XUFAKrxLKna5cZ2REBfFkg==", "size": 5, "local_path": "/tmp/a", "birthArtifactID": "QXJ0aWZhY3Q6MQ==", "skip_cache": false},
                "old": {"digest": "XUFAKrxLKna5cZ2REBfFkg=="},
                "z": {"digest": "https://example.com/z", "ref": "https://example.com/z", "size": 0, "extra": {"etag": "\"1\""}}}}"#;
        let manifest = Manifest::read(json).expect("a manifest");
        assert_eq!(manifest.entries["old"].size, 0);
        assert_eq!(
            manifest.entries["x.txt"].content(),
            Digest::from_base64(HELLO)
        );
        assert_eq!(manifest.entries["z"].content(), None);
        assert_eq!(manifest.size(), 5);
        let written = manifest.write();
        assert!(written.starts_with(br#"{"version":1,"storagePolicy":"#));
        assert_eq!(Manifest::read(&written).expect("our own"), manifest);
    }

    #[test]
    fn newer_entries_take_the_place_of_older_ones() {
        let read = |path: &str, size: u64| {
            let entry = format!(r#"{{"digest": "{HELLO}", "size": {size}}}"#);
            Manifest::read(with(path, &entry).as_bytes()).expect("a manifest")
        };
        let mut base = read("a", 1);
        base.overlay(read("b", 2));
        base.overlay(read("a", 3));
        assert_eq!(base.size(), 5);
        assert_eq!(base.entries.len(), 2);
    }

    #[test]
    fn bad_entries_are_named() {
        let good = format!(r#"{{"digest": "{HELLO}", "size": 1}}"#);
        for path in ["../x", "/etc/passwd", "a//b", "a\\\\b", "a/\\u0000"] {
            assert!(refusal(&with(path, &good)).contains("entry path"), "{path}");
        }
        for (entry, part) in [
            (r#"{"digest": "AAAA"}"#, "base64"),
            (r#"{"digest": "XUFAKrxLKna5cZ2REBfFk*=="}"#, "base64"),
            (r#"{"size": 1}"#, "digest"),
            (
                r#"{"digest": "XUFAKrxLKna5cZ2REBfFkg==", "size": -1}"#,
                "-1",
            ),
            (
                r#"{"digest": "XUFAKrxLKna5cZ2REBfFkg==", "size": 1e40}"#,
                "u64",
            ),
            (
                r#"{"digest": "x", "ref": "javascript:alert(1)"}"#,
                "javascript",
            ),
            (r#"{"digest": "x", "ref": "no scheme"}"#, "URI"),
            (r#"{"digest": "", "ref": "s3://b/k"}"#, "digest"),
            ("5", "entry `p`"),
        ] {
            let text = refusal(&with("p", entry));
            assert!(text.contains("entry `p`") && text.contains(part), "{text}");
        }
        let twice = format!(r#"{{"version": 1, "contents": {{"p": {good}, "p": {good}}}}}"#);
        assert!(refusal(&twice).contains("`p` stands in it twice"));
    }

    #[test]
    fn files_that_are_no_manifest_are_refused() {
        for json in [
            "",
            "[]",
            "{}",
            r#"{"version": 1}"#,
            r#"{"version": 1, "contents": []}"#,
        ] {
            assert!(refusal(json).contains("cannot be read"), "{json}");
        }
        assert!(refusal(r#"{"version": 2, "contents": {}}"#).contains("version is 2"));
        assert!(
            refusal(r#"{"version": 1, "storagePolicy": "x", "contents": {}}"#).contains("policy")
        );
        for scheme in ["s3", "gs", "https", "file", "wandb-artifact", "custom+x"] {
            assert_eq!(check_reference(&format!("{scheme}://a/b")), Ok(()));
        }
        assert!(
            check_reference("JavaScript:alert(1)").is_err()
                && check_reference("s3://a\nb").is_err()
        );
    }
}
