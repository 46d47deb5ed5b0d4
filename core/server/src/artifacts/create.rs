//! The beginning of a version.

use runlane_model::artifact::digest::{Algorithm, Digest};
use runlane_model::artifact::names;

use super::contradiction;
use crate::auth::access::{Access, Action};
use crate::error::{ApiError, StoreError};
use crate::store::Connection;
use crate::store::artifacts::collections::{self, CollectionRow, NewCollection};
use crate::store::artifacts::versions::{self, Named, NewVersion, VersionRow};
use crate::store::artifacts::{aliases, lineage, memberships, tags, types};
use crate::store::conflict::retried;

/// Characters of an id that a client makes up.
const CLIENT_ID_CHARACTERS: usize = 256;
/// Bytes of a description.
const DESCRIPTION_BYTES: usize = 1 << 20;

/// What somebody logs, checked.
#[derive(Debug)]
pub(crate) struct NewArtifact {
    pub(crate) entity: String,
    pub(crate) project: String,
    /// The run whose output it is; otherwise the user's.
    pub(crate) run: Option<String>,
    pub(crate) type_name: String,
    pub(crate) collection: String,
    pub(crate) digest: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) description: Option<String>,
    pub(crate) aliases: Vec<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) metadata: Option<String>,
    pub(crate) ttl_seconds: Option<i64>,
    pub(crate) history_step: Option<i64>,
    /// Content that is there already makes no new version.
    pub(crate) deduplicated: bool,
    pub(crate) distributed_id: Option<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) sequence_client_id: Option<String>,
}

impl NewArtifact {
    fn check(&self) -> Result<(), ApiError> {
        names::check_artifact_name(&self.collection)?;
        names::check_artifact_type(&self.type_name)?;
        if let Some(metadata) = &self.metadata {
            names::check_metadata(metadata)?;
        }
        check_description(self.description.as_deref())?;
        if Digest::from_hex(&self.digest).is_none() {
            return Err(ApiError::invalid(
                "`digest` is not that of a manifest: 32 hexadecimal digits",
            ));
        }
        let given = [
            &self.distributed_id,
            &self.client_id,
            &self.sequence_client_id,
        ];
        if given
            .into_iter()
            .flatten()
            .any(|id| id.chars().count() > CLIENT_ID_CHARACTERS)
        {
            return Err(ApiError::invalid(format!(
                "`clientID`, `sequenceClientID` and `distributedID` have at most {CLIENT_ID_CHARACTERS} characters"
            )));
        }
        Ok(())
    }
}

/// Refuses descriptions that are too long.
pub(crate) fn check_description(description: Option<&str>) -> Result<(), ApiError> {
    if description.is_some_and(|text| text.len() > DESCRIPTION_BYTES) {
        return Err(ApiError::invalid(format!(
            "`description` is longer than {DESCRIPTION_BYTES} bytes"
        )));
    }
    Ok(())
}

/// The version to upload (pending), or the one that has the content already (committed).
pub(crate) async fn create(access: Access<'_>, new: &NewArtifact) -> Result<VersionRow, ApiError> {
    new.check()?;
    retried!(attempt(access, new))
}

async fn attempt(access: Access<'_>, new: &NewArtifact) -> Result<VersionRow, ApiError> {
    let state = access.state();
    let now = state.clock.now_micros();
    let mut writer = state.store.writer().await?;
    let (project_id, run_id) = if let Some(run) = &new.run {
        let path = (new.entity.as_str(), new.project.as_str(), run.as_str());
        let run = access
            .existing_run(&mut writer, path, Action::Write)
            .await?;
        (run.project_id, Some(run.id))
    } else {
        let (project, _new) = access
            .project_for_runs(&mut writer, &new.entity, &new.project, now)
            .await?;
        (project.id, None)
    };
    let collection = sequence(&mut writer, project_id, new, now).await?;
    if let Some(id) = &new.sequence_client_id {
        versions::name_by_client(&mut writer, id, None, Some(collection.id)).await?;
    }
    let (id, run_changed) = version(access, &mut writer, &collection, new, run_id, now).await?;
    if let (Some(run_id), true) = (run_id, run_changed) {
        lineage::touch_run(&mut writer, run_id).await?;
    }
    let row = versions::by_id(&mut writer, id).await?;
    writer.commit().await.map_err(StoreError::from)?;
    if let (Some(run_id), true) = (run_id, run_changed) {
        state.live.changed(run_id);
    }
    row.ok_or_else(|| ApiError::unavailable("the new artifact is missing"))
}

