//! The object store: run files, Parquet history, and what artifacts are made of. Keys are made by the server, never from names that users choose.
//!
//! [`Objects`] is the one door to it, whatever is behind: a local directory, or a bucket of an S3-compatible store.
//! Both keep the same promises, which `conformance` checks on both:
//!
//! * a write that returned is durable and readable by every process; before it returned nothing is visible under its key;
//! * a write that was given up, or whose writer was dropped, leaves nothing visible;
//! * a store that does not answer costs an error in bounded time, never a wait without end.

#[cfg(test)]
mod conformance;
mod place;
mod writer;

use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetResultPayload, ObjectStore, ObjectStoreExt as _, PutPayload};
use tokio::sync::Semaphore;

pub use self::place::{ObjectsPlace, S3Place};
pub(crate) use self::writer::ObjectWriter;
use crate::auth::token;
use crate::error::{ServerError, StoreError};

/// Bound of one request to the store; retries of the store's client are within it.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);
/// What is read of a file of a directory at a time.
const FILE_PIECE_BYTES: u64 = 256 << 10;
/// Bound of the parts that are on their way to a bucket, in memory, over all uploads of the process.
const PARTS_MIB: u32 = 128;
/// A store of weak consistency is given this long to show an object that it has taken.
const VISIBLE_AFTER_MILLIS: [u64; 4] = [0, 100, 500, 2_000];
/// Objects of a shared store that no row names are removed when they are older: an upload may take a day, and a bucket may
/// date an object by the begin of its upload.
const SHARED_LEFTOVER_AGE: Duration = Duration::from_hours(72);

/// Handle to the object store; cheap to clone.
#[derive(Clone)]
pub(crate) struct Objects {
    store: Arc<dyn ObjectStore>,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    /// A directory; `shared` if it is not inside the data directory, which one process owns.
    Directory { shared: bool },
    /// A bucket. What slow clients send gathers in unnamed files of `spool`, not in memory.
    Bucket {
        spool: PathBuf,
        room: Arc<Semaphore>,
    },
}

impl Objects {
    /// Opens the place; a bucket that does not exist or refuses the credentials is an error, one that does not answer is not.
    pub(crate) async fn open(place: &ObjectsPlace, data_dir: &FsPath) -> Result<Self, ServerError> {
        match place {
            ObjectsPlace::DataDir => Ok(Self::local(&data_dir.join("objects"), false)?),
            ObjectsPlace::Directory(directory) => Ok(Self::local(directory, true)?),
            ObjectsPlace::S3(bucket) => {
                let spool = data_dir.join("spool");
                std::fs::create_dir_all(&spool).map_err(|source| ServerError::Io {
                    action: "create the directory of uploads in progress",
                    path: spool.clone(),
                    source,
                })?;
                let objects = Self {
                    store: bucket.connect()?,
                    kind: Kind::Bucket {
                        spool,
                        room: Arc::new(Semaphore::new(PARTS_MIB as usize)),
                    },
                };
                place::probe(&objects, bucket).await?;
                Ok(objects)
            }
        }
    }

    /// Objects in a local directory; a write that returned is synced together with its directory entry.
    fn local(directory: &FsPath, shared: bool) -> Result<Self, StoreError> {
        std::fs::create_dir_all(directory).map_err(|source| {
            StoreError::Object(object_store::Error::Generic {
                store: "local",
                source: Box::new(source),
            })
        })?;
        let local = LocalFileSystem::new_with_prefix(directory)?
            .with_fsync(true)
            .with_automatic_cleanup(true);
        Ok(Self {
            store: Arc::new(local),
            kind: Kind::Directory { shared },
        })
    }

    /// A new key for an object of a run or an entity; `kind` is a plain word.
    pub(crate) fn new_key(kind: &str, owner_id: i64) -> String {
        format!(
            "{kind}/{owner_id}/{}",
            token::hex(&token::random_bytes::<12>())
        )
    }

    /// How old an object that no row names must be to be a leftover: other processes may be writing to the same store.
    pub(crate) fn leftover_age(&self) -> Duration {
        match self.kind {
            Kind::Directory { shared: false } => Duration::ZERO,
            _ => SHARED_LEFTOVER_AGE,
        }
    }

    /// Stores `bytes` under `key`.
    pub(crate) async fn put(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        let size = bytes.len() as u64;
        let path = Path::from(key);
        in_time(self.store.put(&path, PutPayload::from(bytes))).await?;
        self.check_stored(&path, size).await
    }

    /// Starts a streamed write; nothing is visible under `key` before [`ObjectWriter::finish`]. `length` is the size that
    /// the object will have, if it is known.
    pub(crate) fn writer(&self, key: &str, length: Option<u64>) -> ObjectWriter {
        ObjectWriter::new(self.clone(), Path::from(key), length)
    }

