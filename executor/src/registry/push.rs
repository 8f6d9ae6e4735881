//! Pushing: blobs, mounted from another repository where that is possible, else uploaded; then manifests.

use std::io::Read;

use oci::{Descriptor, Digest, Document, Reference};
use ureq::http::{Method, Response, StatusCode, header};

use super::authority::Scope;
use super::client::{Attempt, Client, error};
use super::hosts::Endpoint;
use super::pull::MAX_MANIFEST;
use super::transport::{Call, Failure, Payload, resolve};
use crate::store::{Blobs, read_blob};
use crate::{Cancel, Error, Result, progress};

/// Blobs of one manifest uploaded at once.
const PARALLEL: usize = 4;

/// What is pushed, and where to.
pub struct Push<'a> {
    /// Name and tag, or name and digest to push without a tag.
    pub target: &'a Reference,
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
        self.push_tree(root, push, push.target)
    }

    fn push_tree(&self, descriptor: &Descriptor, push: &Push<'_>, name: &Reference) -> Result<()> {
        let bytes = read_blob(push.blobs, &descriptor.digest, MAX_MANIFEST)?;
        let document =
            Document::parse(&bytes).map_err(|error| Error::Invalid(format!("{}: {error}", descriptor.digest)))?;
        match &document {
            Document::Manifest(manifest) => {
                let parts: Vec<_> = std::iter::once(&manifest.config).chain(&manifest.layers).collect();
                self.push_blobs(&parts, push)?;
            }
            Document::Index(index) => {
                for child in &index.manifests {
                    let name = push.target.clone().without_object().with_digest(child.digest.clone());
                    self.push_tree(child, push, &name)?;
                }
            }
        }
        let media_type = if descriptor.media_type.is_empty() { document.media_type() } else { &descriptor.media_type };
        let put = self.first_writable(name, |endpoint| self.put_manifest(endpoint, name, media_type, &bytes, push));
        put.map_err(|failure| error(name, Attempt::Push, failure))
    }

    /// Pushes blobs in parallel; the first failure counts.
    fn push_blobs(&self, descriptors: &[&Descriptor], push: &Push<'_>) -> Result<()> {
        let mut unique: Vec<&Descriptor> = Vec::with_capacity(descriptors.len());
        for descriptor in descriptors {
            if !unique.iter().any(|other| other.digest == descriptor.digest) {
                unique.push(descriptor);
            }
        }
        let next = std::sync::atomic::AtomicUsize::new(0);
        let work = || -> Result<()> {
            while let Some(descriptor) = unique.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                self.push_blob(descriptor, push)?;
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

    fn push_blob(&self, descriptor: &Descriptor, push: &Push<'_>) -> Result<()> {
        let origins = (push.origins)(&descriptor.digest);
        let sent = self.first_writable(push.target, |endpoint| self.send_blob(endpoint, descriptor, &origins, push));
        sent.map_err(|failure| error(push.target, Attempt::Push, failure))
    }

    /// Mirrors are for reading: only the registry itself is written to.
    fn first_writable<T>(
        &self,
        reference: &Reference,
        mut ask: impl FnMut(&Endpoint) -> std::result::Result<T, Failure>,
    ) -> std::result::Result<T, Failure> {
        let endpoint = self.endpoints(reference).pop().expect("the registry itself is the last of its servers");
        ask(&endpoint)
    }

    fn send_blob(
        &self,
        endpoint: &Endpoint,
        descriptor: &Descriptor,
        origins: &[Reference],
        push: &Push<'_>,
    ) -> std::result::Result<(), Failure> {
        let repository = push.target.path();
        let sibling =
            origins.iter().find(|origin| origin.domain() == push.target.domain() && origin.path() != repository);
        let scope = Scope::push(repository);
        let scope = sibling.map_or(scope.clone(), |origin| scope.and(&Scope::pull(origin.path())));
        let digest = &descriptor.digest;
        let head = Call::new(Method::HEAD, endpoint.url(repository, &format!("blobs/{digest}")));
        match self.call(endpoint, &scope, &head, push.cancel) {
            Ok(_) => return Ok(()),
            Err(Failure::NotFound) => {}
            Err(failure) => return Err(failure),
        }
        let Some(upload) = self.start_upload(endpoint, &scope, digest, sibling, push)? else { return Ok(()) };
        self.have_blob(descriptor, origins, push)?;
        let _pass = self.enter(push.target);
        let _part = push.progress.part(format!("pushing {digest}"), descriptor.size);
        let open = || -> std::io::Result<Box<dyn Read>> {
            push.blobs.open(digest).map(|file| Box::new(file) as Box<dyn Read>).map_err(std::io::Error::other)
        };
        let mark = if upload.contains('?') { '&' } else { '?' };
        let put = Call::new(Method::PUT, format!("{upload}{mark}digest={digest}"))
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .body(Payload::Stream { open: &open, size: descriptor.size });
        // An upload's address is good for one try.
        self.try_call(endpoint, &scope, &put, push.cancel).map(drop)
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
        let uploads = endpoint.url(push.target.path(), "blobs/uploads/");
        let post = |url: String| Call::new(Method::POST, url).body(Payload::Bytes(b""));
        let mounted = sibling.map(|origin| {
            let call = post(format!("{uploads}?mount={digest}&from={}", origin.path()));
            self.call(endpoint, scope, &call, push.cancel)
        });
        let answer = match mounted {
            Some(Ok(answer)) if answer.response.status() == StatusCode::CREATED => return Ok(None),
            Some(Ok(answer)) if answer.response.status() == StatusCode::ACCEPTED => answer,
            // A registry that may not look into the other repository says no in many ways.
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

    fn put_manifest(
        &self,
        endpoint: &Endpoint,
        name: &Reference,
        media_type: &str,
        bytes: &[u8],
        push: &Push<'_>,
    ) -> std::result::Result<(), Failure> {
        let object = name.tag().or(name.digest().map(Digest::as_str)).unwrap_or("latest");
        let call = Call::new(Method::PUT, endpoint.url(name.path(), &format!("manifests/{object}")))
            .header(header::CONTENT_TYPE, media_type)
            .body(Payload::Bytes(bytes));
        self.call(endpoint, &Scope::push(name.path()), &call, push.cancel).map(drop)
    }
}

fn location(base: &str, response: &Response<ureq::Body>) -> std::result::Result<String, Failure> {
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let location = location
        .ok_or_else(|| Failure::Protocol(format!("POST {base}: the registry does not say where to upload to")))?;
    Ok(resolve(base, location))
}
