//! Images: `docker-image://`, from registries and from the executor's own image store.
//!
//! A name is looked up once (`pin`), its manifests and config are kept in the store, and its layers stay where they are
//! until somebody needs their files. Cache keys and messages mirror BuildKit's `source/containerimage`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use oci::{Descriptor, Digest, Platform, Reference};
use serde::Serialize;

use super::content::{Content, Kept, Layout, Repository, parse};
use super::layers;
use super::select::{Image, select};
use super::{Context, Key, Pinned, Remote, Source};
use crate::registry::Client;
use crate::snapshot::{Committed, LayerId};
use crate::store::{Layer, Store};
use crate::{Cancel, Error, Result};

/// Scheme of images in registries.
const SCHEME: &str = "docker-image";
/// Scheme of images in OCI layout directories.
pub(super) const LAYOUT_SCHEME: &str = "oci-layout";
/// Layers of one image downloaded at once.
const PARALLEL: usize = 4;

/// Where a name is looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// In the store's image names, then in the registry. Where BuildKit asks the registry first: here a name in the
    /// store was put there by the user, by a build or an import, and means that image without a round trip.
    #[default]
    Default,
    /// In the registry.
    Pull,
    /// As the default.
    Local,
}

impl Mode {
    /// The one of a name, as the option `image-resolve-mode` has it.
    pub fn named(name: &str) -> Self {
        match name {
            "pull" => Self::Pull,
            "local" => Self::Local,
            _ => Self::Default,
        }
    }
}

/// What is asked about images, and with what: for a compiler's questions and for builds.
#[derive(Clone, Copy)]
pub struct Images<'a> {
    /// Keeps what is fetched and knows images by name; without it everything is fetched anew.
    pub store: Option<&'a Store>,
    /// Registries.
    pub registries: &'a Client,
    /// OCI layout directories by store name.
    pub layouts: &'a BTreeMap<String, PathBuf>,
    /// Asked to stop through this.
    pub cancel: &'a Cancel,
}

/// What is known of an image without its layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Digest of the index, or of the manifest when there is no index.
    pub digest: Digest,
    /// The config for the platform: the exact bytes.
    pub config: Vec<u8>,
}

impl<'a> Images<'a> {
    /// Digest and config of an image: `docker.io/library/alpine:latest`, or `oci-layout://store@sha256:…`.
    ///
    /// **Errors**: `failed to resolve source metadata for <reference>: …`, in BuildKit's words.
    pub fn resolve(&self, reference: &str, platform: &Platform, mode: Mode) -> Result<Resolved> {
        let found = match reference.strip_prefix("oci-layout://") {
            Some(layout) => self.in_layout(layout, None, platform),
            None => {
                let name = Reference::parse(reference).map_err(|error| Error::Invalid(error.to_string()))?.or_latest();
                self.find(&name, platform, mode)
            }
        };
        let image = found.map_err(|error| resolving(reference, error))?;
        Ok(Resolved { digest: image.root.digest, config: image.config })
    }

    /// The image of a name for a platform.
    pub fn find(&self, name: &Reference, platform: &Platform, mode: Mode) -> Result<Image> {
        let repository = Repository { client: self.registries, name: name.clone(), cancel: self.cancel };
        let content = Kept { store: self.store, from: &repository };
        if mode != Mode::Pull
            && let Some(root) = self.stored(name)?
        {
            match select(&content, &root, platform) {
                // For another platform only; the registry may have it for this one.
                Err(Error::NotFound(_)) => {}
                decided => return decided,
            }
        }
        self.root(name, &content).and_then(|root| select(&content, &root, platform))
    }

    /// Downloads all of an image into the store's blobs, layers in parallel. **Errors**: `Invalid` without a store.
    pub fn pull(&self, name: &Reference, platform: &Platform, context: Context<'_>) -> Result<Image> {
        let image = self.find(name, platform, Mode::Pull)?;
        let repository = Repository { client: self.registries, name: name.clone(), cancel: self.cancel };
        let missing = image
            .manifest
            .layers
            .iter()
            .filter(|layer| !matches!(context.store.blobs().size(&layer.digest), Ok(Some(_))));
        in_parallel(&missing.collect::<Vec<_>>(), |layer| layers::download(layer, &repository, None, context))?;
        Ok(image)
    }

