//! Snapshots on the kernel's overlay file system.

use std::fs::{self, File};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::area::{Area, Contents, ROOT, random_id};
use super::stack::Stack;
use super::{
    Active, Committed, LayerId, Overlay, Snapshots, Tree, View, bare, change, cover, distinct, entry, grown_layers,
    mount, tidy, trial,
};
use crate::temp::TempPath;
use crate::{Error, Result};

/// Snapshots on overlay mounts. Committing keeps the directory of changes as the layer.
pub struct Overlayfs {
    area: Arc<Area>,
}

impl Overlayfs {
    /// Opens the layers of the store directory at `root`.
    pub fn open(root: &Path) -> Result<Self> {
        Ok(Self { area: Area::open(root)? })
    }

    /// Whether the system lets us mount overlays with changes in this store.
    pub fn is_supported(&self) -> bool {
        trial::is_supported(&self.area)
    }

    fn stack(&self, tree: &Committed) -> Result<Stack> {
        stack(&self.area, tree)
    }

    /// The layer that a layer on top of `parent` goes on with. Deletions would hide more than that layer's files.
    fn continued(&self, parent: &Committed, contents: &Contents) -> Result<Option<String>> {
        let Some(top) = parent.layers.last() else { return Ok(None) };
        let deletes = |contents: &Contents| contents.whiteouts || contents.opaque;
        let separate = deletes(contents) || deletes(&self.area.contents(top)?);
        Ok((!separate).then(|| top.0.to_string()))
    }
}

impl Snapshots for Overlayfs {
    fn stacks(&self) -> Result<bool> {
        Ok(true)
    }

    fn expect(&self) {
        self.area.staging().begin();
    }

    fn prepare(&self, parent: &Committed) -> Result<Active> {
        let staged = self.area.stage()?;
        let upper = make_root(&staged)?;
        let Stack { layers: lower } = self.stack(parent)?;
        if lower.is_empty() {
            // Nothing below: the directory of changes is the tree.
            return Ok(Active::new(parent, Tree::Dir(upper), staged));
        }
        let work = staged.path().join("work");
        fs::create_dir(&work).map_err(Error::io("make", &work))?;
        let overlay = Overlay { lower, upper, work };
        Ok(Active::new(parent, Tree::Overlay { overlay, mounted: OnceLock::new() }, staged))
    }

    fn commit(&self, active: Active) -> Result<Committed> {
        let Active { parent, tree, continues, staged } = active;
        // Unmounted before its directories are looked at.
        drop(tree);
        let upper = Area::fs_of(&staged);
        let lower = self.stack(&parent)?;
        let tidied = lower.root().and_then(|lower| tidy::tidy(&upper, lower.as_ref()));
        let mut contents = tidied.map_err(|errno| Error::io("commit", &upper)(errno.into()))?;
        if continues {
            contents.continues = self.continued(&parent, &contents)?;
        }
        let work = staged.path().join("work");
        if work.exists() {
            self.area.set_aside(&work)?;
        }
        publish(&self.area, staged, &contents, parent)
    }

    fn view(&self, tree: &Committed) -> Result<View> {
        let Stack { mut layers } = self.stack(tree)?;
        let plain = match tree.layers.as_slice() {
            [only] => self.area.contents(only).map(|contents| !contents.whiteouts && !contents.opaque)?,
            _ => false,
        };
        if plain && let Some(path) = layers.pop() {
            return Ok(View { path, layers: Vec::new(), _mount: None, _staged: None });
        }
        // The kernel wants two directories; and an empty one is all there is of scratch.
        let staged = self.area.stage()?;
        let empty = make_root(&staged)?;
        if layers.is_empty() {
            return Ok(View { path: empty, layers: Vec::new(), _mount: None, _staged: Some(staged) });
        }
        layers.insert(0, empty);
        let mount = mount::readable(&layers)?;
        Ok(View { path: mount.path().to_owned(), layers, _mount: Some(mount), _staged: Some(staged) })
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

    fn hand_over(&self, take: &mut dyn FnMut(BorrowedFd<'_>) -> bool) {
        self.area.staging().hand_over(take);
    }
}

/// Makes the empty directory that a layer is made in.
pub(super) fn make_root(staged: &TempPath) -> Result<PathBuf> {
    let path = Area::fs_of(staged);
    fs::DirBuilder::new().mode(ROOT).create(&path).map_err(Error::io("make", &path))?;
    // Whatever the umask is.
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(ROOT))
        .map_err(Error::io("change the mode of", &path))?;
    Ok(path)
}

/// The directories of a tree's layers, each once, and the covers of those that need one.
pub(super) fn stack(area: &Area, tree: &Committed) -> Result<Stack> {
    let mut stack = Stack::default();
    let ids = distinct(&tree.layers);
    for (index, id) in ids.iter().enumerate() {
        let dir = area.dir(id)?;
        let contents = area.contents(id)?;
        let covered = match contents.borrowed.as_slice() {
            [] if contents.implicit.is_empty() || index == 0 => None,
            _ => cover_of(area, &dir, &contents, &ids[..index], &stack)?,
        };
        stack.layers.push(dir);
        stack.layers.extend(covered);
    }
    Ok(stack)
}

/// The cover of the layer at `dir` on what is below it.
fn cover_of(
    area: &Area,
    dir: &Path,
    contents: &Contents,
    below: &[&LayerId],
    lower: &Stack,
) -> Result<Option<PathBuf>> {
    let names: Vec<_> = below.iter().map(|id| &*id.0).collect();
    let name = format!("cover-{}", &oci::Digest::sha256(names.join(" ").as_bytes()).hex()[..32]);
    let path = dir.with_file_name(name);
    if !path.is_dir() {
        let staged = area.stage()?;
        let made = make_root(&staged)?;
        if !cover::write(dir, contents, lower, &made)? {
            return Ok(None);
        }
        cover::publish(&made, &path).map_err(Error::io("make", &path))?;
    }
    Ok(Some(path))
}

/// Publishes a staged layer under a new name, on top of `parent`.
pub(super) fn publish(area: &Area, staged: TempPath, contents: &Contents, parent: Committed) -> Result<Committed> {
    let id = random_id()?;
    area.publish(staged, &id, contents)?;
    let mut layers = parent.layers;
    layers.push(id);
    Ok(Committed { layers })
}

pub(super) fn diff(area: &Area, lower: &Committed, upper: &Committed) -> Result<Committed> {
    if let Some(grown) = grown_layers(lower, upper) {
        return bare::without_quiet(area, grown);
    }
    let staged = area.stage()?;
    let path = make_root(&staged)?;
    let (lower, upper) = (stack(area, lower)?, stack(area, upper)?);
    let write = || -> rustix::io::Result<Contents> {
        let out = File::open(&path).map_err(entry::errno_of)?.into();
        change::write_changes(lower.root()?.as_ref(), upper.root()?.as_ref(), &out)
    };
    let contents = write().map_err(|errno| Error::io("write the difference to", &path)(errno.into()))?;
    bare::without_quiet(area, publish(area, staged, &contents, Committed::default())?)
}

pub(super) fn import(area: &Area, id: &LayerId, fill: &mut dyn FnMut(&Path) -> Result<Contents>) -> Result<()> {
    if area.has(id) {
        return Ok(());
    }
    let staged = area.stage()?;
    let contents = fill(&make_root(&staged)?)?;
    area.publish(staged, id, &contents)
}
