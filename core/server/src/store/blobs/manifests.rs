//! Where the manifest files of artifacts are.

use super::super::Connection;
use crate::error::StoreError;

/// A manifest and where its file is.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct ManifestRow {
    pub(crate) artifact_id: i64,
    /// Base64 of the MD5 that the file has, or is going to have.
    pub(crate) digest: String,
    pub(crate) object_key: Option<String>,
    pub(crate) size_bytes: i64,
}

/// The manifest with this id.
pub(crate) async fn find(
    connection: &mut Connection,
    id: i64,
) -> Result<Option<ManifestRow>, StoreError> {
    let row = sqlx::query_as(
        "SELECT artifact_id, digest, object_key, size_bytes
        FROM artifact_manifests
        WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(connection)
    .await?;
    Ok(row)
}

/// Says where the file of a manifest is.
pub(crate) async fn set_object(
    connection: &mut Connection,
    id: i64,
    object_key: &str,
    size_bytes: i64,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE artifact_manifests SET object_key = $1, size_bytes = $2 WHERE id = $3")
        .bind(object_key)
        .bind(size_bytes)
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}