    /// The image of `name@digest` in a layout directory, which is that of `store`, else of the name.
    pub(super) fn in_layout(&self, reference: &str, store: Option<&str>, platform: &Platform) -> Result<Image> {
        let (name, digest) = reference
            .rsplit_once('@')
            .ok_or_else(|| Error::Invalid(format!("reference {} must have digest", oci::text::quote(reference))))?;
        let digest = Digest::parse(digest).map_err(|error| Error::Invalid(format!("{reference}: {error}")))?;
        let layout = Layout::find(self.layouts, store.unwrap_or(name))?;
        let root = layout.describe(&digest)?;
        select(&Kept { store: self.store, from: &layout }, &root, platform)
    }

    /// What the registry says the name is. A digest that is in the store is not asked for.
    fn root(&self, name: &Reference, content: &Kept<'_>) -> Result<Descriptor> {
        let (Some(digest), Some(store)) = (name.digest(), self.store) else {
            return self.registries.head(name, self.cancel);
        };
        let Some(size) = store.blobs().size(digest)? else { return self.registries.head(name, self.cancel) };
        let unknown = Descriptor::new("", digest.clone(), size);
        let media_type = parse(digest, &content.document(&unknown)?)?.media_type().to_owned();
        Ok(Descriptor::new(&media_type, digest.clone(), size))
    }

    /// What the executor's own store says the name is; a digest must agree.
    fn stored(&self, name: &Reference) -> Result<Option<Descriptor>> {
        let Some(store) = self.store else { return Ok(None) };
        let found = store.image(name)?.map(|image| image.target);
        Ok(found.filter(|target| name.digest().is_none_or(|digest| *digest == target.digest)))
    }
}

/// A failure to resolve, in BuildKit's words.
fn resolving(reference: &str, error: Error) -> Error {
    let attempt = format!("failed to resolve source metadata for {reference}");
    match error {
        Error::NotFound(message) => Error::NotFound(format!("{attempt}: {message}")),
        // The reference is said already.
        Error::Remote { attempt: of, reason } if of == reference => Error::Remote { attempt, reason },
        Error::Cancelled => Error::Cancelled,
        other => Error::Remote { attempt, reason: other.to_string() },
    }
}

/// Runs `work` for each item on a few threads; the first failure in order counts.
pub(crate) fn in_parallel<T: Sync>(items: &[T], work: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    let next = AtomicUsize::new(0);
    let run = || -> Result<()> {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(item)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..PARALLEL.min(items.len())).map(|_| scope.spawn(run)).collect();
        let results: Vec<_> = workers.into_iter().map(|worker| worker.join().expect("workers do not panic")).collect();
        results.into_iter().collect()
    })
}

/// `docker-image://`.
pub(super) struct ImageSource;

impl Source for ImageSource {
    fn schemes(&self) -> &'static [&'static str] {
        &[SCHEME]
    }

    fn pin(&self, source: &llb::Source, platform: &Platform, context: Context<'_>) -> Result<Box<dyn Pinned>> {
        let text = after_scheme(&source.identifier);
        let name = Reference::parse(text).map_err(|error| Error::Invalid(format!("{text}: {error}")))?;
        if name.is_name_only() {
            return Err(Error::Invalid(format!("{text}: object required")));
        }
        let attributes = Attributes::parse(source)?;
        let _part = context.progress.part(format!("resolve {name}"), 0);
        let image = context.images().find(&name, platform, attributes.mode)?;
        attributes.check(&image, &name.to_string())?;
        let origin = format!("{SCHEME}://{}", name.without_object());
        Ok(Box::new(PinnedImage::new(image, origin, platform, attributes.limit)?))
    }

    fn layer(&self, id: &LayerId, origin: &str, context: Context<'_>) -> Result<()> {
        make_layer(id, &repository(origin, context)?, context)
    }

    fn blob(&self, blob: &Descriptor, origin: &str, context: Context<'_>) -> Result<()> {
        layers::download(blob, &repository(origin, context)?, None, context)
    }
}

/// The repository that an origin names.
fn repository<'a>(origin: &str, context: Context<'a>) -> Result<Repository<'a>> {
    let text = after_scheme(origin);
    let name = Reference::parse(text).map_err(|error| Error::Invalid(format!("{text}: {error}")))?;
    Ok(Repository { client: &context.session.registries, name, cancel: context.cancel })
}

