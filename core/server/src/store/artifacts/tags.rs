//! Tags of versions and of collections.

use super::super::Connection;
use crate::error::StoreError;

/// What has tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// The version with this row id.
    Version(i64),
    /// The collection with this row id.
    Collection(i64),
}

/// All, by name.
pub(crate) async fn list(connection: &mut Connection, of: Of) -> Result<Vec<String>, StoreError> {
    let (sql, id) = match of {
        Of::Version(id) => (
            "SELECT name FROM artifact_tags WHERE artifact_id = $1 ORDER BY name",
            id,
        ),
        Of::Collection(id) => (
            "SELECT name FROM artifact_collection_tags WHERE collection_id = $1 ORDER BY name",
            id,
        ),
    };
    Ok(sqlx::query_scalar(sql)
        .bind(id)
        .fetch_all(connection)
        .await?)
}

/// Adds those that are missing.
pub(crate) async fn add(
    connection: &mut Connection,
    of: Of,
    names: &[String],
) -> Result<(), StoreError> {
    let (sql, id) = match of {
        Of::Version(id) => (
            "INSERT INTO artifact_tags (artifact_id, name) VALUES ($1, $2) ON CONFLICT (artifact_id, name) DO NOTHING",
            id,
        ),
        Of::Collection(id) => (
            "INSERT INTO artifact_collection_tags (collection_id, name) VALUES ($1, $2)
            ON CONFLICT (collection_id, name) DO NOTHING",
            id,
        ),
    };
    for name in names {
        sqlx::query(sql)
            .bind(id)
            .bind(name)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Removes those that are there.
pub(crate) async fn remove(
    connection: &mut Connection,
    of: Of,
    names: &[String],
) -> Result<(), StoreError> {
    let (sql, id) = match of {
        Of::Version(id) => (
            "DELETE FROM artifact_tags WHERE artifact_id = $1 AND name = $2",
            id,
        ),
        Of::Collection(id) => (
            "DELETE FROM artifact_collection_tags WHERE collection_id = $1 AND name = $2",
            id,
        ),
    };
    for name in names {
        sqlx::query(sql)
            .bind(id)
            .bind(name)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
