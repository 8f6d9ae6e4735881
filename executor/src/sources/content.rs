//! Where the bytes of an image are: a registry, an OCI layout directory, the store.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use oci::{Descriptor, Digest, Document, Reference, media};

use crate::registry::Client;
use crate::store::{Store, read_blob, write_blob};
use crate::text::LONGEST_DOCUMENT;
use crate::{Cancel, Error, Result};

/// A place that has blobs.
pub(crate) trait Content: Sync {
    /// A manifest, index or config: whole, verified.
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>>;
    /// A blob as a stream, which whoever reads it verifies.
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>>;
}

/// A repository of a registry.
pub(crate) struct Repository<'a> {
    pub(crate) client: &'a Client,
    pub(crate) name: Reference,
    pub(crate) cancel: &'a Cancel,
}

impl Content for Repository<'_> {
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        if media::is_manifest(&descriptor.media_type) || media::is_index(&descriptor.media_type) {
            let name = self.name.clone().without_object().with_digest(descriptor.digest.clone());
            return Ok(self.client.manifest(&name, self.cancel)?.bytes);
        }
        check_size(descriptor)?;
        let bytes = read_all(&mut self.client.blob(&self.name, descriptor, self.cancel)?, descriptor)?;
        verified(bytes, &descriptor.digest)
    }

    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.client.blob(&self.name, descriptor, self.cancel)?))
    }
}

/// An OCI layout directory.
pub(crate) struct Layout(pub(crate) PathBuf);

impl Layout {
    /// The layout of a store name that the user gave.
    pub(crate) fn find(layouts: &BTreeMap<String, PathBuf>, name: &str) -> Result<Self> {
        let given = || layouts.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let path = layouts.get(name).ok_or_else(|| {
            Error::NotFound(format!(
                "no OCI layout {name:?} was given (there are: {}); give it as NAME=DIRECTORY",
                given()
            ))
        })?;
        Ok(Self(path.clone()))
    }

    /// Describes a manifest or index by its digest.
    pub(crate) fn describe(&self, digest: &Digest) -> Result<Descriptor> {
        let unknown = Descriptor::new("", digest.clone(), self.size(digest)?);
        let document = parse(digest, &self.document(&unknown)?)?;
        Ok(Descriptor::new(document.media_type(), digest.clone(), unknown.size))
    }

    /// Bytes of a blob.
    pub(crate) fn size(&self, digest: &Digest) -> Result<u64> {
        Ok(self.file(digest)?.metadata().map_err(Error::io("stat", self.path(digest)))?.len())
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.0.join("blobs").join(digest.algorithm().as_str()).join(digest.hex())
    }

    fn file(&self, digest: &Digest) -> Result<File> {
        let path = self.path(digest);
        File::open(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                Error::NotFound(format!("blob {digest} is not in the OCI layout {}: not found", self.0.display()))
            }
            _ => Error::io("open", path)(error),
        })
    }
}

impl Content for Layout {
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        check_size(descriptor)?;
        let bytes = read_all(&mut self.file(&descriptor.digest)?, descriptor)?;
        verified(bytes, &descriptor.digest)
    }

    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.file(&descriptor.digest)?.take(descriptor.size)))
    }
}

/// The blobs of the store.
pub(crate) struct Stored<'a>(pub(crate) &'a Store);

impl Content for Stored<'_> {
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        read_blob(self.0.blobs(), &descriptor.digest, LONGEST_DOCUMENT)
    }

    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.0.blobs().open(&descriptor.digest)?))
    }
}

/// Another place, with the store in front: what is there is not asked for, what comes is kept.
pub(crate) struct Kept<'a> {
    pub(crate) store: Option<&'a Store>,
    pub(crate) from: &'a dyn Content,
}

impl Content for Kept<'_> {
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        if !descriptor.data.is_empty() && descriptor.digest.verifies(&descriptor.data) {
            return Ok(descriptor.data.clone());
        }
        let Some(store) = self.store else { return self.from.document(descriptor) };
        if store.blobs().size(&descriptor.digest)?.is_some() {
            return Stored(store).document(descriptor);
        }
        let bytes = self.from.document(descriptor)?;
        write_blob(store.blobs(), &mut bytes.as_slice(), Some(&descriptor.digest))?;
        Ok(bytes)
    }

    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        match self.store {
            Some(store) if store.blobs().size(&descriptor.digest)?.is_some() => Stored(store).open(descriptor),
            _ => self.from.open(descriptor),
        }
    }
}

/// A manifest or index.
pub(crate) fn parse(digest: &Digest, bytes: &[u8]) -> Result<Document> {
    Document::parse(bytes).map_err(|error| Error::Invalid(format!("{digest}: {error}")))
}

fn check_size(descriptor: &Descriptor) -> Result<()> {
    if descriptor.size <= LONGEST_DOCUMENT {
        return Ok(());
    }
    Err(Error::Invalid(format!("{} is longer than {LONGEST_DOCUMENT} bytes", descriptor.digest)))
}

fn read_all(from: &mut dyn Read, descriptor: &Descriptor) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(descriptor.size).unwrap_or_default());
    let attempt = Error::io("read", Path::new(descriptor.digest.as_str()));
    from.take(LONGEST_DOCUMENT + 1).read_to_end(&mut bytes).map_err(attempt).map_err(Error::unwrapped)?;
    Ok(bytes)
}

fn verified(bytes: Vec<u8>, want: &Digest) -> Result<Vec<u8>> {
    if want.verifies(&bytes) {
        return Ok(bytes);
    }
    let got = Digest::sha256(&bytes).to_string();
    Err(Error::DigestMismatch { of: "blob".into(), want: want.to_string(), got })
}
