//! Changes of teams: who belongs to them, and their accounts for machines.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use super::account_mutation::{
    UserPayload, checked_description, checked_email, conflict, free_name, user_meant,
};
use super::entity::Entity;
use super::mutation::SuccessPayload;
use super::scalars::DateTime;
use super::user::User;
use super::{Scope, ids};
use crate::auth::{seal, token};
use crate::error::{ApiError, StoreError};
use crate::store::entities::{self, EntityRow, InviteRow};
use crate::store::users::{self, UserRow};
use crate::store::{Connection, accounts};

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
pub(crate) struct TeamMutation;

#[Object]
impl TeamMutation {
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
