//! Signals.

use std::mem::MaybeUninit;
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
