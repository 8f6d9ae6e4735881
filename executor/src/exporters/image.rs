//! Images: manifests and configs as blobs of the store, then names and registries.

use std::time::{SystemTime, UNIX_EPOCH};

use oci::{Descriptor, Digest, Index, Manifest, Reference, Time, media};
use serde_json::{Value, json};

use super::attrs::ImageAttrs;
use super::layers::{self, LayerBlob, Wanted};
use super::{Built, Context, Metadata, attest, config, is_list, lend};
use crate::layer::{CREATED, DESCRIPTION, UNCOMPRESSED};
use crate::registry::Push;
use crate::store::{self, Image, write_blob};
use crate::{Error, Result};

/// A written image.
pub(super) struct Written {
    /// Its manifest, or its index when there are several platforms.
    pub(super) root: Descriptor,
    /// Its config, when there is one platform.
    pub(super) config: Option<Digest>,
    /// All blobs but the root, each once, in no order that means something.
    pub(super) blobs: Vec<Descriptor>,
    /// The manifests, in the order of the platforms.
    pub(super) manifests: Vec<Manifest>,
}

/// Refuses to push what has no name.
pub(super) fn check(attrs: &ImageAttrs) -> Result<()> {
    if attrs.push && attrs.names.is_empty() && !attrs.named_by_result && attrs.dangling_prefix.is_none() {
        return Err(Error::Invalid(
            "cannot push an image without a name: add `-t NAME`, or `name=` to the output".into(),
        ));
    }
    Ok(())
}

/// Whether it stays in the store. Pushing needs no bytes that a registry has already; keeping does.
pub(super) fn keeps(attrs: &ImageAttrs) -> bool {
    attrs.store.unwrap_or(!attrs.push)
}

/// Writes results to the image store, and to registries.
pub(super) fn export(built: &[Built], attrs: &ImageAttrs, context: Context<'_>) -> Result<Metadata> {
    check(attrs)?;
    let keep = keeps(attrs);
    let written = write(built, attrs, attrs.docker_types.unwrap_or(false), Wanted::new(attrs, keep), context)?;
    let names = names(attrs, &written.root.digest)?;
    if keep {
        if attrs.unpack {
            built.iter().try_for_each(|built| context.materialise(&built.tree))?;
        }
        let created = created(attrs);
        let canonical = canonical(attrs, &written.root.digest);
        let image = |name: &Reference| Image { name: name.clone(), target: written.root.clone(), created };
        context.store.put_images(&names.iter().chain(&canonical).map(image).collect::<Vec<_>>())?;
    }
    if attrs.push {
        push(&names, &written, attrs, context)?;
    }
    metadata(&written, &written.root, &names)
}

/// Attestations are for manifests of OCI's. parity: BuildKit's words.
pub(super) fn check_types(is_attested: bool, docker: bool) -> Result<()> {
    if is_attested && docker {
        return Err(Error::Invalid("cannot export attestations with \"oci-mediatypes=false\"".into()));
    }
    Ok(())
}

/// Writes manifests, configs and, as far as they are wanted in the store, missing layers as blobs.
pub(super) fn write(
    built: &[Built],
    attrs: &ImageAttrs,
    docker: bool,
    wanted: Wanted,
    context: Context<'_>,
) -> Result<Written> {
    let platforms: Vec<_> = built.iter().map(|built| &built.platform).collect();
    let is_attested = attest::is_attested(built, attrs);
    check_types(is_attested, docker)?;
    let is_index = is_list(built) || is_attested;
    attrs.annotations.check(&platforms, is_index)?;
    let exporting = context.progress.part("exporting layers", 0);
    let layers = layers::blobs(built, wanted, context)?;
    drop(exporting);
    let mut written = Written {
        root: Descriptor::new("", Digest::sha256(b""), 0),
        config: None,
        blobs: Vec::new(),
        manifests: Vec::new(),
    };
    let (mut described, mut attestations) = (Vec::new(), Vec::new());
    for (built, layers) in built.iter().zip(&layers) {
        let cache = match context.inline {
            Some(needed) => lend::inline(built, layers, needed, wanted, context)?,
            None => None,
        };
        let manifest = write_manifest(built, layers, cache.as_deref(), attrs, docker, &mut written, context)?;
        if is_attested {
            attestations.extend(attest::write(built, (&manifest, layers), attrs, wanted, &mut written, context)?);
        }
        described.push(manifest);
    }
    described.extend(attestations);
    if !is_index {
        written.root = described.remove(0);
        written.config = Some(written.manifests[0].config.digest.clone());
        return Ok(written);
    }
    written.blobs.extend(described.iter().cloned());
    let mut index = Index::new(described);
    index.media_type = if docker { media::DOCKER_INDEX } else { media::OCI_INDEX }.to_owned();
    index.annotations = attrs.annotations.index();
    written.root = put("manifest list", &index.media_type.clone(), &index.to_json(), context)?;
    written.root.annotations = attrs.annotations.index_descriptor();
    Ok(written)
}

