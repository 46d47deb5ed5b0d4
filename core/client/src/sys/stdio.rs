//! The C library's output buffers.

/// Writes out what C code has printed and the C library still has. Only of the two standard streams: flushing all would
/// wait for a thread that is reading one.
pub(crate) fn flush() {
    // SAFETY: the two are valid streams for as long as the process lives; `fflush` takes their locks.
    unsafe {
        libc::fflush(standard::output());
        libc::fflush(standard::error());
    }
}

mod standard {
    unsafe extern "C" {
        #[cfg_attr(target_vendor = "apple", link_name = "__stdoutp")]
        static stdout: *mut libc::FILE;
        #[cfg_attr(target_vendor = "apple", link_name = "__stderrp")]
        static stderr: *mut libc::FILE;
    }

    pub(super) fn output() -> *mut libc::FILE {
        // SAFETY: read-only access to a variable that the C library sets before `main`.
        unsafe { stdout }
    }

    pub(super) fn error() -> *mut libc::FILE {
        // SAFETY: as above.
        unsafe { stderr }
    }
}
