//! Whether overlays can be mounted: a trial mount shows it. Its directories take milliseconds to remove where the file system
//! tells the disk of each block that is free, so the store remembers that it went well, for as long as that says something:
//! in this boot, on this device, by who has the same rights.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::area::Area;
use super::mount;
use crate::unsynced;
use crate::{Result, userns};

/// What it says: where and by whom an overlay was mounted.
const REMEMBERED: &str = "overlay-v1";

/// Whether overlays with changes can be mounted in a store.
pub(super) fn is_supported(area: &Area) -> bool {
    let here = here(area.root());
    let path = area.root().join(REMEMBERED);
    if here.is_some() && fs::read_to_string(&path).ok() == here {
        return true;
    }
    let is_supported = area.stage().is_ok_and(|staged| mount::is_supported(staged.path()));
    if let Some(here) = here.filter(|_| is_supported) {
        // The next process tries again.
        let _ = remember(area, path, here);
    }
    is_supported
}

fn remember(area: &Area, path: PathBuf, here: String) -> Result<()> {
    let aside = area.staging().path("trial")?;
    fs::write(aside.path(), here).map_err(crate::Error::io("write", aside.path()))?;
    aside.persist(&path)
}

/// Where a mount would be made and by whom; `None` where that has no name.
fn here(root: &Path) -> Option<String> {
    let boot = unsynced::boot()?;
    let device = fs::metadata(root).ok()?.dev();
    let users = fs::read_link("/proc/self/ns/user").ok()?;
    let rights = rustix::thread::capabilities(None).ok()?.effective.bits();
    Some(format!("{boot} {device} {} {} {rights:x}\n", users.display(), userns::user()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_elsewhere_is_not_believed() {
        let root = tempfile::tempdir().unwrap();
        let area = Area::open(root.path()).unwrap();
        let remembered = || fs::read_to_string(root.path().join(REMEMBERED));
        let supported = is_supported(&area);
        assert_eq!(remembered().is_ok(), supported, "failures are not remembered");
        let here = here(root.path()).unwrap();
        for elsewhere in ["", "another boot\n", here.trim_end(), &here.replacen(' ', " 1", 1)] {
            fs::write(root.path().join(REMEMBERED), elsewhere).unwrap();
            assert_eq!(is_supported(&area), supported, "{elsewhere:?}");
            assert_eq!(remembered().unwrap() == here, supported, "it is tried again: {elsewhere:?}");
        }
        fs::write(root.path().join(REMEMBERED), here).unwrap();
        assert!(is_supported(&area));
    }
}
