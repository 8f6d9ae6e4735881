//! Images from files into the store: a tar of a tree, an OCI layout or an archive of one, a Docker archive.
//!
//! What a file is is told by what it holds, never by its name. Blobs are checked against the digests they are named by;
//! an image gets its name last, when everything it needs is in the store.

mod archive;
mod docker;
mod layout;
mod rootfs;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use oci::{Descriptor, Reference};

use crate::layer::Limits;
use crate::store::{Image, Store};
use crate::{Error, Result};

use archive::Archive;

/// Imports a file or an OCI layout directory; returns the images that got a name.
///
/// `name` replaces the names in the file, which must then hold one image; a tree has none of its own.
pub fn import(store: &Store, path: &Path, name: Option<&Reference>) -> Result<Vec<Image>> {
    if path.is_dir() {
        return layout::import_directory(store, path, name);
    }
    let archive = Archive::open(path, Limits::default())?;
    if archive.has("oci-layout") && archive.has("index.json") {
        layout::import_archive(store, &archive, name)
    } else if archive.has("manifest.json") {
        docker::import(store, &archive, name)
    } else {
        rootfs::import(store, path, name)
    }
}

/// Names images that are complete in the store.
fn put(store: &Store, images: Vec<(Reference, Descriptor)>) -> Result<Vec<Image>> {
    let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    images
        .into_iter()
        .map(|(name, target)| {
            let image = Image { name, target, created };
            store.put_image(&image)?;
            Ok(image)
        })
        .collect()
}

/// A name found in a file.
fn parse_name(text: &str, path: &Path) -> Result<Reference> {
    let parsed = Reference::parse(text).map(Reference::or_latest);
    parsed.map_err(|error| Error::Invalid(format!("{}: image name {text}: {error}", path.display())))
}

fn damaged(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::Invalid(format!("{} cannot be imported: {why}", path.display()))
}

#[cfg(test)]
mod tests;
