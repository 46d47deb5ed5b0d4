//! Where the history of a run begins: the rows that it inherited, and the run that it has them from.

use super::Connection;
use super::database::Flag;
use super::runs::RunRow;
use super::streams::StreamRow;
use crate::error::StoreError;

/// A part of an inherited history: lines of another run's stream.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct SegmentRow {
    #[sqlx(flatten)]
    pub(crate) stream: StreamRow,
    /// Lines of the stream before this one.
    pub(crate) line_count: i64,
    /// Of these, rows with a larger step are left out.
    pub(crate) max_step: Option<i64>,
}

/// A part to store.
#[derive(Debug, Clone)]
pub(crate) struct NewSegment {
    pub(crate) stream_id: i64,
    pub(crate) line_count: i64,
    pub(crate) max_step: Option<i64>,
    /// Lines that are not left out.
    pub(crate) row_count: i64,
    /// What is known of their keys, as JSON.
    pub(crate) key_table: String,
}

/// The run that a run was forked from, or its own state before it was rewound.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct OriginRow {
    pub(crate) parent_id: i64,
    /// The last inherited step is not behind this one.
    pub(crate) step: i64,
}

/// The inherited parts of a run's history, in order.
pub(crate) async fn segments(
    connection: &mut Connection,
    run_id: i64,
) -> Result<Vec<SegmentRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT s.id, s.run_id, s.contiguous_lines, s.end_line, s.conflict_count, s.compacted_lines, s.tail_bytes,
            s.left_out_from, s.left_out_to, s.first_line, g.line_count, g.max_step
        FROM run_segments g
        JOIN streams s ON s.id = g.stream_id
        WHERE g.run_id = $1
        ORDER BY g.position",
    )
    .bind(run_id)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// How many rows a run has inherited.
pub(crate) async fn inherited_lines(
    connection: &mut Connection,
    run_id: i64,
) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar(
        "SELECT CAST(COALESCE(SUM(row_count), 0) AS BIGINT) FROM run_segments WHERE run_id = $1",
    )
    .bind(run_id)
    .fetch_one(connection)
    .await?;
    Ok(count)
}

/// What is known of the keys of each inherited part, with the run whose rows they are, in order.
pub(crate) async fn key_tables(
    connection: &mut Connection,
    run_id: i64,
) -> Result<Vec<(i64, String)>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT s.run_id, g.key_table
        FROM run_segments g
        JOIN streams s ON s.id = g.stream_id
        WHERE g.run_id = $1
        ORDER BY g.position",
    )
    .bind(run_id)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// Gives a run its inherited history, for good.
