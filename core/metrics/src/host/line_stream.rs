//! A program that writes a line now and then, of which only the newest matters.
//!
//! Its pipe is read when somebody asks: no thread waits for it. A program that writes more than a pipe holds between two
//! questions waits in the meantime.

use std::io::{self, Read};
use std::process::{Child, ChildStdout, Stdio};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::system::{kill_group, start};
use super::{Command, LatestLine};

/// The child, and what it wrote of a line that is not whole yet.
#[derive(Debug)]
pub(super) struct LineStream {
    child: Child,
    output: ChildStdout,
    partial: Vec<u8>,
    max_bytes: usize,
    program: String,
}

impl LineStream {
    pub(super) fn start(command: &Command) -> io::Result<Self> {
        let mut child = start(command, Stdio::null())?;
        let output = child.stdout.take().expect("its output is a pipe");
        fcntl_setfl(&output, fcntl_getfl(&output)? | OFlags::NONBLOCK)?;
        Ok(Self {
            child,
            output,
            partial: Vec::new(),
            max_bytes: command.max_bytes,
            program: command.program.clone(),
        })
    }
}

impl LatestLine for LineStream {
    fn take(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut newest = None;
        let mut chunk = [0; 16 << 10];
        loop {
            match self.output.read(&mut chunk) {
                Ok(0) => {
                    let text = format!("`{}` ended", self.program);
                    return match newest {
                        Some(line) => Ok(Some(line)),
                        None => Err(io::Error::new(io::ErrorKind::BrokenPipe, text)),
                    };
                }
                Ok(count) => {
                    self.partial.extend_from_slice(&chunk[..count]);
                    if let Some(end) = self.partial.iter().rposition(|&byte| byte == b'\n') {
                        let rest = self.partial.split_off(end + 1);
                        let whole = std::mem::replace(&mut self.partial, rest);
                        let mut lines = whole.split(|&byte| byte == b'\n');
                        let last = lines.rfind(|line| !line.is_empty());
                        newest = last.map(<[u8]>::to_vec).or(newest);
                    }
                    if self.partial.len() > self.max_bytes {
                        let text = format!("`{}` wrote an endless line", self.program);
                        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(newest),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for LineStream {
    fn drop(&mut self) {
        kill_group(&mut self.child);
        _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn next(stream: &mut LineStream) -> io::Result<Vec<u8>> {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            match stream.take() {
                Ok(Some(line)) => return Ok(line),
                Ok(None) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ok(None) => return Err(io::ErrorKind::TimedOut.into()),
                Err(error) => return Err(error),
            }
        }
    }

    #[test]
    fn the_newest_whole_line_is_taken_and_an_end_is_noticed() {
        let directory = tempfile::tempdir().expect("a directory");
        let flag = directory.path().join("go on");
        let script = "printf 'one\\ntwo\\nthr'; until [ -e \"$0\" ]; do sleep 0.01; done; echo ee";
        let flag_text = flag.to_str().expect("a plain path");
        let command = Command::new("/bin/sh", &["-c", script, flag_text]);
        let mut stream = LineStream::start(&command).expect("started");
        assert_eq!(next(&mut stream).expect("a line"), b"two");
        assert_eq!(stream.take().expect("goes on"), None);
        std::fs::write(&flag, "").expect("written");
        assert_eq!(next(&mut stream).expect("a line"), b"three");
        assert_eq!(
            next(&mut stream).expect_err("ended").to_string(),
            "`/bin/sh` ended"
        );
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut command = Command::new(
            "/bin/sh",
            &["-c", "while :; do printf xxxxxxxxxxxxxxxx; done"],
        );
        command.max_bytes = 10_000;
        let mut stream = LineStream::start(&command).expect("started");
        let error = next(&mut stream).expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
