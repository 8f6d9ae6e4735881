//! From two trees to the layer between them.
//!
//! A file with several names of which one changed comes with all of them: on any other base there would be several files
//! where the tree has one. Those that did not change are links that come *late* ([`Contents::late`]).

use std::collections::{BTreeMap, HashMap};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType};
use rustix::io::{Errno, Result};

use super::area::Contents;
use super::entry;
use super::entry::Left;
use super::stack::{self, Dir, Found, kind};

/// Writes what changed from `lower` to `upper` into the empty directory `out`.
pub(super) fn write_changes(lower: Option<&Dir>, upper: Option<&Dir>, out: &OwnedFd) -> Result<Contents> {
    let (links, unchanged) = (HashMap::new(), BTreeMap::new());
    let mut walk = Walk { contents: Contents::default(), path: Vec::new(), links, unchanged, out };
    walk.dir(lower, upper, out.as_fd())?;
    if let Some(upper) = upper {
        walk.join(upper)?;
        entry::clone_metadata((upper.top(), c"."), &rustix::fs::fstat(upper.top())?, (out.as_fd(), c"."))?;
    }
    Ok(walk.contents)
}

struct Walk<'a> {
    contents: Contents,
    /// Path of the directory, with a slash behind each component.
    path: Vec<u8>,
    /// Files with several names: where the first one was written, by device and inode.
    links: HashMap<(u64, u64), CString>,
    /// Their names that did not change, likewise.
    unchanged: BTreeMap<(u64, u64), Vec<Vec<u8>>>,
    out: &'a OwnedFd,
}

impl Walk<'_> {
    /// Writes the changes of one directory.
    fn dir(&mut self, lower: Option<&Dir>, upper: Option<&Dir>, out: BorrowedFd) -> Result<Left> {
        let mut left = Left::Nothing;
        let entries = upper.map_or(Ok(Default::default()), Dir::entries)?;
        if let Some(lower) = lower {
            for name in lower.entries()?.keys().filter(|name| !entries.contains_key(*name)) {
                entry::whiteout(out, name)?;
                self.contents.whiteouts = true;
                left = Left::Changes;
            }
        }
        for name in entries.keys() {
            left = left.max(self.entry(lower, upper.expect("entries are of a directory"), out, name)?);
        }
        Ok(left)
    }

    fn entry(&mut self, lower: Option<&Dir>, upper: &Dir, out: BorrowedFd, name: &CStr) -> Result<Left> {
        let Some(found) = upper.lookup(name)? else { return Ok(Left::Nothing) };
        let below = match lower {
            Some(lower) => lower.lookup(name)?,
            None => None,
        };
        if found.is_dir() {
            return self.child(lower.filter(|_| below.is_some_and(|below| below.is_dir())), upper, &found, out, name);
        }
        if let Some(below) = below
            && entry::same_file((found.dir, &found.stat), (below.dir, &below.stat), name)?
        {
            if let Some(inode) = shared(&found) {
                self.unchanged.entry(inode).or_default().push([&self.path, name.to_bytes()].concat());
            }
            return Ok(Left::Nothing);
        }
        Ok(if self.file(&found, out, name)? { Left::Changes } else { Left::Nothing })
    }

    /// Writes a directory, if it or anything in it changed.
    fn child(&mut self, lower: Option<&Dir>, upper: &Dir, found: &Found, out: BorrowedFd, name: &CStr) -> Result<Left> {
        let lower = match lower {
            Some(lower) => lower.open(name)?,
            None => None,
        };
        let upper = upper.open(name)?.expect("a directory opens as one");
        rustix::fs::mkdirat(out, name, rustix::fs::Mode::RWXU)?;
        let child = stack::open_dir(out, name)?;
        let length = self.path.len();
        self.path.extend_from_slice(name.to_bytes());
        self.path.push(b'/');
        let left = match self.dir(lower.as_ref(), Some(&upper), child.as_fd())? {
            Left::Changes => Left::Changes,
            inside => inside.max(Left::of_directory((upper.top(), c"."), &found.stat, lower.as_ref().map(Dir::top))?),
        };
        if left == Left::Times {
            self.contents.quiet.push(self.path[..self.path.len() - 1].to_vec());
        }
        self.path.truncate(length);
        if left == Left::Nothing {
            rustix::fs::unlinkat(out, name, AtFlags::REMOVEDIR)?;
            return Ok(left);
        }
        entry::clone_metadata((upper.top(), c"."), &found.stat, (out, name))?;
        self.contents.bytes += found.stat.st_blocks as u64 * 512;
        Ok(left)
    }

    fn file(&mut self, found: &Found, out: BorrowedFd, name: &CStr) -> Result<bool> {
        let inode = shared(found);
        if let Some(first) = inode.and_then(|inode| self.links.get(&inode)) {
            rustix::fs::linkat(self.out, &**first, out, name, AtFlags::empty())?;
            return Ok(true);
        }
        if !entry::clone(found.dir, &found.stat, out, name)? {
            return Ok(false);
        }
        if let Some(inode) = inode {
            let path = [&self.path, name.to_bytes()].concat();
            self.links.insert(inode, CString::new(path).expect("names hold no NUL"));
        }
        self.contents.bytes += found.stat.st_blocks as u64 * 512;
        Ok(true)
    }

    /// Gives files that changed under one name their other ones.
    fn join(&mut self, upper: &Dir) -> Result<()> {
        for (inode, names) in std::mem::take(&mut self.unchanged) {
            let Some(first) = self.links.get(&inode).cloned() else { continue };
            for name in names {
                self.link(upper, &first, name)?;
            }
        }
        self.contents.late.sort_unstable();
        self.contents.late.dedup();
        Ok(())
    }

    /// Links a file to a path, in directories like those of the tree.
    fn link(&mut self, upper: &Dir, first: &CStr, path: Vec<u8>) -> Result<()> {
        let mut parents = Vec::new();
        let (mut from, mut to) = (upper.try_clone()?, self.out.try_clone().map_err(entry::errno_of)?);
        let mut start = 0;
        for (end, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            let name = CString::new(&path[start..end]).expect("names hold no NUL");
            start = end + 1;
            let is_late = match rustix::fs::mkdirat(&to, &name, rustix::fs::Mode::RWXU) {
                Ok(()) => true,
                Err(Errno::EXIST) => self.contents.quiet.iter().any(|quiet| *quiet == path[..end]),
                Err(errno) => return Err(errno),
            };
            if is_late {
                self.contents.quiet.retain(|quiet| *quiet != path[..end]);
                self.contents.late.push(path[..end].to_vec());
            }
            from = from.open(&name)?.ok_or(Errno::NOENT)?;
            let child = stack::open_dir(to.as_fd(), &name)?;
            parents.push((rustix::fs::fstat(from.top())?, from.try_clone()?, std::mem::replace(&mut to, child), name));
        }
        let name = CString::new(&path[start..]).expect("names hold no NUL");
        rustix::fs::linkat(self.out, first, &to, &*name, AtFlags::empty())?;
        // Innermost first: what is made in a directory touches it.
        for (stat, from, to, name) in parents.iter().rev() {
            entry::clone_metadata((from.top(), c"."), stat, (to.as_fd(), name))?;
        }
        self.contents.late.push(path);
        Ok(())
    }
}

/// What identifies a file with several names.
fn shared(found: &Found) -> Option<(u64, u64)> {
    let is_shared = found.stat.st_nlink > 1 && kind(&found.stat) == FileType::RegularFile;
    is_shared.then_some((found.stat.st_dev, found.stat.st_ino))
}
