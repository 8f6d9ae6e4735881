//! Where results go.
//!
//! An exporter gets one [`Built`] for each platform. Its image config is what the frontend wrote into the definition;
//! the exporter completes it (`rootfs`, `history` times). Outputs are written aside and renamed: never half.

mod ahead;
mod annotations;
mod archive;
mod attest;
mod attrs;
mod config;
mod dest;
mod dir;
mod image;
mod layers;
pub(crate) mod layout;
mod lend;
mod load;
mod packs;
mod parts;
mod statements;
#[cfg(test)]
mod tests;
mod tree;
mod whence;

use std::collections::{BTreeMap, BTreeSet};

use oci::Platform;

use self::parts::Parts;
use crate::cache::Key;
use crate::snapshot::{Committed, Snapshots};
use crate::sources::{self, Fetching};
use crate::store::Store;
use crate::{Cancel, Error, Output, Result, progress};

pub(crate) use ahead::{Ahead, pace, wanted};
pub(crate) use annotations::is_annotation;
pub use attest::{Attested, Gave, Given, Subject};
pub(crate) use attrs::{boolean, number};
pub(crate) use dest::check_dir;
pub(crate) use image::{family, is_internal, origins};
pub(crate) use layers::Wanted;
pub(crate) use lend::lend;
pub use lend::{Lending, Mode};
pub use packs::Packs;
pub use statements::{About, Attached, Left, Said};
pub(crate) use statements::{Room, read as statements};

/// The exporters there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// The store's images.
    #[default]
    Image,
    /// An OCI archive or layout.
    Oci,
    /// A Docker archive.
    Docker,
    /// An engine on this machine: Docker, Podman, containerd.
    Load,
    /// The tree as a tar.
    Tar,
    /// The tree as a directory.
    Local,
    /// Nothing: only the cache is filled.
    CacheOnly,
}

/// Where a layer is from, in this build, whoever put it into the store.
#[derive(Clone, Debug)]
pub struct Made {
    /// What made it.
    pub by: String,
    /// The blob that an image has it as, when it is one of an image.
    pub of_image: Option<sources::Remote>,
}

/// One result of a build.
#[derive(Clone, Debug)]
pub struct Built {
    /// The tree. Its layers may be elsewhere still: [`Context::materialise`] before looking at files.
    pub tree: Committed,
    /// Where each of its layers is from, as the definition has it; nothing where that does not say, but perhaps the store.
    pub made: Vec<Made>,
    /// Its keys in the cache.
    pub keys: Vec<Key>,
    /// What it is for.
    pub platform: Platform,
    /// Image config as JSON; `None` when the definition has none.
    pub config: Option<Vec<u8>>,
    /// Config of the image it was built on, as JSON: times of its history are kept when those of the result are fixed.
    pub base_config: Option<Vec<u8>>,
    /// Whether it is of a list of platforms, even one of one.
    pub listed: bool,
    /// What whoever made the definition calls it: `name=*` of an output.
    pub name: Option<String>,
    /// How it was made, where somebody asked for that.
    pub attested: Option<Box<Attested>>,
    /// What others say of it.
    pub said: Vec<Said>,
    /// What annotations whoever made the definition gives the images of the build, as attributes of an output would.
    pub annotations: BTreeMap<String, String>,
}

impl Built {
    /// How many layers an image of it has.
    pub(crate) fn layers(&self, snapshots: &dyn Snapshots) -> usize {
        Parts::of(&self.tree, snapshots).len()
    }
}

/// What an exporter works with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Blobs, layers, images by name.
    pub store: &'a Store,
    /// Trees.
    pub snapshots: &'a dyn Snapshots,
    /// Seconds since the epoch for timestamps of image and history, when they are fixed.
    pub epoch: Option<i64>,
    /// Where to tell how far it is.
    pub progress: &'a progress::Vertex<'a>,
    /// Asked to stop through this.
    pub cancel: &'a Cancel,
    /// What of the layers is packed.
    pub packs: &'a Packs,
    /// Where images hold the cache that led to them: the keys of all that the build needed.
    pub inline: Option<&'a BTreeSet<Key>>,
    pub(crate) fetching: &'a Fetching,
    pub(crate) sources: sources::Context<'a>,
}

