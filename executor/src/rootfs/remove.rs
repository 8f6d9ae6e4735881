//! Removes a directory with everything in it.
//!
//! Trees are hostile: they may be deeper than the stack or the descriptor limit allows, and may change meanwhile. So it
//! goes down and up again with one open directory, and going up (`..`) checks that it is where it came from.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{self, AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

const OPEN: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory above the current one: its identity, and the name of the next one in it.
struct Level {
    identity: (u64, u64),
    name: CString,
}

/// Removes `name` in `dir` with all below it; `.` empties `dir`.
pub(super) fn remove_all(dir: impl AsFd, name: &OsStr) -> io::Result<()> {
    let keep_top = name == ".";
    if !keep_top {
        match fs::unlinkat(&dir, name, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => {}
            other => return Ok(other?),
        }
    }
    empty(fs::openat(&dir, name, OPEN, Mode::empty())?)?;
    if keep_top { Ok(()) } else { Ok(fs::unlinkat(&dir, name, AtFlags::REMOVEDIR)?) }
}

fn empty(top: OwnedFd) -> io::Result<()> {
    let mut above: Vec<Level> = Vec::new();
    let mut current = top;
    loop {
        if let Some(name) = remove_files(&current)? {
            let next = fs::openat(&current, &name, OPEN, Mode::empty())?;
            above.push(Level { identity: identity(&current)?, name });
            current = next;
            continue;
        }
        let Some(level) = above.pop() else { return Ok(()) };
        current = fs::openat(&current, "..", OPEN, Mode::empty())?;
        if identity(&current)? != level.identity {
            return Err(io::Error::other("a directory was moved while it was being removed"));
        }
        fs::unlinkat(&current, &level.name, AtFlags::REMOVEDIR)?;
    }
}

/// Removes what can be removed at once; returns a directory to go into first.
fn remove_files(dir: &OwnedFd) -> io::Result<Option<CString>> {
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        match fs::unlinkat(dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => continue,
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(e) => return Err(e.into()),
        }
        match fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) => return Ok(Some(name.to_owned())),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(None)
}

fn identity(dir: &OwnedFd) -> io::Result<(u64, u64)> {
    let stat = fs::fstat(dir)?;
    Ok((stat.st_dev, stat.st_ino))
}
