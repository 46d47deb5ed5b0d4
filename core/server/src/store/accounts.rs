//! Who asks: API keys, sessions, sign-in links; and the server's own secrets. Users and teams are in [`super::users`] and
//! [`super::entities`].

use super::Connection;
use super::database::Flag;
use crate::auth::token;
use crate::error::StoreError;

/// Who makes a request.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Account {
    /// Row id of the user.
    pub(crate) user_id: i64,
    /// Login name.
    pub(crate) username: String,
    /// Name of the default entity: a user's own, of a service account its team's.
    pub(crate) entity: String,
    /// Whether this one administers the server.
    #[sqlx(try_from = "Flag")]
    pub(crate) admin: bool,
    /// Whether this is a service account: it has no entity of its own.
    #[sqlx(try_from = "Flag")]
    pub(crate) service: bool,
    /// Whether there is no other entity on the server, so that everything is the caller's.
    #[sqlx(try_from = "Flag")]
    pub(crate) sole: bool,
}

/// The text of a query for [`Account`]s.
macro_rules! select_accounts {
    ($conditions:literal) => {
        concat!(
            "SELECT u.id AS user_id, u.username, e.name AS entity,
                CASE WHEN u.admin THEN 1 ELSE 0 END AS admin,
                CASE WHEN u.kind = 'service' THEN 1 ELSE 0 END AS service,
                CASE WHEN EXISTS (SELECT 1 FROM entities o WHERE o.id <> e.id) THEN 0 ELSE 1 END AS sole
            FROM users u
            JOIN entities e ON e.id = u.home_entity_id
            WHERE u.disabled_at_micros IS NULL AND ",
            $conditions
        )
    };
}

/// The first of those who administer the server; none if the database is new.
pub(crate) async fn owner(connection: &mut Connection) -> Result<Option<Account>, StoreError> {
    let account = sqlx::query_as(select_accounts!(
        "u.id = (SELECT MIN(id) FROM users WHERE admin AND disabled_at_micros IS NULL)"
    ))
    .fetch_optional(connection)
    .await?;
    Ok(account)
}

/// The account of the user with row id `user_id`, unless it is disabled.
pub(crate) async fn account(
    connection: &mut Connection,
    user_id: i64,
) -> Result<Option<Account>, StoreError> {
    let account = sqlx::query_as(select_accounts!("u.id = $1"))
        .bind(user_id)
        .fetch_optional(connection)
        .await?;
    Ok(account)
}

/// Stores the hash of `key`; one that was revoked is valid again.
pub(crate) async fn add_api_key(
    connection: &mut Connection,
    user_id: i64,
    key: &str,
    description: &str,
    now_micros: i64,
) -> Result<(), StoreError> {
    let hash = token::secret_hash(key);
    sqlx::query(
        "INSERT INTO api_keys (user_id, public_id, secret_hash, description, created_at_micros)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (public_id) DO UPDATE SET revoked_at_micros = NULL",
    )
    .bind(user_id)
    .bind(token::public_id(&hash))
    .bind(hash.as_slice())
    .bind(description)
    .bind(now_micros)
    .execute(connection)
    .await?;
    Ok(())
}

/// A key, without its secret.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct KeyRow {
    pub(crate) id: i64,
    pub(crate) user_id: i64,
    /// Names the key; says nothing about the secret.
    pub(crate) public_id: String,
    pub(crate) description: String,
}

/// The valid keys of a user, oldest first.
pub(crate) async fn keys(
    connection: &mut Connection,
    user_id: i64,
) -> Result<Vec<KeyRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT id, user_id, public_id, description
        FROM api_keys
        WHERE user_id = $1 AND revoked_at_micros IS NULL
        ORDER BY id",
    )
    .bind(user_id)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// The valid key with row id `id`.
pub(crate) async fn key(
    connection: &mut Connection,
    id: i64,
) -> Result<Option<KeyRow>, StoreError> {
    let row = sqlx::query_as(
        "SELECT id, user_id, public_id, description
        FROM api_keys
        WHERE id = $1 AND revoked_at_micros IS NULL",
    )
    .bind(id)
    .fetch_optional(connection)
    .await?;
    Ok(row)
}

/// The valid key that is `secret`.
pub(crate) async fn key_of_secret(
    connection: &mut Connection,
    secret: &str,
) -> Result<Option<KeyRow>, StoreError> {
    let row = sqlx::query_as(
        "SELECT id, user_id, public_id, description
        FROM api_keys
        WHERE public_id = $1 AND revoked_at_micros IS NULL",
    )
    .bind(token::public_id(&token::secret_hash(secret)))
    .fetch_optional(connection)
    .await?;
    Ok(row)
}

/// Ends a key; requests with it are refused from now on.
pub(crate) async fn revoke_key(
    connection: &mut Connection,
    id: i64,
    now_micros: i64,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE api_keys SET revoked_at_micros = $2 WHERE id = $1")
        .bind(id)
        .bind(now_micros)
        .execute(connection)
        .await?;
    Ok(())
}

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
    account(connection, user_id).await
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
    let account = account(connection, user_id).await?;
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
