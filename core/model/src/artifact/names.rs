//! What artifacts, their types, aliases, tags and entries may be called (`artifacts-client.md` §1, `reliability.md` §7.2).

use thiserror::Error;

/// Characters of the name of an artifact, a type or an alias.
pub const NAME_CHARACTERS: usize = 128;
/// Keys of the metadata.
pub const METADATA_KEYS: usize = 100;
/// Bytes of the metadata as JSON.
pub const METADATA_BYTES: usize = 1 << 20;
/// Aliases of one call.
pub const ALIASES: usize = 100;
/// Tags of one call.
pub const TAGS: usize = 20;
/// Bytes of an entry's path: a row of an index of PostgreSQL, whose keys have it, holds about 2,700.
pub const PATH_BYTES: usize = 2_000;
/// Bytes of a component of it.
const COMPONENT_BYTES: usize = 255;

/// A name that breaks a rule; the text says which.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("invalid {what} `{name}`: {rule}")]
pub struct InvalidArtifactName {
    what: &'static str,
    name: String,
    rule: String,
}

fn fault(what: &'static str, name: &str, rule: impl Into<String>) -> InvalidArtifactName {
    const SHOWN: usize = 60;
    let mut shown: String = name
        .chars()
        .take(SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    if name.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    InvalidArtifactName {
        what,
        name: shown,
        rule: rule.into(),
    }
}

fn check_length(what: &'static str, name: &str) -> Result<(), InvalidArtifactName> {
    if name.is_empty() {
        return Err(fault(what, name, "it must not be empty"));
    }
    if name.chars().count() > NAME_CHARACTERS {
        let rule = format!("it must not be longer than {NAME_CHARACTERS} characters");
        return Err(fault(what, name, rule));
    }
    Ok(())
}

/// Checks an artifact's name: 1 to 128 of letters, digits, `-`, `_`, `.`; not `.` or `..`, and no leading dash.
pub fn check_artifact_name(name: &str) -> Result<(), InvalidArtifactName> {
    let what = "artifact name";
    check_length(what, name)?;
    if !name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    {
        return Err(fault(
            what,
            name,
            "it may have letters, digits, dashes, underscores and dots only",
        ));
    }
    if name == "." || name == ".." || name.starts_with('-') {
        return Err(fault(
            what,
            name,
            "it must not be a directory name or begin with a dash",
        ));
    }
    Ok(())
}

/// Checks the name of a collection that is renamed or linked to: any that W&B's app makes, with spaces too, but none that could be
/// taken for a path or a version.
pub fn check_collection_name(name: &str) -> Result<(), InvalidArtifactName> {
    let what = "collection name";
    check_length(what, name)?;
    if name.contains(|character: char| "/\\:".contains(character) || character.is_control()) {
        return Err(fault(
            what,
            name,
            "it must not contain any of / \\ : or control characters",
        ));
    }
    if name == "." || name == ".." || name.trim() != name {
        return Err(fault(
            what,
            name,
            "it must not be a directory name or begin or end with white space",
        ));
    }
    Ok(())
}

/// Checks a type: no `/`, `:` or control character, at most 128 characters. Prefixes that W&B's client reserves are its business:
/// the types it makes itself pass here.
pub fn check_artifact_type(name: &str) -> Result<(), InvalidArtifactName> {
    check_word("artifact type", name)
}

/// Checks an alias: no `/`, `:` or control character, at most 128 characters.
pub fn check_alias(alias: &str) -> Result<(), InvalidArtifactName> {
    check_word("alias", alias)
}

/// Whether `alias` reads as a version (`v3`), which no user gives or takes.
pub fn is_version(alias: &str) -> bool {
    version_index(alias).is_some()
}

/// The index in `v3`.
pub fn version_index(alias: &str) -> Option<u64> {
    let digits = alias.strip_prefix('v')?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

fn check_word(what: &'static str, name: &str) -> Result<(), InvalidArtifactName> {
    check_length(what, name)?;
    if name.contains(|character: char| "/:".contains(character) || character.is_control()) {
        return Err(fault(
            what,
            name,
            "it must not contain `/`, `:` or control characters",
        ));
    }
    Ok(())
}

/// Checks a tag: letters, digits, `_` and `-`, with single or several spaces between words.
pub fn check_tag(tag: &str) -> Result<(), InvalidArtifactName> {
    let what = "tag";
    check_length(what, tag)?;
    let is_word =
        |character: char| character.is_alphanumeric() || character == '_' || character == '-';
    if !tag
        .chars()
        .all(|character| is_word(character) || character == ' ')
        || tag.starts_with(' ')
        || tag.ends_with(' ')
    {
        return Err(fault(
            what,
            tag,
            "it may have letters, digits, dashes, underscores, and spaces between words",
        ));
    }
    Ok(())
}

/// Checks the path of an entry: relative, `/`-separated, and below its root on every platform.
pub fn check_entry_path(path: &str) -> Result<(), InvalidArtifactName> {
    let what = "entry path";
    if path.is_empty() || path.len() > PATH_BYTES {
        return Err(fault(
            what,
            path,
            format!("it must have 1 to {PATH_BYTES} bytes"),
        ));
    }
    if path.contains(|character: char| character == '\\' || character.is_control()) {
        return Err(fault(
            what,
            path,
            "it must not contain a backslash or control characters",
        ));
    }
    let bytes = path.as_bytes();
    if bytes.len() >= 2
        && bytes[0].is_ascii_alphabetic()
        && bytes[1] == b':'
        && bytes.get(2).is_none_or(|&third| third == b'/')
    {
        return Err(fault(what, path, "it must not begin with a drive"));
    }
    for component in path.split('/') {
        if component.is_empty() || component == "." || component == ".." {
            return Err(fault(
                what,
                path,
                "it must be a relative path without empty, `.` or `..` components",
            ));
        }
        if component.len() > COMPONENT_BYTES {
            return Err(fault(
                what,
                path,
                format!("a component must not be longer than {COMPONENT_BYTES} bytes"),
            ));
        }
    }
    Ok(())
}

/// Checks metadata as a client sends it: a JSON object, bounded in bytes. The bound of keys is the client's: W&B's server has none.
pub fn check_metadata(json: &str) -> Result<(), InvalidArtifactName> {
    let what = "metadata";
    if json.len() > METADATA_BYTES {
        return Err(fault(
            what,
            json,
            format!("it must not be larger than {METADATA_BYTES} bytes as JSON"),
        ));
    }
    match crate::json::parse(json) {
        Ok(crate::json::Value::Object(_)) => Ok(()),
        _ => Err(fault(what, json, "it must be a JSON object")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifact_names_follow_the_rule() {
        for good in [
            "a",
            "my-dataset",
            "run-abc_1.x",
            "x".repeat(128).as_str(),
            "_",
        ] {
            assert_eq!(check_artifact_name(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "-a",
            "a b",
            "a/b",
            "a:b",
            "a\n",
            "ä",
            "x".repeat(129).as_str(),
        ] {
            assert!(check_artifact_name(bad).is_err(), "{bad:?}");
        }
        let error = check_artifact_name("a\n")
            .expect_err("has a line feed")
            .to_string();
        assert!(
            error.starts_with("invalid artifact name `a\\n`: "),
            "{error}"
        );
    }

    #[test]
    fn aliases_and_versions_are_told_apart() {
        assert_eq!(check_alias("best model"), Ok(()));
        for bad in ["", "a/b", "a:b", "a\0", "x".repeat(129).as_str()] {
            assert!(check_alias(bad).is_err(), "{bad:?}");
        }
        assert_eq!(version_index("v12"), Some(12));
        for word in ["v", "v1x", "1", "V1", "latest", "v99999999999999999999999"] {
            assert!(!is_version(word), "{word}");
        }
    }

    #[test]
    fn tags_are_words() {
        for good in ["a", "a b", "a  b-c_d", "ключ"] {
            assert_eq!(check_tag(good), Ok(()), "{good}");
        }
        for bad in ["", " a", "a ", "a:b", "a/b", "a\n"] {
            assert!(check_tag(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn entry_paths_stay_below_their_root() {
        for good in ["a", "dir/файл.txt", "a b/c:d", "con", "c:d", ".hidden"] {
            assert_eq!(check_entry_path(good), Ok(()), "{good}");
        }
        let long = "x".repeat(256);
        for bad in [
            "",
            "/a",
            "a/",
            "a//b",
            "./a",
            "a/../b",
            "..",
            "a\\b",
            "a\0b",
            "C:/x",
            "c:",
            "a\nb",
            long.as_str(),
        ] {
            assert!(check_entry_path(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn metadata_is_an_object() {
        assert_eq!(check_metadata(r#"{"a": NaN, "b": {"c": 1}}"#), Ok(()));
        for bad in ["", "[]", "1", "{", "null"] {
            assert!(check_metadata(bad).is_err(), "{bad}");
        }
    }
}
