//! Uploading run files: which, when, and only what lies in the run's files directory.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use runlane_model::backoff::Verdict;
use runlane_model::limits::check_file_name;
use runlane_proto::wandb_internal as pb;
use runlane_proto::wandb_internal::files_item::PolicyType;

use super::graphql::{Server, UploadUrl};
use super::http::{Body, CallError, HttpRequest, hex, open_regular};

/// Files asked for in one call.
const PER_CALL: usize = 200;
/// Redirects of one upload that are followed (a bucket in another region).
const REDIRECTS: usize = 3;
/// A line that carries less than this many bytes a second carries nothing.
const SLOWEST_BYTES_A_SECOND: u64 = 512;
/// Tries of a file that fails for itself, and of one that fails while the host answers others.
const OWN_TRIES: u32 = 5;
const TRIES_AMONG_OTHERS: u32 = 20;

/// What to upload of a run, and when.
#[derive(Debug, Default)]
pub(crate) struct FilePlan {
    now: BTreeSet<String>,
    at_end: BTreeSet<String>,
    /// Failed, to be tried again.
    again: BTreeSet<String>,
    tries: BTreeMap<String, u32>,
    under_way: usize,
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
    names: usize,
    /// Name and MD5 of what is stored.
    pub(crate) stored: Vec<(String, String)>,
    pub(crate) warnings: Vec<String>,
    /// To be tried again, and why.
    pub(crate) failed: Vec<(String, Failure)>,
}

/// Why a file is not stored yet.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) error: CallError,
    /// Its own fault: others do not fail with it.
    own: bool,
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

    /// Whether anything failed and is to be tried again.
    pub(crate) fn has_failed(&self) -> bool {
        !self.again.is_empty()
    }

    /// Files that are not stored yet.
    pub(crate) fn left(&self) -> usize {
        self.now.union(&self.at_end).count() + self.again.len() + self.under_way
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
            self.again.remove(&name);
            batch.push(name);
        }
        self.under_way += batch.len();
        batch
    }

    /// What failed is due again.
    pub(crate) fn try_again(&mut self) {
        self.now.append(&mut self.again);
    }

    /// A batch has ended; returns the error to wait for, and what is to be told of files that are given up.
    pub(crate) fn ended(&mut self, outcome: &Uploaded) -> (Option<CallError>, Vec<String>) {
        self.under_way = self.under_way.saturating_sub(outcome.names);
        for (name, _md5) in &outcome.stored {
            self.tries.remove(name);
        }
        let mut waits_for = None;
        let mut given_up = Vec::new();
        for (name, failure) in &outcome.failed {
            let limit = match (failure.own, failure.error.hope) {
                (true, _) => OWN_TRIES,
                (false, Some(_)) => TRIES_AMONG_OTHERS,
                // The host is away: nobody's fault, and no reason to count.
                (false, None) => u32::MAX,
            };
            let tries = self.tries.entry(name.clone()).or_default();
            if limit < u32::MAX {
                *tries += 1;
            }
            if *tries >= limit {
                self.tries.remove(name);
                given_up.push(format!(
                    "file `{name}` not uploaded: {}",
                    failure.error.message
                ));
            } else {
                self.again.insert(name.clone());
                waits_for.get_or_insert_with(|| failure.error.clone());
            }
        }
        (waits_for, given_up)
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
    let mut outcome = Uploaded {
        names: names.len(),
        ..Uploaded::default()
    };
    let (mut left, warnings) = super::blocking(|| measure(&directory, names, &known));
    outcome.warnings = warnings;
    // Once more for those whose URL has expired by the time their turn comes.
    for is_last in [false, true] {
        if left.is_empty() {
            break;
        }
        left = upload_round(server, run, left, is_last, &mut outcome).await;
    }
    outcome
}

