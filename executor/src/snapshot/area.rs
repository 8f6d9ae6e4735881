//! The directories on disk.
//!
//! ```text
//! layers-v1/<id>/fs       the layer
//! layers-v1/<id>/info     what is known of it
//! unsynced-v1/<id>        layers that may not have reached the disk; holds the boot they were written in
//! staging-v1/<process>/   what one process is making; locked while that process lives
//! ```
//!
//! A layer is made in staging and renamed into place, so that what can be seen is whole. No file is synced one by one, and
//! no commit waits for the disk: a layer written since the last boot is in the page cache whatever happens to processes.
//! A marker says so; it is written before the layer appears, and a file system journals both in that order. After a loss of
//! power, layers whose marker names another boot are dropped; after some minutes the markers go, with one `syncfs` that
//! finds nothing left to write.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::LayerId;
use crate::{Error, Result};

const LAYERS: &str = "layers-v1";
const UNSYNCED: &str = "unsynced-v1";
const STAGING: &str = "staging-v1";
const LOCK: &str = "lock";

/// Age of a marker at which the kernel has written its layer back by itself (it does so after 30 seconds, by default).
const WRITTEN_BACK: Duration = Duration::from_secs(300);

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
    /// Directories that are in it for their time alone: part of the tree, left out of images. Raw bytes of paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quiet: Vec<Vec<u8>>,
    /// Directories that are in it only because something is in them, parents first: what a base says of them counts
    /// (see `cover`). Raw bytes of paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub implicit: Vec<Vec<u8>>,
    /// Names that are links to files of the layers below. Only on a base is there something by them (see `cover`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub borrowed: Vec<Borrowed>,
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
    layers: PathBuf,
    unsynced: PathBuf,
    process: PathBuf,
    boot: String,
    next: AtomicU64,
    /// What was read of layers, which never change.
    known: Mutex<HashMap<LayerId, Contents>>,
    // Keeps the process directory ours; released by the kernel however we end.
    _lock: File,
}

/// A directory of one thing being made; removed with all in it when dropped.
pub struct Staged(PathBuf);

impl Staged {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Nobody is left to tell, and the next start removes what stays.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Area {
    /// Opens (and makes) the directories below `root`; removes what ended processes and other boots left half done.
    pub(super) fn open(root: &Path) -> Result<Arc<Self>> {
        let [layers, unsynced, staging] = [LAYERS, UNSYNCED, STAGING].map(|name| root.join(name));
        for dir in [&layers, &unsynced, &staging] {
            fs::create_dir_all(dir).map_err(Error::io("make", dir))?;
        }
        sweep_staging(&staging)?;
        let boot = boot_id();
        sweep_unsynced(&layers, &unsynced, &boot)?;
        let (process, lock) = own_staging(&staging)?;
        Ok(Arc::new(Self {
            layers,
            unsynced,
            process,
            boot,
            next: AtomicU64::new(0),
            known: Mutex::default(),
            _lock: lock,
        }))
    }

    /// Makes an empty directory of ours.
    pub(super) fn stage(&self) -> Result<Staged> {
        let path = self.process.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        fs::create_dir(&path).map_err(Error::io("make", &path))?;
        Ok(Staged(path))
    }

    /// Where the directory of a layer is made.
    pub(super) fn fs_of(staged: &Staged) -> PathBuf {
        staged.path().join("fs")
    }

