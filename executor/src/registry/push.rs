//! Pushing: blobs, mounted from another repository where that is possible, else uploaded; then manifests.
//!
//! An upload that breaks off goes on where the registry says it stands; from a registry that does not say, or forgot, it
//! begins anew.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Mutex;

use oci::{Descriptor, Digest, Document, Reference};
use ureq::http::{Method, Response, StatusCode, header};

use super::authority::Scope;
use super::client::{Attempt, Client, FIRST_WAIT, TRIES, error};
use super::hosts::Endpoint;
use super::pull::MAX_MANIFEST;
use super::transport::{Call, Failure, Payload, redacted, resolve};
use crate::store::{Blobs, read_blob};
use crate::{Cancel, Error, Result, progress};

/// Blobs of one manifest uploaded at once.
const PARALLEL: usize = 4;
/// Bytes of an upload after which it is told how far it is.
const TOLD_EVERY: u64 = 512 << 10;

/// What is pushed, and where to.
pub struct Push<'a> {
    /// The repository.
    pub repository: &'a Reference,
    /// Tags to give what is pushed; none: it is had by its digest alone.
    pub tags: &'a [&'a str],
    /// Where the blobs are.
    pub blobs: &'a dyn Blobs,
    /// Repositories that have a blob; one of the same registry saves the upload, any other serves a blob that is not
    /// here.
    pub origins: &'a (dyn Fn(&Digest) -> Vec<Reference> + Sync),
    /// Where to tell how far it is.
    pub progress: &'a progress::Vertex<'a>,
    /// Asked to stop through this.
    pub cancel: &'a Cancel,
}

impl Client {
    /// Pushes a manifest or index with all it refers to; nothing is sent that the registry has.
    pub fn push(&self, root: &Descriptor, push: &Push<'_>) -> Result<()> {
        let layers = push.progress.part("pushing layers", 0);
        let (bytes, document) = self.push_parts(root, push)?;
        drop(layers);
        let media_type = media_type(root, &document);
        if push.tags.is_empty() {
            return self.put_manifest(root.digest.as_str(), media_type, &bytes, push);
        }
        push.tags.iter().try_for_each(|tag| {
            let of = format!("pushing manifest for {}:{tag}@{}", push.repository, root.digest);
            let _part = push.progress.part(of, 0);
            self.put_manifest(tag, media_type, &bytes, push)
        })
    }

    /// Pushes blobs in parallel, each told from its beginning as `WHAT DIGEST`; nothing is sent that the registry has.
    pub(crate) fn push_parts_as(&self, what: &str, parts: &[Descriptor], push: &Push<'_>) -> Result<()> {
        Self::each(&parts.iter().collect::<Vec<_>>(), |part| {
            let told = Mutex::new(push.progress.part(format!("{what} {}", part.digest), part.size));
            self.push_blob(part, Some(&told), push)
        })
    }

    /// Pushes a manifest or index whose parts the registry has, whatever they are, and gives it its tags.
    pub(crate) fn push_document(&self, media_type: &str, bytes: &[u8], push: &Push<'_>) -> Result<()> {
        push.tags.iter().try_for_each(|tag| self.put_manifest(tag, media_type, bytes, push))
    }

    /// Pushes everything below a manifest or index, which is returned.
    fn push_parts(&self, descriptor: &Descriptor, push: &Push<'_>) -> Result<(Vec<u8>, Document)> {
        let bytes = read_blob(push.blobs, &descriptor.digest, MAX_MANIFEST)?;
        let document =
            Document::parse(&bytes).map_err(|error| Error::Invalid(format!("{}: {error}", descriptor.digest)))?;
        match &document {
            Document::Manifest(manifest) => {
                let parts: Vec<_> = std::iter::once(&manifest.config).chain(&manifest.layers).collect();
                Self::each(&parts, |part| self.push_blob(part, None, push))?;
            }
            Document::Index(index) => {
                for child in &index.manifests {
                    let (bytes, document) = self.push_parts(child, push)?;
                    self.put_manifest(child.digest.as_str(), media_type(child, &document), &bytes, push)?;
                }
            }
        }
        Ok((bytes, document))
    }

