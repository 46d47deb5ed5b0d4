//! Words of a POSIX shell that mean exactly what they say.

/// A word, quoted if it needs it.
pub(super) fn word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=@,+%".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The name of a run as a git branch: what neither git nor a shell reads as anything else.
pub(super) fn branch(display_name: &str, run: &str) -> String {
    let name = plain(display_name, true);
    let taken = ["main", "master", "HEAD", "develop", "trunk", "snapshot", ""];
    if taken.contains(&name.as_str()) {
        format!("run-{}", plain(run, false))
    } else {
        name
    }
}

/// The last part of a remote's address, or the project, as the name of a directory.
pub(super) fn directory(remote: Option<&str>, project: &str) -> String {
    let last = remote.map(|remote| {
        let path = remote.trim_end_matches('/').trim_end_matches(".git");
        path.rsplit(['/', ':', '\\']).next().unwrap_or_default()
    });
    let named = [last.unwrap_or_default(), project].map(|name| plain(name, false));
    let found = named.into_iter().find(|name| !name.is_empty());
    found.unwrap_or_else(|| "run".to_owned())
}

/// Letters, digits, `-`, `_` and `.` as they are, with single dashes for the rest; no part begins with a dash or ends with a
/// dot, as both git and paths want it.
fn plain(text: &str, with_folders: bool) -> String {
    let mut parts: Vec<String> = Vec::new();
    let separator = |character| with_folders && character == '/';
    for part in text.split(separator) {
        let mut out = String::new();
        for character in part.chars() {
            match character {
                'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => out.push(character),
                '.' if out.ends_with('.') => {}
                '.' if !out.is_empty() => out.push('.'),
                _ if !out.is_empty() && !out.ends_with('-') => out.push('-'),
                _ => {}
            }
        }
        let mut part = out.trim_end_matches(['-', '.']);
        while let Some(shorter) = part.strip_suffix(".lock") {
            part = shorter;
        }
        if !part.is_empty() {
            parts.push(part.chars().take(100).collect());
        }
    }
    parts.join("/")
}

/// Whether a remote can be cloned by name: an address or a path, no option, nothing that acts on a terminal.
pub(super) fn is_remote(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.contains("::")
        && !text.chars().any(char::is_control)
}

/// Whether a text is the full name of a commit.
pub(super) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64)
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_as_they_are() {
        let texts = [
            "plain-1.5",
            "",
            "two words",
            "it's $HOME `x` \"y\"",
            "-v",
            "a\nb",
            "*",
            "ü",
            "~",
            "#x",
        ];
        for text in texts {
            let script = format!("printf '%s|' {}", word(text));
            let output = std::process::Command::new("sh")
                .args(["-c", &script])
                .output()
                .expect("a shell");
            assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{text}|"));
        }
    }

    #[test]
    fn branches_are_valid_and_harmless() {
        for (name, expected) in [
            ("curve-0", "curve-0"),
            ("my run $(rm -rf ~)", "my-run-rm-rf"),
            ("a..b", "a.b"),
            ("feature/x.lock", "feature/x"),
            ("/-x/", "x"),
            ("main", "run-r1"),
            ("🚀", "run-r1"),
            ("x.", "x"),
        ] {
            assert_eq!(branch(name, "r1"), expected, "{name}");
        }
    }

    #[test]
    fn directories_are_named_after_the_repository() {
        for (remote, expected) in [
            (Some("https://host/group/repo.git"), "repo"),
            (Some("git@host:repo.git/"), "repo"),
            (Some("/srv/git/My Repo.git"), "My-Repo"),
            (Some("https://host/.."), "p"),
            (None, "p"),
        ] {
            assert_eq!(directory(remote, "p"), expected, "{remote:?}");
        }
        assert_eq!(directory(None, "…"), "run");
    }

    #[test]
    fn remotes_and_commits_are_checked() {
        assert!(is_remote("git@host:x.git") && is_remote("/srv/x") && is_remote("https://h/x"));
        assert!(!is_remote("--upload-pack=x") && !is_remote("ext::sh -c x") && !is_remote("a\nb"));
        assert!(is_commit(&"a1".repeat(20)) && is_commit(&"0".repeat(64)));
        assert!(!is_commit("abc") && !is_commit(&"A".repeat(40)) && !is_commit(&"-".repeat(40)));
    }
}
