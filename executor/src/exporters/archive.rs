//! OCI and Docker archives, and OCI layout directories.
//!
//! An archive is a tar sorted by name (parity C7): `blobs/`, `index.json`, for Docker `manifest.json`, `oci-layout`; no times,
//! no owners. A layout directory holds the same, and its index may hold other images, which stay.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use oci::{Descriptor, Digest, Index, Reference};
use serde::Serialize;

use super::attrs::ImageAttrs;
use super::dest::{self, Target};
use super::image::{self, Written};
use super::layers::Wanted;
use super::layout::{self, BLOB, IMAGE_NAME, LAYOUT, REF_NAME, blob_path};
use super::{Built, Context, Metadata};
use crate::layer::header::{END, Entry, Kind, padding, write_header};
use crate::{Error, Output, Result};

/// Bytes that are written at once.
const BUFFER: usize = 256 << 10;

/// Refuses to push an archive.
pub(super) fn check_attrs(attrs: &ImageAttrs) -> Result<()> {
    if attrs.push {
        return Err(Error::Invalid("push=true is for type=image and type=registry".into()));
    }
    Ok(())
}

/// The same, and finds out whether it could be written.
pub(super) fn check(attrs: &ImageAttrs, dest: Option<&Path>) -> Result<()> {
    check_attrs(attrs)?;
    if attrs.tar { dest::check_file(dest) } else { dest::check_dir(dest) }
}

/// The same for an archive of Docker's, which holds one image.
pub(super) fn check_docker(attrs: &ImageAttrs, dest: Option<&Path>, list: bool) -> Result<()> {
    if list {
        return Err(Error::Invalid("docker exporter does not currently support exporting manifest lists".into()));
    }
    check(attrs, dest)
}

/// Writes an archive or a layout directory.
pub(super) fn export(
    built: &[Built],
    output: &Output,
    attrs: &ImageAttrs,
    docker: bool,
    context: Context<'_>,
) -> Result<Metadata> {
    let written = image::write(built, attrs, attrs.docker_types.unwrap_or(false), Wanted::passing(attrs), context)?;
    let root = image::announced(&written, attrs);
    if attrs.tar {
        let mut target = Target::open(output.dest.as_deref())?;
        let shown = output.dest.clone().unwrap_or_else(|| "standard output".into());
        let records = records(&written, &root, attrs, docker)?;
        let _part = context.progress.part("sending tarball", 0);
        write_archive(target.file(), &records, context).map_err(|error| match context.cancel.is_cancelled() {
            true => Error::Cancelled,
            false => Error::io("write", shown)(error),
        })?;
        target.finish()?;
    } else {
        let dest = dest::directory(output.dest.as_deref())?;
        write_layout(dest, &written, &root, attrs, context)?;
    }
    image::metadata(&written, &root, &attrs.names)
}

/// What one entry of an archive holds.
pub(super) enum Record {
    Dir,
    Bytes(Vec<u8>, u32),
    Blob(Digest, u64),
}

/// The entries by name.
pub(super) fn records(
    written: &Written,
    root: &Descriptor,
    attrs: &ImageAttrs,
    docker: bool,
) -> Result<BTreeMap<String, Record>> {
    let mut records = BTreeMap::new();
    records.insert("oci-layout".to_owned(), Record::Bytes(LAYOUT.to_vec(), 0o444));
    records.insert("blobs/".to_owned(), Record::Dir);
    for blob in written.blobs.iter().chain([root]) {
        records.insert(format!("blobs/{}/", blob.digest.algorithm().as_str()), Record::Dir);
        records.insert(blob_path(&blob.digest), Record::Blob(blob.digest.clone(), blob.size));
    }
    let index = Index::new(named(root, &attrs.names));
    records.insert("index.json".to_owned(), Record::Bytes(oci::json::to_vec(&index), 0o644));
    // parity: an index is nothing that Docker's file can say.
    if docker && written.config.is_some() {
        let manifest = docker_manifest(written, &attrs.names);
        records.insert("manifest.json".to_owned(), Record::Bytes(manifest, 0o644));
    }
    Ok(records)
}

