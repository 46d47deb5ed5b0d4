//! Frames of the local socket: byte `0x52`, u32 little-endian payload length, payload.
//!
//! Memory is bounded for all connections together: a frame's payload is read only when its size has been taken from one
//! budget, and goes back to it when the frame has been dealt with.

use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use runlane_model::limits::FRAME_BYTES;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// First byte of every frame.
pub(crate) const MAGIC: u8 = 0x52;
/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 5;
const BUDGET_UNIT: usize = 1 << 10;

/// Why a connection cannot go on.
#[derive(Debug, Error)]
pub enum FrameError {
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Another first byte.
    #[error("a frame begins with byte {0:#04x}")]
    Magic(u8),
    /// An impossible length.
    #[error("a frame of {0} bytes, allowed are 1 to {FRAME_BYTES}")]
    Length(usize),
    /// The peer closed in the middle of a frame.
    #[error("the connection ended inside a frame")]
    Torn,
    /// The daemon is going down.
    #[error("the daemon is shutting down")]
    Closing,
}

/// A frame's payload and its share of the budget.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) payload: Bytes,
    pub(crate) share: OwnedSemaphorePermit,
}

/// Bytes of payload that all connections together may hold.
pub(crate) fn budget(bytes: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(bytes / BUDGET_UNIT))
}

/// Reads frames; `next` may be cancelled and called again.
#[derive(Debug)]
pub(crate) struct FrameReader<R> {
    source: R,
    buffer: BytesMut,
    budget: Arc<Semaphore>,
    share: Option<OwnedSemaphorePermit>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) fn new(source: R, budget: Arc<Semaphore>) -> Self {
        Self {
            source,
            buffer: BytesMut::new(),
            budget,
            share: None,
        }
    }

    /// Whether the beginning of a frame has been read.
    pub(crate) fn is_inside_frame(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The next frame; `None` if the peer closed between frames.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            if let Some(length) = self.announced()? {
                if self.share.is_none() {
                    let units = u32::try_from(length.div_ceil(BUDGET_UNIT)).unwrap_or(u32::MAX);
                    let share = Arc::clone(&self.budget).acquire_many_owned(units).await;
                    self.share = Some(share.map_err(|_closed| FrameError::Closing)?);
                }
                if self.buffer.len() >= HEADER_BYTES + length {
                    self.buffer.advance(HEADER_BYTES);
                    let payload = self.buffer.split_to(length).freeze();
                    if let Some(share) = self.share.take() {
                        return Ok(Some(Frame { payload, share }));
                    }
                }
                self.buffer
                    .reserve(HEADER_BYTES + length - self.buffer.len().min(HEADER_BYTES + length));
            } else {
                self.buffer.reserve(16 << 10);
            }
            if self.source.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(FrameError::Torn)
                };
            }
        }
    }

    /// The payload length of the frame that the buffer begins with, once its header is there.
    fn announced(&self) -> Result<Option<usize>, FrameError> {
        match self.buffer.first() {
            Some(&first) if first != MAGIC => return Err(FrameError::Magic(first)),
            _ => {}
        }
        let Some(header) = self.buffer.get(1..HEADER_BYTES) else {
            return Ok(None);
        };
        let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        if length == 0 || length > FRAME_BYTES {
            return Err(FrameError::Length(length));
        }
        Ok(Some(length))
    }
}

/// The frame of a message.
pub(crate) fn encode(message: &impl prost::Message) -> Vec<u8> {
    let length = message.encoded_len();
    let mut frame = Vec::with_capacity(HEADER_BYTES + length);
    frame.push(MAGIC);
    frame.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    message.encode_raw(&mut frame);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(bytes: &[u8]) -> (Vec<Vec<u8>>, Option<String>) {
        let mut reader = FrameReader::new(bytes, budget(64 << 20));
        let mut frames = Vec::new();
        loop {
            match reader.next().await {
                Ok(Some(frame)) => frames.push(frame.payload.to_vec()),
                Ok(None) => return (frames, None),
                Err(error) => return (frames, Some(error.to_string())),
            }
        }
    }

    #[tokio::test]
    async fn frames_are_cut_and_bad_ones_refused() {
        let good = [0x52, 2, 0, 0, 0, 7, 8];
        let two: Vec<u8> = [good, good].concat();
        assert_eq!(read_all(&two).await, (vec![vec![7, 8], vec![7, 8]], None));
        assert_eq!(
            read_all(&two[..9]).await,
            (
                vec![vec![7, 8]],
                Some("the connection ended inside a frame".into())
            )
        );
        for (bad, reason) in [
            (&[0x51u8, 1, 0, 0, 0][..], "a frame begins with byte 0x51"),
            (
                &[0x52, 0, 0, 0, 0],
                "a frame of 0 bytes, allowed are 1 to 33554432",
            ),
            (
                &[0x52, 1, 0, 0, 2],
                "a frame of 33554433 bytes, allowed are 1 to 33554432",
            ),
        ] {
            assert_eq!(read_all(bad).await, (vec![], Some(reason.to_owned())));
        }
    }

    #[tokio::test]
    async fn a_frame_waits_for_its_share_of_the_budget() {
        let bytes: &[u8] = &[0x52, 1, 0, 0, 0, 1, 0x52, 1, 0, 0, 0, 2];
        let mut reader = FrameReader::new(bytes, budget(BUDGET_UNIT));
        let first = reader.next().await.expect("readable").expect("a frame");
        let waiting =
            tokio::time::timeout(std::time::Duration::from_millis(20), reader.next()).await;
        assert!(waiting.is_err());
        drop(first);
        let second = reader.next().await.expect("readable").expect("a frame");
        assert_eq!(&second.payload[..], [2]);
    }
}
