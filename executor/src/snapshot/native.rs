//! Snapshots by copying, for systems without overlay mounts: every tree is copied to be changed or read.
//!
//! The layers on disk are those of [`super::Overlayfs`]; only how a tree is put together differs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::area::{Area, Contents};
use super::overlay::{diff, import, make_root, publish, stack};
use super::stack::Dir;
use super::{Active, Committed, LayerId, Snapshots, Tree, View, change, entry};
use crate::{Error, Result};

/// Snapshots by copying.
pub struct Native {
    area: Arc<Area>,
}

impl Native {
    /// Opens the layers of the store directory at `root`.
    pub fn open(root: &Path) -> Result<Self> {
        Ok(Self { area: Area::open(root)? })
    }

    /// Copies a whole tree into the directory `whole` of a staged directory.
    fn copy(&self, tree: &Committed, to: &Path) -> Result<()> {
        let stack = stack(&self.area, tree)?;
        let copy = || -> rustix::io::Result<()> {
            let out = File::open(to).map_err(entry::errno_of)?.into();
            change::write_changes(None, stack.root()?.as_ref(), &out).map(drop)
        };
        copy().map_err(|errno| Error::io("copy a tree to", to)(errno.into()))
    }
}

impl Snapshots for Native {
    fn expect(&self) {
        self.area.staging().begin();
    }

    fn prepare(&self, parent: &Committed) -> Result<Active> {
        let staged = self.area.stage()?;
        let path = make_root(&staged)?;
        self.copy(parent, &path)?;
        Ok(Active::new(parent, Tree::Dir(path), staged))
    }

    fn commit(&self, active: Active) -> Result<Committed> {
        let whole = Area::fs_of(&active.staged);
        let staged = self.area.stage()?;
        let path = make_root(&staged)?;
        let lower = stack(&self.area, &active.parent)?;
        let write = || -> rustix::io::Result<Contents> {
            let out = File::open(&path).map_err(entry::errno_of)?.into();
            change::write_changes(lower.root()?.as_ref(), Some(&Dir::plain(&whole)?), &out)
        };
        let contents = write().map_err(|errno| Error::io("commit", &whole)(errno.into()))?;
        publish(&self.area, staged, &contents, active.parent)
    }

    fn view(&self, tree: &Committed) -> Result<View> {
        let staged = self.area.stage()?;
        let path = make_root(&staged)?;
        self.copy(tree, &path)?;
        Ok(View { path, layers: Vec::new(), _mount: None, _staged: Some(staged) })
    }

    fn diff(&self, lower: &Committed, upper: &Committed) -> Result<Committed> {
        diff(&self.area, lower, upper)
    }

    fn import(&self, id: &LayerId, fill: &mut dyn FnMut(&Path) -> Result<Contents>) -> Result<()> {
        import(&self.area, id, fill)
    }

    fn has(&self, id: &LayerId) -> bool {
        self.area.has(id)
    }

    fn layer(&self, id: &LayerId) -> Result<PathBuf> {
        self.area.dir(id)
    }

    fn contents(&self, id: &LayerId) -> Result<Contents> {
        self.area.contents(id)
    }

    fn remove(&self, id: &LayerId) -> Result<()> {
        self.area.remove(id)
    }

    fn list(&self) -> Result<Vec<LayerId>> {
        self.area.list()
    }
}
