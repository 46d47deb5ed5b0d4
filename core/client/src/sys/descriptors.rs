//! Closing descriptors by number, and what happens to ours around `fork`.

use std::mem::ManuallyDrop;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::sync::Once;

/// Closes an owned descriptor in place. Call once, when the owner is dropped.
pub(crate) fn close(descriptor: &mut ManuallyDrop<OwnedFd>) {
    // SAFETY: the caller is the owner's `drop`, which runs once and does not touch the value afterwards.
    unsafe { ManuallyDrop::drop(descriptor) };
}

/// Closes a number that no value in this process owns, if `wanted` says so of what it stands for now.
pub(crate) fn close_if(number: RawFd, wanted: impl FnOnce(BorrowedFd<'_>) -> bool) {
    // SAFETY: the borrow ends before the close. A number that is not open makes the system calls fail, no more.
    let found = unsafe { BorrowedFd::borrow_raw(number) };
    if wanted(found) {
        // SAFETY: `close` takes any number; the caller knows that nobody relies on this one.
        unsafe { libc::close(number) };
    }
}

/// Lets `use_it` have a number as it stands now.
pub(crate) fn borrow(number: RawFd, use_it: impl FnOnce(BorrowedFd<'_>)) {
    // SAFETY: as above; the borrow ends with the call.
    use_it(unsafe { BorrowedFd::borrow_raw(number) });
}

/// Makes `number` another name of `file`, as a program does that reuses it.
#[cfg(test)]
pub(crate) fn duplicate_to(file: &impl std::os::fd::AsRawFd, number: RawFd) {
    // SAFETY: `dup2` takes any numbers.
    assert_eq!(unsafe { libc::dup2(file.as_raw_fd(), number) }, number);
}

/// Has every `fork` of this process, whoever calls it, wait for descriptors in the making, and the child forget what is its
/// parent's.
pub(crate) fn watch_forks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handlers are functions that live as long as the process and do only what is allowed between `fork`
        // and `exec`: atomics and system calls. The module is never unloaded.
        unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    });
}

extern "C" fn before() {
    crate::io::descriptor::close_gate();
}

extern "C" fn in_parent() {
    crate::io::descriptor::open_gate();
}

extern "C" fn in_child() {
    crate::io::descriptor::open_gate();
    crate::fork::after_fork_in_child();
}
