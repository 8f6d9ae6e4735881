//! Content digests: `sha256:<hex>`, checked when made, and a streaming hasher for them.
//!
//! Texts of errors are those of `opencontainers/go-digest`, because they reach the user through BuildKit's messages.

use std::{fmt, io};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::Digest as _;

/// A content digest such as `sha256:…`; checked when made.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(Box<str>);

/// A hash function that digests may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256, the one everybody uses.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// Why a text is no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestError {
    /// Not `algorithm:hex`.
    Format,
    /// The algorithm is none of [`Algorithm`].
    Unsupported,
    /// The hexadecimal part has the wrong length.
    Length,
}

impl Algorithm {
    /// `sha256`, ….
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha384, Self::Sha512].into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// Length of the hexadecimal form, in bytes.
    fn hex_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }
}

impl Digest {
    /// The SHA-256 of `bytes`.
    pub fn sha256(bytes: &[u8]) -> Self {
        Self::from_hash(Algorithm::Sha256, &sha2::Sha256::digest(bytes))
    }

    /// Checks and keeps a digest text.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        Self::check(text)?;
        Ok(Self(text.into()))
    }

    /// Whether a text is what [`Self::parse`] takes.
    pub fn check(text: &str) -> Result<(), DigestError> {
        let Some((name, hex)) = cut(text).filter(|(name, hex)| !name.is_empty() && !hex.is_empty()) else {
            return Err(DigestError::Format);
        };
        let Some(algorithm) = Algorithm::parse(name) else {
            return Err(if is_well_formed(name, hex) { DigestError::Unsupported } else { DigestError::Format });
        };
        if hex.len() != algorithm.hex_len() {
            return Err(DigestError::Length);
        }
        // All of it is looked at, without short cuts: so sixteen bytes are at once.
        if !hex.bytes().fold(true, |all, byte| all & matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(DigestError::Format);
        }
        Ok(())
    }

    /// The digest of a finished SHA-256 computation.
    pub fn from_sha256(hash: &[u8; 32]) -> Self {
        Self::from_hash(Algorithm::Sha256, hash)
    }

    /// `sha256:…`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hash function.
    pub fn algorithm(&self) -> Algorithm {
        Algorithm::parse(self.split().0).expect("a digest names a known algorithm")
    }

    /// The hash in lower-case hexadecimal digits.
    pub fn hex(&self) -> &str {
        self.split().1
    }

    /// Whether `bytes` have this digest.
    pub fn verifies(&self, bytes: &[u8]) -> bool {
        let mut hasher = Hasher::new(self.algorithm());
        hasher.update(bytes);
        hasher.finish() == *self
    }

    fn split(&self) -> (&str, &str) {
        cut(&self.0).expect("a digest holds a colon")
    }

    fn from_hash(algorithm: Algorithm, hash: &[u8]) -> Self {
        let name = algorithm.as_str();
        let start = name.len() + 1;
        let mut text = vec![b':'; start + hash.len() * 2];
        text[..name.len()].copy_from_slice(name.as_bytes());
        for (digits, byte) in text[start..].as_chunks_mut::<2>().0.iter_mut().zip(hash) {
            *digits = [digit(byte >> 4), digit(byte & 15)];
        }
        Self(String::from_utf8(text).expect("names and digits are ASCII").into())
    }
}

/// The hexadecimal digit of a number below 16: calculated, for then sixteen are made at once.
const fn digit(number: u8) -> u8 {
    number + b'0' + (number > 9) as u8 * (b'a' - b'0' - 10)
}

/// What stands before and after the first colon. Names are short: a plain loop is done before a search has started.
fn cut(text: &str) -> Option<(&str, &str)> {
    let colon = text.bytes().position(|byte| byte == b':')?;
    Some((&text[..colon], &text[colon + 1..]))
}

/// The grammar of digests of any algorithm: it decides between "not a digest" and "a digest we cannot compute".
fn is_well_formed(name: &str, hex: &str) -> bool {
    let part = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    name.split(['.', '+', '_', '-']).all(part)
        && hex.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'=' | b'_' | b'-'))
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        Self::parse(text)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

impl fmt::Display for DigestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Format => "invalid checksum digest format",
            Self::Unsupported => "unsupported digest algorithm",
            Self::Length => "invalid checksum digest length",
        })
    }
}

impl std::error::Error for DigestError {}

/// Computes a [`Digest`] of a stream; also an [`io::Write`] that never fails, so that it can stand behind a tee.
#[derive(Clone, Debug)]
pub struct Hasher(State);

#[derive(Clone, Debug)]
enum State {
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// A hasher for `algorithm`.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha384 => State::Sha384(sha2::Sha384::new()),
            Algorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
        })
    }

    /// A SHA-256 hasher.
    pub fn sha256() -> Self {
        Self::new(Algorithm::Sha256)
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha384(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    /// The digest of all that was added.
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(state) => Digest::from_hash(Algorithm::Sha256, &state.finalize()),
            State::Sha384(state) => Digest::from_hash(Algorithm::Sha384, &state.finalize()),
            State::Sha512(state) => Digest::from_hash(Algorithm::Sha512, &state.finalize()),
        }
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::sha256()
    }
}

impl io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn check(text: &str, expected: &str) {
        let actual = match Digest::parse(text) {
            Ok(digest) => format!("{} {}", digest.algorithm().as_str(), digest.hex().len()),
            Err(error) => error.to_string(),
        };
        assert_eq!(actual, expected, "{text}");
    }

    #[test]
    fn parse() {
        check(EMPTY, "sha256 64");
        check(&format!("sha384:{}", "a".repeat(96)), "sha384 96");
        check(&format!("sha512:{}", "0".repeat(128)), "sha512 128");
        check("sha256", "invalid checksum digest format");
        check(":abc", "invalid checksum digest format");
        check("sha256:", "invalid checksum digest format");
        check("sha256:abc", "invalid checksum digest length");
        check(&format!("sha256:{}", "A".repeat(64)), "invalid checksum digest format");
        check("md5:abc", "unsupported digest algorithm");
        check("sha256+b64:abc=", "unsupported digest algorithm");
        check("MD5:abc", "invalid checksum digest format");
        check("md5:a:b", "invalid checksum digest format");
    }

    #[test]
    fn hash_in_pieces() {
        let mut hasher = Hasher::sha256();
        hasher.update(b"ab");
        hasher.update(b"c");
        assert_eq!(hasher.finish(), Digest::sha256(b"abc"));
        assert_eq!(Hasher::sha256().finish().as_str(), EMPTY);
        assert_eq!(
            Hasher::new(Algorithm::Sha512).finish().as_str(),
            "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce\
             47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
        );
        assert!(Digest::parse(EMPTY).unwrap().verifies(b""));
        assert!(!Digest::parse(EMPTY).unwrap().verifies(b"x"));
    }
}
