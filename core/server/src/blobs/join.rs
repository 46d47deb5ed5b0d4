//! Parts become one object: read in pieces, hashed and written while the next piece is being read.

use bytes::Bytes;
use http::StatusCode;
use runlane_model::artifact::digest::{Algorithm, Digest, Hasher};

use super::{multipart, upload, urls};
use crate::error::{ApiError, StoreError};
use crate::state::AppState;
use crate::store::blobs::uploads::{self, PartRow, Upload};
use crate::store::blobs::{self, NewBlob};
use crate::store::conflict::Retries;

/// What is read, hashed and written at a time; three of them are in memory for each file that is being joined.
const PIECE_BYTES: u64 = 4 << 20;

/// Copies the parts of `upload` into one object and makes it the entity's blob.
pub(super) async fn join(state: &AppState, upload: &Upload) -> Result<(), ApiError> {
    let (entity_id, parts) = {
        let mut reader = state.store.reader().await?;
        let place = upload::pending(&mut reader, upload.artifact_id, false).await?;
        (
            place.entity_id,
            uploads::parts(&mut reader, upload.id).await?,
        )
    };
    // Somebody else may have joined them, and taken them away, since this was asked for.
    multipart::check_complete(upload, &parts)?;
    let parts: Vec<PartRow> = parts.into_values().take(upload.parts.len()).collect();
    let size = parts.iter().map(|part| part.size_bytes).sum::<i64>();
    let bytes = u64::try_from(size).unwrap_or(u64::MAX);
    let largest = state.store.objects.largest(Some(bytes));
    let largest = largest.min(state.limits.artifact_file_bytes);
    if bytes > largest {
        return Err(ApiError::too_large(format!(
            "a file of an artifact may have {largest} bytes at most; the parts have {bytes}"
        )));
    }
    let key = urls::new_blob_key(entity_id);
    let (md5, xxh128) = copy(state, &parts, &key, bytes, upload).await?;
    let blob = NewBlob {
        entity_id,
        md5,
        xxh128,
        size_bytes: size,
        object_key: &key,
    };
    let mut retries = Retries::default();
    let done = loop {
        match commit(state, upload, &blob).await {
            Err(error) if retries.again(&error).await => {}
            done => break done,
        }
    };
    match done {
        Ok((used, superfluous)) => {
            if used != key {
                state.store.objects.remove(&key).await;
            }
            for key in superfluous {
                state.store.objects.remove(&key).await;
            }
            Ok(())
        }
        Err(error) => {
            state.objects_give_up(&key, &error).await;
            Err(error)
        }
    }
}

/// Writes all parts into the object `key`; the digests of the whole, of which one is what was announced.
async fn copy(
    state: &AppState,
    parts: &[PartRow],
    key: &str,
    bytes: u64,
    upload: &Upload,
) -> Result<(Digest, Digest), ApiError> {
    let objects = &state.store.objects;
    let mut writer = objects.writer(key, Some(bytes));
    let mut hashers = (Hasher::new(Algorithm::Md5), Hasher::new(Algorithm::Xxh128));
    let mut pieces = parts.iter().flat_map(pieces_of);
    let mut ahead = read(state, pieces.next()).await?;
    while let Some(piece) = ahead {
        let hashed = piece.clone();
        let hashing = tokio::task::spawn_blocking(move || {
            hashers.0.update(&hashed);
            hashers.1.update(&hashed);
            hashers
        });
        let (next, written, done) =
            tokio::join!(read(state, pieces.next()), writer.write(piece), hashing);
        let stopped = |_panic| ApiError::unavailable("the parts were not hashed; try again");
        hashers = done.map_err(stopped)?;
        written?;
        ahead = next?;
    }
    let (md5, xxh128) = (hashers.0.finish(), hashers.1.finish());
    let found = match upload.algorithm {
        Algorithm::Md5 => md5,
        Algorithm::Xxh128 => xxh128,
    };
    if found != upload.digest {
        writer.abort().await;
        return Err(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "digest",
            format!(
                "the parts together have the {} `{found}`, and `{}` was announced; was the file changed while it was sent?",
                upload.algorithm.as_str(),
                upload.digest
            ),
        ));
    }
    if let Err(error) = writer.finish().await {
        objects.remove(key).await;
        return Err(error.into());
    }
    Ok((md5, xxh128))
}

/// The byte ranges in which a part is read.
fn pieces_of(part: &PartRow) -> impl Iterator<Item = (&str, std::ops::Range<u64>)> {
    let size = u64::try_from(part.size_bytes).unwrap_or(0);
    (0..size.div_ceil(PIECE_BYTES)).map(move |number| {
        let start = number * PIECE_BYTES;
        (
            part.object_key.as_str(),
            start..(start + PIECE_BYTES).min(size),
        )
    })
}

async fn read(
    state: &AppState,
    piece: Option<(&str, std::ops::Range<u64>)>,
) -> Result<Option<Bytes>, StoreError> {
    let Some((key, range)) = piece else {
        return Ok(None);
    };
    let bytes = state.store.objects.ranges(key, &[range]).await?;
    Ok(bytes.into_iter().next())
}

/// Makes the row of the whole and takes the parts away; the key of the object that the row names, and those of the parts' objects.
async fn commit(
    state: &AppState,
    upload: &Upload,
    blob: &NewBlob<'_>,
) -> Result<(String, Vec<String>), ApiError> {
    let now = state.clock.now_micros();
    let mut writer = state.store.writer().await?;
    upload::pending(&mut writer, upload.artifact_id, true).await?;
    // Begun again with other parts meanwhile: the bytes are those of the digest nevertheless.
    uploads::find(&mut writer, &upload.public_id, true).await?;
    let row = blobs::add(&mut writer, blob, now).await?;
    let superfluous = uploads::remove_parts(&mut writer, upload.id).await?;
    uploads::complete(&mut writer, upload.id, now).await?;
    blobs::note_activity(&mut writer, upload.artifact_id, now).await?;
    writer.commit().await.map_err(StoreError::from)?;
    Ok((row.object_key, superfluous))
}
