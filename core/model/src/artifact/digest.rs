//! Digests of content: MD5, or XXH3-128 where both sides know it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use thiserror::Error;
use twox_hash::XxHash3_128;

/// How content is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Algorithm {
    /// MD5, which every server and client knows.
    #[default]
    Md5,
    /// XXH3 with 128 bits and seed 0.
    Xxh128,
}

impl Algorithm {
    /// The name in manifests' `extra` and in records: `MD5`, `XXH128`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Xxh128 => "XXH128",
        }
    }

    /// The name on the wire: `MANIFEST_MD5`, `MANIFEST_XXH128`.
    pub fn on_wire(self) -> &'static str {
        match self {
            Self::Md5 => "MANIFEST_MD5",
            Self::Xxh128 => "MANIFEST_XXH128",
        }
    }
}

/// No algorithm has this name.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("unknown digest algorithm `{0}`: it is MD5 or XXH128")]
pub struct UnknownAlgorithm(String);

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    /// Takes both names.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "MD5" | "MANIFEST_MD5" => Ok(Self::Md5),
            "XXH128" | "MANIFEST_XXH128" => Ok(Self::Xxh128),
            _ => Err(UnknownAlgorithm(name.chars().take(60).collect())),
        }
    }
}

/// The 16 bytes of a digest; those of XXH3-128 in big-endian order, its canonical form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// Padded standard base64, as manifest entries and `Content-MD5` have it.
    pub fn base64(self) -> String {
        STANDARD.encode(self.0)
    }

    /// 32 lower-case hexadecimal digits, as URLs and the cache have it.
    pub fn hex(self) -> String {
        self.to_string()
    }

    /// The digest that this base64 stands for; none if it is not one of 16 bytes.
    pub fn from_base64(text: &str) -> Option<Self> {
        // Sixteen bytes are 24 characters; whatever is longer is not worth decoding.
        if text.len() != 24 {
            return None;
        }
        STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// The digest with these hexadecimal digits, of either case.
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(text, 16)
            .ok()
            .map(|number| Self(number.to_be_bytes()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Hashes content piece by piece.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Md5(Box<Md5>),
    Xxh128(Box<XxHash3_128>),
}

impl Hasher {
    /// Of nothing yet.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Md5 => State::Md5(Box::default()),
            Algorithm::Xxh128 => State::Xxh128(Box::new(XxHash3_128::new())),
        })
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Md5(hasher) => hasher.update(bytes),
            State::Xxh128(hasher) => hasher.write(bytes),
        }
    }

    /// The digest of everything taken in.
    pub fn finish(self) -> Digest {
        Digest(match self.0 {
            State::Md5(hasher) => hasher.finalize().into(),
            State::Xxh128(hasher) => hasher.finish_128().to_be_bytes(),
        })
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithm = match self.0 {
            State::Md5(_) => Algorithm::Md5,
            State::Xxh128(_) => Algorithm::Xxh128,
        };
        formatter.debug_tuple("Hasher").field(&algorithm).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_reference() {
        let md5 = Digest::of(Algorithm::Md5, b"hello");
        assert_eq!(md5.base64(), "XUFAKrxLKna5cZ2REBfFkg==");
        assert_eq!(md5.hex(), "5d41402abc4b2a76b9719d911017c592");
        let xxh = Digest::of(Algorithm::Xxh128, b"hello");
        assert_eq!(xxh.base64(), "tenBrQcbPn/Hec+qXlI4GA==");
    }

    #[test]
    fn pieces_make_the_digest_of_the_whole() {
        let bytes: Vec<u8> = (0..10_000_u32).flat_map(u32::to_le_bytes).collect();
        for algorithm in [Algorithm::Md5, Algorithm::Xxh128] {
            for size in [1, 63, 64, 65, 1_000] {
                let mut hasher = Hasher::new(algorithm);
                bytes.chunks(size).for_each(|piece| hasher.update(piece));
                assert_eq!(hasher.finish(), Digest::of(algorithm, &bytes), "{size}");
            }
        }
    }

    #[test]
    fn texts_come_back_and_others_are_refused() {
        let digest = Digest::of(Algorithm::Md5, b"");
        assert_eq!(Digest::from_base64(&digest.base64()), Some(digest));
        assert_eq!(Digest::from_hex(&digest.hex().to_uppercase()), Some(digest));
        for bad in [
            "",
            "XUFAKrxLKna5cZ2REBfFkg",
            "!UFAKrxLKna5cZ2REBfFkg==",
            "AAAA",
        ] {
            assert_eq!(Digest::from_base64(bad), None, "{bad}");
        }
        for bad in [
            "",
            "+d41402abc4b2a76b9719d911017c592",
            "5d41402a",
            "zz41402abc4b2a76b9719d911017c592",
        ] {
            assert_eq!(Digest::from_hex(bad), None, "{bad}");
        }
        assert_eq!("MANIFEST_XXH128".parse(), Ok(Algorithm::Xxh128));
        assert!("SHA1".parse::<Algorithm>().is_err());
    }
}
