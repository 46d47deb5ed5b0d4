//! Sending files: URLs are asked for in one call, contents go where those lead.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use runlane_model::backoff::Verdict;

use super::super::blocking;
use super::super::graphql::{Server, UploadUrl};
use super::super::http::{Body, CHANGED, CallError, HttpRequest};
use super::measure::{Measured, measure};
use super::{Failure, Uploaded};
use crate::clock::Clock;

/// Redirects of one upload that are followed (a bucket in another region).
const REDIRECTS: usize = 3;
/// A line that carries less than this many bytes a second carries nothing.
const SLOWEST_BYTES_A_SECOND: u64 = 512;

/// Uploads one batch; files whose content is stored already are left out.
pub(crate) async fn upload(
    server: &Server,
    clock: &dyn Clock,
    run: [&str; 3],
    directory: PathBuf,
    names: Vec<String>,
    known: BTreeMap<String, String>,
) -> Uploaded {
    let batch = blocking(|| measure(clock, &directory, &names, &known));
    let mut outcome = Uploaded {
        names,
        warnings: batch.warnings,
        ..Uploaded::default()
    };
    for (name, file) in batch.unchanged {
        outcome.read.push((name, file.fingerprint, file.took));
    }
    let mut left = batch.changed;
    // Once more for those whose URL has expired by the time their turn comes.
    for is_last in [false, true] {
        if left.is_empty() {
            break;
        }
        left = upload_round(server, clock, run, left, is_last, &mut outcome).await;
    }
    outcome
}

/// Asks for URLs and uploads; returns the files that need another URL.
async fn upload_round(
    server: &Server,
    clock: &dyn Clock,
    run: [&str; 3],
    mut files: BTreeMap<String, Measured>,
    is_last: bool,
    outcome: &mut Uploaded,
) -> BTreeMap<String, Measured> {
    let names: Vec<String> = files.keys().cloned().collect();
    let failure = |error: &CallError, own| Failure {
        error: error.clone(),
        own,
        changed: false,
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
        let start = clock.now();
        let put = put(server, url, headers.clone(), &file).await;
        let took = file.took + clock.now().saturating_duration_since(start);
        outcome.read.push((name.clone(), file.fingerprint, took));
        match put {
            Ok(()) => outcome.stored.push((name, file.md5)),
            Err(Failed::Changed(error)) => {
                let failure = Failure {
                    error,
                    own: true,
                    changed: true,
                };
                outcome.failed.push((name, failure));
            }
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
    /// The file was written to meanwhile.
    Changed(CallError),
    /// Something is wrong with this file's upload: other bytes were stored.
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
            (Verdict::Retry, 0) if error.message.starts_with(CHANGED) => Failed::Changed(error),
            (Verdict::Retry, _) => Failed::Away(error),
            _ => Failed::Refused(error),
        });
    }
    Err(Failed::Own(CallError::retry("redirected too often")))
}
