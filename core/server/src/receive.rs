//! A body that becomes an object: streamed, bounded, and compared with what was announced of it.

use std::time::Duration;

use axum::body::Body;
use http::HeaderMap;
use runlane_model::artifact::digest::{Algorithm, Digest, Hasher};

use crate::error::ApiError;
use crate::extract::body::{content_length, next_frame, too_slow};
use crate::state::AppState;

/// An upload that takes longer than this could be taken for a leftover when it ends.
const MAX_UPLOAD_TIME: Duration = Duration::from_hours(24);

/// What is known of a body before it arrives.
#[derive(Debug)]
pub(crate) struct Announced {
    /// What is received, for messages: `a run file`.
    pub(crate) what: &'static str,
    pub(crate) length: Option<u64>,
    /// What its digests have to be.
    pub(crate) digests: Vec<(Algorithm, Digest)>,
    /// The most bytes that it may have.
    pub(crate) largest: u64,
}

/// A body that is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received {
    pub(crate) size: u64,
    pub(crate) md5: Digest,
    pub(crate) xxh128: Digest,
}

impl Received {
    /// The size as databases have it.
    pub(crate) fn size_bytes(self) -> i64 {
        i64::try_from(self.size).unwrap_or(i64::MAX)
    }

    /// Its MD5 as S3 has it in `ETag`.
    pub(crate) fn etag(self) -> String {
        format!("\"{}\"", self.md5)
    }
}

impl Announced {
    /// What the headers of an upload announce, and that it has `largest` bytes at most.
    pub(crate) fn by_headers(
        what: &'static str,
        headers: &HeaderMap,
        largest: u64,
    ) -> Result<Self, ApiError> {
        // Stores whose URLs look alike copy what such a header names, with the rights of the URL.
        if let Some(name) = headers
            .keys()
            .find(|name| name.as_str().contains("copy-source"))
        {
            return Err(ApiError::forbidden(
                "signature",
                format!("an upload takes its body, not what `{name}` says"),
            ));
        }
        let mut announced = Self {
            what,
            length: content_length(headers),
            digests: Vec::new(),
            largest,
        };
        if let Some(value) = headers.get("content-md5") {
            let digest = value.to_str().ok().and_then(Digest::from_base64);
            let digest = digest.ok_or_else(|| {
                ApiError::malformed("`Content-MD5` is not the base64 of an MD5 digest")
            })?;
            announced.digests.push((Algorithm::Md5, digest));
        }
        Ok(announced)
    }

    /// Says one digest more that the bytes must have.
    pub(crate) fn with(mut self, algorithm: Algorithm, digest: Option<Digest>) -> Self {
        self.digests
            .extend(digest.map(|digest| (algorithm, digest)));
        self
    }

    fn too_large(&self, largest: u64) -> ApiError {
        ApiError::too_large(format!("{} may have {largest} bytes at most", self.what))
    }

    fn check(&self, received: Received) -> Result<(), ApiError> {
        if let Some(length) = self.length.filter(|length| *length != received.size) {
            return Err(ApiError::malformed(format!(
                "the body has {} bytes, and its headers announce {length}",
                received.size
            )));
        }
        for (algorithm, wanted) in &self.digests {
            let found = match algorithm {
                Algorithm::Md5 => received.md5,
                Algorithm::Xxh128 => received.xxh128,
            };
            if found != *wanted {
                let algorithm = algorithm.as_str();
                return Err(ApiError::malformed(format!(
                    "the bytes have the {algorithm} `{found}`, and `{wanted}` was announced; were they changed since?"
                )));
            }
        }
        Ok(())
    }
}

/// Streams the body into the object `key`; there is none if the body is not what was announced, or if it does not come in time.
pub(crate) async fn receive(
    state: &AppState,
    key: &str,
    body: Body,
    announced: &Announced,
) -> Result<Received, ApiError> {
    let largest = state.store.objects.largest(announced.length);
    let largest = largest.min(announced.largest);
    if announced.length.is_some_and(|length| length > largest) {
        return Err(announced.too_large(largest));
    }
    let receiving = store_body(state, key, body, announced, largest);
    tokio::time::timeout(MAX_UPLOAD_TIME, receiving)
        .await
        .map_err(|_elapsed| too_slow())?
}

async fn store_body(
    state: &AppState,
    key: &str,
    body: Body,
    announced: &Announced,
    largest: u64,
) -> Result<Received, ApiError> {
    let objects = &state.store.objects;
    let mut writer = objects.writer(key, announced.length);
    let (mut md5, mut xxh128) = (Hasher::new(Algorithm::Md5), Hasher::new(Algorithm::Xxh128));
    let mut size = 0_u64;
    let mut frames = body.into_data_stream();
    let refusal = loop {
        match next_frame(&mut frames, state.limits.body_idle).await {
            Ok(None) => break None,
            Ok(Some(chunk)) => {
                size += chunk.len() as u64;
                if size > largest {
                    break Some(announced.too_large(largest));
                }
                md5.update(&chunk);
                xxh128.update(&chunk);
                if let Err(error) = writer.write(chunk).await {
                    break Some(error.into());
                }
            }
            Err(error) => break Some(error),
        }
    };
    let received = Received {
        size,
        md5: md5.finish(),
        xxh128: xxh128.finish(),
    };
    if let Some(refusal) = refusal.or_else(|| announced.check(received).err()) {
        writer.abort().await;
        return Err(refusal);
    }
    if let Err(error) = writer.finish().await {
        objects.remove(key).await;
        return Err(error.into());
    }
    Ok(received)
}
