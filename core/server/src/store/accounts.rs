//! The user, the entity, API keys, sessions, sign-in links and the server's own secrets.

use super::Connection;
use crate::auth::token;
use crate::error::StoreError;

/// Who makes a request.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Account {
    /// Row id of the user.
    pub(crate) user_id: i64,
    /// Login name.
    pub(crate) username: String,
    /// Mail address, made up on a local server.
    pub(crate) email: String,
    /// Row id of the user's own entity.
    pub(crate) entity_id: i64,
    /// Name of the user's own entity: the default one.
    pub(crate) entity: String,
}

/// The single user, if the database has one.
pub(crate) async fn owner(connection: &mut Connection) -> Result<Option<Account>, StoreError> {
    let account = sqlx::query_as(
        "SELECT u.id AS user_id, u.username, u.email, e.id AS entity_id, e.name AS entity
        FROM users u
        JOIN entities e ON e.owner_id = u.id
        ORDER BY u.id, e.id
        LIMIT 1",
    )
    .fetch_optional(connection)
    .await?;
    Ok(account)
}

/// Creates the single user with an entity of the same name.
pub(crate) async fn create_owner(
    connection: &mut Connection,
    username: &str,
    now_micros: i64,
) -> Result<(), StoreError> {
    let user_id: i64 = sqlx::query_scalar(
        "INSERT INTO users (username, email, admin, created_at_micros)
        VALUES ($1, $2, TRUE, $3)
        RETURNING id",
    )
    .bind(username)
    .bind(format!("{username}@localhost"))
    .bind(now_micros)
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query("INSERT INTO entities (name, owner_id) VALUES ($1, $2)")
        .bind(username)
        .bind(user_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Stores the hash of `key`, unless it is stored already.
pub(crate) async fn add_api_key(
    connection: &mut Connection,
    user_id: i64,
    key: &str,
    now_micros: i64,
) -> Result<(), StoreError> {
    let hash = token::secret_hash(key);
    sqlx::query(
        "INSERT INTO api_keys (user_id, public_id, secret_hash, description, created_at_micros)
        VALUES ($1, $2, $3, 'local', $4)
        ON CONFLICT (public_id) DO NOTHING",
    )
    .bind(user_id)
    .bind(token::public_id(&hash))
    .bind(hash.as_slice())
    .bind(now_micros)
    .execute(connection)
    .await?;
    Ok(())
}

const ACCOUNT_OF_USER: &str =
    "SELECT u.id AS user_id, u.username, u.email, e.id AS entity_id, e.name AS entity
    FROM users u
    JOIN entities e ON e.owner_id = u.id
    WHERE u.id = $1
    ORDER BY e.id
    LIMIT 1";

/// The owner of `key`, if it is valid.
pub(crate) async fn account_of_key(
    connection: &mut Connection,
    key: &str,
) -> Result<Option<Account>, StoreError> {
    let hash = token::secret_hash(key);
    let row: Option<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT user_id, secret_hash
        FROM api_keys
        WHERE public_id = $1 AND revoked_at_micros IS NULL",
    )
    .bind(token::public_id(&hash))
    .fetch_optional(&mut *connection)
    .await?;
    let Some((user_id, _)) = row.filter(|(_, stored)| token::hashes_match(stored, &hash)) else {
        return Ok(None);
    };
    Ok(sqlx::query_as(ACCOUNT_OF_USER)
        .bind(user_id)
        .fetch_optional(connection)
        .await?)
}

/// Starts a session and returns nothing: the caller holds the only copy of `session_token`.
pub(crate) async fn add_session(
    connection: &mut Connection,
    session_token: &str,
    user_id: i64,
    now_micros: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO sessions (token_hash, user_id, created_at_micros, last_seen_at_micros)
        VALUES ($1, $2, $3, $3)",
    )
    .bind(token::secret_hash(session_token).as_slice())
    .bind(user_id)
    .bind(now_micros)
    .execute(connection)
    .await?;
    Ok(())
}

/// The user of a session and when it was last seen, if it exists.
pub(crate) async fn account_of_session(
    connection: &mut Connection,
    session_token: &str,
) -> Result<Option<(Account, i64)>, StoreError> {
    let row: Option<(i64, i64)> =
        sqlx::query_as("SELECT user_id, last_seen_at_micros FROM sessions WHERE token_hash = $1")
            .bind(token::secret_hash(session_token).as_slice())
            .fetch_optional(&mut *connection)
            .await?;
    let Some((user_id, seen)) = row else {
        return Ok(None);
    };
    let account: Option<Account> = sqlx::query_as(ACCOUNT_OF_USER)
        .bind(user_id)
        .fetch_optional(connection)
        .await?;
    Ok(account.map(|account| (account, seen)))
}

/// Notes that a session is in use.
pub(crate) async fn touch_session(
    connection: &mut Connection,
    session_token: &str,
    now_micros: i64,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE sessions SET last_seen_at_micros = $2 WHERE token_hash = $1")
        .bind(token::secret_hash(session_token).as_slice())
        .bind(now_micros)
        .execute(connection)
        .await?;
    Ok(())
}

/// Ends a session; with `idle_before`, also every session not seen since.
pub(crate) async fn end_sessions(
    connection: &mut Connection,
    session_token: Option<&str>,
    idle_before_micros: i64,
) -> Result<(), StoreError> {
    let hash = session_token.map(token::secret_hash);
    sqlx::query("DELETE FROM sessions WHERE token_hash = $1 OR last_seen_at_micros < $2")
        .bind(hash.as_ref().map(<[u8; 32]>::as_slice))
        .bind(idle_before_micros)
        .execute(connection)
        .await?;
    Ok(())
}

/// Stores a one-time sign-in link and drops expired ones.
pub(crate) async fn add_login_link(
    connection: &mut Connection,
    link_token: &str,
    user_id: i64,
    now_micros: i64,
    expires_at_micros: i64,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM login_links WHERE expires_at_micros < $1")
        .bind(now_micros)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO login_links (token_hash, user_id, expires_at_micros) VALUES ($1, $2, $3)",
    )
    .bind(token::secret_hash(link_token).as_slice())
    .bind(user_id)
    .bind(expires_at_micros)
    .execute(connection)
    .await?;
    Ok(())
}

/// Uses up a sign-in link: the user's id, if it was valid. A second call with the same token finds nothing.
pub(crate) async fn take_login_link(
    connection: &mut Connection,
    link_token: &str,
    now_micros: i64,
) -> Result<Option<i64>, StoreError> {
    let row: Option<(i64, i64)> = sqlx::query_as(
        "DELETE FROM login_links WHERE token_hash = $1 RETURNING user_id, expires_at_micros",
    )
    .bind(token::secret_hash(link_token).as_slice())
    .fetch_optional(connection)
    .await?;
    Ok(row
        .filter(|(_, expires)| *expires >= now_micros)
        .map(|(user_id, _)| user_id))
}

/// The 256-bit secret `name` of this server, drawn at first use.
pub(crate) async fn server_secret(
    connection: &mut Connection,
    name: &str,
) -> Result<Vec<u8>, StoreError> {
    sqlx::query(
        "INSERT INTO server_secrets (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
    )
    .bind(name)
    .bind(token::random_bytes::<32>().as_slice())
    .execute(&mut *connection)
    .await?;
    Ok(
        sqlx::query_scalar("SELECT value FROM server_secrets WHERE name = $1")
            .bind(name)
            .fetch_one(connection)
            .await?,
    )
}
