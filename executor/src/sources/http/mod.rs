//! Files from the web: `http://` and `https://`.
//!
//! Pinning downloads, because the key holds the content's digest; the bytes are kept as a blob. What a server said of a
//! file (its tag, its time) is remembered, so that the next build only asks whether it changed. With a checksum in the
//! definition nobody is asked at all while the blob is there. Files that the client hands over by address are read where
//! they are. What must be signed is verified whenever it is pinned, also if it was here already. Keys, names and times mirror BuildKit's `source/http`.

mod date;
mod disposition;
mod download;
mod name;
mod remembered;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use oci::{Digest, Platform};
use serde::Serialize;
use ureq::Body;
use ureq::http::{HeaderMap, Response, StatusCode, header};

use super::file::{Placed, parse_number};
use super::signature::{self, Policy};
use super::{Context, Key, Meta, Pinned, Source};
use crate::snapshot::{Committed, LayerId};
use crate::{Cancel, Error, Result, url};
use download::{Broken, Stopped, copy};
pub(super) use name::safe as safe_name;
use remembered::Remembered;

/// Headers that a definition may set.
const SETTABLE: &[&str] = &["Accept", "User-Agent"];

/// `http://` and `https://`.
pub(super) struct HttpSource;

impl Source for HttpSource {
    fn schemes(&self) -> &'static [&'static str] {
        &["http", "https"]
    }

    fn pin(&self, source: &llb::Source, _: &Platform, context: Context<'_>) -> Result<Box<dyn Pinned>> {
        let wanted = Wanted::parse(source)?;
        let found = match (&wanted.checksum, &wanted.signed) {
            (Some(checksum), None) => {
                Found { digest: checksum.clone(), name: name::of(&wanted.url, &wanted.filename, None), modified: None }
            }
            // Before there is a key: nothing that is kept may stand for it.
            _ => wanted.verified(context)?,
        };
        Ok(Box::new(PinnedFile { wanted, found }))
    }
}

/// What is known of the file at an address.
pub(super) fn meta(source: &llb::Source, context: Context<'_>) -> Result<Meta> {
    let Found { digest, name, modified } = Wanted::parse(source)?.verified(context)?;
    Ok(Meta::File { digest, name, modified: modified.and_then(|text| date::parse(&text)) })
}

/// The time of the newest file of an archive that was downloaded.
pub(super) fn newest(digest: &Digest, context: Context<'_>) -> Result<Option<i64>> {
    let file = context.store.blobs().open(digest)?;
    let newest = archive::newest(WhileWanted { file, cancel: context.cancel });
    context.cancel.check()?;
    Ok(newest)
}

/// A file that nobody reads on when nobody wants it any more.
struct WhileWanted<'c> {
    file: File,
    cancel: &'c Cancel,
}

impl io::Read for WhileWanted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.cancel.check().map_err(io::Error::other)?;
        self.file.read(buffer)
    }
}

/// What a definition asks for. Serialised it names what was remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Wanted {
    url: String,
    #[serde(skip)]
    checksum: Option<Digest>,
    /// Empty: the server's name for it, or that in the address.
    filename: String,
    /// 0 is unset, also in the key.
    perm: u32,
    uid: u32,
    gid: u32,
    auth_header_secret: String,
    headers: Vec<Header>,
    #[serde(skip)]
    signed: Option<Signed>,
}

/// How a file must be signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Signed {
    /// OpenPGP keys, as text.
    keys: String,
    /// A detached signature, as text.
    signature: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Header {
    name: String,
    value: String,
}

/// What is at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    digest: Digest,
    name: String,
    /// `Last-Modified` as the server wrote it.
    modified: Option<String>,
}

impl Found {
    /// In seconds since 1970.
    fn modified(&self) -> Option<i64> {
        self.modified.as_deref().and_then(date::parse)
    }
}

impl Wanted {
    fn parse(source: &llb::Source) -> Result<Self> {
        let mut this = Self { url: source.identifier.clone(), ..Self::default() };
        for (key, value) in source.attrs.iter() {
            match &**key {
                "http.checksum" => {
                    this.checksum = Some(Digest::parse(value).map_err(|error| Error::Invalid(error.to_string()))?);
                }
                "http.filename" => this.filename = value.clone(),
                "http.perm" => this.perm = parse_number(key, value)?,
                // The misspelt one is what clients send.
                "http.uid" | "soruce.http.uid" => this.uid = parse_number(key, value)?,
                "http.gid" | "soruce.http.gid" => this.gid = parse_number(key, value)?,
                "http.authheadersecret" => this.auth_header_secret = value.clone(),
                "http.sig.pubkey" => this.signed.get_or_insert_default().keys = value.clone(),
                "http.sig.signature" => this.signed.get_or_insert_default().signature = value.clone(),
                _ if key.starts_with("http.sig.") => {
                    return Err(Error::Invalid(format!("{key}: no such rule for signatures is known")));
                }
                _ => this.headers.extend(settable_header(key, value)),
            }
        }
        this.headers.sort();
        if this.signed.as_ref().is_some_and(|signed| signed.keys.is_empty() != signed.signature.is_empty()) {
            return Err(Error::Invalid("http signature verification requires both pubkey and signature".into()));
        }
        Ok(this)
    }

