//! Files of runs and of artifacts.

#![expect(
    clippy::unused_async,
    reason = "resolvers are asynchronous by contract"
)]

use async_graphql::{Context, ID, Object, SimpleObject};

use super::artifacts::{Artifact, ContentFile, UploadMultipartUrls};
use super::page::{Page, PageInfo, cursor};
use super::scalars::{DateTime, Int64};
use super::{Scope, ids};
use crate::error::ApiError;
use crate::signer::Access;
use crate::store::files::{self, FileRow};

/// Names in one request.
const MAX_NAMES: usize = 10_000;

/// A file, there already or about to be uploaded.
pub(crate) enum File {
    /// Of a run.
    OfRun {
        /// The run's row id.
        run_id: i64,
        name: String,
        stored: Option<FileRow>,
    },
    /// Of a version of an artifact.
    OfArtifact(Box<ContentFile>),
}

fn signed(
    context: &Context<'_>,
    access: Access,
    run_id: i64,
    name: &str,
) -> Result<String, ApiError> {
    let scope = Scope::of(context)?;
    let now = scope.state.clock.now_micros();
    let path = scope.state.signer.sign(access, run_id, name, now);
    Ok(format!("{}{path}", scope.base_url))
}

impl File {
    fn stored(&self) -> Option<&FileRow> {
        match self {
            Self::OfRun { stored, .. } => stored.as_ref(),
            Self::OfArtifact(_) => None,
        }
    }

    fn path(&self) -> &str {
        match self {
            Self::OfRun { name, .. } => name,
            Self::OfArtifact(file) => &file.name,
        }
    }

    fn download_url(&self, context: &Context<'_>) -> Result<String, ApiError> {
        match self {
            Self::OfRun { run_id, name, .. } => signed(context, Access::Download, *run_id, name),
            Self::OfArtifact(file) => Ok(file.direct_url.clone()),
        }
    }

    fn url_to_upload(&self, context: &Context<'_>) -> Result<Option<String>, ApiError> {
        match self {
            Self::OfRun { run_id, name, .. } => {
                signed(context, Access::Upload, *run_id, name).map(Some)
            }
            Self::OfArtifact(file) => Ok(file.upload_url.clone()),
        }
    }
}

#[Object(name = "File")]
impl File {
    async fn id(&self) -> ID {
        match self {
            Self::OfRun { stored, .. } => {
                ids::numbered("File", stored.as_ref().map_or(0, |stored| stored.id))
            }
            Self::OfArtifact(file) => file.id(),
        }
    }

    async fn name(&self) -> &str {
        self.path()
    }

    async fn display_name(&self) -> &str {
        self.path()
    }

    async fn url(&self, context: &Context<'_>, upload: Option<bool>) -> Result<String, ApiError> {
        if upload == Some(true) {
            Ok(self.url_to_upload(context)?.unwrap_or_default())
        } else {
            self.download_url(context)
        }
    }

    /// Where the bytes are; of a reference where it leads.
    async fn direct_url(&self, context: &Context<'_>) -> Result<String, ApiError> {
        self.download_url(context)
    }

    /// None if nothing is to be uploaded.
    async fn upload_url(&self, context: &Context<'_>) -> Result<Option<String>, ApiError> {
        self.url_to_upload(context)
    }

    async fn upload_headers(&self) -> Vec<String> {
        match self {
            Self::OfRun { .. } => Vec::new(),
            Self::OfArtifact(file) => file.upload_headers.clone(),
        }
    }

    /// Where the parts of a large file go.
    async fn upload_multipart_urls(&self) -> Option<UploadMultipartUrls> {
        match self {
            Self::OfRun { .. } => None,
            Self::OfArtifact(file) => file.multipart.clone(),
        }
    }

    async fn storage_path(&self) -> Option<String> {
        match self {
            Self::OfRun { .. } => None,
            Self::OfArtifact(file) => file.storage_path.clone(),
        }
    }

    /// The version that it is a file of.
    async fn artifact(&self) -> Option<Artifact> {
        match self {
            Self::OfRun { .. } => None,
            Self::OfArtifact(file) => file.version.clone().map(Artifact),
        }
    }

    async fn size_bytes(&self) -> Int64 {
        Int64(match self {
            Self::OfRun { stored, .. } => stored.as_ref().map_or(0, |stored| stored.size_bytes),
            Self::OfArtifact(file) => file.size_bytes,
        })
    }

    async fn mimetype(&self) -> Option<String> {
        match self {
            Self::OfRun { stored, .. } => stored.as_ref().map(|stored| stored.mimetype.clone()),
            Self::OfArtifact(file) => {
                let guess = mime_guess::from_path(&file.name).first_or_octet_stream();
                Some(guess.essence_str().to_owned())
            }
        }
    }

    async fn updated_at(&self) -> Option<DateTime> {
        let micros = match self {
            Self::OfRun { .. } => self.stored().map(|stored| stored.updated_at_micros),
            Self::OfArtifact(file) => file.updated_at_micros,
        };
        micros.map(DateTime::from_micros)
    }

    /// Of an artifact's file as its manifest has it.
    async fn digest(&self) -> Option<String> {
        match self {
            Self::OfRun { .. } => self.stored().map(|stored| stored.md5.clone()),
            Self::OfArtifact(file) => file.digest.clone(),
        }
    }

    async fn md5(&self) -> Option<String> {
        match self {
            Self::OfRun { .. } => self.stored().map(|stored| stored.md5.clone()),
            Self::OfArtifact(file) => file.md5.clone(),
        }
    }
}

#[derive(SimpleObject)]
pub(crate) struct FileConnection {
    pub(super) total_count: i64,
    pub(super) page_info: PageInfo,
    pub(super) edges: Vec<FileEdge>,
}

#[derive(SimpleObject)]
pub(crate) struct FileEdge {
    pub(super) node: File,
    pub(super) cursor: String,
}

/// `Run.files`: by exact names, by an SQL pattern, or all.
pub(super) async fn file_page(
    scope: &Scope,
    run_id: i64,
    names: Vec<String>,
    pattern: Option<String>,
    first: Option<i32>,
    after: Option<&str>,
) -> Result<FileConnection, ApiError> {
    if names.len() > MAX_NAMES {
        return Err(ApiError::invalid(format!(
            "more than {MAX_NAMES} file names in one request"
        )));
    }
    let page = Page::new(first, after)?;
    let mut rows = {
        let mut reader = scope.state.store.reader().await?;
        files::list(&mut reader, run_id, pattern.as_deref()).await?
    };
    if !names.is_empty() {
        let wanted: std::collections::HashSet<&str> = names
            .iter()
            .map(|name| name.strip_prefix("./").unwrap_or(name))
            .collect();
        rows.retain(|row| wanted.contains(row.name.as_str()));
    }
    let total = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    let edges: Vec<FileEdge> = page
        .cut(rows)
        .map(|(position, row)| FileEdge {
            node: File::OfRun {
                run_id,
                name: row.name.clone(),
                stored: Some(row),
            },
            cursor: cursor(position),
        })
        .collect();
    let shown = i64::try_from(edges.len()).unwrap_or(0);
    Ok(FileConnection {
        total_count: total,
        page_info: PageInfo::new(page.offset, shown, total),
        edges,
    })
}
