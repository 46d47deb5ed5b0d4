//! Waking the writer thread, seldom.
//!
//! While rows come fast the writer looks for them by itself every two milliseconds and callers make no system call. Only
//! when it has gone to sleep does a caller write to the event descriptor, once.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};

/// The event and the sleeper's flag.
pub(crate) struct Wake {
    event: OwnedFd,
    asleep: AtomicBool,
}

impl Wake {
    /// A wake for a thread that is awake.
    pub(crate) fn new() -> io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self {
            event,
            asleep: AtomicBool::new(false),
        })
    }

    /// Wakes the writer if it sleeps. Call after what it is to find has been stored.
    #[inline]
    pub(crate) fn if_asleep(&self) {
        crate::hub::publish_fence();
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
            self.always();
        }
    }

    /// Wakes the writer whatever it does.
    #[cold]
    pub(crate) fn always(&self) {
        // The only failure is a counter that is full: then it is awake anyway.
        _ = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
    }

    /// The writer is going to sleep. It has to look for work once more after this and before it sleeps.
    pub(crate) fn falls_asleep(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        crate::hub::publish_fence();
    }

    /// The writer is awake.
    pub(crate) fn wakes_up(&self) {
        self.asleep.store(false, Ordering::Relaxed);
        let mut counter = [0; 8];
        // `WouldBlock` if nobody wrote.
        _ = rustix::io::read(&self.event, &mut counter);
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
