//! The bytes of a file as an HTTP answer that cannot act with the app's authority.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::error::{ApiError, StoreError};
use crate::state::AppState;
use crate::store::files::FileRow;

/// User content is data: no scripts, no forms, no access to the app's origin.
pub(crate) const SANDBOX_CSP: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; frame-ancestors 'self'";

/// As [`SANDBOX_CSP`] for a page in a frame of the app: what is in the page runs, in an origin that is nobody's, without forms, pop-ups
/// and the network.
const FRAME_CSP: &str = "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' data: blob:; style-src 'unsafe-inline'; \
    img-src data: blob:; media-src data: blob:; font-src data:; worker-src blob:; connect-src 'none'; form-action 'none'; base-uri 'none'; \
    frame-ancestors 'self'";

/// Lets a page of HTML run its scripts where it is a part of another page. On its own, under the server's address, it could pretend to be the
/// sign-in page; browsers say which it is wherever the address is one that they trust.
pub(crate) fn allow_scripts_in_frame(headers: &HeaderMap, response: &mut Response) {
    let destination = headers.get("sec-fetch-dest");
    let is_page = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if is_page && destination.is_none_or(|destination| destination == "iframe") {
        response.headers_mut().insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(FRAME_CSP),
        );
    }
    response
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("sec-fetch-dest"));
}

/// A file to answer with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Content<'a> {
    pub(crate) object_key: &'a str,
    pub(crate) size_bytes: i64,
    /// What tells this content from others, without quotes.
    pub(crate) etag: &'a str,
    /// Name under which it is saved; of a path the last part counts.
    pub(crate) name: &'a str,
    pub(crate) mimetype: &'a str,
}

impl<'a> From<&'a FileRow> for Content<'a> {
    fn from(file: &'a FileRow) -> Self {
        Self {
            object_key: &file.object_key,
            size_bytes: file.size_bytes,
            etag: &file.md5,
            name: &file.name,
            mimetype: &file.mimetype,
        }
    }
}

/// Answers with the file, or with the one byte range that was asked for; none if the object of the file is not there.
pub(crate) async fn answer(
    state: &AppState,
    file: Content<'_>,
    headers: &HeaderMap,
    attachment: bool,
) -> Result<Option<Response>, ApiError> {
    let size = u64::try_from(file.size_bytes).unwrap_or(0);
    let etag = format!("\"{}\"", file.etag);
    if let Some(response) = unmet_condition(headers, &etag)? {
        return Ok(Some(response));
    }
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    // A part of another content is of no use to whoever has a part of this one.
    let same = text(header::IF_RANGE).is_none_or(|condition| condition == etag);
    let range = match text(header::RANGE).filter(|_| same) {
        None => None,
        Some(text) => parse_range(text, size)?,
    };
    let (status, start, end) = match range {
        Some((start, end)) => (StatusCode::PARTIAL_CONTENT, start, end),
        None => (StatusCode::OK, 0, size),
    };
    let objects = &state.store.objects;
    let body = match objects.stream(file.object_key, start..end).await {
        Ok(bytes) => Body::from_stream(bytes),
        Err(StoreError::Object(object_store::Error::NotFound { .. })) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let base_name = file.name.rsplit('/').next().unwrap_or(file.name);
    let kind = if attachment { "attachment" } else { "inline" };
    let mut response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, safe_type(file.mimetype))
        .header(header::CONTENT_LENGTH, end - start)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CONTENT_SECURITY_POLICY, SANDBOX_CSP)
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(header::CACHE_CONTROL, "private, no-cache")
        .header(header::ETAG, etag)
        .header(header::CONTENT_DISPOSITION, disposition(kind, base_name));
    if status == StatusCode::PARTIAL_CONTENT {
        response = response.header(
            header::CONTENT_RANGE,
            format!("bytes {start}-{}/{size}", end - 1),
        );
    }
    response
        .body(body)
        .map(Some)
        .map_err(|_invalid| ApiError::unavailable("the file could not be sent"))
}

