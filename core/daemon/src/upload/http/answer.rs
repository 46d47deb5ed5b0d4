//! Reading what a server says, and saying it to the user.

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use runlane_model::backoff::{Verdict, judge, retry_after_secs};

use super::{CallError, HttpAnswer};
use crate::clock::Clock;

/// Characters of a server's text that a message quotes.
const QUOTED: usize = 300;

/// The error and its causes in one line, without the URL: it may carry a signature.
pub(super) fn explain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    if error.is_timeout() {
        "no answer in time".to_owned()
    } else if text.is_empty() {
        "the request failed".to_owned()
    } else {
        text
    }
}

/// How long a `Retry-After` header asks to wait: seconds, or a date; one that is past asks for nothing more.
pub(super) fn retry_after(header: &str, clock: &dyn Clock) -> Option<Duration> {
    retry_after_secs(header).or_else(|| {
        let date = httpdate::parse_http_date(header.trim()).ok()?;
        let at = date.duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
        Duration::try_from_secs_f64((at - clock.unix_secs()).max(0.0)).ok()
    })
}

/// The MD5 (hex) that a store tells of what it has stored. An `ETag` is one unless the store encrypts with keys of its own.
pub(super) fn md5_of(header: impl Fn(&str) -> Option<String>) -> Option<String> {
    let decoded = |text: &str| {
        let bytes = STANDARD.decode(text).ok()?;
        (bytes.len() == 16).then(|| hex(&bytes))
    };
    if let Some(found) = header("content-md5").and_then(|text| decoded(&text)) {
        return Some(found);
    }
    let google = header("x-goog-hash").and_then(|text| {
        let parts = text.split(',').map(str::trim);
        parts
            .filter_map(|part| part.strip_prefix("md5="))
            .find_map(decoded)
    });
    if google.is_some() {
        return google;
    }
    let encrypted = header("x-amz-server-side-encryption").is_some_and(|kind| kind != "AES256")
        || header("x-amz-server-side-encryption-customer-algorithm").is_some();
    let etag = header("etag").filter(|_| !encrypted)?;
    let etag = etag.trim_matches('"').to_ascii_lowercase();
    (etag.len() == 32 && etag.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(etag)
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes every write");
        text
    })
}

/// An answer that is no success, as an error.
pub(crate) fn check(answer: HttpAnswer) -> Result<HttpAnswer, CallError> {
    let verdict = judge(answer.status);
    if verdict == Verdict::Success {
        return Ok(answer);
    }
    Err(CallError {
        verdict,
        status: answer.status,
        retry_after: answer.retry_after,
        location: answer.location.clone(),
        ..CallError::retry(message_of(&answer))
    })
}

