//! Versions of artifacts: made while their files are uploaded, then committed, later perhaps deleted.

use super::super::Connection;
use super::super::database::{Flag, is_postgres};
use crate::error::StoreError;

/// Files are still being uploaded.
pub(crate) const PENDING: &str = "PENDING";
/// Complete, and never changed again.
pub(crate) const COMMITTED: &str = "COMMITTED";
/// Not there any more.
pub(crate) const DELETED: &str = "DELETED";

/// One version, with its sequence and its sequence's type.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct VersionRow {
    pub(crate) id: i64,
    pub(crate) sequence_id: i64,
    pub(crate) sequence: String,
    pub(crate) type_id: i64,
    pub(crate) project_id: i64,
    /// Whose bytes its files are.
    pub(crate) entity_id: i64,
    /// [`PENDING`], [`COMMITTED`] or [`DELETED`].
    pub(crate) state: String,
    pub(crate) version_index: Option<i64>,
    pub(crate) digest: String,
    pub(crate) digest_algorithm: String,
    pub(crate) commit_hash: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Option<String>,
    /// Seconds; none: as the collection's; -2: never.
    pub(crate) ttl_seconds: Option<i64>,
    pub(crate) history_step: Option<i64>,
    pub(crate) run_id: Option<i64>,
    pub(crate) user_id: Option<i64>,
    /// The version that stands for this one, whose content was there already.
    pub(crate) same_as: Option<i64>,
    /// JSON list.
    pub(crate) pending_aliases: String,
    pub(crate) size_bytes: i64,
    pub(crate) file_count: i64,
    pub(crate) created_at_micros: i64,
    pub(crate) updated_at_micros: Option<i64>,
    /// Its sequence or its project is gone, and so is it, or soon.
    #[sqlx(try_from = "Flag")]
    pub(crate) place_deleted: bool,
}

impl VersionRow {
    pub(crate) fn is_pending(&self) -> bool {
        self.state == PENDING
    }

    pub(crate) fn is_committed(&self) -> bool {
        self.state == COMMITTED
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.state == DELETED || self.place_deleted
    }
}

/// The columns of [`VersionRow`]s.
macro_rules! version_columns {
    () => {
        $crate::store::artifacts::versions::version_columns!("a.description, a.metadata")
    };
    ($texts:literal) => {
        concat!("a.id, a.sequence_id, c.name AS sequence, c.type_id, c.project_id, p.entity_id, a.state, a.version_index,
                a.digest, a.digest_algorithm, a.commit_hash, ", $texts, ", a.ttl_seconds, a.history_step,
                a.run_id, a.user_id, a.same_as, a.pending_aliases, a.size_bytes, a.file_count,
                a.created_at_micros, a.updated_at_micros,
                CASE WHEN c.deleted_at_micros IS NULL AND p.deleted_at_micros IS NULL THEN 0 ELSE 1 END AS place_deleted")
    };
}

/// The text of a query for [`VersionRow`]s.
macro_rules! select_versions {
    ($($conditions:tt)+) => {
        concat!(
            "SELECT ",
            version_columns!(),
            " FROM artifacts a
            JOIN artifact_collections c ON c.id = a.sequence_id
            JOIN projects p ON p.id = c.project_id
            ",
            $($conditions)+
        )
    };
}

pub(super) use {select_versions, version_columns};

/// A version to make.
#[derive(Debug)]
pub(crate) struct NewVersion<'a> {
    pub(crate) sequence_id: i64,
    pub(crate) digest: &'a str,
    pub(crate) digest_algorithm: &'a str,
    pub(crate) description: Option<&'a str>,
    pub(crate) metadata: Option<&'a str>,
    pub(crate) ttl_seconds: Option<i64>,
    pub(crate) history_step: Option<i64>,
    pub(crate) run_id: Option<i64>,
    pub(crate) user_id: i64,
    pub(crate) distributed_id: Option<&'a str>,
    /// JSON list.
    pub(crate) pending_aliases: &'a str,
}

/// The version with row id `id`, whatever its state.
pub(crate) async fn by_id(
    connection: &mut Connection,
    id: i64,
) -> Result<Option<VersionRow>, StoreError> {
    let row = sqlx::query_as(select_versions!("WHERE a.id = $1"))
        .bind(id)
        .fetch_optional(connection)
        .await?;
    Ok(row)
}

/// The version with row id `id`, or the one that stands for it.
pub(crate) async fn standing_for(
    connection: &mut Connection,
    id: i64,
) -> Result<Option<VersionRow>, StoreError> {
    let found = by_id(connection, id).await?;
    match found.as_ref().and_then(|row| row.same_as) {
        Some(other) => by_id(connection, other).await,
        None => Ok(found),
    }
}

/// The committed version of a sequence with this digest.
pub(crate) async fn with_digest(
    connection: &mut Connection,
    sequence_id: i64,
    digest_algorithm: &str,
    digest: &str,
) -> Result<Option<VersionRow>, StoreError> {
    let row = sqlx::query_as(select_versions!(
        "WHERE a.sequence_id = $1 AND a.digest = $2 AND a.digest_algorithm = $3 AND a.state = 'COMMITTED'
        ORDER BY a.version_index DESC
        LIMIT 1"
    ))
    .bind(sequence_id)
    .bind(digest)
    .bind(digest_algorithm)
    .fetch_optional(connection)
    .await?;
    Ok(row)
}

