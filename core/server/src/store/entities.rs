//! Entities: users' own name spaces and teams, who belongs to them, and who is invited.

use super::Connection;
use super::database::Flag;
use crate::error::StoreError;

/// One entity.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct EntityRow {
    pub(crate) id: i64,
    pub(crate) name: String,
    /// `user` or `team`.
    pub(crate) kind: String,
    /// Who created it.
    pub(crate) owner_id: i64,
}

impl EntityRow {
    pub(crate) fn is_team(&self) -> bool {
        self.kind == "team"
    }
}

/// A member of an entity.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct MemberRow {
    pub(crate) user_id: i64,
    pub(crate) username: String,
    pub(crate) email: String,
    #[sqlx(try_from = "Flag")]
    pub(crate) service: bool,
    pub(crate) description: Option<String>,
    /// `admin`, `member` or `service`.
    pub(crate) role: String,
}

/// An invitation of somebody without an account.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct InviteRow {
    pub(crate) id: i64,
    pub(crate) entity_id: i64,
    pub(crate) email: String,
    pub(crate) role: String,
    pub(crate) created_at_micros: i64,
}

/// The entity `name`.
pub(crate) async fn find(
    connection: &mut Connection,
    name: &str,
) -> Result<Option<EntityRow>, StoreError> {
    let row = sqlx::query_as("SELECT id, name, kind, owner_id FROM entities WHERE name = $1")
        .bind(name)
        .fetch_optional(connection)
        .await?;
    Ok(row)
}

/// The entities that a user belongs to: the own one first, then teams by name.
pub(crate) async fn of_user(
    connection: &mut Connection,
    user_id: i64,
) -> Result<Vec<EntityRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT e.id, e.name, e.kind, e.owner_id
        FROM entities e
        JOIN members m ON m.entity_id = e.id
        WHERE m.user_id = $1
        ORDER BY CASE WHEN e.kind = 'user' THEN 0 ELSE 1 END, e.name",
    )
    .bind(user_id)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// All teams by name.
pub(crate) async fn teams(connection: &mut Connection) -> Result<Vec<EntityRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT id, name, kind, owner_id FROM entities WHERE kind = 'team' ORDER BY name LIMIT 1000",
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// Creates an entity of kind `user` or `team`; its row id.
pub(crate) async fn create(
    connection: &mut Connection,
    name: &str,
    owner_id: i64,
    kind: &str,
) -> Result<i64, StoreError> {
    let id = sqlx::query_scalar(
        "INSERT INTO entities (name, owner_id, kind) VALUES ($1, $2, $3) RETURNING id",
    )
    .bind(name)
    .bind(owner_id)
    .bind(kind)
    .fetch_one(connection)
    .await?;
    Ok(id)
}

/// What the user is in the entity: `admin`, `member`, `service`, or nothing.
pub(crate) async fn role(
    connection: &mut Connection,
    entity: &str,
    user_id: i64,
) -> Result<Option<String>, StoreError> {
    let role = sqlx::query_scalar(
        "SELECT m.role
        FROM members m
        JOIN entities e ON e.id = m.entity_id
        WHERE e.name = $1 AND m.user_id = $2",
    )
    .bind(entity)
    .bind(user_id)
    .fetch_optional(connection)
    .await?;
    Ok(role)
}

/// The members of an entity in the order in which they came; whoever is locked out is left out.
pub(crate) async fn members(
    connection: &mut Connection,
    entity_id: i64,
) -> Result<Vec<MemberRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT u.id AS user_id, u.username, u.email,
            CASE WHEN u.kind = 'service' THEN 1 ELSE 0 END AS service,
            u.description, m.role
        FROM members m
        JOIN users u ON u.id = m.user_id
        WHERE m.entity_id = $1 AND u.disabled_at_micros IS NULL
        ORDER BY m.joined_at_micros, u.id",
    )
    .bind(entity_id)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// Makes a user a member with this role, or changes the role of one who is.
