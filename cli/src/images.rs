//! Digest and config of images, from a registry, an OCI layout directory or the executor's store.
//!
//! All three are the same walk (index, manifest, config) over different shelves: whoever reads a descriptor's bytes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use compiler::{Answer, AskError, ImageAnswer};
use executor::registry::Client;
use executor::store::{Store, read_blob};
use executor::{Cancel, Error};
use oci::{Descriptor, Digest, Document, Index, Matcher, Platform, Reference};

use crate::failure::{Failure, Result};

/// Most bytes of an index, a manifest or a config; registries take no larger ones.
const LIMIT: u64 = 4 << 20;
/// Annotation of a layout's index that names an image.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

type Asked<T> = std::result::Result<T, AskError>;

/// What the registry of a reference says.
pub(crate) fn from_registry(reference: &str, platform: &Platform) -> Asked<Answer> {
    let failed = |error: Error| {
        unresolved(reference, &error, "check the name; `executor images ls` lists the images of the store")
    };
    let name = parse(reference)?;
    let (client, cancel) = (Client::default(), Cancel::default());
    let top = client.manifest(&name, &cancel).map_err(failed)?;
    let read = |descriptor: &Descriptor| {
        if oci::media::is_manifest(&descriptor.media_type) {
            let name = name.clone().without_object().with_digest(descriptor.digest.clone());
            return client.manifest(&name, &cancel).map(|fetched| fetched.bytes);
        }
        read_whole(client.blob(&name, descriptor, &cancel)?, &descriptor.digest)
    };
    walk(reference, &top.descriptor.digest, &top.bytes, platform, &read)
}

/// What the executor's store has under a name; `None` when it has nothing, or there is no store.
pub(crate) fn from_store(root: &Path, reference: &str, platform: &Platform) -> Asked<Option<Answer>> {
    // A look must not make a store, and one that cannot be read is not ours to use.
    if !root.join("blobs-v1").is_dir() {
        return Ok(None);
    }
    let name = parse(reference)?;
    let Ok(store) = Store::open(root) else { return Ok(None) };
    let failed = |error: Error| unresolved(reference, &error, "`executor images rm` it, and import or pull it again");
    let Some(image) = find(&store, &name).map_err(failed)? else { return Ok(None) };
    let read = |descriptor: &Descriptor| read_blob(store.blobs(), &descriptor.digest, LIMIT);
    let top = read(&image).map_err(failed)?;
    match walk(reference, &image.digest, &top, platform, &read) {
        Err(error) if name.digest().is_none() && is_other_platform(&error) => Ok(None),
        answer => answer.map(Some),
    }
}

/// An image by its name, or any image of the repository that has the digest.
fn find(store: &Store, name: &Reference) -> std::result::Result<Option<Descriptor>, Error> {
    let Some(digest) = name.digest() else { return Ok(store.image(name)?.map(|image| image.target)) };
    let images = store.images()?;
    let same = |image: &&executor::store::Image| image.name.name() == name.name() && image.target.digest == *digest;
    Ok(images.iter().find(same).map(|image| image.target.clone()))
}

/// What a layout directory of the build holds. `layout` is `NAME@DIGEST` or `NAME:TAG@DIGEST`.
pub(crate) fn from_layout(layouts: &BTreeMap<String, PathBuf>, layout: &str, platform: &Platform) -> Asked<Answer> {
    let reference = format!("oci-layout://{layout}");
    let (name, digest) = layout.split_once('@').unwrap_or((layout, ""));
    let name = name.split_once(':').map_or(name, |(name, _)| name);
    let Some(directory) = layouts.get(name) else {
        return Err(AskError {
            message: format!("failed to resolve source metadata for {reference}: there is no layout named {name}"),
            help: Some(format!("name its directory: --build-context {name}=oci-layout://DIR")),
        });
    };
    let failed = |error: Error| unresolved(&reference, &error, "check that the directory is an OCI image layout");
    let digest = Digest::parse(digest).map_err(|error| failed(Error::Invalid(error.to_string())))?;
    let read = |descriptor: &Descriptor| read_layout_blob(directory, &descriptor.digest);
    let top = read_layout_blob(directory, &digest).map_err(failed)?;
    walk(&reference, &digest, &top, platform, &read)
}