/// The pending version of a sequence that writers with this id share.
pub(crate) async fn distributed(
    connection: &mut Connection,
    sequence_id: i64,
    distributed_id: &str,
) -> Result<Option<VersionRow>, StoreError> {
    let row = sqlx::query_as(select_versions!(
        "WHERE a.sequence_id = $1 AND a.distributed_id = $2 AND a.state = 'PENDING'
        ORDER BY a.id
        LIMIT 1"
    ))
    .bind(sequence_id)
    .bind(distributed_id)
    .fetch_optional(connection)
    .await?;
    Ok(row)
}

/// Locks a version until the end of the transaction, after its collection.
pub(crate) async fn lock(connection: &mut Connection, id: i64) -> Result<(), StoreError> {
    // SQLite has one writer at a time.
    if is_postgres(connection) {
        sqlx::query("SELECT id FROM artifacts WHERE id = $1 FOR NO KEY UPDATE")
            .bind(id)
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Creates a pending version; its row id.
pub(crate) async fn insert(
    connection: &mut Connection,
    new: &NewVersion<'_>,
    now_micros: i64,
) -> Result<i64, StoreError> {
    let id = sqlx::query_scalar(
        "INSERT INTO artifacts (sequence_id, state, digest, digest_algorithm, description, metadata, ttl_seconds,
            history_step, run_id, user_id, distributed_id, pending_aliases, size_bytes, file_count, created_at_micros)
        VALUES ($1, 'PENDING', $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, 0, $12)
        RETURNING id",
    )
    .bind(new.sequence_id)
    .bind(new.digest)
    .bind(new.digest_algorithm)
    .bind(new.description)
    .bind(new.metadata)
    .bind(new.ttl_seconds)
    .bind(new.history_step)
    .bind(new.run_id)
    .bind(new.user_id)
    .bind(new.distributed_id)
    .bind(new.pending_aliases)
    .bind(now_micros)
    .fetch_one(connection)
    .await?;
    Ok(id)
}

/// What the commit says of a version.
#[derive(Debug)]
pub(crate) struct Committed<'a> {
    pub(crate) version_index: i64,
    pub(crate) digest: &'a str,
    pub(crate) commit_hash: &'a str,
    pub(crate) size_bytes: i64,
    pub(crate) file_count: i64,
}

/// Commits a locked version.
pub(crate) async fn commit(
    connection: &mut Connection,
    id: i64,
    committed: &Committed<'_>,
    now_micros: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE artifacts
        SET state = 'COMMITTED', version_index = $2, digest = $3, commit_hash = $4, size_bytes = $5, file_count = $6,
            committed_at_micros = $7, distributed_id = NULL, pending_aliases = '[]'
        WHERE id = $1",
    )
    .bind(id)
    .bind(committed.version_index)
    .bind(committed.digest)
    .bind(committed.commit_hash)
    .bind(committed.size_bytes)
    .bind(committed.file_count)
    .bind(now_micros)
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives up a pending version for the one that has its content already, which [`standing_for`] finds by either id.
pub(crate) async fn merge_into(
    connection: &mut Connection,
    id: i64,
    other: i64,
    now_micros: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE artifacts
        SET state = 'DELETED', same_as = $2, deleted_at_micros = $3, distributed_id = NULL, pending_aliases = '[]'
        WHERE id = $1",
    )
    .bind(id)
    .bind(other)
    .bind(now_micros)
    .execute(connection)
    .await?;
    Ok(())
}

/// Sets the aliases that a pending version will get.
pub(crate) async fn set_pending_aliases(
    connection: &mut Connection,
    id: i64,
    aliases: &str,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE artifacts SET pending_aliases = $2 WHERE id = $1")
        .bind(id)
        .bind(aliases)
        .execute(connection)
        .await?;
    Ok(())
}

/// What becomes of a value that may be missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Change<T> {
    /// It stays as it is.
    #[default]
    Kept,
    /// It is this one, or none.
    Set(Option<T>),
}

impl<T> Change<T> {
    fn is_set(&self) -> bool {
        matches!(self, Self::Set(_))
    }

    fn value(self) -> Option<T> {
        match self {
            Self::Kept => None,
            Self::Set(value) => value,
        }
    }
}

/// New values of a version; `None` leaves the old one.
#[derive(Debug, Default)]
pub(crate) struct VersionChange<'a> {
    pub(crate) description: Change<&'a str>,
    pub(crate) metadata: Option<&'a str>,
    /// None: as the collection's.
    pub(crate) ttl_seconds: Change<i64>,
}

