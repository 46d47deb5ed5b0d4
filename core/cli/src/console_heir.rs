//! `runlane-core console-heir`: carries on what a captured process and its children write, when that process does not any more.
//!
//! It waits until the first descriptor has no writer left, or is told with a byte that nobody wants a stream any more.
//! Then it copies each source to its place until nobody writes to it any more.

use std::os::fd::OwnedFd;
use std::process::ExitCode;

use clap::Args;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::daemon::inherited;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Inherited descriptor that is closed when it is time.
    life: i32,
    /// Inherited descriptors: where to read, and where to write.
    #[arg(value_parser = pair)]
    streams: Vec<(i32, i32)>,
}

fn pair(text: &str) -> Result<(i32, i32), String> {
    let numbers = text
        .split_once(':')
        .and_then(|(source, place)| Some((source.parse().ok()?, place.parse().ok()?)));
    numbers.ok_or_else(|| format!("not two numbers: `{text}`"))
}

struct Stream {
    source: OwnedFd,
    place: OwnedFd,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let life = inherited(arguments.life)?;
    let mut streams = Vec::new();
    for (source, place) in &arguments.streams {
        streams.push(Some(Stream {
            source: inherited(*source)?,
            place: inherited(*place)?,
        }));
    }
    let mut byte = [0];
    loop {
        match rustix::io::read(&life, &mut byte) {
            Ok(0) | Err(_) => break,
            Ok(_) => {
                if let Some(stream) = streams.get_mut(usize::from(byte[0])) {
                    *stream = None;
                }
            }
        }
    }
    copy(streams.into_iter().flatten().collect());
    Ok(ExitCode::SUCCESS)
}

fn copy(mut streams: Vec<Stream>) {
    let mut buffer = vec![0; 64 << 10];
    while !streams.is_empty() {
        let mut waited: Vec<PollFd<'_>> = streams
            .iter()
            .map(|stream| PollFd::new(&stream.source, PollFlags::IN))
            .collect();
        match poll(&mut waited, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return,
        }
        let ready: Vec<bool> = waited
            .iter()
            .map(|found| !found.revents().is_empty())
            .collect();
        let mut ready = ready.into_iter();
        streams.retain(|stream| {
            if !ready.next().unwrap_or(false) {
                return true;
            }
            match rustix::io::read(&stream.source, &mut *buffer) {
                Err(Errno::INTR | Errno::AGAIN) => true,
                // Of a pseudo-terminal that nobody writes to any more, EIO.
                Ok(0) | Err(_) => false,
                Ok(count) => write_all(&stream.place, &buffer[..count]),
            }
        });
    }
}

/// Whether the place takes more.
fn write_all(place: &OwnedFd, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match rustix::io::write(place, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                if poll(&mut [PollFd::new(place, PollFlags::OUT)], None).is_err() {
                    return false;
                }
            }
            Err(error) => return error != Errno::PIPE,
        }
    }
    true
}
