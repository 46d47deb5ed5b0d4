//! Secrets: drawn at random, kept as hashes, compared in constant time.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

/// Prefix of the API keys of a single-user server.
const KEY_PREFIX: &str = "local-";

/// `N` bytes of the operating system's randomness.
///
/// # Panics
/// If the operating system has no randomness, in which case nothing secret can be made.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system provides randomness");
    bytes
}

/// Random bytes of a key or token.
pub(crate) const RANDOM_BYTES: usize = 32;

/// A new API key: `local-` and 43 base64url characters (256 bits).
pub(crate) fn new_api_key() -> String {
    api_key_of(&random_bytes::<RANDOM_BYTES>())
}

/// The API key with these random bytes.
pub(crate) fn api_key_of(random: &[u8]) -> String {
    format!("{KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(random))
}

/// The random bytes of an API key of ours.
pub(crate) fn random_part(key: &str) -> Option<Vec<u8>> {
    let text = key.strip_prefix(KEY_PREFIX)?;
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    (bytes.len() == RANDOM_BYTES).then_some(bytes)
}

/// A new secret of 256 bits as 43 base64url characters.
pub(crate) fn new_token() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<RANDOM_BYTES>())
}

/// What is stored of a secret. The secrets have 256 random bits, so no salt or slow hash is needed.
pub(crate) fn secret_hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Finds the row of a key without giving away anything about the key.
pub(crate) fn public_id(hash: &[u8; 32]) -> String {
    hex(&hash[..8])
}

/// Compares hashes in constant time.
pub(crate) fn hashes_match(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string cannot fail");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_keys_have_the_documented_shape_and_differ() {
        let (first, second) = (new_api_key(), new_api_key());
        assert_ne!(first, second);
        let random = first.strip_prefix("local-").expect("prefix");
        assert_eq!(random.len(), 43);
        assert!(
            random
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
    }

    #[test]
    fn hash_of_a_changed_key_does_not_match() {
        let key = new_api_key();
        let mut changed = key.clone();
        changed.replace_range(10..11, if &key[10..11] == "a" { "b" } else { "a" });
        assert!(hashes_match(&secret_hash(&key), &secret_hash(&key)));
        assert!(!hashes_match(&secret_hash(&key), &secret_hash(&changed)));
    }
}
