//! Manifests of versions that are being uploaded.

use runlane_model::artifact::digest::Digest;
use runlane_model::artifact::names;

use super::find;
use crate::auth::access::Access;
use crate::error::{ApiError, StoreError};
use crate::store::artifacts::manifests::{self, ManifestRow, NewManifest};
use crate::store::artifacts::versions;

/// The kinds that manifests have, as on the wire.
pub(crate) const FULL: &str = "FULL";
/// A part: the version is the union of all of them.
pub(crate) const PATCH: &str = "PATCH";
/// What is new against another version.
pub(crate) const INCREMENTAL: &str = "INCREMENTAL";
/// Manifests of one version; each writer of a distributed one has one.
const MOST: usize = 10_000;

/// A manifest that is to come.
#[derive(Debug)]
pub(crate) struct Announced<'a> {
    pub(crate) artifact_id: i64,
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
    /// Base64 of the MD5 of its file; empty if it is not known yet.
    pub(crate) digest: &'a str,
    pub(crate) base_id: Option<i64>,
}

/// The MD5 that a manifest is announced with; none if it is not known yet.
pub(crate) fn announced_md5(digest: &str) -> Result<Option<Digest>, ApiError> {
    if digest.is_empty() {
        return Ok(None);
    }
    Digest::from_base64(digest)
        .map(Some)
        .ok_or_else(|| ApiError::invalid("`digest` of a manifest is base64 of the MD5 of its file"))
}

/// Makes a manifest of a pending version. There is one full one: another one takes its place.
pub(crate) async fn create(
    access: Access<'_>,
    announced: &Announced<'_>,
) -> Result<ManifestRow, ApiError> {
    announced_md5(announced.digest)?;
    names::check_entry_path(announced.name)?;
    let state = access.state();
    let now = state.clock.now_micros();
    let mut writer = state.store.writer().await?;
    let version = find::pending(access, &mut writer, announced.artifact_id).await?;
    versions::lock(&mut writer, version.id).await?;
    // Committed in between?
    let version = find::pending(access, &mut writer, version.id).await?;
    if let Some(base_id) = announced.base_id {
        find::existing(access, &mut writer, base_id).await?;
    }
    let existing = manifests::of_version(&mut writer, version.id).await?;
    let full = existing
        .iter()
        .rfind(|row| row.kind == FULL && announced.kind == FULL);
    let id = match full {
        Some(row) if announced.digest.is_empty() => row.id,
        Some(row) => {
            manifests::announce(&mut writer, row.id, announced.digest, announced.base_id).await?;
            row.id
        }
        None if existing.len() >= MOST => {
            return Err(ApiError::invalid(format!(
                "an artifact has at most {MOST} manifests"
            )));
        }
        None => {
            let made = NewManifest {
                artifact_id: version.id,
                kind: announced.kind,
                name: announced.name,
                digest: announced.digest,
                base_id: announced.base_id,
                stored: None,
            };
            manifests::insert(&mut writer, &made, now).await?
        }
    };
    let row = manifests::by_id(&mut writer, id).await?;
    writer.commit().await.map_err(StoreError::from)?;
    row.ok_or_else(|| ApiError::unavailable("the new manifest is missing"))
}

/// Announces the file of a manifest of a pending version.
pub(crate) async fn update(
    access: Access<'_>,
    manifest_id: i64,
    digest: Option<&str>,
    base_id: Option<i64>,
) -> Result<ManifestRow, ApiError> {
    let none = || ApiError::not_found("there is no manifest with this id");
    announced_md5(digest.unwrap_or_default())?;
    let mut writer = access.state().store.writer().await?;
    let row = manifests::by_id(&mut writer, manifest_id)
        .await?
        .ok_or_else(none)?;
    let version = find::pending(access, &mut writer, row.artifact_id).await?;
    versions::lock(&mut writer, version.id).await?;
    find::pending(access, &mut writer, version.id).await?;
    if let Some(base_id) = base_id {
        find::existing(access, &mut writer, base_id).await?;
    }
    let digest = digest.filter(|digest| !digest.is_empty());
    manifests::announce(&mut writer, row.id, digest.unwrap_or(&row.digest), base_id).await?;
    let row = manifests::by_id(&mut writer, row.id).await?;
    writer.commit().await.map_err(StoreError::from)?;
    row.ok_or_else(none)
}
