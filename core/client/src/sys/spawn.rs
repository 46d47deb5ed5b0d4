//! Starting a process that is nobody's child.
//!
//! The daemon must outlive the trainer and must not be its child: a program that waits for "any child" would wait for
//! the daemon, and `SIGCHLD` handlers of the user would fire. A copy of the trainer by `fork` is out of the question
//! too (it may have hundreds of gigabytes mapped). So: a helper that shares our memory (`CLONE_VM | CLONE_VFORK`, no exit
//! signal) calls `posix_spawn` and ends at once; the daemon is adopted by init.

use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::ptr;

/// The number that the first inherited descriptor has in the started process.
pub(crate) const INHERITED_FD: RawFd = 3;
const HELPER_STACK_BYTES: usize = 256 << 10;

/// What to start.
pub(crate) struct Detached<'a> {
    /// Absolute path.
    pub(crate) program: &'a OsStr,
    /// Arguments behind the program's name.
    pub(crate) arguments: &'a [&'a OsStr],
    /// The whole environment.
    pub(crate) environment: &'a [(&'a str, std::ffi::OsString)],
    /// Become descriptors [`INHERITED_FD`] and following; 0 to 2 are `/dev/null`, all others are closed. More than one must have
    /// numbers that are higher than those.
    pub(crate) inherited: &'a [RawFd],
}

/// Starts the program in a session of its own and returns its process id.
///
/// Blocks until the program was loaded (about a millisecond). Errors: those of `posix_spawn`, so a missing or not
/// executable program is reported here.
pub(crate) fn spawn_detached(what: &Detached<'_>) -> io::Result<i32> {
    let program = c_string(what.program)?;
    let arguments = std::iter::once(Ok(program.clone()))
        .chain(what.arguments.iter().map(|argument| c_string(argument)))
        .collect::<io::Result<Vec<_>>>()?;
    let environment = what
        .environment
        .iter()
        .map(|(name, value)| {
            let mut text = std::ffi::OsString::from(format!("{name}="));
            text.push(value);
            c_string(&text)
        })
        .collect::<io::Result<Vec<_>>>()?;
    let actions = FileActions::new(what.inherited)?;
    let attributes = Attributes::new()?;
    let argv = pointers(&arguments);
    let envp = pointers(&environment);
    let mut task = Task {
        program: &program,
        actions: &actions,
        attributes: &attributes,
        argv: argv.as_ptr(),
        envp: envp.as_ptr(),
        error: libc::EAGAIN,
        pid: 0,
    };
    run_in_helper(&mut task)?;
    if task.error == 0 {
        Ok(task.pid)
    } else {
        Err(io::Error::from_raw_os_error(task.error))
    }
}

struct Task<'a> {
    program: &'a CStr,
    actions: &'a FileActions,
    attributes: &'a Attributes,
    argv: *const *mut c_char,
    envp: *const *mut c_char,
    error: c_int,
    pid: libc::pid_t,
}

fn run_in_helper(task: &mut Task<'_>) -> io::Result<()> {
    let mut stack = vec![0_u8; HELPER_STACK_BYTES];
    let top = stack.as_mut_ptr().wrapping_add(HELPER_STACK_BYTES);
    let top = top.wrapping_sub(top.addr() % 16);
    // SAFETY: with CLONE_VFORK this thread sleeps until the helper has ended, so `task` and `stack` outlive it and
    // nobody else touches them meanwhile. The helper only calls `posix_spawn`, which allocates nothing, and returns,
    // which ends it. An exit signal of zero means that nobody is told.
    let helper = unsafe {
        libc::clone(
            helper_main,
            top.cast::<c_void>(),
            libc::CLONE_VM | libc::CLONE_VFORK,
            ptr::from_mut(task).cast::<c_void>(),
        )
    };
    if helper < 0 {
        return Err(io::Error::last_os_error());
    }
    loop {
        // SAFETY: waits for the helper alone; __WCLONE because it has no exit signal.
        let waited = unsafe { libc::waitpid(helper, ptr::null_mut(), libc::__WCLONE) };
        if waited >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return Ok(());
        }
    }
}

extern "C" fn helper_main(task: *mut c_void) -> c_int {
    // SAFETY: `run_in_helper` passes a `Task` that stays valid and unshared until the helper ends; the pointers in it
    // are NUL-terminated strings and null-terminated arrays that live as long.
    unsafe {
        let task = &mut *task.cast::<Task<'_>>();
        task.error = libc::posix_spawn(
            &raw mut task.pid,
            task.program.as_ptr(),
            &raw const task.actions.0,
            &raw const task.attributes.0,
            task.argv,
            task.envp,
        );
    }
    0
}

struct FileActions(libc::posix_spawn_file_actions_t);

