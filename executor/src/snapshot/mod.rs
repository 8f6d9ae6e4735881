//! Trees as stacks of layers.
//!
//! A layer is a directory of what one step changed, with deletions as whiteouts (character device 0:0), so that it means
//! the same on any base. A tree ([`Committed`]) is a list of layers, and merging trees is appending lists. An [`Active`]
//! is a tree with a fresh writable layer on top; dropped uncommitted it is discarded.
//!
//! Layers that steps made never hold opaque directories: committing replaces them by whiteouts of what they hid. Layers
//! of images may hold them (marked as the kernel's overlay marks them): "hide all below" is what their author said.
//!
//! | file | what it is |
//! |---|---|
//! | `area` | the directories on disk: layers, staging, what a crash leaves |
//! | `mount` | detached overlay mounts |
//! | `stack` | reading merged layers without a mount |
//! | `tidy` | from the changes an overlay collected to a layer |
//! | `cover` | directories that a layer has only because something is in them |
//! | `change` | from two trees to the layer between them |
//! | `bare` | layers without what is of the tree that they were made in alone |
//! | `copy`, `copied`, `stamp` | copies from one tree into another; of a user's directory, from where the last one was |
//! | `overlay`, `native`, `scripted` | the implementations of [`Snapshots`] |
//! | `auto`, `trial` | overlay mounts or copies, whichever the system has |

mod area;
mod auto;
mod bare;
mod change;
pub(crate) mod copied;
pub(crate) mod copy;
mod cover;
pub(crate) mod entry;
mod files;
pub(crate) mod mode;
pub(crate) mod mount;
mod native;
mod overlay;
pub(crate) mod pool;
mod scripted;
pub(crate) mod stack;
pub(crate) mod stamp;
#[cfg(test)]
mod suite;
mod tidy;
mod trial;
pub(crate) mod xattr;

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use oci::Digest;

use crate::temp::TempPath;
use crate::{Error, Result};

pub use area::{Borrowed, Contents};
pub use auto::Auto;
pub use files::{Files, Node};
pub(crate) use files::{OpenDir, is_missing};
pub use native::Native;
pub use overlay::Overlayfs;
pub use scripted::Scripted;
pub(crate) use stack::{Dir, is_whiteout};

/// Name of a layer: its diff id when it came from an image, random when a step made it. Safe as a file name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerId(pub Arc<str>);

impl LayerId {
    /// The layer of an image with this diff id: stored once, whichever images have it.
    pub fn of_diff_id(diff_id: &Digest) -> Self {
        Self(diff_id.as_str().replace(':', "-").into())
    }

    /// A name nobody else has.
    pub fn random() -> Result<Self> {
        area::random_id()
    }
}

/// An immutable tree. **Shape**: its layers, lowest first; no layers is the empty tree (scratch).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Committed {
    /// The layers.
    pub layers: Vec<LayerId>,
}

/// Directories of an overlay mount.
#[derive(Clone, Debug)]
pub struct Overlay {
    /// Read-only directories, lowest first; never empty.
    pub lower: Vec<PathBuf>,
    /// Directory of changes.
    pub upper: PathBuf,
    /// Work directory.
    pub work: PathBuf,
}

/// A tree being changed; dropped uncommitted it is discarded.
pub struct Active {
    parent: Committed,
    tree: Tree,
    /// Whether the layer goes on with the topmost one of the parent ([`Contents::continues`]).
    continues: bool,
    // Last: the mount goes before its directories.
    staged: TempPath,
}

enum Tree {
    /// Mounted by whoever needs it: a runtime in its own namespace, or this process when `path` is asked for.
    Overlay { overlay: Overlay, mounted: OnceLock<mount::Mount> },
    /// A plain directory that holds the whole tree.
    Dir(PathBuf),
}

impl Active {
    fn new(parent: &Committed, tree: Tree, staged: TempPath) -> Self {
        Self { parent: parent.clone(), tree, continues: false, staged }
    }

    /// The merged tree, writable; mounted (detached, for this process only) when first asked for.
    ///
    /// A path below `/proc/self/fd` works in every thread of this process, and in no other process.
    pub fn path(&self) -> Result<&Path> {
        match &self.tree {
            Tree::Dir(path) => Ok(path),
            Tree::Overlay { overlay, mounted } => {
                if let Some(mount) = mounted.get() {
                    return Ok(mount.path());
                }
                let mount = mount::writable(overlay)?;
                Ok(mounted.get_or_init(|| mount).path())
            }
        }
    }

    /// What a runtime mounts itself; `None` when [`Active::path`] is a plain directory with the whole tree.
    pub fn overlay(&self) -> Option<&Overlay> {
        match &self.tree {
            Tree::Overlay { overlay, .. } => Some(overlay),
            Tree::Dir(_) => None,
        }
    }

