//! Where trees come from: pin an identifier (cheap, gives the cache keys), then fetch.
//!
//! Fetching may be lazy: a tree of an image is a list of layer ids that is known from its config alone, so `fetch` only
//! tells the store where each layer can be had ([`crate::store::Store::put_layer`]) and [`Fetching`] gets the missing ones
//! when somebody needs the files.

mod blob;
pub(crate) mod content;
mod file;
mod git;
mod http;
mod image;
mod layers;
pub mod local;
mod material;
mod materialise;
mod oci_layout;
mod pins;
mod process;
mod select;
mod signature;
#[cfg(test)]
mod tests;

use oci::{Descriptor, Digest, Platform};

use crate::snapshot::{Committed, LayerId, Snapshots};
use crate::store::Store;
use crate::{Cancel, Error, Result, progress, session::Session};

pub(crate) use image::in_parallel;
pub use image::{Images, Mode, Resolved};
pub(crate) use material::material;
pub use materialise::Fetching;
pub use pins::Pins;
pub use select::Image;

/// What a source works with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Blobs, layers, images by name.
    pub store: &'a Store,
    /// Trees.
    pub snapshots: &'a dyn Snapshots,
    /// The user's directories, layouts, secrets.
    pub session: &'a Session,
    /// Where to tell how far it is.
    pub progress: &'a progress::Vertex<'a>,
    /// Asked to stop through this.
    pub cancel: &'a Cancel,
}

/// One kind of source.
pub trait Source: Send + Sync {
    /// The schemes it serves, without `://`.
    fn schemes(&self) -> &'static [&'static str];

    /// Finds out what exactly the identifier names, without fetching it.
    fn pin(&self, source: &llb::Source, platform: &Platform, context: Context<'_>) -> Result<Box<dyn Pinned>>;

    /// Makes one layer that this source told the store of: downloads and unpacks it, so that `snapshots` has it.
    /// **Errors**: `Unsupported` for sources that have no lazy layers.
    fn layer(&self, id: &LayerId, origin: &str, _: Context<'_>) -> Result<()> {
        Err(Error::Unsupported {
            what: format!("fetching layer {} from {origin}", id.0),
            why: "the source has none".into(),
        })
    }

    /// Downloads a blob of a layer into the store. **Errors**: the same.
    fn blob(&self, blob: &Descriptor, origin: &str, _: Context<'_>) -> Result<()> {
        Err(Error::Unsupported {
            what: format!("fetching {} from {origin}", blob.digest),
            why: "the source has none".into(),
        })
    }
}

/// A source that knows what it will fetch.
pub trait Pinned: Send + Sync {
    /// The key at a position, best first; `None` when there are no more. Later keys may cost more (an image's second
    /// key needs its config), and are asked for only when earlier ones lead to nothing.
    fn key(&self, index: usize, context: Context<'_>) -> Result<Option<Key>>;

    /// Makes the tree known; its layers may still be elsewhere.
    fn fetch(&self, context: Context<'_>) -> Result<Committed>;

    /// What exactly it is: a digest, a commit; empty of what has neither.
    fn pin(&self) -> String;

    /// The layers of the tree, lowest first: of an image the blobs that it has them as.
    fn layers(&self) -> Vec<Option<Remote>> {
        vec![None]
    }
}

/// A blob of an image, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// The origin of layers, as the store knows it.
    pub origin: String,
    /// As the manifest has it.
    pub blob: Descriptor,
    /// Digest of its tar.
    pub diff_id: Digest,
}

impl Remote {
    /// Makes sure that the blob is in the store.
    pub(crate) fn fetch(&self, context: Context<'_>) -> Result<()> {
        if context.store.blobs().size(&self.blob.digest)?.is_some() {
            return Ok(());
        }
        find(&self.origin)?.blob(&self.blob, &self.origin, context)
    }
}

/// What a source's result is found by in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// Means the same everywhere; the text that parity B2 calls `K`.
    Stable(String),
    /// Means nothing outside this build (a local directory): only the content is compared.
    Session(String),
}

