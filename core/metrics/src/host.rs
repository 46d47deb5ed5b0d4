//! The seam to everything outside: files, commands, HTTP, time.

mod line_stream;
#[cfg(test)]
pub(crate) mod recorded;
mod system;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

pub use self::system::SystemHost;

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Found on `PATH`, or a path.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// It is killed after this time.
    pub timeout: Duration,
    /// Its output may have so many bytes; more is an error.
    pub max_bytes: usize,
}

impl Command {
    /// A program with arguments: 5 s and 4 MiB of output.
    pub fn new(program: &str, arguments: &[&str]) -> Self {
        Self {
            program: program.to_owned(),
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
            timeout: Duration::from_secs(5),
            max_bytes: 4 << 20,
        }
    }
}

/// A `GET`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// `http` or `https`.
    pub url: String,
    /// Sent with it.
    pub headers: BTreeMap<String, String>,
    /// For the whole exchange.
    pub timeout: Duration,
    /// The body may have so many bytes; more is an error.
    pub max_bytes: usize,
}

impl HttpRequest {
    /// A request without headers of its own: 5 s and 16 MiB.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            headers: BTreeMap::new(),
            timeout: Duration::from_secs(5),
            max_bytes: 16 << 20,
        }
    }
}

/// One unary gRPC call to a service on this host, unencrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnaryRequest {
    /// A port of the loopback address.
    pub port: u16,
    /// `/package.Service/Method`.
    pub path: String,
    /// The encoded request message.
    pub message: Vec<u8>,
    /// For the whole exchange.
    pub timeout: Duration,
    /// The encoded answer may have so many bytes; more is an error.
    pub max_bytes: usize,
}

/// Asks servers; the daemon brings its HTTP client.
pub trait Http: Send + Sync {
    /// The encoded answer of a call whose status is OK. A refused connection is an error of that kind.
    fn unary(&self, request: &UnaryRequest) -> io::Result<Vec<u8>>;

    /// The body of an answer with status 200; blocks no longer than the request's timeout. Follows no redirect.
    fn get(&self, request: &HttpRequest) -> io::Result<Vec<u8>>;
}

/// The newest line that a program has written; dropped, the program is killed.
pub trait LatestLine: Send {
    /// The last whole line since the previous call, `None` if there was none. Does not block; an error means that the program
    /// has ended.
    fn take(&mut self) -> io::Result<Option<Vec<u8>>>;
}

/// The room of a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total: u64,
    /// Used.
    pub used: u64,
    /// Free for a user without privileges.
    pub available: u64,
}

/// Everything that samplers read.
pub trait Host: Send + Sync {
    /// Puts the content of a file of `/proc`, `/sys` or `/etc` in the place of what is in `buffer`; at most 1 MiB.
    /// `path` is absolute.
    fn read(&self, path: &str, buffer: &mut Vec<u8>) -> io::Result<()>;

    /// Names in a directory, sorted.
    fn list(&self, path: &str) -> io::Result<Vec<String>>;

    /// The room of the file system that a path is on. May hang as long as the file system does.
    fn space(&self, path: &str) -> io::Result<Space>;

    /// Device numbers (major, minor) of the file system that a path is on.
    fn device_of(&self, path: &str) -> io::Result<(u32, u32)>;

    /// Runs a program to its end and returns its standard output; an exit status other than 0 is an error with the last line
    /// of its standard error.
    fn run(&self, command: &Command) -> io::Result<Vec<u8>>;

    /// Starts a program that goes on; `timeout` has no meaning for it.
    fn follow(&self, command: &Command) -> io::Result<Box<dyn LatestLine>>;

    /// As [`Http::get`].
    fn get(&self, request: &HttpRequest) -> io::Result<Vec<u8>>;

    /// As [`Http::unary`].
    fn unary(&self, request: &UnaryRequest) -> io::Result<Vec<u8>>;

    /// A variable of the daemon's environment. Settings travel with the run; this is for places of drivers and tools.
    fn variable(&self, name: &str) -> Option<String>;

    /// The time of a clock that does not jump.
    fn now(&self) -> Duration;

    /// Bytes of a page of memory.
    fn page_bytes(&self) -> u64;

    /// Clock ticks of `/proc` per second.
    fn ticks_per_sec(&self) -> u64;

    /// The process id of the daemon.
    fn own_pid(&self) -> u32;

    /// [`Host::read`] into a buffer of its own, as text; bytes that are no UTF-8 are replaced.
    fn text(&self, path: &str) -> io::Result<String> {
        let mut buffer = Vec::new();
        self.read(path, &mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer).into_owned())
    }
}
