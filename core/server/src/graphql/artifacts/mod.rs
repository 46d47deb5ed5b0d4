//! Artifacts: types, collections, versions, and what is in them.

mod artifact;
mod changes;
mod collection;
mod entry_files;
mod labels;
mod links;
mod logging;
mod membership;
mod reads;
mod types;
mod words;

pub(super) use self::artifact::Artifact;
pub(super) use self::changes::ChangeMutation;
pub(super) use self::entry_files::{ContentFile, UploadMultipartUrls};
pub(super) use self::links::LinkMutation;
pub(super) use self::logging::LoggingMutation;
pub(super) use self::reads::{ProjectArtifacts, QueryArtifacts, RunArtifacts};

use async_graphql::ID;

use super::ids;
use crate::error::ApiError;

/// Kinds of ids.
const ARTIFACT: &str = "Artifact";
const COLLECTION: &str = "ArtifactCollection";
const MANIFEST: &str = "ArtifactManifest";
const MEMBERSHIP: &str = "ArtifactCollectionMembership";

fn artifact_id(id: &ID) -> Result<i64, ApiError> {
    ids::parse_numbered(ARTIFACT, id)
        .map_err(|_other| ApiError::invalid("this is not the id of an artifact"))
}

fn collection_id(id: &ID) -> Result<i64, ApiError> {
    ids::parse_numbered(COLLECTION, id)
        .map_err(|_other| ApiError::invalid("this is not the id of an artifact collection"))
}
