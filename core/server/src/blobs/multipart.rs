//! Files in parts: begun with the MD5 of every part, `PUT /storage/parts/…` one by one in any order, and joined at the end.
//!
//! A part is an object of its own until all are there; then they are copied, one after the other, into one object, whose digest must be
//! the one that was announced. An upload that is begun again (the same file of the same version) is the same upload: parts that are
//! there are said to be, whichever process took them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use http::{HeaderMap, StatusCode};
use runlane_model::artifact::digest::{Algorithm, Digest};
use runlane_model::artifact::parts::{MOST_PARTS, PartDigest};
use tokio::sync::Semaphore;

use super::{join, upload, urls};
use crate::auth::token;
use crate::error::{ApiError, IN_PROGRESS, StoreError};
use crate::extract::{ApiPath, ApiQuery};
use crate::receive::{Announced, Received, receive};
use crate::signer::{Access, Signature};
use crate::single_flight::{Flights, Waited};
use crate::state::AppState;
use crate::store::blobs;
use crate::store::blobs::uploads::{self, NewUpload, PartRow, Upload};
use crate::store::conflict::Retries;
use crate::store::{Connection, Objects};

/// Files that are joined at the same time by one process.
const JOINS: usize = 2;
/// Missing parts that a message names.
const NAMED_PARTS: usize = 10;

/// An upload that was begun.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) upload_id: String,
    /// In the order in which they were asked for.
    pub(crate) parts: Vec<BegunPart>,
}

/// A part, and where it goes.
#[derive(Debug)]
pub(crate) struct BegunPart {
    pub(crate) part_number: u64,
    pub(crate) upload_url: String,
    /// The same bytes are there already.
    pub(crate) is_stored: bool,
}

/// Begins the upload of a file in parts, or goes on with it.
pub(crate) async fn begin(
    state: &AppState,
    base_url: &str,
    artifact_id: i64,
    path: &str,
    algorithm: Algorithm,
    digest: Digest,
    parts: &[PartDigest],
) -> Result<Begun, ApiError> {
    let in_order = in_order(path, parts)?;
    let new_id = token::hex(&token::random_bytes::<16>());
    let new = NewUpload {
        artifact_id,
        path,
        algorithm,
        digest,
        parts: &in_order,
        public_id: &new_id,
    };
    let mut retries = Retries::default();
    let (upload, there) = loop {
        match begin_once(state, &new).await {
            Err(error) if retries.again(&error).await => {}
            done => break done?,
        }
    };
    let parts = parts.iter().map(|part| BegunPart {
        part_number: part.number,
        upload_url: urls::part(state, base_url, &upload.public_id, part.number, part.md5),
        is_stored: there
            .get(&part.number)
            .is_some_and(|row| row.md5 == part.md5.hex()),
    });
    Ok(Begun {
        parts: parts.collect(),
        upload_id: upload.public_id,
    })
}

async fn begin_once(
    state: &AppState,
    new: &NewUpload<'_>,
) -> Result<(Upload, BTreeMap<u64, PartRow>), ApiError> {
    let now = state.clock.now_micros();
    let mut writer = state.store.writer().await?;
    upload::pending(&mut writer, new.artifact_id, true).await?;
    let upload = uploads::begin(&mut writer, new, now).await?;
    let there = uploads::parts(&mut writer, upload.id).await?;
    blobs::note_activity(&mut writer, new.artifact_id, now).await?;
    writer.commit().await.map_err(StoreError::from)?;
    Ok((upload, there))
}

/// The parts' MD5 from part 1 on; an error if a number is missing or there twice.
fn in_order(path: &str, parts: &[PartDigest]) -> Result<Vec<Digest>, ApiError> {
    let count = parts.len() as u64;
    if count == 0 || count > MOST_PARTS {
        return Err(ApiError::invalid(format!(
            "`{path}` is to come in {count} parts; a file has 1 to {MOST_PARTS}"
        )));
    }
    let by_number: BTreeMap<u64, Digest> =
        parts.iter().map(|part| (part.number, part.md5)).collect();
    if !by_number.keys().copied().eq(1..=count) {
        return Err(ApiError::invalid(format!(
            "the parts of `{path}` must have the numbers 1 to {count}, each once"
        )));
    }
    Ok(by_number.into_values().collect())
}

/// Takes one part; answers when it is durable and known.
pub(crate) async fn put(
    State(state): State<AppState>,
    ApiPath((upload_id, number, md5)): ApiPath<(String, u64, String)>,
    ApiQuery(signature): ApiQuery<Signature>,
    headers: HeaderMap,
    body: Body,
) -> Result<impl IntoResponse, ApiError> {
    let subject = ["parts", &upload_id, &number.to_string(), &md5];
    urls::check(&state, &signature, Access::Upload, &subject)?;
    let md5 = urls::digest_of(&md5)?;
    let announced = Announced::by_headers(
        "a part of a file",
        &headers,
        state.limits.artifact_part_bytes,
    )?
    .with(Algorithm::Md5, md5);
    let (artifact_id, entity_id) = {
        let mut reader = state.store.reader().await?;
        let upload = open_for(&mut reader, &upload_id, number, md5, false).await?;
        let place = upload::pending(&mut reader, upload.artifact_id, false).await?;
        (upload.artifact_id, place.entity_id)
    };
    let key = Objects::new_key("parts", entity_id);
    let received = receive(&state, &key, body, &announced).await?;
    let mut retries = Retries::default();
    let done = loop {
        match commit_part(&state, artifact_id, (&upload_id, number), &key, received).await {
            Err(error) if retries.again(&error).await => {}
            done => break done,
        }
    };
    match done {
        Ok(superfluous) => {
            if let Some(superfluous) = superfluous {
                state.store.objects.remove(&superfluous).await;
            }
            Ok(upload::answer(received))
        }
        Err(error) => {
            state.objects_give_up(&key, &error).await;
            Err(error)
        }
    }
}

