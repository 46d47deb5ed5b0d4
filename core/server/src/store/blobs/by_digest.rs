//! Who has bytes with a digest: the way in for those who have nothing but it.

use runlane_model::artifact::digest::Digest;
use sqlx::AssertSqlSafe;

use super::super::Connection;
use super::BlobRow;
use crate::error::StoreError;

const COLUMNS: &str = "b.id, b.entity_id, b.md5, b.xxh128, b.size_bytes, b.object_key";
/// Projects of an entity that are looked at for one digest.
const PROJECTS: i64 = 200;

/// The bytes with this digest in a committed version that is in the collection `name` of a project; in version `artifact_id` if it is
/// given.
pub(crate) async fn in_collection(
    connection: &mut Connection,
    project_id: i64,
    name: &str,
    artifact_id: Option<i64>,
    digest: Digest,
) -> Result<Option<BlobRow>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS}
        FROM blobs b
        WHERE (b.md5 = $1 OR b.xxh128 = $1)
            AND EXISTS (
                SELECT 1
                FROM artifact_entries e
                JOIN artifacts a ON a.id = e.artifact_id
                JOIN artifact_memberships m ON m.artifact_id = a.id
                JOIN artifact_collections c ON c.id = m.collection_id
                WHERE e.blob_id = b.id
                    AND a.state = 'COMMITTED'
                    AND c.project_id = $2
                    AND c.name = $3
                    AND c.deleted_at_micros IS NULL
                    AND ($4 = 0 OR a.id = $4)
            )
        ORDER BY b.id
        LIMIT 1"
    );
    let row = sqlx::query_as(AssertSqlSafe(sql))
        .bind(digest.hex())
        .bind(project_id)
        .bind(name)
        .bind(artifact_id.unwrap_or(0))
        .fetch_optional(connection)
        .await?;
    Ok(row)
}

/// The projects of an entity that have these bytes in a committed version of theirs.
pub(crate) async fn projects_with(
    connection: &mut Connection,
    entity: &str,
    digest: Digest,
) -> Result<Vec<i64>, StoreError> {
    let ids = sqlx::query_scalar(
        "SELECT DISTINCT c.project_id
        FROM blobs b
        JOIN artifact_entries e ON e.blob_id = b.id
        JOIN artifacts a ON a.id = e.artifact_id
        JOIN artifact_collections c ON c.id = a.sequence_id
        JOIN projects p ON p.id = c.project_id
        JOIN entities n ON n.id = p.entity_id
        WHERE (b.md5 = $1 OR b.xxh128 = $1)
            AND a.state = 'COMMITTED'
            AND n.name = $2
        ORDER BY c.project_id
        LIMIT $3",
    )
    .bind(digest.hex())
    .bind(entity)
    .bind(PROJECTS)
    .fetch_all(connection)
    .await?;
    Ok(ids)
}

/// The bytes with this digest in a committed version of a project.
pub(crate) async fn in_project(
    connection: &mut Connection,
    project_id: i64,
    digest: Digest,
) -> Result<Option<BlobRow>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS}
        FROM blobs b
        JOIN artifact_entries e ON e.blob_id = b.id
        JOIN artifacts a ON a.id = e.artifact_id
        JOIN artifact_collections c ON c.id = a.sequence_id
        WHERE (b.md5 = $1 OR b.xxh128 = $1)
            AND a.state = 'COMMITTED'
            AND c.project_id = $2
        ORDER BY b.id
        LIMIT 1"
    );
    let row = sqlx::query_as(AssertSqlSafe(sql))
        .bind(digest.hex())
        .bind(project_id)
        .fetch_optional(connection)
        .await?;
    Ok(row)
}