    /// Works on blobs in parallel, on each once; the first failure counts.
    fn each(descriptors: &[&Descriptor], act: impl Fn(&Descriptor) -> Result<()> + Sync) -> Result<()> {
        let mut unique: Vec<&Descriptor> = Vec::with_capacity(descriptors.len());
        for descriptor in descriptors {
            if !unique.iter().any(|other| other.digest == descriptor.digest) {
                unique.push(descriptor);
            }
        }
        let next = std::sync::atomic::AtomicUsize::new(0);
        let work = || -> Result<()> {
            while let Some(descriptor) = unique.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                act(descriptor)?;
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..PARALLEL.min(unique.len())).map(|_| scope.spawn(work)).collect();
            let results: Vec<_> =
                workers.into_iter().map(|worker| worker.join().expect("uploads do not panic")).collect();
            results.into_iter().collect()
        })
    }

    /// Pushes one blob; `told` says how far it is, else a part of its own once it is sent.
    fn push_blob<'p>(
        &self,
        descriptor: &Descriptor,
        told: Option<&Mutex<progress::Part<'p>>>,
        push: &Push<'p>,
    ) -> Result<()> {
        let origins = (push.origins)(&descriptor.digest);
        let sent = self.first_writable(push.repository, push.cancel, |endpoint| {
            self.send_blob(endpoint, descriptor, &origins, told, push)
        });
        sent.map_err(|failure| error(push.repository, Attempt::Push, failure))
    }

    /// Mirrors are for reading: only the registry itself is written to.
    fn first_writable<T>(
        &self,
        reference: &Reference,
        cancel: &Cancel,
        ask: impl FnOnce(&Endpoint) -> std::result::Result<T, Failure>,
    ) -> std::result::Result<T, Failure> {
        let offline = || Failure::Local(format!("cannot push to {}: no registry is asked", reference.domain()));
        let endpoint = self.endpoints(reference).pop().ok_or_else(offline)?;
        ask(&self.settled(endpoint, cancel))
    }

    fn send_blob<'p>(
        &self,
        endpoint: &Endpoint,
        descriptor: &Descriptor,
        origins: &[Reference],
        told: Option<&Mutex<progress::Part<'p>>>,
        push: &Push<'p>,
    ) -> std::result::Result<(), Failure> {
        let repository = push.repository.path();
        let sibling =
            origins.iter().find(|origin| origin.domain() == push.repository.domain() && origin.path() != repository);
        let scope = Scope::push(repository);
        let digest = &descriptor.digest;
        let head = Call::new(Method::HEAD, endpoint.url(repository, &format!("blobs/{digest}")));
        match self.call(endpoint, &scope, &head, push.cancel) {
            Ok(_) => return Ok(()),
            Err(Failure::NotFound) => {}
            Err(failure) => return Err(failure),
        }
        let Some(address) = self.start_upload(endpoint, &scope, digest, sibling, push)? else { return Ok(()) };
        self.have_blob(descriptor, origins, push)?;
        let _pass = self.enter(push.repository);
        let own = told.is_none().then(|| push.progress.part(format!("pushing {digest}"), descriptor.size));
        let own = own.map(Mutex::new);
        let part = told.or(own.as_ref()).expect("there is one or the other");
        self.upload(&Upload { endpoint, scope: &scope, descriptor, push, part }, address)
    }

    /// Sends a blob's bytes, again when it breaks off.
    fn upload(&self, upload: &Upload<'_, '_>, address: String) -> std::result::Result<(), Failure> {
        let cancel = upload.push.cancel;
        let (mut address, mut offset, mut wait) = (address, 0, FIRST_WAIT);
        for _ in 1..TRIES {
            match self.send_bytes(upload, &address, offset) {
                Err(failure) if failure.is_temporary() => {}
                decided => return decided,
            }
            if cancel.wait(wait) {
                return Err(Failure::Cancelled);
            }
            wait *= 2;
            (address, offset) = match self.standing(upload, &address)? {
                Some(standing) => standing,
                None => match self.start_upload(
                    upload.endpoint,
                    upload.scope,
                    &upload.descriptor.digest,
                    None,
                    upload.push,
                )? {
                    Some(address) => (address, 0),
                    None => return Ok(()),
                },
            };
        }
        self.send_bytes(upload, &address, offset)
    }

    /// Where an upload that broke off can go on; `None` when it must begin anew.
    fn standing(&self, upload: &Upload<'_, '_>, address: &str) -> std::result::Result<Option<(String, u64)>, Failure> {
        let call = Call::new(Method::GET, address.to_owned()).named_by(&upload.endpoint.base);
        let answer = match self.try_call(upload.endpoint, upload.scope, &call, upload.push.cancel) {
            Err(Failure::Cancelled) => return Err(Failure::Cancelled),
            Err(_) => return Ok(None),
            Ok(answer) => answer.response,
        };
        let last = answer.headers().get(header::RANGE).and_then(|value| value.to_str().ok()?.split_once('-'));
        let last = last.and_then(|(_, last)| last.parse::<u64>().ok());
        // `0-0` is what registries say of an upload without a byte, too; one byte is not worth the doubt.
        let Some(offset) = last.filter(|last| *last > 0 && *last < upload.descriptor.size) else { return Ok(None) };
        Ok(location(address, &answer).ok().map(|address| (address, offset + 1)))
    }

    /// One request with a blob's bytes from `offset` on.
    fn send_bytes(&self, upload: &Upload<'_, '_>, address: &str, offset: u64) -> std::result::Result<(), Failure> {
        let Upload { descriptor, push, part, .. } = upload;
        let open = || -> io::Result<Box<dyn Read>> {
            let mut file = push.blobs.open(&descriptor.digest).map_err(io::Error::other)?;
            file.seek(SeekFrom::Start(offset))?;
            Ok(Box::new(Told { file, part, size: descriptor.size, done: offset, told: offset }))
        };
        let mark = if address.contains('?') { '&' } else { '?' };
        let size = descriptor.size - offset;
        let mut put = Call::new(Method::PUT, format!("{address}{mark}digest={}", descriptor.digest))
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .body(Payload::Stream { open: &open, size })
            .named_by(&upload.endpoint.base);
        if offset > 0 {
            put = put.header(header::CONTENT_RANGE, format!("{offset}-{}", descriptor.size - 1));
        }
        let sent = self.try_call(upload.endpoint, upload.scope, &put, push.cancel);
        sent.map(drop)
            .map_err(|failure| if matches!(failure, Failure::NotFound) { forgotten(address) } else { failure })
    }

    /// Where to upload a blob to; `None` when the registry took it from another repository.
    fn start_upload(
        &self,
        endpoint: &Endpoint,
        scope: &Scope,
        digest: &Digest,
        sibling: Option<&Reference>,
        push: &Push<'_>,
    ) -> std::result::Result<Option<String>, Failure> {
        let uploads = endpoint.url(push.repository.path(), "blobs/uploads/");
        let post = |url: String| Call::new(Method::POST, url).body(Payload::Bytes(b""));
        let mounted = sibling.map(|origin| {
            let call = post(format!("{uploads}?mount={digest}&from={}", origin.path()));
            self.call(endpoint, &scope.clone().and(&Scope::pull(origin.path())), &call, push.cancel)
        });
        let answer = match mounted {
            Some(Ok(answer)) if answer.response.status() == StatusCode::CREATED => return Ok(None),
            Some(Ok(answer)) if answer.response.status() == StatusCode::ACCEPTED => answer,
            // Who may not look into the other repository is told so in many ways, already when asking for a token.
            _ => self.call(endpoint, scope, &post(uploads.clone()), push.cancel)?,
        };
        location(&uploads, &answer.response).map(Some)
    }

    /// Fetches a blob that is only elsewhere.
    fn have_blob(
        &self,
        descriptor: &Descriptor,
        origins: &[Reference],
        push: &Push<'_>,
    ) -> std::result::Result<(), Failure> {
        let local = |error: Error| Failure::Local(error.to_string());
        if push.blobs.size(&descriptor.digest).map_err(local)?.is_some() {
            return Ok(());
        }
        let mut last = Failure::Local(format!("blob {} is neither here nor known elsewhere", descriptor.digest));
        for origin in origins {
            match self.download(origin, descriptor, push.blobs, push.cancel) {
                Ok(()) => return Ok(()),
                Err(error) => last = local(error),
            }
        }
        Err(last)
    }

    /// Fetches a blob into a store; verified.
    pub fn download(
        &self,
        repository: &Reference,
        descriptor: &Descriptor,
        blobs: &dyn Blobs,
        cancel: &Cancel,
    ) -> Result<()> {
        let _pass = self.enter(repository);
        let mut reader = self.blob(repository, descriptor, cancel)?;
        crate::store::write_blob(blobs, &mut reader, Some(&descriptor.digest)).map(drop).map_err(Error::unwrapped)
    }

    fn put_manifest(&self, object: &str, media_type: &str, bytes: &[u8], push: &Push<'_>) -> Result<()> {
        let put = self.first_writable(push.repository, push.cancel, |endpoint| {
            let path = push.repository.path();
            let call = Call::new(Method::PUT, endpoint.url(path, &format!("manifests/{object}")))
                .header(header::CONTENT_TYPE, media_type)
                .body(Payload::Bytes(bytes));
            self.call(endpoint, &Scope::push(path), &call, push.cancel).map(drop)
        });
        put.map_err(|failure| error(push.repository, Attempt::Push, failure))
    }
}

