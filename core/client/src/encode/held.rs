//! A call with values that are still being made: what is there is encoded, each of the others leaves a hole.

use pyo3::prelude::*;

use super::careful::encode_value;
use super::item::{Items, Path};
use super::{MAX_CALL_BYTES, check_size};
use crate::wire::close_message;

/// A value that is missing.
pub(crate) struct Hole {
    /// Where its items belong.
    pub(crate) at: usize,
    /// Its key.
    pub(crate) path: Path,
    /// Makes it, in plain values.
    pub(crate) job: Py<PyAny>,
    /// Takes the call.
    pub(crate) defer: Py<PyAny>,
}

/// An encoded call with holes.
pub(crate) struct Held {
    pub(super) out: Vec<u8>,
    /// Where the entry and the call in it start.
    pub(super) heads: (usize, usize),
    pub(super) holes: Vec<Hole>,
}

impl Held {
    /// Who takes the call.
    pub(crate) fn defer(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.holes.first().map(|hole| hole.defer.clone_ref(py))
    }

    /// What the call keeps in memory, in bytes, beside the values that are missing.
    pub(crate) const fn size(&self) -> usize {
        self.out.len()
    }

    /// Makes the missing values. A value that cannot be made is left out of the entry, and its error returned beside it.
    pub(crate) fn complete(self, py: Python<'_>) -> (Option<Vec<u8>>, Option<PyErr>) {
        let mut whole = Vec::with_capacity(self.out.len() + 1024);
        let mut failure = None;
        let mut from = 0;
        for mut hole in self.holes {
            whole.extend_from_slice(&self.out[from..hole.at]);
            from = hole.at;
            let mut items = Items::default();
            let made = hole
                .job
                .bind(py)
                .call0()
                .and_then(|value| encode_value(&mut hole.path, &value, &mut items));
            match made {
                Ok(()) => whole.extend_from_slice(&items.out),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        whole.extend_from_slice(&self.out[from..]);
        if let Err(error) = check_size(whole.len(), "the call") {
            return (None, Some(error));
        }
        debug_assert!(whole.len() <= MAX_CALL_BYTES, "checked");
        let (entry, call) = self.heads;
        close_message(&mut whole, call);
        close_message(&mut whole, entry);
        (Some(whole), failure)
    }
}
