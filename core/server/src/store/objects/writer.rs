//! One streamed write.
//!
//! Little memory is held for a client that is slow: a directory takes pieces as they come; for a bucket, whose parts have
//! megabytes, they gather in an unnamed file, and a part is in memory only while it is on its way to the bucket, within a
//! bound that all uploads share.

use std::io::SeekFrom;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt as _, PutPayload};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use super::{Kind, Objects, in_time};
use crate::error::StoreError;

/// What is gathered in memory before it is passed on.
const PIECE_BYTES: usize = 256 << 10;
/// Smallest and largest part of an object in a bucket.
const PART_BYTES: u64 = 8 << 20;
const LARGEST_PART_BYTES: u64 = 64 << 20;
/// S3 allows 10,000 parts.
const PARTS: u64 = 9_999;
/// Parts of one object that are on their way at the same time.
const PARTS_IN_FLIGHT: usize = 3;

/// A write in progress. Dropping it gives it up.
pub(crate) struct ObjectWriter {
    objects: Objects,
    path: Path,
    part_bytes: u64,
    piece: Vec<Bytes>,
    piece_bytes: usize,
    size: u64,
    spool: Option<Spool>,
    upload: Option<Box<dyn MultipartUpload>>,
    parts: JoinSet<Result<(), StoreError>>,
}

/// Bytes that wait in a file without a name: whatever happens to the process, nothing is left of it.
struct Spool {
    file: File,
    bytes: u64,
}

/// Part size for an object of `length` bytes.
fn part_bytes(length: Option<u64>) -> u64 {
    length
        .unwrap_or(0)
        .div_ceil(PARTS)
        .clamp(PART_BYTES, LARGEST_PART_BYTES)
}

pub(super) fn largest_in_bucket(length: Option<u64>) -> u64 {
    part_bytes(length) * PARTS
}

impl ObjectWriter {
    pub(super) fn new(objects: Objects, path: Path, length: Option<u64>) -> Self {
        Self {
            objects,
            path,
            part_bytes: part_bytes(length),
            piece: Vec::new(),
            piece_bytes: 0,
            size: 0,
            spool: None,
            upload: None,
            parts: JoinSet::new(),
        }
    }

