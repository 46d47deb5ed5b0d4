//! Sending files: URLs are asked for in one call, contents go where those lead.

use std::collections::BTreeMap;
use std::path::PathBuf;

use runlane_model::backoff::Verdict;

use super::super::blocking;
use super::super::graphql::{Server, UploadUrl};
use super::super::http::{Body, CallError};
use super::super::put::{Content, Failed, headers_of, put};
use super::measure::{Measured, measure};
use super::{Failure, Uploaded};
use crate::clock::Clock;

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
    let headers = headers_of(&urls.upload_headers);
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
        let content = Content {
            body: Body::File {
                path: file.path.clone(),
                offset: 0,
                length: file.length,
                md5: file.md5.clone(),
                counter: None,
            },
            length: file.length,
            md5: file.md5.clone(),
            md5_base64: file.md5_base64.clone(),
        };
        let put = put(server, url, headers.clone(), &content, false).await;
        let took = file.took + clock.now().saturating_duration_since(start);
        outcome.read.push((name.clone(), file.fingerprint, took));
        match put {
            Ok(_answer) => outcome.stored.push((name, file.md5)),
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
