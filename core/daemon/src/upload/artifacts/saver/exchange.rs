//! What the steps give out and take in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::super::http::CallError;
use super::super::super::put::Failed;
use super::super::calls::{Created, ManifestPlace, PartPlace, Place};
use super::super::plan::Prospect;
use super::super::wanted::Wanted;

/// What the steps depend on.
#[derive(Debug, Clone)]
pub(in crate::upload::artifacts) struct Facts {
    pub(in crate::upload::artifacts) finalize: bool,
    /// The run uses the version once it is there.
    pub(in crate::upload::artifacts) uses: bool,
    /// The version that a draft began as a copy of.
    pub(in crate::upload::artifacts) base_id: Option<String>,
}

/// What became of each file, by its index.
#[derive(Debug, Clone, Default)]
pub(in crate::upload::artifacts) struct Fates {
    /// Versions with which files were stored first.
    births: Vec<Arc<str>>,
    numbers: BTreeMap<Arc<str>, u32>,
    /// Per file the version's number.
    of_files: Vec<u32>,
    /// Per file whether its bytes went out and so are known to be right.
    sent: Vec<bool>,
}

impl Fates {
    pub(in crate::upload::artifacts) fn set_birth(&mut self, index: usize, id: &str) {
        let number = self.numbers.get(id).copied().unwrap_or_else(|| {
            let (id, number): (Arc<str>, _) = (id.into(), u32::try_from(self.births.len()));
            let number = number.unwrap_or(u32::MAX);
            self.births.push(Arc::clone(&id));
            self.numbers.insert(id, number);
            number
        });
        if self.of_files.len() <= index {
            self.of_files.resize(index + 1, u32::MAX);
        }
        self.of_files[index] = number;
    }

    pub(super) fn set_sent(&mut self, index: usize) {
        if self.sent.len() <= index {
            self.sent.resize(index + 1, false);
        }
        self.sent[index] = true;
    }

    /// The version with which a file was stored first.
    pub(in crate::upload::artifacts) fn birth(&self, index: usize) -> Option<&str> {
        let number = usize::try_from(*self.of_files.get(index)?).ok()?;
        self.births.get(number).map(AsRef::as_ref)
    }

    pub(in crate::upload::artifacts) fn was_sent(&self, index: usize) -> bool {
        self.sent.get(index).copied().unwrap_or(false)
    }
}

/// A manifest file on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::upload::artifacts) struct Written {
    /// Base64.
    pub(in crate::upload::artifacts) md5: String,
}

/// Something to do outside.
#[derive(Debug, Clone)]
pub(in crate::upload::artifacts) enum Call {
    Create,
    BeginManifest {
        artifact_id: String,
        base_id: Option<String>,
    },
    /// Measure the next files, so many at most.
    Measure {
        count: usize,
        from_start: bool,
    },
    Places {
        artifact_id: String,
        manifest_id: String,
        files: Vec<Arc<Wanted>>,
    },
    Put {
        file: Arc<Wanted>,
        place: Place,
    },
    PutPart {
        file: Arc<Wanted>,
        part: PartPlace,
        headers: Vec<String>,
    },
    CompleteParts {
        file: usize,
        artifact_id: String,
        storage_path: String,
        upload_id: String,
        parts: Vec<(u64, String)>,
    },
    Resolve {
        client_id: String,
    },
    WriteManifest {
        fates: Arc<Fates>,
        resolved: BTreeMap<String, String>,
    },
    PlaceManifest {
        artifact_id: String,
        manifest_id: String,
        base_id: Option<String>,
        digest: String,
    },
    PutManifest {
        place: ManifestPlace,
    },
    Commit {
        artifact_id: String,
    },
    Use {
        artifact_id: String,
    },
}

/// The next files of a manifest, and what its references need.
#[derive(Debug, Default)]
pub(in crate::upload::artifacts) struct Measured {
    pub(in crate::upload::artifacts) files: Vec<Wanted>,
    /// Client ids in references.
    pub(in crate::upload::artifacts) client_ids: BTreeSet<String>,
    pub(in crate::upload::artifacts) is_last: bool,
}

/// What came of a call.
#[derive(Debug)]
pub(in crate::upload::artifacts) enum Answer {
    Created(Result<Created, CallError>),
    ManifestBegun(Result<ManifestPlace, CallError>),
    Measured(Result<Measured, String>),
    Places(Vec<usize>, Result<Vec<Place>, CallError>),
    Put(usize, Result<(), Failed>),
    /// With the part's `ETag`.
    PutPart(usize, u64, Result<String, Failed>),
    PartsCompleted(usize, Result<(), CallError>),
    /// Also what may become of it if the server does not have it.
    Resolved(Result<Option<String>, CallError>, Prospect),
    ManifestWritten(Result<Written, String>),
    ManifestPlaced(Result<ManifestPlace, CallError>),
    ManifestPut(Result<(), Failed>),
    Committed(Result<(), CallError>),
    Used(Result<(), CallError>),
}

/// How it ended.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::upload::artifacts) enum Outcome {
    /// Stored; the server may have had the same content already.
    Stored { existed: bool },
    /// It will not be stored, and why.
    Failed(String),
    /// The server refuses the key.
    Unauthorized(CallError),
}