/// What the server says about an error, whatever shape it says it in. Of pages and documents only the part that is meant
/// for people is told: the rest may repeat a signed URL.
fn message_of(answer: &HttpAnswer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let text = text.trim();
    let told = if text.starts_with('<') {
        let of = |tag: &str| {
            let begin = text.find(&format!("<{tag}>"))? + tag.len() + 2;
            let length = text[begin..].find("</")?;
            Some(text[begin..begin + length].trim().to_owned())
        };
        of("Message").or_else(|| of("title")).unwrap_or_default()
    } else {
        serde_json::from_slice::<serde_json::Value>(&answer.body)
            .ok()
            .and_then(|value| {
                let error = &value["error"];
                error
                    .as_str()
                    .or_else(|| error["message"].as_str())
                    .or_else(|| value["errors"][0]["message"].as_str())
                    .map(str::to_owned)
            })
            .unwrap_or_else(|| text.to_owned())
    };
    let told: String = told.chars().take(QUOTED).collect();
    let redirect = answer
        .location
        .as_deref()
        .filter(|_| (300..400).contains(&answer.status))
        .and_then(|to| url::Url::parse(to).ok())
        .map(|to| format!("redirected to {}", to.origin().ascii_serialization()));
    let told = redirect.as_deref().unwrap_or_else(|| told.trim());
    if told.is_empty() {
        format!("status {}", answer.status)
    } else {
        format!("status {}: {told}", answer.status)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[derive(Debug)]
    struct At(f64);

    impl Clock for At {
        fn unix_secs(&self) -> f64 {
            self.0
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        // `Sun, 06 Nov 1994 08:49:37 GMT` in Unix time, less 90 s.
        let clock = At(784_111_777.0 - 90.0);
        let wait = |header| retry_after(header, &clock);
        assert_eq!(wait("121"), Some(Duration::from_secs(121)));
        // The three forms of RFC 9110.
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            " Sun, 06 Nov 1994 08:49:37 GMT ",
        ] {
            assert_eq!(wait(date), Some(Duration::from_secs(90)), "{date}");
        }
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        for rubbish in ["", "soon", "-5", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(wait(rubbish), None, "{rubbish}");
        }
    }

    #[test]
    fn the_server_s_own_words_are_quoted() {
        let answer = |status, body: &'static str| HttpAnswer {
            status,
            body: Bytes::from(body),
            ..Default::default()
        };
        for (body, shown) in [
            (r#"{"error":"no run"}"#, "status 404: no run"),
            (r#"{"error":{"message":"no run"}}"#, "status 404: no run"),
            (r#"{"errors":[{"message":"no run"}]}"#, "status 404: no run"),
            ("plain", "status 404: plain"),
            ("", "status 404"),
            (
                "<html><head><title>404 Not Found</title></head><body>?sig=x",
                "status 404: 404 Not Found",
            ),
            (
                "<?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code><Message>It does not.</Message>\
                 <SignatureProvided>c2VjcmV0</SignatureProvided></Error>",
                "status 404: It does not.",
            ),
            ("<nothing", "status 404"),
        ] {
            let error = check(answer(404, body)).expect_err("no success");
            assert_eq!(
                (error.message.as_str(), error.verdict),
                (shown, Verdict::Refused)
            );
        }
        assert!(check(answer(200, "{}")).is_ok());
    }

    #[test]
    fn a_redirect_is_told_without_its_query() {
        let answer = HttpAnswer {
            status: 302,
            location: Some("https://portal.example/login?token=secret".to_owned()),
            ..HttpAnswer::default()
        };
        let error = check(answer).expect_err("no success");
        assert_eq!(
            (error.message.as_str(), error.verdict),
            (
                "status 302: redirected to https://portal.example",
                Verdict::Retry
            )
        );
    }

    #[test]
    fn stores_tell_digests_in_their_ways() {
        let told = |headers: &[(&str, &str)]| {
            md5_of(|name| {
                let found = headers.iter().find(|(header, _)| *header == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        let hello = Some("5d41402abc4b2a76b9719d911017c592".to_owned());
        assert_eq!(told(&[("content-md5", "XUFAKrxLKna5cZ2REBfFkg==")]), hello);
        assert_eq!(
            told(&[(
                "x-goog-hash",
                "crc32c=mnG7TA==, md5=XUFAKrxLKna5cZ2REBfFkg=="
            )]),
            hello
        );
        let etag = ("etag", "\"5D41402ABC4B2A76B9719D911017C592\"");
        assert_eq!(told(&[etag]), hello);
        assert_eq!(
            told(&[etag, ("x-amz-server-side-encryption", "AES256")]),
            hello
        );
        assert_eq!(
            told(&[etag, ("x-amz-server-side-encryption", "aws:kms")]),
            None
        );
        // Of several parts.
        assert_eq!(
            told(&[("etag", "\"5d41402abc4b2a76b9719d911017c592-2\"")]),
            None
        );
        assert_eq!(
            told(&[("content-md5", "eA=="), ("x-goog-hash", "crc32c=mnG7TA==")]),
            None
        );
    }
}