    /// The largest object that a writer of this `length` (if it is known) can write, in bytes.
    pub(crate) fn largest(&self, length: Option<u64>) -> u64 {
        match self.kind {
            Kind::Directory { .. } => u64::MAX,
            Kind::Bucket { .. } => writer::largest_in_bucket(length),
        }
    }

    /// The whole object.
    pub(crate) async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        let path = Path::from(key);
        Ok(in_time(async { self.store.get(&path).await?.bytes().await }).await?)
    }

    /// Some byte ranges of the object, in their order.
    pub(crate) async fn ranges(
        &self,
        key: &str,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Bytes>, StoreError> {
        let path = Path::from(key);
        Ok(in_time(self.store.get_ranges(&path, ranges)).await?)
    }

    /// The bytes `range` of the object, as a stream; an empty range gives none.
    pub(crate) async fn stream(
        &self,
        key: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, object_store::Result<Bytes>>, StoreError> {
        if range.is_empty() {
            return Ok(futures::stream::empty().boxed());
        }
        let options = object_store::GetOptions {
            range: Some(range.into()),
            ..object_store::GetOptions::default()
        };
        let path = Path::from(key);
        let found = in_time(self.store.get_opts(&path, options)).await?;
        let range = found.range.clone();
        Ok(match found.payload {
            GetResultPayload::File(file, _path) => file_pieces(file, range),
            GetResultPayload::Stream(stream) => stream,
        })
    }

    /// The keys of all objects that were last written before `time`.
    pub(crate) fn written_before(
        &self,
        time: chrono::DateTime<chrono::Utc>,
    ) -> impl Stream<Item = Result<String, StoreError>> + '_ {
        self.store
            .list(None)
            .try_filter_map(move |object| async move {
                let old = object.last_modified < time;
                Ok(old.then(|| object.location.to_string()))
            })
            .map_err(StoreError::from)
    }

    /// Removes an object that nothing refers to any more; failures are only logged, a leftover is harmless.
    pub(crate) async fn remove(&self, key: &str) {
        if let Err(error) = in_time(self.store.delete(&Path::from(key))).await {
            tracing::warn!(key, error = %error, "unused object not removed");
        }
    }

    /// Whether a bucket has what it said it took: a row is written for what can be read, not for what was promised.
    async fn check_stored(&self, path: &Path, size: u64) -> Result<(), StoreError> {
        if matches!(self.kind, Kind::Directory { .. }) {
            return Ok(());
        }
        let mut last = None;
        for wait in VISIBLE_AFTER_MILLIS {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            match in_time(self.store.head(path)).await {
                Ok(found) if found.size == size => return Ok(()),
                Ok(found) => {
                    return Err(StoreError::Object(object_store::Error::Generic {
                        store: "S3",
                        source: format!(
                            "an object of {size} bytes has {} in the bucket",
                            found.size
                        )
                        .into(),
                    }));
                }
                Err(error @ object_store::Error::NotFound { .. }) => last = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        Err(last.map_or_else(
            || StoreError::Damaged("an object was not looked for".into()),
            StoreError::from,
        ))
    }
}

/// The bytes `range` of an open file, which may be removed meanwhile. In larger pieces than the store's client would make: each of them
/// goes to a thread for blocking work and becomes a write to the socket.
fn file_pieces(
    file: std::fs::File,
    range: Range<u64>,
) -> BoxStream<'static, object_store::Result<Bytes>> {
    let file = Arc::new(file);
    futures::stream::try_unfold(range, move |rest| {
        let file = Arc::clone(&file);
        async move {
            if rest.is_empty() {
                return Ok(None);
            }
            let end = rest.end.min(rest.start + FILE_PIECE_BYTES);
            let reading = tokio::task::spawn_blocking(move || {
                let size = usize::try_from(end - rest.start).unwrap_or(0);
                let mut bytes = vec![0; size];
                file.read_exact_at(&mut bytes, rest.start)?;
                Ok(bytes)
            });
            let bytes = reading.await.map_err(std::io::Error::other);
            let bytes: std::io::Result<Vec<u8>> = bytes.and_then(|done| done);
            let bytes = bytes.map_err(|source| object_store::Error::Generic {
                store: "local",
                source: Box::new(source),
            })?;
            Ok(Some((Bytes::from(bytes), end..rest.end)))
        }
    })
    .boxed()
}

/// The outcome of a request, or an error when it takes too long.
async fn in_time<T>(
    request: impl Future<Output = object_store::Result<T>>,
) -> object_store::Result<T> {
    tokio::time::timeout(REQUEST_TIMEOUT, request)
        .await
        .unwrap_or_else(|elapsed| {
            Err(object_store::Error::Generic {
                store: "objects",
                source: Box::new(elapsed),
            })
        })
}
