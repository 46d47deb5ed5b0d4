//! Bytes for clients that know a digest and have no URL:
//!
//! - `/artifactsV2/{region}/{entity}/{project}/{collection}/[{artifact id}/]{birth artifact id}/{digest}/{file name}`
//! - `/artifacts/{entity}/{digest}`, from manifests without a storage layout.
//!
//! A digest gives bytes only to those who may read a version that has them. The region does not matter, there is one; nor does the
//! artifact that the bytes came with first, which may be deleted.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use runlane_model::artifact::digest::Digest;

use super::download;
use crate::auth::Caller;
use crate::auth::access::{Access, Action};
use crate::error::ApiError;
use crate::extract::ApiPath;
use crate::graphql::ids;
use crate::state::AppState;
use crate::store::blobs::by_digest;
use crate::store::projects;

/// A file of a version in a collection.
pub(crate) async fn in_collection(
    State(state): State<AppState>,
    Extension(Caller(account)): Extension<Caller>,
    ApiPath(path): ApiPath<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let place = Place::parse(&path)?;
    let blob = {
        let mut reader = state.store.reader().await?;
        let access = Access::new(&state, &account);
        let project = access
            .project(&mut reader, place.entity, place.project, Action::Read)
            .await?
            .ok_or_else(not_there)?;
        by_digest::in_collection(
            &mut reader,
            project.id,
            place.collection,
            place.artifact_id,
            place.digest,
        )
        .await?
        .ok_or_else(not_there)?
    };
    download::serve(&state, &blob, place.name, &headers).await
}

/// A file of any version of an entity.
pub(crate) async fn in_entity(
    State(state): State<AppState>,
    Extension(Caller(account)): Extension<Caller>,
    ApiPath((entity, digest)): ApiPath<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let digest = digest_of(&digest)?;
    let access = Access::new(&state, &account);
    let entity = access.entity_name(&entity);
    let mut found = None;
    {
        let mut reader = state.store.reader().await?;
        for id in by_digest::projects_with(&mut reader, &entity, digest).await? {
            let Some(project) = projects::by_id(&mut reader, id).await? else {
                continue;
            };
            if access
                .check_project(&mut reader, &project, Action::Read)
                .await?
            {
                found = by_digest::in_project(&mut reader, id, digest).await?;
                break;
            }
        }
    }
    let blob = found.ok_or_else(not_there)?;
    download::serve(&state, &blob, &digest.hex(), &headers).await
}

fn not_there() -> ApiError {
    ApiError::not_found("no artifact that you may read there has a file with this digest")
}

fn digest_of(text: &str) -> Result<Digest, ApiError> {
    Digest::from_hex(text).ok_or_else(|| ApiError::malformed("a digest is 32 hexadecimal digits"))
}

/// What the longer form of a path says.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    entity: &'a str,
    project: &'a str,
    collection: &'a str,
    artifact_id: Option<i64>,
    digest: Digest,
    name: &'a str,
}

impl<'a> Place<'a> {
    /// Takes a path apart, which is decoded already: neither names nor ids have slashes.
    fn parse(path: &'a str) -> Result<Self, ApiError> {
        let segments: Vec<&str> = path.split('/').collect();
        let (place, artifact, digest, name) = match segments.as_slice() {
            [_region, place @ .., _birth, digest, name] if place.len() == 3 => {
                (place, None, digest, name)
            }
            [_region, place @ .., artifact, _birth, digest, name] if place.len() == 3 => {
                (place, Some(artifact), digest, name)
            }
            _ => {
                return Err(ApiError::malformed(
                    "the path is `region/entity/project/collection/[artifact id/]birth artifact id/digest/file name`",
                ));
            }
        };
        Ok(Self {
            entity: place[0],
            project: place[1],
            collection: place[2],
            artifact_id: artifact
                .map(|id| ids::parse_numbered("Artifact", id))
                .transpose()?,
            digest: digest_of(digest)?,
            name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "5d41402abc4b2a76b9719d911017c592";

    #[test]
    fn both_forms_are_taken_apart() {
        let short = format!("default/e/p/c/QXJ0aWZhY3Q6MQ==/{DIGEST}/a b.txt");
        let place = Place::parse(&short).expect("a place");
        assert_eq!(
            (place.entity, place.project, place.collection),
            ("e", "p", "c")
        );
        assert_eq!((place.artifact_id, place.name), (None, "a b.txt"));
        assert_eq!(place.digest.hex(), DIGEST);
        let long = format!("eu/e/p/c/QXJ0aWZhY3Q6Mzc=//{DIGEST}/a.txt");
        let place = Place::parse(&long).expect("a place");
        assert_eq!((place.artifact_id, place.name), (Some(37), "a.txt"));
        let unborn = format!("default/e/p/c//{DIGEST}/a.txt");
        assert_eq!(Place::parse(&unborn).expect("a place").artifact_id, None);
    }

    #[test]
    fn other_paths_are_refused() {
        for path in [
            String::new(),
            format!("{DIGEST}/a.txt"),
            format!("r/e/p/c/a/b/c/{DIGEST}/a.txt"),
            "r/e/p/c/b/nodigest/a.txt".to_owned(),
            format!("r/e/p/c/%%%/b/{DIGEST}/a.txt"),
            format!("r/e/p/c/UnVuOjE=/b/{DIGEST}/a.txt"),
        ] {
            assert!(Place::parse(&path).is_err(), "{path}");
        }
    }
}
