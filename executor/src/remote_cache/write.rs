//! From a config and the blobs of its layers to a cache in a registry or a layout directory.
//!
//! Blobs that are there are not written again, and to a registry none is fetched that it can have from another of its
//! repositories. Bytes of manifest and config are BuildKit's (`cache/remotecache/export.go`).

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use oci::{Descriptor, Digest, Index, Manifest, Reference, media};

use super::reset::reset;
use super::{Export, Form, Place};
use crate::cache::config::{Config, MEDIA_TYPE};
use crate::exporters::layout::{self, REF_NAME};
use crate::exporters::{family, is_internal, origins};
use crate::layer::{CREATED, UNCOMPRESSED};
use crate::registry::Push;
use crate::sources::{self, Context, in_parallel};
use crate::store::write_blob;
use crate::{Error, Result};

/// Writes a cache. `blobs` are those of the config's layers, each once; their bytes are in the store, or where the
/// store knows. **Shape**: its manifest or index; `None` when there are no layers, or the place is the image: nothing
/// is written.
pub fn write(
    export: &Export,
    config: &Config,
    blobs: &[Descriptor],
    context: Context<'_>,
) -> Result<Option<Descriptor>> {
    if config.layers.is_empty() {
        drop(context.progress.part("skipping cache export for empty result", 0));
        return Ok(None);
    }
    let known: BTreeSet<&Digest> = blobs.iter().map(|blob| &blob.digest).collect();
    if let Some(missing) = config.layers.iter().find(|layer| !known.contains(&layer.blob)) {
        return Err(Error::Invalid(format!("missing blob {}", missing.blob)));
    }
    let written = Written::new(export.form, config, blobs);
    match &export.to {
        Place::Registry { name, insecure } => written.push(name, *insecure, context)?,
        Place::Local { dir, tag, reset } => written.save(dir, tag, *reset, context)?,
        Place::Inline => return Ok(None),
    }
    Ok(Some(written.root.descriptor))
}

/// A cache as documents.
struct Written {
    layers: Vec<Descriptor>,
    config: Text,
    root: Text,
    form: Form,
}

/// A document.
struct Text {
    descriptor: Descriptor,
    bytes: Vec<u8>,
}

impl Text {
    fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        Self { descriptor: Descriptor::of(media_type, &bytes), bytes }
    }
}

impl Written {
    fn new(form: Form, config: &Config, blobs: &[Descriptor]) -> Self {
        let layers: Vec<_> = blobs.iter().map(|blob| described(blob, form)).collect();
        let config = Text::new(MEDIA_TYPE, config.to_json());
        let root = match form {
            Form::Manifest => {
                let manifest = Manifest::new(config.descriptor.clone(), layers.clone());
                Text::new(media::OCI_MANIFEST, oci::json::to_vec(&manifest))
            }
            Form::Index | Form::List => {
                let media_type = if form == Form::List { media::DOCKER_INDEX } else { media::OCI_INDEX };
                let mut index = Index::new(layers.iter().chain([&config.descriptor]).cloned().collect());
                index.media_type = media_type.to_owned();
                Text::new(media_type, oci::json::to_vec(&index))
            }
        };
        Self { layers, config, root, form }
    }

    /// What is shown while the manifest is written, in BuildKit's words.
    fn manifest_words(&self) -> String {
        let kind = if self.form == Form::Manifest { "image manifest" } else { "manifest" };
        format!("writing cache {kind} {}", self.root.descriptor.digest)
    }

