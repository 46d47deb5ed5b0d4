//! `runlane-code.json`, the file in which a client says how the code files of a run belong together
//! (`python/runlane/_code_capture.py` writes it), and what is known of runs without one.

use runlane_model::limits::check_file_name;
use serde::Deserialize;

use super::shell;

/// Larger ones are none.
pub(super) const MAX_BYTES: i64 = 1 << 20;
pub(super) const NAME: &str = "runlane-code.json";

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Manifest {
    pub(super) version: u32,
    pub(super) directory: String,
    pub(super) program: Option<String>,
    pub(super) module: Option<String>,
    pub(super) notebook: Option<String>,
    pub(super) code: Option<Code>,
    pub(super) left_out: Vec<LeftOut>,
}

/// Where the tree comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Source {
    /// A commit that the remote has.
    Remote,
    /// A commit in `snapshot.bundle`.
    Bundle,
    /// Nothing: the patches make it.
    None,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Code {
    pub(super) source: Source,
    #[serde(default)]
    pub(super) remote: Option<String>,
    #[serde(default)]
    pub(super) base: Option<String>,
    #[serde(default)]
    pub(super) patches: Vec<String>,
    #[serde(default)]
    pub(super) submodules: bool,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(super) struct LeftOut {
    pub(super) path: String,
    pub(super) reason: String,
}

impl Manifest {
    /// Reads a manifest; anything that could lead elsewhere, or is not understood, is as good as none.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let manifest: Self = serde_json::from_slice(text).ok()?;
        let is_inside = |path: &String| path == "." || check_file_name(path).is_ok();
        let code = manifest.code.iter().all(|code| {
            let base = code.base.as_deref();
            code.patches
                .iter()
                .all(|name| check_file_name(name).is_ok())
                && base.is_none_or(shell::is_commit)
                && (base.is_some() || code.source == Source::None)
                && code.remote.as_deref().is_none_or(shell::is_remote)
                && (code.remote.is_some() || code.source != Source::Remote)
        });
        let is_sound = manifest.version == 1 && is_inside(&manifest.directory) && code;
        is_sound.then_some(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_elsewhere_is_refused() {
        let base = "a".repeat(40);
        let with = |directory: &str, remote: &str, base: &str, patch: &str| {
            let text = serde_json::json!({"version": 1, "directory": directory, "code": {
                "source": "remote", "remote": remote, "base": base, "patches": [patch]}});
            Manifest::parse(text.to_string().as_bytes()).is_some()
        };
        assert!(with(".", "https://h/x", &base, "diff.patch"));
        assert!(with("src/a", "git@h:x", &base, "diff.patch"));
        assert!(!with("../x", "https://h/x", &base, "diff.patch"));
        assert!(!with("/x", "https://h/x", &base, "diff.patch"));
        assert!(!with(".", "-x", &base, "diff.patch"));
        assert!(!with(".", "https://h/x", "HEAD; rm", "diff.patch"));
        assert!(!with(".", "https://h/x", &base, "../diff.patch"));
        for text in ["", "[]", "{}", r#"{"version": 2, "directory": "."}"#] {
            assert!(Manifest::parse(text.as_bytes()).is_none(), "{text}");
        }
        let no_base = r#"{"version":1,"directory":".","code":{"source":"bundle"}}"#;
        assert!(Manifest::parse(no_base.as_bytes()).is_none());
    }
}
