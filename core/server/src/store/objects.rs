//! The object store: run files and Parquet history. Keys are made by the server, never from names that users choose.

use std::path::Path as FsPath;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, WriteMultipart};

use crate::auth::token;
use crate::error::StoreError;

/// Handle to the object store; cheap to clone.
#[derive(Clone)]
pub(crate) struct Objects(Arc<dyn ObjectStore>);

impl Objects {
    /// Objects in a local directory; a write that returned is synced together with its directory entry.
    pub(crate) fn local(directory: &FsPath) -> Result<Self, StoreError> {
        std::fs::create_dir_all(directory).map_err(|source| {
            StoreError::Object(object_store::Error::Generic {
                store: "local",
                source: Box::new(source),
            })
        })?;
        let local = LocalFileSystem::new_with_prefix(directory)?
            .with_fsync(true)
            .with_automatic_cleanup(true);
        Ok(Self(Arc::new(local)))
    }

    /// A new key for an object of a run; `kind` is a plain word.
    pub(crate) fn new_key(kind: &str, run_id: i64) -> String {
        format!(
            "{kind}/{run_id}/{}",
            token::hex(&token::random_bytes::<12>())
        )
    }

    /// Stores `bytes` under `key`.
    pub(crate) async fn put(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.0.put(&Path::from(key), bytes.into()).await?;
        Ok(())
    }

    /// Starts a streamed write; nothing is visible under `key` before `finish`.
    pub(crate) async fn writer(&self, key: &str) -> Result<WriteMultipart, StoreError> {
        Ok(WriteMultipart::new(
            self.0.put_multipart(&Path::from(key)).await?,
        ))
    }

    /// The whole object.
    pub(crate) async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        Ok(self.0.get(&Path::from(key)).await?.bytes().await?)
    }

    /// Some byte ranges of the object, in their order.
    pub(crate) async fn ranges(
        &self,
        key: &str,
        ranges: &[std::ops::Range<u64>],
    ) -> Result<Vec<Bytes>, StoreError> {
        Ok(self.0.get_ranges(&Path::from(key), ranges).await?)
    }

    /// The bytes `range` of the object, as a stream.
    pub(crate) async fn stream(
        &self,
        key: &str,
        range: std::ops::Range<u64>,
    ) -> Result<futures::stream::BoxStream<'static, object_store::Result<Bytes>>, StoreError> {
        let options = object_store::GetOptions {
            range: (range.start < range.end).then(|| range.into()),
            ..object_store::GetOptions::default()
        };
        Ok(self
            .0
            .get_opts(&Path::from(key), options)
            .await?
            .into_stream())
    }

    /// The keys of all objects that were last written before `time`.
    pub(crate) fn written_before(
        &self,
        time: chrono::DateTime<chrono::Utc>,
    ) -> impl Stream<Item = Result<String, StoreError>> + '_ {
        self.0
            .list(None)
            .try_filter_map(move |object| async move {
                let old = object.last_modified < time;
                Ok(old.then(|| object.location.to_string()))
            })
            .map_err(StoreError::from)
    }

    /// Removes an object that nothing refers to any more; failures are only logged, a leftover is harmless.
    pub(crate) async fn remove(&self, key: &str) {
        if let Err(error) = self.0.delete(&Path::from(key)).await {
            tracing::warn!(key, error = %error, "unused object not removed");
        }
    }
}