    /// Pushes everything, the manifest last.
    fn push(&self, name: &Reference, insecure: bool, context: Context<'_>) -> Result<()> {
        let Context { store, progress, cancel, .. } = context;
        for text in [&self.config, &self.root] {
            if store.blobs().size(&text.descriptor.digest)?.is_none() {
                write_blob(store.blobs(), &mut text.bytes.as_slice(), Some(&text.descriptor.digest))?;
            }
        }
        // What no registry has must be here before it can be sent.
        let unheard: Vec<_> = self.layers.iter().filter(|blob| origins(&blob.digest, store).is_empty()).collect();
        in_parallel(&unheard, |blob| have(blob, context))?;
        let mut client = context.session.registries.clone();
        if insecure {
            client = client.trusting(name.domain(), cancel);
        }
        let repository = name.clone().without_object();
        let origins = |digest: &Digest| origins(digest, store);
        let (tags, blobs) = (&[name.tag().unwrap_or("latest")], store.blobs());
        let push = Push { repository: &repository, tags, blobs, origins: &origins, progress, cancel };
        client.push_parts_as("writing layer", &self.layers, &push)?;
        client.push_parts_as("writing config", std::slice::from_ref(&self.config.descriptor), &push)?;
        let part = progress.part(self.manifest_words(), 0);
        client.push_document(&self.root.descriptor.media_type, &self.root.bytes, &push)?;
        drop(part);
        let pushed: Vec<_> = self.layers.iter().chain([&self.config.descriptor]).map(|blob| &blob.digest).collect();
        // It is pushed, whether that can be noted or not.
        let _ = store.remember_pushed(&pushed, &repository);
        Ok(())
    }

    /// Writes everything into a directory, the index last.
    fn save(&self, dir: &Path, tag: &str, resets: bool, context: Context<'_>) -> Result<()> {
        let progress = context.progress;
        std::fs::create_dir_all(dir).map_err(Error::io("make", dir))?;
        in_parallel(&self.layers, |blob| {
            let _part = progress.part(format!("writing layer {}", blob.digest), 0);
            context.cancel.check()?;
            if layout::has(dir, blob) { Ok(()) } else { save_blob(dir, blob, context) }
        })?;
        let config = progress.part(format!("writing config {}", self.config.descriptor.digest), 0);
        save_text(dir, &self.config)?;
        drop(config);
        let manifest = progress.part(self.manifest_words(), 0);
        save_text(dir, &self.root)?;
        let mut named = self.root.descriptor.clone();
        named.annotations.insert(REF_NAME.into(), tag.to_owned());
        layout::add(dir, vec![named])?;
        drop(manifest);
        if resets && let Err(error) = reset(dir) {
            // parity: the cache is there.
            progress.warn(format!("failed to reset cache store: {error}"));
        }
        Ok(())
    }
}

/// A layer as a cache describes it: types of the one family, and what whoever imports it must know.
fn described(blob: &Descriptor, form: Form) -> Descriptor {
    let mut blob = blob.clone();
    blob.media_type = family(&blob.media_type, form == Form::List).to_owned();
    blob.annotations.retain(|key, _| [UNCOMPRESSED, CREATED].contains(&&**key) || !is_internal(key));
    blob
}

fn save_text(dir: &Path, text: &Text) -> Result<()> {
    if layout::has(dir, &text.descriptor) {
        return Ok(());
    }
    layout::put_blob(dir, &text.descriptor.digest, |file| io::Write::write_all(file, &text.bytes))
}

fn save_blob(dir: &Path, blob: &Descriptor, context: Context<'_>) -> Result<()> {
    have(blob, context)?;
    let mut from = context.store.blobs().open(&blob.digest)?;
    // Between files this is the kernel's affair.
    layout::put_blob(dir, &blob.digest, |file| io::copy(&mut from, file).map(drop))
}

/// Makes sure that a blob is in the store: from wherever it may be.
fn have(blob: &Descriptor, context: Context<'_>) -> Result<()> {
    let store = context.store;
    if store.blobs().size(&blob.digest)?.is_some() {
        return Ok(());
    }
    let mut last = Error::NotFound(format!("blob {} is neither here nor known elsewhere", blob.digest));
    let layers = store.layers_of_blob(&blob.digest)?;
    let pulled = layers.into_iter().flat_map(|layer| layer.origins);
    let pushed = store.pushed_to(&blob.digest)?.into_iter().map(|name| format!("docker-image://{name}"));
    for origin in pulled.chain(pushed) {
        match sources::find(&origin).and_then(|source| source.blob(blob, &origin, context)) {
            Ok(()) => return Ok(()),
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => last = error,
        }
    }
    Err(last)
}
