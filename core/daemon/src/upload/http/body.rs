//! A body that is read from disk while it is sent, and arrives whole or not at all.
//!
//! The last chunk is held back until all bytes are known to be those that were meant: of a file that has changed the
//! server gets a body that breaks off, which it cannot take for the file.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures::Stream;
use md5::{Digest, Md5};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::{CHANGED, CallError, UNREADABLE, hex, open_regular};

/// Bytes that are read at a stretch.
const CHUNK_BYTES: usize = 128 << 10;

/// Counts bytes that go out, for whoever shows progress.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counter(Arc<AtomicU64>);

impl Counter {
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    fn take_back(&self, bytes: u64) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What is known of a body that is on its way.
#[derive(Debug, Clone)]
pub(super) struct Sent(Arc<State>);

#[derive(Debug)]
struct State {
    counter: Option<Counter>,
    counted: AtomicU64,
    is_whole: AtomicBool,
    has_changed: AtomicBool,
    /// Why the file could not be read to its end.
    fault: Mutex<Option<String>>,
}

impl Sent {
    /// The whole body went out.
    pub(super) fn is_whole(&self) -> bool {
        self.0.is_whole.load(Ordering::Relaxed)
    }

    /// Why the body broke off here, if it did.
    pub(super) fn fault(&self) -> Option<CallError> {
        if self.0.has_changed.load(Ordering::Relaxed) {
            return Some(CallError::retry(format!("{CHANGED} while it was uploaded")));
        }
        let fault = self.0.fault.lock().unwrap_or_else(PoisonError::into_inner);
        let text = fault.as_ref()?;
        Some(CallError::retry(format!("{UNREADABLE}: {text}")))
    }

    /// It was in vain: what was counted is not stored.
    pub(super) fn take_back(&self) {
        let counted = self.0.counted.swap(0, Ordering::Relaxed);
        if let Some(counter) = &self.0.counter {
            counter.take_back(counted);
        }
    }

    fn count(&self, bytes: usize) {
        self.0.counted.fetch_add(bytes as u64, Ordering::Relaxed);
        if let Some(counter) = &self.0.counter {
            counter.add(bytes as u64);
        }
    }
}

struct Reading {
    file: tokio::fs::File,
    left: u64,
    held: Option<Bytes>,
    hasher: Option<Md5>,
    md5: String,
    sent: Sent,
}

/// Opens `length` bytes of a file from `offset` on, which must have this MD5 (hex).
pub(super) async fn open(
    path: &Path,
    offset: u64,
    length: u64,
    md5: String,
    counter: Option<Counter>,
) -> Result<(impl Stream<Item = io::Result<Bytes>> + Send + 'static, Sent), CallError> {
    let path = path.to_owned();
    let opened = tokio::task::spawn_blocking(move || open_regular(&path)).await;
    let mut file = match opened {
        Ok(Ok(file)) => tokio::fs::File::from_std(file),
        Ok(Err(error)) => return Err(CallError::refused(error.to_string())),
        Err(_panicked) => return Err(CallError::retry("the file could not be opened")),
    };
    file.set_max_buf_size(CHUNK_BYTES);
    if offset > 0 {
        let sought = file.seek(io::SeekFrom::Start(offset)).await;
        sought.map_err(|error| CallError::refused(error.to_string()))?;
    }
    let sent = Sent(Arc::new(State {
        counter,
        counted: AtomicU64::new(0),
        is_whole: AtomicBool::new(false),
        has_changed: AtomicBool::new(false),
        fault: Mutex::default(),
    }));
    let reading = Reading {
        file,
        left: length,
        held: None,
        hasher: Some(Md5::new()),
        md5,
        sent: sent.clone(),
    };
    Ok((futures::stream::try_unfold(reading, next), sent))
}

/// The next chunk that may go out.
async fn next(mut reading: Reading) -> io::Result<Option<(Bytes, Reading)>> {
    loop {
        if reading.left == 0 {
            reading.check()?;
            return Ok(reading.held.take().map(|last| (last, reading)));
        }
        let room = usize::try_from(reading.left).unwrap_or(CHUNK_BYTES);
        let mut chunk = BytesMut::zeroed(room.min(CHUNK_BYTES));
        let count = match reading.file.read(&mut chunk).await {
            Ok(0) => return Err(reading.changed()),
            Ok(count) => count,
            Err(error) => {
                let mut fault = reading.sent.0.fault.lock();
                *fault.as_deref_mut().unwrap_or(&mut None) = Some(error.to_string());
                drop(fault);
                return Err(error);
            }
        };
        chunk.truncate(count);
        reading.left -= count as u64;
        if let Some(hasher) = &mut reading.hasher {
            hasher.update(&chunk);
        }
        reading.sent.count(count);
        if let Some(ready) = reading.held.replace(chunk.freeze()) {
            return Ok(Some((ready, reading)));
        }
    }
}

impl Reading {
    /// Compares what was read, once, when nothing is left.
    fn check(&mut self) -> io::Result<()> {
        let Some(hasher) = self.hasher.take() else {
            return Ok(());
        };
        if hex(&hasher.finalize()) != self.md5 {
            return Err(self.changed());
        }
        self.sent.0.is_whole.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn changed(&self) -> io::Error {
        self.sent.0.has_changed.store(true, Ordering::Relaxed);
        io::Error::other(CHANGED)
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    async fn sent(bytes: &[u8], range: (u64, u64), md5: &str) -> (Vec<u8>, Sent, u64) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        std::fs::write(&path, bytes).expect("written");
        let counter = Counter::default();
        let md5 = md5.to_owned();
        let (stream, sent) = open(&path, range.0, range.1, md5, Some(counter.clone()))
            .await
            .expect("opened");
        let mut found = Vec::new();
        let mut stream = std::pin::pin!(stream);
        while let Some(Ok(chunk)) = stream.next().await {
            found.extend_from_slice(&chunk);
        }
        (found, sent, counter.get())
    }

    fn md5(bytes: &[u8]) -> String {
        hex(&Md5::digest(bytes))
    }

    #[tokio::test]
    async fn a_part_of_a_file_arrives_whole() {
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(300_000).collect();
        for (offset, length) in [(0, 300_000), (1, 299_999), (17, 131_072), (5, 1), (9, 0)] {
            let part = &bytes[offset..offset + length];
            let range = (offset as u64, length as u64);
            let (found, state, counted) = sent(&bytes, range, &md5(part)).await;
            assert!(found == part && state.is_whole() && state.fault().is_none());
            assert_eq!(counted, length as u64);
        }
    }

    #[tokio::test]
    async fn other_bytes_never_arrive_whole() {
        let bytes = vec![7; 300_000];
        for (length, expected) in [(300_000, "other"), (300_001, "longer"), (3, "short")] {
            let (found, state, counted) =
                sent(&bytes, (0, length), &md5(expected.as_bytes())).await;
            assert!((found.len() as u64) < length, "{expected}");
            assert!(!state.is_whole());
            let fault = state.fault().expect("a fault");
            assert_eq!(fault.message, "the file changed while it was uploaded");
            assert!(counted > 0);
        }
    }
}
