//! Runs: identity, settings, state and counters. Their lines are in [`super::streams`].

use super::database::{Flag, is_postgres};
use super::{Connection, projects};
use crate::error::StoreError;

/// One run with the names of its project and entity.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct RunRow {
    pub(crate) id: i64,
    pub(crate) project_id: i64,
    pub(crate) project: String,
    pub(crate) entity: String,
    pub(crate) name: String,
    pub(crate) display_name: String,
    pub(crate) description: Option<String>,
    pub(crate) notes: Option<String>,
    pub(crate) tags: String,
    pub(crate) state: String,
    pub(crate) group_name: Option<String>,
    pub(crate) job_type: Option<String>,
    pub(crate) commit_hash: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) program: Option<String>,
    pub(crate) repo: Option<String>,
    pub(crate) sweep_name: Option<String>,
    pub(crate) config: String,
    pub(crate) summary: String,
    pub(crate) exit_code: Option<i64>,
    #[sqlx(try_from = "Flag")]
    pub(crate) stop_requested: bool,
    pub(crate) created_at_micros: i64,
    pub(crate) heartbeat_at_micros: i64,
    pub(crate) history_line_count: i64,
    pub(crate) events_line_count: i64,
    pub(crate) log_line_count: i64,
    pub(crate) last_step: Option<i64>,
    /// Rows that the run's clients could not keep.
    pub(crate) lost_rows: i64,
    pub(crate) version: i64,
    pub(crate) deleted_at_micros: Option<i64>,
    /// How often the run was rewound before.
    pub(crate) generation: i64,
    /// The run whose state before a rewind this is.
    pub(crate) archive_of: Option<i64>,
    /// Login name of whoever started the run.
    pub(crate) username: Option<String>,
}

/// New values for a run; `None` leaves the old one.
#[derive(Debug, Default)]
pub(crate) struct RunChange {
    pub(crate) display_name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) notes: Option<String>,
    pub(crate) tags: Option<String>,
    pub(crate) group_name: Option<String>,
    pub(crate) job_type: Option<String>,
    pub(crate) commit_hash: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) program: Option<String>,
    pub(crate) repo: Option<String>,
    pub(crate) sweep_name: Option<String>,
    pub(crate) config: Option<String>,
    pub(crate) summary: Option<String>,
}

/// The text of a query for [`RunRow`]s.
macro_rules! select_runs {
    ($($conditions:tt)+) => {
        concat!(
            "SELECT r.id, r.project_id, p.name AS project, e.name AS entity, r.name, r.display_name, r.description, r.notes,
                r.tags, r.state, r.group_name, r.job_type, r.commit_hash, r.host, r.program, r.repo, r.sweep_name,
                r.config, r.summary, r.exit_code,
                CASE WHEN r.stop_requested THEN 1 ELSE 0 END AS stop_requested,
                r.created_at_micros, r.heartbeat_at_micros, r.history_line_count, r.events_line_count,
                r.log_line_count, r.last_step, r.lost_rows, r.version, r.deleted_at_micros,
                r.generation, r.archive_of, r.username
            FROM runs r
            JOIN projects p ON p.id = r.project_id
            JOIN entities e ON e.id = p.entity_id
            ",
            $($conditions)+
        )
    };
}

pub(super) use select_runs;

const BY_NAME: &str = select_runs!("WHERE e.name = $1 AND p.name = $2 AND r.name = $3");

const BY_ID: &str = select_runs!("WHERE r.id = $1 AND r.deleted_at_micros IS NULL");

/// The run `entity/project/name`, deleted ones included (their name stays taken).
///
/// `name` may be `<id>:<generation>`: the state that a run had before it was rewound, or the run itself if it is in that generation.
pub(crate) async fn find_any(
    connection: &mut Connection,
    entity: &str,
    project: &str,
    name: &str,
) -> Result<Option<RunRow>, StoreError> {
    let row = by_name(connection, [entity, project, name]).await?;
    if row.is_some() {
        return Ok(row);
    }
    let Some((id, generation)) = name.rsplit_once(':') else {
        return Ok(None);
    };
    let row = by_name(connection, [entity, project, id]).await?;
    Ok(row.filter(|row| generation.parse() == Ok(row.generation)))
}

async fn by_name(
    connection: &mut Connection,
    [entity, project, name]: [&str; 3],
) -> Result<Option<RunRow>, StoreError> {
    let row = sqlx::query_as(BY_NAME)
        .bind(entity)
        .bind(project)
        .bind(name)
        .fetch_optional(connection)
        .await?;
    Ok(row)
}

/// The run `entity/project/name`.
pub(crate) async fn find(
    connection: &mut Connection,
    entity: &str,
    project: &str,
    name: &str,
) -> Result<Option<RunRow>, StoreError> {
    let row = find_any(connection, entity, project, name).await?;
    Ok(row.filter(|row| row.deleted_at_micros.is_none()))
}

