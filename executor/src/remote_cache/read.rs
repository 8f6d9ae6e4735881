//! From a registry or a layout directory to a config, and the blobs that it speaks of; these stay where they are.
//!
//! parity: what a cache is decides its manifest alone, as BuildKit's `cache/remotecache/import.go` does: an index
//! with a config among its entries, a manifest whose config is one, otherwise an image or several, each with a cache
//! inside.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use oci::{Descriptor, Digest, Document, Manifest, Time};
use serde::Deserialize;

use super::Import;
use crate::cache::config::{Config, MEDIA_TYPE};
use crate::exporters::layout::{self, IMAGE_NAME, REF_NAME};
use crate::layer::{CREATED, DESCRIPTION, UNCOMPRESSED};
use crate::sources::Context;
use crate::sources::content::{Content, Kept, Layout, Repository, parse};
use crate::sources::in_parallel;
use crate::{Error, Result};

/// Indexes in indexes: nobody nests them, but nothing forbids it.
const MAX_DEPTH: usize = 4;
/// Most manifests below an index: each is asked for.
const MOST_MANIFESTS: usize = 1024;

/// A cache.
#[derive(Clone, Debug)]
pub struct Remote {
    /// Its keys. Layers whose blobs are not in the list lead nowhere.
    pub config: Config,
    /// The blobs of its layers, each once.
    pub blobs: Vec<Blob>,
}

/// A blob of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// As the manifest has it; of an inline cache with what the image's config says, as annotations.
    pub descriptor: Descriptor,
    /// Digest of its tar, if anybody says.
    pub diff_id: Option<Digest>,
    /// When it was made, if anybody says.
    pub created: Option<Time>,
    /// Where it is, as the store knows it: `docker-image://REPOSITORY`, `oci-layout://NAME` ([`Import::layout`]).
    pub origin: String,
}

/// Reads the caches of a place. **Shape**: one for a cache, for images one for each manifest that has an inline cache.
///
/// **Errors**: `NotFound` when there is nothing of that name; `Invalid` when there is, but no cache that can be read.
pub fn read(import: &Import, context: Context<'_>) -> Result<Vec<Remote>> {
    match import {
        Import::Registry { name, insecure } => {
            let cancel = context.cancel;
            let mut client = context.session.registries.clone();
            if *insecure {
                client = client.trusting(name.domain(), cancel);
            }
            let root = client.manifest(name, cancel)?;
            let repository = Repository { client: &client, name: name.clone(), cancel };
            let origin = format!("docker-image://{}", name.clone().without_object());
            read_from(&repository, origin, &root.descriptor.digest, &root.bytes, import, context)
        }
        Import::Local { dir, tag, digest } => {
            let digest = digest.clone().map_or_else(|| tagged(dir, tag), Ok)?;
            let layout = Layout(dir.clone());
            let size = layout.size(&digest)?;
            let root = Descriptor::new("", digest, size);
            let bytes = layout.document(&root)?;
            let (name, _) = import.layout().expect("it is a directory");
            read_from(&layout, format!("oci-layout://{name}"), &root.digest, &bytes, import, context)
        }
    }
}

/// What a directory has under a tag. parity: whole names go before tags.
fn tagged(dir: &Path, tag: &str) -> Result<Digest> {
    let missing = |what: &str| Error::NotFound(format!("local cache import at {}: {what}: not found", dir.display()));
    let index = layout::index(dir)?.ok_or_else(|| missing("no index.json"))?;
    let find = |key: &str| {
        let mut entries = index.manifests.iter();
        entries.find(|entry| entry.annotations.get(key).is_some_and(|name| name == tag))
    };
    let found = find(IMAGE_NAME).or_else(|| find(REF_NAME));
    found.map(|entry| entry.digest.clone()).ok_or_else(|| missing(&format!("no digest found for tag {tag}")))
}

fn read_from(
    content: &dyn Content,
    origin: String,
    digest: &Digest,
    bytes: &[u8],
    import: &Import,
    context: Context<'_>,
) -> Result<Vec<Remote>> {
    let kept = Kept { store: Some(context.store), from: content };
    let reading = Reading { content: &kept, origin, context };
    reading.read(digest, bytes).map_err(|error| match error {
        // The cache is there, but not all of it.
        Error::NotFound(what) => Error::Invalid(format!("the cache {import} is not whole: {what}")),
        Error::Invalid(what) => Error::Invalid(format!("the cache {import} cannot be read: {what}")),
        error => error,
    })
}

/// What is read from.
struct Reading<'a> {
    content: &'a dyn Content,
    origin: String,
    context: Context<'a>,
}

