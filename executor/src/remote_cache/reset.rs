//! What a layout directory holds for nobody: blobs that nothing in its index leads to.
//!
//! parity: BuildKit's client (`resetCacheStore` of `client/solve.go`) keeps what it can follow from the index.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use oci::{Algorithm, Descriptor, Digest, Document, media};

use crate::exporters::layout::{self, blob_path};
use crate::sources::content::{Content, Layout, parse};
use crate::{Error, Result};

/// Removes the blobs that the index does not lead to.
///
/// **Errors**: a manifest that the index leads to is not there, or is none; nothing is removed then.
pub(super) fn reset(dir: &Path) -> Result<()> {
    layout::locked(dir, || {
        let needed = needed(dir)?;
        for digest in blobs(dir, Algorithm::Sha256)?.into_iter().chain(blobs(dir, Algorithm::Sha512)?) {
            if !needed.contains(&digest) {
                let path = dir.join(blob_path(&digest));
                fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            }
        }
        Ok(())
    })
}

/// The blobs that the index leads to.
fn needed(dir: &Path) -> Result<BTreeSet<Digest>> {
    let layout = Layout(dir.to_owned());
    let mut needed = BTreeSet::new();
    let mut open: Vec<Descriptor> = layout::index(dir)?.map(|index| index.manifests).unwrap_or_default();
    while let Some(entry) = open.pop() {
        if !needed.insert(entry.digest.clone()) {
            continue;
        }
        if !media::is_manifest(&entry.media_type) && !media::is_index(&entry.media_type) {
            continue;
        }
        match parse(&entry.digest, &layout.document(&entry)?)? {
            Document::Manifest(manifest) => open.extend(manifest.layers.into_iter().chain([manifest.config])),
            Document::Index(index) => open.extend(index.manifests),
        }
    }
    Ok(needed)
}

fn blobs(dir: &Path, algorithm: Algorithm) -> Result<Vec<Digest>> {
    let path = dir.join("blobs").join(algorithm.as_str());
    let entries = match fs::read_dir(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::io("read", &path))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(Error::io("read", &path))?.file_name();
        found.extend(Digest::parse(&format!("{}:{}", algorithm.as_str(), name.to_string_lossy())).ok());
    }
    Ok(found)
}
