//! The slow paths in Python. They are called on the caller's thread only.

use std::sync::{Mutex, PoisonError};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

/// The hooks of one run. Set once, cleared by the garbage collector.
#[derive(Default)]
pub(crate) struct Hooks {
    // Held only while a reference is copied, attached to the interpreter all the time: no thread can fork meanwhile.
    set: Mutex<Option<Set>>,
}

struct Set {
    convert: Py<PyAny>,
    misuse: Py<PyAny>,
    warn: Py<PyAny>,
}

impl Hooks {
    /// Sets all hooks.
    pub(crate) fn set(&self, convert: Py<PyAny>, misuse: Py<PyAny>, warn: Py<PyAny>) {
        self.replace(Some(Set {
            convert,
            misuse,
            warn,
        }));
    }

    /// Forgets all hooks.
    pub(crate) fn clear(&self) {
        self.replace(None);
    }

    /// Asks for a form of `value` that can be encoded; `None` without a hook.
    pub(crate) fn convert<'py>(
        &self,
        key: &str,
        value: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = value.py();
        let Some(hook) = self.get(py, |set| &set.convert) else {
            return Ok(None);
        };
        hook.bind(py).call1((key, value)).map(Some)
    }

    /// Reports a call that cannot be accepted; the hook raises what the user should see.
    pub(crate) fn misuse(&self, py: Python<'_>, kind: &str, detail: &str) -> PyResult<()> {
        let Some(hook) = self.get(py, |set| &set.misuse) else {
            return Ok(());
        };
        hook.bind(py).call1((kind, detail)).map(drop)
    }

    /// Prints a notice (20 info, 30 warning, 40 error). What the hook raises is reported as unraisable: a notice must not
    /// stop training.
    pub(crate) fn warn(&self, py: Python<'_>, severity: u32, text: &str) {
        if let Some(hook) = self.get(py, |set| &set.warn)
            && let Err(error) = hook.bind(py).call1((severity, text))
        {
            error.write_unraisable(py, None);
        }
    }

    /// Shows the references to the garbage collector.
    pub(crate) fn traverse(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Ok(guard) = self.set.try_lock()
            && let Some(set) = guard.as_ref()
        {
            visit.call(&set.convert)?;
            visit.call(&set.misuse)?;
            visit.call(&set.warn)?;
        }
        Ok(())
    }

    fn get(&self, py: Python<'_>, pick: impl Fn(&Set) -> &Py<PyAny>) -> Option<Py<PyAny>> {
        let guard = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        guard.as_ref().map(|set| pick(set).clone_ref(py))
    }

    fn replace(&self, set: Option<Set>) {
        let previous = {
            let mut guard = self.set.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *guard, set)
        };
        // Outside the lock: dropping a hook may run Python code that comes back here.
        drop(previous);
    }
}