impl Context<'_> {
    /// Makes sure that the files of a tree are on this machine.
    pub fn materialise(&self, tree: &Committed) -> Result<()> {
        self.fetching.materialise(std::slice::from_ref(tree), self.sources)
    }
}

/// What of the export is told in [`crate::Response::metadata`].
pub type Metadata = BTreeMap<String, serde_json::Value>;

/// What is shown while an exporter works, in BuildKit's words.
pub fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Image => "exporting to image",
        Kind::Oci => "exporting to oci image format",
        Kind::Docker | Kind::Load => "exporting to docker image format",
        Kind::Tar => "exporting to client tarball",
        Kind::Local => "exporting to client directory",
        Kind::CacheOnly => "filling the cache",
    }
}

impl Kind {
    /// Its name in `type=`.
    fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Oci => "oci",
            Self::Docker | Self::Load => "docker",
            Self::Tar => "tar",
            Self::Local => "local",
            Self::CacheOnly => "cacheonly",
        }
    }
}

/// Whether results are exported as a list: an index, a directory for each.
fn is_list(built: &[Built]) -> bool {
    built.len() > 1 || built.iter().any(|built| built.listed)
}

/// Finds out before a build what would make its export fail whatever is built. `list`: whether it gets one; `inline_only`:
/// where something is to be said of it, whether all of that is for stores and registries.
pub fn check(output: &Output, list: bool, inline_only: Option<bool>) -> Result<()> {
    let dest = output.dest.as_deref();
    let is_attested =
        |image: &attrs::ImageAttrs| inline_only.is_some_and(|inline_only| list || image.inline || !inline_only);
    let image = || {
        let image = attrs::ImageAttrs::parse(output.kind, &output.attrs, None)?;
        image::check_types(is_attested(&image), image.docker_types == Some(true))?;
        Ok::<_, Error>(image)
    };
    let tree = || attrs::TreeAttrs::parse(output.kind, &output.attrs, None);
    match output.kind {
        Kind::CacheOnly => Ok(()),
        Kind::Image => image::check(&image()?),
        Kind::Oci => archive::check(&image()?, dest),
        Kind::Docker => archive::check_docker(&image()?, dest, list),
        Kind::Load => image().and_then(|image| load::check(&image, list, is_attested(&image))),
        Kind::Tar => tree().and_then(|_| dest::check_file(dest)),
        Kind::Local => tree().and_then(|_| dest::check_dir(dest)),
    }
}

/// Finds out whether two outputs would be one file.
pub fn check_apart(outputs: &[Output]) -> Result<()> {
    let mut files = BTreeSet::new();
    let written = outputs.iter().filter(|output| matches!(output.kind, Kind::Oci | Kind::Docker | Kind::Tar));
    for dest in written.filter_map(|output| output.dest.as_deref()) {
        if let Some(file) = dest::file(dest)
            && !files.insert(file)
        {
            let text = format!("two outputs would be {}: give each a `dest=` of its own", dest.display());
            return Err(Error::Invalid(text));
        }
    }
    Ok(())
}

/// Hands results to one output. **Shape** of `built`: one for each platform, the host's last; never empty.
pub fn export(built: &[Built], output: &Output, context: Context<'_>) -> Result<Metadata> {
    if built.is_empty() {
        return Err(Error::Definition("there is no result to export".into()));
    }
    let image = || attrs::ImageAttrs::parse(output.kind, &output.attrs, context.epoch)?.said_by(built);
    let tree = || attrs::TreeAttrs::parse(output.kind, &output.attrs, context.epoch);
    match output.kind {
        Kind::CacheOnly => Ok(Metadata::new()),
        Kind::Image => image::export(built, &image()?, context),
        Kind::Oci => archive::export(built, output, &image()?, false, context),
        Kind::Docker => archive::export(built, output, &image()?, true, context),
        Kind::Load => load::export(built, &image()?, context),
        Kind::Tar => tree::export(built, output, &tree()?, context),
        Kind::Local => dir::export(built, output, &tree()?, context),
    }
}
