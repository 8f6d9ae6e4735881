//! From the changes an overlay collected to a layer that means the same on any base.
//!
//! Three things are taken out: copies that changed nothing (opening for writing copies a file up, and so do its parents),
//! opaque directories (replaced by whiteouts of what they hid), and whiteouts of what was never there. A directory whose
//! time alone changed stays in the tree, because later steps can see it, and is noted as *quiet*: BuildKit does not write
//! it into images.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::{Errno, Result};

use super::area::Contents;
use super::entry::Left;
use super::stack::{self, Dir, is_opaque, is_whiteout, kind};
use super::{entry, xattr};

/// Options of other people's overlays that would make an upper directory mean something else than it holds.
const REFUSED: [&CStr; 4] =
    [c"trusted.overlay.redirect", c"trusted.overlay.metacopy", c"user.overlay.redirect", c"user.overlay.metacopy"];

/// Tidies the directory of changes `upper` that was collected on top of `lower`.
pub(super) fn tidy(upper: &Path, lower: Option<&Dir>) -> Result<Contents> {
    let dir = Dir::plain(upper)?;
    let mut contents = Contents::default();
    let root = dir.top().try_clone_to_owned().map_err(entry::errno_of)?;
    xattr::remove_overlay_marks(root.as_fd(), c".")?;
    let mut walk = Walk { contents: &mut contents, path: Vec::new() };
    walk.dir(&root, lower, false)?;
    Ok(contents)
}

struct Walk<'a> {
    contents: &'a mut Contents,
    /// Path of the directory, with a slash behind each component.
    path: Vec<u8>,
}

impl Walk<'_> {
    /// Tidies one directory; returns what is left in it.
    fn dir(&mut self, upper: &OwnedFd, lower: Option<&Dir>, opaque: bool) -> Result<Left> {
        let before = rustix::fs::fstat(upper)?;
        // Before anything that is equal below is taken out: what is missing now is what was hidden.
        let mut touched = match lower {
            Some(lower) if opaque => self.hide(upper, lower)?,
            _ => false,
        };
        let mut left = Left::Nothing;
        for (name, _) in stack::list(upper.as_fd())? {
            let kept = self.entry(upper, lower, opaque, &name)?;
            left = left.max(kept);
            touched |= kept == Left::Nothing;
        }
        if touched {
            rustix::fs::futimens(upper, &entry::times(&before))?;
        }
        Ok(left)
    }

    /// Tidies one entry.
    fn entry(&mut self, upper: &OwnedFd, lower: Option<&Dir>, opaque: bool, name: &CStr) -> Result<Left> {
        let stat = entry::stat(upper, name)?;
        let below = match lower {
            Some(lower) => lower.lookup(name)?,
            None => None,
        };
        if is_whiteout(&stat) {
            return self.whiteout(upper, name, below.is_some());
        }
        if kind(&stat) == FileType::Directory {
            let lower_child = match (&below, lower) {
                (Some(found), Some(lower)) if found.is_dir() => lower.open(name)?,
                _ => None,
            };
            return self.child(upper, lower_child, opaque, name, &stat);
        }
        if let Some(below) = below {
            xattr::remove_overlay_marks(upper.as_fd(), name)?;
            // One name of several of a file stays with the others.
            if stat.st_nlink == 1 && entry::same_file((upper.as_fd(), &stat), (below.dir, &below.stat), name)? {
                rustix::fs::unlinkat(upper, name, AtFlags::empty())?;
                return Ok(Left::Nothing);
            }
        }
        self.contents.bytes += stat.st_blocks as u64 * 512;
        Ok(Left::Changes)
    }

    fn whiteout(&mut self, upper: &OwnedFd, name: &CStr, hides: bool) -> Result<Left> {
        if hides {
            self.contents.whiteouts = true;
            entry::mark_whiteouts(upper.as_fd())?;
            return Ok(Left::Changes);
        }
        rustix::fs::unlinkat(upper, name, AtFlags::empty())?;
        Ok(Left::Nothing)
    }

    /// Tidies a directory in the directory.
    fn child(&mut self, upper: &OwnedFd, lower: Option<Dir>, opaque: bool, name: &CStr, stat: &Stat) -> Result<Left> {
        let child = stack::open_dir(upper.as_fd(), name)?;
        // A new directory that was moved here is marked too, though nothing is below it.
        let opaque = opaque || is_opaque(&child)?;
        remove_marks(upper.as_fd(), name)?;
        let length = self.path.len();
        self.path.extend_from_slice(name.to_bytes());
        self.path.push(b'/');
        let left = match self.dir(&child, lower.as_ref(), opaque)? {
            Left::Changes => Left::Changes,
            inside => inside.max(Left::of_directory((upper.as_fd(), name), stat, lower.as_ref().map(Dir::top))?),
        };
        if left == Left::Times {
            self.contents.quiet.push(self.path[..self.path.len() - 1].to_vec());
        }
        self.path.truncate(length);
        if left == Left::Nothing {
            rustix::fs::unlinkat(upper, name, AtFlags::REMOVEDIR)?;
        } else {
            self.contents.bytes += stat.st_blocks as u64 * 512;
        }
        Ok(left)
    }

    /// Writes whiteouts for what an opaque directory hid; returns whether there was any.
    fn hide(&mut self, upper: &OwnedFd, lower: &Dir) -> Result<bool> {
        let mut any = false;
        for name in lower.entries()?.into_keys() {
            match entry::stat(upper, &name) {
                Err(Errno::NOENT) => entry::whiteout(upper.as_fd(), &name)?,
                Err(errno) => return Err(errno),
                Ok(_) => continue,
            }
            any = true;
        }
        self.contents.whiteouts |= any;
        Ok(any)
    }
}

/// Removes an overlay's marks; refuses those that make a directory mean something else than it holds.
fn remove_marks(dir: BorrowedFd, name: &CStr) -> Result<()> {
    let removed = xattr::remove_overlay_marks(dir, name)?;
    if removed.iter().any(|key| REFUSED.contains(&&**key)) { Err(Errno::OPNOTSUPP) } else { Ok(()) }
}
