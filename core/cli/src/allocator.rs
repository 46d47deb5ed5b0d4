//! Memory that a process keeps without needing it: what its allocator holds back, and code that has run once.

/// Arenas of a server. Each thread would get one of its own, and keep what it has freed there; two cores need no more.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ARENAS: libc::c_int = 2;

/// Returns the memory of what has ended to the system.
pub(crate) fn give_back() {
    trim_heap();
    #[cfg(target_os = "linux")]
    forget_code();
}

/// The allocator would keep what was freed for what comes.
fn trim_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: no arguments that could be wrong; it only looks through the allocator's own free lists.
        #[expect(unsafe_code, reason = "there is no safe wrapper")]
        unsafe {
            libc::malloc_trim(0)
        };
    }
}

/// Takes the pages of the program's own code out of this process; what runs next maps them anew from the page cache, sixteen at
/// a time. An idle daemon needs few of those that a run needs, and would count all of them as its own for days.
#[cfg(target_os = "linux")]
fn forget_code() {
    let (Ok(maps), Ok(program)) = (
        std::fs::read_to_string("/proc/self/maps"),
        std::fs::read_link("/proc/self/exe"),
    ) else {
        return;
    };
    for (start, end) in code_of(&maps, &program.to_string_lossy()) {
        // SAFETY: the pages are mapped from the file, without write permission, and were never written (code is position
        // independent, only data is relocated): the kernel brings back the same bytes.
        #[expect(unsafe_code, reason = "there is no safe wrapper")]
        let outcome = unsafe {
            libc::madvise(
                std::ptr::with_exposed_provenance_mut(start),
                end - start,
                libc::MADV_DONTNEED,
            )
        };
        if outcome != 0 {
            tracing::debug!("code cannot be given back");
        }
    }
}

/// Where the executable, unwritable mappings of `program` begin and end, from the text of `/proc/self/maps`.
#[cfg(target_os = "linux")]
fn code_of(maps: &str, program: &str) -> Vec<(usize, usize)> {
    let range = |line: &str| {
        let (range, rest) = line.split_once(' ')?;
        let (permissions, rest) = rest.split_once(' ')?;
        // Offset, device, inode, path.
        let path = rest.splitn(4, ' ').nth(3)?.trim_start();
        let (start, end) = range.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        (permissions == "r-xp" && path == program).then_some((number(start)?, number(end)?))
    };
    maps.lines().filter_map(range).collect()
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_the_code_of_the_program_itself_is_named() {
        let maps = "\
55d0c0000000-55d0c0200000 r--p 00000000 fd:00 42 /opt/run lane/_bin/runlane-core
55d0c0200000-55d0c0a00000 r-xp 00200000 fd:00 42                         /opt/run lane/_bin/runlane-core
55d0c0a00000-55d0c0b00000 rw-p 00a00000 fd:00 42 /opt/run lane/_bin/runlane-core
7f0000000000-7f0000100000 r-xp 00000000 fd:00 7 /lib/libc.so.6
7ffc00000000-7ffc00001000 r-xp 00000000 00:00 0 [vdso]
";
        let found = code_of(maps, "/opt/run lane/_bin/runlane-core");
        assert_eq!(found, [(0x55d0_c020_0000, 0x55d0_c0a0_0000)]);
    }

    #[test]
    fn code_that_was_given_back_still_runs() {
        give_back();
        let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux has it");
        let program = std::fs::read_link("/proc/self/exe").expect("Linux has it");
        assert!(!code_of(&maps, &program.to_string_lossy()).is_empty());
    }
}
