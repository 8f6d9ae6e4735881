//! A tar into a layer directory.
//!
//! The tar is hostile: it may name paths outside, go through links it made itself, be a bomb, or claim attributes that mean
//! something to an overlay. Parents are opened confined to the directory, entries are made by name in them and never
//! followed. Whiteouts become the kernel's: `.wh.NAME` a device 0:0, `.wh..wh..opq` a mark on the directory. A layer is
//! unpacked on its own, whatever it will stand on: what it does not hold (parents it does not list, links to files of lower
//! layers) is noted, and taken from below when it is stacked.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use archive::tar::{Entries, Entry};
use oci::{Digest, Hasher};
use rustix::fs::{AtFlags, FileType, Mode, Timespec, Timestamps};
use rustix::io::Errno;

use super::header::Kind;
use crate::rootfs::{NewDir, Tree};
use crate::snapshot::{Borrowed, Contents, entry, is_whiteout, xattr};
use crate::{Cancel, Error, Result, userns};

/// Most bytes of files in one layer: no image comes near, and a bomb is stopped before it fills every disk.
const MAX_BYTES: u64 = 256 << 30;
/// Most entries of one layer.
const MAX_ENTRIES: u64 = 10_000_000;
/// Longest path in a tar, in bytes; the kernel's number.
const MAX_PATH: usize = 4096;
/// Most bytes of attributes of one entry.
const MAX_XATTRS: usize = 1 << 20;

/// The last second since 1970 whose nanoseconds are a signed number of 64 bits.
const LAST_SECOND: i64 = i64::MAX / 1_000_000_000;

/// What a tar may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of files.
    pub bytes: u64,
    /// Entries.
    pub entries: u64,
    /// Whether device nodes are made.
    pub devices: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: MAX_BYTES, entries: MAX_ENTRIES, devices: true }
    }
}

/// A layer that was unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Digest of the tar.
    pub diff_id: Digest,
    /// What is in the directory.
    pub contents: Contents,
}

/// Unpacks a tar (not compressed, see [`super::decompress`]) into an empty directory. Reads the stream to its end.
pub fn apply(tar: &mut dyn Read, dir: &Path, limits: Limits, cancel: &Cancel) -> Result<Applied> {
    let mut stream = Hashed { inner: tar, hasher: Hasher::sha256(), cancel };
    let mut unpack = Unpack::new(dir, limits)?;
    let unpacked = read(&mut Entries::new(&mut stream), &mut unpack);
    if cancel.is_cancelled() {
        return Err(Error::Cancelled);
    }
    unpacked?;
    unpack.finish()?;
    io::copy(&mut stream, &mut io::sink()).map_err(Error::io("read", "a layer"))?;
    Ok(Applied { diff_id: stream.hasher.finish(), contents: unpack.contents })
}

fn read(entries: &mut Entries<&mut Hashed<'_>>, unpack: &mut Unpack) -> Result<()> {
    while let Some(entry) = entries.next().map_err(|error| malformed(&error))? {
        let Some(item) = Item::read(entry)? else { continue };
        unpack.count += 1;
        if unpack.count > unpack.limits.entries {
            return Err(too_much(format!("more than {} entries", unpack.limits.entries)));
        }
        unpack.item(&item, entries)?;
    }
    Ok(())
}

fn malformed(error: &io::Error) -> Error {
    Error::Invalid(format!("cannot read layer: {error}"))
}

fn too_much(what: String) -> Error {
    Error::Invalid(format!("refusing to unpack layer: {what}"))
}

/// Hashes what is read; stops when asked to.
struct Hashed<'a> {
    inner: &'a mut dyn Read,
    hasher: Hasher,
    cancel: &'a Cancel,
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        let length = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..length]);
        Ok(length)
    }
}

/// One entry of a tar.
pub(crate) struct Item {
    /// Relative, without `.` and `..`; empty is the root.
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    /// Seconds and nanoseconds since the epoch.
    pub(crate) mtime: (i64, i64),
    pub(crate) link: Vec<u8>,
    pub(crate) device: u64,
    pub(crate) xattrs: BTreeMap<CString, Vec<u8>>,
}

