//! Image references: `docker.io/library/alpine:3.20@sha256:…` and the short forms people type.
//!
//! Terms: the *domain* names a registry (`docker.io`), the *path* a repository in it (`library/alpine`), the *name* is
//! both; a *familiar* text leaves out what is implied. Grammar, defaults and error texts mirror
//! `distribution/reference` v0.6: `ParseNormalizedNamed`, `TagNameOnly`, `FamiliarString`.

use std::fmt;

use crate::{Digest, DigestError};

const HUB: &str = "docker.io";
const LEGACY_HUB: &str = "index.docker.io";
const OFFICIAL: &str = "library/";
/// Longest path, in bytes.
const MAX_PATH: usize = 255;
/// Digits of an image id.
const IDENTIFIER: usize = 64;
/// Longest tag, in bytes.
const MAX_TAG: usize = 128;

/// A normalised reference to an image: it always has a path, and a domain unless the text has an odd first component.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is no reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReferenceError {
    /// It does not have the form of a reference.
    Format,
    /// The repository, named here, holds upper-case letters.
    UppercaseRepository(String),
    /// It holds upper-case letters where none may be.
    Uppercase,
    /// It is 64 hexadecimal digits, which would be taken for an image id.
    Identifier(String),
    /// The repository is longer than 255 bytes.
    TooLong,
    /// The digest is none.
    Digest(DigestError),
    /// The tag is none.
    Tag,
}

impl Reference {
    /// Parses what people type: domain and `library/` are filled in, a tag is not.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        check_identifier(text)?;
        if let Some((name, tag)) = official(text) {
            let (path, tag) = ([OFFICIAL, name].concat(), tag.map(str::to_owned));
            return Ok(Self { domain: HUB.to_owned(), path, tag, digest: None });
        }
        parse_full(&written_out(text)?)
    }

    /// Whether a text is what [`Self::parse`] takes.
    pub fn check(text: &str) -> Result<(), ReferenceError> {
        if is_simple(text.as_bytes()) {
            return Ok(());
        }
        check_identifier(text)?;
        let full = written_out(text)?;
        let digest = checked_parts(&full)?.digest;
        digest.map(Digest::check).transpose().map_err(ReferenceError::Digest).map(|_| ())
    }

    /// Parses what is written out: nothing is filled in.
    pub fn parse_exact(text: &str) -> Result<Self, ReferenceError> {
        parse_full(text)
    }

    /// The registry: `docker.io`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository in the registry: `library/alpine`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, if there is one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if there is one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The whole reference, written out: `docker.io/library/alpine:3.20`.
    pub fn full(&self) -> String {
        let (tag, digest) = (self.tag.as_ref().map_or(0, String::len), self.digest.as_ref().map(|d| d.as_str().len()));
        let mut text = String::with_capacity(self.domain.len() + self.path.len() + tag + digest.unwrap_or(0) + 3);
        if !self.domain.is_empty() {
            text.push_str(&self.domain);
            text.push('/');
        }
        text.push_str(&self.path);
        self.push_object(&mut text);
        text
    }

    /// Domain and path: `docker.io/library/alpine`.
    pub fn name(&self) -> String {
        join_name(&self.domain, &self.path)
    }

    /// Whether there is neither tag nor digest.
    pub fn is_name_only(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }

    /// With the tag `latest` when there is neither tag nor digest.
    #[must_use]
    pub fn or_latest(mut self) -> Self {
        if self.is_name_only() {
            self.tag = Some("latest".to_owned());
        }
        self
    }

    /// With another tag.
    pub fn with_tag(mut self, tag: &str) -> Result<Self, ReferenceError> {
        if !is_tag(tag.as_bytes()) {
            return Err(ReferenceError::Tag);
        }
        self.tag = Some(tag.to_owned());
        Ok(self)
    }

    /// With another digest; the tag is kept.
    #[must_use]
    pub fn with_digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }

    /// Without tag and digest.
    #[must_use]
    pub fn without_object(mut self) -> Self {
        self.tag = None;
        self.digest = None;
        self
    }

    /// The name as people write it: `alpine`, `acme/app`, `quay.io/acme/app`.
    pub fn familiar_name(&self) -> String {
        if self.domain != HUB {
            return self.name();
        }
        match self.path.strip_prefix(OFFICIAL) {
            Some(official) if !official.contains('/') => official.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// The whole reference as people write it: `alpine:3.20`.
    pub fn familiar(&self) -> String {
        let mut text = self.familiar_name();
        self.push_object(&mut text);
        text
    }

    fn push_object(&self, text: &mut String) {
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(digest.as_str());
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full())
    }
}