/// The sequence that it is logged to, locked; created if it is missing.
async fn sequence(
    connection: &mut Connection,
    project_id: i64,
    new: &NewArtifact,
    now_micros: i64,
) -> Result<CollectionRow, ApiError> {
    let found = collections::find(connection, project_id, &new.collection).await?;
    let collection = if let Some(found) = found {
        collections::lock(connection, found.id).await?;
        collections::by_id(connection, found.id)
            .await?
            .ok_or(StoreError::Conflict("the collection was just deleted"))?
    } else {
        let type_id = types::ensure(connection, project_id, &new.type_name, now_micros).await?;
        let made = NewCollection {
            project_id,
            type_id,
            kind: collections::SEQUENCE,
            name: &new.collection,
            digest_algorithm: new.algorithm.on_wire(),
        };
        collections::ensure(connection, &made, now_micros).await?
    };
    if !collection.is_sequence() {
        return Err(contradiction(format!(
            "`{}` is a collection of links: link an artifact to it, or log it under another name",
            collection.name
        )));
    }
    if collection.type_name != new.type_name {
        return Err(contradiction(format!(
            "artifact `{}` has type `{}`, and `{}` was given: all versions of an artifact have one type",
            collection.name, collection.type_name, new.type_name
        )));
    }
    Ok(collection)
}

/// The version, and whether what the run has logged is different now.
async fn version(
    access: Access<'_>,
    connection: &mut Connection,
    collection: &CollectionRow,
    new: &NewArtifact,
    run_id: Option<i64>,
    now: i64,
) -> Result<(i64, bool), ApiError> {
    let known = match &new.client_id {
        Some(client_id) => by_client(connection, collection, new, client_id).await?,
        None => Known::Nothing,
    };
    let mut found = match &known {
        Known::Version(version) => Some(version.as_ref().clone()),
        Known::Nothing | Known::Gone => None,
    };
    if found.is_none()
        && let Some(distributed_id) = &new.distributed_id
    {
        found = versions::distributed(connection, collection.id, distributed_id).await?;
    }
    // The digest of one of several writers says nothing about the whole.
    if found.is_none() && new.deduplicated && new.distributed_id.is_none() {
        let algorithm = new.algorithm.on_wire();
        found = versions::with_digest(connection, collection.id, algorithm, &new.digest).await?;
    }
    let (id, run_changed) = match found {
        Some(version) if version.is_committed() => {
            let is_repeated = matches!(known, Known::Version(_))
                && match run_id {
                    Some(id) if version.run_id != run_id => {
                        lineage::has_output(connection, id, version.id).await?
                    }
                    Some(_) | None => true,
                };
            let run_changed = if is_repeated {
                log_repeated(connection, &version, new).await?;
                false
            } else {
                log_again(connection, &version, new, run_id, now).await?
            };
            (version.id, run_changed)
        }
        Some(version) => {
            versions::lock(connection, version.id).await?;
            let mut words = pending_aliases(&version);
            for alias in &new.aliases {
                if !words.contains(alias) {
                    words.push(alias.clone());
                }
            }
            let words = serde_json::Value::from(words).to_string();
            versions::set_pending_aliases(connection, version.id, &words).await?;
            tags::add(connection, tags::Of::Version(version.id), &new.tags).await?;
            (version.id, false)
        }
        None => (
            insert(access, connection, collection, new, run_id, now).await?,
            false,
        ),
    };
    if let Some(client_id) = &new.client_id {
        match known {
            Known::Gone => versions::rename_by_client(connection, client_id, id).await?,
            Known::Nothing => {
                versions::name_by_client(connection, client_id, Some(id), None).await?;
            }
            Known::Version(_) => {}
        }
    }
    Ok((id, run_changed))
}

