//! A tree to read from: a directory, or what a listing lets be seen of one.
//!
//! Copying and hashing read trees through [`Files`], so that a user's directory with its exclusions is read in place: the
//! listing says what is there and what its metadata is, the directory has the bytes. Paths are of the tree; links lead
//! nowhere outside; what the listing does not hold does not exist.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{CStr, CString, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::stack::{self, kind};
use super::xattr::{self, Xattrs};
use super::{View, entry};
use crate::rootfs::Tree;

/// Links followed in one path before it is a loop; the kernel's number.
const MAX_LINKS: usize = 40;

/// A tree to read from.
pub struct Files {
    tree: Tree,
    listing: Option<Arc<Node>>,
    // Keeps a mount for as long as it is read.
    _view: Option<View>,
}

/// An entry of a listing.
#[derive(Debug)]
pub struct Node {
    /// Its status as the tree shows it.
    pub stat: Stat,
    /// Its status on disk, to notice changes.
    pub seen: Stat,
    /// Text of a link.
    pub link: Option<CString>,
    /// Digest of its metadata and bytes ([`crate::cache::content_hash`]), once it is known.
    pub record: std::sync::OnceLock<oci::Digest>,
    /// Entries of a directory.
    pub children: BTreeMap<CString, Arc<Node>>,
}

/// An open directory of a tree.
pub(crate) struct OpenDir {
    fd: OwnedFd,
    node: Option<Arc<Node>>,
}

