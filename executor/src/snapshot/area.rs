//! The directories on disk.
//!
//! ```text
//! layers-v1/<id>/fs       the layer
//! layers-v1/<id>/info     what is known of it
//! unsynced-v2/             marks layers that may not have reached the disk (see `unsynced`)
//! staging-v1/             what processes are making (see `temp`)
//! ```
//!
//! A layer is made in staging and renamed into place, so that what can be seen is whole.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{LayerId, entry, xattr};
use crate::temp::{Temp, TempPath, make_private};
use crate::unsynced::Unsynced;
use crate::{Error, Result};

const LAYERS: &str = "layers-v1";
const UNSYNCED: &str = "unsynced-v2";
const STAGING: &str = "staging-v1";

/// What is known of a layer.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Contents {
    /// Bytes on disk.
    pub bytes: u64,
    /// Whether it holds deletions: alone, it cannot be read as a plain directory.
    pub whiteouts: bool,
    /// Whether it holds opaque directories.
    pub opaque: bool,
    /// When it was made, seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<i64>,
    /// Nanoseconds after that second.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub created_nanos: u32,
    /// Directories that are in it for their time alone: part of the tree, left out of images. Raw bytes of paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quiet: Vec<Vec<u8>>,
    /// Links to files of it of which other names changed, and the directories that are there for them alone. Its tar has them
    /// behind those files. Raw bytes of paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<Vec<u8>>,
    /// Directories that are in it only because something is in them, parents first: what a base says of them counts
    /// (see `cover`). Raw bytes of paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub implicit: Vec<Vec<u8>>,
    /// Names that are links to files of the layers below. Only on a base is there something by them (see `cover`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub borrowed: Vec<Borrowed>,
    /// The layer that this one goes on with: on top of it they are one layer of an image. In trees it is one like any other.
    /// It has no deletions, and neither has that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<String>,
}

/// Permissions of the root of every tree.
pub(super) const ROOT: u32 = 0o755;

/// Takes away what a root got while its layer was made: no image says anything of it, so a tree whose layers were just made
/// must not, either. A tree made of the same layers by another machine would be another one.
fn reset_root(path: &Path) -> Result<()> {
    let reset = || -> io::Result<()> {
        let dir = File::open(path)?;
        xattr::remove_all(dir.as_fd(), c".")?;
        entry::set_owner(dir.as_fd(), c".", 0, 0)?;
        Ok(entry::set_mode(dir.as_fd(), c".", ROOT)?)
    };
    reset().map_err(Error::io("change the owner and mode of", path))
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A hard link to a file that the layer does not have itself. **Shape**: raw bytes of relative paths.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Borrowed {
    /// The name.
    pub path: Vec<u8>,
    /// Another name of the same file, below.
    pub target: Vec<u8>,
}

/// The layer directories of a store.
pub(super) struct Area {
    root: PathBuf,
    layers: PathBuf,
    unsynced: Unsynced,
    staging: Temp,
    /// What was read of layers, which never change.
    known: Mutex<HashMap<LayerId, Contents>>,
}

impl Area {
    /// Opens (and makes) the directories below `root`; removes what ended processes and other boots left half done.
    pub(super) fn open(root: &Path) -> Result<Arc<Self>> {
        let [layers, staging] = [LAYERS, STAGING].map(|name| root.join(name));
        [&layers, &staging].into_iter().try_for_each(|dir| make_private(dir))?;
        let staging = Temp::open(&staging)?;
        let unsynced = Unsynced::open(root.join(UNSYNCED))?;
        let area = Self { root: root.to_owned(), layers, unsynced, staging, known: Mutex::default() };
        area.unsynced.sweep(&mut |name| area.remove(&LayerId(name.into())))?;
        Ok(Arc::new(area))
    }

    /// Makes an empty directory of ours.
    pub(super) fn stage(&self) -> Result<TempPath> {
        self.staging.dir("layer")
    }

    /// Takes a directory out of a staged one. It goes with all that this process has staged: removing it takes longer than
    /// the rest of a commit.
    pub(super) fn set_aside(&self, dir: &Path) -> Result<()> {
        let aside = self.staging.path("aside")?;
        fs::rename(dir, aside.path()).map_err(Error::io("set aside", dir))?;
        aside.leave();
        Ok(())
    }

    /// The store.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Where things are made.
    pub(super) fn staging(&self) -> &Temp {
        &self.staging
    }

    /// Where the directory of a layer is made.
    pub(super) fn fs_of(staged: &TempPath) -> PathBuf {
        staged.path().join("fs")
    }

    /// Makes a staged layer visible. Another process may have been first with the same layer: then that one stays.
    pub(super) fn publish(&self, staged: TempPath, id: &LayerId, contents: &Contents) -> Result<()> {
        reset_root(&Self::fs_of(&staged))?;
        let info = staged.path().join("info");
        let mut contents = contents.clone();
        if contents.created.is_none()
            && let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH)
        {
            (contents.created, contents.created_nanos) = (i64::try_from(now.as_secs()).ok(), now.subsec_nanos());
        }
        let text = serde_json::to_vec(&contents).expect("plain data has a JSON form");
        fs::write(&info, text).map_err(Error::io("write", &info))?;
        self.unsynced.mark(&id.0)?;
        let target = self.layers.join(&*id.0);
        match fs::rename(staged.path(), &target) {
            Ok(()) => Ok(()),
            Err(error) if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => {
                Ok(())
            }
            Err(error) => Err(Error::io("make", target)(error)),
        }
    }

    /// Whether a layer is there.
    pub(super) fn has(&self, id: &LayerId) -> bool {
        self.layers.join(&*id.0).is_dir()
    }

    /// The directory of a layer.
    pub(super) fn dir(&self, id: &LayerId) -> Result<PathBuf> {
        let path = self.layers.join(&*id.0).join("fs");
        if path.is_dir() { Ok(path) } else { Err(missing(id)) }
    }

    /// What is known of a layer.
    pub(super) fn contents(&self, id: &LayerId) -> Result<Contents> {
        let known = || self.known.lock().expect("no panic while the map is held");
        if let Some(contents) = known().get(id) {
            return Ok(contents.clone());
        }
        let contents = self.read_contents(id)?;
        known().insert(id.clone(), contents.clone());
        Ok(contents)
    }

    fn read_contents(&self, id: &LayerId) -> Result<Contents> {
        let path = self.layers.join(&*id.0).join("info");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing(id)),
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        serde_json::from_slice(&text).map_err(|error| Error::io("read", path)(error.into()))
    }

    /// Removes a layer: it is gone at once, its files a little later.
    pub(super) fn remove(&self, id: &LayerId) -> Result<()> {
        let staged = self.stage()?;
        let from = self.layers.join(&*id.0);
        self.known.lock().expect("no panic while the map is held").remove(id);
        match fs::rename(&from, staged.path().join("removed")) {
            Ok(()) => {
                self.unsynced.unmark(&id.0);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::io("remove", from)(error)),
        }
    }

    /// The layers there are, by name.
    pub(super) fn list(&self) -> Result<Vec<LayerId>> {
        let mut ids: Vec<_> = names(&self.layers)?.into_iter().map(|name| LayerId(name.into())).collect();
        ids.sort();
        Ok(ids)
    }
}

