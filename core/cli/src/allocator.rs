//! What the system's allocator is told; only glibc's can be told anything.

/// Arenas of a server. Each thread would get one of its own, and keep what it has freed there; two cores need no more.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ARENAS: libc::c_int = 2;

/// Returns the memory of what has ended to the system; the allocator would keep it for what comes.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: no arguments that could be wrong; it only looks through the allocator's own free lists.
        #[expect(unsafe_code, reason = "there is no safe wrapper")]
        unsafe {
            libc::malloc_trim(0)
        };
    }
}

/// Bounds what a process with many threads keeps of the memory that it has freed. To be called before it has threads.
pub(crate) fn bound_arenas() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: sets a number before any thread exists that could read it.
        #[expect(unsafe_code, reason = "there is no safe wrapper")]
        let is_set = unsafe { libc::mallopt(libc::M_ARENA_MAX, ARENAS) };
        if is_set == 0 {
            tracing::debug!("the number of arenas cannot be bounded");
        }
    }
}
