//! The bytes of queued entries that one process may hold in memory.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts bytes against a limit.
pub(crate) struct Budget {
    used: AtomicUsize,
    limit: usize,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            limit,
        }
    }

    /// Takes `bytes`; false if they would not fit. The limit may be passed by one entry per thread.
    #[inline]
    pub(crate) fn take(&self, bytes: usize) -> bool {
        if self.used.load(Ordering::Relaxed).saturating_add(bytes) > self.limit {
            return false;
        }
        self.used.fetch_add(bytes, Ordering::Relaxed);
        true
    }

    /// Takes `bytes`, whatever the limit says: what comes back from the spill file has to be sent.
    pub(crate) fn force(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives `bytes` back.
    pub(crate) fn give(&self, bytes: usize) {
        let before = self.used.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(before >= bytes, "gave back {bytes} of {before}");
    }

    /// Bytes in use.
    #[inline]
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Says whether more than half is in use: time to let spilled entries go.
    pub(crate) fn is_tight(&self) -> bool {
        self.used() > self.limit / 2
    }

    /// Says whether more than three quarters are in use: time for callers to slow down.
    #[inline]
    pub(crate) fn is_crowded(&self) -> bool {
        self.used() > self.limit / 4 * 3
    }

    /// Says whether `bytes` more would fit.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.used().saturating_add(bytes) <= self.limit
    }
}
