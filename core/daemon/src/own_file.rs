//! Writing our own files in a run directory, which somebody else may have packed: a link in the place of a file is replaced
//! or refused, never followed.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Puts a file with these bytes at `path`, in one step; what was there, a link too, is replaced.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.runlane-tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // create_new: a link that appears between these two steps is an error.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&temporary)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err()
        && let Err(error) = std::fs::remove_file(&temporary)
    {
        tracing::debug!(%error, "temporary file stays");
    }
    written
}

/// Opens a file, creating it if it is missing; fails on a link.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .create(true)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_replaced_or_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let (outside, link) = (directory.path().join("outside"), directory.path().join("x"));
        std::fs::write(&outside, b"precious").expect("written");
        std::os::unix::fs::symlink(&outside, &link).expect("linked");
        options()
            .append(true)
            .open(&link)
            .expect_err("a link is refused");
        replace(&link, b"ours").expect("replaced");
        assert_eq!(std::fs::read(&link).expect("there"), b"ours");
        assert_eq!(std::fs::read(&outside).expect("there"), b"precious");
        options()
            .append(true)
            .open(&link)
            .expect("a file is opened");
        assert_eq!(
            std::fs::read_dir(directory.path()).expect("there").count(),
            2
        );
    }
}
