//! What a layer has from below.
//!
//! Tars of some tools list files without the directories above them. Unpacked on its own such a layer makes those
//! directories with the usual owner and mode, and on a base they would hide what the base says of them (`/tmp` would lose
//! its sticky bit). And a hard link may be to a file that only a lower layer has. So a *cover* goes on top of the layer:
//! empty directories with the metadata that the base has, and the linked files, copied up as an overlay does it, with all
//! their names. It is made for a layer and what is below it, and kept beside the layer.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;

use super::area::Contents;
use super::entry;
use super::stack::{Dir, Stack, kind, open_dir};
use crate::{Error, Result, rootfs};

/// Symbolic links followed on the way to one file; the kernel's number.
const MAX_LINKS: usize = 40;

/// Makes the cover of `layer` on `lower` in the empty directory `out`; returns whether there is anything in it.
/// **Errors**: `NotFound` when a linked file is not below.
pub(super) fn write(layer: &Path, contents: &Contents, lower: &Stack, out: &Path) -> Result<bool> {
    let failed = |errno: Errno| Error::io("cover", layer)(errno.into());
    let base = lower.root().map_err(failed)?;
    let Some(base) = base else {
        return contents.borrowed.first().map_or(Ok(false), |link| Err(lost(&link.path, &link.target)));
    };
    let open = |path: &Path| Ok(OwnedFd::from(File::open(path).map_err(Error::io("cover", path))?));
    let cover = Cover { layer: open(layer)?, out: open(out)?, implicit: &contents.implicit, base: &base };
    let any = cover.directories().map_err(failed)?;
    let mut targets: BTreeMap<PathBuf, Vec<&Path>> = BTreeMap::new();
    for link in &contents.borrowed {
        let found = cover.resolve(path(&link.target)).map_err(failed)?;
        let found = found.ok_or_else(|| lost(&link.path, &link.target))?;
        targets.entry(found).or_default().push(path(&link.path));
    }
    targets.iter().try_for_each(|(target, names)| cover.file(target, names)).map_err(failed)?;
    cover.finish().map_err(failed)?;
    Ok(any || !targets.is_empty())
}

fn lost(name: &[u8], target: &[u8]) -> Error {
    let (name, target) = (path(name).display(), path(target).display());
    Error::NotFound(format!("the layer has a link {name} to {target}, which no layer below has: not found"))
}

fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

struct Cover<'a> {
    layer: OwnedFd,
    out: OwnedFd,
    implicit: &'a [Vec<u8>],
    base: &'a Dir,
}

