//! Manifests, and blobs that are resumed where they broke off.

use std::io::{self, Read};

use oci::{Descriptor, Digest, Document, Reference, media};
use ureq::BodyReader;
use ureq::http::{HeaderMap, Method, StatusCode, header};

use super::authority::Scope;
use super::client::{Attempt, Client, error};
use super::hosts::Endpoint;
use super::transport::{Answer, Call, Failure, broke_off};
use crate::cancel::Hook;
use crate::{Cancel, Error, Result};

/// Longest manifest or index, in bytes: the limit registries set themselves.
pub(super) const MAX_MANIFEST: u64 = 4 << 20;
/// Times a blob may break off without a byte in between.
const BREAKS: u32 = 5;

const ACCEPT: &str = "application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.oci.image.index.v1+json, */*";

/// A manifest or index.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// What it is.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Client {
    /// What a reference names at the moment, without fetching it when the registry tells by the head alone.
    ///
    /// **Errors**: `NotFound` as `<reference>: not found`.
    pub fn head(&self, reference: &Reference, cancel: &Cancel) -> Result<Descriptor> {
        let asked = self.first(reference, cancel, |endpoint| self.head_at(endpoint, reference, cancel));
        match asked {
            Ok(Some(descriptor)) => Ok(descriptor),
            Ok(None) => self.manifest(reference, cancel).map(|fetched| fetched.descriptor),
            Err(failure) => Err(error(reference, Attempt::Pull, failure)),
        }
    }

    /// The manifest or index that a reference names, by its digest if it has one, else by its tag; verified.
    ///
    /// **Errors**: `NotFound` as `<reference>: not found`, `DigestMismatch`.
    pub fn manifest(&self, reference: &Reference, cancel: &Cancel) -> Result<Fetched> {
        let asked = self.first(reference, cancel, |endpoint| self.manifest_at(endpoint, reference, cancel));
        let (bytes, media_type) = asked.map_err(|failure| error(reference, Attempt::Pull, failure))?;
        if let Some(digest) = reference.digest() {
            verify(reference, digest, &bytes)?;
        }
        let media_type = if media_type == media::DOCKER_SCHEMA1 { media_type } else { sniff(reference, &bytes)? };
        let mut descriptor = Descriptor::of(&media_type, &bytes);
        if let Some(digest) = reference.digest() {
            descriptor.digest = digest.clone();
        }
        Ok(Fetched { descriptor, bytes })
    }

    /// Bytes of a blob that only its digest is known of. **Errors**: `NotFound`; `Remote` when the registry does not say.
    pub fn blob_size(&self, repository: &Reference, digest: &Digest, cancel: &Cancel) -> Result<u64> {
        let asked = self.first(repository, cancel, |endpoint| {
            let call = Call::new(Method::HEAD, endpoint.url(repository.path(), &format!("blobs/{digest}")));
            let answer = self.call(endpoint, &Scope::pull(repository.path()), &call, cancel)?;
            let length = answer.response.headers().get(header::CONTENT_LENGTH);
            let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
            length.ok_or_else(|| Failure::Protocol(format!("the registry does not say how long blob {digest} is")))
        });
        let blob = repository.clone().without_object().with_digest(digest.clone());
        asked.map_err(|failure| error(&blob, Attempt::Pull, failure))
    }

    /// Opens a blob for reading. The reader ends after `descriptor.size` bytes; whoever reads checks the digest.
    pub fn blob(&self, repository: &Reference, descriptor: &Descriptor, cancel: &Cancel) -> Result<BlobReader> {
        let pull = BlobPull {
            client: self.clone(),
            repository: repository.clone(),
            descriptor: descriptor.clone(),
            cancel: cancel.clone(),
        };
        let body = pull.open(0).map_err(|failure| error(repository, Attempt::Pull, failure))?;
        let hook = self.break_when(cancel);
        Ok(BlobReader { pull, body: Some(body), offset: 0, breaks: 0, _hook: hook })
    }

    /// The tags of a repository, as the registry lists them in one answer: so many as it likes.
    pub fn tags(&self, repository: &Reference, cancel: &Cancel) -> Result<Vec<String>> {
        #[derive(serde::Deserialize)]
        struct List {
            #[serde(default)]
            tags: Option<Vec<String>>,
        }
        let asked = self.first(repository, cancel, |endpoint| {
            let call = Call::new(Method::GET, endpoint.url(repository.path(), "tags/list"));
            let Answer { mut response, .. } = self.call(endpoint, &Scope::pull(repository.path()), &call, cancel)?;
            let list: serde_json::Result<List> =
                serde_json::from_reader(response.body_mut().as_reader().take(MAX_MANIFEST));
            list.map_err(|error| Failure::Protocol(format!("the list of tags cannot be read: {error}")))
        });
        let list = asked.map_err(|failure| error(repository, Attempt::Pull, failure))?;
        Ok(list.tags.unwrap_or_default())
    }

    fn head_at(
        &self,
        endpoint: &Endpoint,
        reference: &Reference,
        cancel: &Cancel,
    ) -> std::result::Result<Option<Descriptor>, Failure> {
        let call = manifest_call(Method::HEAD, endpoint, reference);
        match self.call(endpoint, &Scope::pull(reference.path()), &call, cancel) {
            Ok(answer) => Ok(describe(reference, answer.response.headers())),
            Err(Failure::Status { status: StatusCode::METHOD_NOT_ALLOWED | StatusCode::BAD_REQUEST, .. }) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    fn manifest_at(
        &self,
        endpoint: &Endpoint,
        reference: &Reference,
        cancel: &Cancel,
    ) -> std::result::Result<(Vec<u8>, String), Failure> {
        let call = manifest_call(Method::GET, endpoint, reference);
        let mut broken = None;
        for _ in 0..BREAKS {
            let Answer { mut response, .. } = self.call(endpoint, &Scope::pull(reference.path()), &call, cancel)?;
            let media_type = content_type(response.headers()).to_owned();
            let mut bytes = Vec::new();
            match response.body_mut().as_reader().take(MAX_MANIFEST + 1).read_to_end(&mut bytes) {
                Ok(_) if bytes.len() as u64 > MAX_MANIFEST => {
                    return Err(Failure::Protocol(format!("manifest is longer than {MAX_MANIFEST} bytes")));
                }
                Ok(_) => return Ok((bytes, media_type)),
                Err(error) => broken = Some(error),
            }
        }
        let reason = broken.map_or_else(String::new, |error| error.to_string());
        Err(Failure::Network { request: format!("GET {}", call.url), reason, permanent: true })
    }
}

fn manifest_call<'a>(method: Method, endpoint: &Endpoint, reference: &Reference) -> Call<'a> {
    let object = reference.digest().map(Digest::as_str).or(reference.tag()).unwrap_or("latest");
    let url = endpoint.url(reference.path(), &format!("manifests/{object}"));
    Call::new(method, url).header(header::ACCEPT, ACCEPT)
}

/// What the head of an answer says of a manifest; `None` when it does not say enough.
fn describe(reference: &Reference, headers: &HeaderMap) -> Option<Descriptor> {
    let digest = match reference.digest() {
        Some(digest) => digest.clone(),
        None => Digest::parse(headers.get("docker-content-digest")?.to_str().ok()?).ok()?,
    };
    let size = headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()?;
    let media_type = content_type(headers);
    let known = media::is_manifest(media_type) || media::is_index(media_type);
    known.then(|| Descriptor::new(media_type, digest, size))
}

fn content_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or(value).trim()
}

