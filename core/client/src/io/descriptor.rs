//! Descriptors of ours in a process that is not ours.
//!
//! Programs close numbers that they do not know (daemonizing libraries close everything above 2) and open files that get
//! the same numbers. What was ours is then somebody else's: a byte written to it would damage a file of the user's. So
//!
//! - our descriptors have high numbers, out of the way of loops over the first few hundred and of what is opened next,
//! - each is compared with what it was when it was made before it is used, and is not closed if it is another one,
//! - a child of `fork` closes its copies: with the socket left open the daemon would not notice the death of the parent.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use rustix::io::fcntl_dupfd_cloexec;

/// Our numbers start here, where the limit allows it.
const FIRST_NUMBER: i32 = 512;

/// What a descriptor refers to. Inodes of sockets and files are not used again while they are open; all event descriptors
/// share one, which tells them from everything that could be damaged by eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    kind: u32,
}

impl Identity {
    /// Asks the system.
    pub(crate) fn of(descriptor: impl AsFd) -> io::Result<Self> {
        let found = rustix::fs::fstat(descriptor)?;
        Ok(Self {
            device: found.st_dev,
            inode: found.st_ino,
            kind: found.st_mode & 0o170_000,
        })
    }
}

/// A descriptor that is used and closed only as long as it is what it was.
#[derive(Debug)]
pub(crate) struct Descriptor {
    owned: ManuallyDrop<OwnedFd>,
    identity: Identity,
    entry: Option<&'static Entry>,
}

impl Descriptor {
    /// Makes one. No `fork` comes between the making and the entry in the register.
    pub(crate) fn make(open: impl FnOnce() -> io::Result<OwnedFd>) -> io::Result<Self> {
        let _gate = Gate::pass();
        let made = open()?;
        let identity = Identity::of(&made)?;
        let descriptor = match fcntl_dupfd_cloexec(&made, FIRST_NUMBER) {
            Ok(high) => {
                if !Identity::of(&made).is_ok_and(|found| found == identity) {
                    // Another thread of the program has just put something of its own there.
                    std::mem::forget(made);
                }
                high
            }
            // Without a free high number (a low limit) the one that it has must do.
            Err(_) => made,
        };
        if Identity::of(&descriptor)? != identity {
            return Err(io::ErrorKind::NotConnected.into());
        }
        Ok(Self {
            entry: Entry::take(descriptor.as_raw_fd(), identity),
            identity,
            owned: ManuallyDrop::new(descriptor),
        })
    }

    /// As `make`, for an event that a signal handler is to trigger: see [`signal_events`].
    pub(crate) fn make_event(open: impl FnOnce() -> io::Result<OwnedFd>) -> io::Result<Self> {
        let made = Self::make(open)?;
        if let Some(entry) = made.entry {
            entry.is_event.store(true, Ordering::Release);
        }
        Ok(made)
    }

    /// Whether the number still stands for what was made. Ask before each use.
    pub(crate) fn is_ours(&self) -> bool {
        Identity::of(&*self.owned).is_ok_and(|found| found == self.identity)
    }

    /// Fails with `NotConnected` if the number stands for something else, or nothing.
    pub(crate) fn check(&self) -> io::Result<()> {
        if self.is_ours() {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::NotConnected,
            "the program closed a descriptor of runlane's",
        ))
    }

    /// What it is.
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.owned.as_fd()
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        if let Some(entry) = self.entry {
            entry.is_event.store(false, Ordering::Release);
            entry.number.store(-1, Ordering::Release);
        }
        // A number that somebody else got is left alone.
        if self.is_ours() {
            crate::sys::descriptors::close(&mut self.owned);
        }
    }
}

/// What is open, for a child of `fork`: it may take no lock and has no owner for these.
#[derive(Debug)]
struct Entry {
    number: AtomicI32,
    device: AtomicU64,
    inode: AtomicU64,
    is_event: AtomicBool,
}

