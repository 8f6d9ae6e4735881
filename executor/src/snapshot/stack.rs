//! Reading merged layers without a mount, one directory at a time.
//!
//! A merged directory ([`Dir`]) keeps open only those layers' directories that take part in it, so that a lookup in a tree
//! of many layers asks the few that have the directory. Names are resolved one component at a time and links are never
//! followed: nothing here can leave a layer.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::{Errno, Result};

/// The marks of the kernel's overlay on opaque directories.
const OPAQUE: [&CStr; 2] = [c"trusted.overlay.opaque", c"user.overlay.opaque"];

/// Layers on top of each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stack {
    /// Their directories, lowest first.
    pub(crate) layers: Vec<PathBuf>,
}

/// A merged directory: the directories it is made of, topmost first.
pub(crate) struct Dir {
    parts: Vec<OwnedFd>,
}

/// An entry of a merged directory.
pub(crate) struct Found<'a> {
    /// Its status.
    pub(crate) stat: Stat,
    /// The directory it is in, by the same name.
    pub(crate) dir: BorrowedFd<'a>,
}

impl Found<'_> {
    /// Whether it is a directory.
    pub(crate) fn is_dir(&self) -> bool {
        kind(&self.stat) == FileType::Directory
    }
}

impl Stack {
    /// The root; `None` when there are no layers.
    pub(crate) fn root(&self) -> Result<Option<Dir>> {
        let mut parts = Vec::with_capacity(self.layers.len());
        for layer in self.layers.iter().rev() {
            let dir = open_root(layer)?;
            let opaque = is_opaque(&dir)?;
            parts.push(dir);
            if opaque {
                break;
            }
        }
        Ok((!parts.is_empty()).then_some(Dir { parts }))
    }
}

impl Dir {
    /// One plain directory.
    pub(crate) fn plain(path: &Path) -> Result<Self> {
        Ok(Self { parts: vec![open_root(path)?] })
    }

    /// Another descriptor of it.
    pub(super) fn try_clone(&self) -> Result<Self> {
        let parts = self.parts.iter().map(|part| part.try_clone().map_err(super::entry::errno_of));
        Ok(Self { parts: parts.collect::<Result<_>>()? })
    }

    /// The topmost directory: its owner, mode and times are those of the merged one.
    pub(crate) fn top(&self) -> BorrowedFd<'_> {
        self.parts[0].as_fd()
    }

    /// Finds an entry.
    pub(crate) fn lookup(&self, name: &CStr) -> Result<Option<Found<'_>>> {
        for dir in &self.parts {
            match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if is_whiteout(&stat) => return Ok(None),
                Ok(stat) => return Ok(Some(Found { stat, dir: dir.as_fd() })),
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(None)
    }

    /// Opens an entry that is a directory; `None` when there is none.
    pub(crate) fn open(&self, name: &CStr) -> Result<Option<Self>> {
        let mut parts = Vec::new();
        for dir in &self.parts {
            match open_dir(dir.as_fd(), name) {
                Ok(child) => {
                    let opaque = self.parts.len() > 1 && is_opaque(&child)?;
                    parts.push(child);
                    if opaque {
                        break;
                    }
                }
                Err(Errno::NOENT) => {}
                // Anything else hides what is below.
                Err(Errno::NOTDIR | Errno::LOOP) => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok((!parts.is_empty()).then_some(Self { parts }))
    }

    /// The entries by name, with their types.
    pub(crate) fn entries(&self) -> Result<BTreeMap<CString, FileType>> {
        let mut found: BTreeMap<CString, Option<FileType>> = BTreeMap::new();
        for dir in &self.parts {
            for (name, kind) in list(dir.as_fd())? {
                if found.contains_key(&name) {
                    continue;
                }
                let hidden = kind == FileType::CharacterDevice
                    && is_whiteout(&rustix::fs::statat(dir, &*name, AtFlags::SYMLINK_NOFOLLOW)?);
                found.insert(name, (!hidden).then_some(kind));
            }
        }
        Ok(found.into_iter().filter_map(|(name, kind)| Some((name, kind?))).collect())
    }
}

/// Whether an entry of a layer says that there is nothing by its name.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    kind(stat) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// The type of what a status is of.
pub(crate) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Whether a directory of a layer hides all below it.
pub(super) fn is_opaque(dir: &OwnedFd) -> Result<bool> {
    for key in OPAQUE {
        let mut value = [0; 1];
        match rustix::fs::fgetxattr(dir, key, &mut value) {
            Ok(1) if value == *b"y" => return Ok(true),
            Ok(_) | Err(Errno::NODATA | Errno::RANGE | Errno::NOTSUP) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(false)
}

/// The names in a directory, with their types, in no order.
pub(crate) fn list(dir: BorrowedFd) -> Result<Vec<(CString, FileType)>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => kind(&rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?),
            kind => kind,
        };
        names.push((name.to_owned(), kind));
    }
    Ok(names)
}

/// Opens a directory in another one; never through a link.
pub(crate) fn open_dir(dir: BorrowedFd, name: &CStr) -> Result<OwnedFd> {
    rustix::fs::openat(
        dir,
        name,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

fn open_root(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}
