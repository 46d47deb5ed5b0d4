//! Sending one content to where a URL leads: run files, files of artifacts and their parts, manifests.

use std::time::Duration;

use runlane_model::backoff::Verdict;

use super::graphql::Server;
use super::http::{Body, CHANGED, CallError, HttpAnswer, HttpRequest, UNREADABLE};

/// Redirects of one upload that are followed (a bucket in another region).
const REDIRECTS: usize = 3;
/// A line that carries less than this many bytes a second carries nothing.
const SLOWEST_BYTES_A_SECOND: u64 = 512;
const CONTENT_MD5: &str = "Content-MD5";

/// What is sent.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) body: Body,
    pub(crate) length: u64,
    /// Hex.
    pub(crate) md5: String,
    pub(crate) md5_base64: String,
}

/// Why an upload failed.
#[derive(Debug)]
pub(crate) enum Failed {
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

/// The headers that a server wants to have sent with an upload, from their `Name:value` form.
pub(crate) fn headers_of(lines: &[String]) -> Vec<(String, String)> {
    let lines = lines.iter().filter_map(|header| header.split_once(':'));
    lines
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

/// Sends `content` to `url`. Our own server is told the MD5 to compare with, others only with `tells_md5`: they may have
/// signed a URL that allows no such header.
pub(crate) async fn put(
    server: &Server,
    mut url: String,
    mut headers: Vec<(String, String)>,
    content: &Content,
    tells_md5: bool,
) -> Result<HttpAnswer, Failed> {
    let is_md5 = |(name, _): &(String, String)| name.eq_ignore_ascii_case(CONTENT_MD5);
    let added = (tells_md5 || server.is_own(&url)) && !headers.iter().any(is_md5);
    if added {
        headers.push((CONTENT_MD5.to_owned(), content.md5_base64.clone()));
    }
    for _redirect in 0..=REDIRECTS {
        let request = HttpRequest {
            method: "PUT",
            url: url.clone(),
            headers: headers.clone(),
            body: content.body.clone(),
            timeout: Some(Duration::from_secs(
                60 + content.length / SLOWEST_BYTES_A_SECOND,
            )),
        };
        let error = match server.put(request).await {
            Ok(answer) => {
                return match &answer.md5 {
                    Some(md5) if *md5 != content.md5 => Err(Failed::Own(CallError::retry(
                        "the store has other bytes than were sent",
                    ))),
                    _ => Ok(answer),
                };
            }
            Err(error) => error,
        };
        if let Some(to) = error.redirected_from(&url) {
            url = to;
            if added && !tells_md5 {
                headers.retain(|header| !is_md5(header));
            }
            continue;
        }
        return Err(match (error.verdict, error.status) {
            // Says nothing of the run's own key.
            (_, 400 | 401 | 403) => Failed::Expired(CallError {
                verdict: Verdict::Retry,
                ..error
            }),
            (Verdict::Retry, 0) if error.message.starts_with(CHANGED) => Failed::Changed(error),
            (Verdict::Retry, 0) if error.message.starts_with(UNREADABLE) => Failed::Own(error),
            (Verdict::Retry, _) => Failed::Away(error),
            _ => Failed::Refused(error),
        });
    }
    Err(Failed::Own(CallError::retry("redirected too often")))
}