/// Directory and digest of `DIR[:TAG][@DIGEST]`; the tag is `latest` unless the layout holds one image only.
pub(crate) fn layout_digest(text: &str) -> Result<(PathBuf, Digest)> {
    let (place, digest) = match text.split_once('@') {
        Some((place, digest)) => (place, Some(digest)),
        None => (text, None),
    };
    let (directory, tag) = match place.rsplit_once(':') {
        Some((directory, tag)) if !tag.contains('/') => (directory, Some(tag)),
        _ => (place, None),
    };
    let wrong = |why: String| Failure::usage(format!("oci-layout://{text}: {why}"), None);
    let digest = match digest {
        Some(digest) => Digest::parse(digest).map_err(|error| wrong(error.to_string()))?,
        None => tagged(Path::new(directory), tag).map_err(wrong)?,
    };
    Ok((directory.into(), digest))
}

fn tagged(directory: &Path, tag: Option<&str>) -> std::result::Result<Digest, String> {
    let path = directory.join("index.json");
    let bytes = std::fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let index: Index = serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    let named = |wanted: &str| {
        index.manifests.iter().find(|entry| entry.annotations.get(REF_NAME).is_some_and(|name| name == wanted))
    };
    let found = match (tag, index.manifests.as_slice()) {
        (Some(tag), _) => named(tag),
        (None, [only]) => Some(only),
        (None, _) => named("latest"),
    };
    found.map(|entry| entry.digest.clone()).ok_or_else(|| format!("it has no image named {}", tag.unwrap_or("latest")))
}

type Read<'r> = &'r dyn Fn(&Descriptor) -> std::result::Result<Vec<u8>, Error>;

/// From the top document to the config of the platform.
fn walk(reference: &str, top: &Digest, bytes: &[u8], platform: &Platform, read: Read<'_>) -> Asked<Answer> {
    let failed = |error: Error| unresolved(reference, &error, "the image may be damaged");
    let parse = |bytes: &[u8]| Document::parse(bytes).map_err(|error| failed(Error::Invalid(error.to_string())));
    let manifest = match parse(bytes)? {
        Document::Manifest(manifest) => manifest,
        Document::Index(index) => {
            let best = index.best(&Matcher::only(platform)).ok_or_else(|| no_platform(reference, &index, platform))?;
            match parse(&read(best).map_err(failed)?)? {
                Document::Manifest(manifest) => manifest,
                Document::Index(_) => return Err(failed(Error::Invalid("an index in an index".into()))),
            }
        }
    };
    let config = match manifest.config.data.is_empty() {
        true => read(&manifest.config).map_err(failed)?,
        false => manifest.config.data,
    };
    Ok(Answer::Image(ImageAnswer { digest: top.clone(), config }))
}

const NO_PLATFORM: &str = "no match for platform in manifest: not found";

fn no_platform(reference: &str, index: &Index, platform: &Platform) -> AskError {
    let offered =
        index.manifests.iter().filter_map(|entry| entry.platform.as_ref()).filter(|offered| offered.os != "unknown");
    let offered: Vec<String> = offered.map(ToString::to_string).collect();
    AskError {
        message: format!("failed to resolve source metadata for {reference}: {NO_PLATFORM}"),
        help: Some(format!("the image is for {}, not {platform}", offered.join(", "))),
    }
}

fn is_other_platform(error: &AskError) -> bool {
    error.message.ends_with(NO_PLATFORM)
}

fn unresolved(reference: &str, error: &Error, help: &str) -> AskError {
    AskError {
        message: format!("failed to resolve source metadata for {reference}: {error}"),
        help: Some(help.to_owned()),
    }
}

fn parse(reference: &str) -> Asked<Reference> {
    let parsed = Reference::parse(reference).map(Reference::or_latest);
    parsed.map_err(|error| AskError { message: format!("{reference}: {error}"), help: None })
}

fn read_layout_blob(directory: &Path, digest: &Digest) -> std::result::Result<Vec<u8>, Error> {
    let path = directory.join("blobs").join(digest.algorithm().as_str()).join(digest.hex());
    let file = std::fs::File::open(&path).map_err(Error::io("read", &path))?;
    read_whole(file, digest)
}

/// Reads a small blob and checks it.
fn read_whole(from: impl std::io::Read, digest: &Digest) -> std::result::Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(from, LIMIT + 1), &mut bytes)
        .map_err(Error::io("read", digest.as_str()))?;
    if bytes.len() as u64 > LIMIT {
        return Err(Error::Invalid(format!("{digest} is longer than {LIMIT} bytes")));
    }
    if digest.verifies(&bytes) {
        return Ok(bytes);
    }
    Err(Error::DigestMismatch {
        of: "an image's metadata".into(),
        want: digest.to_string(),
        got: Digest::sha256(&bytes).to_string(),
    })
}
