//! Where objects are kept, as the command line says it, and the way to a bucket.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt as _, RetryConfig};

use super::{Objects, in_time};
use crate::auth::token;
use crate::error::ServerError;

/// What follows `RUNLANE_S3_`, and the name that the store's client has for it.
const VARIABLES: [(&str, &str); 8] = [
    ("ACCESS_KEY_ID", "access_key_id"),
    ("SECRET_ACCESS_KEY", "secret_access_key"),
    ("SESSION_TOKEN", "session_token"),
    ("REGION", "region"),
    ("ENDPOINT", "endpoint"),
    ("VIRTUAL_HOSTED_STYLE", "virtual_hosted_style_request"),
    ("SERVER_SIDE_ENCRYPTION", "server_side_encryption"),
    ("CHECKSUM_ALGORITHM", "checksum_algorithm"),
];

/// Where the objects are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ObjectsPlace {
    /// `objects/` in the data directory.
    #[default]
    DataDir,
    /// Another directory, which several servers may share.
    Directory(PathBuf),
    /// A bucket of an S3-compatible store.
    S3(S3Place),
}

/// A bucket, the place in it, and what else its client is told.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Place {
    bucket: String,
    prefix: String,
    /// Settings under the names of the store's client; the environment's `AWS_…` variables count where none is given.
    options: Vec<(&'static str, String)>,
}

impl fmt::Debug for S3Place {
    /// Without the options, which hold the credentials.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

impl fmt::Display for S3Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "s3://{}", self.bucket)?;
        if !self.prefix.is_empty() {
            write!(formatter, "/{}", self.prefix)?;
        }
        Ok(())
    }
}

impl FromStr for ObjectsPlace {
    type Err = String;

    /// `s3://BUCKET[/PREFIX]` with the settings of `RUNLANE_S3_…`, or an absolute directory.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("s3://") {
            let place = S3Place::parse(rest)?;
            return Ok(Self::S3(place.with_environment(|name| {
                std::env::var(name).ok().filter(|value| !value.is_empty())
            })));
        }
        if text.contains("://") {
            return Err("use `s3://BUCKET/PREFIX` or a directory".into());
        }
        let path = std::path::absolute(text).map_err(|error| error.to_string())?;
        Ok(Self::Directory(path))
    }
}

impl S3Place {
    /// `BUCKET[/PREFIX]`.
    fn parse(text: &str) -> Result<Self, String> {
        let (bucket, prefix) = text.split_once('/').unwrap_or((text, ""));
        let fine = (3..=63).contains(&bucket.len())
            && bucket.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte)
            });
        if !fine {
            return Err(format!(
                "`{bucket}` is no bucket name; use `s3://BUCKET/PREFIX`, credentials and endpoint come from the environment"
            ));
        }
        let prefix = prefix.trim_matches('/');
        Path::parse(prefix).map_err(|error| format!("prefix `{prefix}`: {error}"))?;
        Ok(Self {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            options: Vec::new(),
        })
    }

    /// Takes over the settings that `variable` knows under `RUNLANE_S3_…`.
    fn with_environment(mut self, variable: impl Fn(&str) -> Option<String>) -> Self {
        for (word, option) in VARIABLES {
            if let Some(value) = variable(&format!("RUNLANE_S3_{word}")) {
                self.options.push((option, value));
            }
        }
        self
    }

    /// A bucket with everything said, for tests.
    #[doc(hidden)]
    pub fn with_options(
        bucket: &str,
        prefix: &str,
        options: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Self {
        Self {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            options: options.into_iter().collect(),
        }
    }

    /// The store's client; nothing is asked yet.
    pub(super) fn connect(&self) -> Result<Arc<dyn ObjectStore>, ServerError> {
        // An error means that another part of the process has chosen one, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut builder = AmazonS3Builder::from_env();
        for (name, value) in &self.options {
            let key = name.parse().map_err(|error| self.unusable(&error, ""))?;
            builder = builder.with_config(key, value.clone());
        }
        let endpoint = builder.get_config_value(&object_store::aws::AmazonS3ConfigKey::Endpoint);
        let plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
        // Whole requests have their bound outside of the client, which would cut off the bodies of large objects.
        let client = ClientOptions::new()
            .with_allow_http(plain)
            .with_connect_timeout(Duration::from_secs(5))
            .with_read_timeout(Duration::from_secs(20))
            .with_timeout_disabled();
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(100),
                max_backoff: Duration::from_secs(2),
                base: 2.0,
            },
            max_retries: 4,
            retry_timeout: Duration::from_secs(15),
        };
        let store = builder
            .with_bucket_name(&self.bucket)
            .with_client_options(client)
            .with_retry(retry)
            .build()
            .map_err(|error| self.unusable(&error, ""))?;
        Ok(if self.prefix.is_empty() {
            Arc::new(store)
        } else {
            Arc::new(PrefixStore::new(store, Path::from(self.prefix.as_str())))
        })
    }

    fn no_bucket(&self) -> ServerError {
        self.unusable(
            &"there is no such bucket",
            "create it, or check its name, region and endpoint (`RUNLANE_S3_ENDPOINT`, `RUNLANE_S3_REGION`)",
        )
    }

    fn no_access(&self) -> ServerError {
        self.unusable(
            &"the store refuses the credentials",
            "set `RUNLANE_S3_ACCESS_KEY_ID` and `RUNLANE_S3_SECRET_ACCESS_KEY` (or the usual `AWS_…` variables) of an account that may put, get, list and delete there",
        )
    }

    fn unusable(&self, reason: &dyn fmt::Display, hint: &str) -> ServerError {
        ServerError::Objects {
            place: self.to_string(),
            reason: reason.to_string(),
            hint: hint.to_owned(),
        }
    }
}