/// A blob on its way.
struct Upload<'a, 'p> {
    endpoint: &'a Endpoint,
    scope: &'a Scope,
    descriptor: &'a Descriptor,
    push: &'a Push<'a>,
    part: &'a Mutex<progress::Part<'p>>,
}

/// A file that tells how far it was read.
struct Told<'a, 'p> {
    file: File,
    part: &'a Mutex<progress::Part<'p>>,
    size: u64,
    done: u64,
    told: u64,
}

impl Read for Told<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.done += length as u64;
        if self.done == self.size || self.done - self.told >= TOLD_EVERY {
            self.told = self.done;
            self.part.lock().expect("no panic while it is held").at(self.done);
        }
        Ok(length)
    }
}

/// What an upload fails with that the registry began and does not know any more; it begins anew.
fn forgotten(address: &str) -> Failure {
    let reason = "the registry does not know the upload that it began".to_owned();
    Failure::Network { request: format!("PUT {}", redacted(address)), reason, permanent: false }
}

fn media_type<'a>(descriptor: &'a Descriptor, document: &'a Document) -> &'a str {
    if descriptor.media_type.is_empty() { document.media_type() } else { &descriptor.media_type }
}

fn location(base: &str, response: &Response<ureq::Body>) -> std::result::Result<String, Failure> {
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let location =
        location.ok_or_else(|| Failure::Protocol(format!("{base}: the registry does not say where to upload to")))?;
    Ok(resolve(base, location))
}
