//! The host itself and the processes of runs.

use crate::{Host, Settings, Spec};

/// The samplers of the host and of the monitored process.
pub(crate) fn wanted(_settings: &Settings, _host: &dyn Host) -> Vec<Spec> {
    Vec::new()
}
