//! Lists of runs: pages, counts, and which runs have changed since somebody last looked.
//!
//! Deleted runs and the archives of rewound ones are in none of them, unless it says so.

use futures::TryStreamExt as _;
use futures::stream::BoxStream;

use super::Connection;
use super::runs::{RunRow, select_runs};
use crate::error::StoreError;

/// Ids or names in one question.
pub(crate) const MANY: usize = 50;

/// Placeholders `$2` to `$51`.
macro_rules! fifty {
    () => {
        "$2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26,
        $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44, $45, $46, $47, $48, $49, $50, $51"
    };
}

/// Where a page by creation begins: behind the run created then, with this row id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct After {
    pub(crate) created_at_micros: i64,
    pub(crate) id: i64,
}

/// One page of a project's runs by creation time; those created at the same time by row id.
pub(crate) async fn page(
    connection: &mut Connection,
    project_id: i64,
    newest_first: bool,
    after: Option<After>,
    limit: i64,
) -> Result<Vec<RunRow>, StoreError> {
    const OLDEST_FIRST: &str = select_runs!(
        "WHERE r.project_id = $1 AND r.deleted_at_micros IS NULL AND r.archive_of IS NULL
            AND r.created_at_micros >= $2
            AND (r.created_at_micros > $2 OR r.id > $3)
        ORDER BY r.created_at_micros, r.id
        LIMIT $4"
    );
    const NEWEST_FIRST: &str = select_runs!(
        "WHERE r.project_id = $1 AND r.deleted_at_micros IS NULL AND r.archive_of IS NULL
            AND r.created_at_micros <= $2
            AND (r.created_at_micros < $2 OR r.id > $3)
        ORDER BY r.created_at_micros DESC, r.id
        LIMIT $4"
    );
    let after = after.unwrap_or(After {
        created_at_micros: if newest_first { i64::MAX } else { i64::MIN },
        id: i64::MAX,
    });
    let sql = if newest_first {
        NEWEST_FIRST
    } else {
        OLDEST_FIRST
    };
    let rows = sqlx::query_as(sql)
        .bind(project_id)
        .bind(after.created_at_micros)
        .bind(after.id)
        .bind(limit)
        .fetch_all(connection)
        .await?;
    Ok(rows)
}

/// The runs of a project by row id, from the first one behind `after_id` on.
pub(crate) async fn by_row_id(
    connection: &mut Connection,
    project_id: i64,
    after_id: i64,
    limit: i64,
) -> Result<Vec<RunRow>, StoreError> {
    let rows = sqlx::query_as(select_runs!(
        "WHERE r.project_id = $1 AND r.id > $2 AND r.deleted_at_micros IS NULL AND r.archive_of IS NULL
        ORDER BY r.id
        LIMIT $3"
    ))
    .bind(project_id)
    .bind(after_id)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// Some of a project's runs, at most [`MANY`], one after the other and in any order; those that are not there are left out.
pub(crate) fn some<'c>(
    connection: &'c mut Connection,
    project_id: i64,
    ids: &[i64],
) -> BoxStream<'c, Result<RunRow, StoreError>> {
    const SOME: &str = select_runs!(
        "WHERE r.project_id = $1 AND r.deleted_at_micros IS NULL AND r.archive_of IS NULL AND r.id IN (",
        fifty!(),
        ")"
    );
    debug_assert!(ids.len() <= MANY);
    let mut query = sqlx::query_as(SOME).bind(project_id);
    for place in 0..MANY {
        // One statement for any number; no run has the id 0.
        query = query.bind(ids.get(place).copied().unwrap_or(0));
    }
    Box::pin(query.fetch(connection).map_err(StoreError::from))
}

/// Some of a project's runs by their names, at most [`MANY`], in any order; those that are not there are left out.
pub(crate) async fn named(
    connection: &mut Connection,
    project_id: i64,
    names: &[&str],
) -> Result<Vec<RunRow>, StoreError> {
    const NAMED: &str = select_runs!(
        "WHERE r.project_id = $1 AND r.deleted_at_micros IS NULL AND r.archive_of IS NULL AND r.name IN (",
        fifty!(),
        ")"
    );
    debug_assert!(names.len() <= MANY);
    let mut query = sqlx::query_as(NAMED).bind(project_id);
    for place in 0..MANY {
        query = query.bind(names.get(place).copied().unwrap_or_default());
    }
    Ok(query.fetch_all(connection).await?)
}

