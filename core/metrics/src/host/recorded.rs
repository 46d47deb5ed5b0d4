//! A host of recorded files, command outputs and answers, for tests.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::time::Duration;

use super::{Command, Host, Http, HttpRequest, LatestLine, Space, UnaryRequest};

/// Answers nothing.
#[derive(Debug)]
pub(crate) struct NoHttp;

impl Http for NoHttp {
    fn get(&self, _request: &HttpRequest) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::ConnectionRefused.into())
    }

    fn unary(&self, _request: &UnaryRequest) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::ConnectionRefused.into())
    }
}

/// What a test says that there is; everything else is not found.
#[derive(Debug, Default)]
pub(crate) struct RecordedHost {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    commands: BTreeMap<String, Result<Vec<u8>, io::ErrorKind>>,
    answers: BTreeMap<String, Result<Vec<u8>, io::ErrorKind>>,
    requests: Vec<HttpRequest>,
    calls: BTreeMap<(u16, Vec<u8>), Vec<u8>>,
    spaces: BTreeMap<String, Space>,
    devices: BTreeMap<String, (u32, u32)>,
    variables: BTreeMap<String, String>,
    /// Program → lines that it has written since it was last asked; `None`: it has ended.
    lines: BTreeMap<String, Option<Vec<Vec<u8>>>>,
    now: Duration,
}

impl RecordedHost {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no test panics with it")
    }

    /// The file at an absolute path.
    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let content = content.as_ref().to_vec();
        self.state().files.insert(path.to_owned(), content);
        self
    }

    /// No file, directory or anything below it.
    pub(crate) fn remove(&self, path: &str) -> &Self {
        let below = format!("{path}/");
        self.state()
            .files
            .retain(|name, _| name != path && !name.starts_with(&below));
        self
    }

    /// What a command (`program argument …`) writes, or how it fails.
    pub(crate) fn command(&self, line: &str, outcome: Result<&str, io::ErrorKind>) -> &Self {
        let outcome = outcome.map(|text| text.as_bytes().to_vec());
        self.state().commands.insert(line.to_owned(), outcome);
        self
    }

    /// What a program that is followed has written since it was last asked; `None`: it has ended.
    pub(crate) fn lines(&self, program: &str, lines: Option<&[&str]>) -> &Self {
        let lines = lines.map(|lines| lines.iter().map(|line| line.as_bytes().to_vec()).collect());
        self.state().lines.insert(program.to_owned(), lines);
        self
    }

    /// What a URL answers, or how asking it fails.
    pub(crate) fn answer(&self, url: &str, outcome: Result<&str, io::ErrorKind>) -> &Self {
        let outcome = outcome.map(|text| text.as_bytes().to_vec());
        self.state().answers.insert(url.to_owned(), outcome);
        self
    }

    /// What a service on a port answers to a message.
    pub(crate) fn called(&self, port: u16, message: Vec<u8>, answer: Vec<u8>) -> &Self {
        self.state().calls.insert((port, message), answer);
        self
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<HttpRequest> {
        self.state().requests.clone()
    }

    /// The room at a path.
    pub(crate) fn room(&self, path: &str, space: Space) -> &Self {
        self.state().spaces.insert(path.to_owned(), space);
        self
    }

    /// The device of a path.
    pub(crate) fn device(&self, path: &str, major: u32, minor: u32) -> &Self {
        let device = (major, minor);
        self.state().devices.insert(path.to_owned(), device);
        self
    }

    /// A variable of the environment.
    pub(crate) fn set_variable(&self, name: &str, value: &str) -> &Self {
        let value = value.to_owned();
        self.state().variables.insert(name.to_owned(), value);
        self
    }

    /// Time goes by.
    pub(crate) fn wait(&self, secs: f64) -> &Self {
        self.state().now += Duration::from_secs_f64(secs);
        self
    }
}

fn not_found<T>(found: Option<T>) -> io::Result<T> {
    found.ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn outcome_of(found: Option<&Result<Vec<u8>, io::ErrorKind>>) -> io::Result<Vec<u8>> {
    not_found(found)?.clone().map_err(Into::into)
}

impl Host for RecordedHost {
    fn read(&self, path: &str, buffer: &mut Vec<u8>) -> io::Result<()> {
        buffer.clear();
        let state = self.state();
        buffer.extend_from_slice(not_found(state.files.get(path))?);
        Ok(())
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let below = format!("{}/", path.trim_end_matches('/'));
        let state = self.state();
        let mut names: Vec<String> = state
            .files
            .keys()
            .filter_map(|name| name.strip_prefix(&below)?.split('/').next())
            .map(str::to_owned)
            .collect();
        names.dedup();
        not_found((!names.is_empty()).then_some(names))
    }

    fn space(&self, path: &str) -> io::Result<Space> {
        not_found(self.state().spaces.get(path).copied())
    }

    fn device_of(&self, path: &str) -> io::Result<(u32, u32)> {
        not_found(self.state().devices.get(path).copied())
    }

    fn run(&self, command: &Command) -> io::Result<Vec<u8>> {
        let mut line = command.program.clone();
        for word in &command.arguments {
            line.push(' ');
            line.push_str(word);
        }
        outcome_of(self.state().commands.get(&line))
    }

    fn follow(&self, command: &Command) -> io::Result<Box<dyn LatestLine>> {
        let mut state = self.state();
        let lines = not_found(state.lines.get_mut(&command.program))?;
        let lines = lines.as_mut().map(std::mem::take);
        Ok(Box::new(Written(lines)))
    }

    fn get(&self, request: &HttpRequest) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        state.requests.push(request.clone());
        match state.answers.get(&request.url) {
            Some(outcome) => outcome.clone().map_err(Into::into),
            None => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }

    fn unary(&self, request: &UnaryRequest) -> io::Result<Vec<u8>> {
        let state = self.state();
        if !state.calls.keys().any(|(port, _)| *port == request.port) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let key = (request.port, request.message.clone());
        not_found(state.calls.get(&key).cloned())
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.state().variables.get(name).cloned()
    }

    fn now(&self) -> Duration {
        self.state().now
    }

    fn page_bytes(&self) -> u64 {
        4_096
    }

    fn ticks_per_sec(&self) -> u64 {
        100
    }

    fn own_pid(&self) -> u32 {
        4_242
    }
}

/// Lines that are taken one by one: a test decides what is newest.
struct Written(Option<Vec<Vec<u8>>>);

impl LatestLine for Written {
    fn take(&mut self) -> io::Result<Option<Vec<u8>>> {
        match &mut self.0 {
            Some(lines) if lines.is_empty() => Ok(None),
            Some(lines) => Ok(Some(lines.remove(0))),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}
