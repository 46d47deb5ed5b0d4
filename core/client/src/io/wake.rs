//! Waking the writer thread, seldom.
//!
//! While rows come fast the writer looks for them by itself and callers make no system call. Only when it has gone to sleep
//! does a caller write to the event descriptor, once. A writer that dozes looks seldom; it is woken for rows that are in the
//! memory of this process alone.

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

use super::descriptor::Descriptor;

/// How deep the writer sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sleep {
    /// It looks again within tens of milliseconds.
    Dozes = 1,
    /// It looks when it is woken.
    Sleeps = 2,
}

/// The event and the sleeper's state.
pub(crate) struct Wake {
    event: Mutex<Arc<Descriptor>>,
    /// 0 while it is awake.
    sleep: AtomicU8,
}

impl Wake {
    /// A wake for a thread that is awake.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            event: Mutex::new(new_event()?),
            sleep: AtomicU8::new(0),
        })
    }

    /// Whether the writer sleeps at least so deep and has to be woken by whoever gets this answer. Call after what it is to find
    /// has been stored.
    #[inline]
    pub(crate) fn claims_sleeper(&self, depth: Sleep) -> bool {
        crate::hub::publish_fence();
        self.sleep.load(Ordering::Relaxed) >= depth as u8
            && self.sleep.swap(0, Ordering::Relaxed) >= depth as u8
    }

    /// Wakes the writer whatever it does.
    #[cold]
    pub(crate) fn always(&self) {
        // The only failure is a counter that is full: then it is awake anyway. Without any event the writer looks by itself
        // before long.
        if let Some(event) = self.event() {
            _ = rustix::io::write(&event, &1_u64.to_ne_bytes());
        }
    }

    /// The writer is going to sleep. It has to look for work once more after this and before it sleeps.
    pub(crate) fn falls_asleep(&self, depth: Sleep) {
        self.sleep.store(depth as u8, Ordering::Relaxed);
        crate::hub::publish_fence();
    }

    /// The writer is awake; `signalled` if its event was.
    pub(crate) fn wakes_up(&self, signalled: bool) {
        self.sleep.store(0, Ordering::Relaxed);
        if signalled && let Some(event) = self.event() {
            let mut counter = [0; 8];
            // `WouldBlock` if it is a new one.
            _ = rustix::io::read(&event, &mut counter);
        }
    }

    /// The event to wait for; a new one if the program closed it. `None` if there can be none.
    pub(crate) fn event(&self) -> Option<Arc<Descriptor>> {
        let mut event = self.event.lock().unwrap_or_else(PoisonError::into_inner);
        if !event.is_ours() {
            *event = new_event().ok()?;
        }
        Some(Arc::clone(&event))
    }
}

fn new_event() -> io::Result<Arc<Descriptor>> {
    let make = || Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    Descriptor::make_event(make).map(Arc::new)
}