/// The root once for each name.
fn named(root: &Descriptor, names: &[Reference]) -> Vec<Descriptor> {
    if names.is_empty() {
        return vec![root.clone()];
    }
    let one = |name: &Reference| {
        let mut root = root.clone();
        root.annotations.insert(IMAGE_NAME.into(), name.to_string());
        root.annotations.insert(REF_NAME.into(), object(name));
        root
    };
    names.iter().map(one).collect()
}

/// What stands behind the repository: the tag, or `@` and the digest.
fn object(name: &Reference) -> String {
    match (name.tag(), name.digest()) {
        (Some(tag), None) => tag.to_owned(),
        (Some(tag), Some(digest)) => format!("{tag}@{digest}"),
        (None, Some(digest)) => format!("@{digest}"),
        (None, None) => String::new(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

fn docker_manifest(written: &Written, names: &[Reference]) -> Vec<u8> {
    let list = |list: Vec<String>| (!list.is_empty()).then_some(list);
    let image = |manifest: &oci::Manifest| DockerImage {
        config: blob_path(&manifest.config.digest),
        repo_tags: list(names.iter().map(Reference::familiar).collect()),
        layers: list(manifest.layers.iter().map(|layer| blob_path(&layer.digest)).collect()),
    };
    oci::json::to_vec(&written.manifests.iter().map(image).collect::<Vec<_>>())
}

/// Writes the entries as a tar.
pub(super) fn write_archive<W: Write>(
    out: &mut W,
    records: &BTreeMap<String, Record>,
    context: Context<'_>,
) -> io::Result<()> {
    for (name, record) in records {
        if context.cancel.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let (kind, mode, size) = match record {
            Record::Dir => (Kind::Dir, 0o755, 0),
            Record::Bytes(bytes, mode) => (Kind::File, *mode, bytes.len() as u64),
            Record::Blob(_, size) => (Kind::File, BLOB, *size),
        };
        write_header(out, &Entry { mode, size, ..Entry::new(name.as_bytes(), kind) })?;
        match record {
            Record::Dir => {}
            Record::Bytes(bytes, _) => out.write_all(bytes)?,
            Record::Blob(digest, size) => copy_blob(digest, *size, out, context)?,
        }
        out.write_all(padding(size))?;
    }
    out.write_all(&END)
}

fn copy_blob<W: Write>(digest: &Digest, size: u64, out: &mut W, context: Context<'_>) -> io::Result<()> {
    if let Some(tar) = context.packs.tar(digest) {
        let mut out = BufWriter::with_capacity(BUFFER, out);
        tar.write(&mut out, context).map_err(|error| io::Error::other(error.to_string()))?;
        return out.flush();
    }
    let mut blob = context.store.blobs().open(digest).map_err(|error| io::Error::other(error.to_string()))?;
    // Between files this is the kernel's affair.
    let copied = io::copy(&mut blob, out)?;
    if copied == size { Ok(()) } else { Err(io::Error::other(format!("blob {digest} has {copied} bytes, not {size}"))) }
}

fn write_layout(
    dir: &Path,
    written: &Written,
    root: &Descriptor,
    attrs: &ImageAttrs,
    context: Context<'_>,
) -> Result<()> {
    for blob in written.blobs.iter().chain([root]).filter(|blob| !layout::has(dir, blob)) {
        context.cancel.check()?;
        layout::put_blob(dir, &blob.digest, |file| copy_blob(&blob.digest, blob.size, file, context))?;
    }
    let mut added = named(root, &attrs.names);
    if attrs.names.is_empty() {
        let tag = attrs.tag.clone().unwrap_or_else(|| "latest".into());
        added[0].annotations.insert(REF_NAME.into(), tag);
    }
    layout::add(dir, added)
}
