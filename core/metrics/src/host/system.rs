//! The machine that the daemon runs on.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};

use super::line_stream::LineStream;
use super::{Command, Host, Http, HttpRequest, LatestLine, Space, UnaryRequest};

/// A file of `/proc` or `/sys` is not read beyond this.
const MAX_FILE_BYTES: usize = 1 << 20;
/// Names of a directory beyond these are left out.
const MAX_NAMES: usize = 65_536;
/// What is kept of a program's standard error.
const MAX_ERROR_BYTES: usize = 4_096;

/// The real thing, below a root directory.
pub struct SystemHost {
    root: PathBuf,
    started: Instant,
    http: Arc<dyn Http>,
}

impl SystemHost {
    /// The host as this process sees it.
    pub fn new(http: Arc<dyn Http>) -> Self {
        Self {
            root: PathBuf::from("/"),
            started: Instant::now(),
            http,
        }
    }

    /// The same with `/proc`, `/sys` and the rest below another directory.
    #[must_use]
    pub fn below(mut self, root: &Path) -> Self {
        root.clone_into(&mut self.root);
        self
    }

    fn place(&self, path: &str) -> PathBuf {
        if self.root == Path::new("/") {
            PathBuf::from(path)
        } else {
            self.root.join(path.trim_start_matches('/'))
        }
    }
}

impl Host for SystemHost {
    fn read(&self, path: &str, buffer: &mut Vec<u8>) -> io::Result<()> {
        buffer.clear();
        let file = File::open(self.place(path))?;
        file.take(MAX_FILE_BYTES as u64).read_to_end(buffer)?;
        Ok(())
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.place(path))?.take(MAX_NAMES) {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn space(&self, path: &str) -> io::Result<Space> {
        let found = rustix::fs::statvfs(self.place(path))?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Space {
            total: bytes(found.f_blocks),
            used: bytes(found.f_blocks.saturating_sub(found.f_bfree)),
            available: bytes(found.f_bavail),
        })
    }

    fn device_of(&self, path: &str) -> io::Result<(u32, u32)> {
        let device = std::fs::metadata(self.place(path))?.dev();
        Ok((rustix::fs::major(device), rustix::fs::minor(device)))
    }

    fn run(&self, command: &Command) -> io::Result<Vec<u8>> {
        let mut child = start(command, Stdio::piped())?;
        let outcome = collect(&mut child, command);
        if outcome.is_err() {
            // Whatever went wrong: a program that was asked must not stay.
            kill_group(&mut child);
        }
        let status = child.wait();
        let (output, errors) = outcome?;
        let status = status?;
        if status.success() {
            return Ok(output);
        }
        let errors = String::from_utf8_lossy(&errors);
        let last = errors.lines().rfind(|line| !line.trim().is_empty());
        let why = last.unwrap_or("no message").trim();
        let how = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exited with {code}"),
            (None, signal) => format!("ended by signal {}", signal.unwrap_or(0)),
        };
        let text = format!("`{}` {how}: {why}", command.program);
        Err(io::Error::other(text))
    }

    fn follow(&self, command: &Command) -> io::Result<Box<dyn LatestLine>> {
        Ok(Box::new(LineStream::start(command)?))
    }

    fn get(&self, request: &HttpRequest) -> io::Result<Vec<u8>> {
        self.http.get(request)
    }

    fn unary(&self, request: &UnaryRequest) -> io::Result<Vec<u8>> {
        self.http.unary(request)
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|text| !text.is_empty())
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn page_bytes(&self) -> u64 {
        rustix::param::page_size() as u64
    }

    fn ticks_per_sec(&self) -> u64 {
        rustix::param::clock_ticks_per_second()
    }

    fn own_pid(&self) -> u32 {
        std::process::id()
    }
}

/// Starts a program in a process group of its own: tools are often scripts that start others.
pub(super) fn start(command: &Command, errors: Stdio) -> io::Result<Child> {
    std::process::Command::new(&command.program)
        .args(&command.arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .process_group(0)
        .spawn()
}

/// Ends a program and all that it started; it may have ended by itself.
pub(super) fn kill_group(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // A child that was waited for has no group any more, and its number may be another's.
    if let (Some(group), Ok(None)) = (group, child.try_wait()) {
        _ = kill_process_group(group, Signal::KILL);
    }
}

/// Reads both streams to their ends, within the command's time.
fn collect(child: &mut Child, command: &Command) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let deadline = Instant::now() + command.timeout;
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let mut stdout = child.stdout.take();
    let mut stderr = child.stderr.take();
    let mut chunk = [0; 8 << 10];
    while stdout.is_some() || stderr.is_some() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let text = format!("`{}` did not end in time", command.program);
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        let (output_ready, errors_ready) = {
            let out = stdout.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN));
            let err = stderr.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN));
            let has_output = out.is_some();
            let mut wanted: Vec<PollFd<'_>> = out.into_iter().chain(err).collect();
            let timeout = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            poll(&mut wanted, Some(&timeout))?;
            let ready = |fd: Option<&PollFd<'_>>| fd.is_some_and(|fd| !fd.revents().is_empty());
            if has_output {
                (ready(wanted.first()), ready(wanted.get(1)))
            } else {
                (false, ready(wanted.first()))
            }
        };
        if output_ready && let Some(pipe) = &mut stdout {
            match pipe.read(&mut chunk)? {
                0 => stdout = None,
                count => output.extend_from_slice(&chunk[..count]),
            }
            if output.len() > command.max_bytes {
                let text = format!("`{}` wrote too much", command.program);
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
        if errors_ready && let Some(pipe) = &mut stderr {
            match pipe.read(&mut chunk)? {
                0 => stderr = None,
                count => errors.extend_from_slice(&chunk[..count]),
            }
            let over = errors.len().saturating_sub(MAX_ERROR_BYTES);
            errors.drain(..over);
        }
    }
    // Streams may be closed by a program that goes on.
    while child.try_wait()?.is_none() {
        if Instant::now() >= deadline {
            let text = format!("`{}` did not end in time", command.program);
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok((output, errors))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::recorded::NoHttp;

    fn host() -> SystemHost {
        SystemHost::new(Arc::new(NoHttp))
    }

    fn shell(script: &str) -> Command {
        Command::new("/bin/sh", &["-c", script])
    }

    #[test]
    fn a_program_is_bounded_in_time_and_bytes() {
        let output = host().run(&shell("echo out; echo err >&2")).expect("ran");
        assert_eq!(output, b"out\n");

        let mut hangs = shell("echo out; exec sleep 60");
        hangs.timeout = Duration::from_millis(50);
        let error = host().run(&hangs).expect_err("killed");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);

        let mut floods = shell("exec yes");
        floods.max_bytes = 100_000;
        let error = host().run(&floods).expect_err("killed");
        assert_eq!(error.to_string(), "`/bin/sh` wrote too much");
    }

    #[test]
    fn a_failing_program_says_why() {
        let error = host()
            .run(&shell("echo first >&2; echo no device >&2; exit 3"))
            .expect_err("fails");
        assert_eq!(error.to_string(), "`/bin/sh` exited with 3: no device");
        let error = host()
            .run(&Command::new("/no/such/program", &[]))
            .expect_err("missing");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn files_lie_below_the_root() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(directory.path().join("proc")).expect("made");
        std::fs::write(directory.path().join("proc/stat"), "cpu 1").expect("written");
        let host = host().below(directory.path());
        assert_eq!(host.text("/proc/stat").expect("read"), "cpu 1");
        assert_eq!(host.list("/proc").expect("listed"), ["stat"]);
        assert!(host.space("/proc").expect("asked").total > 0);
    }
}