/// Changes what is given.
pub(crate) async fn update(
    connection: &mut Connection,
    id: i64,
    change: &VersionChange<'_>,
    now_micros: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE artifacts
        SET description = CASE WHEN $7 = 1 THEN $2 ELSE description END,
            metadata = COALESCE($3, metadata),
            ttl_seconds = CASE WHEN $4 = 1 THEN $5 ELSE ttl_seconds END,
            updated_at_micros = $6
        WHERE id = $1",
    )
    .bind(id)
    .bind(change.description.value())
    .bind(change.metadata)
    .bind(i64::from(change.ttl_seconds.is_set()))
    .bind(change.ttl_seconds.value())
    .bind(now_micros)
    .bind(i64::from(change.description.is_set()))
    .execute(connection)
    .await?;
    Ok(())
}

/// Marks a locked version as deleted. What is in it is collected later, as no reader of a URL is to lose it at once.
pub(crate) async fn delete(
    connection: &mut Connection,
    id: i64,
    now_micros: i64,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM artifact_tags WHERE artifact_id = $1")
        .bind(id)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "UPDATE artifacts
        SET state = 'DELETED', deleted_at_micros = $2, updated_at_micros = $2, distributed_id = NULL
        WHERE id = $1",
    )
    .bind(id)
    .bind(now_micros)
    .execute(connection)
    .await?;
    Ok(())
}

/// Row ids of what a run has logged first and what is still there, at most 100,000.
pub(crate) async fn logged_by(
    connection: &mut Connection,
    run_id: i64,
) -> Result<Vec<i64>, StoreError> {
    let ids = sqlx::query_scalar(
        "SELECT id FROM artifacts WHERE run_id = $1 AND state <> 'DELETED' ORDER BY id LIMIT 100000",
    )
    .bind(run_id)
    .fetch_all(connection)
    .await?;
    Ok(ids)
}

/// Keeps `client_id` as a name of a version, and `sequence_client_id` as one of its collection; the first one stays.
pub(crate) async fn name_by_client(
    connection: &mut Connection,
    client_id: &str,
    artifact_id: Option<i64>,
    collection_id: Option<i64>,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO artifact_client_ids (client_id, artifact_id, collection_id)
        VALUES ($1, $2, $3)
        ON CONFLICT (client_id) DO NOTHING",
    )
    .bind(client_id)
    .bind(artifact_id)
    .bind(collection_id)
    .execute(connection)
    .await?;
    Ok(())
}

/// Lets `client_id` name another version, as the one before is gone.
pub(crate) async fn rename_by_client(
    connection: &mut Connection,
    client_id: &str,
    artifact_id: i64,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE artifact_client_ids SET artifact_id = $2 WHERE client_id = $1")
        .bind(client_id)
        .bind(artifact_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// What a client's id names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    Nothing,
    /// The version with this row id, which may be gone.
    Version(i64),
    Collection,
}

/// What `client_id` names.
pub(crate) async fn by_client_id(
    connection: &mut Connection,
    client_id: &str,
) -> Result<Named, StoreError> {
    let found: Option<(Option<i64>,)> =
        sqlx::query_as("SELECT artifact_id FROM artifact_client_ids WHERE client_id = $1")
            .bind(client_id)
            .fetch_optional(connection)
            .await?;
    Ok(match found {
        None => Named::Nothing,
        Some((Some(id),)) => Named::Version(id),
        Some((None,)) => Named::Collection,
    })
}

/// Versions to be swept away at `now_micros`, at most `limit`: committed ones whose time, counted from their creation, is over, unless
/// a portfolio has them, and all of collections or projects that are deleted.
pub(crate) async fn to_sweep(
    connection: &mut Connection,
    now_micros: i64,
    limit: i64,
) -> Result<Vec<i64>, StoreError> {
    let mut ids: Vec<i64> = sqlx::query_scalar(
        "SELECT a.id
        FROM artifacts a
        WHERE a.ttl_seconds > 0 AND a.state = 'COMMITTED' AND a.created_at_micros + a.ttl_seconds * 1000000 <= $1
            AND NOT EXISTS (
                SELECT 1 FROM artifact_memberships m WHERE m.artifact_id = a.id AND m.collection_id <> a.sequence_id
            )
        ORDER BY a.id
        LIMIT $2",
    )
    .bind(now_micros)
    .bind(limit)
    .fetch_all(&mut *connection)
    .await?;
    let orphans: Vec<i64> = sqlx::query_scalar(
        "SELECT a.id
        FROM artifact_collections c
        JOIN artifacts a ON a.sequence_id = c.id
        WHERE c.deleted_at_micros IS NOT NULL AND a.state <> 'DELETED'
        ORDER BY a.id
        LIMIT $1",
    )
    .bind(limit)
    .fetch_all(&mut *connection)
    .await?;
    ids.extend(orphans);
    let homeless: Vec<i64> = sqlx::query_scalar(
        "SELECT a.id
        FROM projects p
        JOIN artifact_collections c ON c.project_id = p.id
        JOIN artifacts a ON a.sequence_id = c.id
        WHERE p.deleted_at_micros IS NOT NULL AND c.deleted_at_micros IS NULL AND a.state <> 'DELETED'
        ORDER BY a.id
        LIMIT $1",
    )
    .bind(limit)
    .fetch_all(connection)
    .await?;
    ids.extend(homeless);
    Ok(ids)
}
