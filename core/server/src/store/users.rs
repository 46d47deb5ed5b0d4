//! Users: people and service accounts.

use super::Connection;
use super::database::Flag;
use crate::error::StoreError;

/// One user with the name of the default entity.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct UserRow {
    pub(crate) id: i64,
    pub(crate) username: String,
    pub(crate) email: String,
    #[sqlx(try_from = "Flag")]
    pub(crate) admin: bool,
    /// Whether this is a service account.
    #[sqlx(try_from = "Flag")]
    pub(crate) service: bool,
    /// What a service account is for.
    pub(crate) description: Option<String>,
    pub(crate) disabled_at_micros: Option<i64>,
    pub(crate) entity: String,
}

impl UserRow {
    /// What to call the user.
    pub(crate) fn label(&self) -> &str {
        self.description.as_deref().unwrap_or(&self.username)
    }
}

/// The text of a query for [`UserRow`]s.
macro_rules! select_users {
    ($conditions:literal) => {
        concat!(
            "SELECT u.id, u.username, u.email, CASE WHEN u.admin THEN 1 ELSE 0 END AS admin,
                CASE WHEN u.kind = 'service' THEN 1 ELSE 0 END AS service,
                u.description, u.disabled_at_micros, e.name AS entity
            FROM users u
            JOIN entities e ON e.id = u.home_entity_id
            ",
            $conditions
        )
    };
}

/// The user with row id `id`.
pub(crate) async fn by_id(
    connection: &mut Connection,
    id: i64,
) -> Result<Option<UserRow>, StoreError> {
    let row = sqlx::query_as(select_users!("WHERE u.id = $1"))
        .bind(id)
        .fetch_optional(connection)
        .await?;
    Ok(row)
}

/// The user with this login name.
pub(crate) async fn by_name(
    connection: &mut Connection,
    username: &str,
) -> Result<Option<UserRow>, StoreError> {
    let row = sqlx::query_as(select_users!("WHERE u.username = $1"))
        .bind(username)
        .fetch_optional(connection)
        .await?;
    Ok(row)
}

/// The person with this mail address, whatever its case.
pub(crate) async fn by_email(
    connection: &mut Connection,
    email: &str,
) -> Result<Option<UserRow>, StoreError> {
    let row = sqlx::query_as(select_users!(
        "WHERE LOWER(u.email) = LOWER($1) AND u.kind = 'person' ORDER BY u.id LIMIT 1"
    ))
    .bind(email)
    .fetch_optional(connection)
    .await?;
    Ok(row)
}

/// People by name or mail address (all without `wanted`) that `seen_by` may know of: those of the same teams, and for the
/// server's administrators everybody.
pub(crate) async fn search(
    connection: &mut Connection,
    wanted: Option<&str>,
    seen_by: i64,
    everybody: bool,
    limit: i64,
) -> Result<Vec<UserRow>, StoreError> {
    let rows = sqlx::query_as(select_users!(
        "WHERE u.kind = 'person'
            AND (CAST($1 AS TEXT) IS NULL OR u.username = $1 OR LOWER(u.email) = LOWER($1))
            AND ($2 = 1 OR u.id = $3 OR EXISTS (
                SELECT 1
                FROM members mine
                JOIN members theirs ON theirs.entity_id = mine.entity_id
                WHERE mine.user_id = $3 AND theirs.user_id = u.id
            ))
        ORDER BY u.id
        LIMIT $4"
    ))
    .bind(wanted)
    .bind(i64::from(everybody))
    .bind(seen_by)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// What a new user is.
#[derive(Debug)]
pub(crate) struct NewUser<'a> {
    pub(crate) username: &'a str,
    pub(crate) email: &'a str,
    pub(crate) admin: bool,
}

