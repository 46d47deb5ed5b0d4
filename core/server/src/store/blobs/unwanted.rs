//! What nobody needs any more: rows that are removed, and the objects that they named.
//!
//! Each function is one short transaction's work and says again in its statement what makes a row superfluous: whoever began to rely on
//! it meanwhile has locked it (and is then passed over) or is seen.

use sqlx::AssertSqlSafe;

use super::super::Connection;
use super::super::database::is_postgres;
use super::{PENDING, TOUCH_MICROS, lock, placeholders};
use crate::error::StoreError;

/// Ids in one transaction.
pub(crate) const BATCH: usize = 500;
/// Rows that one look for candidates goes through.
const WINDOW: i64 = 20_000;
/// How many times the grace a version of several writers is waited for.
const SHARED_GRACES: i64 = 7;
/// Entries that are removed in one transaction.
const ENTRIES: i64 = 5_000;

/// No version has the blob `b`, nobody has wanted it since `$1`, and no version that is being made can have begun to rely on it:
/// what it relies on was wanted after it had been created.
fn is_unwanted() -> String {
    format!(
        "b.wanted_at_micros < $1
            AND NOT EXISTS (SELECT 1 FROM artifact_entries e WHERE e.blob_id = b.id)
            AND NOT EXISTS (
                SELECT 1
                FROM artifacts a
                JOIN artifact_collections c ON c.id = a.sequence_id
                JOIN projects p ON p.id = c.project_id
                WHERE a.state = '{PENDING}'
                    AND p.entity_id = b.entity_id
                    AND a.created_at_micros - {TOUCH_MICROS} <= b.wanted_at_micros
            )"
    )
}

