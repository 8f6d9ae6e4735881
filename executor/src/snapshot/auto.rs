//! Overlay mounts where the system has them, else copies: found out when the first tree is needed, because a build that
//! finds everything in the cache needs none, and should not wait for a trial mount.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{Active, Committed, Contents, LayerId, Native, Overlayfs, Snapshots, View};
use crate::Result;

/// The snapshots that fit the system.
pub struct Auto {
    root: PathBuf,
    overlay: Overlayfs,
    /// Made when overlays turn out not to work.
    native: OnceLock<Option<Native>>,
}

impl Auto {
    /// Opens the layers of the store directory at `root`.
    pub fn open(root: &Path) -> Result<Self> {
        Ok(Self { root: root.to_owned(), overlay: Overlayfs::open(root)?, native: OnceLock::new() })
    }

    fn fitting(&self) -> Result<&dyn Snapshots> {
        if self.native.get().is_none() {
            let native = if self.overlay.is_supported() { None } else { Some(Native::open(&self.root)?) };
            // Another thread that was quicker found the same.
            let _ = self.native.set(native);
        }
        match self.native.get().expect("it was set just now") {
            Some(native) => Ok(native),
            None => Ok(&self.overlay),
        }
    }
}

impl Snapshots for Auto {
    fn stacks(&self) -> Result<bool> {
        self.fitting()?.stacks()
    }

    fn expect(&self) {
        // Why there are no trees is said to who asks for one.
        if let Ok(fitting) = self.fitting() {
            fitting.expect();
        }
    }

    fn prepare(&self, parent: &Committed) -> Result<Active> {
        self.fitting()?.prepare(parent)
    }

    fn commit(&self, active: Active) -> Result<Committed> {
        self.fitting()?.commit(active)
    }

    fn view(&self, tree: &Committed) -> Result<View> {
        self.fitting()?.view(tree)
    }

    fn diff(&self, lower: &Committed, upper: &Committed) -> Result<Committed> {
        self.fitting()?.diff(lower, upper)
    }

    // Layers are the same directories either way.

    fn import(&self, id: &LayerId, fill: &mut dyn FnMut(&Path) -> Result<Contents>) -> Result<()> {
        self.overlay.import(id, fill)
    }

    fn has(&self, id: &LayerId) -> bool {
        self.overlay.has(id)
    }

    fn layer(&self, id: &LayerId) -> Result<PathBuf> {
        self.overlay.layer(id)
    }

    fn contents(&self, id: &LayerId) -> Result<Contents> {
        self.overlay.contents(id)
    }

    fn remove(&self, id: &LayerId) -> Result<()> {
        self.overlay.remove(id)
    }

    fn list(&self) -> Result<Vec<LayerId>> {
        self.overlay.list()
    }

    fn hand_over(&self, take: &mut dyn FnMut(BorrowedFd<'_>) -> bool) {
        self.overlay.hand_over(take);
    }
}
