//! Markers of what may not have reached the disk.
//!
//! Nothing in the store is synced one by one, and no commit waits for the disk: what was written since the last boot is in
//! the page cache, whatever happens to processes. A marker says so; it is written before the thing appears, and a file
//! system journals both in that order. After a loss of power, things whose marker names another boot are dropped; after some
//! minutes the markers go, with one `syncfs` that finds nothing left to write.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use crate::temp::make_private;
use crate::{Error, Result};

/// Age of a marker at which the kernel has written everything back by itself (it does so after 30 seconds, by default).
/// Markers are looked at as often: there may be many.
const WRITTEN_BACK: Duration = Duration::from_secs(300);
/// Its time is when markers were last looked at. No boot has this name.
const LOOKED: &str = "looked";
/// For boots that have no name: every marker is of this one.
const NAMELESS: &str = "boot";

/// The markers of one kind of things. **Shape**: `<boot>/<name>`, an empty file for each, by the boot that made the thing.
pub(crate) struct Unsynced {
    dir: PathBuf,
    /// Those of this boot.
    own: PathBuf,
}

/// Name of the boot; `None` where boots have no name.
pub(crate) fn boot() -> Option<&'static str> {
    static BOOT: OnceLock<String> = OnceLock::new();
    let boot = BOOT.get_or_init(|| {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
        id.map(|id| id.trim().to_owned()).unwrap_or_default()
    });
    Some(boot.as_str()).filter(|boot| !boot.is_empty())
}

impl Unsynced {
    /// Markers in `dir`.
    pub(crate) fn open(dir: PathBuf) -> Result<Self> {
        let own = dir.join(boot().unwrap_or(NAMELESS));
        make_private(&own)?;
        Ok(Self { dir, own })
    }

    /// Marks a thing that is about to appear.
    pub(crate) fn mark(&self, name: &str) -> Result<()> {
        let marker = self.own.join(name);
        File::create(&marker).map(drop).map_err(Error::io("make", marker))
    }

    /// Whether a thing may not have reached the disk.
    pub(crate) fn is_marked(&self, name: &str) -> bool {
        self.own.join(name).exists()
    }

    /// Takes the marker away of a thing that is synced, or gone.
    pub(crate) fn unmark(&self, name: &str) {
        // One that stays is looked at again later.
        let _ = fs::remove_file(self.own.join(name));
    }

    /// Drops what another boot may not have written, with `drop`; from time to time takes the markers away of what the
    /// kernel has written.
    pub(crate) fn sweep(&self, drop: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        for boot in names(&self.dir).map_err(Error::io("list", &self.dir))? {
            let markers = self.dir.join(&boot);
            if boot != LOOKED && markers != self.own {
                sweep_boot(&markers, drop)?;
            }
        }
        let looked = self.dir.join(LOOKED);
        if age(&looked).is_some_and(|age| age < WRITTEN_BACK) {
            return Ok(());
        }
        self.forget_written()?;
        // Else they are looked at by the next process, too.
        let _ = File::create(&looked).and_then(|file| file.set_modified(SystemTime::now()));
        Ok(())
    }

    fn forget_written(&self) -> Result<()> {
        let mut written = names(&self.own).map_err(Error::io("list", &self.own))?;
        written.retain(|name| age(&self.own.join(name)).is_some_and(|age| age > WRITTEN_BACK));
        if !written.is_empty() {
            let dir = File::open(&self.own).map_err(Error::io("open", &self.own))?;
            rustix::fs::syncfs(&dir).map_err(|error| Error::io("sync", &self.own)(error.into()))?;
            written.iter().for_each(|name| self.unmark(name));
        }
        Ok(())
    }
}

/// Drops what another boot marked. Another process may be doing the same.
fn sweep_boot(markers: &Path, drop: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
    for name in names(markers).unwrap_or_default() {
        drop(&name)?;
        let _ = fs::remove_file(markers.join(&name));
    }
    let _ = fs::remove_dir(markers);
    Ok(())
}

fn names(dir: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

fn age(path: &Path) -> Option<Duration> {
    // A time that is to come is no age.
    fs::metadata(path).and_then(|meta| meta.modified()).ok()?.elapsed().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(root: &Path) -> Unsynced {
        Unsynced::open(root.join("unsynced")).unwrap()
    }

    fn set_back(path: &Path) {
        File::open(path).unwrap().set_modified(SystemTime::now() - WRITTEN_BACK * 2).unwrap();
    }

    fn dropped(unsynced: &Unsynced) -> Vec<String> {
        let mut dropped = Vec::new();
        let mut drop = |name: &str| {
            dropped.push(name.to_owned());
            Ok(())
        };
        unsynced.sweep(&mut drop).unwrap();
        dropped
    }

    #[test]
    fn what_another_boot_did_not_write_is_dropped() {
        let root = tempfile::tempdir().unwrap();
        let unsynced = open(root.path());
        unsynced.mark("kept").unwrap();
        fs::create_dir(root.path().join("unsynced/another boot")).unwrap();
        fs::write(root.path().join("unsynced/another boot/lost"), "").unwrap();
        assert_eq!(dropped(&unsynced), ["lost"]);
        assert!(unsynced.is_marked("kept") && !root.path().join("unsynced/another boot").exists());
        assert_eq!(dropped(&unsynced), [""; 0]);
    }

    #[test]
    fn markers_go_once_the_kernel_has_written() {
        let root = tempfile::tempdir().unwrap();
        let unsynced = open(root.path());
        ["old", "new"].iter().for_each(|name| unsynced.mark(name).unwrap());
        set_back(&unsynced.own.join("old"));
        assert_eq!(dropped(&unsynced), [""; 0]);
        assert!(unsynced.is_marked("new") && !unsynced.is_marked("old"));
        // Looked at a moment ago.
        set_back(&unsynced.own.join("new"));
        assert_eq!(dropped(&unsynced), [""; 0]);
        assert!(unsynced.is_marked("new"));
        set_back(&root.path().join("unsynced").join(LOOKED));
        assert_eq!(dropped(&unsynced), [""; 0]);
        assert!(!unsynced.is_marked("new"));
    }
}
