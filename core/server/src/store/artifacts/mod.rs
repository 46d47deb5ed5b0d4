//! Artifacts: types, collections, versions, who they belong to, what is in them, and who made and used them.
//!
//! What changes versions or aliases of a collection locks the collection first ([`collections::lock`]), then the version
//! ([`versions::lock`]); several of a kind in the order of their row ids, and runs after all of them. A version that is to get a place
//! in a portfolio, or to lose one, is locked through its sequence, so that whoever holds the sequence knows all its places.

pub(crate) mod aliases;
pub(crate) mod collection_list;
pub(crate) mod collections;
pub(crate) mod entries;
pub(crate) mod lineage;
pub(crate) mod manifests;
pub(crate) mod memberships;
pub(crate) mod tags;
pub(crate) mod types;
pub(crate) mod version_list;
pub(crate) mod versions;