impl Item {
    /// Takes an entry; `None` for what is none (global records).
    pub(crate) fn read(entry: Entry) -> Result<Option<Self>> {
        let Some(kind) = kind_of(entry.kind)? else { return Ok(None) };
        if entry.name.len() > MAX_PATH {
            return Err(too_much(format!("a path of {} bytes", entry.name.len())));
        }
        let path = relative(&entry.name)?;
        let xattrs = xattrs(entry.attributes, &path)?;
        // parity: what does not fit is cut off, as for Go's numbers in a system call.
        let (mode, uid, gid) = (entry.mode as u32 & 0o7777, entry.uid as u32, entry.gid as u32);
        let device = rustix::fs::makedev(entry.device.0 as u32, entry.device.1 as u32);
        // parity: times that Go's library does not set are the first.
        let mtime = Some(entry.modified).filter(|(seconds, _)| (0..=LAST_SECOND).contains(seconds)).unwrap_or_default();
        let mtime = (mtime.0, mtime.1.into());
        Ok(Some(Self { path, kind, mode, uid, gid, size: entry.size, mtime, link: entry.link, device, xattrs }))
    }

    pub(crate) fn times(&self) -> Timestamps {
        let time = Timespec { tv_sec: self.mtime.0, tv_nsec: self.mtime.1 as _ };
        Timestamps { last_access: time, last_modification: time }
    }
}

/// Attributes that are set on a file.
fn xattrs(attributes: BTreeMap<Vec<u8>, Vec<u8>>, path: &Path) -> Result<BTreeMap<CString, Vec<u8>>> {
    let named = attributes.into_iter().filter_map(|(name, value)| Some((CString::new(name).ok()?, value)));
    // What an overlay would take for its own is nobody's business but ours.
    let xattrs: BTreeMap<_, _> = named.filter(|(name, _)| !xattr::is_of_overlay(name)).collect();
    let bytes: usize = xattrs.values().map(Vec::len).sum();
    if bytes > MAX_XATTRS {
        return Err(too_much(format!("{bytes} bytes of attributes of {}", path.display())));
    }
    Ok(xattrs)
}

fn kind_of(flag: u8) -> Result<Option<Kind>> {
    Ok(Some(match flag {
        // Sparse, and in one piece.
        b'0' | b'S' | b'7' => Kind::File,
        b'1' => Kind::Link,
        b'2' => Kind::Symlink,
        b'3' => Kind::Char,
        b'4' => Kind::Block,
        b'5' => Kind::Dir,
        b'6' => Kind::Fifo,
        b'g' => return Ok(None),
        other => {
            let flag = char::from(other).escape_default();
            return Err(Error::Invalid(format!("cannot read layer: entry of unknown type {flag}")));
        }
    }))
}

/// Cleans a path; leading slashes mean nothing, `..` beyond the root is refused.
fn relative(path: &[u8]) -> Result<PathBuf> {
    let mut clean = PathBuf::new();
    for component in Path::new(OsStr::from_bytes(path)).components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir if !clean.pop() => {
                let path = String::from_utf8_lossy(path);
                return Err(Error::Invalid(format!("cannot unpack {path}: it leads out of the tree")));
            }
            _ => {}
        }
    }
    Ok(clean)
}

struct Unpack {
    tree: Tree,
    limits: Limits,
    contents: Contents,
    count: u64,
    /// The directory the last entry was made in.
    parent: Option<(PathBuf, OwnedFd)>,
    /// Times of directories, set when nothing is made in them any more.
    times: BTreeMap<PathBuf, Timestamps>,
    /// Directories that had to be made and are not listed yet.
    implicit: BTreeSet<PathBuf>,
    /// Links to files that are not in the layer, with what they link to.
    borrowed: BTreeMap<PathBuf, PathBuf>,
    buffer: Vec<u8>,
}

impl Unpack {
    fn new(dir: &Path, limits: Limits) -> Result<Self> {
        let tree = Tree::open(dir).map_err(Error::io("open", dir))?;
        let (contents, times, buffer) = (Contents::default(), BTreeMap::new(), vec![0; 256 << 10]);
        let (implicit, borrowed) = (BTreeSet::new(), BTreeMap::new());
        Ok(Self { tree, limits, contents, count: 0, parent: None, times, implicit, borrowed, buffer })
    }

    fn item(&mut self, item: &Item, data: &mut dyn Read) -> Result<()> {
        // parity: what a tar says of the root is passed over (containerd, archive/tar.go).
        let Some(name) = item.path.file_name() else { return Ok(()) };
        let made = match name.as_bytes().strip_prefix(b".wh.") {
            Some(b".wh..opq") => self.opaque(&item.path),
            // Bookkeeping of aufs.
            Some(hidden) if hidden.starts_with(b".wh.") => Ok(()),
            Some(hidden) => self.whiteout(&item.path, OsStr::from_bytes(hidden)),
            None => self.entry(item, name, data)?,
        };
        made.map_err(Error::io("unpack", &item.path))
    }

