//! The store: one database (metadata and the history tail) and one object store (files, content of artifacts, and Parquet history).
//!
//! Everything above this module is free of SQL, and all of it is one set for both databases ([`database`]).

pub(crate) mod accounts;
pub(crate) mod alerts;
pub(crate) mod artifacts;
pub(crate) mod blobs;
pub(crate) mod chunks;
pub(crate) mod conflict;
pub(crate) mod database;
pub(crate) mod entities;
pub(crate) mod files;
pub(crate) mod lineage;
pub(crate) mod log_bound;
pub(crate) mod notices;
pub(crate) mod objects;
mod postgres;
pub(crate) mod projects;
pub(crate) mod run_list;
pub(crate) mod runs;
mod schema;
mod sqlite;
mod stream_lines;
pub(crate) mod streams;
#[cfg(test)]
mod upgrade_tests;
pub(crate) mod users;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Any, Transaction};

pub(crate) use self::database::Connection;
use self::database::{Database, Lead};
pub(crate) use self::objects::Objects;
use crate::database_url::DatabaseUrl;
use crate::error::StoreError;

/// Objects that other processes are just writing are younger than this.
const SHARED_LEFTOVER_AGE: Duration = Duration::from_hours(24);

/// Handle to database and objects; cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    database: Arc<dyn Database>,
    /// The database, if other processes may use it as well.
    shared_url: Option<DatabaseUrl>,
    /// Run files, content of artifacts, and Parquet history.
    pub(crate) objects: Objects,
}

impl Store {
    /// Opens the store, creating or upgrading it: the database at `url` (`postgres://…`), or the embedded one below `data_dir`.
    pub(crate) async fn open(
        data_dir: &Path,
        url: Option<&DatabaseUrl>,
        objects: Objects,
    ) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let database: Arc<dyn Database> = match url {
            Some(url) => Arc::new(postgres::Postgres::open(url).await?),
            None => Arc::new(sqlite::Sqlite::open(&data_dir.join("runlane.db")).await?),
        };
        Ok(Self {
            database,
            shared_url: url.cloned(),
            objects,
        })
    }

    /// A connection that sees the last commit.
    pub(crate) async fn reader(&self) -> Result<PoolConnection<Any>, StoreError> {
        self.database.reader().await
    }

    /// A read transaction: everything read through it is of one commit.
    pub(crate) async fn snapshot(&self) -> Result<Transaction<'static, Any>, StoreError> {
        self.database.snapshot().await
    }

    /// A write transaction. Dropping it rolls back.
    ///
    /// With `SQLite` it waits until no other is open. With PostgreSQL others are, in other processes too: what is to be changed
    /// depending on what was read is locked first ([`runs::lock`]).
    pub(crate) async fn writer(&self) -> Result<Transaction<'static, Any>, StoreError> {
        self.database.writer().await
    }

    /// URL of the database, if other processes may use it as well.
    fn shared_url(&self) -> Option<&DatabaseUrl> {
        self.shared_url.as_ref()
    }

    /// Whether several server processes may use the database at the same time.
    pub(crate) fn is_shared(&self) -> bool {
        self.database.is_shared()
    }

    /// Objects older than this that nothing refers to are leftovers: nobody is about to refer to them any more.
    pub(crate) fn leftover_age(&self) -> Duration {
        let age = self.objects.leftover_age();
        if self.is_shared() {
            age.max(SHARED_LEFTOVER_AGE)
        } else {
            age
        }
    }

    /// Write transactions that are worth having open at the same time.
    pub(crate) fn writers(&self) -> usize {
        self.database.writers()
    }

    /// Makes this process the one that does the upkeep, for as long as the value lives; none while another process does it.
    pub(crate) async fn lead(&self) -> Result<Option<Lead>, StoreError> {
        self.database.lead().await
    }

    /// Whether the database answers.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        let mut reader = self.reader().await?;
        sqlx::query("SELECT 1").execute(&mut *reader).await?;
        Ok(())
    }

    /// Closes the database: open reads end first, the write-ahead log is folded in.
    pub(crate) async fn close(&self) {
        self.database.close().await;
    }
}
