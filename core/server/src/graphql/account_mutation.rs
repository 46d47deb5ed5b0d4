//! Changes of accounts: users and their keys.

use async_graphql::{Context, InputObject, Object, SimpleObject};
use runlane_model::limits;

use super::mutation::SuccessPayload;
use super::user::{ApiKey, User};
use super::{Scope, ids};
use crate::auth::token;
use crate::error::{ApiError, StoreError};
use crate::store::entities;
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
    pub(super) user: Option<User>,
    pub(super) client_mutation_id: Option<String>,
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
}

/// The user `username`, which is the caller's own name unless the caller administers the server.
pub(super) async fn user_meant(
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
pub(super) async fn free_name(connection: &mut Connection, name: &str) -> Result<String, ApiError> {
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

pub(super) fn checked_email(email: &str) -> Result<&str, ApiError> {
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

pub(super) fn checked_description(text: &str) -> Result<&str, ApiError> {
    let text = text.trim();
    if text.chars().count() > DESCRIPTION_CHARACTERS {
        return Err(ApiError::invalid(format!(
            "`description` is longer than {DESCRIPTION_CHARACTERS} characters"
        )));
    }
    Ok(text)
}

pub(super) fn conflict(message: String) -> ApiError {
    ApiError::new(http::StatusCode::CONFLICT, "conflict", message)
}