/// The run with row id `id`, also a deleted one.
pub(crate) async fn by_id_any(
    connection: &mut Connection,
    id: i64,
) -> Result<Option<RunRow>, StoreError> {
    Ok(sqlx::query_as(select_runs!("WHERE r.id = $1"))
        .bind(id)
        .fetch_optional(connection)
        .await?)
}

/// The run with row id `id`.
pub(crate) async fn by_id(
    connection: &mut Connection,
    id: i64,
) -> Result<Option<RunRow>, StoreError> {
    Ok(sqlx::query_as(BY_ID)
        .bind(id)
        .fetch_optional(connection)
        .await?)
}

/// Locks a run until the end of the transaction: what is read afterwards is changed by nobody else. Runs that belong together are
/// locked in the order of their row ids.
pub(crate) async fn lock(connection: &mut Connection, id: i64) -> Result<(), StoreError> {
    // SQLite has one writer at a time.
    if is_postgres(connection) {
        sqlx::query("SELECT id FROM runs WHERE id = $1 FOR NO KEY UPDATE")
            .bind(id)
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Creates a run; its row id. It conflicts if another process has just created it.
pub(crate) async fn insert(
    connection: &mut Connection,
    project_id: i64,
    name: &str,
    display_name: &str,
    state: &str,
    now_micros: i64,
) -> Result<i64, StoreError> {
    let id: Option<i64> = sqlx::query_scalar(
        "INSERT INTO runs (project_id, name, display_name, tags, state, config, summary, stop_requested,
            created_at_micros, heartbeat_at_micros, history_line_count, events_line_count, log_line_count, version)
        VALUES ($1, $2, $3, '[]', $4, '{}', '{}', FALSE, $5, $5, 0, 0, 0, 1)
        ON CONFLICT (project_id, name) DO NOTHING
        RETURNING id",
    )
    .bind(project_id)
    .bind(name)
    .bind(display_name)
    .bind(state)
    .bind(now_micros)
    .fetch_optional(connection)
    .await?;
    id.ok_or(StoreError::Conflict(
        "another process has just created the run",
    ))
}

/// Changes what is given.
pub(crate) async fn update(
    connection: &mut Connection,
    id: i64,
    change: &RunChange,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE runs
        SET display_name = COALESCE($2, display_name),
            description = COALESCE($3, description),
            notes = COALESCE($4, notes),
            tags = COALESCE($5, tags),
            group_name = COALESCE($6, group_name),
            job_type = COALESCE($7, job_type),
            commit_hash = COALESCE($8, commit_hash),
            host = COALESCE($9, host),
            program = COALESCE($10, program),
            repo = COALESCE($11, repo),
            sweep_name = COALESCE($12, sweep_name),
            config = COALESCE($13, config),
            summary = COALESCE($14, summary),
            version = version + 1
        WHERE id = $1",
    )
    .bind(id)
    .bind(&change.display_name)
    .bind(&change.description)
    .bind(&change.notes)
    .bind(&change.tags)
    .bind(&change.group_name)
    .bind(&change.job_type)
    .bind(&change.commit_hash)
    .bind(&change.host)
    .bind(&change.program)
    .bind(&change.repo)
    .bind(&change.sweep_name)
    .bind(&change.config)
    .bind(&change.summary)
    .execute(connection)
    .await?;
    Ok(())
}