/// The media type by the fields. What the server called it does not count: its word is not covered by the digest.
fn sniff(reference: &Reference, bytes: &[u8]) -> Result<String> {
    let document = Document::parse(bytes);
    document
        .map(|document| document.media_type().to_owned())
        .map_err(|error| Error::Invalid(format!("{reference}: {error}")))
}

fn verify(of: &Reference, want: &Digest, bytes: &[u8]) -> Result<()> {
    if want.verifies(bytes) {
        return Ok(());
    }
    let got = Digest::sha256(bytes).to_string();
    Err(Error::DigestMismatch { of: of.to_string(), want: want.to_string(), got })
}

/// A blob on its way. Reading goes on over broken connections; what was read before is not sent again by servers that
/// know ranges, and skipped from those that do not.
pub struct BlobReader {
    pull: BlobPull,
    body: Option<BodyReader<'static>>,
    offset: u64,
    breaks: u32,
    _hook: Hook,
}

struct BlobPull {
    client: Client,
    repository: Reference,
    descriptor: Descriptor,
    cancel: Cancel,
}

impl BlobReader {
    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes in all.
    pub fn size(&self) -> u64 {
        self.pull.descriptor.size
    }

    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let body = match &mut self.body {
            Some(body) => body,
            None => self.body.insert(self.pull.open(self.offset).map_err(|failure| self.pull.failed(failure))?),
        };
        let read = body.read(buffer)?;
        if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(read) }
    }

    /// Nothing may follow. Reading the end also gives the connection back for the next exchange.
    fn end(&mut self) -> io::Result<usize> {
        let more = self.body.take().is_some_and(|mut body| matches!(body.read(&mut [0]), Ok(1..)));
        if !more {
            return Ok(0);
        }
        let Descriptor { digest, size, .. } = &self.pull.descriptor;
        let attempt = format!("{}: reading blob {digest}", self.pull.repository);
        Err(io::Error::other(Error::Remote { attempt, reason: format!("the registry sends more than {size} bytes") }))
    }

    /// Whether reading may go on after a failure.
    fn may_resume(&mut self, error: &io::Error) -> bool {
        self.breaks += 1;
        self.body = None;
        let ours = error.get_ref().is_some_and(|inner| inner.is::<Error>());
        !ours && self.breaks < BREAKS && !self.pull.cancel.is_cancelled()
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.size() - self.offset;
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if left == 0 {
            return self.end();
        }
        loop {
            if self.pull.cancel.is_cancelled() {
                return Err(io::Error::other(Error::Cancelled));
            }
            match self.fill(&mut buffer[..want]) {
                Ok(read) => {
                    self.offset += read as u64;
                    self.breaks = 0;
                    return Ok(read);
                }
                Err(error) if self.may_resume(&error) => {}
                Err(error) => return Err(self.pull.broken(error, self.offset)),
            }
        }
    }
}

