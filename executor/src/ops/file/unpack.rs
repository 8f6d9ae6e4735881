//! Unpacking an archive that is the source of a copy.
//!
//! Mirrors what Docker's `untar` makes of `ADD archive.tar /dest` (moby/go-archive as of BuildKit v0.32): the destination
//! is the root that nothing leaves, entries replace what is there but merge directories, owners are those asked for or
//! those in the archive, modes and times are those in the archive (whole seconds, not before 1970).

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use archive::tar::{Entries, Entry};
use rustix::fs::{AtFlags, FileType, Mode, Timespec, Timestamps};
use rustix::io::Errno;

use crate::layer::header::Kind;
use crate::layer::{Item, Limits, decompress};
use crate::rootfs::{NewDir, Tree};
use crate::snapshot::{Files, entry, is_missing, xattr};
use crate::{Cancel, Error, Result};

/// Opens a source if it is an archive: a regular file that is a tar, as it is or behind a compression.
pub(super) fn open_archive(from: &Files, src: &str) -> Result<Option<File>> {
    let file = match from.open_file(Path::new(src)) {
        Ok(file) => file,
        Err(error) if is_missing(&error) => return Err(crate::snapshot::copy::not_found(src)),
        // A directory, a device: copied.
        Err(_) => return Ok(None),
    };
    let mut probe = file.try_clone().map_err(Error::io("open", src))?;
    let found = is_archive(&probe)?;
    probe.rewind().map_err(Error::io("read", src))?;
    Ok(found.then_some(file))
}

fn is_archive(file: &File) -> Result<bool> {
    let file = file.try_clone().map_err(Error::io("open", "an archive"))?;
    let stream = match decompress(Box::new(file)) {
        Ok(stream) => stream,
        Err(error @ Error::Unsupported { .. }) => return Err(error),
        Err(_) => return Ok(false),
    };
    Ok(matches!(Entries::new(stream).next(), Ok(Some(_))))
}

/// Unpacks an archive into `dest`, which is made if it is not there.
pub(super) fn unpack(
    archive: File,
    to: &Tree,
    dest: &str,
    owner: Option<(u32, u32)>,
    time: Option<(i64, i64)>,
    cancel: &Cancel,
) -> Result<()> {
    let new = NewDir { mode: 0o755, owner, time };
    let (dir, _) = to.mkdir_all(Path::new(dest), new).map_err(Error::io("make directory", dest))?;
    let mut entries = Entries::new(decompress(Box::new(archive))?);
    let mut untar = Untar { tree: Tree::from_fd(dir), owner, dirs: Vec::new(), entries: 0, bytes: 0 };
    let malformed = |error: io::Error| Error::Invalid(format!("cannot read archive: {error}"));
    while let Some(entry) = entries.next().map_err(malformed)? {
        cancel.check()?;
        let Some(name) = from_top(&entry.name) else { continue };
        let Some(item) = Item::read(Entry { name, ..entry })? else { continue };
        untar.count(&item, Limits::default())?;
        untar.item(&item, &mut entries).map_err(Error::io("unpack", &item.path))?;
    }
    untar.finish()
}

/// A name as seen from the destination, which `..` leads no further up than to. `None` for `.`, of which nothing is said.
///
/// parity: what is said of `/` and `..` is said of the destination.
fn from_top(name: &[u8]) -> Option<Vec<u8>> {
    let (mut names, mut leads_up) = (Vec::new(), name.starts_with(b"/"));
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => leads_up |= names.pop().is_none(),
            name => names.push(name),
        }
    }
    (leads_up || !names.is_empty()).then(|| names.join(&b'/'))
}

struct Untar {
    tree: Tree,
    owner: Option<(u32, u32)>,
    /// Directories and their times, set again when all is there.
    dirs: Vec<(PathBuf, Timestamps)>,
    /// Entries so far, and what they say their bytes are.
    entries: u64,
    bytes: u64,
}

impl Untar {
    /// Refuses an archive that holds more than a layer may.
    fn count(&mut self, item: &Item, limits: Limits) -> Result<()> {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(item.size);
        let refused = |what: String| Err(Error::Invalid(format!("refusing to unpack archive: more than {what}")));
        match (self.entries > limits.entries, self.bytes > limits.bytes) {
            (true, _) => refused(format!("{} entries", limits.entries)),
            (_, true) => refused(format!("{} bytes", limits.bytes)),
            (false, false) => Ok(()),
        }
    }

