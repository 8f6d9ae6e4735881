//! Removing groups: that of a container, with what the container made below, and those that killed processes left.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

const OPEN: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Removes a group and all below it, none of which has processes any more. An insecure container makes groups as deep as
/// it likes, so one directory at a time is open.
pub(super) fn remove(parent: impl AsFd, name: &CStr) -> io::Result<()> {
    if rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR).is_ok() {
        return Ok(());
    }
    let mut above: Vec<CString> = vec![name.to_owned()];
    let mut current = rustix::fs::openat(&parent, name, OPEN, Mode::empty())?;
    loop {
        if let Some(below) = group_in(&current)? {
            current = rustix::fs::openat(&current, &below, OPEN, Mode::empty())?;
            above.push(below);
            continue;
        }
        let Some(done) = above.pop() else { return Ok(()) };
        if above.is_empty() {
            return Ok(rustix::fs::unlinkat(&parent, &done, AtFlags::REMOVEDIR)?);
        }
        current = rustix::fs::openat(&current, "..", OPEN, Mode::empty())?;
        rustix::fs::unlinkat(&current, &done, AtFlags::REMOVEDIR)?;
    }
}

/// Some group directly in another one.
fn group_in(group: &OwnedFd) -> io::Result<Option<CString>> {
    for entry in Dir::read_from(group)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type() == FileType::Directory && name != c"." && name != c".." {
            return Ok(Some(name.to_owned()));
        }
    }
    Ok(None)
}

/// Removes groups that killed processes left. A group in use cannot be removed, and one of a process that is about to be
/// in it belongs to a process that lives.
pub(super) fn sweep(parent: impl AsFd) {
    let parent = parent.as_fd();
    let Ok(dir) = rustix::fs::openat(parent, ".", OPEN, Mode::empty()) else { return };
    let Ok(entries) = Dir::new(dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid =
            name.to_str().ok().and_then(|name| name.strip_prefix("llbc-")).and_then(|pid| pid.parse::<u32>().ok());
        let is_own = pid == Some(std::process::id());
        if pid.is_some_and(|pid| is_own || !Path::new("/proc").join(pid.to_string()).exists()) {
            let _ = remove(parent, name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn groups_of_processes_that_are_gone_are_swept_with_all_below() {
        let top = tempfile::tempdir().unwrap();
        // The second number is above all that a process can have.
        let names = [format!("llbc-{}", std::os::unix::process::parent_id()), "llbc-4194305".into(), "other".into()];
        for below in ["a/b/c", "a/d", "e"] {
            names.iter().for_each(|name| fs::create_dir_all(top.path().join(name).join(below)).unwrap());
        }
        sweep(fs::File::open(top.path()).unwrap());
        assert_eq!(names.map(|name| top.path().join(name).exists()), [true, false, true]);
    }

    #[test]
    fn groups_are_removed_however_deep_they_are() {
        let top = tempfile::tempdir().unwrap();
        let open = |dir: &OwnedFd, name: &str| rustix::fs::openat(dir, name, OPEN, Mode::empty()).unwrap();
        let parent: OwnedFd = fs::File::open(top.path()).unwrap().into();
        let mut current = parent.try_clone().unwrap();
        for _ in 0..1100 {
            rustix::fs::mkdirat(&current, "llbc-1", Mode::from_raw_mode(0o755)).unwrap();
            current = open(&current, "llbc-1");
        }
        remove(&parent, c"llbc-1").unwrap();
        assert!(!top.path().join("llbc-1").exists());
    }
}
