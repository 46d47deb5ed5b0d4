//! Artifacts: digests, manifests, names, and how large files are cut (`reference/wandb/artifacts-client.md`).

pub mod digest;
pub mod manifest;
pub mod names;
pub mod parts;