/// Creates a person with an entity of the same name; the row id.
pub(crate) async fn create(
    connection: &mut Connection,
    user: &NewUser<'_>,
    now_micros: i64,
) -> Result<i64, StoreError> {
    let user_id = insert(connection, user, "person", None, now_micros).await?;
    let entity_id = super::entities::create(connection, user.username, user_id, "user").await?;
    super::entities::set_member(connection, entity_id, user_id, "admin", now_micros).await?;
    set_home(connection, user_id, entity_id).await?;
    Ok(user_id)
}

/// Creates a service account of a team; the row id.
pub(crate) async fn create_service(
    connection: &mut Connection,
    username: &str,
    description: &str,
    entity_id: i64,
    now_micros: i64,
) -> Result<i64, StoreError> {
    let user = NewUser {
        username,
        email: "",
        admin: false,
    };
    let user_id = insert(connection, &user, "service", Some(description), now_micros).await?;
    super::entities::set_member(connection, entity_id, user_id, "service", now_micros).await?;
    set_home(connection, user_id, entity_id).await?;
    Ok(user_id)
}

async fn insert(
    connection: &mut Connection,
    user: &NewUser<'_>,
    kind: &str,
    description: Option<&str>,
    now_micros: i64,
) -> Result<i64, StoreError> {
    let id = sqlx::query_scalar(
        "INSERT INTO users (username, email, admin, kind, description, created_at_micros)
        VALUES ($1, $2, $3, $4, $5, $6)
        RETURNING id",
    )
    .bind(user.username)
    .bind(user.email)
    .bind(user.admin)
    .bind(kind)
    .bind(description)
    .bind(now_micros)
    .fetch_one(connection)
    .await?;
    Ok(id)
}

/// Makes `entity_id` the entity of requests that name none.
pub(crate) async fn set_home(
    connection: &mut Connection,
    user_id: i64,
    entity_id: i64,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE users SET home_entity_id = $2 WHERE id = $1")
        .bind(user_id)
        .bind(entity_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Makes a user one who administers the server, or not.
pub(crate) async fn set_admin(
    connection: &mut Connection,
    user_id: i64,
    admin: bool,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE users SET admin = $2 WHERE id = $1")
        .bind(user_id)
        .bind(admin)
        .execute(connection)
        .await?;
    Ok(())
}

/// Locks a user out (`Some` time) or lets it in again. What it has is untouched.
pub(crate) async fn set_disabled(
    connection: &mut Connection,
    user_id: i64,
    disabled_at_micros: Option<i64>,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE users SET disabled_at_micros = $2 WHERE id = $1")
        .bind(user_id)
        .bind(disabled_at_micros)
        .execute(connection)
        .await?;
    Ok(())
}

/// How many people administer the server and are not locked out.
pub(crate) async fn count_admins(connection: &mut Connection) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar(
        "SELECT COUNT(*) FROM users WHERE admin AND kind = 'person' AND disabled_at_micros IS NULL",
    )
    .fetch_one(connection)
    .await?;
    Ok(count)
}

/// Keeps the sealed key of a new service account until `expires_at_micros`; forgets those that are over.
pub(crate) async fn add_sealed_key(
    connection: &mut Connection,
    user_id: i64,
    sealed: &[u8],
    now_micros: i64,
    expires_at_micros: i64,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM sealed_keys WHERE expires_at_micros < $1")
        .bind(now_micros)
        .execute(&mut *connection)
        .await?;
    sqlx::query("INSERT INTO sealed_keys (user_id, sealed, expires_at_micros) VALUES ($1, $2, $3)")
        .bind(user_id)
        .bind(sealed)
        .bind(expires_at_micros)
        .execute(connection)
        .await?;
    Ok(())
}

/// The sealed key of a service account, while it is kept.
pub(crate) async fn sealed_key(
    connection: &mut Connection,
    user_id: i64,
    now_micros: i64,
) -> Result<Option<Vec<u8>>, StoreError> {
    let sealed = sqlx::query_scalar(
        "SELECT sealed FROM sealed_keys WHERE user_id = $1 AND expires_at_micros >= $2",
    )
    .bind(user_id)
    .bind(now_micros)
    .fetch_optional(connection)
    .await?;
    Ok(sealed)
}