impl FileActions {
    fn new(inherited: &[RawFd]) -> io::Result<Self> {
        let behind = INHERITED_FD + c_int::try_from(inherited.len()).unwrap_or(c_int::MAX);
        if inherited.len() > 1 && inherited.iter().any(|number| *number < behind) {
            // One would be replaced before it is copied.
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut actions = MaybeUninit::uninit();
        // SAFETY: initialises the value; it never moves after that in a way that matters (it is plain data).
        let mut actions = unsafe {
            check(libc::posix_spawn_file_actions_init(actions.as_mut_ptr()))?;
            Self(actions.assume_init())
        };
        let null = c"/dev/null".as_ptr();
        // SAFETY: the value is initialised; the path is a static string and is copied. Inherited descriptors are placed
        // first: their old numbers may be among the standard ones.
        unsafe {
            let actions = &raw mut actions.0;
            for (number, inherited) in (INHERITED_FD..).zip(inherited) {
                check(libc::posix_spawn_file_actions_adddup2(
                    actions, *inherited, number,
                ))?;
            }
            for (standard, mode) in [
                (0, libc::O_RDONLY),
                (1, libc::O_WRONLY),
                (2, libc::O_WRONLY),
            ] {
                check(libc::posix_spawn_file_actions_addopen(
                    actions, standard, null, mode, 0,
                ))?;
            }
        }
        for descriptor in open_descriptors(behind)? {
            // SAFETY: as above. Closing a number that is not open any more is not an error.
            check(unsafe {
                libc::posix_spawn_file_actions_addclose(&raw mut actions.0, descriptor)
            })?;
        }
        Ok(actions)
    }
}

impl Drop for FileActions {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, destroyed once.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new() -> io::Result<Self> {
        let mut attributes = MaybeUninit::uninit();
        let mut signals = MaybeUninit::<libc::sigset_t>::uninit();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the flags are 16 bits by definition"
        )]
        let flags = libc::POSIX_SPAWN_SETSID
            | libc::POSIX_SPAWN_SETSIGMASK as libc::c_short
            | libc::POSIX_SPAWN_SETSIGDEF as libc::c_short;
        // SAFETY: each call initialises or sets what it is given. The daemon starts with no signal blocked and all at
        // their defaults, whatever the trainer (or our own thread) has set.
        unsafe {
            check(libc::posix_spawnattr_init(attributes.as_mut_ptr()))?;
            let mut attributes = Self(attributes.assume_init());
            check(libc::posix_spawnattr_setflags(&raw mut attributes.0, flags))?;
            libc::sigemptyset(signals.as_mut_ptr());
            check(libc::posix_spawnattr_setsigmask(
                &raw mut attributes.0,
                signals.as_ptr(),
            ))?;
            libc::sigfillset(signals.as_mut_ptr());
            check(libc::posix_spawnattr_setsigdefault(
                &raw mut attributes.0,
                signals.as_ptr(),
            ))?;
            Ok(attributes)
        }
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, destroyed once.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

/// Numbers from `first` on that are open now. Those with close-on-exec are listed too: closing twice does no harm.
fn open_descriptors(first: RawFd) -> io::Result<Vec<RawFd>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        if let Some(number) = name.to_str().and_then(|text| text.parse::<RawFd>().ok())
            && number >= first
        {
            found.push(number);
        }
    }
    Ok(found)
}

fn check(error: c_int) -> io::Result<()> {
    if error == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(error))
    }
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(io::Error::from)
}

fn pointers(strings: &[CString]) -> Vec<*mut c_char> {
    strings
        .iter()
        .map(|string| string.as_ptr().cast_mut())
        .chain(std::iter::once(ptr::null_mut()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::fd::AsRawFd as _;

    #[test]
    fn the_program_is_no_child_and_sees_only_what_it_is_given() {
        let (reader, writer) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("pipe");
        let leak = std::fs::File::open("/dev/null").expect("open");
        rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).expect("inheritable");
        let script =
            "echo $PPID $(ls /proc/$$/fd | tr '\\n' ,) $ONLY $(cut -d' ' -f6 /proc/$$/stat) >&3";
        let pid = spawn_detached(&Detached {
            program: OsStr::new("/bin/sh"),
            arguments: &[OsStr::new("-c"), OsStr::new(script)],
            environment: &[("ONLY", "this".into()), ("PATH", "/usr/bin:/bin".into())],
            inherited: &[writer.as_raw_fd()],
        })
        .expect("spawned");
        drop(writer);
        let mut text = String::new();
        std::fs::File::from(reader)
            .read_to_string(&mut text)
            .expect("read");
        let words: Vec<&str> = text.split_whitespace().collect();
        assert_ne!(
            words[0],
            std::process::id().to_string(),
            "adopted by another process"
        );
        assert!(words[1].starts_with("0,1,2,3,"), "{text}");
        let leaked = format!(",{},", leak.as_raw_fd());
        assert!(!words[1].contains(&leaked), "{text}");
        assert_eq!(words[2], "this");
        assert_eq!(
            words.get(3).copied(),
            Some(pid.to_string().as_str()),
            "leads its own session"
        );
    }

    #[test]
    fn a_missing_program_is_an_error_here() {
        let (_reader, writer) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("pipe");
        let error = spawn_detached(&Detached {
            program: OsStr::new("/nonexistent/runlane-core"),
            arguments: &[],
            environment: &[],
            inherited: &[writer.as_raw_fd()],
        })
        .expect_err("nothing there");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
