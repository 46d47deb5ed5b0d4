//! Every limit of the system, and the rules for names, in one place (`reference/reliability.md` §7 G5).

use thiserror::Error;

/// Definitions that one run may make.
pub const METRIC_DEFINITIONS: usize = 10_000;
/// Bytes of one key.
pub const KEY_BYTES: usize = 1_024;
/// Distinct keys per run; new ones beyond are refused and counted.
pub const KEYS_PER_RUN: usize = 100_000;
/// Distinct keys per run at which the user is warned.
pub const KEYS_WARNING: usize = 10_000;
/// Bytes of one value or row.
pub const ROW_BYTES: usize = 10 << 20;
/// Levels of nesting of a logged value.
pub const NESTING: usize = 64;
/// Bytes of one frame on the local socket.
pub const FRAME_BYTES: usize = 32 << 20;
/// Bytes of one line in `file_stream` (10 MiB less 100 KiB, as W&B).
pub const LINE_BYTES: usize = (10 << 20) - (100 << 10);
/// Characters of a run id.
pub const RUN_ID_CHARACTERS: usize = 128;
/// Characters of a project or entity name.
pub const NAME_CHARACTERS: usize = 128;
/// Characters of a display name.
pub const DISPLAY_NAME_CHARACTERS: usize = 1_024;
/// Bytes of a run's notes.
pub const NOTES_BYTES: usize = 64 << 10;
/// Characters of a group or job type.
pub const GROUP_CHARACTERS: usize = 128;
/// Characters of one tag.
pub const TAG_CHARACTERS: usize = 64;
/// Tags of one run.
pub const TAGS: usize = 100;

/// A name that breaks a rule; the text says which.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("invalid {what} `{name}`: {rule}")]
pub struct InvalidName {
    what: &'static str,
    name: String,
    rule: String,
}

/// Checks a run id: 1–128 characters, no white space at the ends, none of `/ \ # ? % : , ;` or a control character,
/// and not `.` or `..`.
pub fn check_run_id(id: &str) -> Result<(), InvalidName> {
    let fault = |rule: String| {
        Err(InvalidName {
            what: "run id",
            name: shortened(id),
            rule,
        })
    };
    if id.is_empty() {
        return fault("it must not be empty".to_owned());
    }
    if id.trim() != id {
        return fault("it must not begin or end with white space".to_owned());
    }
    if id == "." || id == ".." {
        return fault("it must not be a directory name".to_owned());
    }
    if id.chars().count() > RUN_ID_CHARACTERS {
        return fault(format!(
            "it must not be longer than {RUN_ID_CHARACTERS} characters"
        ));
    }
    if id.contains(|character: char| "/\\#?%:,;'".contains(character) || character.is_control()) {
        return fault(
            "it must not contain any of / \\ # ? % : , ; ' or control characters".to_owned(),
        );
    }
    Ok(())
}

/// Checks a project name: at most 128 characters, none of `/ \ # ? % :` or a control character.
pub fn check_project(name: &str) -> Result<(), InvalidName> {
    check_name("project", name)
}

/// Checks an entity name; the rule of projects.
pub fn check_entity(name: &str) -> Result<(), InvalidName> {
    check_name("entity", name)
}

fn check_name(what: &'static str, name: &str) -> Result<(), InvalidName> {
    let fault = |rule: String| {
        Err(InvalidName {
            what,
            name: shortened(name),
            rule,
        })
    };
    if name.is_empty() || name == "." || name == ".." {
        return fault("it must not be empty or a directory name".to_owned());
    }
    if name.chars().count() > NAME_CHARACTERS {
        return fault(format!(
            "it must not be longer than {NAME_CHARACTERS} characters"
        ));
    }
    if name.contains(|character: char| "/\\#?%:".contains(character) || character.is_control()) {
        return fault("it must not contain any of / \\ # ? % : or control characters".to_owned());
    }
    Ok(())
}

/// Checks the name of a run file: a relative path of `/`-separated components that stays below its root on every
/// platform.
pub fn check_file_name(name: &str) -> Result<(), InvalidName> {
    let fault = |rule: &str| {
        Err(InvalidName {
            what: "file name",
            name: shortened(name),
            rule: rule.to_owned(),
        })
    };
    if name.is_empty() || name.len() > 4_096 {
        return fault("it must have 1 to 4096 bytes");
    }
    if name.contains(|character: char| character == '\\' || character.is_control()) {
        return fault("it must not contain a backslash or control characters");
    }
    for component in name.split('/') {
        if component.is_empty() || component == "." || component == ".." {
            return fault("it must be a relative path without empty, `.` or `..` components");
        }
        if component.len() > 255 {
            return fault("a component must not be longer than 255 bytes");
        }
    }
    Ok(())
}

fn shortened(name: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown: String = name
        .chars()
        .take(SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    if name.chars().count() > SHOWN {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_follow_the_rule() {
        for good in ["abc12345", "run-1_x.y", "ключ", &"x".repeat(128)] {
            assert_eq!(check_run_id(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            " a",
            "a\n",
            "a/b",
            "a\\b",
            "a:b",
            "a,b",
            "a;b",
            "..",
            ".",
            &"x".repeat(129),
        ] {
            assert!(check_run_id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_and_files_follow_their_rules() {
        assert_eq!(check_project("cat classification"), Ok(()));
        assert!(check_project("a/b").is_err() && check_entity("").is_err());
        assert_eq!(check_file_name("media/images/a b.png"), Ok(()));
        for bad in [
            "/etc/passwd",
            "a/../b",
            "a//b",
            "a\\b",
            "a\0",
            "..",
            "x/",
            &"y".repeat(300),
        ] {
            assert!(check_file_name(bad).is_err(), "{bad}");
        }
        let error = check_project("a/b").expect_err("has a slash").to_string();
        assert!(error.starts_with("invalid project `a/b`: "), "{error}");
    }
}
