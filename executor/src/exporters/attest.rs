//! Attestations: what is said of a result, beside it.
//!
//! Of an image they are a manifest of their own in its index, for a platform that is none; of a tree they are files.
//!
//! parity: BuildKit v0.32, `exporter/attestation` and `exporter/containerimage/writer.go`; its
//! `docs/attestations/attestation-storage.md` has the form.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use oci::{Descriptor, Digest, Hasher, Manifest, Platform, Reference, media};
use rustix::fs::FileType;
use serde::Serialize;
use serde_json::{Value, json};

use super::attrs::{ImageAttrs, TreeAttrs};
use super::image::{self, Written};
use super::layers::{self, LayerBlob, Wanted};
use super::parts::Parts;
use super::{Built, Context, whence};
use crate::provenance::{self, Layers, Provenance, STATEMENT};
use crate::snapshot::stack::kind;
use crate::snapshot::{Committed, Files, OpenDir, entry};
use crate::{Error, Result, clock};

/// What kind of artifact the manifest of attestations is.
const ARTIFACT: &str = "application/vnd.docker.attestation.manifest.v1+json";
/// A statement.
const IN_TOTO: &str = "application/vnd.in-toto+json";
/// Annotation of a statement: what kind of predicate is in it.
const PREDICATE: &str = "in-toto.io/predicate-type";
/// Annotations of the manifest in the index: what it is, and of which.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

/// How a result was made, for whoever exports it.
#[derive(Clone, Debug)]
pub struct Attested {
    /// All but the layers.
    pub provenance: Provenance,
    /// What its steps gave.
    pub gave: Vec<Gave>,
}

/// What a step gave.
#[derive(Clone, Debug)]
pub struct Gave {
    /// The digest of its vertex.
    pub step: Digest,
    /// Which of its outputs.
    pub output: u32,
    /// It.
    pub given: Given,
}

/// A tree, or what it consists of.
#[derive(Clone, Debug)]
pub enum Given {
    /// A tree.
    Tree(Committed),
    /// The layers of an image, lowest first.
    Blobs(Vec<Descriptor>),
}

/// What a statement is of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Subject {
    /// Its name.
    pub name: String,
    /// Its digests, by algorithm.
    pub digest: Value,
}

impl Subject {
    /// A file, or whatever has a name and a digest.
    pub(super) fn new(name: String, digest: &Digest) -> Self {
        Self { name, digest: provenance::of_digest(digest) }
    }
}

/// Whether an image gets attestations. Those for images in stores and registries only, nothing else does.
///
/// parity: a list has an index in any case, and gets them in any case.
pub(super) fn is_attested(built: &[Built], attrs: &ImageAttrs) -> bool {
    let is_any = super::is_list(built) || attrs.inline;
    built.iter().flat_map(inline_only).any(|inline_only| is_any || !inline_only)
}

/// Of all that is said of a result, whether it is for images in stores and registries only.
fn inline_only(built: &Built) -> impl Iterator<Item = bool> {
    let made = built.attested.iter().map(|attested| attested.provenance.asked.attrs.inline_only);
    made.chain(built.said.iter().map(|said| said.inline_only))
}

/// A statement of a result, in the order of its fields.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Statement<'b> {
    #[serde(rename = "_type")]
    kind: &'static str,
    predicate_type: &'b str,
    subject: Vec<Subject>,
    predicate: Cow<'b, Value>,
    /// The file that it is in beside a tree.
    #[serde(skip)]
    file: &'b str,
}

/// What is said of a result: what others say, then how it was made. `layers`: those that were written for it; `is_wanted`:
/// whether one is, by what it says of that.
fn statements<'b>(
    built: &'b Built,
    subject: &[Subject],
    (layers, wanted): (&[LayerBlob], Wanted),
    is_wanted: &dyn Fn(bool) -> bool,
    context: Context<'_>,
) -> Result<Vec<Statement<'b>>> {
    let of_others = built.said.iter().filter(|said| is_wanted(said.inline_only)).map(|said| Statement {
        kind: STATEMENT,
        predicate_type: &said.predicate_type,
        subject: said.subject(subject),
        predicate: Cow::Borrowed(&said.predicate),
        file: &said.name,
    });
    let mut found: Vec<Statement<'b>> = of_others.collect();
    let attested = built.attested.as_deref();
    if let Some(Attested { provenance, gave }) =
        attested.filter(|attested| is_wanted(attested.provenance.asked.attrs.inline_only))
    {
        let layers = match &provenance.steps {
            Some(steps) => layers_of(built, steps, gave, layers, wanted, context)?,
            None => Layers::new(),
        };
        found.push(Statement {
            kind: STATEMENT,
            predicate_type: provenance.predicate_type(),
            subject: subject.to_vec(),
            predicate: Cow::Owned(provenance.predicate(clock::now(), &layers)?),
            file: &provenance.asked.attrs.filename,
        });
    }
    Ok(found)
}

