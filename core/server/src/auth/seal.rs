//! Sealing the key of a new service account, so that only whoever created it can read it, and only for some minutes.
//!
//! W&B's client asks for the new account in a second request and takes the key from there. The server stores hashes of
//! secrets only; in between it keeps the exclusive or of the key's 32 random bytes with
//! `HMAC-SHA256(credential, "service-key:<user id>")`, where the credential is the key or sign-in cookie of the request, of
//! which the server has only the hash. Each account is sealed once, so no pad is used twice.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::token;

/// How long a sealed key is kept.
pub(crate) const VALID_MICROS: i64 = 10 * 60 * 1_000_000;

/// Bytes of the key's hash that tell whether the right credential opened it; they name the key in the database anyway.
const CHECK_BYTES: usize = 8;

/// Seals `key`, which was drawn with [`token::new_api_key`]; none if it was not.
pub(crate) fn close(credential: &str, user_id: i64, key: &str) -> Option<Vec<u8>> {
    let bytes = token::random_part(key)?;
    let mut sealed = xor(&bytes, &pad(credential, user_id));
    sealed.extend_from_slice(&token::secret_hash(key)[..CHECK_BYTES]);
    Some(sealed)
}

/// Opens what was sealed with the same credential for the same user.
pub(crate) fn open(credential: &str, user_id: i64, sealed: &[u8]) -> Option<String> {
    let (sealed, check) = sealed.split_at_checked(token::RANDOM_BYTES)?;
    let bytes = xor(sealed, &pad(credential, user_id));
    let key = token::api_key_of(&bytes);
    token::hashes_match(check, &token::secret_hash(&key)[..CHECK_BYTES]).then_some(key)
}

fn pad(credential: &str, user_id: i64) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(credential.as_bytes())
        .expect("HMAC takes keys of any length");
    mac.update(format!("service-key:{user_id}").as_bytes());
    mac.finalize().into_bytes().into()
}

fn xor(left: &[u8], right: &[u8; 32]) -> Vec<u8> {
    left.iter().zip(right).map(|(a, b)| a ^ b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_credential_opens() {
        let key = token::new_api_key();
        let sealed = close("mine", 7, &key).expect("a key of ours");
        assert_eq!(open("mine", 7, &sealed), Some(key.clone()));
        assert_eq!(open("other", 7, &sealed), None);
        assert_eq!(open("mine", 8, &sealed), None);
        assert_eq!(open("mine", 7, &sealed[..10]), None);
        assert_eq!(close("mine", 7, "no key"), None);
        let clear = token::random_part(&key).expect("a key of ours");
        assert!(!sealed.windows(8).any(|window| clear.starts_with(window)));
    }
}
