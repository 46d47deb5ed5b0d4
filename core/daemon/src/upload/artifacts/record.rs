//! What a record says of a version beside its entries.

use runlane_model::artifact::digest::Algorithm;
use runlane_proto::wandb_internal as pb;

/// How the entries of a record become those of the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// They are all there are.
    Full,
    /// Other processes add theirs.
    Patch,
    /// They are added to those of the version before.
    Incremental,
}

impl Kind {
    pub(super) fn of(record: &pb::ArtifactRecord) -> Self {
        if record.incremental_beta1 {
            Self::Incremental
        } else if record.distributed_id.is_empty() {
            Self::Full
        } else {
            Self::Patch
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Patch => "PATCH",
            Self::Incremental => "INCREMENTAL",
        }
    }

    pub(super) fn file_name(self) -> &'static str {
        match self {
            Self::Full => "wandb_manifest.json",
            Self::Patch => "wandb_manifest.patch.json",
            Self::Incremental => "wandb_manifest.incremental.json",
        }
    }
}

/// How the manifest's digest was made.
pub(super) fn algorithm(record: &pb::ArtifactRecord) -> Algorithm {
    record.digest_algorithm.parse().unwrap_or_default()
}

/// Where the bytes are to be stored, if that is not left to the server.
pub(super) fn storage_region(record: &pb::ArtifactRecord) -> Option<String> {
    let config = &record.manifest.as_ref()?.storage_policy_config;
    let item = config.iter().find(|item| item.key == "storageRegion")?;
    let text: String = serde_json::from_str(&item.value_json).ok()?;
    (!text.is_empty()).then_some(text)
}
