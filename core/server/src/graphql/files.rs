//! Run files.

#![expect(
    clippy::unused_async,
    reason = "resolvers are asynchronous by contract"
)]

use async_graphql::{Context, ID, Object, SimpleObject};

use super::page::{Page, PageInfo, cursor};
use super::scalars::{DateTime, Int64};
use super::{Scope, ids, later};
use crate::error::ApiError;
use crate::signer::Access;
use crate::store::files::{self, FileRow};

/// Names in one request.
const MAX_NAMES: usize = 10_000;

/// A file of a run, there already or about to be uploaded.
pub(crate) struct File {
    pub(crate) run_id: i64,
    pub(crate) name: String,
    pub(crate) stored: Option<FileRow>,
}

impl File {
    fn url_for(&self, context: &Context<'_>, access: Access) -> Result<String, ApiError> {
        let scope = Scope::of(context)?;
        let now = scope.state.clock.now_micros();
        let path = scope
            .state
            .signer
            .sign(access, self.run_id, &self.name, now);
        Ok(format!("{}{path}", scope.base_url))
    }
}

#[Object(name = "File")]
impl File {
    #[graphql(flatten)]
    async fn later(&self, _context: &Context<'_>) -> later::Fields<later::File> {
        later::Fields::new()
    }

    async fn id(&self) -> ID {
        self.stored.as_ref().map_or_else(
            || ids::numbered("File", 0),
            |stored| ids::numbered("File", stored.id),
        )
    }

    async fn name(&self) -> &str {
        &self.name
    }

    async fn display_name(&self) -> &str {
        &self.name
    }

    async fn url(&self, context: &Context<'_>, upload: Option<bool>) -> Result<String, ApiError> {
        let access = if upload == Some(true) {
            Access::Upload
        } else {
            Access::Download
        };
        self.url_for(context, access)
    }

    async fn direct_url(&self, context: &Context<'_>) -> Result<String, ApiError> {
        self.url_for(context, Access::Download)
    }

    async fn upload_url(&self, context: &Context<'_>) -> Result<String, ApiError> {
        self.url_for(context, Access::Upload)
    }

    async fn upload_headers(&self) -> Vec<String> {
        Vec::new()
    }

    async fn size_bytes(&self) -> Int64 {
        Int64(self.stored.as_ref().map_or(0, |stored| stored.size_bytes))
    }

    async fn mimetype(&self) -> Option<&str> {
        self.stored.as_ref().map(|stored| stored.mimetype.as_str())
    }

    async fn updated_at(&self) -> Option<DateTime> {
        self.stored
            .as_ref()
            .map(|stored| DateTime::from_micros(stored.updated_at_micros))
    }

    async fn digest(&self) -> Option<&str> {
        self.stored.as_ref().map(|stored| stored.md5.as_str())
    }

    async fn md5(&self) -> Option<&str> {
        self.stored.as_ref().map(|stored| stored.md5.as_str())
    }
}

#[derive(SimpleObject)]
pub(crate) struct FileConnection {
    total_count: i64,
    page_info: PageInfo,
    edges: Vec<FileEdge>,
}

#[derive(SimpleObject)]
pub(crate) struct FileEdge {
    node: File,
    cursor: String,
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
            node: File {
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
