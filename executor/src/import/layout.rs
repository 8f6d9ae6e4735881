//! OCI image layouts, as directories and in archives.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use oci::{Descriptor, Digest, Document, Index, Reference};

use super::archive::Archive;
use super::{damaged, parse_name, put};
use crate::store::{Image, Store, read_blob, write_blob};
use crate::{Error, Result, text};

/// Annotations of an index entry that name an image, the better one first: the second may be a tag alone.
const NAMES: [&str; 2] = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];
/// Indexes in indexes: nobody nests them, but nothing forbids it.
const MAX_DEPTH: usize = 4;

pub(super) fn import_directory(store: &Store, path: &Path, name: Option<&Reference>) -> Result<Vec<Image>> {
    let file = path.join("index.json");
    let bytes = File::open(&file).and_then(|index| text::all(index, text::LONGEST_DOCUMENT));
    let bytes = bytes.map_err(|error| damaged(path, format!("it is no OCI layout: index.json: {error}")))?;
    let index: Index = serde_json::from_slice(&bytes).map_err(|error| damaged(&file, error))?;
    each_blob(store, path, &index, |digest| copy_blob(store, path, digest))?;
    finish(store, path, &index, name)
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

/// Visits every blob of an index once, however often it is named; a manifest before what it names is looked for.
///
/// **Errors**: indexes nested deeper than anybody nests them.
fn each_blob(store: &Store, path: &Path, index: &Index, mut visit: impl FnMut(&Digest) -> Result<()>) -> Result<()> {
    let mut seen = BTreeSet::new();
    let mut waiting: Vec<_> = index.manifests.iter().map(|entry| (entry.digest.clone(), 0)).collect();
    while let Some((digest, depth)) = waiting.pop() {
        if !seen.insert(digest.clone()) {
            continue;
        }
        if depth > MAX_DEPTH {
            return Err(damaged(path, format!("{digest}: indexes are nested too deep")));
        }
        visit(&digest)?;
        for below in below(store, path, &digest)? {
            match below {
                Below::Manifest(digest) => waiting.push((digest, depth + 1)),
                Below::Blob(digest) if seen.insert(digest.clone()) => visit(&digest)?,
                Below::Blob(_) => {}
            }
        }
    }
    Ok(())
}

enum Below {
    Blob(Digest),
    Manifest(Digest),
}

fn below(store: &Store, path: &Path, digest: &Digest) -> Result<Vec<Below>> {
    let bytes = read_blob(store.blobs(), digest, text::LONGEST_DOCUMENT)?;
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
    each_blob(store, path, index, |digest| match store.blobs().size(digest)? {
        Some(_) => Ok(()),
        None => Err(damaged(path, format!("blob {digest} is missing"))),
    })?;
    let mut images = Vec::new();
    for entry in &index.manifests {
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
