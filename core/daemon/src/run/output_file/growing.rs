//! A text file that grows at its end, where the last lines may still change. Beyond a bound it keeps its first and its
//! last lines, with one line between them that says how many are missing.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// How much is kept at least of the beginning and of the end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    pub(super) lines: u64,
    pub(super) bytes: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Growing {
    path: PathBuf,
    bound: Bound,
    file: Option<File>,
    /// Behind the last line that does not change any more.
    end: u64,
    lines: u64,
    /// Behind the first lines and, where lines are missing, behind the line that says so.
    head: Option<Head>,
    left_out: u64,
}

#[derive(Debug, Clone, Copy)]
struct Head {
    end: u64,
    /// Without the line that tells of missing ones.
    text_end: u64,
    lines: u64,
}

impl Growing {
    /// A file that is created, or emptied, with the first line.
    pub(super) fn new(path: PathBuf, bound: Bound) -> Self {
        Self {
            path,
            bound,
            file: None,
            end: 0,
            lines: 0,
            head: None,
            left_out: 0,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of lines that do not change any more.
    pub(super) fn bytes(&self) -> u64 {
        self.end
    }

    /// Appends `lines` lines of `text`, each with its line end, behind which `open` stands for now.
    pub(super) fn write(&mut self, text: &str, lines: u64, open: &str) -> io::Result<()> {
        let at = self.end;
        let file = self.file()?;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(text.as_bytes())?;
        file.write_all(open.as_bytes())?;
        let end = at + text.len() as u64;
        file.set_len(end + open.len() as u64)?;
        self.end = end;
        self.lines += lines;
        self.keep_bound()
    }

    fn file(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            if let Some(directory) = self.path.parent() {
                std::fs::create_dir_all(directory)?;
            }
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create(true).truncate(true);
            self.file = Some(file.open(&self.path)?);
        }
        self.file
            .as_mut()
            .ok_or_else(|| io::Error::other("no file"))
    }

    fn keep_bound(&mut self) -> io::Result<()> {
        let bound = self.bound;
        let Some(head) = self.head else {
            if self.lines >= bound.lines || self.end >= bound.bytes {
                self.head = Some(Head {
                    end: self.end,
                    text_end: self.end,
                    lines: self.lines,
                });
            }
            return Ok(());
        };
        let (lines, bytes) = (self.lines - head.lines, self.end - head.end);
        // Twice as much before anything is moved: each line is copied once.
        if lines < 2 * bound.lines && bytes < 2 * bound.bytes {
            return Ok(());
        }
        self.take_out(head, lines, bytes)
    }

    /// Replaces the file by its first and last lines.
    fn take_out(&mut self, head: Head, lines: u64, bytes: u64) -> io::Result<()> {
        let bound = self.bound;
        let Some(old) = self.file.as_mut() else {
            return Ok(());
        };
        let too_many = lines.saturating_sub(bound.lines);
        let too_long = bytes.saturating_sub(bound.bytes);
        old.seek(SeekFrom::Start(head.end))?;
        let (gone, from) = skip_lines(old, head.end, self.end, too_many, too_long)?;
        let left_out = self.left_out + gone;
        let marker = format!("[runlane: {left_out} lines are left out here]\n");
        let mut temporary = self.path.clone().into_os_string();
        temporary.push(".runlane-new");
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(true);
        let mut new = options.open(&temporary)?;
        old.seek(SeekFrom::Start(0))?;
        io::copy(&mut old.take(head.text_end), &mut new)?;
        new.write_all(marker.as_bytes())?;
        old.seek(SeekFrom::Start(from))?;
        io::copy(old, &mut new)?;
        std::fs::rename(&temporary, &self.path)?;
        self.file = Some(new);
        let head_end = head.text_end + marker.len() as u64;
        self.end = head_end + (self.end - from);
        self.lines -= gone;
        self.left_out = left_out;
        self.head = Some(Head {
            end: head_end,
            ..head
        });
        Ok(())
    }
}

/// Skips `lines` lines at least and as many as it takes to skip `bytes`; the number of lines and where the next begins.
fn skip_lines(
    file: &mut File,
    from: u64,
    end: u64,
    lines: u64,
    bytes: u64,
) -> io::Result<(u64, u64)> {
    let mut buffer = vec![0; 64 << 10];
    let (mut at, mut skipped, mut next) = (from, 0, from);
    while at < end {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        for byte in &buffer[..count] {
            at += 1;
            if *byte == b'\n' {
                skipped += 1;
                next = at;
                if skipped >= lines && at - from >= bytes {
                    return Ok((skipped, next));
                }
            }
        }
    }
    Ok((skipped, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &Growing) -> String {
        std::fs::read_to_string(file.path()).expect("readable")
    }

    #[test]
    fn open_lines_stand_at_the_end_until_they_are_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("logs").join("output.log");
        let bound = Bound {
            lines: 100,
            bytes: 1_000,
        };
        let mut file = Growing::new(path, bound);
        file.write("a\n", 1, "10%\n").expect("written");
        assert_eq!(read(&file), "a\n10%\n");
        file.write("", 0, "9%\n").expect("written");
        assert_eq!(read(&file), "a\n9%\n");
        file.write("100%\nb\n", 2, "").expect("written");
        assert_eq!(read(&file), "a\n100%\nb\n");
        assert_eq!(file.bytes(), 9);
    }

    #[test]
    fn the_first_and_the_last_lines_are_kept() {
        for bound in [
            Bound {
                lines: 10,
                bytes: 1 << 20,
            },
            Bound {
                lines: 1 << 20,
                bytes: 80,
            },
        ] {
            let directory = tempfile::tempdir().expect("a directory");
            let mut file = Growing::new(directory.path().join("output.log"), bound);
            for number in 0..1_000 {
                let open = format!("open {number}\n");
                file.write(&format!("{number:07}\n"), 1, &open)
                    .expect("written");
                assert!(std::fs::metadata(file.path()).expect("a file").len() < 800);
            }
            let text = read(&file);
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines[..10].last(), Some(&"0000009"), "{text}");
            let left_out: usize = lines[10]
                .split(' ')
                .nth(1)
                .and_then(|count| count.parse().ok())
                .expect("a count");
            let rest = &lines[11..lines.len() - 1];
            assert_eq!(10 + left_out + rest.len(), 1_000);
            assert!((10..=30).contains(&rest.len()), "{}", rest.len());
            assert_eq!(
                rest.first(),
                Some(&format!("{:07}", 10 + left_out).as_str())
            );
            assert_eq!(rest.last(), Some(&"0000999"));
            assert_eq!(lines.last(), Some(&"open 999"));
        }
    }
}
