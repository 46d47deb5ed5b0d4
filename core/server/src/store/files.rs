//! Run files: which object holds the current bytes of a name.

use std::collections::HashSet;

use sqlx::AssertSqlSafe;

use super::Connection;
use super::blobs::placeholders;
use crate::error::StoreError;

/// One file of a run.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct FileRow {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) object_key: String,
    pub(crate) size_bytes: i64,
    pub(crate) md5: String,
    pub(crate) mimetype: String,
    pub(crate) updated_at_micros: i64,
}

/// What a finished upload says about a file.
#[derive(Debug)]
pub(crate) struct NewFile<'a> {
    pub(crate) run_id: i64,
    pub(crate) name: &'a str,
    pub(crate) object_key: &'a str,
    pub(crate) size_bytes: i64,
    pub(crate) md5: &'a str,
    pub(crate) mimetype: &'a str,
}

/// Makes `file` the current content of its name; the key of the object that it replaces.
pub(crate) async fn replace(
    connection: &mut Connection,
    file: &NewFile<'_>,
    now_micros: i64,
) -> Result<Option<String>, StoreError> {
    let old =
        sqlx::query_scalar("SELECT object_key FROM run_files WHERE run_id = $1 AND name = $2")
            .bind(file.run_id)
            .bind(file.name)
            .fetch_optional(&mut *connection)
            .await?;
    sqlx::query(
        "INSERT INTO run_files (run_id, name, object_key, size_bytes, md5, mimetype, updated_at_micros)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (run_id, name) DO UPDATE
        SET object_key = $3, size_bytes = $4, md5 = $5, mimetype = $6, updated_at_micros = $7",
    )
    .bind(file.run_id)
    .bind(file.name)
    .bind(file.object_key)
    .bind(file.size_bytes)
    .bind(file.md5)
    .bind(file.mimetype)
    .bind(now_micros)
    .execute(connection)
    .await?;
    Ok(old)
}

/// The file `name` of a run.
pub(crate) async fn find(
    connection: &mut Connection,
    run_id: i64,
    name: &str,
) -> Result<Option<FileRow>, StoreError> {
    let row = sqlx::query_as(
        "SELECT id, name, object_key, size_bytes, md5, mimetype, updated_at_micros
        FROM run_files
        WHERE run_id = $1 AND name = $2",
    )
    .bind(run_id)
    .bind(name)
    .fetch_optional(connection)
    .await?;
    Ok(row)
}

/// All files of a run by name; `like` is an SQL pattern, in which `\` takes the meaning of the
/// next character; letters match in both cases.
pub(crate) async fn list(
    connection: &mut Connection,
    run_id: i64,
    like: Option<&str>,
) -> Result<Vec<FileRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT id, name, object_key, size_bytes, md5, mimetype, updated_at_micros
        FROM run_files
        WHERE run_id = $1 AND ($2 IS NULL OR LOWER(name) LIKE LOWER($2) ESCAPE '\\')
        ORDER BY name",
    )
    .bind(run_id)
    .bind(like)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// The number of files of a run.
pub(crate) async fn count(connection: &mut Connection, run_id: i64) -> Result<i64, StoreError> {
    Ok(
        sqlx::query_scalar("SELECT COUNT(*) FROM run_files WHERE run_id = $1")
            .bind(run_id)
            .fetch_one(connection)
            .await?,
    )
}

/// The tables whose rows name objects.
const OBJECT_TABLES: [&str; 5] = [
    "run_files",
    "history_objects",
    "blobs",
    "artifact_manifests",
    "artifact_upload_parts",
];

/// Those of the objects `keys` that something is in: a file, a piece of history, or something of artifacts.
pub(crate) async fn used_objects(
    connection: &mut Connection,
    keys: &[String],
) -> Result<HashSet<String>, StoreError> {
    let list = placeholders(1, keys.len());
    let of_table = |table| format!("SELECT object_key FROM {table} WHERE object_key IN ({list})");
    let sql = OBJECT_TABLES.map(of_table).join(" UNION ");
    let mut query = sqlx::query_scalar(AssertSqlSafe(sql));
    for key in keys {
        query = query.bind(key);
    }
    let used: Vec<String> = query.fetch_all(connection).await?;
    Ok(used.into_iter().collect())
}

/// Row id of the project that a file belongs to.
pub(crate) async fn project_of(
    connection: &mut Connection,
    file_id: i64,
) -> Result<Option<i64>, StoreError> {
    let project = sqlx::query_scalar(
        "SELECT r.project_id
        FROM run_files f
        JOIN runs r ON r.id = f.run_id
        WHERE f.id = $1",
    )
    .bind(file_id)
    .fetch_optional(connection)
    .await?;
    Ok(project)
}

/// Removes a file of a project; the key of its object, if there was one.
pub(crate) async fn delete(
    connection: &mut Connection,
    file_id: i64,
) -> Result<Option<String>, StoreError> {
    Ok(
        sqlx::query_scalar("DELETE FROM run_files WHERE id = $1 RETURNING object_key")
            .bind(file_id)
            .fetch_optional(connection)
            .await?,
    )
}
