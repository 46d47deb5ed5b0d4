//! Bodies that are read into memory: bounded in size, in time, and in the memory that all of them have together.
//!
//! Memory is counted as bytes arrive, so that a client that announces much and sends little costs what it has sent. A body
//! that finds no room for a moment is refused with 503; what it held is free again at once, for the others.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::{FromRequest, Request};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ApiError;
use crate::state::AppState;

/// Bound of bodies whose route says nothing else.
const DEFAULT_BYTES: usize = 2 << 20;
/// How long a body waits for others to make room.
const ROOM_WAIT: Duration = Duration::from_secs(2);
/// Memory that is set aside for a body before its first byte.
const FIRST_BYTES: usize = 64 << 10;

/// Bound of the bodies of a route, as a request extension.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimit(pub(crate) usize);

/// Memory that is counted as taken while this lives.
#[derive(Debug)]
pub(crate) struct Room(Option<OwnedSemaphorePermit>);

/// A body of bytes, and the memory that it takes.
pub(crate) struct ApiBytes {
    pub(crate) bytes: Bytes,
    pub(crate) room: Room,
}

/// A JSON body.
pub(crate) struct ApiJson<T>(pub(crate) T);

/// 408: the client stopped sending.
pub(crate) fn too_slow() -> ApiError {
    ApiError::new(
        StatusCode::REQUEST_TIMEOUT,
        "timeout",
        "the body did not arrive in time; send it again",
    )
}

fn no_room() -> ApiError {
    ApiError::unavailable("the server holds as many bodies as it may; try again")
}

/// The next bytes of a body, none at its end.
pub(crate) async fn next_frame(
    frames: &mut BodyDataStream,
    idle: Duration,
) -> Result<Option<Bytes>, ApiError> {
    match tokio::time::timeout(idle, frames.next()).await {
        Err(_elapsed) => Err(too_slow()),
        Ok(None) => Ok(None),
        Ok(Some(Ok(bytes))) => Ok(Some(bytes)),
        Ok(Some(Err(_broken))) => Err(ApiError::malformed("the body was cut off or is malformed")),
    }
}

impl Room {
    /// No memory.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Takes `bytes` more; waits for `patience` if there is no room.
    pub(crate) async fn grow(
        &mut self,
        all: &Arc<Semaphore>,
        bytes: usize,
        patience: Duration,
    ) -> Result<(), ApiError> {
        let count = u32::try_from(bytes).map_err(|_large| no_room())?;
        let more = tokio::time::timeout(patience, Arc::clone(all).acquire_many_owned(count))
            .await
            .map_err(|_elapsed| no_room())?
            .map_err(|_closed| no_room())?;
        match &mut self.0 {
            Some(held) => held.merge(more),
            None => self.0 = Some(more),
        }
        Ok(())
    }
}

/// The announced length of a body.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

impl FromRequest<AppState> for ApiBytes {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let limit = request
            .extensions()
            .get::<BodyLimit>()
            .map_or(DEFAULT_BYTES, |limit| limit.0);
        let length = content_length(request.headers());
        if length.is_some_and(|length| length > limit as u64) {
            return Err(too_large(limit));
        }
        let reading = read(request.into_body(), limit, length, state);
        tokio::time::timeout(state.limits.body_time, reading)
            .await
            .map_err(|_elapsed| too_slow())?
    }
}

impl<T: DeserializeOwned> FromRequest<AppState> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        require_json(request.headers())?;
        let body = ApiBytes::from_request(request, state).await?;
        serde_json::from_slice(&body.bytes)
            .map(Self)
            .map_err(|error| match error.classify() {
                serde_json::error::Category::Data => ApiError::invalid(error.to_string()),
                _ => ApiError::malformed(format!("the body is not JSON: {error}")),
            })
    }
}

/// Refuses bodies that are not declared as JSON, which also keeps plain forms of other sites out.
pub(crate) fn require_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    if json {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "content_type",
        "the body must be `application/json`",
    ))
}

fn too_large(limit: usize) -> ApiError {
    ApiError::too_large(format!(
        "the body is larger than {limit} bytes, which this route takes"
    ))
}

async fn read(
    body: Body,
    limit: usize,
    length: Option<u64>,
    state: &AppState,
) -> Result<ApiBytes, ApiError> {
    let mut frames = body.into_data_stream();
    let mut room = Room::none();
    let Some(first) = next_frame(&mut frames, state.limits.body_idle).await? else {
        return Ok(ApiBytes {
            bytes: Bytes::new(),
            room,
        });
    };
    room.grow(&state.bodies, first.len(), ROOM_WAIT).await?;
    if length == Some(first.len() as u64) {
        return Ok(ApiBytes { bytes: first, room });
    }
    let announced = length.and_then(|length| usize::try_from(length).ok());
    let mut bytes = BytesMut::with_capacity(
        announced
            .unwrap_or(0)
            .clamp(first.len(), FIRST_BYTES.max(first.len())),
    );
    bytes.extend_from_slice(&first);
    drop(first);
    while let Some(frame) = next_frame(&mut frames, state.limits.body_idle).await? {
        if bytes.len() + frame.len() > limit {
            return Err(too_large(limit));
        }
        room.grow(&state.bodies, frame.len(), ROOM_WAIT).await?;
        bytes.extend_from_slice(&frame);
    }
    if bytes.len() > limit {
        return Err(too_large(limit));
    }
    Ok(ApiBytes {
        bytes: bytes.freeze(),
        room,
    })
}
