//! Links: versions in portfolios.

use runlane_model::artifact::names;
use runlane_model::limits;

use super::{LATEST, contradiction, find};
use crate::auth::access::{Access, Action};
use crate::error::{ApiError, StoreError};
use crate::store::Connection;
use crate::store::artifacts::collections::{self, CollectionRow, NewCollection};
use crate::store::artifacts::memberships::{self, MembershipRow};
use crate::store::artifacts::versions::{self, VersionRow};
use crate::store::artifacts::{aliases, types};
use crate::store::conflict::retried;

/// What project names of registries begin with.
const REGISTRY_PREFIX: &str = "wandb-registry-";

/// What is linked to where, checked as far as words go.
#[derive(Debug)]
pub(crate) struct NewLink {
    pub(crate) artifact_id: i64,
    pub(crate) target: Target,
    pub(crate) aliases: Vec<String>,
}

/// A portfolio.
#[derive(Debug)]
pub(crate) enum Target {
    /// By its row id.
    Known(i64),
    /// By its name; it is created if it is missing, as is the project.
    Named {
        entity: String,
        project: String,
        name: String,
    },
}

/// Links a version to a portfolio; the place that it has there. It gets the alias `latest` of the portfolio too.
pub(crate) async fn link(
    access: Access<'_>,
    new: &NewLink,
) -> Result<(CollectionRow, MembershipRow), ApiError> {
    if let Target::Named { project, name, .. } = &new.target {
        names::check_collection_name(name)?;
        limits::check_project(project).map_err(|error| ApiError::invalid(error.to_string()))?;
        if project.starts_with(REGISTRY_PREFIX) {
            return Err(ApiError::new(
                http::StatusCode::NOT_IMPLEMENTED,
                "not_yet",
                "linking to a registry needs registries, which come with a later version of runlane; \
                link to a collection of a project, such as `model-registry`",
            ));
        }
    }
    retried!(attempt(access, new))
}

async fn attempt(
    access: Access<'_>,
    new: &NewLink,
) -> Result<(CollectionRow, MembershipRow), ApiError> {
    let state = access.state();
    let now = state.clock.now_micros();
    let mut writer = state.store.writer().await?;
    let version = find::existing(access, &mut writer, new.artifact_id).await?;
    let portfolio = portfolio(access, &mut writer, &new.target, &version, now).await?;
    versions::lock(&mut writer, version.id).await?;
    let current = versions::by_id(&mut writer, version.id).await?;
    if !current.is_some_and(|current| current.is_committed() && !current.is_deleted()) {
        return Err(contradiction(format!(
            "artifact `{}` cannot be linked before it is committed",
            version.sequence
        )));
    }
    let mut place = memberships::find(&mut writer, portfolio.id, version.id).await?;
    if place.is_none() {
        let index = collections::take_version(&mut writer, portfolio.id, now).await?;
        let id = memberships::insert(&mut writer, portfolio.id, version.id, index, now).await?;
        place = memberships::by_id(&mut writer, id).await?;
    }
    let place = place.ok_or_else(|| ApiError::unavailable("the new link is missing"))?;
    for alias in new.aliases.iter().map(String::as_str).chain([LATEST]) {
        aliases::give(&mut writer, portfolio.id, place.id, alias).await?;
    }
    collections::touch(&mut writer, portfolio.id, now).await?;
    writer.commit().await.map_err(StoreError::from)?;
    Ok((portfolio, place))
}

