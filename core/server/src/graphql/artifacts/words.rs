//! The words of the protocol.

use async_graphql::Enum;
use runlane_model::artifact::digest::Algorithm;

use crate::artifacts::manifests;

/// Whether a collection is there.
#[derive(Enum, Copy, Clone, Eq, PartialEq)]
#[graphql(name = "ArtifactCollectionState")]
pub(crate) enum CollectionState {
    #[graphql(name = "READY")]
    Ready,
    #[graphql(name = "DELETED")]
    Deleted,
}

/// How content is hashed.
#[derive(Enum, Copy, Clone, Eq, PartialEq)]
#[graphql(name = "ArtifactDigestAlgorithm")]
pub(crate) enum DigestAlgorithm {
    #[graphql(name = "MANIFEST_MD5")]
    Md5,
    #[graphql(name = "MANIFEST_XXH128")]
    Xxh128,
}

impl From<DigestAlgorithm> for Algorithm {
    fn from(word: DigestAlgorithm) -> Self {
        match word {
            DigestAlgorithm::Md5 => Self::Md5,
            DigestAlgorithm::Xxh128 => Self::Xxh128,
        }
    }
}

impl DigestAlgorithm {
    /// As it is stored.
    pub(super) fn stored(word: &str) -> Self {
        match word.parse() {
            Ok(Algorithm::Xxh128) => Self::Xxh128,
            _ => Self::Md5,
        }
    }
}

/// What a manifest says of its version.
#[derive(Enum, Copy, Clone, Eq, PartialEq)]
#[graphql(name = "ArtifactManifestType")]
pub(crate) enum ManifestType {
    #[graphql(name = "FULL")]
    Full,
    #[graphql(name = "INCREMENTAL")]
    Incremental,
    #[graphql(name = "PATCH")]
    Patch,
}

impl ManifestType {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Full => manifests::FULL,
            Self::Incremental => manifests::INCREMENTAL,
            Self::Patch => manifests::PATCH,
        }
    }
}

/// Where a version is in its life.
#[derive(Enum, Copy, Clone, Eq, PartialEq)]
#[graphql(name = "ArtifactState")]
pub(crate) enum ArtifactState {
    #[graphql(name = "PENDING")]
    Pending,
    #[graphql(name = "COMMITTED")]
    Committed,
    #[graphql(name = "DELETED")]
    Deleted,
}

/// How W&B's servers name objects; it makes no difference here.
#[derive(Enum, Copy, Clone, Eq, PartialEq)]
#[graphql(name = "ArtifactStorageLayout")]
pub(crate) enum StorageLayout {
    V1,
    V2,
}

/// What is done with the parts of a file.
#[derive(Enum, Copy, Clone, Eq, PartialEq)]
#[graphql(name = "CompleteMultipartAction")]
pub(crate) enum CompleteMultipartAction {
    #[graphql(name = "Complete")]
    Complete,
}
