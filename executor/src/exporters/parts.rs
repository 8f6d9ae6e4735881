//! Which layers of a tree are one layer of an image.
//!
//! Nearly always each is one. A layer may go on with the one below it ([`Contents::continues`]): a copy that was made once
//! more because little had changed holds what changed, and the image has both as the one layer that a whole copy would be.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::Result;
use crate::snapshot::{Committed, Contents, LayerId, Snapshots};

/// Layers that are one, lowest first; never empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Parts {
    ids: Vec<LayerId>,
    /// Whether the lowest goes on with nothing. Then the topmost stands for all of them.
    whole: bool,
}

impl From<LayerId> for Parts {
    /// A layer that goes on with nothing.
    fn from(id: LayerId) -> Self {
        Self { ids: vec![id], whole: true }
    }
}

impl Parts {
    /// The parts of a tree's layers in an image, lowest first.
    pub(super) fn of(tree: &Committed, snapshots: &dyn Snapshots) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for id in &tree.layers {
            // A layer that is not here is of an image.
            let continues = snapshots.contents(id).ok().and_then(|contents| contents.continues);
            match all.last_mut() {
                Some(below) if continues.is_some() && continues.as_deref() == Some(&*below.top().0) => {
                    below.ids.push(id.clone());
                }
                _ => all.push(Self { ids: vec![id.clone()], whole: continues.is_none() }),
            }
        }
        all
    }

    /// The topmost.
    pub(super) fn top(&self) -> &LayerId {
        self.ids.last().expect("there is at least one")
    }

    /// The name by which the store knows them; `None` when they are not all that belongs together.
    pub(super) fn name(&self) -> Option<&str> {
        self.whole.then(|| &*self.top().0)
    }

    /// How many layers of a tree they are.
    pub(super) fn count(&self) -> usize {
        self.ids.len()
    }

    /// The one layer.
    pub(super) fn tree(&self) -> Committed {
        Committed { layers: self.ids.clone() }
    }

    /// Whether all of them are here.
    pub(super) fn are_here(&self, snapshots: &dyn Snapshots) -> bool {
        self.ids.iter().all(|id| snapshots.has(id))
    }

    /// Their directories, lowest first, and what is known of what they are together. **Errors**: `NotFound`.
    pub(super) fn read(&self, snapshots: &dyn Snapshots) -> Result<(Vec<PathBuf>, Contents)> {
        let dirs = self.ids.iter().map(|id| snapshots.layer(id)).collect::<Result<Vec<_>>>()?;
        let parts = self.ids.iter().map(|id| snapshots.contents(id)).collect::<Result<Vec<_>>>()?;
        let mut whole = parts.last().expect("there is at least one").clone();
        if parts.len() > 1 {
            whole.quiet = quiet(&dirs, &parts);
        }
        Ok((dirs, whole))
    }
}

/// Directories that no part has for more than their time.
fn quiet(dirs: &[PathBuf], parts: &[Contents]) -> Vec<Vec<u8>> {
    let quiet: BTreeSet<&Vec<u8>> = parts.iter().flat_map(|part| &part.quiet).collect();
    let is_quiet = |path: &[u8]| {
        let mut parts = dirs.iter().zip(parts);
        parts.all(|(dir, part)| {
            part.quiet.iter().any(|quiet| quiet == path) || !dir.join(OsStr::from_bytes(path)).exists()
        })
    };
    quiet.into_iter().filter(|path| is_quiet(path)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Overlayfs;

    /// Puts a layer of directories in place: `-` before a name says that it is quiet.
    fn layer(snapshots: &dyn Snapshots, id: &str, continues: Option<&str>, dirs: &[&str]) {
        let import = snapshots.import(&LayerId(id.into()), &mut |root| {
            let quiet =
                dirs.iter().filter_map(|dir| dir.strip_prefix('-')).map(|dir| dir.as_bytes().to_vec()).collect();
            dirs.iter().for_each(|dir| std::fs::create_dir_all(root.join(dir.trim_start_matches('-'))).unwrap());
            Ok(Contents { continues: continues.map(str::to_owned), quiet, ..Contents::default() })
        });
        import.unwrap();
    }

    fn parts(snapshots: &dyn Snapshots, layers: &str) -> Vec<Parts> {
        let layers = layers.split(' ').map(|id| LayerId(id.into())).collect();
        Parts::of(&Committed { layers }, snapshots)
    }

    #[test]
    fn a_layer_is_one_with_what_it_goes_on_with_if_that_is_right_below() {
        let root = tempfile::tempdir().unwrap();
        let snapshots = Overlayfs::open(root.path()).unwrap();
        for (id, continues) in [("a", None), ("b", None), ("b2", Some("b")), ("b3", Some("b2"))] {
            layer(&snapshots, id, continues, &[]);
        }
        let check = |layers: &str, expected: &[(&[&str], Option<&str>)]| {
            let found = parts(&snapshots, layers);
            let shown: Vec<_> = found
                .iter()
                .map(|parts| (parts.ids.iter().map(|id| &*id.0).collect::<Vec<_>>(), parts.name()))
                .collect();
            let expected: Vec<_> = expected.iter().map(|(ids, name)| (ids.to_vec(), *name)).collect();
            assert_eq!(shown, expected, "{layers}");
        };
        check("a b b2 b3", &[(&["a"], Some("a")), (&["b", "b2", "b3"], Some("b3"))]);
        check("b b2 a b3", &[(&["b", "b2"], Some("b2")), (&["a"], Some("a")), (&["b3"], None)]);
        check("a b2 b3", &[(&["a"], Some("a")), (&["b2", "b3"], None)]);
        check("elsewhere b", &[(&["elsewhere"], Some("elsewhere")), (&["b"], Some("b"))]);
    }

    #[test]
    fn a_directory_is_quiet_that_no_part_has_for_more_than_its_time() {
        let root = tempfile::tempdir().unwrap();
        let snapshots = Overlayfs::open(root.path()).unwrap();
        layer(&snapshots, "a", None, &["-both", "-lower", "-lower only", "upper"]);
        layer(&snapshots, "b", Some("a"), &["-both", "lower", "-upper"]);
        let (_, contents) = parts(&snapshots, "a b")[0].read(&snapshots).unwrap();
        assert_eq!(contents.quiet, [b"both".to_vec(), b"lower only".to_vec()]);
    }
}