    /// Appends `bytes`; waits while the store is slower than the caller.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.size += bytes.len() as u64;
        self.piece_bytes += bytes.len();
        self.piece.push(bytes);
        if self.piece_bytes >= PIECE_BYTES {
            self.pass_on().await?;
        }
        Ok(())
    }

    /// Makes the object visible; returns when it is durable.
    pub(crate) async fn finish(mut self) -> Result<(), StoreError> {
        if self.upload.is_none() && self.spool.is_none() {
            let payload = PutPayload::from_iter(std::mem::take(&mut self.piece));
            in_time(self.objects.store.put(&self.path, payload)).await?;
        } else {
            self.pass_on().await?;
            if self.upload.is_some() {
                self.ship().await?;
                self.wait_for_parts(0).await?;
                if let Some(upload) = self.upload.as_mut() {
                    in_time(upload.complete()).await?;
                }
                self.upload = None;
            } else {
                // All of it fits into one part: one request in place of three.
                let (bytes, _room) = self.unspool().await?;
                in_time(self.objects.store.put(&self.path, bytes.into())).await?;
            }
        }
        self.objects.check_stored(&self.path, self.size).await
    }

    /// Gives the write up; nothing of it stays.
    pub(crate) async fn abort(mut self) {
        self.parts.shutdown().await;
        if let Some(mut upload) = self.upload.take()
            && let Err(error) = in_time(upload.abort()).await
        {
            tracing::warn!(key = %self.path, error = %error, "parts of a given-up upload not removed");
        }
    }

    async fn pass_on(&mut self) -> Result<(), StoreError> {
        let piece = std::mem::take(&mut self.piece);
        let bytes = std::mem::take(&mut self.piece_bytes) as u64;
        if piece.is_empty() {
            return Ok(());
        }
        match &self.objects.kind {
            Kind::Directory { .. } => {
                let part = self.upload().await?.put_part(PutPayload::from_iter(piece));
                in_time(part).await?;
            }
            Kind::Bucket { spool, .. } => {
                let spool = match &mut self.spool {
                    Some(spool) => spool,
                    None => self.spool.insert(Spool {
                        file: unnamed_file(spool.clone()).await.map_err(spool_failed)?,
                        bytes: 0,
                    }),
                };
                for bytes in &piece {
                    spool.file.write_all(bytes).await.map_err(spool_failed)?;
                }
                spool.bytes += bytes;
                if spool.bytes >= self.part_bytes {
                    self.ship().await?;
                }
            }
        }
        Ok(())
    }

    /// Sends what is in the spool as the next part.
    async fn ship(&mut self) -> Result<(), StoreError> {
        if self.spool.as_ref().is_none_or(|spool| spool.bytes == 0) {
            return Ok(());
        }
        self.wait_for_parts(PARTS_IN_FLIGHT - 1).await?;
        let (bytes, room) = self.unspool().await?;
        let part = self.upload().await?.put_part(bytes.into());
        self.parts.spawn(async move {
            in_time(part).await?;
            drop(room);
            Ok(())
        });
        Ok(())
    }

    /// Empties the spool into memory, when there is room.
    async fn unspool(
        &mut self,
    ) -> Result<(Bytes, Option<tokio::sync::OwnedSemaphorePermit>), StoreError> {
        let Kind::Bucket { room, .. } = &self.objects.kind else {
            return Ok((Bytes::new(), None));
        };
        let Some(spool) = self.spool.as_mut() else {
            return Ok((Bytes::new(), None));
        };
        let mebibytes = u32::try_from(spool.bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX);
        let permit = Arc::clone(room)
            .acquire_many_owned(mebibytes.min(super::PARTS_MIB))
            .await
            .map_err(|_closed| StoreError::Damaged("uploads are closed".into()))?;
        let mut bytes = Vec::with_capacity(usize::try_from(spool.bytes).unwrap_or(0));
        let read = async {
            spool.file.flush().await?;
            spool.file.seek(SeekFrom::Start(0)).await?;
            spool.file.read_to_end(&mut bytes).await?;
            spool.file.set_len(0).await?;
            spool.file.seek(SeekFrom::Start(0)).await
        };
        read.await.map_err(spool_failed)?;
        spool.bytes = 0;
        Ok((bytes.into(), Some(permit)))
    }

    async fn upload(&mut self) -> Result<&mut Box<dyn MultipartUpload>, StoreError> {
        if self.upload.is_none() {
            let begun = in_time(self.objects.store.put_multipart(&self.path)).await?;
            self.upload = Some(begun);
        }
        self.upload
            .as_mut()
            .ok_or_else(|| StoreError::Damaged("an upload was not begun".into()))
    }

    async fn wait_for_parts(&mut self, left: usize) -> Result<(), StoreError> {
        while self.parts.len() > left {
            if let Some(done) = self.parts.join_next().await {
                done.map_err(|error| StoreError::Object(error.into()))??;
            }
        }
        Ok(())
    }
}

impl Drop for ObjectWriter {
    /// The client of an upload has gone: its parts are removed in the background.
    fn drop(&mut self) {
        if let Some(mut upload) = self.upload.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let path = self.path.clone();
            runtime.spawn(async move {
                if let Err(error) = in_time(upload.abort()).await {
                    tracing::warn!(key = %path, error = %error, "parts of a given-up upload not removed");
                }
            });
        }
    }
}

async fn unnamed_file(directory: std::path::PathBuf) -> std::io::Result<File> {
    let file = tokio::task::spawn_blocking(move || tempfile::tempfile_in(directory))
        .await
        .map_err(std::io::Error::other)??;
    Ok(File::from_std(file))
}

fn spool_failed(source: std::io::Error) -> StoreError {
    StoreError::Object(object_store::Error::Generic {
        store: "spool of uploads",
        source: Box::new(source),
    })
}
