//! Upgrades of the schema, on both databases. The cases for PostgreSQL need `RUNLANE_TEST_POSTGRES` (`tests/postgres.py`, as `make test`
//! sets it).

use std::str::FromStr as _;

use sqlx::any::AnyConnectOptions;
use sqlx::migrate::Migrate as _;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};

use super::database::{Connection, is_postgres};
use super::schema;
use crate::auth::token;

/// What files of released versions were when they were released: a database that has them must go on opening.
const RELEASED: [(i64, &str); 4] = [
    (
        1,
        "65b878d5c8e5daca58cf55e58485babb4a3fbde10fe67f22174ecc14dd5de5d844bcccd1786b74b9152574ffc38fbde6",
    ),
    (
        2,
        "5cac7dca8307d2655a6e038452518f5c82b397ff8b8bad0283625df7d33985df42d8331942c604de346e545b5d67a864",
    ),
    (
        4,
        "f97361222e1b0cf9bebc4f91d3f1a6ad9dee8c9d1f07a9216d6598984339e3db7601456988e9da1d69aef29ca138b0ce",
    ),
    (
        5,
        "f39f199a8ce9b6b0c16ded711e7f2aad42f6ddda69f462566a625397e28bbc889ab6ad312c2a35b79dcd310f967b4011",
    ),
];

async fn connect(url: &str) -> AnyConnection {
    sqlx::any::install_default_drivers();
    let options = AnyConnectOptions::from_str(url).expect("a URL");
    AnyConnection::connect_with(&options)
        .await
        .expect("the database answers")
}

async fn sqlite(directory: &tempfile::TempDir) -> AnyConnection {
    let path = directory.path().join("runlane.db");
    connect(&format!("sqlite://{}?mode=rwc", path.display())).await
}

async fn postgres() -> Option<AnyConnection> {
    Some(connect(&new_postgres_database().await?).await)
}

/// The URL of a new database of the tests' cluster; none where there is no cluster.
pub(super) async fn new_postgres_database() -> Option<String> {
    let cluster = std::env::var("RUNLANE_TEST_POSTGRES").ok()?;
    let name = format!("test_{}", token::hex(&token::random_bytes::<8>()));
    let create = format!("CREATE DATABASE {name} TEMPLATE template0");
    connect(&cluster)
        .await
        .execute(AssertSqlSafe(create))
        .await
        .expect("a new database");
    let (server, _database) = cluster.rsplit_once('/').expect("a database in the URL");
    Some(format!("{server}/{name}"))
}

async fn applied(connection: &mut Connection) -> Vec<i64> {
    let applied = connection
        .list_applied_migrations("_sqlx_migrations")
        .await
        .expect("the migrations' table");
    applied.iter().map(|migration| migration.version).collect()
}

/// Every beginning of every migration is begun and lost with its transaction, as when the server is killed there.
async fn goes_on_after_any_statement(connection: &mut Connection) {
    let migrator = schema::migrations_for(is_postgres(connection));
    let ups = migrator
        .iter()
        .filter(|one| one.migration_type.is_up_migration());
    let mut versions = Vec::new();
    for migration in ups {
        let text = migration.sql.as_str();
        let ends: Vec<usize> = text.match_indices(';').map(|(at, _)| at + 1).collect();
        for end in ends {
            let mut lost = connection.begin().await.expect("a transaction");
            sqlx::raw_sql(AssertSqlSafe(text[..end].to_owned()))
                .execute(&mut *lost)
                .await
                .expect("statements of the migration");
            lost.rollback().await.expect("lost");
        }
        migrator
            .run_direct(Some(migration.version), &mut *connection, false)
            .await
            .expect("the migration");
        versions.push(migration.version);
    }
    assert_eq!(applied(connection).await, versions);
    // There is nothing more to do, however often a server starts.
    schema::upgrade(connection).await.expect("up to date");
    assert_eq!(applied(connection).await, versions);
}

/// Every migration can be taken back, the last one first, and done again.
async fn can_be_taken_back(connection: &mut Connection) {
    schema::upgrade(connection).await.expect("up to date");
    let migrator = schema::migrations_for(is_postgres(connection));
    let mut downs: Vec<_> = migrator
        .iter()
        .filter(|one| one.migration_type.is_down_migration())
        .collect();
    downs.sort_by_key(|one| std::cmp::Reverse(one.version));
    for migration in downs {
        connection
            .revert("_sqlx_migrations", migration)
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", migration.version));
    }
    assert_eq!(applied(connection).await, Vec::<i64>::new());
    schema::upgrade(connection).await.expect("up to date again");
}

#[tokio::test]
async fn interrupted_upgrade_goes_on_on_sqlite() {
    let directory = tempfile::tempdir().expect("temporary directory");
    goes_on_after_any_statement(&mut sqlite(&directory).await).await;
}

#[tokio::test]
async fn interrupted_upgrade_goes_on_on_postgres() {
    if let Some(mut connection) = postgres().await {
        goes_on_after_any_statement(&mut connection).await;
    }
}

#[tokio::test]
async fn migrations_can_be_taken_back_on_sqlite() {
    let directory = tempfile::tempdir().expect("temporary directory");
    can_be_taken_back(&mut sqlite(&directory).await).await;
}

#[tokio::test]
async fn migrations_can_be_taken_back_on_postgres() {
    if let Some(mut connection) = postgres().await {
        can_be_taken_back(&mut connection).await;
    }
}

#[test]
fn released_migrations_are_what_they_were() {
    for postgres in [false, true] {
        let migrator = schema::migrations_for(postgres);
        for (version, sum) in RELEASED {
            let found = migrator
                .iter()
                .find(|one| one.version == version && one.migration_type.is_up_migration())
                .expect("a released migration");
            assert_eq!(token::hex(&found.checksum), sum, "{version}");
        }
    }
}