impl Files {
    /// All of a directory, at a trusted path of the host.
    pub fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { tree: Tree::open(path)?, listing: None, _view: None })
    }

    /// All of a view.
    pub fn of(view: View) -> io::Result<Self> {
        Ok(Self { tree: Tree::open(view.path())?, listing: None, _view: Some(view) })
    }

    /// What a listing holds of a directory, at a trusted path of the host.
    pub fn listed(path: &Path, listing: Arc<Node>) -> io::Result<Self> {
        Ok(Self { tree: Tree::open(path)?, listing: Some(listing), _view: None })
    }

    /// The listing, when not all of the directory is seen.
    pub fn listing(&self) -> Option<&Arc<Node>> {
        self.listing.as_ref()
    }

    /// What the listing has at a real path.
    pub(crate) fn node(&self, real: &Path) -> Option<&Arc<Node>> {
        find(self.listing.as_ref()?, real)
    }

    /// Where a path leads, as an absolute path of the tree without links; the last component is followed only if asked.
    /// What does not exist stays as it is written.
    pub(crate) fn real_path(&self, path: &Path, follow_last: bool) -> io::Result<PathBuf> {
        let mut real = PathBuf::from("/");
        let mut todo: VecDeque<OsString> = components(path).collect();
        let mut links = 0;
        while let Some(name) = todo.pop_front() {
            if name == ".." {
                real.pop();
                continue;
            }
            real.push(name);
            if todo.is_empty() && !follow_last {
                break;
            }
            let Some(target) = self.link_at(&real)? else { continue };
            links += 1;
            if links > MAX_LINKS {
                return Err(Errno::LOOP.into());
            }
            real.pop();
            if target.is_absolute() {
                real = PathBuf::from("/");
            }
            components(&target).rev().for_each(|name| todo.push_front(name));
        }
        Ok(real)
    }

    /// The text of a link; `None` for what is none, or not there.
    fn link_at(&self, real: &Path) -> io::Result<Option<PathBuf>> {
        if let Some(root) = &self.listing {
            let link = find(root, real).and_then(|node| node.link.clone());
            return Ok(link.map(|link| PathBuf::from(OsString::from_vec(link.into_bytes()))));
        }
        match self.tree.lstat(real) {
            Ok(stat) if kind(&stat) == FileType::Symlink => self.tree.readlink(real).map(Some),
            Ok(_) => Ok(None),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Status of what is at a real path (one that [`Files::real_path`] gave); `None` when nothing is.
    pub(crate) fn stat(&self, real: &Path) -> io::Result<Option<Stat>> {
        if let Some(root) = &self.listing {
            return Ok(find(root, real).map(|node| node.stat));
        }
        match self.tree.lstat(real) {
            Ok(stat) => Ok(Some(stat)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens the directory at a real path.
    pub(crate) fn open_dir(&self, real: &Path) -> io::Result<OpenDir> {
        let mut dir = OpenDir { fd: reopen(self.tree.fd())?, node: self.listing.clone() };
        for name in components(real) {
            dir = dir.open_dir(&CString::new(name.into_vec())?)?;
        }
        Ok(dir)
    }

    /// Opens the regular file at a path, following links. **Errors**: `NotFound`.
    pub(crate) fn open_file(&self, path: &Path) -> io::Result<File> {
        let real = self.real_path(path, true)?;
        let (Some(parent), Some(name)) = (real.parent(), real.file_name()) else {
            return Err(Errno::ISDIR.into());
        };
        let dir = self.open_dir(parent)?;
        let name = CString::new(name.as_bytes())?;
        if kind(&dir.stat(&name)?) != FileType::RegularFile {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        dir.open_file(&name)
    }
}

impl OpenDir {
    /// The names in it, in byte order.
    pub(crate) fn names(&self) -> io::Result<Vec<CString>> {
        if let Some(node) = &self.node {
            return Ok(node.children.keys().cloned().collect());
        }
        let mut names: Vec<_> = stack::list(self.fd.as_fd())?.into_iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Status of an entry, not of what it links to. **Errors**: `NotFound`.
    pub(crate) fn stat(&self, name: &CStr) -> io::Result<Stat> {
        match &self.node {
            Some(node) => Ok(child(node, name)?.stat),
            None => Ok(entry::stat(&self.fd, name)?),
        }
    }

    /// What the listing holds of an entry.
    pub(crate) fn node(&self, name: &CStr) -> Option<&Arc<Node>> {
        self.node.as_ref()?.children.get(name)
    }

    /// Opens a directory in it; never through a link.
    pub(crate) fn open_dir(&self, name: &CStr) -> io::Result<Self> {
        let node = self.node.as_ref().map(|node| child(node, name).cloned()).transpose()?;
        Ok(Self { fd: stack::open_dir(self.fd.as_fd(), name)?, node })
    }

    /// Opens a regular file in it; never through a link.
    pub(crate) fn open_file(&self, name: &CStr) -> io::Result<File> {
        Ok(entry::open_file(self.fd.as_fd(), name)?)
    }

    /// The text of a link in it.
    pub(crate) fn readlink(&self, name: &CStr) -> io::Result<CString> {
        match self.node(name).and_then(|node| node.link.clone()) {
            Some(link) => Ok(link),
            None => Ok(rustix::fs::readlinkat(&self.fd, name, Vec::new())?),
        }
    }

    /// Attributes of an entry.
    pub(crate) fn xattrs(&self, name: &CStr) -> io::Result<Xattrs> {
        Ok(xattr::read(self.fd.as_fd(), name)?)
    }

    /// The directory itself.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether an error says that nothing is there.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Finds an entry by a path without links.
fn find<'a>(root: &'a Arc<Node>, real: &Path) -> Option<&'a Arc<Node>> {
    components(real).try_fold(root, |node, name| node.children.get(CString::new(name.into_vec()).ok()?.as_c_str()))
}

fn child<'a>(node: &'a Node, name: &CStr) -> io::Result<&'a Arc<Node>> {
    node.children.get(name).ok_or_else(|| Errno::NOENT.into())
}

/// Opens for reading what may be open as a mere name.
fn reopen(dir: BorrowedFd) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, c".", flags, Mode::empty())?)
}

fn components(path: &Path) -> impl DoubleEndedIterator<Item = OsString> + use<> {
    let names: Vec<OsString> = path
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            _ => None,
        })
        .collect();
    names.into_iter()
}