    /// What was there when this build first asked, once it is signed as the definition asks.
    ///
    /// parity: one that must be signed is asked for even if the definition says its checksum, and has a time in its key then.
    fn verified(&self, context: Context<'_>) -> Result<Found> {
        let found = self.find(context)?;
        let Some(Signed { keys, signature }) = &self.signed else { return Ok(found) };
        if let Some(want) = self.checksum.as_ref().filter(|want| **want != found.digest) {
            return Err(self.mismatch(want, &found.digest));
        }
        self.have(&found, context)?;
        let file = context.store.blobs().open(&found.digest)?;
        // parity: that keys which have expired do not count cannot be asked for.
        signature::verify_pgp(file, signature, keys, Policy::default(), context).map_err(|error| match error {
            Error::Invalid(why) => Error::Invalid(format!("{}: failed to verify pgp signature: {why}", self.shown())),
            other => other,
        })?;
        Ok(found)
    }

    /// What was there when this build first asked.
    fn find(&self, context: Context<'_>) -> Result<Found> {
        context.session.pins.files.get(self.id().to_string(), || self.ask(context))
    }

    /// Finds out what is there now; downloads it unless the server says that what is remembered still holds.
    fn ask(&self, context: Context<'_>) -> Result<Found> {
        if let Some(file) = context.session.uploads.get(&self.url) {
            return self.take(file, context);
        }
        let remembered = Remembered::load(context.store, &self.id())?;
        let etag = remembered.as_ref().map(|known| known.etag.clone());
        let unless = etag.iter().map(|etag| ("If-None-Match".to_owned(), etag.clone())).collect();
        let response = self.get(unless, context)?;
        let headers = response.headers();
        let said = etag_of(headers);
        // Some servers ignore the question, and some answer it without naming what did not change.
        let unchanged =
            response.status() == StatusCode::NOT_MODIFIED && said.is_empty() || Some(&said) == etag.as_ref();
        if let Some(known) = remembered.filter(|_| unchanged) {
            let name = name::of(&self.url, &self.filename, Some(headers));
            return Ok(Found { digest: known.digest, name, modified: known.modified });
        }
        self.save(self.changed(response)?, context)
    }

    /// **Errors**: the server says that nothing changed, of what is not here.
    fn changed(&self, response: Response<Body>) -> Result<Response<Body>> {
        if response.status() != StatusCode::NOT_MODIFIED {
            return Ok(response);
        }
        let reason = format!("invalid not-modified ETag: {}", etag_of(response.headers()));
        Err(Error::Remote { attempt: self.shown(), reason })
    }

    /// Keeps a file that was handed over as a blob.
    fn take(&self, file: &File, context: Context<'_>) -> Result<Found> {
        let mut writer = context.store.blobs().write()?;
        copy(&mut FromStart { file, at: 0 }, &mut writer, context.cancel, &mut 0, &mut |_| {}).map_err(|stopped| {
            match stopped {
                Stopped::Read(error) => Error::io("read", self.shown())(error),
                Stopped::Other(error) => error,
            }
        })?;
        let (digest, _) = writer.commit(None)?;
        Ok(Found { digest, name: name::of(&self.url, &self.filename, None), modified: None })
    }

    /// Downloads what was found or what the definition gave the checksum of, unless it is there. Returns its time of change.
    fn have(&self, found: &Found, context: Context<'_>) -> Result<i64> {
        if context.store.blobs().size(&found.digest)?.is_some() {
            let known = Remembered::load(context.store, &self.id())?.filter(|known| known.digest == found.digest);
            let modified = found.modified().or_else(|| known?.modified.as_deref().and_then(date::parse));
            return Ok(modified.unwrap_or_default());
        }
        let got = match context.session.uploads.get(&self.url) {
            Some(file) => self.take(file, context)?,
            None => self.save(self.get(Vec::new(), context)?, context)?,
        };
        if got.digest != found.digest {
            return Err(self.mismatch(&found.digest, &got.digest));
        }
        Ok(got.modified().unwrap_or_default())
    }

    fn mismatch(&self, want: &Digest, got: &Digest) -> Error {
        Error::DigestMismatch { of: self.shown(), want: want.to_string(), got: got.to_string() }
    }

    /// The address as it may be shown.
    fn shown(&self) -> String {
        url::redact(&self.url).into_owned()
    }

    fn id(&self) -> Digest {
        Digest::sha256(&oci::json::to_vec(self))
    }

    /// Asks for it, with more headers than the definition's.
    fn get(&self, more: Vec<(String, String)>, context: Context<'_>) -> Result<Response<Body>> {
        let own = self.headers.iter().map(|header| (header.name.clone(), header.value.clone()));
        let headers: Vec<_> = own.chain(more).collect();
        let authorization = self.authorization(context)?;
        context.session.registries.get(&self.url, &headers, authorization.as_deref(), context.cancel)
    }