/// What is answered in place of the file because of `If-Match` or `If-None-Match`, if they say so.
fn unmet_condition(headers: &HeaderMap, etag: &str) -> Result<Option<Response>, ApiError> {
    let lists = |name| {
        let values = headers.get_all(name).iter();
        let mut tags = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|tag| tag.trim().trim_start_matches("W/"));
        tags.any(|tag| tag == "*" || tag == etag)
    };
    if headers.contains_key(header::IF_MATCH) && !lists(header::IF_MATCH) {
        return Err(ApiError::new(
            StatusCode::PRECONDITION_FAILED,
            "precondition",
            "the file is not the one that `If-Match` names",
        ));
    }
    if !lists(header::IF_NONE_MATCH) {
        return Ok(None);
    }
    let response = Response::builder()
        .status(StatusCode::NOT_MODIFIED)
        .header(header::ETAG, etag)
        .header(header::CACHE_CONTROL, "private, no-cache");
    let response = response.body(Body::empty());
    response
        .map(Some)
        .map_err(|_invalid| ApiError::unavailable("the file could not be sent"))
}

/// The first byte and one past the last; none means the whole file.
fn parse_range(text: &str, size: u64) -> Result<Option<(u64, u64)>, ApiError> {
    let Some(spec) = text.strip_prefix("bytes=") else {
        return Ok(None);
    };
    if spec.contains(',') {
        // Several ranges: the whole file is a valid answer.
        return Ok(None);
    }
    let unsatisfiable = || {
        ApiError::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "range",
            format!("the file has {size} bytes"),
        )
    };
    let (first, last) = spec.split_once('-').ok_or_else(unsatisfiable)?;
    let number = |digits: &str| digits.trim().parse::<u64>().ok();
    let (start, end) = match (number(first), number(last)) {
        (Some(start), Some(last)) => (start, last.saturating_add(1).min(size)),
        (Some(start), None) if last.trim().is_empty() => (start, size),
        (None, Some(suffix)) if first.trim().is_empty() => (size.saturating_sub(suffix), size),
        _ => return Err(unsatisfiable()),
    };
    if start >= end {
        Err(unsatisfiable())
    } else {
        Ok(Some((start, end)))
    }
}

/// Text types are sent as UTF-8, whatever else they claim.
fn safe_type(mimetype: &str) -> HeaderValue {
    let text = if mimetype.starts_with("text/") {
        format!("{mimetype}; charset=utf-8")
    } else {
        mimetype.to_owned()
    };
    HeaderValue::try_from(text)
        .unwrap_or_else(|_invalid| HeaderValue::from_static("application/octet-stream"))
}

fn disposition(kind: &str, name: &str) -> HeaderValue {
    let plain: String = name
        .chars()
        .map(|character| {
            if character.is_ascii_graphic() && !"\"\\;%".contains(character) {
                character
            } else {
                '_'
            }
        })
        .collect();
    let encoded = url::form_urlencoded::byte_serialize(name.as_bytes())
        .collect::<String>()
        .replace('+', "%20");
    HeaderValue::try_from(format!(
        "{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
    ))
    .unwrap_or_else(|_invalid| HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_the_standard() {
        let range = |text| parse_range(text, 10).map_err(|error| error.status.as_u16());
        assert_eq!(range("bytes=0-0"), Ok(Some((0, 1))));
        assert_eq!(range("bytes=2-"), Ok(Some((2, 10))));
        assert_eq!(range("bytes=-3"), Ok(Some((7, 10))));
        assert_eq!(range("bytes=5-100"), Ok(Some((5, 10))));
        assert_eq!(range("bytes=0-1,3-4"), Ok(None));
        assert_eq!(range("lines=0-1"), Ok(None));
        for bad in ["bytes=10-", "bytes=5-2", "bytes=x-y", "bytes=-", "bytes=7"] {
            assert_eq!(range(bad), Err(416), "{bad}");
        }
    }

    #[test]
    fn names_cannot_break_the_header() {
        let value = disposition("inline", "a\"b\nc;é.txt");
        assert_eq!(
            value.to_str().expect("ascii"),
            "inline; filename=\"a_b_c__.txt\"; filename*=UTF-8''a%22b%0Ac%3B%C3%A9.txt"
        );
    }
}
