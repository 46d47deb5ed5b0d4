//! What the store needs of a database, whichever it is.
//!
//! All SQL is one set for `SQLite` and PostgreSQL and goes through sqlx's `Any` driver; what differs between the two is here, in
//! [`super::sqlite`] and [`super::postgres`], and in the translation of the schema ([`super::schema`]). The rules of portable SQL:
//!
//! - `$1` placeholders; no function or clause that only one of them has;
//! - columns are named, never `*`: an upgrade adds columns while older servers still run;
//! - `BOOLEAN` columns are written with `bool` parameters and read through `CASE WHEN c THEN 1 ELSE 0 END` as a [`Flag`]: the `Any`
//!   driver has no boolean of `SQLite`;
//! - sums are cast (`CAST(SUM(x) AS BIGINT)`): PostgreSQL widens them to a type that the driver does not have.
//!
//! And of writing, as several servers may share a PostgreSQL database: what depends on something that was read locks it first, the
//! run ([`super::runs::lock`]) before its project; what may be made by two at once is made with `ON CONFLICT DO NOTHING`.

use std::fmt::Debug;

use futures::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, Transaction};

use crate::error::StoreError;

/// One connection, inside or outside a transaction.
pub(crate) type Connection = AnyConnection;

/// A database that the store runs on.
pub(crate) trait Database: Debug + Send + Sync {
    /// A connection that sees the last commit.
    fn reader(&self) -> BoxFuture<'_, Result<PoolConnection<Any>, StoreError>>;

    /// A read transaction: everything read through it is of one commit.
    fn snapshot(&self) -> BoxFuture<'_, Result<Transaction<'static, Any>, StoreError>>;

    /// A write transaction. Dropping it rolls back.
    fn writer(&self) -> BoxFuture<'_, Result<Transaction<'static, Any>, StoreError>>;

    /// Whether several server processes may use the database at the same time.
    fn is_shared(&self) -> bool;

    /// Write transactions that are worth having open at the same time.
    fn writers(&self) -> usize;

    /// Makes this process the one that does the upkeep, for as long as the value lives; none while another process does it.
    fn lead(&self) -> BoxFuture<'_, Result<Option<Lead>, StoreError>>;

    /// Ends all connections; open ones first finish what they do.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// Held by the process that does the upkeep. Should it lose the connection, another process takes over while this one still works:
/// what upkeep does is checked again under the locks of its transactions.
#[derive(Debug)]
pub(crate) struct Lead {
    pub(super) _held: Option<Transaction<'static, Any>>,
}

/// What only one process does at a time, within a transaction.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Exclusive {
    /// The upkeep.
    Upkeep,
    /// Making the first user.
    FirstUser,
}

impl Exclusive {
    /// The number of the advisory lock: "runlane" and one byte.
    pub(super) fn key(self) -> i64 {
        0x72_756e_6c61_6e00
            + match self {
                Self::Upkeep => 1,
                Self::FirstUser => 2,
            }
    }
}

/// Waits until no other process does `what`, and keeps others from it until the end of the transaction.
pub(crate) async fn exclude_others(
    connection: &mut Connection,
    what: Exclusive,
) -> Result<(), StoreError> {
    // SQLite has one writer at a time.
    if is_postgres(connection) {
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(what.key())
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// A truth value of a column or of `CASE WHEN … THEN 1 ELSE 0 END`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub(crate) struct Flag(i64);

impl From<Flag> for bool {
    fn from(flag: Flag) -> Self {
        flag.0 != 0
    }
}

/// Whether `connection` leads to PostgreSQL.
pub(super) fn is_postgres(connection: &Connection) -> bool {
    connection.backend_name() == "PostgreSQL"
}
