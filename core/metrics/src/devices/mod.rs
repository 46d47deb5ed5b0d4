//! Accelerators and endpoints: one file each.

use crate::{Settings, Spec};

/// The samplers of devices and endpoints that a run wants.
pub(crate) fn wanted(_settings: &Settings) -> Vec<Spec> {
    Vec::new()
}