/// Sets the state and, where the run ended, its exit code; a run that goes on loses its old exit code.
pub(crate) async fn set_state(
    connection: &mut Connection,
    id: i64,
    state: &str,
    exit_code: Option<i64>,
    stop_requested: bool,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE runs
        SET state = $2, exit_code = $3, stop_requested = $4, version = version + 1
        WHERE id = $1",
    )
    .bind(id)
    .bind(state)
    .bind(exit_code)
    .bind(stop_requested)
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes a sign of life of the run and its project. Nothing else is locked after this in the transaction.
pub(crate) async fn heartbeat(
    connection: &mut Connection,
    id: i64,
    now_micros: i64,
) -> Result<(), StoreError> {
    beat(connection, id, now_micros).await?;
    let project: Option<i64> = sqlx::query_scalar("SELECT project_id FROM runs WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut *connection)
        .await?;
    projects::touch(connection, &project.into_iter().collect(), now_micros).await
}

/// Notes a sign of life of the run alone.
pub(crate) async fn beat(
    connection: &mut Connection,
    id: i64,
    now_micros: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE runs
        SET heartbeat_at_micros = CASE WHEN heartbeat_at_micros < $2 THEN $2 ELSE heartbeat_at_micros END,
            version = version + 1
        WHERE id = $1",
    )
        .bind(id)
        .bind(now_micros)
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes the counters that follow from the run's streams.
pub(crate) async fn set_counts(
    connection: &mut Connection,
    id: i64,
    last_step: Option<i64>,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE runs
        SET history_line_count = (SELECT CAST(COALESCE(SUM(contiguous_lines), 0) AS BIGINT) FROM streams WHERE run_id = $1 AND kind = 0),
            events_line_count = (SELECT CAST(COALESCE(SUM(contiguous_lines), 0) AS BIGINT) FROM streams WHERE run_id = $1 AND kind = 1),
            log_line_count = (SELECT CAST(COALESCE(SUM(contiguous_lines), 0) AS BIGINT) FROM streams WHERE run_id = $1 AND kind = 2),
            last_step = CASE
                WHEN $2 IS NULL THEN last_step
                WHEN last_step IS NULL OR last_step < $2 THEN $2
                ELSE last_step
            END
        WHERE id = $1",
    )
    .bind(id)
    .bind(last_step)
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes how many rows the client of the run's stream `client` could not keep so far; whether that is news.
pub(crate) async fn set_lost(
    connection: &mut Connection,
    id: i64,
    client: &str,
    lost: i64,
) -> Result<bool, StoreError> {
    let changed = sqlx::query(
        "INSERT INTO streams (run_id, kind, client, contiguous_lines, end_line, conflict_count, compacted_lines, lost_rows)
        VALUES ($1, 0, $2, 0, 0, 0, 0, $3)
        ON CONFLICT (run_id, kind, client) DO UPDATE SET lost_rows = excluded.lost_rows
        WHERE streams.lost_rows < excluded.lost_rows",
    )
    .bind(id)
    .bind(client)
    .bind(lost)
    .execute(&mut *connection)
    .await?
    .rows_affected();
    if changed == 0 {
        return Ok(false);
    }
    sqlx::query(
        "UPDATE runs
        SET lost_rows = (SELECT CAST(COALESCE(SUM(lost_rows), 0) AS BIGINT) FROM streams WHERE run_id = $1),
            version = version + 1
        WHERE id = $1",
    )
    .bind(id)
    .execute(connection)
    .await?;
    Ok(true)
}

/// Active runs whose last heartbeat is older than `before_micros`.
pub(crate) async fn silent(
    connection: &mut Connection,
    before_micros: i64,
) -> Result<Vec<RunRow>, StoreError> {
    fetch_silent(connection, SILENT, before_micros).await
}

/// As [`silent`], locked until the end of the transaction; without those that somebody is writing to.
pub(crate) async fn silent_locked(
    connection: &mut Connection,
    before_micros: i64,
) -> Result<Vec<RunRow>, StoreError> {
    let sql = if is_postgres(connection) {
        SILENT_LOCKED
    } else {
        SILENT
    };
    fetch_silent(connection, sql, before_micros).await
}

const SILENT: &str = select_runs!(
    "WHERE r.state IN ('running', 'preempting')
        AND r.heartbeat_at_micros < $1
        AND r.deleted_at_micros IS NULL
    LIMIT 1000"
);

const SILENT_LOCKED: &str = select_runs!(
    "WHERE r.state IN ('running', 'preempting')
        AND r.heartbeat_at_micros < $1
        AND r.deleted_at_micros IS NULL
    LIMIT 1000
    FOR NO KEY UPDATE OF r SKIP LOCKED"
);

async fn fetch_silent(
    connection: &mut Connection,
    sql: &'static str,
    before_micros: i64,
) -> Result<Vec<RunRow>, StoreError> {
    let rows = sqlx::query_as(sql)
        .bind(before_micros)
        .fetch_all(connection)
        .await?;
    Ok(rows)
}

/// Hides the run and its archives; its name stays taken.
pub(crate) async fn delete(
    connection: &mut Connection,
    id: i64,
    now_micros: i64,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE runs SET deleted_at_micros = $2, version = version + 1 WHERE id = $1 OR archive_of = $1")
        .bind(id)
        .bind(now_micros)
        .execute(connection)
        .await?;
    Ok(())
}

/// Shows a deleted run again.
pub(crate) async fn undelete(connection: &mut Connection, id: i64) -> Result<(), StoreError> {
    sqlx::query("UPDATE runs SET deleted_at_micros = NULL, version = version + 1 WHERE id = $1 OR archive_of = $1")
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Puts a run into another project, in which its name must be free, with the archives of its former histories.
pub(crate) async fn move_to(
    connection: &mut Connection,
    id: i64,
    project_id: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE runs SET project_id = $2, version = version + 1 WHERE id = $1 OR archive_of = $1",
    )
    .bind(id)
    .bind(project_id)
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes who started a run.
pub(crate) async fn set_username(
    connection: &mut Connection,
    id: i64,
    username: &str,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE runs SET username = $2, version = version + 1 WHERE id = $1")
        .bind(id)
        .bind(username)
        .execute(connection)
        .await?;
    Ok(())
}