pub(crate) async fn set_member(
    connection: &mut Connection,
    entity_id: i64,
    user_id: i64,
    role: &str,
    now_micros: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO members (entity_id, user_id, role, joined_at_micros)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (entity_id, user_id) DO UPDATE SET role = excluded.role",
    )
    .bind(entity_id)
    .bind(user_id)
    .bind(role)
    .bind(now_micros)
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends a membership; whether there was one. Requests without an entity go to the user's own one again.
pub(crate) async fn remove_member(
    connection: &mut Connection,
    entity_id: i64,
    user_id: i64,
) -> Result<bool, StoreError> {
    let removed = sqlx::query("DELETE FROM members WHERE entity_id = $1 AND user_id = $2")
        .bind(entity_id)
        .bind(user_id)
        .execute(&mut *connection)
        .await?
        .rows_affected();
    sqlx::query(
        "UPDATE users
        SET home_entity_id = COALESCE(
            (SELECT MIN(e.id) FROM entities e WHERE e.owner_id = users.id AND e.kind = 'user'),
            home_entity_id
        )
        WHERE id = $2 AND home_entity_id = $1",
    )
    .bind(entity_id)
    .bind(user_id)
    .execute(connection)
    .await?;
    Ok(removed > 0)
}

/// How many administrators an entity has.
pub(crate) async fn count_admins(
    connection: &mut Connection,
    entity_id: i64,
) -> Result<i64, StoreError> {
    let count =
        sqlx::query_scalar("SELECT COUNT(*) FROM members WHERE entity_id = $1 AND role = 'admin'")
            .bind(entity_id)
            .fetch_one(connection)
            .await?;
    Ok(count)
}

/// Invites somebody without an account; none if that is invited already.
pub(crate) async fn invite(
    connection: &mut Connection,
    entity_id: i64,
    email: &str,
    role: &str,
    now_micros: i64,
) -> Result<Option<InviteRow>, StoreError> {
    let row = sqlx::query_as(
        "INSERT INTO invites (entity_id, email, role, created_at_micros)
        VALUES ($1, LOWER($2), $3, $4)
        ON CONFLICT (entity_id, email) DO NOTHING
        RETURNING id, entity_id, email, role, created_at_micros",
    )
    .bind(entity_id)
    .bind(email)
    .bind(role)
    .bind(now_micros)
    .fetch_optional(connection)
    .await?;
    Ok(row)
}

/// The open invitations of an entity, oldest first.
pub(crate) async fn invites(
    connection: &mut Connection,
    entity_id: i64,
) -> Result<Vec<InviteRow>, StoreError> {
    let rows = sqlx::query_as(
        "SELECT id, entity_id, email, role, created_at_micros
        FROM invites
        WHERE entity_id = $1
        ORDER BY id",
    )
    .bind(entity_id)
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// Takes an invitation back; whether there was one.
pub(crate) async fn remove_invite(
    connection: &mut Connection,
    entity_id: i64,
    invite_id: i64,
) -> Result<bool, StoreError> {
    let removed = sqlx::query("DELETE FROM invites WHERE entity_id = $1 AND id = $2")
        .bind(entity_id)
        .bind(invite_id)
        .execute(connection)
        .await?
        .rows_affected();
    Ok(removed > 0)
}

/// Takes up the invitations of a mail address: its new owner becomes a member.
pub(crate) async fn take_invites(
    connection: &mut Connection,
    email: &str,
    user_id: i64,
    now_micros: i64,
) -> Result<(), StoreError> {
    let invites: Vec<InviteRow> = sqlx::query_as(
        "DELETE FROM invites
        WHERE email = LOWER($1)
        RETURNING id, entity_id, email, role, created_at_micros",
    )
    .bind(email)
    .fetch_all(&mut *connection)
    .await?;
    for invite in invites {
        set_member(
            connection,
            invite.entity_id,
            user_id,
            &invite.role,
            now_micros,
        )
        .await?;
    }
    Ok(())
}

/// Bytes of the files of an entity's runs and of its artifacts.
pub(crate) async fn storage_bytes(
    connection: &mut Connection,
    entity_id: i64,
) -> Result<i64, StoreError> {
    let bytes = sqlx::query_scalar(
        "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT)
        FROM (
            SELECT f.size_bytes AS bytes
            FROM run_files f
            JOIN runs r ON r.id = f.run_id
            JOIN projects p ON p.id = r.project_id
            WHERE p.entity_id = $1
            UNION ALL
            SELECT b.size_bytes AS bytes FROM blobs b WHERE b.entity_id = $1
        ) AS stored",
    )
    .bind(entity_id)
    .fetch_one(connection)
    .await?;
    Ok(bytes)
}
