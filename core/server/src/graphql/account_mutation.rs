//! Changes of accounts: users, keys, teams and who belongs to them.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use runlane_model::limits;

use super::entity::Entity;
use super::mutation::SuccessPayload;
use super::scalars::DateTime;
use super::user::{ApiKey, User};
use super::{Scope, ids};
use crate::auth::{seal, token};
use crate::error::{ApiError, StoreError};
use crate::store::entities::{self, EntityRow, InviteRow};
use crate::store::users::{self, NewUser, UserRow};
use crate::store::{Connection, accounts};

const EMAIL_CHARACTERS: usize = 254;
const DESCRIPTION_CHARACTERS: usize = 256;
/// Valid keys of one user.
const MAX_KEYS: usize = 1_000;
/// Login names that are tried for one mail address.
const MAX_NAMESAKES: usize = 1_000;

#[derive(InputObject)]
pub(crate) struct CreateUserInput {
    email: String,
    admin: Option<bool>,
    /// Login name; by default made of the mail address. Ours.
    username: Option<String>,
    client_mutation_id: Option<String>,
}

#[derive(SimpleObject)]
pub(crate) struct UserPayload {
    user: Option<User>,
    client_mutation_id: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct UpdateUserInput {
    /// Whose; the caller by default. Of others: for administrators of the server. Ours.
    username: Option<String>,
    /// The entity of requests that name none.
    default_entity: Option<String>,
    /// Whether the user administers the server; for those who do. Ours.
    admin: Option<bool>,
    /// Whether the user is locked out; for administrators of the server. Ours.
    disabled: Option<bool>,
    client_mutation_id: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct GenerateApiKeyInput {
    description: Option<String>,
    /// Whose; the caller by default. Of others: for administrators of the server. Ours.
    username: Option<String>,
    client_mutation_id: Option<String>,
}

#[derive(SimpleObject)]
pub(crate) struct GenerateApiKeyPayload {
    api_key: Option<ApiKey>,
    client_mutation_id: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct DeleteApiKeyInput {
    id: String,
    client_mutation_id: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct CreateTeamInput {
    team_name: String,
    team_admin_user_name: Option<String>,
    client_mutation_id: Option<String>,
}

#[derive(SimpleObject)]
pub(crate) struct CreateTeamPayload {
    entity: Option<Entity>,
    client_mutation_id: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct CreateInviteInput {
    entity_name: String,
    email: Option<String>,
    username: Option<String>,
    admin: Option<bool>,
    client_mutation_id: Option<String>,
}

#[derive(SimpleObject)]
pub(crate) struct CreateInvitePayload {
    invite: Option<Invite>,
    client_mutation_id: Option<String>,
}

/// An invitation; of somebody with an account it is taken up at once.
#[derive(SimpleObject)]
pub(crate) struct Invite {
    id: ID,
    name: String,
    email: Option<String>,
    created_at: Option<DateTime>,
    to_user: Option<User>,
}

#[derive(InputObject)]
pub(crate) struct DeleteInviteInput {
    id: Option<String>,
    entity_name: Option<String>,
    client_mutation_id: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct CreateServiceAccountInput {
    entity_name: String,
    description: String,
    client_mutation_id: Option<String>,
}

/// See the module.
pub(crate) struct AccountMutation;

#[Object]
impl AccountMutation {
    /// Creates a person with an entity of its own, and makes it a member of what it was invited to.
    async fn create_user(
        &self,
        context: &Context<'_>,
        input: CreateUserInput,
    ) -> Result<UserPayload, ApiError> {
        let scope = Scope::of(context)?;
        scope.access().server()?;
        let email = checked_email(&input.email)?;
        let now = scope.state.clock.now_micros();
        let mut writer = scope.state.store.writer().await?;
        if users::by_email(&mut writer, email).await?.is_some() {
            return Err(conflict(format!(
                "there is a user with the address `{email}`"
            )));
        }
        let username = match input.username.filter(|name| !name.is_empty()) {
            Some(name) => free_name(&mut writer, &name).await?,
            None => name_of(&mut writer, email).await?,
        };
        let user = NewUser {
            username: &username,
            email,
            admin: input.admin.unwrap_or_default(),
        };
        let id = users::create(&mut writer, &user, now).await?;
        entities::take_invites(&mut writer, email, id, now).await?;
        let row = users::by_id(&mut writer, id).await?;
        writer.commit().await.map_err(StoreError::from)?;
        tracing::info!(
            by = scope.account.username,
            username,
            admin = user.admin,
            "user created"
        );
        Ok(UserPayload {
            user: row.map(User),
            client_mutation_id: input.client_mutation_id,
        })
    }

    /// Changes the default entity, who administers the server, and who is locked out.
    async fn update_user(
        &self,
        context: &Context<'_>,
        input: UpdateUserInput,
    ) -> Result<UserPayload, ApiError> {
        let scope = Scope::of(context)?;
        let mut writer = scope.state.store.writer().await?;
        let row = user_meant(scope, &mut writer, input.username.as_deref()).await?;
        if input.admin.is_some() || input.disabled.is_some() {
            scope.access().server()?;
        }
        if let Some(name) = &input.default_entity {
            let mine = entities::of_user(&mut writer, row.id).await?;
            let entity = mine.iter().find(|entity| entity.name == *name);
            let entity = entity.ok_or_else(|| {
                ApiError::not_found(format!("`{}` does not belong to `{name}`", row.username))
            })?;
            users::set_home(&mut writer, row.id, entity.id).await?;
        }
        if let Some(admin) = input.admin {
            users::set_admin(&mut writer, row.id, admin).await?;
        }
        if let Some(disabled) = input.disabled {
            let since = disabled.then(|| scope.state.clock.now_micros());
            users::set_disabled(&mut writer, row.id, since).await?;
        }
        if users::count_admins(&mut writer).await? == 0 {
            return Err(conflict("somebody has to administer the server".into()));
        }
        let row = users::by_id(&mut writer, row.id).await?;
        writer.commit().await.map_err(StoreError::from)?;
        if input.admin.is_some() || input.disabled.is_some() {
            tracing::info!(
                by = scope.account.username,
                username = row.as_ref().map(|row| row.username.as_str()),
                admin = input.admin,
                disabled = input.disabled,
                "user changed"
            );
        }
        Ok(UserPayload {
            user: row.map(User),
            client_mutation_id: input.client_mutation_id,
        })
    }

    /// Makes a key; this answer alone has its secret, as its name.
    async fn generate_api_key(
        &self,
        context: &Context<'_>,
        input: GenerateApiKeyInput,
    ) -> Result<GenerateApiKeyPayload, ApiError> {
        let scope = Scope::of(context)?;
        let description = checked_description(input.description.as_deref().unwrap_or_default())?;
        let mut writer = scope.state.store.writer().await?;
        let user = user_meant(scope, &mut writer, input.username.as_deref()).await?;
        if accounts::keys(&mut writer, user.id).await?.len() >= MAX_KEYS {
            return Err(ApiError::invalid(format!(
                "`{}` has {MAX_KEYS} keys; delete some first",
                user.username
            )));
        }
        let key = token::new_api_key();
        let now = scope.state.clock.now_micros();
        accounts::add_api_key(&mut writer, user.id, &key, description, now).await?;
        let row = accounts::key_of_secret(&mut writer, &key).await?;
        writer.commit().await.map_err(StoreError::from)?;
        tracing::info!(
            by = scope.account.username,
            username = user.username,
            "key created"
        );
        Ok(GenerateApiKeyPayload {
            api_key: row.map(|row| ApiKey::with_secret(row, key)),
            client_mutation_id: input.client_mutation_id,
        })
    }

    /// Ends a key of the caller's; of others: for administrators of the server.
    async fn delete_api_key(
        &self,
        context: &Context<'_>,
        input: DeleteApiKeyInput,
    ) -> Result<SuccessPayload, ApiError> {
        let scope = Scope::of(context)?;
        let id = ids::parse_numbered("ApiKey", &input.id)?;
        let mut writer = scope.state.store.writer().await?;
        let found = accounts::key(&mut writer, id).await?;
        let key = found
            .filter(|key| scope.account.admin || key.user_id == scope.account.user_id)
            .ok_or_else(|| ApiError::not_found("there is no such key"))?;
        accounts::revoke_key(&mut writer, key.id, scope.state.clock.now_micros()).await?;
        writer.commit().await.map_err(StoreError::from)?;
        tracing::info!(
            by = scope.account.username,
            key = key.public_id,
            "key deleted"
        );
        Ok(SuccessPayload::new(true))
    }

    /// Creates a team, with the caller or somebody else as its administrator.
    async fn create_team(
        &self,
        context: &Context<'_>,
        input: CreateTeamInput,
    ) -> Result<CreateTeamPayload, ApiError> {
        let scope = Scope::of(context)?;
        scope.access().server()?;
        let now = scope.state.clock.now_micros();
        let mut writer = scope.state.store.writer().await?;
        let name = free_name(&mut writer, &input.team_name).await?;
        let admin = user_meant(scope, &mut writer, input.team_admin_user_name.as_deref()).await?;
        let id = entities::create(&mut writer, &name, admin.id, "team").await?;
        entities::set_member(&mut writer, id, admin.id, "admin", now).await?;
        let row = entities::find(&mut writer, &name).await?;
        writer.commit().await.map_err(StoreError::from)?;
        tracing::info!(
            by = scope.account.username,
            team = name,
            admin = admin.username,
            "team created"
        );
        Ok(CreateTeamPayload {
            entity: row.map(Entity),
            client_mutation_id: input.client_mutation_id,
        })
    }

    /// Takes somebody with an account into a team, or invites a mail address, which counts when it gets one.
    async fn create_invite(
        &self,
        context: &Context<'_>,
        input: CreateInviteInput,
    ) -> Result<CreateInvitePayload, ApiError> {
        let scope = Scope::of(context)?;
        let role = if input.admin == Some(true) {
            "admin"
        } else {
            "member"
        };
        let now = scope.state.clock.now_micros();
        let mut writer = scope.state.store.writer().await?;
        let team = managed_team(scope, &mut writer, &input.entity_name).await?;
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let invite = match (given(input.username), given(input.email)) {
            (Some(username), _) => {
                let user = users::by_name(&mut writer, &username).await?;
                let user = user
                    .filter(|user| !user.service)
                    .ok_or_else(|| ApiError::not_found(format!("there is no user `{username}`")))?;
                join(&mut writer, &team, user, role, now).await?
            }
            (None, Some(email)) => {
                let email = checked_email(&email)?;
                match users::by_email(&mut writer, email).await? {
                    Some(user) => join(&mut writer, &team, user, role, now).await?,
                    None => entities::invite(&mut writer, team.id, email, role, now)
                        .await?
                        .map(Invite::from)
                        .ok_or_else(|| conflict(format!("`{email}` is invited already")))?,
                }
            }
            (None, None) => return Err(ApiError::invalid("`username` or `email` is needed")),
        };
        writer.commit().await.map_err(StoreError::from)?;
        tracing::info!(
            by = scope.account.username,
            team = team.name,
            name = invite.name,
            role,
            "member added"
        );
        Ok(CreateInvitePayload {
            invite: Some(invite),
            client_mutation_id: input.client_mutation_id,
        })
    }

    /// Takes back an invitation, or ends a membership; everybody may end the own one.
    async fn delete_invite(
        &self,
        context: &Context<'_>,
        input: DeleteInviteInput,
    ) -> Result<SuccessPayload, ApiError> {
        let scope = Scope::of(context)?;
        let id = input.id.as_deref().unwrap_or_default();
        let entity = input.entity_name.as_deref().unwrap_or_default();
        let mut writer = scope.state.store.writer().await?;
        let removed = if let Ok(user_id) = ids::parse_numbered("User", id) {
            let team = if user_id == scope.account.user_id {
                scope.access().entity(&mut writer, entity).await?
            } else {
                managed_team(scope, &mut writer, entity).await?
            };
            if !team.is_team() {
                return Err(ApiError::invalid("nobody leaves the own entity"));
            }
            let removed = entities::remove_member(&mut writer, team.id, user_id).await?;
            if let Some(account) = users::by_id(&mut writer, user_id).await?
                && account.service
            {
                // It has nothing else to belong to.
                let now = scope.state.clock.now_micros();
                users::set_disabled(&mut writer, user_id, Some(now)).await?;
            }
            if entities::count_admins(&mut writer, team.id).await? == 0 {
                return Err(conflict(format!(
                    "somebody has to administer `{}`",
                    team.name
                )));
            }
            removed
        } else {
            let invite_id = ids::parse_numbered("Invite", id)?;
            let team = managed_team(scope, &mut writer, entity).await?;
            entities::remove_invite(&mut writer, team.id, invite_id).await?
        };
        writer.commit().await.map_err(StoreError::from)?;
        tracing::info!(
            by = scope.account.username,
            entity,
            removed,
            "member removed"
        );
        Ok(SuccessPayload::new(removed))
    }

    /// Creates an account for machines in a team. Whoever creates it reads its key from the team's members within ten
    /// minutes.
    async fn create_service_account(
        &self,
        context: &Context<'_>,
        input: CreateServiceAccountInput,
    ) -> Result<UserPayload, ApiError> {
        let scope = Scope::of(context)?;
        let description = checked_description(&input.description)?;
        if description.is_empty() {
            return Err(ApiError::invalid(
                "`description` is needed: what is the account for?",
            ));
        }
        let now = scope.state.clock.now_micros();
        let mut writer = scope.state.store.writer().await?;
        let team = managed_team(scope, &mut writer, &input.entity_name).await?;
        let username = format!("service-{}", token::hex(&token::random_bytes::<6>()));
        let id = users::create_service(&mut writer, &username, description, team.id, now).await?;
        let key = token::new_api_key();
        accounts::add_api_key(&mut writer, id, &key, description, now).await?;
        if let Some(sealed) = scope
            .credential
            .as_deref()
            .and_then(|credential| seal::close(credential, id, &key))
        {
            let until = now + seal::VALID_MICROS;
            users::add_sealed_key(&mut writer, id, &sealed, now, until).await?;
        }
        let row = users::by_id(&mut writer, id).await?;
        writer.commit().await.map_err(StoreError::from)?;
        tracing::info!(
            by = scope.account.username,
            team = team.name,
            username,
            "service account created"
        );
        Ok(UserPayload {
            user: row.map(User),
            client_mutation_id: input.client_mutation_id,
        })
    }
}

impl From<InviteRow> for Invite {
    fn from(row: InviteRow) -> Self {
        Self {
            id: ids::numbered("Invite", row.id),
            name: row.email.clone(),
            email: Some(row.email),
            created_at: Some(DateTime::from_micros(row.created_at_micros)),
            to_user: None,
        }
    }
}

/// Makes a user a member at once.
async fn join(
    connection: &mut Connection,
    team: &EntityRow,
    user: UserRow,
    role: &str,
    now_micros: i64,
) -> Result<Invite, ApiError> {
    let old = entities::role(connection, &team.name, user.id).await?;
    if old.as_deref() == Some(role) {
        return Err(conflict(format!(
            "`{}` belongs to `{}` already",
            user.username, team.name
        )));
    }
    entities::set_member(connection, team.id, user.id, role, now_micros).await?;
    if entities::count_admins(connection, team.id).await? == 0 {
        return Err(conflict(format!(
            "somebody has to administer `{}`",
            team.name
        )));
    }
    Ok(Invite {
        id: ids::numbered("User", user.id),
        name: user.username.clone(),
        email: None,
        created_at: Some(DateTime::from_micros(now_micros)),
        to_user: Some(User(user)),
    })
}

/// The team `name`, which the caller administers.
async fn managed_team(
    scope: &Scope,
    connection: &mut Connection,
    name: &str,
) -> Result<EntityRow, ApiError> {
    let found = scope.access().managed_entity(connection, name).await?;
    if found.is_team() {
        return Ok(found);
    }
    Err(ApiError::invalid(format!(
        "`{}` is a user's own entity, no team",
        found.name
    )))
}

/// The user `username`, which is the caller's own name unless the caller administers the server.
async fn user_meant(
    scope: &Scope,
    connection: &mut Connection,
    username: Option<&str>,
) -> Result<UserRow, ApiError> {
    let own = &scope.account.username;
    let name = username.filter(|name| !name.is_empty()).unwrap_or(own);
    if name != own {
        scope.access().server()?;
    }
    users::by_name(connection, name)
        .await?
        .ok_or_else(|| ApiError::not_found(format!("there is no user `{name}`")))
}

/// Checks a name for a new user or team: users and entities share one name space.
async fn free_name(connection: &mut Connection, name: &str) -> Result<String, ApiError> {
    limits::check_entity(name).map_err(|error| ApiError::invalid(error.to_string()))?;
    let taken = entities::find(connection, name).await?.is_some()
        || users::by_name(connection, name).await?.is_some();
    if taken {
        return Err(conflict(format!("the name `{name}` is taken")));
    }
    Ok(name.to_owned())
}

/// A login name for a mail address: what stands before the `@`, with a number if that is taken.
async fn name_of(connection: &mut Connection, email: &str) -> Result<String, ApiError> {
    let local = email.split('@').next().unwrap_or_default();
    let base: String = local
        .chars()
        .map(|character| match character.to_ascii_lowercase() {
            plain @ ('a'..='z' | '0'..='9' | '-' | '_') => plain,
            _ => '-',
        })
        .take(60)
        .collect();
    let base = base.trim_matches('-');
    let base = if base.is_empty() { "user" } else { base };
    for number in 1..=MAX_NAMESAKES {
        let name = if number == 1 {
            base.to_owned()
        } else {
            format!("{base}-{number}")
        };
        match free_name(connection, &name).await {
            Err(error) if error.status == http::StatusCode::CONFLICT => {}
            found => return found,
        }
    }
    Err(conflict(format!("no login name is free for `{email}`")))
}

fn checked_email(email: &str) -> Result<&str, ApiError> {
    let email = email.trim();
    let fine = email.len() <= EMAIL_CHARACTERS
        && !email.contains(|character: char| character.is_whitespace() || character.is_control())
        && email.split_once('@').is_some_and(|(local, host)| {
            !local.is_empty() && !host.is_empty() && !host.contains('@')
        });
    if fine {
        return Ok(email);
    }
    Err(ApiError::invalid("`email` is not a mail address"))
}

fn checked_description(text: &str) -> Result<&str, ApiError> {
    let text = text.trim();
    if text.chars().count() > DESCRIPTION_CHARACTERS {
        return Err(ApiError::invalid(format!(
            "`description` is longer than {DESCRIPTION_CHARACTERS} characters"
        )));
    }
    Ok(text)
}

fn conflict(message: String) -> ApiError {
    ApiError::new(http::StatusCode::CONFLICT, "conflict", message)
}
