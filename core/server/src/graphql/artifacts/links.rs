//! Links to portfolios, and runs that use versions.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use super::super::Scope;
use super::super::mutation::SuccessPayload;
use super::artifact::Artifact;
use super::labels::ArtifactAliasInput;
use super::logging::ArtifactPayload;
use super::membership::ArtifactCollectionMembership;
use super::{artifact_id, collection_id};
use crate::artifacts::checked_aliases;
use crate::artifacts::link::{self, NewLink, Target};
use crate::error::ApiError;
use crate::store::artifacts::versions::{self, Named};

/// Characters of what a run uses a version as.
const USED_AS_CHARACTERS: usize = 1_024;

#[derive(InputObject)]
pub(crate) struct UseArtifactInput {
    #[graphql(name = "artifactID")]
    artifact_id: ID,
    /// Where the run is.
    entity_name: String,
    project_name: String,
    run_name: String,
    used_as: Option<String>,
    /// Where the artifact is; the id says so already.
    artifact_entity_name: Option<String>,
    artifact_project_name: Option<String>,
    client_mutation_id: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct LinkArtifactInput {
    #[graphql(name = "artifactID")]
    artifact_id: Option<ID>,
    /// In place of `artifactID`.
    #[graphql(name = "clientID")]
    client_id: Option<ID>,
    #[graphql(name = "artifactPortfolioID")]
    artifact_portfolio_id: Option<ID>,
    /// In place of `artifactPortfolioID`, with the project.
    artifact_portfolio_name: Option<String>,
    entity_name: Option<String>,
    project_name: Option<String>,
    aliases: Option<Vec<ArtifactAliasInput>>,
    client_mutation_id: Option<String>,
}

#[derive(SimpleObject)]
pub(crate) struct LinkArtifactPayload {
    version_index: Option<i64>,
    artifact_membership: Option<ArtifactCollectionMembership>,
}

#[derive(InputObject)]
#[expect(
    clippy::struct_field_names,
    reason = "the names are those of the protocol"
)]
pub(crate) struct UnlinkArtifactInput {
    #[graphql(name = "artifactID")]
    artifact_id: ID,
    #[graphql(name = "artifactPortfolioID")]
    artifact_portfolio_id: ID,
    client_mutation_id: Option<String>,
}

impl LinkArtifactInput {
    async fn read(self, scope: &Scope) -> Result<NewLink, ApiError> {
        let artifact_id = match (self.artifact_id, self.client_id) {
            (Some(id), _) => artifact_id(&id)?,
            (None, Some(client_id)) => {
                let mut reader = scope.state.store.reader().await?;
                let named = versions::by_client_id(&mut reader, &client_id).await?;
                let Named::Version(id) = named else {
                    return Err(ApiError::not_found(
                        "there is no artifact with this `clientID`",
                    ));
                };
                id
            }
            (None, None) => {
                return Err(ApiError::invalid("`artifactID` or `clientID` is needed"));
            }
        };
        let target = match (self.artifact_portfolio_id, self.artifact_portfolio_name) {
            (Some(id), _) => Target::Known(collection_id(&id)?),
            (None, Some(name)) => Target::Named {
                entity: self.entity_name.unwrap_or_default(),
                project: self.project_name.unwrap_or_default(),
                name,
            },
            (None, None) => {
                return Err(ApiError::invalid(
                    "`artifactPortfolioID` or `artifactPortfolioName` is needed",
                ));
            }
        };
        let aliases = self.aliases.unwrap_or_default().into_iter();
        Ok(NewLink {
            artifact_id,
            target,
            aliases: checked_aliases(aliases.map(ArtifactAliasInput::word).collect())?,
        })
    }
}

/// See the module.
pub(crate) struct LinkMutation;

#[Object]
impl LinkMutation {
    /// Notes that a run used a version.
    async fn use_artifact(
        &self,
        context: &Context<'_>,
        input: UseArtifactInput,
    ) -> Result<ArtifactPayload, ApiError> {
        let scope = Scope::of(context)?;
        let used_as = input.used_as.as_deref().filter(|text| !text.is_empty());
        if used_as.is_some_and(|text| text.chars().count() > USED_AS_CHARACTERS) {
            return Err(ApiError::invalid(format!(
                "`usedAs` is longer than {USED_AS_CHARACTERS} characters"
            )));
        }
        let path = (
            input.entity_name.as_str(),
            input.project_name.as_str(),
            input.run_name.as_str(),
        );
        let id = artifact_id(&input.artifact_id)?;
        let version = link::use_by_run(scope.access(), id, path, used_as).await?;
        Ok(ArtifactPayload {
            artifact: Some(Artifact::of(version)),
        })
    }

    /// Links a version to a portfolio, which is created if it is missing.
    async fn link_artifact(
        &self,
        context: &Context<'_>,
        input: LinkArtifactInput,
    ) -> Result<LinkArtifactPayload, ApiError> {
        let scope = Scope::of(context)?;
        let new = input.read(scope).await?;
        let (collection, place) = link::link(scope.access(), &new).await?;
        Ok(LinkArtifactPayload {
            version_index: Some(place.version_index),
            artifact_membership: Some(ArtifactCollectionMembership { place, collection }),
        })
    }

    /// Removes a link; whether there was one.
    async fn unlink_artifact(
        &self,
        context: &Context<'_>,
        input: UnlinkArtifactInput,
    ) -> Result<SuccessPayload, ApiError> {
        let access = Scope::of(context)?.access();
        let portfolio_id = collection_id(&input.artifact_portfolio_id)?;
        let id = artifact_id(&input.artifact_id)?;
        let done = link::unlink(access, id, portfolio_id).await?;
        Ok(SuccessPayload::new(done))
    }
}
