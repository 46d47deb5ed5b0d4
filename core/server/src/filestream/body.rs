//! The body of a request: plain or gzip, bounded whatever it claims.

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::HeaderMap;

use crate::error::ApiError;

/// Bound of a body, compressed or not.
pub(crate) const MAX_BODY_BYTES: usize = 64 << 20;
/// A gzip body may not grow by more than this; text of metrics grows about tenfold.
const MAX_RATIO: usize = 200;
/// Bodies below this may have any ratio: a few hundred zeros compress very well.
const RATIO_FREE_BYTES: usize = 1 << 20;

/// Whether the body is gzip; anything else but plain is refused.
pub(super) fn is_gzip(headers: &HeaderMap) -> Result<bool, ApiError> {
    match headers
        .get(http::header::CONTENT_ENCODING)
        .map(http::HeaderValue::as_bytes)
    {
        None | Some(b"" | b"identity") => Ok(false),
        Some(b"gzip") => Ok(true),
        Some(_) => Err(ApiError::new(
            http::StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_encoding",
            "only `gzip` bodies and plain ones are taken",
        )),
    }
}

/// The most that a gzip body of `length` bytes may grow to.
fn cap(length: usize) -> usize {
    MAX_BODY_BYTES.min((length * MAX_RATIO).max(RATIO_FREE_BYTES))
}

/// Memory that reading a body takes at most: its plain bytes, and the lines cut out of them.
pub(super) fn work_bytes(length: usize, gzip: bool) -> usize {
    2 * if gzip { cap(length) } else { length }
}

/// The plain bytes of a body.
pub(super) fn decode(raw: Bytes, gzip: bool) -> Result<Bytes, ApiError> {
    if !gzip {
        return Ok(raw);
    }
    let cap = cap(raw.len());
    let mut plain = Vec::with_capacity((raw.len() * 4).min(cap));
    let limit = u64::try_from(cap).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(raw.as_ref())
        .take(limit)
        .read_to_end(&mut plain)
        .map_err(|error| ApiError::malformed(format!("the gzip body is damaged: {error}")))?;
    if plain.len() > cap {
        return Err(ApiError::too_large(format!(
            "the gzip body grows beyond {cap} bytes (limits: 64 MiB and 200 times its size)"
        )));
    }
    Ok(plain.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).expect("in memory");
        encoder.finish().expect("in memory").into()
    }

    #[test]
    fn gzip_bodies_come_back() {
        assert_eq!(decode(gzip(b"{}"), true).expect("good gzip"), "{}");
    }

    #[test]
    fn bombs_are_refused_at_the_cap() {
        let bomb = gzip(&vec![0; 40 << 20]);
        let error = decode(bomb, true).expect_err("grows about a thousandfold");
        assert_eq!(error.status, http::StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[test]
    fn cut_and_trailing_bytes_are_refused() {
        let whole = gzip(b"{\"files\": {}}");
        let cut = whole.slice(..whole.len() - 3);
        assert_eq!(
            decode(cut, true).expect_err("cut").status,
            http::StatusCode::BAD_REQUEST
        );
        let mut longer = whole.to_vec();
        longer.extend_from_slice(b"garbage");
        let error = decode(longer.into(), true).expect_err("trailing bytes");
        assert_eq!(error.status, http::StatusCode::BAD_REQUEST);
    }
}
