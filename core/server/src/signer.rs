//! Signed URLs: `/storage/{kind}/{what}?method=…&expires=…&sig=…`.
//!
//! The signature (HMAC-SHA-256) covers method, expiry and every part of the path, each preceded by its length, so that no
//! part can be moved into another. A URL allows one method on one object until it expires.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;

/// W&B's client may hold an upload URL for long: it uploads 128 files at a time, however large.
const UPLOAD_VALID_SECS: i64 = 12 * 3600;
const DOWNLOAD_VALID_SECS: i64 = 3600;

/// What a URL allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// `PUT`
    Upload,
    /// `GET` and `HEAD`
    Download,
}

impl Access {
    fn word(self) -> &'static str {
        match self {
            Self::Upload => "put",
            Self::Download => "get",
        }
    }
}

/// The query of a signed URL.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Signature {
    method: String,
    expires: i64,
    sig: String,
}

/// Signs and checks URLs.
#[derive(Clone)]
pub(crate) struct Signer {
    secret: Vec<u8>,
}

impl Signer {
    /// A signer with the server's secret.
    pub(crate) fn new(secret: Vec<u8>) -> Self {
        Self { secret }
    }

    /// Path and query of a URL for the file `name` of a run.
    pub(crate) fn sign(&self, access: Access, run_id: i64, name: &str, now_micros: i64) -> String {
        self.url(access, &["runs", &run_id.to_string(), name], now_micros)
    }

    /// Whether `signature` allows `access` to the file now.
    pub(crate) fn allows(
        &self,
        signature: &Signature,
        access: Access,
        run_id: i64,
        name: &str,
        now_micros: i64,
    ) -> bool {
        let subject = ["runs", &run_id.to_string(), name];
        self.permits(signature, access, &subject, now_micros)
    }

    /// Path and query of a URL for `subject`: the parts of the path after `/storage`. Slashes of the last one stay slashes.
    pub(crate) fn url(&self, access: Access, subject: &[&str], now_micros: i64) -> String {
        let valid = match access {
            Access::Upload => UPLOAD_VALID_SECS,
            Access::Download => DOWNLOAD_VALID_SECS,
        };
        let expires = now_micros / 1_000_000 + valid;
        let mac = self.mac(access, subject, expires).finalize();
        let sig = URL_SAFE_NO_PAD.encode(mac.into_bytes());
        let segments = subject.iter().flat_map(|part| part.split('/'));
        let path: Vec<String> = segments.map(encode_segment).collect();
        format!(
            "/storage/{}?method={}&expires={expires}&sig={sig}",
            path.join("/"),
            access.word()
        )
    }

    /// Whether `signature` allows `access` to `subject` now.
    pub(crate) fn permits(
        &self,
        signature: &Signature,
        access: Access,
        subject: &[&str],
        now_micros: i64,
    ) -> bool {
        let Ok(given) = URL_SAFE_NO_PAD.decode(&signature.sig) else {
            return false;
        };
        signature.method == access.word()
            && signature.expires >= now_micros / 1_000_000
            && self
                .mac(access, subject, signature.expires)
                .verify_slice(&given)
                .is_ok()
    }

    fn mac(&self, access: Access, subject: &[&str], expires: i64) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        let expires = expires.to_string();
        let parts = [access.word(), &expires].into_iter();
        for part in parts.chain(subject.iter().copied()) {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }
}

/// Percent-encodes everything but unreserved characters.
fn encode_segment(segment: &str) -> String {
    use std::fmt::Write as _;
    segment
        .bytes()
        .fold(String::with_capacity(segment.len()), |mut text, byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                text.push(char::from(byte));
            } else {
                write!(text, "%{byte:02X}").expect("writing to a string cannot fail");
            }
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000_000;

    fn query(url: &str) -> Signature {
        let parsed = url::Url::parse("http://h")
            .and_then(|base| base.join(url))
            .expect("valid");
        let part = |name: &str| {
            parsed
                .query_pairs()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
                .expect("there")
        };
        Signature {
            method: part("method"),
            expires: part("expires").parse().expect("number"),
            sig: part("sig"),
        }
    }

    #[test]
    fn only_what_was_signed_is_allowed() {
        let signer = Signer::new(vec![7; 32]);
        let signature = query(&signer.sign(Access::Download, 3, "a/b c.txt", NOW));
        let allows = |signature: &Signature, access, run, name, now| {
            signer.allows(signature, access, run, name, now)
        };
        assert!(allows(&signature, Access::Download, 3, "a/b c.txt", NOW));
        assert!(!allows(&signature, Access::Upload, 3, "a/b c.txt", NOW));
        assert!(!allows(&signature, Access::Download, 4, "a/b c.txt", NOW));
        assert!(!allows(&signature, Access::Download, 3, "a/b", NOW));
        assert!(!allows(
            &signature,
            Access::Download,
            3,
            "a/b c.txt",
            NOW + 3_601_000_000
        ));
        let longer = Signature {
            expires: signature.expires + 1,
            ..signature.clone()
        };
        assert!(!allows(&longer, Access::Download, 3, "a/b c.txt", NOW));
        let as_put = Signature {
            method: "put".into(),
            ..signature.clone()
        };
        assert!(!allows(&as_put, Access::Upload, 3, "a/b c.txt", NOW));
        assert!(!Signer::new(vec![8; 32]).allows(
            &signature,
            Access::Download,
            3,
            "a/b c.txt",
            NOW
        ));
    }
}
