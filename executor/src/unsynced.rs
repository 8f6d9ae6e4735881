//! Markers of what may not have reached the disk.
//!
//! Nothing in the store is synced one by one, and no commit waits for the disk: what was written since the last boot is in
//! the page cache, whatever happens to processes. A marker says so; it is written before the thing appears, and a file
//! system journals both in that order. After a loss of power, things whose marker names another boot are dropped; after some
//! minutes the markers go, with one `syncfs` that finds nothing left to write.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::temp::{Temp, make_private};
use crate::{Error, Result};

/// Age of a marker at which the kernel has written everything back by itself (it does so after 30 seconds, by default).
const WRITTEN_BACK: Duration = Duration::from_secs(300);

/// The markers of one kind of things. **Shape**: a file for each, of the same name; it holds the boot they were written in.
pub(crate) struct Unsynced {
    dir: PathBuf,
    temp: Temp,
    boot: String,
}

impl Unsynced {
    /// Markers in `dir`, made in `temp`, which is on the same file system.
    pub(crate) fn open(dir: PathBuf, temp: Temp) -> Result<Self> {
        make_private(&dir)?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id");
        // Where boots have no name, every marker is of this one.
        Ok(Self { dir, temp, boot: boot.map(|id| id.trim().to_owned()).unwrap_or_default() })
    }

    /// Marks a thing that is about to appear. Whoever sweeps at this moment sees a whole marker or none.
    pub(crate) fn mark(&self, name: &str) -> Result<()> {
        let marker = self.temp.path("marker");
        fs::write(marker.path(), &self.boot).map_err(Error::io("write", marker.path()))?;
        marker.persist(&self.dir.join(name))
    }

    /// Whether a thing may not have reached the disk.
    pub(crate) fn is_marked(&self, name: &str) -> bool {
        self.dir.join(name).exists()
    }

    /// Takes the marker away of a thing that is synced, or gone.
    pub(crate) fn unmark(&self, name: &str) {
        // One that stays is looked at again at the next start.
        let _ = fs::remove_file(self.dir.join(name));
    }

    /// Drops what another boot may not have written, with `drop`; takes the markers away of what the kernel has written.
    pub(crate) fn sweep(&self, drop: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        let mut written_back = Vec::new();
        for name in names(&self.dir).map_err(Error::io("list", &self.dir))? {
            let marker = self.dir.join(&name);
            if fs::read_to_string(&marker).unwrap_or_default() != self.boot {
                drop(&name)?;
                self.unmark(&name);
            } else if age(&marker) > WRITTEN_BACK {
                written_back.push(name);
            }
        }
        if !written_back.is_empty() {
            let dir = File::open(&self.dir).map_err(Error::io("open", &self.dir))?;
            rustix::fs::syncfs(&dir).map_err(|error| Error::io("sync", &self.dir)(error.into()))?;
            written_back.iter().for_each(|name| self.unmark(name));
        }
        Ok(())
    }
}

fn names(dir: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

fn age(path: &Path) -> Duration {
    fs::metadata(path).and_then(|meta| meta.modified()).ok().and_then(|time| time.elapsed().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn open(root: &Path) -> Unsynced {
        fs::create_dir_all(root.join("tmp")).unwrap();
        Unsynced::open(root.join("unsynced"), Temp::open(&root.join("tmp")).unwrap()).unwrap()
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
        ["lost", "kept"].iter().for_each(|name| unsynced.mark(name).unwrap());
        fs::write(root.path().join("unsynced/lost"), "another boot").unwrap();
        assert_eq!(dropped(&unsynced), ["lost"]);
        assert!(unsynced.is_marked("kept") && !unsynced.is_marked("lost"));
    }

    #[test]
    fn markers_go_once_the_kernel_has_written() {
        let root = tempfile::tempdir().unwrap();
        let unsynced = open(root.path());
        ["old", "new"].iter().for_each(|name| unsynced.mark(name).unwrap());
        let long_ago = SystemTime::now() - WRITTEN_BACK * 2;
        File::options().write(true).open(root.path().join("unsynced/old")).unwrap().set_modified(long_ago).unwrap();
        assert_eq!(dropped(&unsynced), [""; 0]);
        assert!(unsynced.is_marked("new") && !unsynced.is_marked("old"));
    }
}
