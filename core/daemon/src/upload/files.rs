//! Uploading run files: which, when, and only what lies in the run's files directory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use md5::{Digest, Md5};
use runlane_model::limits::check_file_name;
use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::files_item::PolicyType;

use super::graphql::Server;
use super::http::{Body, CallError, HttpRequest, check};

/// Files asked for in one call.
const PER_CALL: usize = 200;

/// What to upload of a run, and when.
#[derive(Debug, Default)]
pub(crate) struct FilePlan {
    now: BTreeSet<String>,
    at_end: BTreeSet<String>,
    ignore_globs: Vec<String>,
    /// Refused names, reported once each.
    refused: BTreeSet<String>,
}

/// How a file counts in the closing block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Wandb,
    Media,
    Other,
}

impl Kind {
    pub(crate) fn of(name: &str) -> Self {
        const OURS: [&str; 5] = [
            "config.yaml",
            "output.log",
            "requirements.txt",
            "wandb-metadata.json",
            "wandb-summary.json",
        ];
        if name.starts_with("media/") {
            Self::Media
        } else if OURS.contains(&name) || name.starts_with("logs/") {
            Self::Wandb
        } else {
            Self::Other
        }
    }
}

/// One batch's outcome.
#[derive(Debug, Default)]
pub(crate) struct Uploaded {
    /// Name and MD5 of what is stored.
    pub(crate) stored: Vec<(String, String)>,
    pub(crate) warnings: Vec<String>,
    /// To be tried again, and why.
    pub(crate) failed: Option<(Vec<String>, CallError)>,
}

impl FilePlan {
    pub(crate) fn new(ignore_globs: Vec<String>) -> Self {
        Self {
            ignore_globs,
            ..Self::default()
        }
    }

    /// Takes in an item of a files record; returns a warning if its name leads outside the run's files.
    pub(crate) fn add(&mut self, item: &pb::FilesItem) -> Option<String> {
        if let Err(error) = check_file_name(&item.path) {
            return self
                .refused
                .insert(item.path.clone())
                .then(|| format!("{error}: not uploaded"));
        }
        match item.policy() {
            PolicyType::Now => self.add_now(&item.path),
            PolicyType::End => self.add_at_end(&item.path),
            PolicyType::Live => {
                self.add_now(&item.path);
                self.add_at_end(&item.path);
            }
        }
        None
    }

    pub(crate) fn add_now(&mut self, name: &str) {
        if !self.is_ignored(name) {
            self.now.insert(name.to_owned());
        }
    }

    pub(crate) fn add_at_end(&mut self, name: &str) {
        if !self.is_ignored(name) {
            self.at_end.insert(name.to_owned());
        }
    }

    /// Whether anything is to be uploaded now.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.now.is_empty()
    }

    /// The run has ended: everything that waited for that is due.
    pub(crate) fn end(&mut self) {
        self.now.append(&mut self.at_end);
    }

    /// The next batch.
    pub(crate) fn take(&mut self) -> Vec<String> {
        let mut batch = Vec::new();
        while batch.len() < PER_CALL
            && let Some(name) = self.now.pop_first()
        {
            batch.push(name);
        }
        batch
    }

    /// Puts files back that could not be uploaded.
    pub(crate) fn put_back(&mut self, names: Vec<String>) {
        self.now.extend(names);
    }

    fn is_ignored(&self, name: &str) -> bool {
        self.ignore_globs
            .iter()
            .any(|glob| matches_glob(glob, name))
    }
}