    /// Opens the directory an entry is made in; makes it when the tar did not.
    fn open_parent(&mut self, path: &Path) -> io::Result<()> {
        if self.parent.as_ref().is_some_and(|(open, _)| open == path) {
            return Ok(());
        }
        let new = NewDir { mode: 0o755, owner: Some((0, 0)), time: None };
        let (dir, made) = self.tree.mkdir_all(path, new)?;
        for dir in &made {
            // parity: containerd sets the mode of these itself, so that they take nothing from a set-group-ID directory.
            let place = self.tree.place(dir)?;
            entry::set_mode(place.dir.as_fd(), &CString::new(place.name.as_bytes())?, new.mode)?;
        }
        self.implicit.extend(made.iter().map(|dir| dir.strip_prefix("/").unwrap_or(dir).to_owned()));
        // `mkdir_all` may give a descriptor that only names the directory.
        let dir = rustix::fs::openat(
            &dir,
            c".",
            rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        self.parent = Some((path.to_owned(), dir));
        Ok(())
    }

    fn parent_of(&mut self, path: &Path) -> io::Result<OwnedFd> {
        self.open_parent(path.parent().unwrap_or(Path::new("")))?;
        self.parent.as_ref().expect("it was just opened").1.try_clone()
    }

    fn whiteout(&mut self, path: &Path, hidden: &OsStr) -> io::Result<()> {
        if hidden.is_empty() || hidden == "." || hidden == ".." {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it hides no name"));
        }
        let parent = self.parent_of(path)?;
        let name = CString::new(hidden.as_bytes())?;
        self.borrowed.remove(&path.with_file_name(hidden));
        match entry::stat(&parent, &name) {
            // What this layer has itself stays; of a directory, only what is below it in other layers goes.
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                self.opaque(&path.with_file_name(hidden).join("x"))
            }
            Ok(_) => Ok(()),
            Err(Errno::NOENT) => {
                self.contents.whiteouts = true;
                Ok(entry::whiteout(parent.as_fd(), &name)?)
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// Marks the directory that `path` is in.
    fn opaque(&mut self, path: &Path) -> io::Result<()> {
        let parent = self.parent_of(path)?;
        self.contents.opaque = true;
        Ok(rustix::fs::fsetxattr(
            &parent,
            xattr::overlay_mark(xattr::Mark::Opaque),
            b"y",
            rustix::fs::XattrFlags::empty(),
        )?)
    }

    fn entry(&mut self, item: &Item, name: &OsStr, data: &mut dyn Read) -> Result<io::Result<()>> {
        let size = item.size.checked_next_multiple_of(4096).unwrap_or(u64::MAX);
        self.contents.bytes = self.contents.bytes.saturating_add(size);
        if self.contents.bytes > self.limits.bytes {
            return Err(too_much(format!("more than {} bytes", self.limits.bytes)));
        }
        if matches!(item.kind, Kind::Char | Kind::Block) {
            if !self.limits.devices {
                return Err(Error::Denied(format!("cannot unpack {}: devices are not allowed", item.path.display())));
            }
            if item.kind == Kind::Char && item.device == 0 {
                return Err(Error::Invalid(format!("cannot unpack {}: device 0:0 is a deletion", item.path.display())));
            }
        }
        Ok(self.make(item, name, data))
    }

    fn make(&mut self, item: &Item, name: &OsStr, data: &mut dyn Read) -> io::Result<()> {
        let parent = self.parent_of(&item.path)?;
        let name = CString::new(name.as_bytes())?;
        let hides = self.clear(&parent, item, &name)?;
        match item.kind {
            Kind::File => {
                let mut file = entry::create_file(parent.as_fd(), &name)?;
                copy(data, &mut file, &mut self.buffer)?;
            }
            Kind::Dir => match rustix::fs::mkdirat(&parent, &name, Mode::RWXU) {
                Ok(()) if hides => self.opaque(&item.path.join("x"))?,
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            },
            Kind::Symlink => rustix::fs::symlinkat(OsStr::from_bytes(&item.link), &parent, &name)?,
            Kind::Link => return self.link(item, &parent, &name),
            Kind::Fifo => rustix::fs::mknodat(&parent, &name, FileType::Fifo, Mode::RUSR, 0)?,
            // Nobody but root can make them; a container has its own /dev, and an image keeps the layer's blob.
            Kind::Char | Kind::Block if userns::is_confined() => return Ok(()),
            Kind::Char => rustix::fs::mknodat(&parent, &name, FileType::CharacterDevice, Mode::RUSR, item.device)?,
            Kind::Block => rustix::fs::mknodat(&parent, &name, FileType::BlockDevice, Mode::RUSR, item.device)?,
        }
        set_metadata(&parent, &name, item)?;
        if item.kind == Kind::Dir {
            self.times.insert(item.path.clone(), item.times());
            self.implicit.remove(&item.path);
        }
        Ok(())
    }

    /// Removes what is in the way of an entry; returns whether that was a deletion.
    fn clear(&mut self, parent: &OwnedFd, item: &Item, name: &CString) -> io::Result<bool> {
        self.borrowed.remove(&item.path);
        let stat = match entry::stat(parent, name) {
            Err(Errno::NOENT) => return Ok(false),
            stat => stat?,
        };
        if item.kind == Kind::Dir && FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return Ok(false);
        }
        self.tree.remove_all(&item.path)?;
        self.parent.take_if(|(open, _)| open.starts_with(&item.path));
        self.times.retain(|dir, _| !dir.starts_with(&item.path));
        self.implicit.retain(|dir| !dir.starts_with(&item.path));
        self.borrowed.retain(|link, _| !link.starts_with(&item.path));
        Ok(is_whiteout(&stat))
    }

    fn link(&mut self, item: &Item, parent: &OwnedFd, name: &CString) -> io::Result<()> {
        let target =
            relative(&item.link).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        if let Some(below) = self.borrowed.get(&target).cloned() {
            self.borrowed.insert(item.path.clone(), below);
            return Ok(());
        }
        let linked = self
            .tree
            .place(&target)
            .and_then(|place| Ok(rustix::fs::linkat(&place.dir, &place.name, parent, &**name, AtFlags::empty())?));
        match linked {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.borrowed.insert(item.path.clone(), target);
                Ok(())
            }
            linked => linked,
        }
    }

    fn finish(&mut self) -> Result<()> {
        let implicit = self.implicit.iter().map(|dir| dir.as_os_str().as_bytes().to_vec());
        self.contents.implicit = implicit.collect();
        let bytes = |path: &PathBuf| path.as_os_str().as_bytes().to_vec();
        let borrowed = self.borrowed.iter().map(|(path, target)| Borrowed { path: bytes(path), target: bytes(target) });
        self.contents.borrowed = borrowed.collect();
        for (path, times) in &self.times {
            let set = || -> io::Result<()> {
                let place = self.tree.place(path)?;
                Ok(rustix::fs::utimensat(&place.dir, &place.name, times, AtFlags::SYMLINK_NOFOLLOW)?)
            };
            set().map_err(Error::io("set the time of", path))?;
        }
        Ok(())
    }
}

/// Sets owner, permissions, attributes and times, in this order: a change of owner takes set-id bits away.
fn set_metadata(parent: &OwnedFd, name: &CString, item: &Item) -> io::Result<()> {
    set_owner(parent.as_fd(), name, item)?;
    if item.kind != Kind::Symlink {
        entry::set_mode(parent.as_fd(), name, item.mode)?;
    }
    for (key, value) in &item.xattrs {
        match xattr::set(parent.as_fd(), name, key, value) {
            // Not every file system or file has user attributes, and security modules refuse what they do not know.
            Err(Errno::NOTSUP | Errno::PERM) if key.as_c_str() != xattr::CAPABILITY => {}
            result => result?,
        }
    }
    Ok(entry::set_times(parent.as_fd(), name, item.times())?)
}

/// Sets the owner. Where there is nobody to give a file to, it stays ours: a build that only reads it does not care.
fn set_owner(dir: BorrowedFd<'_>, name: &CStr, item: &Item) -> io::Result<()> {
    match entry::set_owner(dir, name, item.uid, item.gid) {
        Err(Errno::INVAL | Errno::PERM) if userns::has_one_id() => Ok(()),
        result => Ok(result?),
    }
}

fn copy(data: &mut dyn Read, file: &mut File, buffer: &mut [u8]) -> io::Result<()> {
    loop {
        let length = data.read(buffer)?;
        if length == 0 {
            return Ok(());
        }
        file.write_all(&buffer[..length])?;
    }
}
