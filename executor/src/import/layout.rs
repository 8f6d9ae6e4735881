//! OCI image layouts, as directories and in archives.

use std::fs::File;
use std::path::Path;

use oci::{Descriptor, Digest, Document, Index, Reference};

use super::archive::Archive;
use super::{damaged, parse_name, put};
use crate::store::{Image, Store, read_blob, write_blob};
use crate::{Error, Result};

/// Annotations of an index entry that name an image, the better one first: the second may be a tag alone.
const NAMES: [&str; 2] = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];
/// Most bytes of a manifest.
const MANIFEST_LIMIT: u64 = 4 << 20;

pub(super) fn import_directory(store: &Store, path: &Path, name: Option<&Reference>) -> Result<Vec<Image>> {
    let file = path.join("index.json");
    let bytes =
        std::fs::read(&file).map_err(|error| damaged(path, format!("it is no OCI layout: index.json: {error}")))?;
    let index: Index = serde_json::from_slice(&bytes).map_err(|error| damaged(&file, error))?;
    for entry in &index.manifests {
        copy_blobs(store, path, &entry.digest)?;
    }
    finish(store, path, &index, name)
}

/// Copies a manifest or index and everything below it.
fn copy_blobs(store: &Store, layout: &Path, digest: &Digest) -> Result<()> {
    copy_blob(store, layout, digest)?;
    for below in below(store, layout, digest)? {
        match below {
            Below::Blob(digest) => copy_blob(store, layout, &digest)?,
            Below::Manifest(digest) => copy_blobs(store, layout, &digest)?,
        }
    }
    Ok(())
}

fn copy_blob(store: &Store, layout: &Path, digest: &Digest) -> Result<()> {
    if store.blobs().size(digest)?.is_some() {
        return Ok(());
    }
    let path = layout.join("blobs").join(digest.algorithm().as_str()).join(digest.hex());
    let mut file = File::open(&path).map_err(Error::io("open", &path))?;
    write_blob(store.blobs(), &mut file, Some(digest)).map(drop)
}

pub(super) fn import_archive(store: &Store, archive: &Archive, name: Option<&Reference>) -> Result<Vec<Image>> {
    archive.each(|file, content| match digest_of(file) {
        Some(digest) => write_blob(store.blobs(), content, Some(&digest)).map(drop),
        None => Ok(()),
    })?;
    finish(store, &archive.path, &archive.document("index.json")?, name)
}

/// `blobs/sha256/HEX` as a digest.
fn digest_of(file: &str) -> Option<Digest> {
    let (algorithm, hex) = file.strip_prefix("blobs/")?.split_once('/')?;
    Digest::parse(&format!("{algorithm}:{hex}")).ok()
}

enum Below {
    Blob(Digest),
    Manifest(Digest),
}

fn below(store: &Store, path: &Path, digest: &Digest) -> Result<Vec<Below>> {
    let bytes = read_blob(store.blobs(), digest, MANIFEST_LIMIT)?;
    Ok(match Document::parse(&bytes).map_err(|error| damaged(path, format!("{digest}: {error}")))? {
        Document::Index(index) => index.manifests.into_iter().map(|entry| Below::Manifest(entry.digest)).collect(),
        Document::Manifest(manifest) => {
            let layers = manifest.layers.into_iter().map(|layer| layer.digest);
            std::iter::once(manifest.config.digest).chain(layers).map(Below::Blob).collect()
        }
    })
}

/// Checks that all is there, and names the images.
fn finish(store: &Store, path: &Path, index: &Index, name: Option<&Reference>) -> Result<Vec<Image>> {
    let mut images = Vec::new();
    for entry in &index.manifests {
        check_whole(store, path, &entry.digest)?;
        let own = match name {
            Some(name) => Some(name.clone().or_latest()),
            None => own_name(entry).map(|text| parse_name(text, path)).transpose()?,
        };
        let own = own.ok_or_else(|| damaged(path, "it names no image; pass a name after the file"))?;
        images.push((own, target(entry)));
    }
    if images.is_empty() {
        return Err(damaged(path, "it holds no image"));
    }
    if name.is_some() && images.len() > 1 {
        return Err(damaged(path, format!("it holds {} images, which cannot all have one name", images.len())));
    }
    put(store, images)
}

fn own_name(entry: &Descriptor) -> Option<&str> {
    NAMES.iter().find_map(|key| entry.annotations.get(*key)).map(String::as_str)
}

/// What an image points to; what the layout says of it stays behind.
fn target(entry: &Descriptor) -> Descriptor {
    Descriptor { annotations: Default::default(), ..entry.clone() }
}

fn check_whole(store: &Store, path: &Path, digest: &Digest) -> Result<()> {
    let missing = |digest: &Digest| damaged(path, format!("blob {digest} is missing"));
    if store.blobs().size(digest)?.is_none() {
        return Err(missing(digest));
    }
    for below in below(store, path, digest)? {
        match below {
            Below::Manifest(digest) => check_whole(store, path, &digest)?,
            Below::Blob(digest) if store.blobs().size(&digest)?.is_none() => return Err(missing(&digest)),
            Below::Blob(_) => {}
        }
    }
    Ok(())
}
