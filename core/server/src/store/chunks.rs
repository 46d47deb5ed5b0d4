//! The tail: runs of lines in blobs, and the Parquet objects behind it.

use super::Connection;
use crate::error::StoreError;

/// One blob of lines `start_line … start_line + line_count - 1` of a stream.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct ChunkRow {
    pub(crate) id: i64,
    pub(crate) start_line: i64,
    pub(crate) line_count: i64,
    pub(crate) min_step: Option<i64>,
    pub(crate) max_step: Option<i64>,
    pub(crate) lines: Vec<u8>,
}

/// One Parquet object of history lines.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct ObjectRow {
    pub(crate) id: i64,
    pub(crate) start_line: i64,
    pub(crate) line_count: i64,
    pub(crate) min_step: Option<i64>,
    pub(crate) max_step: Option<i64>,
    pub(crate) object_key: String,
    pub(crate) size_bytes: i64,
}

/// A chunk to store.
#[derive(Debug)]
pub(crate) struct NewChunk {
    pub(crate) start_line: i64,
    pub(crate) line_count: i64,
    pub(crate) min_step: Option<i64>,
    pub(crate) max_step: Option<i64>,
    pub(crate) lines: Vec<u8>,
}

/// Stores a chunk.
pub(crate) async fn insert(
    connection: &mut Connection,
    stream_id: i64,
    chunk: &NewChunk,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO stream_chunks (stream_id, start_line, line_count, min_step, max_step, lines)
        VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(stream_id)
    .bind(chunk.start_line)
    .bind(chunk.line_count)
    .bind(chunk.min_step)
    .bind(chunk.max_step)
    .bind(&chunk.lines)
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes a chunk.
pub(crate) async fn remove(connection: &mut Connection, chunk_id: i64) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM stream_chunks WHERE id = $1")
        .bind(chunk_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// The chunks that share lines with `start … end - 1`, by line.
pub(crate) async fn overlapping(
    connection: &mut Connection,
    stream_id: i64,
    start: i64,
    end: i64,
) -> Result<Vec<ChunkRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT id, start_line, line_count, min_step, max_step, lines
        FROM stream_chunks
        WHERE stream_id = $1 AND start_line < $3 AND start_line + line_count > $2
        ORDER BY start_line",
    )
    .bind(stream_id)
    .bind(start)
    .bind(end)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// The chunk that ends right before line `end`, if it is smaller than `max_bytes`.
pub(crate) async fn small_before(
    connection: &mut Connection,
    stream_id: i64,
    end: i64,
    max_bytes: i64,
) -> Result<Option<ChunkRow>, StoreError> {
    let row = sqlx::query_as(
        "SELECT id, start_line, line_count, min_step, max_step, lines
        FROM stream_chunks
        WHERE id = (
            SELECT id FROM stream_chunks
            WHERE stream_id = $1 AND start_line < $2
            ORDER BY start_line DESC
            LIMIT 1
        ) AND start_line + line_count = $2 AND LENGTH(lines) < $3",
    )
    .bind(stream_id)
    .bind(end)
    .bind(max_bytes)
    .fetch_optional(connection)
    .await?;
    Ok(row)
}

/// The line ranges (start, count) of all chunks at or after line `from`, by line.
pub(crate) async fn ranges_from(
    connection: &mut Connection,
    stream_id: i64,
    from: i64,
    limit: i64,
) -> Result<Vec<(i64, i64)>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT start_line, line_count
        FROM stream_chunks
        WHERE stream_id = $1 AND start_line >= $2
        ORDER BY start_line
        LIMIT $3",
    )
    .bind(stream_id)
    .bind(from)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// Up to `limit` chunks of the contiguous part from line `from`, by line.
pub(crate) async fn page_from(
    connection: &mut Connection,
    stream_id: i64,
    from: i64,
    contiguous: i64,
    limit: i64,
) -> Result<Vec<ChunkRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT id, start_line, line_count, min_step, max_step, lines
        FROM stream_chunks
        WHERE stream_id = $1 AND start_line + line_count > $2 AND start_line < $3
        ORDER BY start_line
        LIMIT $4",
    )
    .bind(stream_id)
    .bind(from)
    .bind(contiguous)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// The Parquet objects of a stream, by line.
pub(crate) async fn objects(
    connection: &mut Connection,
    stream_id: i64,
) -> Result<Vec<ObjectRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT id, start_line, line_count, min_step, max_step, object_key, size_bytes
        FROM history_objects
        WHERE stream_id = $1
        ORDER BY start_line",
    )
    .bind(stream_id)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// The checksums of the lines of all Parquet objects that share lines with `start … end - 1`.
pub(crate) async fn object_checksums(
    connection: &mut Connection,
    stream_id: i64,
    start: i64,
    end: i64,
) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT start_line, line_checksums
        FROM history_objects
        WHERE stream_id = $1 AND start_line < $3 AND start_line + line_count > $2
        ORDER BY start_line",
    )
    .bind(stream_id)
    .bind(start)
    .bind(end)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// Replaces the chunks `object.start_line … + line_count - 1` by a Parquet object.
pub(crate) async fn move_to_object(
    connection: &mut Connection,
    stream_id: i64,
    object: &ObjectRow,
    line_checksums: &[u8],
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO history_objects
            (stream_id, start_line, line_count, min_step, max_step, object_key, size_bytes, line_checksums)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(stream_id)
    .bind(object.start_line)
    .bind(object.line_count)
    .bind(object.min_step)
    .bind(object.max_step)
    .bind(&object.object_key)
    .bind(object.size_bytes)
    .bind(line_checksums)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "DELETE FROM stream_chunks
        WHERE stream_id = $1 AND start_line >= $2 AND start_line + line_count <= $3",
    )
    .bind(stream_id)
    .bind(object.start_line)
    .bind(object.start_line + object.line_count)
    .execute(connection)
    .await?;
    Ok(())
}

/// Where a chunk lies, without its bytes.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct SpanRow {
    pub(crate) id: i64,
    pub(crate) start_line: i64,
    pub(crate) line_count: i64,
    pub(crate) min_step: Option<i64>,
    pub(crate) max_step: Option<i64>,
}

/// Where the chunks of the contiguous part lie, by line.
pub(crate) async fn spans(
    connection: &mut Connection,
    stream_id: i64,
    contiguous: i64,
) -> Result<Vec<SpanRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT id, start_line, line_count, min_step, max_step
        FROM stream_chunks
        WHERE stream_id = $1 AND start_line < $2
        ORDER BY start_line",
    )
    .bind(stream_id)
    .bind(contiguous)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// The lines of one chunk; none if it has just been moved into an object.
pub(crate) async fn lines(
    connection: &mut Connection,
    chunk_id: i64,
) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(
        sqlx::query_scalar("SELECT lines FROM stream_chunks WHERE id = $1")
            .bind(chunk_id)
            .fetch_optional(connection)
            .await?,
    )
}
