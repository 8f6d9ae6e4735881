//! OCI and Docker archives, and OCI layout directories.
//!
//! An archive is a tar sorted by name (parity C7): `blobs/`, `index.json`, for Docker `manifest.json`, `oci-layout`; no times,
//! no owners. A layout directory holds the same, and its index may hold other images, which stay.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use oci::{Descriptor, Digest, Index, Reference, media};
use serde::Serialize;

use super::attrs::ImageAttrs;
use super::dest::{self, Target};
use super::image::{self, Written};
use super::layers::Wanted;
use super::{Built, Context, Metadata};
use crate::layer::header::{END, Entry, Kind, padding, write_header};
use crate::{Error, Output, Result};

const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// Permissions of blobs.
const BLOB: u32 = 0o444;
/// Bytes that are written at once.
const BUFFER: usize = 256 << 10;
const IMAGE_NAME: &str = "io.containerd.image.name";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

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
    if docker {
        let manifest = docker_manifest(written, &attrs.names);
        records.insert("manifest.json".to_owned(), Record::Bytes(manifest, 0o644));
    }
    Ok(records)
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
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
    for blob in written.blobs.iter().chain([root]) {
        let path = dir.join(blob_path(&blob.digest));
        if fs::metadata(&path).is_ok_and(|meta| meta.len() == blob.size) {
            continue;
        }
        context.cancel.check()?;
        let parent = path.parent().expect("a blob is in a directory");
        fs::create_dir_all(parent).map_err(Error::io("make", parent))?;
        let mut target = Target::open(Some(&path))?;
        copy_blob(&blob.digest, blob.size, target.file(), context).map_err(Error::io("write", &path))?;
        // parity: a blob never changes.
        target.file().set_permissions(fs::Permissions::from_mode(BLOB)).map_err(Error::io("write", &path))?;
        target.finish()?;
    }
    write_file(&dir.join("oci-layout"), LAYOUT)?;
    let lock = dir.join("index.json.lock");
    let held = File::create(&lock).map_err(Error::io("make", &lock))?;
    held.lock().map_err(Error::io("lock", &lock))?;
    let updated = update_index(dir, root, attrs);
    let _ = fs::remove_file(&lock);
    updated
}

/// Adds the image to the index; other images of the same names go.
fn update_index(dir: &Path, root: &Descriptor, attrs: &ImageAttrs) -> Result<()> {
    let path = dir.join("index.json");
    let mut index = match fs::read(&path) {
        Ok(bytes) if !bytes.is_empty() => {
            serde_json::from_slice(&bytes).map_err(|error| Error::io("read", &path)(error.into()))?
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io("read", &path)(error)),
        _ => Index::new(Vec::new()),
    };
    if index.media_type.is_empty() {
        index.media_type = media::OCI_INDEX.to_owned();
    }
    let mut added = named(root, &attrs.names);
    if attrs.names.is_empty() {
        let tag = attrs.tag.clone().unwrap_or_else(|| "latest".into());
        added[0].annotations.insert(REF_NAME.into(), tag);
    }
    let key = |image: &Descriptor| [REF_NAME, IMAGE_NAME].map(|key| image.annotations.get(key).cloned());
    index.manifests.retain(|old| added.iter().all(|new| key(new) != key(old)));
    index.manifests.extend(added);
    write_file(&path, &oci::json::to_vec(&index))
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut target = Target::open(Some(path))?;
    target.file().write_all(bytes).map_err(Error::io("write", path))?;
    target.finish()
}