/// The sources there are.
pub static SOURCES: &[&dyn Source] = &[
    &image::ImageSource,
    &oci_layout::LayoutSource,
    &blob::BlobSource,
    &http::HttpSource,
    &git::GitSource,
    &local::LocalSource,
];

/// The source that serves an identifier.
pub fn find(identifier: &str) -> Result<&'static dyn Source> {
    let (scheme, _) = identifier
        .split_once("://")
        .ok_or_else(|| Error::Definition(format!("source {identifier:?} has no scheme")))?;
    let found = SOURCES.iter().find(|source| source.schemes().contains(&scheme));
    found.copied().ok_or_else(|| Error::Unsupported {
        what: format!("source scheme {scheme}://"),
        why: "this executor has no such source".into(),
    })
}

/// Whether every layer of a tree is here, or can be had: from a directory of the user's only if it was given, from a server
/// always.
pub fn can_be_had(tree: &Committed, context: Context<'_>) -> Result<bool> {
    let is_within_reach = |origin: &String| {
        let layout = origin.strip_prefix(image::LAYOUT_SCHEME).and_then(|rest| rest.strip_prefix("://"));
        layout.is_none_or(|name| context.session.oci_layouts.contains_key(name))
    };
    for id in tree.layers.iter().filter(|id| !context.snapshots.has(id)) {
        if !context.store.layer(&id.0)?.origins.iter().any(is_within_reach) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What is known of a source before it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meta {
    /// A commit of a repository.
    Commit {
        /// Full name (`refs/heads/main`), or the commit itself.
        name: String,
        /// The object of that name: a commit, or an annotated tag.
        object: String,
        /// The commit behind an annotated tag; empty where there is no tag.
        tagged: String,
        /// The commit as git stores it; empty unless contents were asked for.
        commit: Vec<u8>,
        /// The annotated tag as git stores it; empty unless there is one and contents were asked for.
        tag: Vec<u8>,
    },
    /// A file on the web.
    File {
        /// Its digest.
        digest: oci::Digest,
        /// Its name.
        name: String,
        /// When it was changed, in seconds since 1970, if the server says.
        modified: Option<i64>,
    },
}

impl Meta {
    /// When it was changed, in seconds since 1970: a commit's time, `Last-Modified`; `None` when nobody says.
    pub fn time(&self) -> Option<i64> {
        match self {
            Self::Commit { commit, .. } => commit_time(commit),
            Self::File { modified, .. } => *modified,
        }
    }
}

/// When what a source names was changed, in seconds since 1970: of an archive whose server does not say, its newest file.
/// `None` when nobody says.
pub fn time(source: &llb::Source, context: Context<'_>) -> Result<Option<i64>> {
    match meta(source, true, context)? {
        Some(Meta::File { digest, modified: None, .. }) => http::newest(&digest, context),
        meta => Ok(meta.and_then(|meta| meta.time())),
    }
}

/// Seconds since 1970 in the `committer` line of a commit.
fn commit_time(commit: &[u8]) -> Option<i64> {
    let header = String::from_utf8_lossy(commit);
    let line = header.lines().take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix("committer "))?;
    line.rsplit(' ').nth(1)?.parse().ok()
}

/// What is known of a commit or a file on the web; `None` for sources of other kinds. Downloads as [`Source::pin`] does,
/// and commits only if their `contents` are wanted.
///
/// **Errors**: there is no such source; it cannot be reached.
pub fn meta(source: &llb::Source, contents: bool, context: Context<'_>) -> Result<Option<Meta>> {
    match source.identifier.split_once("://").map_or("", |(scheme, _)| scheme) {
        "git" => git::meta(source, contents, context).map(Some),
        "http" | "https" => http::meta(source, context).map(Some),
        _ => find(&source.identifier).map(|_| None),
    }
}
