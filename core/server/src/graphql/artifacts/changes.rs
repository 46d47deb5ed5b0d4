//! Changes of versions and collections.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject};

use super::super::Scope;
use super::super::mutation::SuccessPayload;
use super::super::scalars::{Int64, JsonString};
use super::artifact::Artifact;
use super::collection::ArtifactCollection;
use super::labels::{ArtifactAliasInput, Tag, TagInput, tag_words};
use super::logging::ArtifactPayload;
use super::{artifact_id, collection_id};
use crate::artifacts::update::{self, AliasOf, Change};
use crate::artifacts::{checked_aliases, collections, delete, ttl_of};
use crate::error::ApiError;
use crate::store::artifacts::collections::{PORTFOLIO, SEQUENCE};
use crate::store::artifacts::versions;

#[derive(InputObject)]
pub(crate) struct UpdateArtifactInput {
    #[graphql(name = "artifactID")]
    artifact_id: ID,
    /// Null clears it; left out, it stays.
    description: MaybeUndefined<String>,
    labels: Option<JsonString>,
    metadata: Option<JsonString>,
    ttl_duration_seconds: Option<Int64>,
    tags_to_add: Option<Vec<TagInput>>,
    tags_to_delete: Option<Vec<TagInput>>,
    /// Aliases that it gets in the collection that it was logged to.
    aliases: Option<Vec<ArtifactAliasInput>>,
    client_mutation_id: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct DeleteArtifactInput {
    #[graphql(name = "artifactID")]
    artifact_id: ID,
    /// Without it a version that has aliases is not deleted.
    delete_aliases: Option<bool>,
    client_mutation_id: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct ArtifactCollectionAliasInput {
    entity_name: String,
    project_name: String,
    artifact_collection_name: String,
    alias: String,
}

#[derive(InputObject)]
pub(crate) struct AddAliasesInput {
    #[graphql(name = "artifactID")]
    artifact_id: ID,
    aliases: Vec<ArtifactCollectionAliasInput>,
    client_mutation_id: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct DeleteAliasesInput {
    #[graphql(name = "artifactID")]
    artifact_id: ID,
    aliases: Vec<ArtifactCollectionAliasInput>,
    client_mutation_id: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct UpdateArtifactSequenceInput {
    #[graphql(name = "artifactSequenceID")]
    artifact_sequence_id: ID,
    name: Option<String>,
    description: Option<String>,
    client_mutation_id: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct UpdateArtifactPortfolioInput {
    #[graphql(name = "artifactPortfolioID")]
    artifact_portfolio_id: ID,
    name: Option<String>,
    description: Option<String>,
    client_mutation_id: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct MoveArtifactSequenceInput {
    #[graphql(name = "artifactSequenceID")]
    artifact_sequence_id: ID,
    destination_artifact_type_name: String,
    client_mutation_id: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct DeleteArtifactSequenceInput {
    #[graphql(name = "artifactSequenceID")]
    artifact_sequence_id: ID,
}

#[derive(InputObject)]
pub(crate) struct DeleteArtifactPortfolioInput {
    #[graphql(name = "artifactPortfolioID")]
    artifact_portfolio_id: ID,
}

#[derive(SimpleObject)]
pub(crate) struct ArtifactCollectionPayload {
    artifact_collection: ArtifactCollection,
}

#[derive(InputObject)]
pub(crate) struct CreateArtifactCollectionTagAssignmentsInput {
    entity_name: String,
    project_name: String,
    artifact_collection_name: String,
    tags: Vec<TagInput>,
    #[graphql(name = "clientMutationID")]
    client_mutation_id: Option<String>,
}

#[derive(InputObject)]
pub(crate) struct DeleteArtifactCollectionTagAssignmentsInput {
    entity_name: String,
    project_name: String,
    artifact_collection_name: String,
    tags: Vec<TagInput>,
    #[graphql(name = "clientMutationID")]
    client_mutation_id: Option<String>,
}

#[derive(SimpleObject)]
pub(crate) struct TagsPayload {
    tags: Vec<Tag>,
}

fn aliases_of(given: Vec<ArtifactCollectionAliasInput>) -> Vec<AliasOf> {
    let one = |given: ArtifactCollectionAliasInput| AliasOf {
        entity: given.entity_name,
        project: given.project_name,
        collection: given.artifact_collection_name,
        alias: given.alias,
    };
    given.into_iter().map(one).collect()
}

/// See the module.
pub(crate) struct ChangeMutation;

#[Object]
impl ChangeMutation {
    /// Changes what a version is said to be; what is in it stays as it is.
    async fn update_artifact(
        &self,
        context: &Context<'_>,
        input: UpdateArtifactInput,
    ) -> Result<ArtifactPayload, ApiError> {
        let scope = Scope::of(context)?;
        let aliases = input.aliases.unwrap_or_default().into_iter();
        let ttl = input.ttl_duration_seconds.map(|seconds| seconds.0);
        let change = Change {
            description: match input.description {
                MaybeUndefined::Undefined => versions::Change::Kept,
                MaybeUndefined::Null => versions::Change::Set(None),
                MaybeUndefined::Value(text) => versions::Change::Set(Some(text)),
            },
            metadata: input.metadata.map(|text| text.0),
            ttl_seconds: match ttl {
                None => versions::Change::Kept,
                ttl => versions::Change::Set(ttl_of(ttl)?),
            },
            tags_to_add: tag_words(input.tags_to_add)?,
            tags_to_delete: tag_words(input.tags_to_delete)?,
            aliases: checked_aliases(aliases.map(ArtifactAliasInput::word).collect())?,
        };
        let id = artifact_id(&input.artifact_id)?;
        let id = update::update(scope.access(), id, &change).await?;
        Ok(ArtifactPayload {
            artifact: Some(Artifact::changed(scope, id).await?),
        })
    }

    /// Deletes a version, with all of its links.
    async fn delete_artifact(
        &self,
        context: &Context<'_>,
        input: DeleteArtifactInput,
    ) -> Result<ArtifactPayload, ApiError> {
        let scope = Scope::of(context)?;
        let id = artifact_id(&input.artifact_id)?;
        let with_aliases = input.delete_aliases == Some(true);
        let version = delete::delete(scope.access(), id, with_aliases).await?;
        Ok(ArtifactPayload {
            artifact: Some(Artifact::changed(scope, version.id).await?),
        })
    }

    /// Gives aliases to a version, in collections that have it; whoever had them loses them.
    async fn add_aliases(
        &self,
        context: &Context<'_>,
        input: AddAliasesInput,
    ) -> Result<SuccessPayload, ApiError> {
        let access = Scope::of(context)?.access();
        let id = artifact_id(&input.artifact_id)?;
        update::set_aliases(access, id, &aliases_of(input.aliases), true).await?;
        Ok(SuccessPayload::new(true))
    }

    /// Takes aliases from a version.
    async fn delete_aliases(
        &self,
        context: &Context<'_>,
        input: DeleteAliasesInput,
    ) -> Result<SuccessPayload, ApiError> {
        let access = Scope::of(context)?.access();
        let id = artifact_id(&input.artifact_id)?;
        update::set_aliases(access, id, &aliases_of(input.aliases), false).await?;
        Ok(SuccessPayload::new(true))
    }

    async fn update_artifact_sequence(
        &self,
        context: &Context<'_>,
        input: UpdateArtifactSequenceInput,
    ) -> Result<ArtifactCollectionPayload, ApiError> {
        let (name, description) = (input.name.as_deref(), input.description.as_deref());
        update_collection(context, &input.artifact_sequence_id, name, description).await
    }

    async fn update_artifact_portfolio(
        &self,
        context: &Context<'_>,
        input: UpdateArtifactPortfolioInput,
    ) -> Result<ArtifactCollectionPayload, ApiError> {
        let (name, description) = (input.name.as_deref(), input.description.as_deref());
        update_collection(context, &input.artifact_portfolio_id, name, description).await
    }

    /// Moves a sequence with all of its versions to another type.
    async fn move_artifact_sequence(
        &self,
        context: &Context<'_>,
        input: MoveArtifactSequenceInput,
    ) -> Result<ArtifactCollectionPayload, ApiError> {
        let access = Scope::of(context)?.access();
        let id = collection_id(&input.artifact_sequence_id)?;
        let name = &input.destination_artifact_type_name;
        let row = collections::move_to_type(access, id, name).await?;
        Ok(ArtifactCollectionPayload {
            artifact_collection: ArtifactCollection::of(row),
        })
    }

    /// Deletes a sequence with all of its versions.
    async fn delete_artifact_sequence(
        &self,
        context: &Context<'_>,
        input: DeleteArtifactSequenceInput,
    ) -> Result<ArtifactCollectionPayload, ApiError> {
        delete_collection(context, &input.artifact_sequence_id, SEQUENCE).await
    }

    /// Deletes a portfolio; the versions that are linked to it stay.
    async fn delete_artifact_portfolio(
        &self,
        context: &Context<'_>,
        input: DeleteArtifactPortfolioInput,
    ) -> Result<ArtifactCollectionPayload, ApiError> {
        delete_collection(context, &input.artifact_portfolio_id, PORTFOLIO).await
    }

    /// Adds tags to a collection; all that it has then.
    async fn create_artifact_collection_tag_assignments(
        &self,
        context: &Context<'_>,
        input: CreateArtifactCollectionTagAssignmentsInput,
    ) -> Result<TagsPayload, ApiError> {
        let path = [
            input.entity_name.as_str(),
            &input.project_name,
            &input.artifact_collection_name,
        ];
        let words = tag_words(Some(input.tags))?;
        let access = Scope::of(context)?.access();
        let all = collections::set_tags(access, path, &words, true).await?;
        Ok(TagsPayload {
            tags: Tag::all(all),
        })
    }

    async fn delete_artifact_collection_tag_assignments(
        &self,
        context: &Context<'_>,
        input: DeleteArtifactCollectionTagAssignmentsInput,
    ) -> Result<SuccessPayload, ApiError> {
        let path = [
            input.entity_name.as_str(),
            &input.project_name,
            &input.artifact_collection_name,
        ];
        let words = tag_words(Some(input.tags))?;
        let access = Scope::of(context)?.access();
        collections::set_tags(access, path, &words, false).await?;
        Ok(SuccessPayload::new(true))
    }
}

async fn update_collection(
    context: &Context<'_>,
    id: &ID,
    name: Option<&str>,
    description: Option<&str>,
) -> Result<ArtifactCollectionPayload, ApiError> {
    let access = Scope::of(context)?.access();
    let row = collections::update(access, collection_id(id)?, name, description).await?;
    Ok(ArtifactCollectionPayload {
        artifact_collection: ArtifactCollection::of(row),
    })
}

async fn delete_collection(
    context: &Context<'_>,
    id: &ID,
    kind: &str,
) -> Result<ArtifactCollectionPayload, ApiError> {
    let access = Scope::of(context)?.access();
    let row = collections::delete(access, collection_id(id)?, kind).await?;
    Ok(ArtifactCollectionPayload {
        artifact_collection: ArtifactCollection::of(row),
    })
}