/// What a client's id stands for.
enum Known {
    Nothing,
    /// A version that is not there any more.
    Gone,
    Version(Box<VersionRow>),
}

async fn by_client(
    connection: &mut Connection,
    collection: &CollectionRow,
    new: &NewArtifact,
    client_id: &str,
) -> Result<Known, ApiError> {
    let id = match versions::by_client_id(connection, client_id).await? {
        Named::Nothing => return Ok(Known::Nothing),
        Named::Collection => return Err(contradiction("`clientID` names a collection already")),
        Named::Version(id) => id,
    };
    let Some(version) = versions::standing_for(connection, id).await? else {
        return Ok(Known::Gone);
    };
    if version.is_deleted() {
        return Ok(Known::Gone);
    }
    let same = version.sequence_id == collection.id
        && (version.digest == new.digest || new.distributed_id.is_some() || version.is_committed());
    if !same {
        return Err(contradiction("`clientID` names another artifact already"));
    }
    Ok(Known::Version(Box::new(version)))
}

/// Its content is there: the aliases move to it, and the run has logged it too. Whether what the run has logged is different now.
async fn log_again(
    connection: &mut Connection,
    version: &VersionRow,
    new: &NewArtifact,
    run_id: Option<i64>,
    now: i64,
) -> Result<bool, ApiError> {
    give_aliases(connection, version, &new.aliases).await?;
    tags::add(connection, tags::Of::Version(version.id), &new.tags).await?;
    collections::touch(connection, version.sequence_id, now).await?;
    if let Some(run_id) = run_id
        && version.run_id != Some(run_id)
    {
        lineage::add_output(connection, run_id, version.id, now).await?;
    }
    Ok(run_id.is_some())
}

/// The same client logs it in the same run again, most likely as the answer was lost: the aliases that it had moved may have moved on
/// since, and stay there. Those that nobody has are new words for it.
async fn log_repeated(
    connection: &mut Connection,
    version: &VersionRow,
    new: &NewArtifact,
) -> Result<(), ApiError> {
    let mut free = Vec::new();
    for alias in &new.aliases {
        if memberships::with_alias(connection, version.sequence_id, alias)
            .await?
            .is_none()
        {
            free.push(alias.clone());
        }
    }
    give_aliases(connection, version, &free).await?;
    tags::add(connection, tags::Of::Version(version.id), &new.tags).await?;
    Ok(())
}

/// Moves aliases of a locked sequence to one of its versions.
pub(crate) async fn give_aliases(
    connection: &mut Connection,
    version: &VersionRow,
    words: &[String],
) -> Result<(), ApiError> {
    let place = memberships::find(connection, version.sequence_id, version.id)
        .await?
        .ok_or(StoreError::Conflict("the version was just deleted"))?;
    for alias in words {
        aliases::give(connection, version.sequence_id, place.id, alias).await?;
    }
    Ok(())
}

/// The aliases that a pending version will get.
pub(crate) fn pending_aliases(version: &VersionRow) -> Vec<String> {
    serde_json::from_str(&version.pending_aliases).unwrap_or_default()
}

async fn insert(
    access: Access<'_>,
    connection: &mut Connection,
    collection: &CollectionRow,
    new: &NewArtifact,
    run_id: Option<i64>,
    now: i64,
) -> Result<i64, ApiError> {
    let words = serde_json::Value::from(new.aliases.clone()).to_string();
    let made = NewVersion {
        sequence_id: collection.id,
        digest: &new.digest,
        digest_algorithm: new.algorithm.on_wire(),
        description: new.description.as_deref(),
        metadata: new.metadata.as_deref(),
        ttl_seconds: new.ttl_seconds,
        history_step: new.history_step,
        run_id,
        user_id: access.user_id(),
        distributed_id: new.distributed_id.as_deref(),
        pending_aliases: &words,
    };
    let id = versions::insert(connection, &made, now).await?;
    tags::add(connection, tags::Of::Version(id), &new.tags).await?;
    Ok(id)
}