fn missing(id: &LayerId) -> Error {
    Error::NotFound(format!("layer {} is not in the store", id.0))
}

/// A name nobody else has: 128 random bits in hexadecimal digits.
pub(super) fn random_id() -> Result<LayerId> {
    let mut bytes = [0; 16];
    let source = "/dev/urandom";
    File::open(source).and_then(|mut file| file.read_exact(&mut bytes)).map_err(Error::io("read", source))?;
    Ok(LayerId(format!("{:032x}", u128::from_ne_bytes(bytes)).into()))
}

fn names(dir: &Path) -> Result<Vec<String>> {
    let read = || -> io::Result<Vec<String>> {
        fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    read().map_err(Error::io("list", dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(area: &Area, name: &str) -> LayerId {
        let id = LayerId(name.into());
        let staged = area.stage().unwrap();
        fs::create_dir(Area::fs_of(&staged)).unwrap();
        area.publish(staged, &id, &Contents::default()).unwrap();
        id
    }

    #[test]
    fn a_staged_directory_goes_with_its_owner() {
        let root = tempfile::tempdir().unwrap();
        let area = Area::open(root.path()).unwrap();
        let staged = area.stage().unwrap();
        let path = staged.path().to_owned();
        assert!(path.is_dir());
        drop(staged);
        assert!(!path.exists());
        drop(area);
        assert_eq!(names(&root.path().join(STAGING)).unwrap(), ["lock"]);
    }

    #[test]
    fn those_who_open_at_the_same_time_leave_each_other_alone() {
        let root = tempfile::tempdir().unwrap();
        let open_and_publish = |thread: usize| {
            for round in 0..50 {
                let area = Area::open(root.path()).unwrap();
                let [own, shared] = [format!("{thread}-{round}"), format!("{round}")].map(|name| publish(&area, &name));
                assert!(area.has(&own) && area.has(&shared));
            }
        };
        std::thread::scope(|scope| (0..8).for_each(|thread| drop(scope.spawn(move || open_and_publish(thread)))));
        assert_eq!(names(&root.path().join(STAGING)).unwrap(), ["lock"]);
    }

    #[test]
    fn layers_of_another_boot_that_were_never_synced_are_dropped() {
        let root = tempfile::tempdir().unwrap();
        let area = Area::open(root.path()).unwrap();
        let [lost, kept] = ["lost", "kept"].map(|name| publish(&area, name));
        fs::create_dir(root.path().join(UNSYNCED).join("another boot")).unwrap();
        fs::write(root.path().join(UNSYNCED).join("another boot/lost"), "").unwrap();
        let area = Area::open(root.path()).unwrap();
        assert!(!area.has(&lost));
        assert!(area.has(&kept));
    }

    #[test]
    fn the_first_of_two_equal_layers_stays() {
        let root = tempfile::tempdir().unwrap();
        let area = Area::open(root.path()).unwrap();
        let id = publish(&area, "same");
        fs::write(area.dir(&id).unwrap().join("first"), "").unwrap();
        publish(&area, "same");
        assert!(area.dir(&id).unwrap().join("first").exists());
        area.remove(&id).unwrap();
        assert!(!area.has(&id));
        assert!(matches!(area.contents(&id), Err(Error::NotFound(_))));
    }
}