/// The upload, if its part `number` is to have this MD5 and it still takes parts.
async fn open_for(
    connection: &mut Connection,
    upload_id: &str,
    number: u64,
    md5: Option<Digest>,
    lock: bool,
) -> Result<Upload, ApiError> {
    let upload = uploads::find(connection, upload_id, lock)
        .await?
        .ok_or_else(gone)?;
    if upload.completed {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "completed",
            "the parts of this file have been joined already",
        ));
    }
    let index = usize::try_from(number)
        .ok()
        .and_then(|number| number.checked_sub(1));
    let wanted = index.and_then(|index| upload.parts.get(index).copied());
    if wanted.is_none() || wanted != md5 {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "other_parts",
            "the file was begun again with other parts since; ask for new URLs",
        ));
    }
    Ok(upload)
}

fn gone() -> ApiError {
    ApiError::not_found("there is no such upload; it was never begun, or its version is gone")
}

/// Puts the part in its place; the key of an object that is superfluous then.
async fn commit_part(
    state: &AppState,
    artifact_id: i64,
    (upload_id, number): (&str, u64),
    key: &str,
    received: Received,
) -> Result<Option<String>, ApiError> {
    let now = state.clock.now_micros();
    let mut writer = state.store.writer().await?;
    let md5 = Some(received.md5);
    upload::pending(&mut writer, artifact_id, false).await?;
    // The version before its upload, as whoever begins one locks them.
    blobs::note_activity(&mut writer, artifact_id, now).await?;
    let upload = open_for(&mut writer, upload_id, number, md5, true).await?;
    let there = uploads::part(&mut writer, upload.id, number).await?;
    if there.is_some_and(|row| row.md5 == received.md5.hex()) {
        return Ok(Some(key.to_owned()));
    }
    let part = PartRow {
        part_number: i64::try_from(number).unwrap_or(i64::MAX),
        md5: received.md5.hex(),
        size_bytes: received.size_bytes(),
        object_key: key.to_owned(),
    };
    let old = uploads::set_part(&mut writer, upload.id, &part).await?;
    writer.commit().await.map_err(StoreError::from)?;
    Ok(old)
}

/// The files whose parts this process is joining, by the id of the upload.
pub(crate) struct Joins {
    running: Flights<String, Result<(), ApiError>>,
    turns: Arc<Semaphore>,
}

impl Default for Joins {
    fn default() -> Self {
        Self {
            running: Flights::default(),
            turns: Arc::new(Semaphore::new(JOINS)),
        }
    }
}

/// Joins the parts of a file; its digest. Done again, it only says so. A file that takes long to join goes on being joined when this
/// answers 503: asked again, it waits again.
pub(crate) async fn complete(
    state: &AppState,
    artifact_id: i64,
    upload_id: &str,
) -> Result<Digest, ApiError> {
    let (upload, parts) = {
        let mut reader = state.store.reader().await?;
        let upload = uploads::find(&mut reader, upload_id, false).await?;
        let upload = upload
            .filter(|upload| upload.artifact_id == artifact_id)
            .ok_or_else(gone)?;
        let place = blobs::place(&mut reader, artifact_id, false).await?;
        let place = place.ok_or_else(gone)?;
        let (algorithm, digest) = (upload.algorithm, upload.digest);
        let blob = blobs::find(&mut reader, place.entity_id, algorithm, digest).await?;
        if upload.completed && blob.is_some() {
            // Whatever has become of the version since.
            return Ok(digest);
        }
        upload::pending(&mut reader, artifact_id, false).await?;
        let parts = uploads::parts(&mut reader, upload.id).await?;
        (upload, parts)
    };
    let digest = upload.digest;
    check_complete(&upload, &parts)?;
    let key = upload.public_id.clone();
    // What breaks off leaves an object that no row names.
    let work = || {
        let state = state.clone();
        async move {
            let turn = Arc::clone(&state.joins.turns).acquire_owned().await;
            let done = join::join(&state, &upload).await;
            drop(turn);
            done
        }
    };
    let waited = state.joins.running.join(key, state.limits.join_wait, work);
    match waited.await {
        Waited::Done(done) => done.map(|()| digest),
        Waited::BrokenOff => Err(ApiError::unavailable(
            "the parts were not joined; try again",
        )),
        Waited::Longer => Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            IN_PROGRESS,
            "the parts are being joined into one file; ask again",
        )),
    }
}

pub(super) fn check_complete(
    upload: &Upload,
    there: &BTreeMap<u64, PartRow>,
) -> Result<(), ApiError> {
    let missing: Vec<u64> = (1..)
        .zip(&upload.parts)
        .filter(|(number, md5)| there.get(number).is_none_or(|row| row.md5 != md5.hex()))
        .map(|(number, _)| number)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = missing
        .iter()
        .take(NAMED_PARTS)
        .map(u64::to_string)
        .collect();
    let more = missing.len().saturating_sub(NAMED_PARTS);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    Err(ApiError::invalid(format!(
        "{} of {} parts are missing: {}{more}; send them and complete the upload again",
        missing.len(),
        upload.parts.len(),
        named.join(", ")
    )))
}