static REGISTER: [Entry; 256] = [const {
    Entry {
        number: AtomicI32::new(-1),
        device: AtomicU64::new(0),
        inode: AtomicU64::new(0),
        is_event: AtomicBool::new(false),
    }
}; 256];

impl Entry {
    /// Whether it stands for what was entered.
    fn is(&self, descriptor: BorrowedFd<'_>) -> bool {
        let was = (
            self.device.load(Ordering::Acquire),
            self.inode.load(Ordering::Acquire),
        );
        Identity::of(descriptor).is_ok_and(|found| (found.device, found.inode) == was)
    }

    /// Enters a descriptor; `None` if the register is full: a child then keeps a copy until it ends.
    fn take(number: i32, identity: Identity) -> Option<&'static Self> {
        REGISTER.iter().find(|entry| {
            let free = entry
                .number
                .compare_exchange(-1, number, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok();
            if free {
                entry.device.store(identity.device, Ordering::Release);
                entry.inode.store(identity.inode, Ordering::Release);
            }
            free
        })
    }
}

/// Held while a descriptor is made and entered, and over a `fork`.
static GATE: AtomicBool = AtomicBool::new(false);

struct Gate;

impl Gate {
    fn pass() -> Self {
        close_gate();
        Self
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        open_gate();
    }
}

/// Waits until no descriptor is being made, and keeps others from it. Before a `fork`.
pub(crate) fn close_gate() {
    while GATE.swap(true, Ordering::Acquire) {
        std::thread::yield_now();
    }
}

/// Behind a `fork`, in the parent and in the child.
pub(crate) fn open_gate() {
    GATE.store(false, Ordering::Release);
}

/// Closes this process's copies of the parent's descriptors. Only for a child of `fork`, by its only thread.
pub(crate) fn close_inherited() {
    for entry in &REGISTER {
        let number = entry.number.swap(-1, Ordering::AcqRel);
        if number >= 0 {
            entry.is_event.store(false, Ordering::Release);
            crate::sys::descriptors::close_if(number, |descriptor| entry.is(descriptor));
        }
    }
}

/// Triggers the events of this process. Only atomics and system calls: for a signal handler.
pub(crate) fn signal_events() {
    for entry in &REGISTER {
        let number = entry.number.load(Ordering::Acquire);
        if number >= 0 && entry.is_event.load(Ordering::Acquire) {
            crate::sys::descriptors::borrow(number, |descriptor| {
                if entry.is(descriptor) {
                    // A counter that is full wakes too.
                    _ = rustix::io::write(descriptor, &1_u64.to_ne_bytes());
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn null() -> io::Result<OwnedFd> {
        Ok(std::fs::File::open("/dev/null")?.into())
    }

    #[test]
    fn numbers_are_high_and_closed_at_the_end() {
        let made = Descriptor::make(null).expect("made");
        let number = made.as_fd().as_raw_fd();
        assert!(number >= FIRST_NUMBER, "{number}");
        assert!(made.is_ours());
        drop(made);
        assert!(!std::path::Path::new(&format!("/proc/self/fd/{number}")).exists());
    }

    #[test]
    fn a_number_that_somebody_else_got_is_neither_used_nor_closed() {
        let file = tempfile::tempfile().expect("a file");
        let foreign = tempfile::tempfile().expect("a file");
        let made = Descriptor::make(|| Ok(file.into())).expect("made");
        let number = made.as_fd().as_raw_fd();
        // What a program does that closes what it does not know, and opens something of its own.
        crate::sys::descriptors::close_if(number, |_| true);
        assert!(!made.is_ours());
        crate::sys::descriptors::duplicate_to(&foreign, number);
        assert_eq!(
            made.check().expect_err("foreign").kind(),
            io::ErrorKind::NotConnected
        );
        drop(made);
        assert!(
            std::path::Path::new(&format!("/proc/self/fd/{number}")).exists(),
            "left open"
        );
        crate::sys::descriptors::close_if(number, |_| true);
    }
}
