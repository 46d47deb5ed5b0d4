//! Signals and descriptors.

use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// Blocks every signal in the calling thread.
///
/// A signal that is delivered to the writer thread would not interrupt the main thread's system call, and Ctrl-C would
/// wait for it to end.
pub(crate) fn block_all_in_this_thread() {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigfillset` initialises the set it is given; `pthread_sigmask` reads it and may be called anywhere.
    unsafe {
        libc::sigfillset(set.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), ptr::null_mut());
    }
}

/// Closes a descriptor that a child inherited from its parent's writer thread.
///
/// Only called in a child of `fork`, where that thread does not exist, with the number the thread had published: no
/// value in the child owns the descriptor.
pub(crate) fn close_inherited(descriptor: RawFd) {
    // SAFETY: see above; nothing else in this process will close it.
    drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
}
