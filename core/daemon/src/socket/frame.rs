//! Frames of the local socket: byte `0x52`, u32 little-endian payload length, payload.
//!
//! Memory is bounded for all connections together: a frame's payload is read only when its size has been taken from the
//! budget, and goes back to it when the frame has been dealt with. Large frames have a budget of their own, so that peers
//! which announce much and send nothing do not keep the others waiting.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use runlane_model::limits::FRAME_BYTES;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// First byte of every frame.
pub(crate) const MAGIC: u8 = 0x52;
/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 5;
const BUDGET_UNIT: usize = 1 << 10;
/// The bytes of a frame that has begun must be there within this time; waiting for the budget does not count.
const FRAME_TIMEOUT: Duration = Duration::from_secs(10);
/// Frames up to this size, nearly all, share one half of the budget; larger ones the other.
const SMALL_FRAME_BYTES: usize = 4 << 20;

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
    /// The peer sends it too slowly.
    #[error("a frame did not arrive within {0:?}")]
    Slow(Duration),
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
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
    bytes: usize,
}

impl Budget {
    /// A budget of `bytes`; half of it must hold the largest frame.
    pub(crate) fn new(bytes: usize) -> Self {
        let half = || Arc::new(Semaphore::new(bytes / 2 / BUDGET_UNIT));
        Self {
            small: half(),
            large: half(),
            bytes,
        }
    }

    /// What is taken now.
    pub(crate) fn bytes_taken(&self) -> u64 {
        let free = self.small.available_permits() + self.large.available_permits();
        self.bytes.saturating_sub(free * BUDGET_UNIT) as u64
    }

    async fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, FrameError> {
        let pool = if bytes <= SMALL_FRAME_BYTES {
            &self.small
        } else {
            &self.large
        };
        let units = u32::try_from(bytes.div_ceil(BUDGET_UNIT)).unwrap_or(u32::MAX);
        let share = Arc::clone(pool).acquire_many_owned(units).await;
        share.map_err(|_closed| FrameError::Closing)
    }
}

/// Reads frames; `next` may be cancelled and called again.
#[derive(Debug)]
pub(crate) struct FrameReader<R> {
    source: R,
    buffer: BytesMut,
    budget: Budget,
    share: Option<OwnedSemaphorePermit>,
    /// When the frame that has begun must be there, and how long after its beginning.
    deadline: Option<Instant>,
    timeout: Duration,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) fn new(source: R, budget: Budget) -> Self {
        Self {
            source,
            buffer: BytesMut::new(),
            budget,
            share: None,
            deadline: None,
            timeout: FRAME_TIMEOUT,
        }
    }

    /// The next frame; `None` if the peer closed between frames.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            if let Some(length) = self.announced()? {
                if self.share.is_none() {
                    self.share = Some(self.budget.take(length).await?);
                    self.deadline = Some(Instant::now() + self.timeout);
                }
                if self.buffer.len() >= HEADER_BYTES + length {
                    self.buffer.advance(HEADER_BYTES);
                    let payload = self.buffer.split_to(length).freeze();
                    self.deadline = None;
                    if let Some(share) = self.share.take() {
                        return Ok(Some(Frame { payload, share }));
                    }
                }
                self.buffer
                    .reserve(HEADER_BYTES + length - self.buffer.len().min(HEADER_BYTES + length));
            } else {
                self.buffer.reserve(16 << 10);
            }
            if self.receive().await? == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(FrameError::Torn)
                };
            }
        }
    }

    /// Reads what there is; 0 at the end.
    async fn receive(&mut self) -> Result<usize, FrameError> {
        if self.buffer.is_empty() {
            // Between frames a peer may be silent for as long as it likes.
            return Ok(self.source.read_buf(&mut self.buffer).await?);
        }
        let deadline = *self
            .deadline
            .get_or_insert_with(|| Instant::now() + self.timeout);
        let reading = self.source.read_buf(&mut self.buffer);
        match tokio::time::timeout_at(deadline, reading).await {
            Ok(read) => Ok(read?),
            Err(_elapsed) => Err(FrameError::Slow(self.timeout)),
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
        let mut reader = FrameReader::new(bytes, Budget::new(64 << 20));
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

    /// 7.3: one byte per second, here one every 20 ms with a wait of 100 ms.
    #[tokio::test]
    async fn p73_a_frame_that_trickles_in_is_given_up_after_a_bounded_wait() {
        use tokio::io::AsyncWriteExt;
        let (mut peer, source) = tokio::io::duplex(64);
        let mut reader = FrameReader::new(source, Budget::new(1 << 20));
        reader.timeout = Duration::from_millis(100);
        // Silence between frames is no fault.
        let idle = tokio::time::timeout(Duration::from_millis(200), reader.next()).await;
        assert!(idle.is_err());
        let trickle = tokio::spawn(async move {
            for byte in [0x52, 200, 0, 0, 0].into_iter().chain([7; 200]) {
                if peer.write_all(&[byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let began = Instant::now();
        let error = reader.next().await.expect_err("too slow");
        assert!(matches!(error, FrameError::Slow(_)), "{error}");
        // Once for the header, once for the payload; the whole frame would take 4 s.
        let took = began.elapsed();
        assert!(took < Duration::from_secs(2), "{took:?}");
        trickle.abort();
        if let Some(directory) = std::env::var_os("RUNLANE_FAULT_TABLE") {
            let line = format!(
                "{{\"id\": \"7.3\", \"fault\": \"frame of one byte per 20 ms, wait cut to 100 ms twice\", \
                 \"bound\": \"2 s\", \"worst\": \"{} ms\", \"trials\": 1}}\n",
                took.as_millis()
            );
            let name = format!("{}-slow-frame.jsonl", std::process::id());
            std::fs::write(std::path::Path::new(&directory).join(name), line).expect("written");
        }
    }

    /// Whoever waits because others hold the budget is not slow.
    #[tokio::test]
    async fn waiting_for_the_budget_is_not_slowness() {
        let bytes: &[u8] = &[0x52, 1, 0, 0, 0, 1, 0x52, 1, 0, 0, 0, 2];
        let mut reader = FrameReader::new(bytes, Budget::new(2 * BUDGET_UNIT));
        reader.timeout = Duration::from_millis(20);
        let first = reader.next().await.expect("readable").expect("a frame");
        let release = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            drop(first);
        });
        let second = reader.next().await.expect("in time").expect("a frame");
        assert_eq!(&second.payload[..], [2]);
        release.await.expect("no panic");
    }

    #[tokio::test]
    async fn a_frame_waits_for_its_share_of_the_budget() {
        let bytes: &[u8] = &[0x52, 1, 0, 0, 0, 1, 0x52, 1, 0, 0, 0, 2];
        let mut reader = FrameReader::new(bytes, Budget::new(2 * BUDGET_UNIT));
        let first = reader.next().await.expect("readable").expect("a frame");
        let waiting =
            tokio::time::timeout(std::time::Duration::from_millis(20), reader.next()).await;
        assert!(waiting.is_err());
        drop(first);
        let second = reader.next().await.expect("readable").expect("a frame");
        assert_eq!(&second.payload[..], [2]);
    }
}
