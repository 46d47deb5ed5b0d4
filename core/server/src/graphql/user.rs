//! Users and their keys.

use async_graphql::{Context, ID, Object, SimpleObject};
use serde_json::json;

use super::entity::{Entity, EntityConnection, Organization};
use super::page::complexity;
use super::project::{ProjectConnection, project_page};
use super::scalars::{DateTime, JsonString};
use super::{Scope, ids};
use crate::error::ApiError;
use crate::store::accounts::{self, KeyRow};
use crate::store::entities;
use crate::store::users::{self, UserRow};

/// A user.
pub(crate) struct User(pub(crate) UserRow);

impl User {
    /// The user with this login name, looked up once in a request.
    pub(crate) async fn named(scope: &Scope, username: &str) -> Result<Option<Self>, ApiError> {
        let mut known = scope.users.lock().await;
        if let Some(row) = known.get(username) {
            return Ok(row.clone().map(Self));
        }
        let mut reader = scope.state.store.reader().await?;
        let row = users::by_name(&mut reader, username).await?;
        known.insert(username.to_owned(), row.clone());
        Ok(row.map(Self))
    }

    /// Whether the caller may know the user's keys.
    fn is_open_to(&self, scope: &Scope) -> bool {
        scope.account.admin || scope.account.user_id == self.0.id
    }
}

#[Object(name = "User")]
impl User {
    async fn id(&self) -> ID {
        ids::numbered("User", self.0.id)
    }

    async fn name(&self) -> &str {
        self.0.label()
    }

    async fn username(&self) -> &str {
        &self.0.username
    }

    async fn email(&self) -> &str {
        &self.0.email
    }

    async fn photo_url(&self) -> Option<String> {
        None
    }

    async fn admin(&self) -> bool {
        self.0.admin
    }

    async fn flags(&self) -> JsonString {
        JsonString(json!({"code_saving_enabled": true}).to_string())
    }

    async fn entity(&self) -> &str {
        &self.0.entity
    }

    async fn deleted_at(&self) -> Option<DateTime> {
        self.0.disabled_at_micros.map(DateTime::from_micros)
    }

    /// The valid keys by name, without their secrets; those of others are for administrators of the server.
    async fn api_keys(&self, context: &Context<'_>) -> Result<ApiKeyConnection, ApiError> {
        let scope = Scope::of(context)?;
        if !self.is_open_to(scope) {
            return Ok(ApiKeyConnection { edges: Vec::new() });
        }
        let mut reader = scope.state.store.reader().await?;
        let rows = accounts::keys(&mut reader, self.0.id).await?;
        Ok(ApiKeyConnection {
            edges: rows
                .into_iter()
                .map(|row| ApiKeyEdge {
                    node: Some(ApiKey::from(row)),
                })
                .collect(),
        })
    }

    /// The entities that the user belongs to, the own one first; of others those that the caller belongs to as well.
    async fn teams(&self, context: &Context<'_>) -> Result<EntityConnection, ApiError> {
        let scope = Scope::of(context)?;
        let mut reader = scope.state.store.reader().await?;
        let mut rows = entities::of_user(&mut reader, self.0.id).await?;
        if !self.is_open_to(scope) {
            let mine = entities::of_user(&mut reader, scope.account.user_id).await?;
            rows.retain(|row| mine.iter().any(|other| other.id == row.id));
        }
        Ok(EntityConnection::new(rows.into_iter().map(Entity)))
    }

    async fn organizations(&self) -> Vec<Organization> {
        Vec::new()
    }

    #[graphql(complexity = "complexity(first, child_complexity)")]
    async fn projects(
        &self,
        context: &Context<'_>,
        after: Option<String>,
        first: Option<i32>,
    ) -> Result<ProjectConnection, ApiError> {
        project_page(Scope::of(context)?, &self.0.entity, first, after.as_deref()).await
    }
}

#[derive(SimpleObject)]
pub(crate) struct UserConnection {
    pub(crate) edges: Vec<UserEdge>,
}

#[derive(SimpleObject)]
pub(crate) struct UserEdge {
    pub(crate) node: User,
}

#[derive(SimpleObject)]
pub(crate) struct ApiKeyConnection {
    edges: Vec<ApiKeyEdge>,
}

#[derive(SimpleObject)]
pub(crate) struct ApiKeyEdge {
    node: Option<ApiKey>,
}

/// A key. Its name is the whole secret in the answer that creates it, and says nothing about it everywhere else.
#[derive(SimpleObject)]
pub(crate) struct ApiKey {
    id: ID,
    name: String,
    description: Option<String>,
}

impl ApiKey {
    /// The key with its secret, for the answer that creates it.
    pub(super) fn with_secret(row: KeyRow, secret: String) -> Self {
        Self {
            name: secret,
            ..Self::from(row)
        }
    }
}

impl From<KeyRow> for ApiKey {
    fn from(row: KeyRow) -> Self {
        Self {
            id: ids::numbered("ApiKey", row.id),
            name: row.public_id,
            description: Some(row.description),
        }
    }
}
