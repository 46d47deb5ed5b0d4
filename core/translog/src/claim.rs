//! Who writes a log on a file system without locks: a file `<log>.runlane-owner` beside it.
//!
//! Content: boot id, host name and process namespace, process id, start time of the process, separated by spaces. The file is created with
//! `O_EXCL`, and removed when its owner lets go of the log. The claim of a process that is dead is taken over; that of
//! a process on another host, or one that cannot be read, is respected.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::storage::remove_if_there;

/// This process's exclusive right to write one log.
#[derive(Debug)]
pub(crate) struct Claim {
    path: PathBuf,
}

impl Claim {
    /// Claims `log`; `ResourceBusy` if somebody else may be writing it.
    pub(crate) fn on(log: &Path) -> io::Result<Self> {
        let mut name = log.as_os_str().to_owned();
        name.push(".runlane-owner");
        let path = PathBuf::from(name);
        let own = identity(std::process::id())?;
        loop {
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(mut file) => {
                    file.write_all(own.as_bytes())?;
                    return Ok(Self { path });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    take_away_if_stale(&path, &own)?;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, path = %self.path.display(), "claim on a log stays");
        }
    }
}

/// Removes the claim of a dead process; `ResourceBusy` if its owner may live.
fn take_away_if_stale(path: &Path, own: &str) -> io::Result<()> {
    static TAKEN: AtomicU64 = AtomicU64::new(0);
    let busy = || io::Error::from(io::ErrorKind::ResourceBusy);
    let found = match std::fs::read_to_string(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !is_stale(&found, own) {
        return Err(busy());
    }
    // Moved away, not removed: of two that see a dead owner only one gets this file, and looks at it again.
    let taken = TAKEN.fetch_add(1, Ordering::Relaxed);
    let aside = path.with_extension(format!("runlane-owner-{}-{taken}", std::process::id()));
    match std::fs::rename(path, &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result?,
    }
    let moved = std::fs::read_to_string(&aside)?;
    if moved != found {
        // The other one was faster: this is its fresh claim. It gets it back.
        std::fs::hard_link(&aside, path).or_else(|_no_links| std::fs::rename(&aside, path))?;
        remove_if_there(&aside)?;
        return Err(busy());
    }
    remove_if_there(&aside)
}

/// Whether the process that wrote `claim` is certainly dead.
fn is_stale(claim: &str, own: &str) -> bool {
    let fields: Vec<&str> = claim.split(' ').collect();
    let own: Vec<&str> = own.split(' ').collect();
    let ([boot, host, pid, _], [own_boot, own_host, ..]) = (&fields[..], &own[..]) else {
        return false;
    };
    if host != own_host {
        return false;
    }
    let Ok(pid) = pid.parse() else { return false };
    // Another boot of this host, or a number that has no process or another one by now.
    boot != own_boot || identity(pid).map_or(true, |now| now != claim)
}

/// What tells a process from every other one, on every host, before and after a reboot.
fn identity(pid: u32) -> io::Result<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
    // Process numbers mean something within their namespace only.
    let namespace = std::fs::read_link("/proc/self/ns/pid")?;
    let host = format!("{}/{}", host.trim(), namespace.display()).replace(' ', "-");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name of the program is in parentheses and may hold anything; the start time is the 20th field behind it.
    let started = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.split_whitespace().nth(19))
        .ok_or(io::ErrorKind::InvalidData)?;
    Ok(format!("{} {host} {pid} {started}", boot.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_claims_and_dead_owners_are_followed() {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("run-x.wandb");
        let owner = directory.path().join("run-x.wandb.runlane-owner");
        let claim = Claim::on(&log).expect("free");
        let second = Claim::on(&log).expect_err("taken");
        assert_eq!(second.kind(), io::ErrorKind::ResourceBusy);
        drop(claim);
        assert!(!owner.exists());

        let own = identity(std::process::id()).expect("this process");
        let fields: Vec<&str> = own.split(' ').collect();
        let of = |boot: &str, host: &str, pid: &str, started: &str| {
            format!("{boot} {host} {pid} {started}")
        };
        let mut child = std::process::Command::new("true").spawn().expect("started");
        let dead = child.id().to_string();
        child.wait().expect("ended");
        for (claim, is_free) in [
            (of(fields[0], fields[1], &dead, "1"), true),
            (of(fields[0], fields[1], fields[2], "1"), true),
            (of("another-boot", fields[1], fields[2], fields[3]), true),
            (of(fields[0], "another-host", &dead, "1"), false),
            (String::new(), false),
            ("rubbish".to_owned(), false),
        ] {
            std::fs::write(&owner, &claim).expect("written");
            assert_eq!(Claim::on(&log).is_ok(), is_free, "{claim}");
        }
    }
}