impl Reading<'_> {
    fn read(&self, digest: &Digest, bytes: &[u8]) -> Result<Vec<Remote>> {
        let document = parse(digest, bytes)?;
        drop(self.context.progress.part(format!("inferred cache manifest type: {}", document.media_type()), 0));
        let (config, blobs) = match &document {
            Document::Index(index) => {
                let (configs, blobs): (Vec<_>, Vec<_>) =
                    index.manifests.iter().partition(|entry| entry.media_type == MEDIA_TYPE);
                (configs.last().copied(), blobs)
            }
            Document::Manifest(manifest) => {
                let config = Some(&manifest.config).filter(|config| config.media_type == MEDIA_TYPE);
                (config, manifest.layers.iter().collect())
            }
        };
        let Some(config) = config else { return self.inline(document) };
        let parsed = Config::parse(&self.content.document(config)?)
            .map_err(|error| Error::Invalid(format!("{}: {error}", config.digest)))?;
        Ok(vec![Remote { config: parsed, blobs: self.blobs(blobs.into_iter().cloned()) }])
    }

    /// The caches inside images.
    fn inline(&self, root: Document) -> Result<Vec<Remote>> {
        let manifests = self.manifests(root)?;
        let found = Mutex::new(Vec::new());
        in_parallel(&manifests.iter().enumerate().collect::<Vec<_>>(), |(number, manifest)| {
            if let Some(remote) = self.inside(manifest)? {
                found.lock().expect("no panic while it is held").push((*number, remote));
            }
            Ok(())
        })?;
        let mut found = found.into_inner().expect("no panic while it was held");
        found.sort_by_key(|(number, _)| *number);
        Ok(found.into_iter().map(|(_, remote)| remote).collect())
    }

    /// All manifests below a document, each once, level by level.
    fn manifests(&self, root: Document) -> Result<Vec<Manifest>> {
        let (mut manifests, mut level, mut seen) = (Vec::new(), vec![root], BTreeSet::new());
        for _ in 0..=MAX_DEPTH {
            let mut below = Vec::new();
            for document in level {
                match document {
                    Document::Manifest(manifest) => manifests.push(manifest),
                    Document::Index(index) => {
                        below.extend(index.manifests.into_iter().filter(|entry| seen.insert(entry.digest.clone())));
                    }
                }
            }
            if below.is_empty() {
                return Ok(manifests);
            }
            if seen.len() > MOST_MANIFESTS {
                return Err(Error::Invalid(format!("it has more than {MOST_MANIFESTS} manifests")));
            }
            let read = Mutex::new(Vec::new());
            in_parallel(&below.iter().enumerate().collect::<Vec<_>>(), |(number, entry)| {
                let document = parse(&entry.digest, &self.content.document(entry)?)?;
                read.lock().expect("no panic while it is held").push((*number, document));
                Ok(())
            })?;
            let mut read = read.into_inner().expect("no panic while it was held");
            read.sort_by_key(|(number, _)| *number);
            level = read.into_iter().map(|(_, document)| document).collect();
        }
        Err(Error::Invalid("indexes are nested too deep".into()))
    }

    /// The cache inside one image, if it has one.
    fn inside(&self, manifest: &Manifest) -> Result<Option<Remote>> {
        if manifest.layers.is_empty() {
            return Ok(None);
        }
        let config = &manifest.config;
        let invalid = |error: &dyn std::fmt::Display| Error::Invalid(format!("{}: {error}", config.digest));
        let image: Image = serde_json::from_slice(&self.content.document(config)?).map_err(|error| invalid(&error))?;
        let Some(records) = image.cache.as_deref().filter(|records| !records.is_empty()) else { return Ok(None) };
        let diff_ids = image.rootfs.and_then(|rootfs| rootfs.diff_ids).unwrap_or_default();
        if diff_ids.len() != manifest.layers.len() {
            self.context.progress.warn("invalid image with mismatching manifest and config");
            return Ok(None);
        }
        let records = oci::base64::decode(records).ok_or_else(|| invalid(&"its cache is not base64"))?;
        let digests: Vec<_> = manifest.layers.iter().map(|layer| layer.digest.clone()).collect();
        let parsed = Config::parse_inline(&records, &digests).map_err(|error| invalid(&error))?;
        let history = image.history.unwrap_or_default();
        let mut history = history.into_iter().filter(|entry| !entry.empty_layer.unwrap_or_default());
        let described = manifest.layers.iter().zip(diff_ids).map(|(layer, diff_id)| {
            let mut layer = layer.clone();
            let Entry { created, created_by, .. } = history.next().unwrap_or_default();
            let said = [(CREATED, created), (DESCRIPTION, created_by), (UNCOMPRESSED, Some(diff_id.to_string()))];
            let said = said.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
            layer.annotations.extend(said.filter(|(_, value)| !value.is_empty()));
            layer
        });
        Ok(Some(Remote { config: parsed, blobs: self.blobs(described) }))
    }

    fn blobs(&self, descriptors: impl Iterator<Item = Descriptor>) -> Vec<Blob> {
        let mut seen = BTreeSet::new();
        descriptors.filter(|descriptor| seen.insert(descriptor.digest.clone())).map(|one| self.blob(one)).collect()
    }

    fn blob(&self, mut descriptor: Descriptor) -> Blob {
        // What this program says of blobs in its own store it does not take from others, nor bytes.
        descriptor.annotations.retain(|key, _| !key.starts_with("llbc/"));
        descriptor.data = Vec::new();
        let said = |key| descriptor.annotations.get(key);
        let diff_id = said(UNCOMPRESSED).and_then(|text| Digest::parse(text).ok());
        let created = said(CREATED).and_then(|text| Time::parse(text).ok());
        Blob { diff_id, created, origin: self.origin.clone(), descriptor }
    }
}

/// What of an image's config matters. Everything may be `null`, which is nothing to Go.
#[derive(Deserialize)]
struct Image {
    rootfs: Option<Rootfs>,
    #[serde(rename = "moby.buildkit.cache.v0")]
    cache: Option<String>,
    history: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
struct Rootfs {
    diff_ids: Option<Vec<Digest>>,
}

#[derive(Default, Deserialize)]
struct Entry {
    created: Option<String>,
    created_by: Option<String>,
    empty_layer: Option<bool>,
}