impl std::str::FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Self::parse(text)
    }
}

/// What stands before and after the first of an ASCII character. Texts are short here: a plain loop is done before a search
/// has started.
fn cut(text: &str, at: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|b| b == at)?;
    Some((&text[..at], &text[at + 1..]))
}

fn join_name(domain: &str, path: &str) -> String {
    if domain.is_empty() { path.to_owned() } else { format!("{domain}/{path}") }
}

fn check_identifier(text: &str) -> Result<(), ReferenceError> {
    if text.len() == IDENTIFIER && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(ReferenceError::Identifier(text.to_owned()));
    }
    Ok(())
}

/// Whether a text is a reference at first sight, as those that people write and the names of stages mostly are: letters and
/// digits with single signs between them, and perhaps a tag. What is not may be one all the same.
fn is_simple(text: &[u8]) -> bool {
    let mut joined = false;
    for (at, b) in text.iter().enumerate() {
        match b {
            b'a'..=b'z' | b'0'..=b'9' => joined = true,
            b'.' | b'_' | b'-' | b'/' if joined => joined = false,
            b':' if joined => return is_short(&text[..at]) && is_tag(&text[at + 1..]),
            _ => return false,
        }
    }
    joined && is_short(text)
}

/// Whether a repository is surely shorter than it may be, and no image id.
fn is_short(repository: &[u8]) -> bool {
    repository.len() < IDENTIFIER
}

/// Name and tag of what most people write, `golang` or `golang:1.26`, and of most names of stages: letters and digits, which
/// need no closer look, of the official images of Docker Hub.
fn official(text: &str) -> Option<(&str, Option<&str>)> {
    let (name, tag) = cut(text, b':').map_or((text, None), |(name, tag)| (name, Some(tag)));
    let fits = is_plain(name.as_bytes())
        && name.len() <= MAX_PATH - OFFICIAL.len()
        && tag.is_none_or(|tag| is_tag(tag.as_bytes()));
    fits.then_some((name, tag))
}

/// The text with everything that is implied.
fn written_out(text: &str) -> Result<String, ReferenceError> {
    let (domain, official, remainder) = split_domain(text);
    let repository = cut(remainder, b':').map_or(remainder, |(repository, _)| repository);
    if has_uppercase(repository) {
        return Err(ReferenceError::UppercaseRepository([official, repository].concat()));
    }
    Ok([domain, "/", official, remainder].concat())
}

fn has_uppercase(text: &str) -> bool {
    if text.is_ascii() { text.bytes().any(|b| b.is_ascii_uppercase()) } else { text.to_lowercase() != text }
}

/// Splits off what counts as a registry and fills in the defaults of Docker Hub: the registry, `library/` where that is
/// implied, and the rest.
fn split_domain(text: &str) -> (&str, &'static str, &str) {
    let Some((first, rest)) = cut(text, b'/') else { return (HUB, OFFICIAL, text) };
    let (domain, remainder) = match first {
        LEGACY_HUB => (HUB, rest),
        "localhost" => (first, rest),
        _ if first.bytes().any(|b| matches!(b, b'.' | b':')) || has_uppercase(first) => (first, rest),
        _ => (HUB, text),
    };
    let official = if domain == HUB && cut(remainder, b'/').is_none() { OFFICIAL } else { "" };
    (domain, official, remainder)
}

fn parse_full(text: &str) -> Result<Reference, ReferenceError> {
    let parts = checked_parts(text)?;
    let digest = parts.digest.map(Digest::parse).transpose().map_err(ReferenceError::Digest)?;
    Ok(Reference {
        domain: parts.domain.to_owned(),
        path: parts.path.to_owned(),
        tag: parts.tag.map(str::to_owned),
        digest,
    })
}

fn checked_parts(text: &str) -> Result<Parts<'_>, ReferenceError> {
    let Some(parts) = split_parts(text) else {
        let lower = text.to_lowercase();
        return Err(if split_parts(&lower).is_some() { ReferenceError::Uppercase } else { ReferenceError::Format });
    };
    if parts.path.len() > MAX_PATH {
        return Err(ReferenceError::TooLong);
    }
    Ok(parts)
}

struct Parts<'a> {
    domain: &'a str,
    path: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