fn write_manifest(
    built: &Built,
    layers: &[LayerBlob],
    cache: Option<&[u8]>,
    attrs: &ImageAttrs,
    docker: bool,
    written: &mut Written,
    context: Context<'_>,
) -> Result<Descriptor> {
    let (own, base) = (built.config.as_deref(), built.base_config.as_deref());
    let mut bytes = config::complete(own, base, &built.platform, layers, attrs.epoch)?;
    if let Some(records) = cache {
        bytes = config::with_cache(&bytes, records)?;
    }
    let (config_type, manifest_type) = match docker {
        true => (media::DOCKER_CONFIG, media::DOCKER_MANIFEST),
        false => (media::OCI_CONFIG, media::OCI_MANIFEST),
    };
    let config = put("config", config_type, &bytes, context)?;
    let layers = layers.iter().map(|layer| described(&layer.blob, docker)).collect();
    let mut manifest = Manifest::new(config.clone(), layers);
    manifest.media_type = manifest_type.to_owned();
    manifest.annotations = attrs.annotations.manifest(&built.platform);
    let mut descriptor = put("manifest", manifest_type, &manifest.to_json(), context)?;
    descriptor.annotations = attrs.annotations.manifest_descriptor(&built.platform);
    descriptor.platform = Some(built.platform.clone());
    written.blobs.push(config);
    written.blobs.extend(manifest.layers.iter().cloned());
    written.manifests.push(manifest);
    Ok(descriptor)
}

/// A layer as a manifest describes it: types of the one family, no annotations of ours.
pub(super) fn described(blob: &Descriptor, docker: bool) -> Descriptor {
    let mut blob = blob.clone();
    blob.media_type = family(&blob.media_type, docker).to_owned();
    blob.annotations.retain(|key, _| !docker && !is_internal(key));
    blob
}

/// The media type of a layer in the one family; what is no layer stays.
pub(crate) fn family(media_type: &str, docker: bool) -> &str {
    const PAIRS: [(&str, &str); 3] = [
        (media::OCI_LAYER, media::DOCKER_LAYER),
        (media::OCI_LAYER_GZIP, media::DOCKER_LAYER_GZIP),
        (media::OCI_LAYER_ZSTD, media::DOCKER_LAYER_ZSTD),
    ];
    let pair = PAIRS.iter().find(|(oci, docker)| [*oci, *docker].contains(&media_type));
    pair.map_or(media_type, |(oci_type, docker_type)| if docker { docker_type } else { oci_type })
}

/// Whether an annotation of a layer is for stores, and not for images.
pub(crate) fn is_internal(key: &str) -> bool {
    matches!(key, UNCOMPRESSED | CREATED | DESCRIPTION | layers::CONVERTED | "buildkit/rewritten-timestamp")
        || key.starts_with("containerd.io/distribution.source.")
}

/// Keeps a document; `what` it is is shown in BuildKit's words.
pub(super) fn put(what: &str, media_type: &str, bytes: &[u8], context: Context<'_>) -> Result<Descriptor> {
    let descriptor = Descriptor::of(media_type, bytes);
    let _part = context.progress.part(format!("exporting {what} {}", descriptor.digest), 0);
    if context.store.blobs().size(&descriptor.digest)?.is_none() {
        write_blob(context.store.blobs(), &mut &*bytes, Some(&descriptor.digest))?;
    }
    Ok(descriptor)
}

/// The names with a digest that it gets in the store beside those that were asked for.
fn canonical(attrs: &ImageAttrs, digest: &Digest) -> Vec<Reference> {
    let names = attrs.names.iter().filter(|name| attrs.canonical && name.digest().is_none());
    names.map(|name| name.clone().without_object().with_digest(digest.clone())).collect()
}