/// Asks for URLs and uploads; returns the files that need another URL.
async fn upload_round(
    server: &Server,
    run: [&str; 3],
    mut files: BTreeMap<String, Measured>,
    is_last: bool,
    outcome: &mut Uploaded,
) -> BTreeMap<String, Measured> {
    let names: Vec<String> = files.keys().cloned().collect();
    let failure = |error: &CallError, own| Failure {
        error: error.clone(),
        own,
    };
    let urls = match server.create_files(run[0], run[1], run[2], &names).await {
        Ok(urls) => urls,
        Err(error) => {
            let own = error.verdict == Verdict::Refused;
            let failed = names.into_iter().map(|name| (name, failure(&error, own)));
            outcome.failed.extend(failed);
            return BTreeMap::new();
        }
    };
    let headers: Vec<(String, String)> = urls
        .upload_headers
        .iter()
        .filter_map(|header| header.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let mut expired = BTreeMap::new();
    let mut away: Option<CallError> = None;
    for UploadUrl { name, upload_url } in urls.files {
        let Some(file) = files.remove(&name) else {
            continue;
        };
        let Some(url) = upload_url else {
            let error = CallError::refused("the server names no place for it");
            outcome.failed.push((name, failure(&error, true)));
            continue;
        };
        if let Some(error) = &away {
            outcome.failed.push((name, failure(error, false)));
            continue;
        }
        match put(server, url, headers.clone(), &file).await {
            Ok(()) => outcome.stored.push((name, file.md5)),
            Err(Failed::Expired(_)) if !is_last => {
                expired.insert(name, file);
            }
            Err(Failed::Expired(error) | Failed::Own(error)) => {
                outcome.failed.push((name, failure(&error, true)));
            }
            Err(Failed::Refused(error)) => outcome
                .warnings
                .push(format!("file `{name}` not uploaded: {}", error.message)),
            Err(Failed::Away(error)) => {
                outcome.failed.push((name, failure(&error, false)));
                if error.status == 0 {
                    away = Some(error);
                }
            }
        }
    }
    for name in files.into_keys() {
        let error = CallError::refused("the server names no place for it");
        outcome.failed.push((name, failure(&error, true)));
    }
    expired
}

/// Why one upload failed.
enum Failed {
    /// The URL does not allow it (any more).
    Expired(CallError),
    /// Something is wrong with this file's upload: it changed, or other bytes were stored.
    Own(CallError),
    /// It will never be taken.
    Refused(CallError),
    /// The host did not answer, or wants to be left alone.
    Away(CallError),
}

async fn put(
    server: &Server,
    mut url: String,
    mut headers: Vec<(String, String)>,
    file: &Measured,
) -> Result<(), Failed> {
    if server.is_own(&url) {
        // Our server compares; other stores may have signed a URL that allows no such header.
        headers.push(("Content-MD5".to_owned(), file.md5_base64.clone()));
    }
    for _redirect in 0..=REDIRECTS {
        let request = HttpRequest {
            method: "PUT",
            url: url.clone(),
            headers: headers.clone(),
            body: Body::File {
                path: file.path.clone(),
                length: file.length,
                md5: file.md5.clone(),
            },
            timeout: Some(Duration::from_secs(
                60 + file.length / SLOWEST_BYTES_A_SECOND,
            )),
        };
        let error = match server.put(request).await {
            Ok(answer) => {
                return match answer.md5 {
                    Some(md5) if md5 != file.md5 => Err(Failed::Own(CallError::retry(
                        "the store has other bytes than were sent",
                    ))),
                    _ => Ok(()),
                };
            }
            Err(error) => error,
        };
        if let Some(to) = error.redirected_from(&url) {
            url = to;
            headers.retain(|(name, _)| name != "Content-MD5");
            continue;
        }
        return Err(match (error.verdict, error.status) {
            // Says nothing of the run's own key.
            (_, 400 | 401 | 403) => Failed::Expired(CallError {
                verdict: Verdict::Retry,
                ..error
            }),
            (Verdict::Retry, 0) if error.message.starts_with(super::http::CHANGED) => {
                Failed::Own(error)
            }
            (Verdict::Retry, _) => Failed::Away(error),
            _ => Failed::Refused(error),
        });
    }
    Err(Failed::Own(CallError::retry("redirected too often")))
}

#[derive(Debug)]
struct Measured {
    path: PathBuf,
    length: u64,
    md5: String,
    md5_base64: String,
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
        match place_of(directory, &name).and_then(|path| measure_one(&path)) {
            Ok(file) if known.get(&name) == Some(&file.md5) => {}
            Ok(file) => {
                changed.insert(name, file);
            }
            Err(error) => warnings.push(format!("file `{name}` not uploaded: {error}")),
        }
    }
    (changed, warnings)
}

/// Where a file is. Its folders must lie in the run's files, whatever links an unpacked run directory holds; the file
/// itself may be a link to anywhere, as `save` makes it.
fn place_of(directory: &Path, name: &str) -> std::io::Result<PathBuf> {
    let path = directory.join(name);
    let folder = path.parent().unwrap_or(directory).canonicalize()?;
    if folder.starts_with(directory.canonicalize()?) {
        return Ok(path);
    }
    let text = "its folder is a link that leads out of the run directory";
    Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, text))
}

fn measure_one(path: &Path) -> std::io::Result<Measured> {
    let file = open_regular(path)?;
    let mut file = file.metadata().map(|data| file.take(data.len()))?;
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
    let md5 = hasher.finalize();
    Ok(Measured {
        path: path.to_owned(),
        length,
        md5: hex(&md5),
        md5_base64: STANDARD.encode(md5),
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
