//! How the writer thread is scheduled.

/// Asks for short waits on a busy machine in return for short turns (`sched_runtime` of ordinary threads, Linux 6.12). Older
/// kernels refuse or ignore it, and nothing is lost by that.
#[cfg(target_os = "linux")]
pub(crate) fn prefer_short_waits() {
    const SHORTEST_TURN_NANOS: u64 = 100_000;
    // SAFETY: zeros are a valid value of this plain struct.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    let size = u32::try_from(size_of::<libc::sched_attr>()).unwrap_or(0);
    // SAFETY: the call writes at most `size` bytes to the struct; 0 is this thread.
    let known = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    if known == 0 && attributes.sched_policy == 0 {
        attributes.sched_runtime = SHORTEST_TURN_NANOS;
        // SAFETY: the call reads the struct, whose size stands in its first field.
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    }
}

/// There is nothing to ask for.
#[cfg(not(target_os = "linux"))]
pub(crate) fn prefer_short_waits() {}
