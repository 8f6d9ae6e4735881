//! Layers without their quiet directories.
//!
//! A directory that is in a layer for its time alone is part of the tree that the layer was made in, and of no other: where
//! the layer is taken from below, in a difference, it would bring an empty directory along, or lay its metadata over
//! another base's. No image says anything of such a directory, so neither does a difference. The files of the layer are
//! linked, not copied.
//!
//! parity: BuildKit v0.32, snapshot/diffapply_linux.go, which leaves unchanged directories out in the same way.

use std::collections::HashSet;
use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::{Errno, Result};

use super::area::{Area, Contents};
use super::overlay::import;
use super::{Committed, LayerId, entry, stack};
use crate::Error;

/// How the names of such layers end.
const BARE: &str = "-bare";

/// The layers of a tree, those with quiet directories without them. Layers that are elsewhere have none.
pub(super) fn without_quiet(area: &Area, tree: Committed) -> crate::Result<Committed> {
    let mut layers: Vec<LayerId> = Vec::with_capacity(tree.layers.len());
    for (index, id) in tree.layers.iter().enumerate() {
        let contents = match area.contents(id) {
            Ok(contents) => contents,
            Err(Error::NotFound(_)) => Contents::default(),
            Err(error) => return Err(error),
        };
        // What goes on with a layer goes on with the one that took its place.
        let below = index.checked_sub(1).map(|below| (&tree.layers[below], &layers[below]));
        let moved = below.filter(|(old, new)| old != new && contents.continues.as_deref() == Some(&*old.0));
        if contents.quiet.is_empty() && moved.is_none() {
            layers.push(id.clone());
            continue;
        }
        let continues = moved.map(|(_, new)| new.0.to_string()).or_else(|| contents.continues.clone());
        let bare = LayerId(format!("{}{BARE}", id.0).into());
        let contents = Contents { quiet: Vec::new(), continues, ..contents.clone() };
        let from = area.dir(id)?;
        let quiet = area.contents(id)?.quiet;
        import(area, &bare, &mut |to| {
            write(&from, &quiet, to).map_err(|errno| Error::io("write", to)(errno.into()))?;
            Ok(contents.clone())
        })?;
        layers.push(bare);
    }
    Ok(Committed { layers })
}

fn write(from: &Path, quiet: &[Vec<u8>], to: &Path) -> Result<()> {
    let open = |path: &Path| Ok(OwnedFd::from(File::open(path).map_err(entry::errno_of)?));
    let (from, to) = (open(from)?, open(to)?);
    let mut walk = Walk { quiet: quiet.iter().map(Vec::as_slice).collect(), path: Vec::new() };
    walk.dir(from.as_fd(), to.as_fd())?;
    entry::clone_metadata((from.as_fd(), c"."), &rustix::fs::fstat(&from)?, (to.as_fd(), c"."))
}

struct Walk<'a> {
    quiet: HashSet<&'a [u8]>,
    path: Vec<u8>,
}

impl Walk<'_> {
    fn dir(&mut self, from: BorrowedFd, to: BorrowedFd) -> Result<()> {
        for (name, kind) in stack::list(from)? {
            let length = self.path.len();
            self.path.extend_from_slice(name.to_bytes());
            match kind {
                // All that is in a quiet directory is quiet.
                FileType::Directory if self.quiet.contains(self.path.as_slice()) => {}
                FileType::Directory => self.child(from, to, &name)?,
                _ => link(from, to, &name)?,
            }
            self.path.truncate(length);
        }
        Ok(())
    }

    fn child(&mut self, from: BorrowedFd, to: BorrowedFd, name: &CStr) -> Result<()> {
        rustix::fs::mkdirat(to, name, Mode::RWXU)?;
        let (inner, copy) = (stack::open_dir(from, name)?, stack::open_dir(to, name)?);
        self.path.push(b'/');
        self.dir(inner.as_fd(), copy.as_fd())?;
        entry::clone_metadata((inner.as_fd(), c"."), &rustix::fs::fstat(&inner)?, (copy.as_fd(), c"."))
    }
}

/// Gives a file one more name; a copy where the file system has no more names for it.
fn link(from: BorrowedFd, to: BorrowedFd, name: &CStr) -> Result<()> {
    match rustix::fs::linkat(from, name, to, name, AtFlags::empty()) {
        Err(Errno::MLINK | Errno::PERM | Errno::XDEV | Errno::OPNOTSUPP) => {
            entry::clone(from, &entry::stat(from, name)?, to, name).map(drop)
        }
        linked => linked,
    }
}