/// The layers of what steps gave, as far as they are blobs.
fn layers_of(
    built: &Built,
    steps: &llb::dump::Steps,
    gave: &[Gave],
    image: &[LayerBlob],
    wanted: Wanted,
    context: Context<'_>,
) -> Result<Layers> {
    let mut layers = Layers::new();
    for Gave { step, output, given } in gave {
        let Some(id) = steps.digests.get(step) else { continue };
        let blobs = match given {
            Given::Blobs(blobs) => Some(blobs.clone()),
            Given::Tree(tree) => match of_image(tree, built, image, context) {
                Some(layers) => Some(layers),
                None => layers::existing(tree, wanted, context)?.map(|layers| described(&layers)),
            },
        };
        if let Some(blobs) = blobs.filter(|blobs| !blobs.is_empty()) {
            let blobs = blobs.iter().map(|blob| image::described(blob, false)).collect();
            layers.insert(format!("{id}:{output}"), vec![blobs]);
        }
    }
    Ok(layers)
}

/// The layers of a tree that the image begins with.
fn of_image(tree: &Committed, built: &Built, image: &[LayerBlob], context: Context<'_>) -> Option<Vec<Descriptor>> {
    let begins = built.tree.layers.starts_with(&tree.layers);
    let count = begins.then(|| Parts::of(tree, context.snapshots).len())?;
    image.get(..count).map(described)
}

fn described(layers: &[LayerBlob]) -> Vec<Descriptor> {
    layers.iter().map(|layer| layer.blob.clone()).collect()
}

/// Writes the manifest of what is said of an image, beside it.
pub(super) fn write(
    built: &Built,
    image: (&Descriptor, &[LayerBlob]),
    attrs: &ImageAttrs,
    wanted: Wanted,
    written: &mut Written,
    context: Context<'_>,
) -> Result<Option<Descriptor>> {
    let (of, layers) = image;
    let subject = attrs.names.iter().map(|name| subject(name, &built.platform, &of.digest));
    let subject = subject.collect::<Result<Vec<_>>>()?;
    let mut statements = statements(built, &subject, (layers, wanted), &|_| true, context)?;
    if statements.is_empty() {
        return Ok(None);
    }
    for (statement, _) in statements.iter_mut().zip(&built.said).filter(|(_, said)| said.is_bill_of_result()) {
        if let Some(document) = whence::with_layers(&statement.predicate, built, layers, context)? {
            statement.predicate = Cow::Owned(document);
        }
    }
    let put = |statement: &Statement<'_>| {
        let mut layer = image::put("attestation", IN_TOTO, &oci::json::to_vec(statement), context)?;
        layer.annotations = BTreeMap::from([(PREDICATE.to_owned(), statement.predicate_type.to_owned())]);
        Ok(layer)
    };
    let layers = statements.iter().map(put).collect::<Result<Vec<_>>>()?;
    let mut manifest = match attrs.classic_attestations {
        false => {
            let config = image::put("config", media::OCI_EMPTY, b"{}", context)?;
            let mut manifest = Manifest::new(Descriptor { data: b"{}".to_vec(), ..config }, layers);
            manifest.artifact_type = ARTIFACT.to_owned();
            manifest.subject = Some(Descriptor::new(&of.media_type, of.digest.clone(), of.size));
            manifest
        }
        true => {
            let config = image::put("config", media::OCI_CONFIG, &classic_config(&layers), context)?;
            Manifest::new(config, layers)
        }
    };
    manifest.media_type = media::OCI_MANIFEST.to_owned();
    let mut descriptor = image::put("attestation manifest", media::OCI_MANIFEST, &manifest.to_json(), context)?;
    descriptor.annotations = BTreeMap::from([
        (REFERENCE_DIGEST.to_owned(), of.digest.to_string()),
        (REFERENCE_TYPE.to_owned(), "attestation-manifest".to_owned()),
    ]);
    descriptor.platform = Some(Platform::new("unknown", "unknown"));
    written.blobs.push(Descriptor { data: Vec::new(), ..manifest.config });
    written.blobs.extend(manifest.layers);
    Ok(Some(descriptor))
}