    /// Lets a runtime mount it once more. The kernel leaves a mark in the work directory of a `volatile` mount, and refuses
    /// what has one: the machine may have gone down meanwhile. Here it has not.
    pub fn mount_again(&self) -> Result<()> {
        let Some(Overlay { work, .. }) = self.overlay() else { return Ok(()) };
        let emptied = std::fs::remove_dir_all(work).and_then(|()| std::fs::create_dir(work));
        emptied.map_err(Error::io("empty", work))
    }

    /// Lets its layer be one layer of an image with the topmost of the parent.
    #[must_use]
    pub fn continuing(mut self) -> Self {
        self.continues = true;
        self
    }

    /// The tree it started from.
    pub fn parent(&self) -> &Committed {
        &self.parent
    }
}

/// A tree that can be read at a path; unmounted when dropped.
pub struct View {
    path: PathBuf,
    /// What is merged, lowest first; empty when the path is a plain directory.
    layers: Vec<PathBuf>,
    _mount: Option<mount::Mount>,
    _staged: Option<TempPath>,
}

impl View {
    /// What a runtime stacks itself, at least two directories; `None` when [`View::path`] is a plain directory.
    pub fn layers(&self) -> Option<&[PathBuf]> {
        (!self.layers.is_empty()).then_some(&self.layers)
    }

    /// The merged tree, read-only: in this process only, see [`Active::path`].
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes and keeps trees.
pub trait Snapshots: Send + Sync {
    /// Whether trees are stacked on each other, so that one more costs nothing; else they are copied.
    fn stacks(&self) -> Result<bool> {
        Ok(false)
    }
    /// Lets it begin what the first tree waits for.
    fn expect(&self) {}
    /// Starts a writable tree on top of another.
    fn prepare(&self, parent: &Committed) -> Result<Active>;
    /// Ends it: the changes become a layer. A step that changed nothing gives an (empty) layer all the same.
    fn commit(&self, active: Active) -> Result<Committed>;
    /// Opens a tree for reading.
    fn view(&self, tree: &Committed) -> Result<View>;
    /// What changed from one tree to the other, as a tree: layers of `upper` when it grew out of `lower`, else one layer. No
    /// directory is in it for its time alone.
    fn diff(&self, lower: &Committed, upper: &Committed) -> Result<Committed>;
    /// Adds a layer from elsewhere: `fill` writes it into an empty directory. Nothing is done when it is there already.
    fn import(&self, id: &LayerId, fill: &mut dyn FnMut(&Path) -> Result<Contents>) -> Result<()>;
    /// Whether a layer is there. After a loss of power layers may be gone that a database still names.
    fn has(&self, id: &LayerId) -> bool;
    /// The directory of one layer, to diff or hash. **Errors**: `NotFound`.
    fn layer(&self, id: &LayerId) -> Result<PathBuf>;
    /// What is known of one layer. **Errors**: `NotFound`.
    fn contents(&self, id: &LayerId) -> Result<Contents>;
    /// Removes a layer that nothing refers to any more.
    fn remove(&self, id: &LayerId) -> Result<()>;
    /// The layers there are.
    fn list(&self) -> Result<Vec<LayerId>>;
    /// At the end: leaves what this process made on the way to whoever takes a copy of its lock and removes it.
    fn hand_over(&self, take: &mut dyn FnMut(BorrowedFd<'_>) -> bool) {
        let _ = take;
    }
    /// Bytes on disk of one layer. **Errors**: `NotFound`.
    fn usage(&self, id: &LayerId) -> Result<u64> {
        Ok(self.contents(id)?.bytes)
    }
}

/// Opens the layers of the store directory at `root`: with overlay mounts where the system has them, else with copies.
pub fn open(root: &Path) -> Result<Arc<dyn Snapshots>> {
    Ok(Arc::new(Auto::open(root)?))
}

/// Copies what is in one directory into another, empty one, with all metadata.
pub fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    let copy = || -> rustix::io::Result<()> {
        let out = std::fs::File::open(to).map_err(entry::errno_of)?.into();
        change::write_changes(None, Some(&Dir::plain(from)?), &out).map(drop)
    };
    copy().map_err(|errno| crate::Error::io("copy a tree to", to)(errno.into()))
}

/// The layers of `upper` above `lower`, when `lower` is what it grew out of.
fn grown_layers(lower: &Committed, upper: &Committed) -> Option<Committed> {
    let above = upper.layers.strip_prefix(lower.layers.as_slice())?;
    Some(Committed { layers: above.to_vec() })
}

/// Layers as an overlay can have them: each once, where it is topmost. What a lower occurrence says the upper one says too.
fn distinct(layers: &[LayerId]) -> Vec<&LayerId> {
    let mut seen = std::collections::HashSet::new();
    let mut kept: Vec<_> = layers.iter().rev().filter(|layer| seen.insert(*layer)).collect();
    kept.reverse();
    kept
}