/// Ids of blobs after `after` that seem to be unwanted since `before`, and where to go on; no place if that was the end.
pub(crate) async fn candidates(
    connection: &mut Connection,
    before_micros: i64,
    after: i64,
) -> Result<(Vec<i64>, Option<i64>), StoreError> {
    let end: Option<i64> =
        sqlx::query_scalar("SELECT id FROM blobs WHERE id > $1 ORDER BY id LIMIT 1 OFFSET $2")
            .bind(after)
            .bind(WINDOW)
            .fetch_optional(&mut *connection)
            .await?;
    let unwanted = is_unwanted();
    let sql = format!(
        "SELECT b.id FROM blobs b WHERE {unwanted} AND b.id > $2 AND b.id <= $3 ORDER BY b.id"
    );
    let ids = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(before_micros)
        .bind(after)
        .bind(end.unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await?;
    Ok((ids, end))
}

/// Removes those of the blobs `ids` that are unwanted; the keys of the objects that they named.
pub(crate) async fn remove_blobs(
    connection: &mut Connection,
    ids: &[i64],
    before_micros: i64,
) -> Result<Vec<String>, StoreError> {
    let ids = lock(connection, ids, "FOR UPDATE SKIP LOCKED").await?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let (unwanted, list) = (is_unwanted(), placeholders(2, ids.len()));
    // A statement of its own, after the lock: it sees what those did who had the lock before.
    let sql = format!(
        "DELETE FROM blobs AS b WHERE {unwanted} AND b.id IN ({list}) RETURNING object_key"
    );
    let mut query = sqlx::query_scalar(AssertSqlSafe(sql)).bind(before_micros);
    for id in ids {
        query = query.bind(id);
    }
    Ok(query.fetch_all(connection).await?)
}

/// Gives up versions that were begun and then left alone since `before`; how many. Those of a run that goes on may be gone on with, and
/// those of several writers, who need not know of each other, are waited for much longer.
pub(crate) async fn give_up_pending(
    connection: &mut Connection,
    before_micros: i64,
    now_micros: i64,
) -> Result<u64, StoreError> {
    let done = sqlx::query(
        "UPDATE artifacts
        SET state = 'DELETED', deleted_at_micros = $1
        WHERE state = $2
            AND ((distributed_id IS NULL AND created_at_micros < $3 AND active_at_micros < $3)
                OR (created_at_micros < $4 AND active_at_micros < $4))
            AND NOT EXISTS (
                SELECT 1
                FROM runs r
                WHERE r.id = artifacts.run_id
                    AND r.deleted_at_micros IS NULL
                    AND r.state IN ('running', 'preempting')
            )",
    )
    .bind(now_micros)
    .bind(PENDING)
    .bind(before_micros)
    .bind(now_micros - (now_micros - before_micros).saturating_mul(SHARED_GRACES))
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Versions that were deleted before `before` and of which something is still there.
pub(crate) async fn deleted(
    connection: &mut Connection,
    before_micros: i64,
) -> Result<Vec<i64>, StoreError> {
    let ids = sqlx::query_scalar(
        "SELECT a.id
        FROM artifacts a
        WHERE a.state = 'DELETED'
            AND a.deleted_at_micros < $1
            AND (EXISTS (SELECT 1 FROM artifact_manifests m WHERE m.artifact_id = a.id)
                OR EXISTS (SELECT 1 FROM artifact_entries e WHERE e.artifact_id = a.id))
        ORDER BY a.id
        LIMIT $2",
    )
    .bind(before_micros)
    .bind(i64::try_from(BATCH).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await?;
    Ok(ids)
}

/// Removes entries of a deleted version; whether there may be more.
pub(crate) async fn remove_entries(
    connection: &mut Connection,
    artifact_id: i64,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "DELETE FROM artifact_entries
        WHERE artifact_id = $1
            AND path IN (SELECT path FROM artifact_entries WHERE artifact_id = $1 ORDER BY path LIMIT $2)
            AND EXISTS (SELECT 1 FROM artifacts WHERE id = $1 AND state = 'DELETED')",
    )
    .bind(artifact_id)
    .bind(ENTRIES)
    .execute(connection)
    .await?;
    Ok(i64::try_from(done.rows_affected()).is_ok_and(|count| count == ENTRIES))
}

/// Removes the manifests of a deleted version; the keys of their objects.
pub(crate) async fn remove_manifests(
    connection: &mut Connection,
    artifact_id: i64,
) -> Result<Vec<String>, StoreError> {
    let keys: Vec<Option<String>> = sqlx::query_scalar(
        "DELETE FROM artifact_manifests
        WHERE artifact_id = $1 AND EXISTS (SELECT 1 FROM artifacts WHERE id = $1 AND state = 'DELETED')
        RETURNING object_key",
    )
    .bind(artifact_id)
    .fetch_all(connection)
    .await?;
    Ok(keys.into_iter().flatten().collect())
}

/// Removes manifests that are not the one of their version, which was committed before `before`: what was merged, or begun and
/// replaced. How many, and the keys of their objects.
pub(crate) async fn remove_merged_manifests(
    connection: &mut Connection,
    before_micros: i64,
) -> Result<(usize, Vec<String>), StoreError> {
    let keys: Vec<Option<String>> = sqlx::query_scalar(
        "DELETE FROM artifact_manifests
        WHERE id IN (
            SELECT m.id
            FROM artifact_manifests m
            JOIN artifacts a ON a.id = m.artifact_id
            WHERE NOT m.is_current AND a.state = 'COMMITTED' AND a.committed_at_micros < $1
            ORDER BY m.id
            LIMIT $2
        )
        RETURNING object_key",
    )
    .bind(before_micros)
    .bind(i64::try_from(BATCH).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await?;
    Ok((keys.len(), keys.into_iter().flatten().collect()))
}

/// Uploads in parts to versions that take no bytes any more.
pub(crate) async fn uploads(connection: &mut Connection) -> Result<Vec<i64>, StoreError> {
    let ids = sqlx::query_scalar(
        "SELECT u.id
        FROM artifact_uploads u
        JOIN artifacts a ON a.id = u.artifact_id
        WHERE a.state <> $1
        ORDER BY u.id
        LIMIT $2",
    )
    .bind(PENDING)
    .bind(i64::try_from(BATCH).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await?;
    Ok(ids)
}

/// Removes an upload and its parts; the keys of the parts' objects.
pub(crate) async fn remove_upload(
    connection: &mut Connection,
    id: i64,
) -> Result<Vec<String>, StoreError> {
    if is_postgres(connection) {
        sqlx::query("SELECT id FROM artifact_uploads WHERE id = $1 FOR UPDATE")
            .bind(id)
            .execute(&mut *connection)
            .await?;
    }
    let keys = super::uploads::remove_parts(connection, id).await?;
    sqlx::query("DELETE FROM artifact_uploads WHERE id = $1")
        .bind(id)
        .execute(connection)
        .await?;
    Ok(keys)
}