    fn item(&mut self, item: &Item, data: &mut dyn Read) -> io::Result<()> {
        let Some(name) = item.path.file_name() else { return self.top(item) };
        let new = NewDir { mode: 0o755, owner: Some((0, 0)), time: None };
        let (parent, _) = self.tree.mkdir_all(item.path.parent().unwrap_or(Path::new("")), new)?;
        let name = CString::new(name.as_bytes())?;
        self.clear(&parent, &name, item)?;
        self.make(&parent, &name, item, data)?;
        self.set_metadata(parent.as_fd(), &name, item)
    }

    /// What is said of the destination.
    fn top(&mut self, item: &Item) -> io::Result<()> {
        if item.kind != Kind::Dir {
            return Err(Errno::BUSY.into());
        }
        let top = self.tree.fd().try_clone_to_owned()?;
        self.set_metadata(top.as_fd(), c".", item)
    }

    fn set_metadata(&mut self, parent: BorrowedFd<'_>, name: &CStr, item: &Item) -> io::Result<()> {
        let (uid, gid) = self.owner.unwrap_or((item.uid, item.gid));
        entry::set_owner(parent, name, uid, gid)?;
        for (key, value) in &item.xattrs {
            // parity: as far as they can be set.
            let _ = xattr::set(parent, name, key, value);
        }
        if FileType::from_raw_mode(entry::stat(parent, name)?.st_mode) != FileType::Symlink {
            entry::set_mode(parent, name, item.mode)?;
        }
        if item.kind == Kind::Dir {
            self.dirs.push((Path::new(".").join(&item.path), times(item)));
        }
        Ok(entry::set_times(parent, name, times(item))?)
    }

    /// Removes what is in the way: everything but a directory under a directory.
    fn clear(&self, parent: &OwnedFd, name: &CString, item: &Item) -> io::Result<()> {
        match entry::stat(parent, name) {
            Ok(found) if item.kind == Kind::Dir && FileType::from_raw_mode(found.st_mode) == FileType::Directory => {
                Ok(())
            }
            Ok(_) => self.tree.remove_all(&item.path),
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn make(&self, parent: &OwnedFd, name: &CString, item: &Item, data: &mut dyn Read) -> io::Result<()> {
        let node = |kind| Ok(rustix::fs::mknodat(parent, &**name, kind, Mode::RUSR | Mode::WUSR, item.device)?);
        match item.kind {
            Kind::Dir => match rustix::fs::mkdirat(parent, &**name, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => Ok(()),
                Err(errno) => Err(errno.into()),
            },
            Kind::File => io::copy(data, &mut entry::create_file(parent.as_fd(), name)?).map(drop),
            Kind::Symlink => Ok(rustix::fs::symlinkat(OsStr::from_bytes(&item.link), parent, &**name)?),
            Kind::Link => {
                let target = self.tree.place(Path::new(OsStr::from_bytes(&item.link)))?;
                Ok(rustix::fs::linkat(&target.dir, &target.name, parent, &**name, AtFlags::empty())?)
            }
            Kind::Char if item.device == 0 => Err(Errno::INVAL.into()),
            Kind::Char => node(FileType::CharacterDevice),
            Kind::Block => node(FileType::BlockDevice),
            Kind::Fifo => node(FileType::Fifo),
        }
    }

    fn finish(&self) -> Result<()> {
        for (path, times) in &self.dirs {
            let set = || -> io::Result<()> {
                let place = self.tree.place(path)?;
                Ok(rustix::fs::utimensat(&place.dir, &place.name, times, AtFlags::SYMLINK_NOFOLLOW)?)
            };
            match set() {
                // A later entry took its place.
                Err(error) if is_missing(&error) => {}
                result => result.map_err(Error::io("set the time of", path))?,
            }
        }
        Ok(())
    }
}

fn times(item: &Item) -> Timestamps {
    let time = Timespec { tv_sec: item.mtime.0, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}
