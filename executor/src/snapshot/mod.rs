//! Trees as stacks of layers.
//!
//! A layer is a directory of what one step changed, with deletions as whiteouts (character device 0:0) and no opaque
//! directories, so that it means the same on any base. A tree ([`Committed`]) is a list of layers, and merging trees is
//! appending lists. An [`Active`] is a tree with a fresh writable layer on top; dropped uncommitted it is discarded.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Result;

/// Name of a layer: its diff id when it came from an image, random when a step made it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerId(pub Arc<str>);

/// An immutable tree. **Shape**: its layers, lowest first; no layers is the empty tree (scratch).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Committed {
    /// The layers.
    pub layers: Vec<LayerId>,
}

/// A tree being changed.
pub trait Active: Send {
    /// The merged tree, writable.
    fn path(&self) -> &Path;
    /// What a runtime mounts itself: the layers' directories (lowest first), the directory of changes and its work directory.
    fn overlay(&self) -> Option<Overlay>;
}

/// Directories of an overlay mount.
#[derive(Clone, Debug)]
pub struct Overlay {
    /// Read-only directories, lowest first.
    pub lower: Vec<PathBuf>,
    /// Directory of changes.
    pub upper: PathBuf,
    /// Work directory.
    pub work: PathBuf,
}

/// A tree that can be read at a path; unmounted when dropped.
pub trait View: Send {
    /// The merged tree, read-only.
    fn path(&self) -> &Path;
}

/// Makes and keeps trees.
pub trait Snapshots: Send + Sync {
    /// Starts a writable tree on top of another.
    fn prepare(&self, parent: &Committed) -> Result<Box<dyn Active>>;
    /// Ends it: the changes become a layer. A step that changed nothing gives an (empty) layer all the same.
    fn commit(&self, active: Box<dyn Active>) -> Result<Committed>;
    /// Opens a tree for reading.
    fn view(&self, tree: &Committed) -> Result<Box<dyn View>>;
    /// The directory of one layer, to diff, hash or export.
    fn layer(&self, id: &LayerId) -> Result<PathBuf>;
    /// Removes a layer that nothing refers to any more.
    fn remove(&self, id: &LayerId) -> Result<()>;
    /// Bytes on disk of one layer.
    fn usage(&self, id: &LayerId) -> Result<u64>;
}
