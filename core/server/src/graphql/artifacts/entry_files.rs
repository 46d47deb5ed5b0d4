//! Files of versions: entries, manifests, and what is about to be uploaded.

use std::sync::Arc;

use async_graphql::{ID, InputObject, SimpleObject};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runlane_model::artifact::digest::Digest;

use super::super::Scope;
use super::super::files::{File, FileConnection, FileEdge};
use super::super::page::PageInfo;
use super::super::scalars::Int64;
use super::ARTIFACT;
use crate::blobs;
use crate::error::ApiError;
use crate::store::artifacts::entries::{self, EntryRow};
use crate::store::artifacts::versions::VersionRow;

/// Files on a page, by default and at most: clients that download ask for 5,000.
const DEFAULT_FIRST: i64 = 50;
const MAX_FIRST: i64 = 10_000;
/// Names in one question.
const MAX_NAMES: usize = 10_000;

/// A file that has to do with a version.
#[derive(Clone, Default)]
pub(crate) struct ContentFile {
    /// Unique among these; not the id of a run's file.
    pub(crate) key: String,
    /// The path of the entry.
    pub(crate) name: String,
    /// Where the bytes are, or where a reference leads.
    pub(crate) direct_url: String,
    pub(crate) upload_url: Option<String>,
    pub(crate) upload_headers: Vec<String>,
    pub(crate) multipart: Option<UploadMultipartUrls>,
    pub(crate) size_bytes: i64,
    /// As in the manifest.
    pub(crate) digest: Option<String>,
    /// Base64; of files.
    pub(crate) md5: Option<String>,
    pub(crate) storage_path: Option<String>,
    pub(crate) updated_at_micros: Option<i64>,
    /// The version that the file is of.
    pub(crate) version: Option<Arc<VersionRow>>,
}

impl ContentFile {
    pub(crate) fn id(&self) -> ID {
        ID(STANDARD.encode(format!("ArtifactFile:{}", self.key)))
    }
}

/// Where the parts of a large file go.
#[derive(SimpleObject, Clone)]
pub(crate) struct UploadMultipartUrls {
    #[graphql(name = "uploadID")]
    pub(super) upload_id: String,
    pub(super) upload_url_parts: Vec<UploadUrlPart>,
}

/// Where a part goes.
#[derive(SimpleObject, Clone)]
pub(crate) struct UploadUrlPart {
    pub(super) part_number: Int64,
    pub(super) upload_url: String,
    /// Whether a part with the announced digest is here already, so that it need not be sent.
    pub(super) is_stored: bool,
}

/// An entry as manifests have it.
#[derive(InputObject)]
pub(crate) struct ArtifactManifestEntryInput {
    pub(super) name: String,
    digest: String,
    #[graphql(name = "birthArtifactID")]
    birth_artifact_id: Option<String>,
    #[graphql(name = "ref")]
    reference: Option<String>,
    size: Option<Int64>,
}

/// What the server calls the place of a file.
pub(super) fn storage_path(artifact_id: i64, path: &str) -> String {
    format!("wandb_artifacts/artifact/{artifact_id}/{path}")
}

fn file_of(scope: &Scope, version: &Arc<VersionRow>, entry: EntryRow) -> File {
    let direct_url = match (&entry.reference, &entry.object_key) {
        (Some(reference), _) => reference.clone(),
        (None, Some(key)) => blobs::urls::download(&scope.state, &scope.base_url, key, &entry.path),
        (None, None) => String::new(),
    };
    let md5 = entry.md5.as_deref().and_then(Digest::from_hex);
    File::OfArtifact(Box::new(ContentFile {
        key: format!("{}:{}", version.id, entry.path),
        direct_url,
        size_bytes: entry.size_bytes,
        digest: Some(entry.digest),
        md5: md5.map(Digest::base64),
        storage_path: Some(storage_path(version.id, &entry.path)),
        updated_at_micros: Some(version.created_at_micros),
        version: Some(Arc::clone(version)),
        name: entry.path,
        ..ContentFile::default()
    }))
}

fn cursor(path: &str) -> String {
    STANDARD.encode(format!("entry:{path}"))
}

fn path_of(cursor: &str) -> Result<String, ApiError> {
    STANDARD
        .decode(cursor)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| text.strip_prefix("entry:").map(str::to_owned))
        .ok_or_else(|| ApiError::invalid("`after` is not a cursor of this server"))
}

/// What is in a version by path, all of it or only what has these names.
pub(super) async fn file_page(
    scope: &Scope,
    version: &Arc<VersionRow>,
    names: Option<Vec<String>>,
    first: Option<i32>,
    after: Option<&str>,
) -> Result<FileConnection, ApiError> {
    let first = first.map_or(DEFAULT_FIRST, i64::from).min(MAX_FIRST);
    let size = usize::try_from(first)
        .map_err(|_negative| ApiError::invalid("`first` must not be negative"))?;
    let after = match after.filter(|after| !after.is_empty()) {
        Some(after) => path_of(after)?,
        None => String::new(),
    };
    let mut reader = scope.state.store.reader().await?;
    let (mut rows, total) = match names {
        None => {
            let rows = entries::page(&mut reader, version.id, &after, first + 1).await?;
            (rows, version.file_count)
        }
        Some(mut names) => {
            if names.len() > MAX_NAMES {
                return Err(ApiError::invalid(format!(
                    "more than {MAX_NAMES} file names in one request"
                )));
            }
            names.sort_unstable();
            names.dedup();
            let mut rows = entries::at(&mut reader, version.id, &names).await?;
            rows.sort_unstable_by(|one, other| one.path.cmp(&other.path));
            let total = i64::try_from(rows.len()).unwrap_or(i64::MAX);
            rows.retain(|row| row.path > after);
            (rows, total)
        }
    };
    let has_next = rows.len() > size;
    rows.truncate(size);
    let end = rows.last().map(|row| cursor(&row.path));
    let edges = rows.into_iter().map(|row| FileEdge {
        cursor: cursor(&row.path),
        node: file_of(scope, version, row),
    });
    Ok(FileConnection {
        total_count: total,
        page_info: PageInfo::of_page(end, has_next),
        edges: edges.collect(),
    })
}

/// Files that are about to be uploaded, in the order in which they were asked for.
pub(super) fn connection_of(files: Vec<ContentFile>) -> FileConnection {
    let total = i64::try_from(files.len()).unwrap_or(i64::MAX);
    let edges = files.into_iter().map(|file| FileEdge {
        cursor: cursor(&file.name),
        node: File::OfArtifact(Box::new(file)),
    });
    FileConnection {
        total_count: total,
        page_info: PageInfo::of_page(None, false),
        edges: edges.collect(),
    }
}

/// The id of a version from its row id.
pub(super) fn id_of(artifact_id: i64) -> ID {
    super::super::ids::numbered(ARTIFACT, artifact_id)
}
