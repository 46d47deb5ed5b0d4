//! The server's description of itself.

use async_graphql::{Object, SimpleObject};
use serde_json::json;

use super::scalars::Json;

/// What this server can do beyond the first clients; each name stands for something that works.
const FEATURES: [&str; 17] = [
    "LARGE_FILENAMES",
    "ARTIFACT_TAGS",
    "CLIENT_IDS",
    "ARTIFACT_COLLECTION_MEMBERSHIP_FILES",
    "PROJECT_ARTIFACT_COLLECTION_MEMBERSHIP",
    "USE_ARTIFACT_WITH_ENTITY_AND_PROJECT_INFORMATION",
    "ARTIFACT_MEMBERSHIP_IN_LINK_ARTIFACT_RESPONSE",
    "ARTIFACT_DIGEST_ALGORITHM",
    "ARTIFACT_COLLECTIONS_FILTERING_SORTING",
    "ARTIFACT_V2_DOWNLOAD_HANDLER_SUPPORTS_ARTIFACT_ID",
    "STRUCTURED_CONSOLE_LOGS",
    "FILESTREAM_GZIP",
    "TOTAL_COUNT_IN_FILE_CONNECTION",
    "MARK_RUN_FILES_UPLOADED",
    "RUNLANE_FAST_STREAM",
    "RUNLANE_BULK_HISTORY",
    "RUNLANE_RESUMABLE_PARTS",
];

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
