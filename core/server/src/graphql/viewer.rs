//! Users, entities and the server's description of itself.

#![expect(
    clippy::used_underscore_binding,
    reason = "the derived code hands over arguments that are only taken for their callers' sake"
)]

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use serde_json::json;

use super::page::{Page, PageInfo, complexity};
use super::project::{Project, ProjectConnection, ProjectEdge};
use super::scalars::{DateTime, Int64, Json, JsonString};
use super::{Scope, ids};
use crate::error::ApiError;
use crate::store::accounts::Account;
use crate::store::projects;

/// What this server can do beyond the first clients; each name stands for something that works.
const FEATURES: [&str; 6] = [
    "LARGE_FILENAMES",
    "STRUCTURED_CONSOLE_LOGS",
    "FILESTREAM_GZIP",
    "TOTAL_COUNT_IN_FILE_CONNECTION",
    "MARK_RUN_FILES_UPLOADED",
    "RUNLANE_FAST_STREAM",
];

/// A user.
pub(crate) struct User(pub(crate) Account);

#[Object(name = "User")]
impl User {
    async fn id(&self) -> ID {
        ids::numbered("User", self.0.user_id)
    }

    async fn name(&self) -> &str {
        &self.0.username
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
        true
    }

    async fn flags(&self) -> JsonString {
        JsonString(json!({"code_saving_enabled": true}).to_string())
    }

    async fn entity(&self) -> &str {
        &self.0.entity
    }

    async fn deleted_at(&self) -> Option<DateTime> {
        None
    }

    async fn api_keys(&self) -> ApiKeyConnection {
        ApiKeyConnection { edges: Vec::new() }
    }

    async fn teams(&self) -> EntityConnection {
        EntityConnection {
            edges: vec![EntityEdge {
                node: Some(Entity(self.0.clone())),
            }],
        }
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

#[derive(SimpleObject)]
pub(crate) struct ApiKey {
    id: ID,
    name: String,
    description: Option<String>,
}

#[derive(SimpleObject)]
pub(crate) struct EntityConnection {
    edges: Vec<EntityEdge>,
}

#[derive(SimpleObject)]
pub(crate) struct EntityEdge {
    node: Option<Entity>,
}

/// A user's own name space; there are no teams on a single-user server.
pub(crate) struct Entity(pub(crate) Account);

#[Object(name = "Entity")]
impl Entity {
    async fn id(&self) -> ID {
        ids::numbered("Entity", self.0.entity_id)
    }

    async fn name(&self) -> &str {
        &self.0.entity
    }

    async fn available(&self) -> bool {
        false
    }

    async fn photo_url(&self) -> Option<String> {
        None
    }

    async fn read_only(&self) -> bool {
        false
    }

    async fn read_only_admin(&self) -> bool {
        false
    }

    async fn is_team(&self) -> bool {
        false
    }

    async fn entity_type(&self) -> &str {
        "user"
    }

    async fn private_only(&self) -> bool {
        true
    }

    async fn storage_bytes(&self) -> Int64 {
        Int64(0)
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

    async fn members(&self) -> Vec<Member> {
        vec![Member {
            id: ids::numbered("User", self.0.user_id).to_string(),
            admin: true,
            role: "admin".into(),
            pending: false,
            email: self.0.email.clone(),
            username: self.0.username.clone(),
            name: self.0.username.clone(),
            photo_url: None,
            account_type: "USER".into(),
            api_key: None,
        }]
    }

    async fn organization(&self) -> Option<Organization> {
        None
    }

    async fn user(&self) -> User {
        User(self.0.clone())
    }

    async fn xxhash_digests_enabled(&self) -> bool {
        false
    }

    async fn project(
        &self,
        context: &Context<'_>,
        name: Option<String>,
    ) -> Result<Option<Project>, ApiError> {
        Project::find(Scope::of(context)?, Some(&self.0.entity), name.as_deref()).await
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
pub(crate) struct Member {
    id: String,
    admin: bool,
    role: String,
    pending: bool,
    email: String,
    username: String,
    name: String,
    photo_url: Option<String>,
    account_type: String,
    api_key: Option<String>,
}

/// Kind of name in a question for feature flags.
#[derive(Enum, Copy, Clone, Eq, PartialEq)]
#[graphql(name = "RampIDType")]
pub(crate) enum RampIdType {
    #[graphql(name = "OrgName")]
    OrgName,
}

/// An organization; a single-user server has none, but clients ask.
#[derive(Clone)]
pub(crate) struct Organization {
    pub(crate) name: String,
}

#[Object(name = "Organization")]
impl Organization {
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

/// The server's version and features.
pub(crate) struct ServerInfo;

#[Object(name = "ServerInfo")]
impl ServerInfo {
    async fn cli_version_info(&self) -> Json {
        Json(json!({"max_cli_version": "0.99.0", "min_cli_version": "0.0.1"}))
    }

    async fn latest_local_version_info(&self) -> LocalVersionInfo {
        LocalVersionInfo {
            out_of_date: false,
            latest_version_string: env!("CARGO_PKG_VERSION").into(),
            version_on_this_instance_string: env!("CARGO_PKG_VERSION").into(),
        }
    }

    async fn features(&self) -> Vec<ServerFeature> {
        FEATURES
            .iter()
            .map(|name| ServerFeature {
                name: (*name).into(),
                is_enabled: true,
            })
            .collect()
    }
}

#[derive(SimpleObject)]
pub(crate) struct LocalVersionInfo {
    out_of_date: bool,
    latest_version_string: String,
    version_on_this_instance_string: String,
}

#[derive(SimpleObject)]
pub(crate) struct ServerFeature {
    name: String,
    is_enabled: bool,
}

/// One page of an entity's projects.
pub(crate) async fn project_page(
    scope: &Scope,
    entity: &str,
    first: Option<i32>,
    after: Option<&str>,
) -> Result<ProjectConnection, ApiError> {
    let page = Page::new(first, after)?;
    let mut reader = scope.state.store.reader().await?;
    let mut rows = projects::list(&mut reader, entity, page.offset, page.first + 1).await?;
    let more = i64::try_from(rows.len()).unwrap_or(0);
    rows.truncate(usize::try_from(page.first).unwrap_or(0));
    let shown = i64::try_from(rows.len()).unwrap_or(0);
    Ok(ProjectConnection {
        page_info: PageInfo::new(page.offset, shown, page.offset + more),
        edges: rows
            .into_iter()
            .map(|row| ProjectEdge {
                node: Some(Project(row)),
            })
            .collect(),
    })
}