impl Cover<'_> {
    /// Makes the directories whose metadata is that of the base.
    fn directories(&self) -> rustix::io::Result<bool> {
        let mut any = false;
        for dir in self.implicit {
            // What the base does not have is as the layer made it.
            if find(self.base, path(dir))?.is_some() {
                self.dir(path(dir))?;
                any = true;
            }
        }
        Ok(any)
    }

    /// Makes a directory of the cover, and those above it: like the layer's, unless that has it only implicitly.
    fn dir(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        let mut own = Some(self.layer.try_clone().map_err(entry::errno_of)?);
        let mut dir = self.out.try_clone().map_err(entry::errno_of)?;
        let mut done = PathBuf::new();
        for name in names(path) {
            done.push(OsStr::from_bytes(name.to_bytes()));
            let below = own.as_ref().map(|own| open_dir(own.as_fd(), &name));
            own = match below {
                Some(Err(Errno::NOENT)) | None => None,
                Some(opened) => Some(opened?),
            };
            match rustix::fs::mkdirat(&dir, &name, Mode::RWXU) {
                Ok(()) => self.like(own.as_ref(), &done, (&dir, &name))?,
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
            dir = open_dir(dir.as_fd(), &name)?;
        }
        Ok(dir)
    }

    /// Gives a directory the metadata it has without the cover.
    fn like(&self, own: Option<&OwnedFd>, at: &Path, to: (&OwnedFd, &CString)) -> rustix::io::Result<()> {
        let from_base = own.is_none() || self.implicit.iter().any(|path| path == at.as_os_str().as_bytes());
        let found = if from_base { find(self.base, at)? } else { None };
        let from = found.as_ref().map(Dir::top).or(own.map(AsFd::as_fd)).ok_or(Errno::NOENT)?;
        entry::clone_metadata((from, c"."), &rustix::fs::fstat(from)?, (to.0.as_fd(), to.1))
    }

    /// The path of a file below without symbolic links on the way; `None` when there is none.
    fn resolve(&self, path: &Path) -> rustix::io::Result<Option<PathBuf>> {
        let mut path = path.to_owned();
        'again: for _ in 0..MAX_LINKS {
            let mut done = PathBuf::new();
            let names: Vec<_> = names(&path).collect();
            for (index, name) in names.iter().enumerate() {
                let Some(dir) = find(self.base, &done)? else { return Ok(None) };
                let Some(found) = dir.lookup(name)? else { return Ok(None) };
                let last = index + 1 == names.len();
                if kind(&found.stat) == FileType::Symlink && !last {
                    let link = rustix::fs::readlinkat(found.dir, name, Vec::new())?;
                    let rest = names[index + 1..].iter().map(|name| OsStr::from_bytes(name.to_bytes()));
                    // Directories on the way are no links any more.
                    let target = rootfs::below(&done.join(OsStr::from_bytes(link.to_bytes())));
                    path = target.join(rest.collect::<PathBuf>());
                    continue 'again;
                }
                done.push(OsStr::from_bytes(name.to_bytes()));
                if last {
                    return Ok(Some(done).filter(|_| !found.is_dir()));
                }
            }
            return Ok(None);
        }
        Err(Errno::LOOP)
    }

    /// Copies a file up and gives it names.
    fn file(&self, target: &Path, links: &[&Path]) -> rustix::io::Result<()> {
        let name = last(target)?;
        let parent = target.parent().unwrap_or(Path::new(""));
        let below = find(self.base, parent)?.ok_or(Errno::NOENT)?;
        let found = below.lookup(&name)?.ok_or(Errno::NOENT)?;
        let to = self.dir(parent)?;
        entry::clone(found.dir, &found.stat, to.as_fd(), &name)?;
        for link in links {
            let dir = self.dir(link.parent().unwrap_or(Path::new("")))?;
            rustix::fs::linkat(&to, &*name, &dir, &*last(link)?, AtFlags::empty())?;
        }
        // What the layer itself says of that name counts.
        if rustix::fs::statat(&self.layer, target, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            rustix::fs::unlinkat(&to, &*name, AtFlags::empty())?;
        }
        Ok(())
    }

    /// Sets the times of directories, which making things in them changed, and the root's metadata: the topmost shows.
    fn finish(&self) -> rustix::io::Result<()> {
        self.times(&self.out, Some(&self.layer), &mut PathBuf::new())?;
        let stat = rustix::fs::fstat(&self.layer)?;
        entry::clone_metadata((self.layer.as_fd(), c"."), &stat, (self.out.as_fd(), c"."))
    }

    fn times(&self, dir: &OwnedFd, own: Option<&OwnedFd>, at: &mut PathBuf) -> rustix::io::Result<()> {
        for (name, kind) in super::stack::list(dir.as_fd())? {
            if kind != FileType::Directory {
                continue;
            }
            at.push(OsStr::from_bytes(name.to_bytes()));
            let child = own.and_then(|own| open_dir(own.as_fd(), &name).ok());
            self.times(&open_dir(dir.as_fd(), &name)?, child.as_ref(), at)?;
            self.like(child.as_ref(), at, (dir, &name))?;
            at.pop();
        }
        Ok(())
    }
}

fn last(path: &Path) -> rustix::io::Result<CString> {
    names(path).last().ok_or(Errno::INVAL)
}

/// Finds a directory of the base.
fn find(base: &Dir, path: &Path) -> rustix::io::Result<Option<Dir>> {
    let mut current = base.try_clone()?;
    for name in names(path) {
        let Some(next) = current.open(&name)? else { return Ok(None) };
        current = next;
    }
    Ok(Some(current))
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