    /// A secret that the definition names must be there; those that go by the host's name may.
    fn authorization(&self, context: Context<'_>) -> Result<Option<String>> {
        let secret = |id: &str| {
            Ok::<_, Error>(
                context.session.secret(id)?.map(|bytes| String::from_utf8_lossy(&bytes).trim_end().to_owned()),
            )
        };
        if !self.auth_header_secret.is_empty() {
            let id = &self.auth_header_secret;
            let missing =
                || Error::NotFound(format!("failed to retrieve HTTP auth secret {id}: secret {id}: not found"));
            return secret(id)?.ok_or_else(missing).map(Some);
        }
        let host = name::host(&self.url);
        if let Some(token) = secret(&format!("HTTP_AUTH_TOKEN_{host}"))? {
            return Ok(Some(format!("Bearer {token}")));
        }
        secret(&format!("HTTP_AUTH_HEADER_{host}"))
    }

    /// Keeps the body as a blob and remembers what was said of it.
    fn save(&self, response: Response<Body>, context: Context<'_>) -> Result<Found> {
        let total = response.body().content_length().unwrap_or_default();
        let _hook = context.cancel.on_cancel({
            let client = context.session.registries.clone();
            move || client.shut_down()
        });
        let mut part = context.progress.part(format!("downloading {}", self.shown()), total);
        let ask = |headers| self.changed(self.get(headers, context)?);
        let blobs = context.store.blobs();
        let kept = download::keep(response, &ask, blobs, context.cancel, &mut |done| part.at(done));
        let (digest, headers) = kept.map_err(|broken| match broken {
            _ if context.cancel.is_cancelled() => Error::Cancelled,
            Broken::Off { got, total, why } => {
                let of = total.map_or_else(String::new, |total| format!(" of {total}"));
                Error::Remote { attempt: self.shown(), reason: format!("broke off after {got}{of} bytes: {why}") }
            }
            Broken::Other(error) => error,
        })?;
        let found = Found {
            digest,
            name: name::of(&self.url, &self.filename, Some(&headers)),
            modified: text_of(&headers, &header::LAST_MODIFIED).filter(|text| date::parse(text).is_some()),
        };
        let known =
            Remembered { etag: etag_of(&headers), digest: found.digest.clone(), modified: found.modified.clone() };
        known.save(context.store, &self.id())?;
        Ok(found)
    }
}

/// Reads a file from its start, wherever others are in it.
struct FromStart<'f> {
    file: &'f File,
    at: u64,
}

impl io::Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(buffer, self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}

/// `http.header.accept` and its like; others are ignored, as BuildKit does.
fn settable_header(key: &str, value: &str) -> Option<Header> {
    let name = key.strip_prefix("http.header.")?;
    let name = SETTABLE.iter().find(|settable| settable.eq_ignore_ascii_case(name))?;
    Some(Header { name: (*name).to_owned(), value: value.to_owned() })
}

fn text_of(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// A strong and a weak tag with the same text mean the same file here.
fn etag_of(headers: &HeaderMap) -> String {
    let text = text_of(headers, &header::ETAG).unwrap_or_default();
    text.strip_prefix("W/").unwrap_or(&text).to_owned()
}

/// A file that was found.
struct PinnedFile {
    wanted: Wanted,
    found: Found,
}

impl PinnedFile {
    /// parity: B2's `K` of http sources.
    fn cache_key(&self) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Parts<'a> {
            filename: &'a str,
            perm: u32,
            #[serde(rename = "UID")]
            uid: u32,
            #[serde(rename = "GID")]
            gid: u32,
            checksum: &'a Digest,
            #[serde(skip_serializing_if = "String::is_empty")]
            last_mod_time: String,
            #[serde(skip_serializing_if = "str::is_empty")]
            auth_header_secret: &'a str,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            header: &'a [Header],
        }
        let parts = Parts {
            filename: &self.found.name,
            perm: self.wanted.perm,
            uid: self.wanted.uid,
            gid: self.wanted.gid,
            checksum: &self.found.digest,
            last_mod_time: self.found.modified().map(date::format).unwrap_or_default(),
            auth_header_secret: &self.wanted.auth_header_secret,
            header: &self.wanted.headers,
        };
        Digest::sha256(&oci::json::to_vec(&parts)).to_string()
    }
}

impl Pinned for PinnedFile {
    fn key(&self, index: usize, _: Context<'_>) -> Result<Option<Key>> {
        Ok((index == 0).then(|| Key::Stable(self.cache_key())))
    }

    fn pin(&self) -> String {
        self.found.digest.to_string()
    }

    /// The layer is named by the key: the same file is written once.
    fn fetch(&self, context: Context<'_>) -> Result<Committed> {
        let key = self.cache_key();
        let id = LayerId(format!("http-{}", key.trim_start_matches("sha256:")).into());
        if !context.snapshots.has(&id) {
            let placed = Placed {
                name: self.found.name.clone(),
                perm: self.wanted.perm,
                uid: self.wanted.uid,
                gid: self.wanted.gid,
                modified: self.wanted.have(&self.found, context)?,
            };
            context.snapshots.import(&id, &mut |dir| placed.write(dir, &self.found.digest, context))?;
        }
        Ok(Committed { layers: vec![id] })
    }
}