impl BlobPull {
    /// Opens the blob, `offset` bytes in.
    fn open(&self, offset: u64) -> std::result::Result<BodyReader<'static>, Failure> {
        let mut result = self.client.first(&self.repository, &self.cancel, |endpoint| self.open_at(endpoint, offset));
        for url in &self.descriptor.urls {
            if result.is_err() {
                result = self.open_foreign(url, offset);
            }
        }
        result
    }

    fn open_at(&self, endpoint: &Endpoint, offset: u64) -> std::result::Result<BodyReader<'static>, Failure> {
        let url = endpoint.url(self.repository.path(), &format!("blobs/{}", self.descriptor.digest));
        self.get(endpoint, Call::new(Method::GET, url), offset)
    }

    /// Layers that may not be distributed name where they are; nobody is told who asks. What the registry may not name
    /// is not asked.
    fn open_foreign(&self, url: &str, offset: u64) -> std::result::Result<BodyReader<'static>, Failure> {
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err(Failure::Protocol(format!("layer address {url} is neither http nor https")));
        }
        let host = url.split('/').nth(2).unwrap_or_default().to_owned();
        // A base that no address has the origin of: no credentials are sent.
        let endpoint = Endpoint { host, base: String::new(), mirror_of: None, may_be_plain: false };
        let registry = self.client.endpoints(&self.repository).pop().map(|endpoint| endpoint.base).unwrap_or_default();
        self.get(&endpoint, Call::new(Method::GET, url.to_owned()).named_by(&registry), offset)
    }

    fn get(
        &self,
        endpoint: &Endpoint,
        mut call: Call<'_>,
        offset: u64,
    ) -> std::result::Result<BodyReader<'static>, Failure> {
        if offset > 0 {
            call = call.header(header::RANGE, format!("bytes={offset}-"));
        }
        let answer = self.client.call(endpoint, &Scope::pull(self.repository.path()), &call, &self.cancel)?;
        let (parts, body) = answer.response.into_parts();
        let start = if parts.status == StatusCode::PARTIAL_CONTENT {
            range_start(&parts.headers).unwrap_or(u64::MAX)
        } else {
            0
        };
        let rest = self.descriptor.size.saturating_sub(start);
        let length = body.content_length();
        if start > offset || length.is_some_and(|length| length != rest) {
            return Err(Failure::Protocol(format!(
                "blob {} has {} bytes, but the registry sends {}",
                self.descriptor.digest,
                self.descriptor.size,
                length.map_or_else(|| "another part".to_owned(), |length| length.to_string())
            )));
        }
        let mut reader = body.into_reader();
        // Bytes that came before: the server does not know ranges.
        match io::copy(&mut (&mut reader).take(offset - start), &mut io::sink()) {
            Ok(skipped) if skipped == offset - start => Ok(reader),
            Ok(_) => Err(Failure::Network { request: call.url, reason: "unexpected EOF".into(), permanent: true }),
            Err(error) => Err(Failure::Network { request: call.url, reason: error.to_string(), permanent: true }),
        }
    }

    fn failed(&self, failure: Failure) -> io::Error {
        // A break while skipping is a break like any other.
        let again = matches!(&failure, Failure::Network { .. });
        let error = error(&self.repository, Attempt::Pull, failure);
        if again { io::Error::other(error.to_string()) } else { io::Error::other(error) }
    }

    fn broken(&self, error: io::Error, offset: u64) -> io::Error {
        if error.get_ref().is_some_and(|inner| inner.is::<Error>()) {
            return error;
        }
        if self.cancel.is_cancelled() {
            return io::Error::other(Error::Cancelled);
        }
        let Descriptor { digest, size, .. } = &self.descriptor;
        let (attempt, why) = (format!("{}: reading blob {digest}", self.repository), broke_off(&error));
        io::Error::other(Error::Remote { attempt, reason: format!("broke off at {offset} of {size} bytes: {why}") })
    }
}

/// The first byte of `Content-Range: bytes 5-9/10`.
pub(crate) fn range_start(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    value.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}
