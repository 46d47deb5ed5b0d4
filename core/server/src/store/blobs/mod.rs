//! Content of artifacts: which bytes an entity has, by their digests.
//!
//! A row says that bytes with these digests arrived, for this entity; it names the object that holds them. Rows of several entities
//! may name one object: each has proven that it has the bytes, or may read a version that has them.
//!
//! Whoever is going to rely on a row marks it as wanted ([`touch`]), in the transaction that relies on it: that locks the row against
//! [`unwanted`], which removes what nobody names and nobody has wanted for long.

pub(crate) mod by_digest;
pub(crate) mod manifests;
#[cfg(test)]
mod tests;
pub(crate) mod unwanted;
pub(crate) mod uploads;

use std::collections::{BTreeSet, HashMap, HashSet};

use runlane_model::artifact::digest::{Algorithm, Digest};
use sqlx::AssertSqlSafe;

use super::Connection;
use super::database::is_postgres;
use crate::error::StoreError;

/// Values in one statement; both databases take far more.
const VALUES: usize = 1_000;
const COLUMNS: &str = "id, entity_id, md5, xxh128, size_bytes, object_key";

/// How exactly it is known when a row was last wanted: rows that many want are not written by each of them.
pub(super) const TOUCH_MICROS: i64 = 3_600 * 1_000_000;

/// Bytes that an entity has.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct BlobRow {
    pub(crate) id: i64,
    pub(crate) entity_id: i64,
    /// 32 hexadecimal digits, as the other digest.
    pub(crate) md5: String,
    pub(crate) xxh128: String,
    pub(crate) size_bytes: i64,
    pub(crate) object_key: String,
}

/// Bytes that have arrived, in an object of their own.
#[derive(Debug)]
pub(crate) struct NewBlob<'a> {
    pub(crate) entity_id: i64,
    pub(crate) md5: Digest,
    pub(crate) xxh128: Digest,
    pub(crate) size_bytes: i64,
    pub(crate) object_key: &'a str,
}

const fn column(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Md5 => "md5",
        Algorithm::Xxh128 => "xxh128",
    }
}

/// `$from, …`: placeholders of `count` values.
pub(super) fn placeholders(from: usize, count: usize) -> String {
    let list: Vec<String> = (from..from + count)
        .map(|number| format!("${number}"))
        .collect();
    list.join(", ")
}

/// The bytes of an entity with this digest; the oldest row, should an attacker have made two contents of one MD5.
pub(crate) async fn find(
    connection: &mut Connection,
    entity_id: i64,
    algorithm: Algorithm,
    digest: Digest,
) -> Result<Option<BlobRow>, StoreError> {
    let column = column(algorithm);
    let sql = format!(
        "SELECT {COLUMNS}
        FROM blobs
        WHERE {column} = $1 AND entity_id = $2
        ORDER BY id
        LIMIT 1"
    );
    let row = sqlx::query_as(AssertSqlSafe(sql))
        .bind(digest.hex())
        .bind(entity_id)
        .fetch_optional(connection)
        .await?;
    Ok(row)
}

/// As [`find`] for any number of digests; those that the entity does not have are left out.
pub(crate) async fn find_many(
    connection: &mut Connection,
    entity_id: i64,
    digests: &[(Algorithm, Digest)],
) -> Result<HashMap<(Algorithm, Digest), BlobRow>, StoreError> {
    let mut found = HashMap::new();
    for algorithm in [Algorithm::Md5, Algorithm::Xxh128] {
        let wanted: BTreeSet<String> = digests
            .iter()
            .filter(|(of, _)| *of == algorithm)
            .map(|(_, digest)| digest.hex())
            .collect();
        let wanted: Vec<String> = wanted.into_iter().collect();
        let column = column(algorithm);
        for chunk in wanted.chunks(VALUES) {
            let list = placeholders(2, chunk.len());
            let sql = format!(
                "SELECT {COLUMNS}
                FROM blobs
                WHERE entity_id = $1 AND {column} IN ({list})
                ORDER BY id"
            );
            let mut query = sqlx::query_as(AssertSqlSafe(sql)).bind(entity_id);
            for digest in chunk {
                query = query.bind(digest);
            }
            let rows: Vec<BlobRow> = query.fetch_all(&mut *connection).await?;
            for row in rows {
                let hex = match algorithm {
                    Algorithm::Md5 => &row.md5,
                    Algorithm::Xxh128 => &row.xxh128,
                };
                if let Some(digest) = Digest::from_hex(hex) {
                    found.entry((algorithm, digest)).or_insert(row);
                }
            }
        }
    }
    Ok(found)
}

/// The row with this id.
pub(crate) async fn by_id(
    connection: &mut Connection,
    id: i64,
) -> Result<Option<BlobRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM blobs WHERE id = $1");
    let row = sqlx::query_as(AssertSqlSafe(sql))
        .bind(id)
        .fetch_optional(connection)
        .await?;
    Ok(row)
}

/// A row of the object `key`: all of them are about the same bytes.
pub(crate) async fn by_object(
    connection: &mut Connection,
    key: &str,
) -> Result<Option<BlobRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM blobs WHERE object_key = $1 ORDER BY id LIMIT 1");
    let row = sqlx::query_as(AssertSqlSafe(sql))
        .bind(key)
        .fetch_optional(connection)
        .await?;
    Ok(row)
}

