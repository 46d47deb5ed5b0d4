//! Lists of versions.

use super::super::Connection;
use super::versions::{VersionRow, select_versions, version_columns};
use crate::error::StoreError;

/// A version in a collection.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct MemberRow {
    pub(crate) place_id: i64,
    /// Its index in this collection.
    pub(crate) place_index: i64,
    #[sqlx(flatten)]
    pub(crate) version: VersionRow,
}

macro_rules! select_members {
    ($texts:literal, $conditions:literal) => {
        concat!(
            "SELECT m.id AS place_id, m.version_index AS place_index, ",
            version_columns!($texts),
            " FROM artifact_memberships m
            JOIN artifacts a ON a.id = m.artifact_id
            JOIN artifact_collections c ON c.id = a.sequence_id
            JOIN projects p ON p.id = c.project_id
            ",
            $conditions
        )
    };
}

/// What of the versions in a list is read: description and metadata have up to 1 MiB each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Texts {
    Read,
    LeftOut,
}

/// The text of a query for [`MemberRow`]s with or without their texts.
macro_rules! members_with {
    ($texts:expr, $conditions:literal) => {
        match $texts {
            Texts::Read => select_members!("a.description, a.metadata", $conditions),
            Texts::LeftOut => select_members!(
                "CAST(NULL AS TEXT) AS description, CAST(NULL AS TEXT) AS metadata",
                $conditions
            ),
        }
    };
}

/// A page (offset, limit) of a collection's versions by their index in it, the newest first or last.
pub(crate) async fn members(
    connection: &mut Connection,
    collection_id: i64,
    newest_first: bool,
    texts: Texts,
    (offset, limit): (i64, i64),
) -> Result<Vec<MemberRow>, StoreError> {
    let sql = if newest_first {
        members_with!(
            texts,
            "WHERE m.collection_id = $1 ORDER BY m.version_index DESC LIMIT $2 OFFSET $3"
        )
    } else {
        members_with!(
            texts,
            "WHERE m.collection_id = $1 ORDER BY m.version_index LIMIT $2 OFFSET $3"
        )
    };
    let rows = sqlx::query_as(sql)
        .bind(collection_id)
        .bind(limit)
        .bind(offset)
        .fetch_all(connection)
        .await?;
    Ok(rows)
}

/// The versions of a collection by their index in it, from the first one behind `after` on.
pub(crate) async fn members_after(
    connection: &mut Connection,
    collection_id: i64,
    after: i64,
    texts: Texts,
    limit: i64,
) -> Result<Vec<MemberRow>, StoreError> {
    let sql = members_with!(
        texts,
        "WHERE m.collection_id = $1 AND m.version_index > $2 ORDER BY m.version_index LIMIT $3"
    );
    let rows = sqlx::query_as(sql)
        .bind(collection_id)
        .bind(after)
        .bind(limit)
        .fetch_all(connection)
        .await?;
    Ok(rows)
}

/// The version in this place.
pub(crate) async fn member(
    connection: &mut Connection,
    place_id: i64,
    texts: Texts,
) -> Result<Option<MemberRow>, StoreError> {
    let row = sqlx::query_as(members_with!(texts, "WHERE m.id = $1"))
        .bind(place_id)
        .fetch_optional(connection)
        .await?;
    Ok(row)
}

/// What a run has to do with versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// It logged them.
    Output,
    /// It used them.
    Input,
}

/// A page of the committed versions that a run logged or used, in that order, and how many there are.
pub(crate) async fn of_run(
    connection: &mut Connection,
    run_id: i64,
    part: Part,
    offset: i64,
    limit: i64,
) -> Result<(Vec<VersionRow>, i64), StoreError> {
    const OUTPUTS: &str = select_versions!(
        "LEFT JOIN artifact_outputs o ON o.artifact_id = a.id AND o.run_id = $1
        WHERE a.state = 'COMMITTED'
            AND a.id IN (SELECT id FROM artifacts WHERE run_id = $1 UNION SELECT artifact_id FROM artifact_outputs WHERE run_id = $1)
        ORDER BY COALESCE(o.created_at_micros, a.created_at_micros), a.id
        LIMIT $2 OFFSET $3"
    );
    const INPUTS: &str = select_versions!(
        "JOIN artifact_uses u ON u.artifact_id = a.id
        WHERE u.run_id = $1 AND a.state = 'COMMITTED'
        ORDER BY u.created_at_micros, a.id
        LIMIT $2 OFFSET $3"
    );
    const OUTPUT_COUNT: &str = "SELECT COUNT(*)
        FROM artifacts
        WHERE state = 'COMMITTED'
            AND id IN (SELECT id FROM artifacts WHERE run_id = $1 UNION SELECT artifact_id FROM artifact_outputs WHERE run_id = $1)";
    const INPUT_COUNT: &str = "SELECT COUNT(*)
        FROM artifact_uses u
        JOIN artifacts a ON a.id = u.artifact_id
        WHERE u.run_id = $1 AND a.state = 'COMMITTED'";
    let (list, count) = match part {
        Part::Output => (OUTPUTS, OUTPUT_COUNT),
        Part::Input => (INPUTS, INPUT_COUNT),
    };
    let rows = sqlx::query_as(list)
        .bind(run_id)
        .bind(limit)
        .bind(offset)
        .fetch_all(&mut *connection)
        .await?;
    let total = sqlx::query_scalar(count)
        .bind(run_id)
        .fetch_one(connection)
        .await?;
    Ok((rows, total))
}
