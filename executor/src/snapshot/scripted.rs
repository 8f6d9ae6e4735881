//! Snapshots that are only names, for tests of what decides about them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use super::area::{Area, Contents};
use super::overlay::make_root;
use super::{Active, Committed, LayerId, Snapshots, Tree, View, grown_layers};
use crate::{Error, Result};

/// Layers by name, numbered in the order they are committed; directories are empty and forgotten.
pub struct Scripted {
    area: std::sync::Arc<Area>,
    layers: Mutex<BTreeMap<LayerId, Contents>>,
}

impl Scripted {
    /// No layers; `scratch` is a directory for what is being prepared.
    pub fn new(scratch: &Path) -> Result<Self> {
        Ok(Self { area: Area::open(scratch)?, layers: Mutex::default() })
    }

    fn layers(&self) -> MutexGuard<'_, BTreeMap<LayerId, Contents>> {
        self.layers.lock().expect("no panic while the layers are held")
    }

    fn add(&self, below: &Committed) -> Committed {
        let mut layers = self.layers();
        let id = LayerId(format!("layer{}", layers.len()).into());
        layers.insert(id.clone(), Contents::default());
        Committed { layers: below.layers.iter().cloned().chain([id]).collect() }
    }

    fn check(&self, tree: &Committed) -> Result<()> {
        tree.layers.iter().try_for_each(|id| self.contents(id).map(drop))
    }
}

impl Snapshots for Scripted {
    fn prepare(&self, parent: &Committed) -> Result<Active> {
        self.check(parent)?;
        let staged = self.area.stage()?;
        let path = make_root(&staged)?;
        Ok(Active::new(parent, Tree::Dir(path), staged))
    }

    fn commit(&self, active: Active) -> Result<Committed> {
        Ok(self.add(&active.parent))
    }

    fn view(&self, tree: &Committed) -> Result<View> {
        self.check(tree)?;
        let staged = self.area.stage()?;
        Ok(View { path: make_root(&staged)?, layers: Vec::new(), _mount: None, _staged: Some(staged) })
    }

    fn diff(&self, lower: &Committed, upper: &Committed) -> Result<Committed> {
        Ok(grown_layers(lower, upper).unwrap_or_else(|| self.add(&Committed::default())))
    }

    fn import(&self, id: &LayerId, fill: &mut dyn FnMut(&Path) -> Result<Contents>) -> Result<()> {
        if self.has(id) {
            return Ok(());
        }
        let contents = fill(&make_root(&self.area.stage()?)?)?;
        self.layers().insert(id.clone(), contents);
        Ok(())
    }

    fn has(&self, id: &LayerId) -> bool {
        self.layers().contains_key(id)
    }

    fn layer(&self, id: &LayerId) -> Result<PathBuf> {
        Err(Error::NotFound(format!("layer {} has no directory", id.0)))
    }

    fn contents(&self, id: &LayerId) -> Result<Contents> {
        let missing = || Error::NotFound(format!("layer {} is not in the store", id.0));
        self.layers().get(id).cloned().ok_or_else(missing)
    }

    fn remove(&self, id: &LayerId) -> Result<()> {
        self.layers().remove(id);
        Ok(())
    }

    fn list(&self) -> Result<Vec<LayerId>> {
        Ok(self.layers().keys().cloned().collect())
    }
}
