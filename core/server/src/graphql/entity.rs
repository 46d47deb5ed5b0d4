//! Entities: users' own name spaces and teams.

#![expect(
    clippy::unused_async,
    reason = "resolvers are asynchronous by contract"
)]
#![expect(
    clippy::used_underscore_binding,
    reason = "the derived code hands over arguments that are only taken for their callers' sake"
)]

use async_graphql::{Context, Enum, ID, Object, SimpleObject};

use super::page::complexity;
use super::project::{Project, ProjectConnection, project_page};
use super::scalars::{Int64, JsonString};
use super::user::User;
use super::{Scope, ids, later};
use crate::auth::seal;
use crate::error::ApiError;
use crate::store::entities::{self, EntityRow};
use crate::store::users;

/// A user's own name space, or a team.
pub(crate) struct Entity(pub(crate) EntityRow);

impl Entity {
    /// What the caller is in it.
    async fn role(&self, scope: &Scope) -> Result<Option<String>, ApiError> {
        let mut reader = scope.state.store.reader().await?;
        Ok(entities::role(&mut reader, &self.0.name, scope.account.user_id).await?)
    }

    async fn is_open_to(&self, scope: &Scope) -> Result<bool, ApiError> {
        Ok(scope.account.admin || self.role(scope).await?.is_some())
    }
}

#[Object(name = "Entity")]
impl Entity {
    #[graphql(flatten)]
    async fn later(&self, _context: &Context<'_>) -> later::Fields<later::Entity> {
        later::Fields::new()
    }

    async fn id(&self) -> ID {
        ids::numbered("Entity", self.0.id)
    }

    async fn name(&self) -> &str {
        &self.0.name
    }

    async fn available(&self) -> bool {
        false
    }

    async fn photo_url(&self) -> Option<String> {
        None
    }

    async fn read_only(&self, context: &Context<'_>) -> Result<bool, ApiError> {
        Ok(!self.is_open_to(Scope::of(context)?).await?)
    }

    async fn read_only_admin(&self) -> bool {
        false
    }

    async fn is_team(&self) -> bool {
        self.0.is_team()
    }

    async fn entity_type(&self) -> &str {
        &self.0.kind
    }

    async fn private_only(&self) -> bool {
        false
    }

    /// Bytes of its runs' files and of its artifacts, each content once.
    async fn storage_bytes(&self, context: &Context<'_>) -> Result<Int64, ApiError> {
        let scope = Scope::of(context)?;
        if !self.is_open_to(scope).await? {
            return Ok(Int64(0));
        }
        let mut reader = scope.state.store.reader().await?;
        Ok(Int64(
            entities::storage_bytes(&mut reader, self.0.id).await?,
        ))
    }

    async fn code_saving_enabled(&self) -> bool {
        true
    }

    async fn default_access(&self) -> &str {
        "PRIVATE"
    }

    async fn is_paid(&self) -> bool {
        false
    }

    /// There are none.
    async fn limits(&self) -> Option<JsonString> {
        None
    }

    /// Members and those who are invited, in the order in which they came, for its members.
    async fn members(&self, context: &Context<'_>) -> Result<Vec<Member>, ApiError> {
        let scope = Scope::of(context)?;
        if !self.is_open_to(scope).await? {
            return Ok(Vec::new());
        }
        let mut reader = scope.state.store.reader().await?;
        let rows = entities::members(&mut reader, self.0.id).await?;
        let invites = entities::invites(&mut reader, self.0.id).await?;
        let mut found: Vec<Member> = invites
            .into_iter()
            .map(|invite| Member {
                id: ids::numbered("Invite", invite.id).to_string(),
                admin: invite.role == "admin",
                role: invite.role,
                pending: true,
                name: invite.email.clone(),
                username: None,
                email: invite.email,
                photo_url: None,
                account_type: "MEMBER".into(),
                api_key: None,
            })
            .collect();
        // The newest member is the last one: clients take a new service account from there.
        for row in rows {
            let kind = match (row.service, self.0.is_team()) {
                (true, _) => "SERVICE",
                (false, true) => "MEMBER",
                (false, false) => "USER",
            };
            let api_key = match &scope.credential {
                Some(credential) if row.service => {
                    let now = scope.state.clock.now_micros();
                    users::sealed_key(&mut reader, row.user_id, now)
                        .await?
                        .and_then(|sealed| seal::open(credential, row.user_id, &sealed))
                }
                _ => None,
            };
            found.push(Member {
                id: ids::numbered("User", row.user_id).to_string(),
                admin: row.role == "admin",
                role: row.role,
                pending: false,
                name: row.description.unwrap_or_else(|| row.username.clone()),
                username: Some(row.username),
                email: row.email,
                photo_url: None,
                account_type: kind.into(),
                api_key,
            });
        }
        Ok(found)
    }