/// The number of runs in a project.
pub(crate) async fn count(connection: &mut Connection, project_id: i64) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar(
        "SELECT COUNT(*)
        FROM runs
        WHERE project_id = $1 AND deleted_at_micros IS NULL AND archive_of IS NULL",
    )
    .bind(project_id)
    .fetch_one(connection)
    .await?;
    Ok(count)
}

/// The number of runs that a project has had, with those that lists leave out.
pub(crate) async fn count_ever(
    connection: &mut Connection,
    project_id: i64,
) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar("SELECT COUNT(*) FROM runs WHERE project_id = $1")
        .bind(project_id)
        .fetch_one(connection)
        .await?;
    Ok(count)
}

/// The number of a project's deleted runs.
pub(crate) async fn count_deleted(
    connection: &mut Connection,
    project_id: i64,
) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar(
        "SELECT COUNT(*)
        FROM runs
        WHERE project_id = $1 AND deleted_at_micros IS NOT NULL AND archive_of IS NULL",
    )
    .bind(project_id)
    .fetch_one(connection)
    .await?;
    Ok(count)
}

/// The deleted runs of a project, latest deletion first.
pub(crate) async fn deleted(
    connection: &mut Connection,
    project_id: i64,
    offset: i64,
    limit: i64,
) -> Result<Vec<RunRow>, StoreError> {
    let rows = sqlx::query_as(select_runs!(
        "WHERE r.project_id = $1 AND r.deleted_at_micros IS NOT NULL AND r.archive_of IS NULL
        ORDER BY r.deleted_at_micros DESC, r.id DESC
        LIMIT $2 OFFSET $3"
    ))
    .bind(project_id)
    .bind(limit)
    .bind(offset)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// The runs with the latest heartbeat of the entities that a user belongs to, newest first.
pub(crate) async fn recent(
    connection: &mut Connection,
    user_id: i64,
    limit: i64,
) -> Result<Vec<RunRow>, StoreError> {
    let rows = sqlx::query_as(select_runs!(
        "WHERE r.id IN (
            SELECT i.id
            FROM runs i
            JOIN projects ip ON ip.id = i.project_id
            JOIN members im ON im.entity_id = ip.entity_id
            WHERE im.user_id = $1 AND i.deleted_at_micros IS NULL AND i.archive_of IS NULL
            ORDER BY i.heartbeat_at_micros DESC, i.id DESC
            LIMIT $2
        )
        ORDER BY r.heartbeat_at_micros DESC, r.id DESC"
    ))
    .bind(user_id)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// The versions of runs whose row ids have the same quotient by a bucket's size.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub(crate) struct BucketRow {
    pub(crate) bucket: i64,
    /// All of the project's runs, hidden ones too.
    pub(crate) runs: i64,
    /// Sum of their row ids, which tells runs that were moved to and from another project.
    pub(crate) ids: i64,
    /// Sum of their versions, which only grow: it changes with every change.
    pub(crate) versions: i64,
}

/// A project's runs in buckets of `size` row ids, in any order.
pub(crate) async fn buckets(
    connection: &mut Connection,
    project_id: i64,
    size: i64,
) -> Result<Vec<BucketRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT id / CAST($2 AS BIGINT) AS bucket, COUNT(*) AS runs, CAST(SUM(id) AS BIGINT) AS ids,
            CAST(SUM(version) AS BIGINT) AS versions
        FROM runs
        WHERE project_id = $1
        GROUP BY 1",
    )
    .bind(project_id)
    .bind(size)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// Row ids and versions of a project's runs, hidden ones too, with row ids from `first` to before `end`.
///
/// Gathered into one text per bucket: a row of its own for each run would take longer than the rest of a query.
pub(crate) async fn versions(
    connection: &mut Connection,
    project_id: i64,
    size: i64,
    (first, end): (i64, i64),
) -> Result<Vec<(i64, i64)>, StoreError> {
    let texts: Vec<String> = sqlx::query_scalar(
        "SELECT STRING_AGG(CAST(id AS TEXT) || ':' || CAST(version AS TEXT), ',')
        FROM runs
        WHERE project_id = $1 AND id >= $3 AND id < $4
        GROUP BY id / CAST($2 AS BIGINT)",
    )
    .bind(project_id)
    .bind(size)
    .bind(first)
    .bind(end)
    .fetch_all(connection)
    .await?;
    let pairs = texts.iter().flat_map(|text| text.split(','));
    pairs
        .map(|pair| {
            let (id, version) = pair.split_once(':')?;
            Some((id.parse().ok()?, version.parse().ok()?))
        })
        .collect::<Option<_>>()
        .ok_or_else(|| StoreError::Damaged("a list of versions".to_owned()))
}