/// Permissions of an attestation that is a file.
pub(super) const ATTESTATION: u32 = 0o600;

/// An attestation as a file.
pub(super) struct Attestation {
    /// Its name.
    pub(super) name: String,
    /// What it is, for messages.
    pub(super) what: String,
    pub(super) bytes: Vec<u8>,
    /// Of its last change, in seconds since the epoch.
    pub(super) time: i64,
}

impl Attestation {
    /// Writes it into a directory.
    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        let path = dir.join(&self.name);
        let write = || -> io::Result<()> {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = File::options().write(true).create_new(true).mode(ATTESTATION).open(&path)?;
            file.write_all(&self.bytes)?;
            let time = UNIX_EPOCH + Duration::from_secs(u64::try_from(self.time).unwrap_or_default());
            file.set_modified(time)
        };
        write().map_err(Error::io("write", &path))
    }
}

/// What is said of the files of a result, for beside them, by name. `suffix` is what names have that others would have, too.
pub(super) fn beside(
    built: &Built,
    files: &Files,
    suffix: Option<&str>,
    attrs: &TreeAttrs,
    context: Context<'_>,
) -> Result<Vec<Attestation>> {
    let is_wanted = |inline_only: bool| !inline_only;
    if !inline_only(built).any(is_wanted) {
        return Ok(Vec::new());
    }
    let mut subjects = Vec::new();
    let top = files.open_dir(Path::new("/")).map_err(Error::io("open", "/"))?;
    hash(&top, &mut PathBuf::new(), &mut subjects, context)?;
    let time = attrs.epoch.unwrap_or_else(|| clock::now().unix_seconds());
    let mut beside = BTreeMap::new();
    for statement in statements(built, &subjects, (&[], Wanted::default()), &is_wanted, context)? {
        let name = format!("{}{}", attrs.attestation_prefix, suffixed(statement.file, suffix));
        let what = format!("what is said of it ({})", statement.predicate_type);
        let bytes = oci::json::to_vec_indented(&statement);
        let file = Attestation { name: name.clone(), what, bytes, time };
        if beside.insert(name.clone(), file).is_some() {
            return Err(Error::Invalid(format!("duplicate attestation path name {name}")));
        }
    }
    Ok(beside.into_values().collect())
}

/// A name with the platform before its ending.
fn suffixed(file: &str, platform: Option<&str>) -> String {
    let Some(platform) = platform else { return file.to_owned() };
    let (stem, ending) = file.rfind('.').map_or((file, ""), |dot| file.split_at(dot));
    format!("{stem}.{}{ending}", platform.replace('/', "_"))
}

/// The digests of files, by their paths.
fn hash(dir: &OpenDir, path: &mut PathBuf, subjects: &mut Vec<Subject>, context: Context<'_>) -> Result<()> {
    for name in dir.names().map_err(Error::io("list", &*path))? {
        context.cancel.check()?;
        path.push(OsStr::from_bytes(name.to_bytes()));
        match kind(&dir.stat(&name).map_err(Error::io("read", &*path))?) {
            FileType::Directory => {
                hash(&dir.open_dir(&name).map_err(Error::io("open", &*path))?, path, subjects, context)?;
            }
            FileType::RegularFile => {
                let mut hasher = Hasher::sha256();
                let mut file =
                    entry::open_file(dir.fd(), &name).map_err(|errno| Error::io("read", &*path)(errno.into()))?;
                io::copy(&mut file, &mut hasher).map_err(Error::io("read", &*path))?;
                subjects.push(Subject::new(path.to_string_lossy().into_owned(), &hasher.finish()));
            }
            _ => {}
        }
        path.pop();
    }
    Ok(())
}

/// The config of a manifest that looks like an image's.
fn classic_config(statements: &[Descriptor]) -> Vec<u8> {
    let statements: Vec<&Digest> = statements.iter().map(|statement| &statement.digest).collect();
    oci::json::to_vec(&json!({
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": statements },
    }))
}

fn subject(name: &Reference, platform: &Platform, digest: &Digest) -> Result<Subject> {
    Ok(Subject::new(provenance::name_of_image(name, platform)?, digest))
}
