//! URLs for the bytes of artifacts, each for one object and one method.
//!
//! - `PUT /storage/artifacts/{version}/{MD5}/{XXH128}`: a file of a version; `-` stands for a digest that is not known;
//! - `PUT /storage/parts/{upload}/{number}/{MD5}`: a part of such a file;
//! - `GET /storage/blobs/{entity}/{object}/{file name}`: its bytes. The object's name is random and never given again;
//! - `PUT` and `GET /storage/manifests/{manifest}/{MD5}`: the file of a manifest.

use runlane_model::artifact::digest::{Algorithm, Digest};

use crate::error::ApiError;
use crate::signer::{Access, Signature};
use crate::state::AppState;
use crate::store::Objects;

/// In place of a digest that is not known.
const UNKNOWN: &str = "-";
/// What keys of blobs begin with.
const BLOBS: &str = "blobs";

/// A new key for the bytes of an entity.
pub(super) fn new_blob_key(entity_id: i64) -> String {
    Objects::new_key(BLOBS, entity_id)
}

/// The key that the parts of a URL stand for.
pub(super) fn blob_key(entity_id: i64, object: &str) -> String {
    format!("{BLOBS}/{entity_id}/{object}")
}

/// Where to `PUT` a file of a version: nothing but bytes with this digest, and with this MD5 if it is known.
pub(crate) fn upload(
    state: &AppState,
    base_url: &str,
    artifact_id: i64,
    algorithm: Algorithm,
    digest: Digest,
    md5: Option<Digest>,
) -> String {
    let (md5, xxh128) = match algorithm {
        Algorithm::Md5 => (Some(digest), None),
        Algorithm::Xxh128 => (md5, Some(digest)),
    };
    let subject = [
        "artifacts",
        &artifact_id.to_string(),
        &text_of(md5),
        &text_of(xxh128),
    ];
    signed(state, base_url, Access::Upload, &subject)
}

/// Where to `PUT` a part of a file.
pub(super) fn part(
    state: &AppState,
    base_url: &str,
    upload_id: &str,
    number: u64,
    md5: Digest,
) -> String {
    let subject = ["parts", upload_id, &number.to_string(), &md5.hex()];
    signed(state, base_url, Access::Upload, &subject)
}

/// Where to `PUT` the file of a manifest, which has this MD5.
pub(crate) fn manifest_upload(
    state: &AppState,
    base_url: &str,
    manifest_id: i64,
    md5: Digest,
) -> String {
    let subject = ["manifests", &manifest_id.to_string(), &md5.hex()];
    signed(state, base_url, Access::Upload, &subject)
}

/// Where to `GET` the file of a manifest.
pub(crate) fn manifest_download(
    state: &AppState,
    base_url: &str,
    manifest_id: i64,
    md5: Digest,
) -> String {
    let subject = ["manifests", &manifest_id.to_string(), &md5.hex()];
    signed(state, base_url, Access::Download, &subject)
}

/// Where to `GET` the bytes in the object of a blob, as the file of the entry `path`, of which the last part becomes the file's name.
pub(crate) fn download(state: &AppState, base_url: &str, object_key: &str, path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let subject: Vec<&str> = object_key.split('/').chain([name]).collect();
    signed(state, base_url, Access::Download, &subject)
}

fn signed(state: &AppState, base_url: &str, access: Access, subject: &[&str]) -> String {
    let now = state.clock.now_micros();
    format!("{base_url}{}", state.signer.url(access, subject, now))
}

fn text_of(digest: Option<Digest>) -> String {
    digest.map_or_else(|| UNKNOWN.to_owned(), Digest::hex)
}

/// The digest that a part of a path stands for.
pub(super) fn digest_of(text: &str) -> Result<Option<Digest>, ApiError> {
    if text == UNKNOWN {
        return Ok(None);
    }
    let digest = Digest::from_hex(text);
    digest
        .map(Some)
        .ok_or_else(|| ApiError::malformed("this URL has no digest where one should be"))
}

/// Refuses a URL that was not made here for `subject` and this method, or that is too old.
pub(super) fn check(
    state: &AppState,
    signature: &Signature,
    access: Access,
    subject: &[&str],
) -> Result<(), ApiError> {
    let now = state.clock.now_micros();
    if state.signer.permits(signature, access, subject, now) {
        return Ok(());
    }
    Err(ApiError::forbidden(
        "signature",
        "this URL is not valid for this, or has expired; ask for a new one",
    ))
}
