//! Blobs of registries and OCI layouts as one file: `docker-image+blob://NAME@DIGEST`, `oci-layout+blob://NAME@DIGEST`.
//!
//! The reference says what the bytes are, so pinning asks nobody, and a blob that is in the store is not fetched. Keys,
//! names and times mirror BuildKit's `source/containerblob`.

use oci::{Descriptor, Digest, Platform, Reference};
use serde::Serialize;

use super::content::{Layout, Repository};
use super::file::{Placed, parse_number};
use super::http::safe_name;
use super::image::{after_scheme, check_record_type};
use super::{Context, Key, Pinned, Source, layers};
use crate::snapshot::{Committed, LayerId};
use crate::{Error, Result};

/// Scheme of blobs in registries.
const SCHEME: &str = "docker-image+blob";
/// Scheme of blobs in OCI layout directories.
const LAYOUT_SCHEME: &str = "oci-layout+blob";

/// The schemes there are.
pub(super) const SCHEMES: [&str; 2] = [SCHEME, LAYOUT_SCHEME];

/// Both schemes.
pub(super) struct BlobSource;

impl Source for BlobSource {
    fn schemes(&self) -> &'static [&'static str] {
        &SCHEMES
    }

    fn pin(&self, source: &llb::Source, _: &Platform, _: Context<'_>) -> Result<Box<dyn Pinned>> {
        PinnedBlob::parse(source).map(|pinned| Box::new(pinned) as Box<dyn Pinned>)
    }
}

/// Brings a blob into the store, unless it is there.
pub(super) fn have(source: &llb::Source, context: Context<'_>) -> Result<()> {
    PinnedBlob::parse(source)?.have(context)
}

/// What a definition asks for.
struct PinnedBlob {
    digest: Digest,
    place: Place,
    /// The name that the definition gives; empty is none.
    filename: String,
    placed: Placed,
}

/// Where the bytes are.
enum Place {
    Repository(Reference),
    /// A layout by the name of its store.
    Layout(String),
}

impl PinnedBlob {
    fn parse(source: &llb::Source) -> Result<Self> {
        let text = after_scheme(&source.identifier);
        let (name, digest) =
            text.rsplit_once('@').ok_or_else(|| Error::Invalid(format!("{text}: a blob is named by its digest")))?;
        let digest = Digest::parse(digest).map_err(|error| Error::Invalid(format!("{text}: {error}")))?;
        let (mut filename, mut store, mut placed) = (String::new(), None, Placed::default());
        for (key, value) in source.attrs.iter() {
            match &**key {
                "http.filename" => filename = safe_name(value),
                "http.perm" => placed.perm = parse_number(key, value)?,
                "http.uid" => placed.uid = parse_number(key, value)?,
                "http.gid" => placed.gid = parse_number(key, value)?,
                "oci.store" => store = Some(value.clone()),
                "image.recordtype" => check_record_type(value)?,
                // What must be signed must not be taken for its digest alone, silently.
                _ if key.starts_with("http.sig.") => {
                    return Err(Error::Unsupported {
                        what: format!("{key} of a blob"),
                        why: "its digest says what it is; leave the attribute out".into(),
                    });
                }
                // Sessions mean nothing here; others belong to newer definitions.
                _ => {}
            }
        }
        placed.name = if filename.is_empty() { digest.hex().to_owned() } else { filename.clone() };
        let place = if source.identifier.starts_with(LAYOUT_SCHEME) {
            Place::Layout(store.ok_or_else(|| Error::Invalid("oci-layout blob source requires store id".into()))?)
        } else {
            let name = Reference::parse(name).map_err(|error| Error::Invalid(format!("{text}: {error}")))?;
            Place::Repository(name.without_object())
        };
        Ok(Self { digest, place, filename, placed })
    }

    /// parity: the key of blob sources.
    fn cache_key(&self) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Parts<'a> {
            digest: &'a Digest,
            filename: &'a str,
            perm: u32,
            #[serde(rename = "UID")]
            uid: u32,
            #[serde(rename = "GID")]
            gid: u32,
        }
        let Placed { perm, uid, gid, .. } = self.placed;
        let parts = Parts { digest: &self.digest, filename: &self.filename, perm, uid, gid };
        Digest::sha256(&oci::json::to_vec(&parts)).to_string()
    }

    /// Brings the blob into the store, unless it is there.
    fn have(&self, context: Context<'_>) -> Result<()> {
        if context.store.blobs().size(&self.digest)?.is_some() {
            return Ok(());
        }
        let described = |size| Descriptor::new("", self.digest.clone(), size);
        match &self.place {
            Place::Layout(store) => {
                let layout = Layout::find(&context.session.oci_layouts, store)?;
                layers::download(&described(layout.size(&self.digest)?), &layout, None, context)
            }
            Place::Repository(name) => {
                let client = &context.session.registries;
                let size = client.blob_size(name, &self.digest, context.cancel)?;
                let repository = Repository { client, name: name.clone(), cancel: context.cancel };
                layers::download(&described(size), &repository, None, context)
            }
        }
    }
}

impl Pinned for PinnedBlob {
    fn key(&self, index: usize, _: Context<'_>) -> Result<Option<Key>> {
        Ok((index == 0).then(|| Key::Stable(self.cache_key())))
    }

    fn pin(&self) -> String {
        self.digest.to_string()
    }

    /// The layer is named by the key: the same file is written once.
    fn fetch(&self, context: Context<'_>) -> Result<Committed> {
        let id = LayerId(format!("blob-{}", self.cache_key().trim_start_matches("sha256:")).into());
        if !context.snapshots.has(&id) {
            self.have(context)?;
            context.snapshots.import(&id, &mut |dir| self.placed.write(dir, &self.digest, context))?;
        }
        Ok(Committed { layers: vec![id] })
    }
}