/// Makes a layer that the store knows blobs of from the first of them that can be had.
pub(super) fn make_layer(id: &LayerId, content: &dyn Content, context: Context<'_>) -> Result<()> {
    let layer = context.store.layer(&id.0)?;
    let unknown = || Error::NotFound(format!("nothing is known of layer {}: not found", id.0));
    let diff_id = layer.diff_id.as_ref().ok_or_else(unknown)?;
    let mut last = unknown();
    for blob in &layer.blobs {
        match layers::make(id, blob, diff_id, content, context) {
            Ok(()) => return Ok(()),
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl<'a> Context<'a> {
    /// What is asked about images in a build.
    pub(super) fn images(self) -> Images<'a> {
        let Context { store, session, cancel, .. } = self;
        Images { store: Some(store), registries: &session.registries, layouts: &session.oci_layouts, cancel }
    }
}

pub(super) fn after_scheme(identifier: &str) -> &str {
    identifier.split_once("://").map_or(identifier, |(_, rest)| rest)
}

/// Attributes of an image source, of either scheme.
#[derive(Default)]
pub(super) struct Attributes {
    pub(super) mode: Mode,
    pub(super) limit: Option<usize>,
    pub(super) checksum: Option<Digest>,
    /// Name of the layout.
    pub(super) store: Option<String>,
}

impl Attributes {
    pub(super) fn parse(source: &llb::Source) -> Result<Self> {
        let mut this = Self::default();
        for (name, value) in source.attrs.iter() {
            match &**name {
                "image.resolvemode" => this.mode = parse_mode(value)?,
                "image.recordtype" => check_record_type(value)?,
                "image.layerlimit" | "oci.layerlimit" => this.limit = Some(parse_limit(value)?),
                "image.checksum" => {
                    let digest = Digest::parse(value);
                    this.checksum = Some(
                        digest.map_err(|error| Error::Invalid(format!("invalid image checksum {value}: {error}")))?,
                    );
                }
                "oci.store" => this.store = Some(value.clone()),
                // Sessions mean nothing here; others belong to newer definitions.
                _ => {}
            }
        }
        Ok(this)
    }
}

impl Attributes {
    /// Whether what was found is what the definition expects.
    pub(super) fn check(&self, image: &Image, name: &str) -> Result<()> {
        let digest = &image.root.digest;
        match &self.checksum {
            Some(checksum) if checksum != digest => Err(Error::Invalid(format!(
                "image digest {digest} for {name} does not match expected checksum {checksum}"
            ))),
            _ => Ok(()),
        }
    }
}

fn parse_mode(text: &str) -> Result<Mode> {
    match text {
        "default" | "" => Ok(Mode::Default),
        "pull" => Ok(Mode::Pull),
        "local" => Ok(Mode::Local),
        _ => Err(Error::Invalid(format!("invalid resolvemode: {text}"))),
    }
}

/// Who keeps records by their type is a daemon; here a layer is what it is used for.
pub(super) fn check_record_type(text: &str) -> Result<()> {
    match text {
        "" | "regular" | "internal" | "frontend" => Ok(()),
        _ => Err(Error::Invalid(format!("invalid record type {text}"))),
    }
}

fn parse_limit(text: &str) -> Result<usize> {
    let limit = text.parse().ok().filter(|limit| *limit > 0);
    limit.ok_or_else(|| Error::Invalid(format!("invalid layer limit {text}")))
}

/// An image that was looked up.
pub(super) struct PinnedImage {
    image: Image,
    /// Where its layers are, for the store.
    origin: String,
    platform: Platform,
    limit: Option<usize>,
}

impl PinnedImage {
    pub(super) fn new(image: Image, origin: String, platform: &Platform, limit: Option<usize>) -> Result<Self> {
        let layers = image.manifest.layers.len();
        match limit {
            Some(limit) if limit > layers => Err(Error::Invalid(format!(
                "layer limit {limit} is greater than the number of layers in the image {layers}"
            ))),
            _ => Ok(Self { image, origin, platform: platform.clone(), limit }),
        }
    }

    /// parity: the digest of what the name names, for a platform.
    fn manifest_key(&self) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Parts<'a> {
            digest: &'a Digest,
            #[serde(rename = "OS")]
            os: &'a str,
            arch: &'a str,
            #[serde(skip_serializing_if = "str::is_empty")]
            variant: &'a str,
            #[serde(rename = "OSVersion", skip_serializing_if = "str::is_empty")]
            os_version: &'a str,
            #[serde(rename = "OSFeatures", skip_serializing_if = "<[_]>::is_empty")]
            os_features: &'a [String],
            #[serde(skip_serializing_if = "Option::is_none")]
            limit: Option<usize>,
        }
        let parts = Parts {
            digest: &self.image.root.digest,
            os: &self.platform.os,
            arch: &self.platform.architecture,
            variant: &self.platform.variant,
            os_version: &self.platform.os_version,
            os_features: &self.platform.os_features,
            limit: self.limit,
        };
        Digest::sha256(&oci::json::to_vec(&parts)).to_string()
    }

    /// parity: the chain of the layers, so that the same files under another name are found; of a config that cannot be
    /// read its digest; of no layers nothing.
    fn config_key(&self) -> Result<Option<String>> {
        let config = match self.image.parse_config() {
            Ok(config) => config,
            Err(error) if self.limit.is_some() => {
                return Err(Error::Invalid(format!("failed to parse image config: {error}")));
            }
            Err(_) => return Ok(Some(Digest::sha256(&self.image.config).to_string())),
        };
        let diff_ids = config.diff_ids();
        let taken = self.limit.unwrap_or(diff_ids.len());
        let diff_ids = diff_ids
            .get(..taken)
            .ok_or_else(|| Error::Invalid(format!("image has {} layers, limit is {taken}", diff_ids.len())))?;
        Ok(if config.rootfs.kind == "layers" { chain_id(diff_ids) } else { None })
    }
}