pub(crate) async fn inherit(
    connection: &mut Connection,
    run_id: i64,
    segments: &[NewSegment],
) -> Result<(), StoreError> {
    for (position, segment) in (0_i64..).zip(segments) {
        sqlx::query(
            "INSERT INTO run_segments (run_id, position, stream_id, line_count, max_step, row_count, key_table)
            VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(run_id)
        .bind(position)
        .bind(segment.stream_id)
        .bind(segment.line_count)
        .bind(segment.max_step)
        .bind(segment.row_count)
        .bind(&segment.key_table)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Gives all rows, inherited and own, of one run to another one that has none; runs that were forked from the one are from then on
/// forked from the other.
pub(crate) async fn hand_over(
    connection: &mut Connection,
    from_run: i64,
    to_run: i64,
) -> Result<(), StoreError> {
    for sql in [
        "UPDATE streams SET run_id = $2 WHERE run_id = $1",
        "UPDATE run_segments SET run_id = $2 WHERE run_id = $1",
        "UPDATE run_origins SET run_id = $2 WHERE run_id = $1",
        "UPDATE run_origins SET parent_id = $2 WHERE parent_id = $1",
    ] {
        sqlx::query(sql)
            .bind(from_run)
            .bind(to_run)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Where a run comes from, if it was forked or rewound.
pub(crate) async fn origin(
    connection: &mut Connection,
    run_id: i64,
) -> Result<Option<OriginRow>, StoreError> {
    let row = sqlx::query_as("SELECT parent_id, step FROM run_origins WHERE run_id = $1")
        .bind(run_id)
        .fetch_optional(connection)
        .await?;
    Ok(row)
}

/// Notes where a run comes from, and the summary that it begins with.
pub(crate) async fn set_origin(
    connection: &mut Connection,
    run_id: i64,
    origin: &OriginRow,
    base_summary: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO run_origins (run_id, parent_id, step, base_summary)
        VALUES ($1, $2, $3, $4)",
    )
    .bind(run_id)
    .bind(origin.parent_id)
    .bind(origin.step)
    .bind(base_summary)
    .execute(connection)
    .await?;
    Ok(())
}

/// The summary that a run began with, until it is replaced as a whole.
pub(crate) async fn base_summary(
    connection: &mut Connection,
    run_id: i64,
) -> Result<Option<String>, StoreError> {
    let text: Option<Option<String>> =
        sqlx::query_scalar("SELECT base_summary FROM run_origins WHERE run_id = $1")
            .bind(run_id)
            .fetch_optional(connection)
            .await?;
    Ok(text.flatten())
}

/// Forgets the summary that a run began with: it was replaced as a whole.
pub(crate) async fn drop_base_summary(
    connection: &mut Connection,
    run_id: i64,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE run_origins SET base_summary = NULL WHERE run_id = $1")
        .bind(run_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Makes a run of the state that a run has now, without its rows (see [`hand_over`]); its row id.
pub(crate) async fn archive(
    connection: &mut Connection,
    run: &RunRow,
    state: &str,
) -> Result<i64, StoreError> {
    let id = sqlx::query_scalar(
        "INSERT INTO runs (project_id, name, display_name, description, notes, tags, state, group_name, job_type, commit_hash,
            host, program, repo, config, summary, exit_code, stop_requested, created_at_micros, heartbeat_at_micros,
            history_line_count, events_line_count, log_line_count, last_step, lost_rows, version, generation, archive_of, username)
        SELECT project_id, $2, display_name, description, notes, tags, $3, group_name, job_type, commit_hash,
            host, program, repo, config, summary, exit_code, FALSE, created_at_micros, heartbeat_at_micros,
            history_line_count, events_line_count, log_line_count, last_step, lost_rows, 1, generation, id, username
        FROM runs
        WHERE id = $1
        RETURNING id",
    )
    .bind(run.id)
    .bind(immutable_name(run))
    .bind(state)
    .fetch_one(connection)
    .await?;
    Ok(id)
}

/// The name that means the present state of a run, also after it is rewound.
pub(crate) fn immutable_name(run: &RunRow) -> String {
    if run.archive_of.is_some() {
        return run.name.clone();
    }
    format!("{}:{}", run.name, run.generation)
}

/// Sets what follows from the rows that a run begins with.
pub(crate) async fn begin(
    connection: &mut Connection,
    run_id: i64,
    row_count: i64,
    last_step: Option<i64>,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE runs
        SET history_line_count = $2, events_line_count = 0, log_line_count = 0, last_step = $3, lost_rows = 0,
            version = version + 1
        WHERE id = $1",
    )
    .bind(run_id)
    .bind(row_count)
    .bind(last_step)
    .execute(connection)
    .await?;
    Ok(())
}

/// Begins the next generation of a run.
pub(crate) async fn next_generation(
    connection: &mut Connection,
    run_id: i64,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE runs SET generation = generation + 1, version = version + 1 WHERE id = $1")
        .bind(run_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// The row ids of the states that a run had before it was rewound, the oldest first.
pub(crate) async fn archives(
    connection: &mut Connection,
    run_id: i64,
) -> Result<Vec<i64>, StoreError> {
    let ids = sqlx::query_scalar("SELECT id FROM runs WHERE archive_of = $1 ORDER BY generation")
        .bind(run_id)
        .fetch_all(connection)
        .await?;
    Ok(ids)
}

/// The configs of the last `limit` states that a run had before it was rewound.
pub(crate) async fn archived_configs(
    connection: &mut Connection,
    run_id: i64,
    limit: i64,
) -> Result<Vec<String>, StoreError> {
    let configs = sqlx::query_scalar(
        "SELECT config FROM runs WHERE archive_of = $1 ORDER BY generation DESC LIMIT $2",
    )
    .bind(run_id)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(configs)
}

/// Whether a run has lines of its own, of any kind.
pub(crate) async fn has_own_lines(
    connection: &mut Connection,
    run_id: i64,
) -> Result<bool, StoreError> {
    let found: Flag = sqlx::query_scalar(
        "SELECT CASE
            WHEN EXISTS (SELECT 1 FROM streams WHERE run_id = $1 AND end_line > first_line) THEN 1 ELSE 0 END",
    )
    .bind(run_id)
    .fetch_one(connection)
    .await?;
    Ok(found.into())
}
