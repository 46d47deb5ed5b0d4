//! `/proc/self/mountinfo`: what is mounted where.
//!
//! ```text
//! 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
//! id parent device root mount-point options optional… - type source super-options
//! ```
//! Blanks in paths are written `\040`.

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) device: (u32, u32),
    /// Which directory of the file system is mounted.
    pub(super) root: String,
    pub(super) point: String,
    pub(super) kind: String,
    pub(super) source: String,
    pub(super) options: String,
}

/// The mounts that `text` lists; lines of another shape are left out.
pub(super) fn parse(text: &str) -> Vec<Mount> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Mount> {
    let (place, file_system) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(2);
    let (major, minor) = place.next()?.split_once(':')?;
    let mut file_system = file_system.split(' ');
    Some(Mount {
        device: (major.parse().ok()?, minor.parse().ok()?),
        root: unescaped(place.next()?),
        point: unescaped(place.next()?),
        kind: file_system.next()?.to_owned(),
        source: unescaped(file_system.next()?),
        options: file_system.next().unwrap_or_default().to_owned(),
    })
}

fn unescaped(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let octal = (*first == b'\\')
            .then(|| tail.get(..3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let Some(byte) = octal {
            bytes.push(byte);
            rest = &tail[3..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_fields_and_escaped_names_are_read() {
        let text = "36 35 98:0 /mnt1 /my\\040disk rw,noatime master:1 shared:2 - ext4 /dev/root rw,x\nnonsense\n\
                    40 31 0:37 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let mounts = parse(text);
        assert_eq!(mounts.len(), 2);
        assert_eq!(
            mounts[0],
            Mount {
                device: (98, 0),
                root: "/mnt1".to_owned(),
                point: "/my disk".to_owned(),
                kind: "ext4".to_owned(),
                source: "/dev/root".to_owned(),
                options: "rw,x".to_owned(),
            }
        );
        assert_eq!(mounts[1].kind, "cgroup2");
        assert_eq!(unescaped("a\\b\\0"), "a\\b\\0");
    }
}