/// `[domain/]path[:tag][@digest]`, `None` when a part breaks the grammar.
fn split_parts(text: &str) -> Option<Parts<'_>> {
    let (rest, digest) = match cut(text, b'@') {
        Some((rest, digest)) => (rest, Some(digest).filter(|digest| is_digest_like(digest)).map(Some)?),
        None => (text, None),
    };
    let last = rest.bytes().rposition(|b| b == b'/').map_or(0, |slash| slash + 1);
    let (name, tag) = match cut(&rest[last..], b':') {
        Some((component, tag)) => {
            (&rest[..last + component.len()], Some(tag).filter(|tag| is_tag(tag.as_bytes())).map(Some)?)
        }
        None => (rest, None),
    };
    let (domain, path) = split_name(name)?;
    Some(Parts { domain, path, tag, digest })
}

/// The first component is the domain if it can be one, else part of the path.
fn split_name(name: &str) -> Option<(&str, &str)> {
    if let Some((domain, path)) = cut(name, b'/')
        && is_domain(domain)
        && is_path(path)
    {
        return Some((domain, path));
    }
    is_path(name).then_some(("", name))
}

fn is_domain(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, after)) => {
            let valid = !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
            return valid && (after.is_empty() || after.strip_prefix(':').is_some_and(is_port));
        }
        None => cut(text, b':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    host.as_bytes().split(|b| *b == b'.').all(is_domain_component) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_domain_component(text: &[u8]) -> bool {
    !text.is_empty()
        && text.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
        && !text.starts_with(b"-")
        && !text.ends_with(b"-")
}

fn is_path(text: &str) -> bool {
    text.as_bytes().split(|b| *b == b'/').all(is_path_component)
}

fn is_alphanumeric(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

/// Whether a path component needs no closer look.
fn is_plain(component: &[u8]) -> bool {
    !component.is_empty() && component.iter().all(|b| is_alphanumeric(*b))
}

/// Letters and digits, joined by one `.`, one or two `_`, or any number of `-`.
fn is_path_component(bytes: &[u8]) -> bool {
    if is_plain(bytes) {
        return true;
    }
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    if !is_alphanumeric(*first) || !is_alphanumeric(*last) {
        return false;
    }
    // Two separators cannot touch: each run between letters is one separator.
    bytes.split(|b| is_alphanumeric(*b)).all(|run| matches!(run, b"." | b"_" | b"__") || run.iter().all(|b| *b == b'-'))
}

fn is_tag(text: &[u8]) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= MAX_TAG
        && text.first().is_some_and(|first| word(*first))
        && text.iter().all(|b| word(*b) || matches!(b, b'.' | b'-'))
}

/// The reference grammar's own idea of a digest, which is wider in letters and narrower in algorithms than the real one.
fn is_digest_like(text: &str) -> bool {
    let part = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    let Some((algorithm, hex)) = text.split_once(':') else { return false };
    algorithm.split(['-', '_', '+', '.']).all(part) && hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit())
}

impl fmt::Display for ReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format => f.write_str("invalid reference format"),
            Self::UppercaseRepository(name) => {
                write!(f, "invalid reference format: repository name ({name}) must be lowercase")
            }
            Self::Uppercase => f.write_str("repository name must be lowercase"),
            Self::Identifier(text) => {
                write!(f, "invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
            }
            Self::TooLong => write!(f, "repository name must not be more than {MAX_PATH} characters"),
            Self::Digest(error) => error.fmt(f),
            Self::Tag => f.write_str("invalid tag format"),
        }
    }
}

