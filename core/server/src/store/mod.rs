//! The store: one database (metadata and the history tail) and one object store (files and Parquet history).
//!
//! Everything above this module is free of SQL. `SQLite` allows one writer, so all writes go through a pool of one
//! connection (`BEGIN IMMEDIATE`, `synchronous=FULL`: a commit that returned survives power loss); reads go through
//! their own connections and see the last commit.

pub(crate) mod accounts;
pub(crate) mod alerts;
pub(crate) mod chunks;
pub(crate) mod files;
pub(crate) mod log_bound;
pub(crate) mod objects;
pub(crate) mod projects;
pub(crate) mod runs;
mod stream_lines;
pub(crate) mod streams;

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite, SqliteConnection, Transaction};

pub(crate) use self::objects::Objects;
use crate::error::StoreError;

/// Connections for reading. Charts of many panels arrive at once; more connections than this only queue on the disk.
const READ_CONNECTIONS: u32 = 4;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// Handle to database and objects; cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    read: SqlitePool,
    write: SqlitePool,
    /// Run files and Parquet history.
    pub(crate) objects: Objects,
}

impl Store {
    /// Opens the embedded store below `data_dir`, creating or upgrading it.
    pub(crate) async fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(data_dir.join("runlane.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10))
            .pragma("cache_size", "-16384")
            .pragma("journal_size_limit", "67108864");
        let write = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await?;
        MIGRATIONS.run(&write).await?;
        let read = SqlitePoolOptions::new()
            .max_connections(READ_CONNECTIONS)
            .connect_with(options.pragma("query_only", "ON"))
            .await?;
        let objects = Objects::local(&data_dir.join("objects"))?;
        Ok(Self {
            read,
            write,
            objects,
        })
    }

    /// A connection that sees the last commit.
    pub(crate) async fn reader(&self) -> Result<sqlx::pool::PoolConnection<Sqlite>, StoreError> {
        Ok(self.read.acquire().await?)
    }

    /// A read transaction: everything read through it is of one commit.
    pub(crate) async fn snapshot(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.read.begin().await?)
    }

    /// The write transaction; waits for its turn. Dropping it rolls back.
    pub(crate) async fn writer(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.write.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Whether the database answers.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        let mut reader = self.reader().await?;
        sqlx::query("SELECT 1").execute(&mut *reader).await?;
        Ok(())
    }

    /// Closes the database: open reads end first, the write-ahead log is folded in.
    pub(crate) async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

/// Shorthand of the store's modules.
pub(crate) type Connection = SqliteConnection;
