//! Directories that a layer has only because something is in them.
//!
//! Tars of some tools list files without the directories above them. Unpacked on its own such a layer makes those
//! directories with the usual owner and mode, and on a base they would hide what the base says of them (`/tmp` would lose
//! its sticky bit). So a *cover* goes on top of the layer: empty directories with the metadata that the base has. It is made
//! for a layer and what is below it, and kept beside the layer.

use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::Mode;
use rustix::io::{Errno, Result};

use super::entry;
use super::stack::{Dir, Stack, open_dir};

/// Makes the cover of `layer` on `lower` in the empty directory `out`; returns whether there is anything in it.
pub(super) fn write(layer: &Path, implicit: &[Vec<u8>], lower: &Stack, out: &Path) -> Result<bool> {
    let Some(base) = lower.root()? else { return Ok(false) };
    let open = |path: &Path| -> Result<OwnedFd> { Ok(File::open(path).map_err(entry::errno_of)?.into()) };
    let (own, cover) = (open(layer)?, open(out)?);
    let mut any = false;
    for path in implicit {
        let path = Path::new(OsStr::from_bytes(path));
        // What the base does not have is as the layer made it.
        if find(&base, path)?.is_some() {
            make(&own, &cover, implicit, &base, path)?;
            any = true;
        }
    }
    // The topmost root shows: it must be that of the layer.
    let stat = rustix::fs::fstat(&own)?;
    entry::clone_metadata((own.as_fd(), c"."), &stat, (cover.as_fd(), c"."))?;
    Ok(any)
}

/// Makes a directory of the cover, and those above it.
fn make(layer: &OwnedFd, cover: &OwnedFd, implicit: &[Vec<u8>], base: &Dir, path: &Path) -> Result<()> {
    let mut own = layer.try_clone().map_err(entry::errno_of)?;
    let mut dir = cover.try_clone().map_err(entry::errno_of)?;
    let mut done = PathBuf::new();
    for name in names(path) {
        done.push(OsStr::from_bytes(name.to_bytes()));
        let from_base = implicit.iter().any(|path| path == done.as_os_str().as_bytes());
        match rustix::fs::mkdirat(&dir, &name, Mode::RWXU) {
            Ok(()) => {
                let found = if from_base { find(base, &done)? } else { None };
                let from = found.as_ref().map_or((own.as_fd(), &*name), |found| (found.top(), c"."));
                entry::clone_metadata(from, &entry::stat(from.0, from.1)?, (dir.as_fd(), &name))?;
            }
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        own = open_dir(own.as_fd(), &name)?;
        dir = open_dir(dir.as_fd(), &name)?;
    }
    Ok(())
}

/// Finds a directory of the base.
fn find(base: &Dir, path: &Path) -> Result<Option<Dir>> {
    let mut current: Option<Dir> = None;
    for name in names(path) {
        let next = current.as_ref().unwrap_or(base).open(&name)?;
        if next.is_none() {
            return Ok(None);
        }
        current = next;
    }
    Ok(current)
}

fn names(path: &Path) -> impl Iterator<Item = CString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => CString::new(name.as_bytes()).ok(),
        _ => None,
    })
}

/// Moves a cover to its place; another process may have been first.
pub(super) fn publish(made: &Path, to: &Path) -> std::io::Result<()> {
    match fs::rename(made, to) {
        Err(error) if to.is_dir() => {
            drop(error);
            Ok(())
        }
        result => result,
    }
}
