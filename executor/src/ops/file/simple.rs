//! Making and removing single things.

use std::ffi::CString;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};

use crate::cache::glob;
use crate::rootfs::{NewDir, Tree};
use crate::snapshot::copy::not_found;
use crate::snapshot::{Files, OpenDir, entry, is_missing};
use crate::{Error, Result};

/// Owner and times of what is made; seconds and nanoseconds since the epoch.
#[derive(Clone, Copy)]
pub(super) struct Made {
    pub(super) owner: Option<(u32, u32)>,
    pub(super) time: Option<(i64, i64)>,
}

/// Makes a directory; one that is there is left as it is.
pub(super) fn mkdir(to: &Tree, path: &str, mode: u32, parents: bool, made: Made) -> Result<()> {
    let new = NewDir { mode: mode & 0o777, owner: made.owner, time: made.time };
    let path = Path::new(path);
    let make = || -> io::Result<()> {
        if parents {
            return to.mkdir_all(path, new).map(drop);
        }
        let real = to.real_path(path)?;
        // What is there decides: a directory is fine, and so is anything else.
        if to.exists(&real)? {
            return Ok(());
        }
        if let Some(parent) = real.parent() {
            to.stat(parent)?;
        }
        to.mkdir_all(&real, new).map(drop)
    };
    make().map_err(Error::io("make directory", path))
}

/// Writes a file: an existing one keeps its mode.
pub(super) fn mkfile(to: &Tree, path: &str, mode: i32, data: &[u8], made: Made) -> Result<()> {
    let write = || -> io::Result<()> {
        let real = to.real_path(Path::new(path))?;
        let place = to.place(&real)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let existed = to.exists(&real)?;
        let fd = rustix::fs::openat(&place.dir, &place.name, flags | OFlags::NONBLOCK, Mode::RUSR | Mode::WUSR)?;
        if FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let mut file = std::fs::File::from(fd);
        file.write_all(data)?;
        let name = CString::new(place.name.as_bytes())?;
        if let Some((uid, gid)) = made.owner {
            entry::set_owner(place.dir.as_fd(), &name, uid, gid)?;
        }
        if !existed {
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode as u32 & 0o777))?;
        }
        made.time.map_or(Ok(()), |time| to.set_times(&real, time))
    };
    write().map_err(Error::io("write", path))
}

/// Makes a link; something there already is an error.
pub(super) fn symlink(to: &Tree, text: &str, path: &str, made: Made) -> Result<()> {
    let link = || -> io::Result<()> {
        let real = to.real_path(Path::new(path))?;
        to.symlink(Path::new(text), &real)?;
        if let Some((uid, gid)) = made.owner {
            to.chown(&real, uid, gid)?;
        }
        made.time.map_or(Ok(()), |time| to.set_times(&real, time))
    };
    link().map_err(Error::io("make link", path))
}

/// Removes what is at a path, or what a pattern matches.
pub(super) fn rm(to: &Tree, files: &Files, path: &str, allow_not_found: bool, wildcard: bool) -> Result<()> {
    if !wildcard {
        return remove(to, path, allow_not_found);
    }
    for found in resolve(files, path, false)? {
        remove(to, &found, allow_not_found)?;
    }
    Ok(())
}

fn remove(to: &Tree, path: &str, allow_not_found: bool) -> Result<()> {
    let path = PathBuf::from(oci::text::clean_path(path));
    if path == Path::new("/") {
        return Err(Error::Invalid("rmPath: invalid empty path".into()));
    }
    // A file where a directory is named is an error in any case.
    match to.remove_all(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && allow_not_found => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(not_found(&path.to_string_lossy())),
        result => result.map_err(Error::io("remove", &path)),
    }
}

/// The paths that a pattern matches, in the order of a walk. What matches is not looked into. A path without wildcards is
/// itself, whether it is there or not.
pub(super) fn resolve(files: &Files, path: &str, follow: bool) -> Result<Vec<String>> {
    let path = oci::text::clean_path(path);
    let (plain, pattern) = glob::split(&path);
    if pattern.is_empty() {
        return Ok(vec![path]);
    }
    let base = files.real_path(Path::new(plain), follow || plain == "/").map_err(Error::io("find", plain))?;
    match files.stat(&base).map_err(Error::io("read", plain))? {
        None => return Err(not_found(plain)),
        Some(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Directory => return Ok(Vec::new()),
        Some(_) => {}
    }
    let dir = files.open_dir(&base).map_err(Error::io("open", plain))?;
    let mut found = Vec::new();
    // A class may match a slash, so only patterns without one tell how deep they go.
    let depth = if pattern.contains('[') { usize::MAX } else { pattern.split('/').count() };
    let mut walk = Walk { pattern: pattern.as_bytes(), base: &base, found: &mut found };
    walk.dir(&dir, &mut Vec::new(), depth).map_err(Error::io("search", &path))?;
    Ok(found)
}

struct Walk<'a> {
    pattern: &'a [u8],
    base: &'a Path,
    found: &'a mut Vec<String>,
}

impl Walk<'_> {
    fn dir(&mut self, dir: &OpenDir, path: &mut Vec<u8>, depth: usize) -> io::Result<()> {
        for name in dir.names()? {
            let length = path.len();
            if length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(name.to_bytes());
            if glob::matches(self.pattern, path).unwrap_or(false) {
                let path = self.base.join(std::ffi::OsStr::from_bytes(path));
                self.found.push(path.to_string_lossy().into_owned());
            } else if depth > 1 && is_dir(dir, &name)? {
                match dir.open_dir(&name) {
                    Ok(child) => self.dir(&child, path, depth - 1)?,
                    Err(error) if is_missing(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            path.truncate(length);
        }
        Ok(())
    }
}

fn is_dir(dir: &OpenDir, name: &std::ffi::CStr) -> io::Result<bool> {
    match dir.stat(name) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(error),
    }
}