/// The names an image gets, and is pushed to.
fn names(attrs: &ImageAttrs, digest: &Digest) -> Result<Vec<Reference>> {
    let mut names = attrs.names.clone();
    if let Some(prefix) = &attrs.dangling_prefix
        && (names.is_empty() || !attrs.dangling_empty_only)
    {
        let name = format!("{prefix}@{digest}");
        names
            .push(Reference::parse(&name).map_err(|error| Error::Invalid(format!("failed to parse {name}: {error}")))?);
    }
    Ok(names)
}

/// Pushes to each repository once, and gives it all of its tags.
fn push(names: &[Reference], written: &Written, attrs: &ImageAttrs, context: Context<'_>) -> Result<()> {
    let mut repositories: Vec<(Reference, Vec<&str>)> = Vec::new();
    for name in names {
        let repository = name.clone().without_object();
        let position = repositories.iter().position(|(known, _)| *known == repository);
        let position = position.unwrap_or_else(|| {
            repositories.push((repository, Vec::new()));
            repositories.len() - 1
        });
        repositories[position].1.extend(name.tag().filter(|_| !attrs.by_digest));
    }
    for (position, (repository, tags)) in repositories.iter().enumerate() {
        let before = repositories[..position].iter().map(|(repository, _)| repository);
        push_to(repository, tags, &before.cloned().collect::<Vec<_>>(), written, attrs, context)?;
    }
    Ok(())
}

/// Pushes to one repository; those it was pushed to before have its blobs.
fn push_to(
    repository: &Reference,
    tags: &[&str],
    before: &[Reference],
    written: &Written,
    attrs: &ImageAttrs,
    context: Context<'_>,
) -> Result<()> {
    let origins = |digest: &Digest| [before, &origins(digest, context.store)].concat();
    let (blobs, progress, cancel) = (context.store.blobs(), context.progress, context.cancel);
    let mut client = context.sources.session.registries.clone();
    if attrs.insecure {
        client = client.trusting(repository.domain(), cancel);
    }
    client.push(&written.root, &Push { repository, tags, blobs, origins: &origins, progress, cancel })?;
    let pushed =
        written.manifests.iter().flat_map(|manifest| std::iter::once(&manifest.config).chain(&manifest.layers));
    // It is pushed, whether that can be noted or not.
    let _ = context.store.remember_pushed(&pushed.map(|blob| &blob.digest).collect::<Vec<_>>(), repository);
    Ok(())
}

/// Repositories that have a blob, as far as is known: those it was pulled from, then those it was pushed to.
pub(crate) fn origins(digest: &Digest, store: &store::Store) -> Vec<Reference> {
    let found = store.layers_of_blob(digest).unwrap_or_default();
    let pulled = found.iter().flat_map(|layer| &layer.origins);
    pulled
        .filter_map(|origin| origin.strip_prefix("docker-image://"))
        .filter_map(|name| Reference::parse(name).ok())
        .chain(store.pushed_to(digest).unwrap_or_default())
        .collect()
}

/// Seconds since the epoch at which the image is said to be made.
pub(super) fn created(attrs: &ImageAttrs) -> i64 {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() as i64);
    attrs.epoch.unwrap_or_else(now)
}

/// The root with what is said of it outside the image.
pub(super) fn announced(written: &Written, attrs: &ImageAttrs) -> Descriptor {
    let mut root = written.root.clone();
    let created = serde_json::to_value(Time::from_unix(created(attrs), 0)).ok();
    if let Some(Value::String(created)) = created {
        root.annotations.entry("org.opencontainers.image.created".into()).or_insert(created);
    }
    root
}

/// What is told of the export; `root` is the manifest or index with what is said of it there.
pub(super) fn metadata(written: &Written, root: &Descriptor, names: &[Reference]) -> Result<Metadata> {
    let mut metadata = Metadata::new();
    metadata.insert("containerimage.digest".into(), json!(written.root.digest));
    if let Some(config) = &written.config {
        metadata.insert("containerimage.config.digest".into(), json!(config));
    }
    metadata.insert("containerimage.descriptor".into(), json!(root));
    if !names.is_empty() {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        metadata.insert("image.name".into(), json!(names.join(",")));
    }
    Ok(metadata)
}
