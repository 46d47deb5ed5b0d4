//! The prefix that keys of a log directory get: its path below the root of all of them.
//!
//! Where nobody named a root, two directories name it: what their paths have in common. A directory that stays alone for ten
//! seconds is its own root, and its keys have no prefix. Once a root is known, it stays.

use std::time::Duration;

/// How long a lone directory waits for a second one.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A directory with its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Prefix of the keys; empty for none.
    pub(crate) namespace: String,
    /// The root that the directory lies below, if one is known.
    pub(crate) root: Option<String>,
}

/// The log directories of one run. Paths are absolute, without `.` and `..`.
#[derive(Debug, Default)]
pub(crate) struct Roots {
    root: Option<String>,
    alone: Option<String>,
    /// Directories that told no root, until they have a place.
    waiting: Vec<(String, Duration)>,
}

impl Roots {
    /// Takes note of a directory and of the root that it came with (empty: none).
    pub(crate) fn tell(&mut self, directory: &str, root: &str, now: Duration) {
        if !root.is_empty() {
            self.root.get_or_insert_with(|| root.to_owned());
            return;
        }
        if self.root.is_some() || self.waiting.iter().any(|(other, _)| other == directory) {
            return;
        }
        let other = self
            .alone
            .as_deref()
            .or(self.waiting.first().map(|(first, _)| first.as_str()));
        match other {
            Some(other) if other != directory => {
                self.root = Some(common(other, directory));
            }
            _ => self.waiting.push((directory.to_owned(), now)),
        }
    }

    /// Where a directory stands; `None` while that is not known yet. `ending`: nobody else will come.
    pub(crate) fn place(
        &mut self,
        directory: &str,
        root: &str,
        now: Duration,
        ending: bool,
    ) -> Option<Place> {
        let known = if root.is_empty() {
            self.root.as_deref()
        } else {
            Some(root)
        };
        if let Some(known) = known {
            return Some(Place {
                namespace: below(directory, known).unwrap_or_default(),
                root: directory.starts_with(known).then(|| known.to_owned()),
            });
        }
        let since = self
            .waiting
            .iter()
            .find(|(other, _)| other == directory)
            .map_or(Duration::ZERO, |(_, since)| *since);
        if !ending && now.saturating_sub(since) < PATIENCE {
            return None;
        }
        self.alone.get_or_insert_with(|| directory.to_owned());
        Some(Place {
            namespace: String::new(),
            root: None,
        })
    }
}

/// The path of `directory` below `root`. As in W&B, the root need not end at a component: what follows it is the rest.
fn below(directory: &str, root: &str) -> Option<String> {
    directory
        .strip_prefix(root)
        .map(|rest| rest.trim_matches('/').to_owned())
}

fn common(one: &str, other: &str) -> String {
    let shared: Vec<&str> = one
        .split('/')
        .zip(other.split('/'))
        .take_while(|(a, b)| a == b)
        .map(|(component, _)| component)
        .collect();
    let path = shared.join("/");
    if path.is_empty() {
        "/".to_owned()
    } else {
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn namespace(roots: &mut Roots, directory: &str, root: &str, now: Duration) -> Option<String> {
        roots
            .place(directory, root, now, false)
            .map(|place| place.namespace)
    }

    #[test]
    fn two_directories_name_the_root() {
        let mut roots = Roots::default();
        roots.tell("/w/a/x/t", "", NOW);
        assert_eq!(namespace(&mut roots, "/w/a/x/t", "", NOW), None);
        roots.tell("/w/a/x/v", "", NOW);
        assert_eq!(
            namespace(&mut roots, "/w/a/x/t", "", NOW),
            Some("t".to_owned())
        );
        assert_eq!(
            namespace(&mut roots, "/w/a/x/v", "", NOW),
            Some("v".to_owned())
        );
        // One that comes later and lies elsewhere has no prefix.
        roots.tell("/w/b/c", "", NOW);
        let place = roots.place("/w/b/c", "", NOW, false).expect("placed");
        assert_eq!((place.namespace.as_str(), place.root), ("", None));
        roots.tell("/w/a/x/t/deep", "", NOW);
        assert_eq!(
            namespace(&mut roots, "/w/a/x/t/deep", "", NOW),
            Some("t/deep".to_owned())
        );
    }

    #[test]
    fn a_lone_directory_has_no_prefix_after_a_while_or_at_the_end() {
        let mut roots = Roots::default();
        roots.tell("/w/t", "", NOW);
        let late = NOW + PATIENCE;
        assert_eq!(namespace(&mut roots, "/w/t", "", NOW), None);
        assert_eq!(namespace(&mut roots, "/w/t", "", late), Some(String::new()));
        // A second one names the root after all; the first one's files keep what they have.
        roots.tell("/w/v", "", late);
        assert_eq!(
            namespace(&mut roots, "/w/v", "", late),
            Some("v".to_owned())
        );

        let mut roots = Roots::default();
        roots.tell("/w/t", "", NOW);
        let place = roots.place("/w/t", "", NOW, true).expect("placed");
        assert_eq!(place.namespace, "");
    }

    #[test]
    fn a_root_that_was_given_holds() {
        let mut roots = Roots::default();
        roots.tell("/w/r/a", "/w/r", NOW);
        assert_eq!(
            namespace(&mut roots, "/w/r/a", "/w/r", NOW),
            Some("a".to_owned())
        );
        roots.tell("/w/r/b", "", NOW);
        assert_eq!(
            namespace(&mut roots, "/w/r/b", "", NOW),
            Some("b".to_owned())
        );
        assert_eq!(
            namespace(&mut roots, "/w/q", "/w/r", NOW),
            Some(String::new())
        );
        assert_eq!(
            namespace(&mut roots, "/w/runs/Nov_vmx", "/w/runs/Nov_vm", NOW),
            Some("x".to_owned())
        );
    }

    #[test]
    fn directories_without_anything_in_common_are_told_apart_by_their_whole_paths() {
        let mut roots = Roots::default();
        roots.tell("/a/t", "", NOW);
        roots.tell("/b/t", "", NOW);
        assert_eq!(
            namespace(&mut roots, "/a/t", "", NOW),
            Some("a/t".to_owned())
        );
        let mut nested = Roots::default();
        nested.tell("/w/tb", "", NOW);
        nested.tell("/w/tb/grp/a", "", NOW);
        assert_eq!(
            namespace(&mut nested, "/w/tb", "", NOW),
            Some(String::new())
        );
        assert_eq!(
            namespace(&mut nested, "/w/tb/grp/a", "", NOW),
            Some("grp/a".to_owned())
        );
    }
}
