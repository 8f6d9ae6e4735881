//! Docker archives, as `docker save` writes them.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use oci::{Descriptor, Manifest, Reference, media};
use serde::Deserialize;

use super::archive::Archive;
use super::{damaged, parse_name, put};
use crate::layer::{Format, sniff};
use crate::store::{Image, Store, write_blob};
use crate::{Error, Result};

/// One image of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    /// File of the config.
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    /// Files of the layers, lowest first.
    layers: Vec<String>,
}

pub(super) fn import(store: &Store, archive: &Archive, name: Option<&Reference>) -> Result<Vec<Image>> {
    let entries: Vec<Entry> = archive.document("manifest.json")?;
    if name.is_some() && entries.len() != 1 {
        let why = format!("it holds {} images, which cannot all have one name", entries.len());
        return Err(damaged(&archive.path, why));
    }
    let files = store_files(store, archive, &entries)?;
    let mut images = Vec::new();
    for entry in &entries {
        let target = manifest(store, archive, entry, &files)?;
        let names = names(archive, entry, name)?;
        images.extend(names.into_iter().map(|name| (name, target.clone())));
    }
    put(store, images)
}

fn names(archive: &Archive, entry: &Entry, name: Option<&Reference>) -> Result<Vec<Reference>> {
    if let Some(name) = name {
        return Ok(vec![name.clone().or_latest()]);
    }
    let names =
        entry.repo_tags.iter().flatten().map(|tag| parse_name(tag, &archive.path)).collect::<Result<Vec<_>>>()?;
    if names.is_empty() {
        return Err(damaged(&archive.path, "it names no image; pass a name after the file"));
    }
    Ok(names)
}

/// The wanted files, as blobs. Media types are told by content, since names in these archives tell nothing.
fn store_files(store: &Store, archive: &Archive, entries: &[Entry]) -> Result<BTreeMap<String, Descriptor>> {
    let configs = entries.iter().map(|entry| (archive.file(&entry.config), true));
    let layers = entries.iter().flat_map(|entry| &entry.layers).map(|layer| (archive.file(layer), false));
    let wanted: BTreeMap<&str, bool> = configs.chain(layers).collect();
    let mut files = BTreeMap::new();
    archive.each(|file, content| {
        let Some(is_config) = wanted.get(file) else { return Ok(()) };
        let mut start = Vec::new();
        content.take(8).read_to_end(&mut start).map_err(Error::io("read", &archive.path))?;
        let media_type = if *is_config { media::OCI_CONFIG } else { layer_type(&start) };
        let (digest, size) = write_blob(store.blobs(), &mut Cursor::new(start).chain(content), None)?;
        files.insert(file.to_owned(), Descriptor::new(media_type, digest, size));
        Ok(())
    })?;
    Ok(files)
}

fn layer_type(start: &[u8]) -> &'static str {
    match sniff(start) {
        Format::Gzip => media::OCI_LAYER_GZIP,
        Format::Zstd => media::OCI_LAYER_ZSTD,
        _ => media::OCI_LAYER,
    }
}

fn manifest(
    store: &Store,
    archive: &Archive,
    entry: &Entry,
    files: &BTreeMap<String, Descriptor>,
) -> Result<Descriptor> {
    let find = |name: &String| {
        let found = files.get(archive.file(name)).cloned();
        found.ok_or_else(|| damaged(&archive.path, format!("manifest.json names {name}, which is not there")))
    };
    let layers = entry.layers.iter().map(find).collect::<Result<Vec<_>>>()?;
    let bytes = Manifest::new(find(&entry.config)?, layers).to_json();
    write_blob(store.blobs(), &mut bytes.as_slice(), None)?;
    Ok(Descriptor::of(media::OCI_MANIFEST, &bytes))
}
