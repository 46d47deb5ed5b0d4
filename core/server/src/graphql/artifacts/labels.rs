//! Tags and aliases.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::page::PageInfo;
use super::super::scalars::JsonString;
use super::super::{Scope, ids};
use super::collection::ArtifactCollection;
use crate::error::ApiError;
use crate::store::artifacts::aliases::AliasRow;
use crate::store::artifacts::collections;

/// A tag of a version or a collection.
#[derive(SimpleObject)]
pub(crate) struct Tag {
    id: ID,
    name: String,
}

impl Tag {
    pub(super) fn all(names: Vec<String>) -> Vec<Self> {
        let tag = |name: String| Self {
            id: ID(STANDARD.encode(format!("Tag:{name}"))),
            name,
        };
        names.into_iter().map(tag).collect()
    }
}

#[derive(SimpleObject)]
pub(crate) struct TagConnection {
    edges: Vec<TagEdge>,
}

impl TagConnection {
    pub(super) fn new(names: Vec<String>) -> Self {
        let edges = Tag::all(names).into_iter().map(|node| TagEdge { node });
        Self {
            edges: edges.collect(),
        }
    }
}

#[derive(SimpleObject)]
pub(crate) struct TagEdge {
    node: Tag,
}

/// A movable name of a version in a collection.
pub(crate) struct ArtifactAlias(pub(super) AliasRow);

#[Object(name = "ArtifactAlias")]
impl ArtifactAlias {
    async fn id(&self) -> ID {
        ids::numbered("ArtifactAlias", self.0.id)
    }

    async fn alias(&self) -> &str {
        &self.0.alias
    }

    async fn artifact_collection(
        &self,
        context: &Context<'_>,
    ) -> Result<Option<ArtifactCollection>, ApiError> {
        let scope = Scope::of(context)?;
        let mut reader = scope.state.store.reader().await?;
        let row = collections::by_id(&mut reader, self.0.collection_id).await?;
        Ok(row.map(ArtifactCollection::of))
    }
}

#[derive(SimpleObject)]
pub(crate) struct ArtifactAliasConnection {
    pub(super) total_count: i64,
    pub(super) page_info: PageInfo,
    pub(super) edges: Vec<ArtifactAliasEdge>,
}

#[derive(SimpleObject)]
pub(crate) struct ArtifactAliasEdge {
    pub(super) node: Option<ArtifactAlias>,
}

/// An alias that a version gets. Its collection is the one that the change is about.
#[derive(InputObject)]
pub(crate) struct ArtifactAliasInput {
    artifact_collection_name: String,
    alias: String,
}

impl ArtifactAliasInput {
    /// The alias alone.
    pub(super) fn word(self) -> String {
        self.alias
    }
}

/// The words of aliases that are all of `collection`.
pub(super) fn alias_words(
    given: Option<Vec<ArtifactAliasInput>>,
    collection: &str,
) -> Result<Vec<String>, ApiError> {
    let mut words = Vec::new();
    for one in given.unwrap_or_default() {
        if one.artifact_collection_name != collection {
            return Err(ApiError::invalid(format!(
                "alias `{}` is of collection `{}`, and the artifact goes to `{collection}`",
                one.alias, one.artifact_collection_name
            )));
        }
        words.push(one.alias);
    }
    Ok(words)
}

/// A tag that something gets or loses; tags have neither categories nor attributes here.
#[derive(InputObject)]
pub(crate) struct TagInput {
    tag_name: String,
    tag_category_name: Option<String>,
    attributes: Option<JsonString>,
}

/// Checked names.
pub(super) fn tag_words(given: Option<Vec<TagInput>>) -> Result<Vec<String>, ApiError> {
    let names = given.unwrap_or_default().into_iter();
    crate::artifacts::checked_tags(names.map(|tag| tag.tag_name).collect())
}