/// One digest for a stack of layers, as the OCI image specification defines it.
fn chain_id(diff_ids: &[Digest]) -> Option<String> {
    let (first, rest) = diff_ids.split_first()?;
    Some(
        rest.iter()
            .fold(first.to_string(), |chain, next| Digest::sha256(format!("{chain} {next}").as_bytes()).to_string()),
    )
}

impl Pinned for PinnedImage {
    fn key(&self, index: usize, _: Context<'_>) -> Result<Option<Key>> {
        match index {
            0 => Ok(Some(Key::Stable(self.manifest_key()))),
            1 => Ok(self.config_key()?.map(Key::Stable)),
            _ => Ok(None),
        }
    }

    fn pin(&self) -> String {
        self.image.root.digest.to_string()
    }

    fn fetch(&self, context: Context<'_>) -> Result<Committed> {
        let mut diff_ids = self.image.diff_ids()?;
        diff_ids.truncate(self.limit.unwrap_or(diff_ids.len()));
        let ids: Vec<_> = diff_ids.iter().map(LayerId::of_diff_id).collect();
        let known: Vec<_> = diff_ids
            .into_iter()
            .zip(&self.image.manifest.layers)
            .map(|(diff_id, blob)| Layer {
                diff_id: Some(diff_id),
                blobs: vec![blob.clone()],
                origins: vec![self.origin.clone()],
            })
            .collect();
        context.store.put_layers(ids.iter().map(|id| &*id.0).zip(&known))?;
        Ok(Committed { layers: ids })
    }

    fn layers(&self) -> Vec<Option<Remote>> {
        let blobs = &self.image.manifest.layers;
        let diff_ids = self.image.diff_ids().unwrap_or_default();
        let remote = |(blob, diff_id): (&Descriptor, Digest)| {
            Some(Remote { origin: self.origin.clone(), blob: blob.clone(), diff_id })
        };
        blobs.iter().zip(diff_ids).take(self.limit.unwrap_or(blobs.len())).map(remote).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::sha256(text.as_bytes())
    }

    #[test]
    fn chains() {
        assert_eq!(chain_id(&[]), None);
        assert_eq!(chain_id(&[digest("a")]), Some(digest("a").to_string()));
        let two = Digest::sha256(format!("{} {}", digest("a"), digest("b")).as_bytes());
        assert_eq!(chain_id(&[digest("a"), digest("b")]), Some(two.to_string()));
        let three = Digest::sha256(format!("{two} {}", digest("c")).as_bytes());
        assert_eq!(chain_id(&[digest("a"), digest("b"), digest("c")]), Some(three.to_string()));
    }

    #[test]
    fn attributes() {
        let check = |name: &str, value: &str, expected: &str| {
            let source = llb::Source { attrs: [(name.to_owned(), value.to_owned())].into(), ..llb::Source::default() };
            let actual = Attributes::parse(&source).err().map_or(String::new(), |error| error.to_string());
            assert_eq!(actual, expected, "{name}={value}");
        };
        check("image.resolvemode", "local", "");
        check("image.resolvemode", "x", "invalid resolvemode: x");
        check("image.layerlimit", "2", "");
        check("oci.layerlimit", "0", "invalid layer limit 0");
        check("image.layerlimit", "-1", "invalid layer limit -1");
        check("image.checksum", "x", "invalid image checksum x: invalid checksum digest format");
        check("image.recordtype", "frontend", "");
        check("image.recordtype", "x", "invalid record type x");
        check("unknown", "x", "");
    }
}