/// The portfolio, locked together with the version's sequence.
async fn portfolio(
    access: Access<'_>,
    connection: &mut Connection,
    target: &Target,
    version: &VersionRow,
    now_micros: i64,
) -> Result<CollectionRow, ApiError> {
    let lock_both = async |connection: &mut Connection, id: i64| {
        for id in [id.min(version.sequence_id), id.max(version.sequence_id)] {
            collections::lock(connection, id).await?;
        }
        Ok::<_, StoreError>(())
    };
    let found = match target {
        Target::Known(id) => {
            lock_both(connection, *id).await?;
            find::locked_collection(access, connection, *id).await?
        }
        Target::Named {
            entity,
            project,
            name,
        } => {
            let (project, _new) = access
                .project_for_runs(connection, entity, project, now_micros)
                .await?;
            if let Some(found) = collections::find(connection, project.id, name).await? {
                lock_both(connection, found.id).await?;
                collections::by_id(connection, found.id)
                    .await?
                    .ok_or(StoreError::Conflict("the collection was just deleted"))?
            } else {
                let source = types::by_id(connection, version.type_id).await?;
                let type_name = source.map(|row| row.name).unwrap_or_default();
                let type_id = types::ensure(connection, project.id, &type_name, now_micros).await?;
                collections::lock(connection, version.sequence_id).await?;
                let made = NewCollection {
                    project_id: project.id,
                    type_id,
                    kind: collections::PORTFOLIO,
                    name,
                    digest_algorithm: &version.digest_algorithm,
                };
                collections::ensure(connection, &made, now_micros).await?
            }
        }
    };
    if found.is_sequence() {
        return Err(contradiction(format!(
            "artifacts are logged to `{}`: link to a collection of another name",
            found.name
        )));
    }
    let source = types::by_id(connection, version.type_id).await?;
    if let Some(source) = source.filter(|source| source.name != found.type_name) {
        return Err(contradiction(format!(
            "collection `{}` is for type `{}`, and the artifact has type `{}`",
            found.name, found.type_name, source.name
        )));
    }
    Ok(found)
}

/// Removes a link with its aliases; whether there was one.
pub(crate) async fn unlink(
    access: Access<'_>,
    artifact_id: i64,
    portfolio_id: i64,
) -> Result<bool, ApiError> {
    retried!(unlink_once(access, artifact_id, portfolio_id))
}

async fn unlink_once(
    access: Access<'_>,
    artifact_id: i64,
    portfolio_id: i64,
) -> Result<bool, ApiError> {
    let state = access.state();
    let now = state.clock.now_micros();
    let mut writer = state.store.writer().await?;
    let portfolio = find::locked_collection(access, &mut writer, portfolio_id).await?;
    if portfolio.is_sequence() {
        return Err(contradiction(format!(
            "`{}` is where the artifact was logged to, not a link: delete the version instead",
            portfolio.name
        )));
    }
    let version = find::existing(access, &mut writer, artifact_id).await?;
    let Some(place) = memberships::find(&mut writer, portfolio.id, version.id).await? else {
        return Ok(false);
    };
    memberships::delete(&mut writer, place.id).await?;
    collections::touch(&mut writer, portfolio.id, now).await?;
    writer.commit().await.map_err(StoreError::from)?;
    Ok(true)
}

/// Notes that a run used a version.
pub(crate) async fn use_by_run(
    access: Access<'_>,
    artifact_id: i64,
    path: (&str, &str, &str),
    used_as: Option<&str>,
) -> Result<VersionRow, ApiError> {
    retried!(use_once(access, artifact_id, path, used_as))
}

async fn use_once(
    access: Access<'_>,
    artifact_id: i64,
    path: (&str, &str, &str),
    used_as: Option<&str>,
) -> Result<VersionRow, ApiError> {
    use crate::store::artifacts::lineage;

    let state = access.state();
    let now = state.clock.now_micros();
    let mut writer = state.store.writer().await?;
    let version = find::existing(access, &mut writer, artifact_id).await?;
    let run = access
        .existing_run(&mut writer, path, Action::Write)
        .await?;
    lineage::add_use(&mut writer, run.id, version.id, used_as, now).await?;
    lineage::touch_run(&mut writer, run.id).await?;
    writer.commit().await.map_err(StoreError::from)?;
    state.live.changed(run.id);
    Ok(version)
}