impl std::error::Error for ReferenceError {}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    /// `canonical | familiar`, or the error.
    fn check(text: &str, expected: &str) {
        let actual = match Reference::parse(text) {
            Ok(reference) => format!("{} | {}", reference, reference.familiar()),
            Err(error) => error.to_string(),
        };
        assert_eq!(actual, expected, "{text}");
    }

    /// The short way of checking gives what parsing does, up to the longest path.
    #[test]
    fn checking_is_parsing() {
        let mut texts: Vec<String> = (245..=256).map(|length| "a".repeat(length)).collect();
        texts.extend(
            ["", "base", "b4se", "Base", "a.b", "a..b", "a:1", "a/b", HEX, "a/", ":", "a@b"].map(str::to_owned),
        );
        texts.extend(all_of(&["a", "f1", ".", "_", "-", "/", ":", "@", "A"], 5));
        for text in texts {
            assert_eq!(Reference::check(&text).err(), Reference::parse(&text).err(), "{text}");
        }
    }

    /// Every text of up to so many parts.
    fn all_of(parts: &[&str], most: u32) -> Vec<String> {
        let mut texts = vec![String::new()];
        let mut longest = texts.clone();
        for _ in 0..most {
            longest = longest.iter().flat_map(|text| parts.iter().map(move |part| [text, *part].concat())).collect();
            texts.extend(longest.iter().cloned());
        }
        texts
    }

    #[test]
    fn official_images_are_read_as_they_are_written_out() {
        for text in
            ["golang", "go1:1.26-a_B", "a:", "a:-1", "a:1@b", "A", "a-b", "a..b", &"a".repeat(247), &"a".repeat(248)]
        {
            let written_out = format!("docker.io/library/{text}");
            assert_eq!(Reference::parse(text).ok(), Reference::parse_exact(&written_out).ok(), "{text}");
        }
    }

    #[test]
    fn exact_texts_get_nothing_filled_in() {
        let parsed = Reference::parse_exact(&format!("store:t@sha256:{HEX}")).unwrap();
        assert_eq!((parsed.name().as_str(), parsed.tag(), parsed.digest().is_some()), ("store", Some("t"), true));
        assert_eq!(Reference::parse_exact("Store").unwrap_err(), ReferenceError::Uppercase);
        assert_eq!(Reference::parse_exact("a b").unwrap_err(), ReferenceError::Format);
    }

    #[test]
    fn normal_forms() {
        check("alpine", "docker.io/library/alpine | alpine");
        check("alpine:3.20", "docker.io/library/alpine:3.20 | alpine:3.20");
        check("acme/app", "docker.io/acme/app | acme/app");
        check("index.docker.io/alpine", "docker.io/library/alpine | alpine");
        check("docker.io/library/a/b", "docker.io/library/a/b | library/a/b");
        check("localhost/app", "localhost/app | localhost/app");
        check("example.com:5000/team/app:v2", "example.com:5000/team/app:v2 | example.com:5000/team/app:v2");
        check("[::1]:5000/a", "[::1]:5000/a | [::1]:5000/a");
        check("Registry/app", "Registry/app | Registry/app");
        check("a__b/c--d", "docker.io/a__b/c--d | a__b/c--d");
        check("a_b.c/x", "a_b.c/x | a_b.c/x");
        check(
            &format!("alpine:3@sha256:{HEX}"),
            &format!("docker.io/library/alpine:3@sha256:{HEX} | alpine:3@sha256:{HEX}"),
        );
    }

    #[test]
    fn errors() {
        let format = "invalid reference format";
        for text in [
            "",
            "al~pine",
            "alpine:",
            "alpine@",
            "a//b",
            "/a",
            "a/",
            "-a",
            "a..b",
            "a___b",
            "a_-b",
            "a:b:c",
            "a.",
            "alpine@sha256:abc",
            "a :b",
        ] {
            check(text, format);
        }
        check("alpine:.x", format);
        check(&format!("alpine:{}", "a".repeat(129)), format);
        check("Alpine", "invalid reference format: repository name (library/Alpine) must be lowercase");
        check("example.com/App:v1", "invalid reference format: repository name (App) must be lowercase");
        check("a.b/c/D:x", "invalid reference format: repository name (c/D) must be lowercase");
        check(HEX, &format!("invalid repository name ({HEX}), cannot specify 64-byte hexadecimal strings"));
        check(&format!("{}a", "a/".repeat(128)), "repository name must not be more than 255 characters");
        check(&format!("alpine@md5:{HEX}"), "unsupported digest algorithm");
        check(&format!("alpine@sha256:{}", &HEX[..40]), "invalid checksum digest length");
        check(&format!("alpine@sha256:{}", HEX.to_uppercase()), "invalid checksum digest format");
    }

    #[test]
    fn latest_only_when_nothing_is_said() {
        for (text, expected) in
            [("alpine", "docker.io/library/alpine:latest"), ("alpine:3", "docker.io/library/alpine:3")]
        {
            assert_eq!(Reference::parse(text).unwrap().or_latest().to_string(), expected);
        }
        let pinned = format!("docker.io/library/alpine@sha256:{HEX}");
        assert_eq!(Reference::parse(&pinned).unwrap().or_latest().to_string(), pinned);
    }

    #[test]
    fn tag_and_digest_are_replaced() {
        let alpine = Reference::parse("alpine:3").unwrap();
        assert_eq!(alpine.clone().with_tag("4").unwrap().familiar(), "alpine:4");
        assert_eq!(alpine.clone().with_tag("-").unwrap_err(), ReferenceError::Tag);
        let digest = Digest::sha256(b"");
        assert_eq!(alpine.clone().with_digest(digest).familiar(), format!("alpine:3@sha256:{HEX}"));
        assert_eq!(alpine.without_object().to_string(), "docker.io/library/alpine");
    }
}