/// Writes, reads and removes a small object: what is wrong with bucket or credentials is said at the start.
pub(super) async fn probe(objects: &Objects, place: &S3Place) -> Result<(), ServerError> {
    let key = Path::from(format!(
        "probe/{}",
        token::hex(&token::random_bytes::<12>())
    ));
    let outcome = in_time(async {
        // Some stores make a bucket of whatever is put into it; none lists one that is not there.
        let probes = Path::from("probe");
        objects.store.list(Some(&probes)).try_next().await?;
        objects.store.put(&key, "runlane".into()).await?;
        objects.store.get(&key).await?.bytes().await?;
        objects.store.delete(&key).await
    })
    .await;
    let Err(error) = outcome else { return Ok(()) };
    let text = error.to_string();
    // The client's kinds of errors do not tell all of it: a listing that is refused is of none.
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    match error {
        object_store::Error::NotFound { .. } => Err(place.no_bucket()),
        _ if says(&["NoSuchBucket"]) => Err(place.no_bucket()),
        object_store::Error::PermissionDenied { .. }
        | object_store::Error::Unauthenticated { .. } => Err(place.no_access()),
        _ if says(&["status code: 401", "status code: 403"]) => Err(place.no_access()),
        // The store's answers that no repetition changes, such as a wrong region.
        _ if says(&["status code: 4", "redirect"])
            && !says(&["status code: 408", "status code: 429"]) =>
        {
            Err(place.unusable(&text, "check region and endpoint"))
        }
        _ => {
            tracing::warn!(place = %place, error = text, "the object store does not answer; uploads wait until it does");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_buckets_or_directories() {
        let place = |text: &str| text.parse::<ObjectsPlace>();
        assert_eq!(place("/x/y"), Ok(ObjectsPlace::Directory("/x/y".into())));
        let Ok(ObjectsPlace::S3(bucket)) = place("s3://my-bucket/a/b/") else {
            panic!("a bucket")
        };
        assert_eq!(bucket.to_string(), "s3://my-bucket/a/b");
        for bad in [
            "s3://",
            "s3://A",
            "s3://user:key@bucket/x",
            "gs://bucket",
            "s3://bucket/../x",
        ] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn credentials_are_never_shown() {
        let place = S3Place::parse("bucket")
            .expect("valid")
            .with_environment(|name| {
                (name == "RUNLANE_S3_SECRET_ACCESS_KEY").then(|| "sesame".to_owned())
            });
        assert_eq!(place.options, [("secret_access_key", "sesame".to_owned())]);
        assert!(
            !format!("{place:?} {place} {:?}", ObjectsPlace::S3(place.clone())).contains("sesame")
        );
    }
}
