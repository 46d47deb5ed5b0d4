//! The files below a directory.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Directories looked into: links can make a tree endless without making a loop.
const DIRECTORIES: usize = 1_000_000;

/// A tree that cannot be taken.
#[derive(Debug, Error)]
pub(crate) enum TreeError {
    /// A directory or file cannot be looked at.
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A name that no manifest can carry.
    #[error("the name of `{}` is not valid UTF-8", .0.display())]
    NotText(PathBuf),
    /// More than the bound.
    #[error("`{}` has more than {count} {what}", root.display())]
    TooMany {
        root: PathBuf,
        count: usize,
        what: &'static str,
    },
}

/// What a directory holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    /// Names of regular files relative to the root, `/`-separated, in order.
    pub(crate) files: Vec<String>,
    /// What is neither file nor directory, links that lead nowhere, and directories that lead back to one above them.
    pub(crate) left_out: Vec<String>,
}

/// Lists the regular files below `root`, and what links to files lead to; with `follow`, also what is in directories that links lead to.
///
/// Errors: a directory that cannot be read, a name that is no text, more than `most` files.
pub(crate) fn list(root: &Path, most: usize, follow: bool) -> Result<Tree, TreeError> {
    let found = fs::metadata(root).map_err(|source| unreadable(root, source))?;
    let mut walk = Walk {
        root,
        most,
        follow,
        directories: 0,
        above: vec![(found.dev(), found.ino())],
        tree: Tree::default(),
    };
    walk.directory(root, "")?;
    walk.tree.files.sort_unstable();
    walk.tree.left_out.sort_unstable();
    Ok(walk.tree)
}

struct Walk<'a> {
    root: &'a Path,
    most: usize,
    follow: bool,
    directories: usize,
    /// Device and inode of the directories from the root to here. A path has 4,096 bytes, so this is no deeper than 2,048.
    above: Vec<(u64, u64)>,
    tree: Tree,
}

impl Walk<'_> {
    fn directory(&mut self, path: &Path, prefix: &str) -> Result<(), TreeError> {
        self.directories += 1;
        if self.directories > DIRECTORIES {
            return Err(self.too_many(DIRECTORIES, "directories"));
        }
        let mut below = Vec::new();
        for entry in fs::read_dir(path).map_err(|source| unreadable(path, source))? {
            let entry = entry.map_err(|source| unreadable(path, source))?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                return Err(TreeError::NotText(entry.path()));
            };
            let name = format!("{prefix}{name}");
            let kind = entry
                .file_type()
                .map_err(|source| unreadable(&entry.path(), source))?;
            if kind.is_file() {
                self.file(name)?;
            } else if kind.is_dir() {
                below.push((entry.path(), name));
            } else if kind.is_symlink() {
                match fs::metadata(entry.path()) {
                    Ok(found) if found.is_file() => self.file(name)?,
                    Ok(found) if found.is_dir() && self.follow => below.push((entry.path(), name)),
                    _ => self.tree.left_out.push(name),
                }
            } else {
                self.tree.left_out.push(name);
            }
        }
        for (path, name) in below {
            let found = fs::metadata(&path).map_err(|source| unreadable(&path, source))?;
            let identity = (found.dev(), found.ino());
            if self.above.contains(&identity) {
                self.tree.left_out.push(name);
                continue;
            }
            self.above.push(identity);
            self.directory(&path, &format!("{name}/"))?;
            self.above.pop();
        }
        Ok(())
    }

    fn file(&mut self, name: String) -> Result<(), TreeError> {
        if self.tree.files.len() >= self.most {
            return Err(self.too_many(self.most, "files"));
        }
        self.tree.files.push(name);
        Ok(())
    }

    fn too_many(&self, count: usize, what: &'static str) -> TreeError {
        TreeError::TooMany {
            root: self.root.to_owned(),
            count,
            what,
        }
    }
}

fn unreadable(path: &Path, source: io::Error) -> TreeError {
    TreeError::Unreadable {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_and_loops_end() {
        let home = tempfile::tempdir().expect("a directory");
        let root = home.path().join("root");
        fs::create_dir_all(root.join("a/b")).expect("made");
        fs::create_dir(home.path().join("outside")).expect("made");
        fs::write(root.join("x"), "1").expect("written");
        fs::write(root.join("a/b/y"), "2").expect("written");
        fs::write(home.path().join("outside/z"), "3").expect("written");
        symlink("../x", root.join("a/to-file")).expect("linked");
        symlink("../../outside", root.join("a/to-directory")).expect("linked");
        symlink("..", root.join("a/b/up")).expect("linked");
        symlink("nowhere", root.join("broken")).expect("linked");
        symlink("itself", root.join("itself")).expect("linked");
        let tree = list(&root, 100, true).expect("listed");
        assert_eq!(tree.files, ["a/b/y", "a/to-directory/z", "a/to-file", "x"]);
        assert_eq!(tree.left_out, ["a/b/up", "broken", "itself"]);
        let tree = list(&root, 100, false).expect("listed");
        assert_eq!(tree.files, ["a/b/y", "a/to-file", "x"]);
        assert_eq!(
            tree.left_out,
            ["a/b/up", "a/to-directory", "broken", "itself"]
        );
        assert!(matches!(
            list(&root, 3, true),
            Err(TreeError::TooMany { count: 3, .. })
        ));
    }
}
