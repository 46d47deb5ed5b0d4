//! The bytes of artifacts: files by their digests, manifests, files in parts, and what is removed when nobody needs it any more.
//!
//! Bytes come in and go out by signed URLs ([`urls`]), which the GraphQL side hands out after it has checked what the caller may do;
//! [`fallback`] is for clients that have a digest and no URL. What a version is made of, and when it is committed, is not known here.

pub(crate) mod collect;
pub(crate) mod download;
pub(crate) mod fallback;
mod join;
pub(crate) mod manifests;
pub(crate) mod multipart;
pub(crate) mod upload;
pub(crate) mod urls;

pub(crate) use self::manifests::{manifest_bytes, put_manifest};
