//! What is in versions: files and references by path.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::LazyLock;

use sqlx::AssertSqlSafe;

use super::super::Connection;
use super::super::blobs::placeholders;
use crate::error::StoreError;

/// Entries in one statement; others go one by one.
const BATCH: usize = 500;

static INSERT_MANY: LazyLock<String> = LazyLock::new(|| insert_of(BATCH));
static INSERT_ONE: LazyLock<String> = LazyLock::new(|| insert_of(1));

/// The statement that stores `rows` entries. Nothing in it comes from a user: column names, numbers, commas.
fn insert_of(rows: usize) -> String {
    let mut sql = String::from(
        "INSERT INTO artifact_entries (artifact_id, path, digest, size_bytes, blob_id, ref, birth_artifact_id) VALUES ",
    );
    for row in 0..rows {
        let first = row * 7;
        let places: Vec<String> = (1..=7).map(|place| format!("${}", first + place)).collect();
        let comma = if row == 0 { "" } else { ", " };
        write!(sql, "{comma}({})", places.join(", "))
            .expect("a text takes all that fits into memory");
    }
    sql.push_str(
        " ON CONFLICT (artifact_id, path) DO UPDATE SET digest = excluded.digest, size_bytes = excluded.size_bytes,
            blob_id = excluded.blob_id, ref = excluded.ref, birth_artifact_id = excluded.birth_artifact_id",
    );
    sql
}

/// One entry to store.
#[derive(Debug, Clone)]
pub(crate) struct NewEntry {
    pub(crate) path: String,
    /// As in the manifest.
    pub(crate) digest: String,
    pub(crate) size_bytes: i64,
    /// The bytes of a file.
    pub(crate) blob_id: Option<i64>,
    /// Where a reference leads.
    pub(crate) reference: Option<String>,
    pub(crate) birth_artifact_id: Option<i64>,
}

/// One entry, with the digest of its bytes.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct EntryRow {
    pub(crate) path: String,
    pub(crate) digest: String,
    pub(crate) size_bytes: i64,
    #[sqlx(rename = "ref")]
    pub(crate) reference: Option<String>,
    /// Hexadecimal; of a file.
    pub(crate) md5: Option<String>,
    /// Where the bytes of a file are.
    pub(crate) object_key: Option<String>,
}

macro_rules! select_entries {
    ($conditions:literal) => {
        concat!(
            "SELECT e.path, e.digest, e.size_bytes, e.ref, b.md5, b.object_key
            FROM artifact_entries e
            LEFT JOIN blobs b ON b.id = e.blob_id
            ",
            $conditions
        )
    };
}

/// Stores entries of a version.
pub(crate) async fn insert(
    connection: &mut Connection,
    artifact_id: i64,
    entries: &[NewEntry],
) -> Result<(), StoreError> {
    let whole = entries.len() - entries.len() % BATCH;
    let batches = entries[..whole]
        .chunks(BATCH)
        .map(|batch| (INSERT_MANY.as_str(), batch));
    let rest = entries[whole..]
        .chunks(1)
        .map(|one| (INSERT_ONE.as_str(), one));
    for (sql, entries) in batches.chain(rest) {
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for entry in entries {
            query = query
                .bind(artifact_id)
                .bind(&entry.path)
                .bind(&entry.digest)
                .bind(entry.size_bytes)
                .bind(entry.blob_id)
                .bind(&entry.reference)
                .bind(entry.birth_artifact_id);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// How many entries a version has.
pub(crate) async fn count(
    connection: &mut Connection,
    artifact_id: i64,
) -> Result<i64, StoreError> {
    let total = sqlx::query_scalar("SELECT COUNT(*) FROM artifact_entries WHERE artifact_id = $1")
        .bind(artifact_id)
        .fetch_one(connection)
        .await?;
    Ok(total)
}

/// A page by path, behind `after`.
pub(crate) async fn page(
    connection: &mut Connection,
    artifact_id: i64,
    after: &str,
    limit: i64,
) -> Result<Vec<EntryRow>, StoreError> {
    let rows = sqlx::query_as(select_entries!(
        "WHERE e.artifact_id = $1 AND e.path > $2
        ORDER BY e.path
        LIMIT $3"
    ))
    .bind(artifact_id)
    .bind(after)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// The entries at these paths, as far as there are any, in no order.
pub(crate) async fn at(
    connection: &mut Connection,
    artifact_id: i64,
    paths: &[String],
) -> Result<Vec<EntryRow>, StoreError> {
    let mut found = Vec::new();
    for chunk in paths.chunks(BATCH) {
        let list = placeholders(2, chunk.len());
        let sql = format!(
            concat!(
                select_entries!("WHERE e.artifact_id = $1 AND e.path IN ("),
                "{list})"
            ),
            list = list
        );
        let mut query = sqlx::query_as(AssertSqlSafe(sql)).bind(artifact_id);
        for path in chunk {
            query = query.bind(path);
        }
        found.extend(query.fetch_all(&mut *connection).await?);
    }
    Ok(found)
}

/// The paths of a version's entries behind `after`, in an order of the database's own.
pub(crate) async fn paths(
    connection: &mut Connection,
    artifact_id: i64,
    after: &str,
    limit: i64,
) -> Result<Vec<String>, StoreError> {
    let paths = sqlx::query_scalar(
        "SELECT path FROM artifact_entries WHERE artifact_id = $1 AND path > $2 ORDER BY path LIMIT $3",
    )
    .bind(artifact_id)
    .bind(after)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(paths)
}

/// Removes the entry at a path.
pub(crate) async fn delete(
    connection: &mut Connection,
    artifact_id: i64,
    path: &str,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM artifact_entries WHERE artifact_id = $1 AND path = $2")
        .bind(artifact_id)
        .bind(path)
        .execute(connection)
        .await?;
    Ok(())
}

/// Which of these bytes are files of a version.
pub(crate) async fn having_blobs(
    connection: &mut Connection,
    artifact_id: i64,
    blob_ids: &[i64],
) -> Result<HashSet<i64>, StoreError> {
    let mut found = HashSet::new();
    for chunk in blob_ids.chunks(BATCH) {
        let list = placeholders(2, chunk.len());
        let sql = format!(
            "SELECT DISTINCT blob_id FROM artifact_entries WHERE artifact_id = $1 AND blob_id IN ({list})"
        );
        let mut query = sqlx::query_scalar(AssertSqlSafe(sql)).bind(artifact_id);
        for id in chunk {
            query = query.bind(id);
        }
        let rows: Vec<i64> = query.fetch_all(&mut *connection).await?;
        found.extend(rows);
    }
    Ok(found)
}
