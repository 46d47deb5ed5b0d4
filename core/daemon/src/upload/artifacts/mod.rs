//! Artifacts: the records of a log become versions at the server (`reference/wandb/artifacts-client.md` §6).

/// How the upload of one artifact fares, for whoever waits for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ArtifactState {
    /// It has ended: everything is stored if `error` is empty.
    pub(crate) done: bool,
    /// The server's id, once it is known.
    pub(crate) id: String,
    /// Why it is not stored, or does not go on at present.
    pub(crate) error: String,
    /// Contents that have to go to the server, as far as they are known.
    pub(crate) bytes_uploaded: u64,
    pub(crate) bytes_total: u64,
}