/// Uploads one batch; files whose content is stored already are left out.
pub(crate) async fn upload(
    server: &Server,
    run: [&str; 3],
    directory: PathBuf,
    names: Vec<String>,
    known: BTreeMap<String, String>,
) -> Uploaded {
    let mut outcome = Uploaded::default();
    let measured = tokio::task::spawn_blocking(move || measure(&directory, names, &known)).await;
    let (changed, warnings) = measured.unwrap_or_default();
    outcome.warnings = warnings;
    if changed.is_empty() {
        return outcome;
    }
    let names: Vec<String> = changed.keys().cloned().collect();
    let urls = match server.create_files(run[0], run[1], run[2], &names).await {
        Ok(urls) => urls,
        Err(error) => {
            outcome.failed = Some((names, error));
            return outcome;
        }
    };
    let headers: Vec<(String, String)> = urls
        .upload_headers
        .iter()
        .filter_map(|header| header.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    for url in urls.files {
        let (Some(file), Some(target)) = (changed.get(&url.name), url.upload_url) else {
            continue;
        };
        let request = HttpRequest {
            method: "PUT",
            url: target,
            headers: headers.clone(),
            body: Body::File {
                path: file.path.clone(),
                length: file.length,
            },
            // A minute, and what a very slow line needs.
            timeout: Some(Duration::from_secs(60 + file.length / (16 << 10))),
        };
        match server.http().send(request).await.and_then(check) {
            Ok(_answer) => outcome.stored.push((url.name, file.md5.clone())),
            Err(error) if error.verdict == runlane_model::backoff::Verdict::Retry => {
                let names = match outcome.failed.take() {
                    Some((mut names, _)) => {
                        names.push(url.name);
                        names
                    }
                    None => vec![url.name],
                };
                outcome.failed = Some((names, error));
            }
            Err(error) => outcome.warnings.push(format!(
                "file `{}` not uploaded: {}",
                url.name, error.message
            )),
        }
    }
    outcome
}

#[derive(Debug)]
struct Measured {
    path: PathBuf,
    length: u64,
    md5: String,
}

/// Reads each file once; what is missing, no file or unchanged is left out.
fn measure(
    directory: &Path,
    names: Vec<String>,
    known: &BTreeMap<String, String>,
) -> (BTreeMap<String, Measured>, Vec<String>) {
    let mut changed = BTreeMap::new();
    let mut warnings = Vec::new();
    for name in names {
        let path = directory.join(&name);
        match measure_one(&path) {
            Ok(file) if known.get(&name) == Some(&file.md5) => {}
            Ok(file) => {
                changed.insert(name, file);
            }
            Err(error) => warnings.push(format!("file `{name}` not uploaded: {error}")),
        }
    }
    (changed, warnings)
}

fn measure_one(path: &Path) -> std::io::Result<Measured> {
    let data = std::fs::metadata(path)?;
    // Opening a FIFO would wait for its writer.
    if !data.is_file() {
        return Err(std::io::Error::new(
            std::io::ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    let mut file = std::fs::File::open(path)?.take(data.len());
    let mut hasher = Md5::new();
    let mut buffer = vec![0; 1 << 16];
    let mut length = 0;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        length += count as u64;
    }
    let mut md5 = String::new();
    for byte in hasher.finalize() {
        write!(md5, "{byte:02x}").expect("a string takes every write");
    }
    Ok(Measured {
        path: path.to_owned(),
        length,
        md5,
    })
}

/// Whether a glob of `ignore_globs` matches a path; `*` does not cross `/`.
fn matches_glob(glob: &str, name: &str) -> bool {
    let (glob, name): (Vec<char>, Vec<char>) = (glob.chars().collect(), name.chars().collect());
    // The usual walk with one place to go back to: linear but for the last star.
    let (mut at, mut seen, mut star) = (0, 0, None);
    while seen < name.len() {
        match glob.get(at) {
            Some('*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some('?') if name[seen] != '/' => {
                at += 1;
                seen += 1;
            }
            Some(character) if *character == name[seen] => {
                at += 1;
                seen += 1;
            }
            _ => match star {
                Some((star_at, from)) if name[from] != '/' => {
                    star = Some((star_at, from + 1));
                    at = star_at + 1;
                    seen = from + 1;
                }
                _ => return false,
            },
        }
    }
    glob[at..].iter().all(|character| *character == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_stay_within_a_directory() {
        for (glob, name, matches) in [
            ("*.pt", "model.pt", true),
            ("*.pt", "dir/model.pt", false),
            ("dir/*", "dir/model.pt", true),
            ("dir/*", "dir/sub/model.pt", false),
            ("m?d*l*", "model.pt", true),
            ("model", "model.pt", false),
            ("*", "", true),
        ] {
            assert_eq!(matches_glob(glob, name), matches, "{glob} {name}");
        }
    }

    #[test]
    fn policies_and_names_are_kept_to() {
        let mut plan = FilePlan::new(vec!["*.tmp".to_owned()]);
        let item = |path: &str, policy: PolicyType| pb::FilesItem {
            path: path.to_owned(),
            policy: policy.into(),
            ..Default::default()
        };
        assert_eq!(plan.add(&item("a.txt", PolicyType::Now)), None);
        assert_eq!(plan.add(&item("b.txt", PolicyType::End)), None);
        assert_eq!(plan.add(&item("c.txt", PolicyType::Live)), None);
        assert_eq!(plan.add(&item("d.tmp", PolicyType::Now)), None);
        assert!(
            plan.add(&item("../../etc/passwd", PolicyType::Now))
                .is_some()
        );
        assert_eq!(plan.add(&item("../../etc/passwd", PolicyType::Now)), None);
        assert_eq!(plan.take(), ["a.txt", "c.txt"]);
        plan.end();
        assert_eq!(plan.take(), ["b.txt", "c.txt"]);
    }

    #[test]
    fn only_changed_regular_files_are_uploaded() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("a"), b"hello").expect("written");
        std::fs::create_dir(directory.path().join("d")).expect("created");
        let names = || vec!["a".to_owned(), "d".to_owned(), "missing".to_owned()];
        let (changed, warnings) = measure(directory.path(), names(), &BTreeMap::new());
        assert_eq!(changed["a"].md5, "5d41402abc4b2a76b9719d911017c592");
        assert_eq!((changed.len(), warnings.len()), (1, 2));
        let known = BTreeMap::from([("a".to_owned(), changed["a"].md5.clone())]);
        assert!(measure(directory.path(), names(), &known).0.is_empty());
    }
}