/// Marks rows as wanted and locks them until the end of the transaction, in the order of their ids: nothing removes them before it
/// is over, or, if it names them, afterwards. The ids that are there; what is missing has just been removed.
pub(crate) async fn touch(
    connection: &mut Connection,
    ids: &[i64],
    now_micros: i64,
) -> Result<HashSet<i64>, StoreError> {
    let ids: Vec<i64> = ids
        .iter()
        .copied()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let mut there = HashSet::with_capacity(ids.len());
    for chunk in ids.chunks(VALUES) {
        let locked = lock(connection, chunk, "FOR NO KEY UPDATE").await?;
        let list = placeholders(3, chunk.len());
        let sql = format!(
            "UPDATE blobs SET wanted_at_micros = $1 WHERE wanted_at_micros < $2 AND id IN ({list})"
        );
        let mut query = sqlx::query(AssertSqlSafe(sql))
            .bind(now_micros)
            .bind(now_micros - TOUCH_MICROS);
        for id in chunk {
            query = query.bind(id);
        }
        query.execute(&mut *connection).await?;
        there.extend(locked);
    }
    Ok(there)
}

/// Locks rows in the order of their ids; those that are there.
async fn lock(
    connection: &mut Connection,
    ids: &[i64],
    strength: &str,
) -> Result<Vec<i64>, StoreError> {
    // SQLite has one writer at a time.
    let strength = if is_postgres(connection) {
        strength
    } else {
        ""
    };
    let list = placeholders(1, ids.len());
    let sql = format!("SELECT id FROM blobs WHERE id IN ({list}) ORDER BY id {strength}");
    let mut query = sqlx::query_scalar(AssertSqlSafe(sql));
    for id in ids {
        query = query.bind(id);
    }
    Ok(query.fetch_all(connection).await?)
}

/// Makes the row of bytes that have arrived, or marks the one as wanted that is there already, whose object then counts: the caller
/// removes its own if it is another one.
pub(crate) async fn add(
    connection: &mut Connection,
    blob: &NewBlob<'_>,
    now_micros: i64,
) -> Result<BlobRow, StoreError> {
    sqlx::query(
        "INSERT INTO blobs (entity_id, md5, xxh128, size_bytes, object_key, created_at_micros, wanted_at_micros)
        VALUES ($1, $2, $3, $4, $5, $6, $6)
        ON CONFLICT (md5, entity_id, xxh128) DO NOTHING",
    )
    .bind(blob.entity_id)
    .bind(blob.md5.hex())
    .bind(blob.xxh128.hex())
    .bind(blob.size_bytes)
    .bind(blob.object_key)
    .bind(now_micros)
    .execute(&mut *connection)
    .await?;
    let sql = format!(
        "UPDATE blobs
        SET wanted_at_micros = CASE WHEN wanted_at_micros < $1 THEN $1 ELSE wanted_at_micros END
        WHERE md5 = $2 AND entity_id = $3 AND xxh128 = $4
        RETURNING {COLUMNS}"
    );
    let row = sqlx::query_as(AssertSqlSafe(sql))
        .bind(now_micros)
        .bind(blob.md5.hex())
        .bind(blob.entity_id)
        .bind(blob.xxh128.hex())
        .fetch_optional(connection)
        .await?;
    row.ok_or(StoreError::Conflict("the row of a blob was removed"))
}

/// Gives an entity a row of its own of bytes that a version has which its caller may read; its id. None if the source has just been
/// removed.
pub(crate) async fn adopt(
    connection: &mut Connection,
    entity_id: i64,
    source: &BlobRow,
    now_micros: i64,
) -> Result<Option<i64>, StoreError> {
    // Locked: its object stays while another row begins to name it.
    if touch(connection, &[source.id], now_micros)
        .await?
        .is_empty()
    {
        return Ok(None);
    }
    if source.entity_id == entity_id {
        return Ok(Some(source.id));
    }
    let digest = |hex: &str| {
        Digest::from_hex(hex).ok_or_else(|| StoreError::Damaged("a blob has no digest".into()))
    };
    let blob = NewBlob {
        entity_id,
        md5: digest(&source.md5)?,
        xxh128: digest(&source.xxh128)?,
        size_bytes: source.size_bytes,
        object_key: &source.object_key,
    };
    Ok(Some(add(connection, &blob, now_micros).await?.id))
}

/// Whose bytes those of a version are, and how far the version is.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Place {
    pub(crate) entity_id: i64,
    pub(crate) state: String,
}

impl Place {
    /// Whether the version still takes bytes.
    pub(crate) fn is_pending(&self) -> bool {
        self.state == PENDING
    }
}

/// The state of a version that is being made.
pub(super) const PENDING: &str = "PENDING";

/// Where the bytes of a version go; `lock` keeps its state as it is until the end of the transaction.
pub(crate) async fn place(
    connection: &mut Connection,
    artifact_id: i64,
    lock: bool,
) -> Result<Option<Place>, StoreError> {
    let strength = if lock && is_postgres(connection) {
        "FOR NO KEY UPDATE OF a"
    } else {
        ""
    };
    let sql = format!(
        "SELECT p.entity_id, a.state
        FROM artifacts a
        JOIN artifact_collections c ON c.id = a.sequence_id
        JOIN projects p ON p.id = c.project_id
        WHERE a.id = $1
        {strength}"
    );
    let place = sqlx::query_as(AssertSqlSafe(sql))
        .bind(artifact_id)
        .fetch_optional(connection)
        .await?;
    Ok(place)
}

/// How exactly it is known when a version was last active: a row is not written with every file.
const ACTIVITY_MICROS: i64 = 10 * 60 * 1_000_000;

/// Says that something of a pending version has just arrived.
pub(crate) async fn note_activity(
    connection: &mut Connection,
    artifact_id: i64,
    now_micros: i64,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE artifacts SET active_at_micros = $1 WHERE id = $2 AND state = $3 AND active_at_micros < $4")
        .bind(now_micros)
        .bind(artifact_id)
        .bind(PENDING)
        .bind(now_micros - ACTIVITY_MICROS)
        .execute(connection)
        .await?;
    Ok(())
}