    /// Makes a staged layer visible. Another process may have been first with the same layer: then that one stays.
    pub(super) fn publish(&self, staged: Staged, id: &LayerId, contents: &Contents) -> Result<()> {
        let info = staged.path().join("info");
        let created =
            SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|now| i64::try_from(now.as_secs()).ok());
        let contents = &Contents { created: contents.created.or(created), ..contents.clone() };
        let text = serde_json::to_vec(contents).expect("plain data has a JSON form");
        fs::write(&info, text).map_err(Error::io("write", &info))?;
        let marker = self.unsynced.join(&*id.0);
        fs::write(&marker, &self.boot).map_err(Error::io("write", &marker))?;
        let target = self.layers.join(&*id.0);
        match fs::rename(staged.path(), &target) {
            Ok(()) => {
                std::mem::forget(staged);
                Ok(())
            }
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
                let _ = fs::remove_file(self.unsynced.join(&*id.0));
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

impl Drop for Area {
    fn drop(&mut self) {
        // What others still hold in it stays until the next start.
        let _ = fs::remove_file(self.process.join(LOCK));
        let _ = fs::remove_dir(&self.process);
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

/// The kernel's name of this boot; empty where there is none, which no marker matches but its own.
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

fn names(dir: &Path) -> Result<Vec<String>> {
    let read = || -> io::Result<Vec<String>> {
        fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    read().map_err(Error::io("list", dir))
}

/// Makes a staging directory and locks it. Sweepers take the same lock, so the race for a new directory ends in a retry.
fn own_staging(staging: &Path) -> Result<(PathBuf, File)> {
    loop {
        let process = staging.join(&*random_id()?.0);
        fs::create_dir(&process).map_err(Error::io("make", &process))?;
        let Ok(mut lock) = File::create(process.join(LOCK)) else { continue };
        if lock.try_lock().is_err() {
            continue;
        }
        let _ = write!(lock, "{}", std::process::id());
        if process.join(LOCK).exists() {
            return Ok((process, lock));
        }
    }
}

/// Removes the directories of processes that ended.
fn sweep_staging(staging: &Path) -> Result<()> {
    for name in names(staging)? {
        let process = staging.join(name);
        let free = match File::open(process.join(LOCK)) {
            Ok(lock) => lock.try_lock().is_ok().then_some(Some(lock)),
            // Ended, or about to make its lock: a directory that is not empty is the former.
            Err(_) => (fs::remove_dir(&process).is_err()).then_some(None),
        };
        if free.is_some() {
            let _ = fs::remove_dir_all(&process);
        }
    }
    Ok(())
}

/// Drops layers that another boot may not have written, and the markers of those this one has.
fn sweep_unsynced(layers: &Path, unsynced: &Path, boot: &str) -> Result<()> {
    let mut written_back = Vec::new();
    for name in names(unsynced)? {
        let marker = unsynced.join(&name);
        if fs::read_to_string(&marker).unwrap_or_default() != boot {
            let layer = layers.join(&name);
            if layer.exists() {
                fs::remove_dir_all(&layer).map_err(Error::io("remove", &layer))?;
            }
            let _ = fs::remove_file(&marker);
        } else if age(&marker) > WRITTEN_BACK {
            written_back.push(marker);
        }
    }
    if !written_back.is_empty() {
        let dir = File::open(layers).map_err(Error::io("open", layers))?;
        rustix::fs::syncfs(&dir).map_err(|error| Error::io("sync", layers)(error.into()))?;
        for marker in written_back {
            let _ = fs::remove_file(marker);
        }
    }
    Ok(())
}

fn age(path: &Path) -> Duration {
    fs::metadata(path).and_then(|meta| meta.modified()).ok().and_then(|time| time.elapsed().ok()).unwrap_or_default()
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
        assert_eq!(names(&root.path().join(STAGING)).unwrap(), [""; 0]);
    }

    #[test]
    fn what_a_killed_process_left_is_swept_and_what_a_living_one_has_is_not() {
        let root = tempfile::tempdir().unwrap();
        let living = Area::open(root.path()).unwrap();
        let kept = living.stage().unwrap();
        let dead = root.path().join(STAGING).join("dead");
        fs::create_dir_all(dead.join("0/fs/deep")).unwrap();
        fs::write(dead.join(LOCK), "1").unwrap();
        let _other = Area::open(root.path()).unwrap();
        assert!(!dead.exists());
        assert!(kept.path().exists());
    }

    #[test]
    fn layers_of_another_boot_that_were_never_synced_are_dropped() {
        let root = tempfile::tempdir().unwrap();
        let area = Area::open(root.path()).unwrap();
        let [lost, kept] = ["lost", "kept"].map(|name| publish(&area, name));
        fs::write(root.path().join(UNSYNCED).join("lost"), "another boot").unwrap();
        let area = Area::open(root.path()).unwrap();
        assert!(!area.has(&lost));
        assert!(area.has(&kept));
    }

    #[test]
    fn markers_go_once_the_kernel_has_written() {
        let root = tempfile::tempdir().unwrap();
        let area = Area::open(root.path()).unwrap();
        let id = publish(&area, "old");
        let marker = root.path().join(UNSYNCED).join("old");
        let long_ago = SystemTime::now() - WRITTEN_BACK * 2;
        File::options().write(true).open(&marker).unwrap().set_modified(long_ago).unwrap();
        let area = Area::open(root.path()).unwrap();
        assert!(!marker.exists());
        assert!(area.has(&id));
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
