//! Endpoints that a run names: what they answer is bounded, and may be anything.

pub(super) mod dcgm;
mod exposition;
mod filters;
pub(super) mod open_metrics;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Stands for headers in the identity of a sampler: they hold credentials, which nobody is to read there.
fn hash_of(headers: &BTreeMap<String, String>) -> u64 {
    let mut hasher = DefaultHasher::new();
    headers.hash(&mut hasher);
    hasher.finish()
}