    async fn organization(&self) -> Option<Organization> {
        None
    }

    /// Whose it is; a team is nobody's.
    async fn user(&self, context: &Context<'_>) -> Result<Option<User>, ApiError> {
        if self.0.is_team() {
            return Ok(None);
        }
        let mut reader = Scope::of(context)?.state.store.reader().await?;
        Ok(users::by_id(&mut reader, self.0.owner_id).await?.map(User))
    }

    async fn xxhash_digests_enabled(&self) -> bool {
        true
    }

    async fn project(
        &self,
        context: &Context<'_>,
        name: Option<String>,
    ) -> Result<Option<Project>, ApiError> {
        Project::find(Scope::of(context)?, Some(&self.0.name), name.as_deref()).await
    }

    #[graphql(complexity = "complexity(first, child_complexity)")]
    async fn projects(
        &self,
        context: &Context<'_>,
        after: Option<String>,
        first: Option<i32>,
        #[graphql(name = "filters")] _filters: Option<JsonString>,
        #[graphql(name = "order")] _order: Option<String>,
    ) -> Result<ProjectConnection, ApiError> {
        project_page(Scope::of(context)?, &self.0.name, first, after.as_deref()).await
    }
}

#[derive(SimpleObject)]
pub(crate) struct EntityConnection {
    edges: Vec<EntityEdge>,
}

impl EntityConnection {
    pub(super) fn new(entities: impl Iterator<Item = Entity>) -> Self {
        Self {
            edges: entities
                .map(|entity| EntityEdge { node: Some(entity) })
                .collect(),
        }
    }
}

#[derive(SimpleObject)]
pub(crate) struct EntityEdge {
    node: Option<Entity>,
}

/// Somebody who belongs to an entity or is invited to.
#[derive(SimpleObject)]
pub(crate) struct Member {
    id: String,
    admin: bool,
    role: String,
    /// Invited, without an account.
    pending: bool,
    email: String,
    username: Option<String>,
    name: String,
    photo_url: Option<String>,
    /// `USER` in a user's own entity, `MEMBER` in a team, or `SERVICE`.
    account_type: String,
    /// The key of a new service account, for some minutes and whoever created it.
    api_key: Option<String>,
}

/// Kind of name in a question for feature flags.
#[derive(Enum, Copy, Clone, Eq, PartialEq)]
#[graphql(name = "RampIDType")]
pub(crate) enum RampIdType {
    #[graphql(name = "OrgName")]
    OrgName,
}

/// An organization; this server has none, but clients ask.
#[derive(Clone)]
pub(crate) struct Organization {
    pub(crate) name: String,
}

#[Object(name = "Organization")]
impl Organization {
    #[graphql(flatten)]
    async fn later(&self, _context: &Context<'_>) -> later::Fields<later::Organization> {
        later::Fields::new()
    }

    async fn id(&self) -> ID {
        ID(self.name.clone())
    }

    async fn name(&self) -> &str {
        &self.name
    }

    #[graphql(name = "coreWeaveOrganizationId")]
    async fn core_weave_organization_id(&self) -> Option<String> {
        None
    }

    async fn feature_flags(
        &self,
        #[graphql(name = "rampIDType")] _ramp_id_type: Option<RampIdType>,
    ) -> Vec<FeatureFlag> {
        Vec::new()
    }
}

#[derive(SimpleObject)]
pub(crate) struct FeatureFlag {
    ramp_key: String,
    is_enabled: bool,
}
