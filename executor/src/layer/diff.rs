//! A layer directory as the tar BuildKit would write: same entries, same order, same bytes (parity C1 and C2).
//!
//! Names in byte order within each directory; a whiteout is an empty `.wh.NAME` in the place of `NAME`; the first name of a
//! file is the file, later ones are links to it; times are whole seconds; of the extended attributes only file
//! capabilities; sockets are left out; the root is not an entry. Directories that are in the layer for their time alone are
//! left out ([`Contents::quiet`]). Names that did not change themselves ([`Contents::late`]) never come before their file.
//!
//! A layer may be in several directories, the later ones on top ([`Contents::continues`]): then it is what they are merged.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use super::header::{END, Entry, Kind, padding, write_header};
use crate::snapshot::{Contents, entry, is_whiteout, stack, xattr};
use crate::{Cancel, Error, Result};

/// Latest time an entry may have, in seconds since the epoch; later ones are set to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Clamp(pub Option<i64>);

impl Clamp {
    /// The time an entry gets.
    pub fn apply(self, seconds: i64) -> i64 {
        self.0.map_or(seconds, |latest| seconds.min(latest))
    }
}

/// Bytes read at once; larger files are copied by the kernel where that can.
const BUFFER: usize = 256 << 10;
/// Bytes copied between two looks whether to stop.
const STRETCH: u64 = 16 << 20;

/// How names begin that say in a layer that what has the rest of the name is removed.
const REMOVED: &[u8] = b".wh.";

/// Writes the tar of a layer, its end included. **Shape**: `dirs` are its directories, lowest first, nearly always one.
///
/// Returns the first of the files whose names mean something else in a layer: whoever unpacks it removes others.
pub fn write_diff<W: Write>(
    dirs: &[PathBuf],
    contents: &Contents,
    clamp: Clamp,
    out: &mut W,
    cancel: &Cancel,
) -> Result<Option<PathBuf>> {
    let mut walk = Walk {
        out,
        clamp,
        cancel,
        quiet: contents.quiet.iter().map(Vec::as_slice).collect(),
        late: contents.late.iter().map(Vec::as_slice).collect(),
        late_dirs: BTreeMap::new(),
        waiting: HashMap::new(),
        path: Vec::new(),
        links: HashMap::new(),
        removing: None,
        buffer: vec![0; BUFFER],
    };
    let open = |dir: &PathBuf| File::open(dir).map(OwnedFd::from);
    let written = dirs.iter().rev().map(open).collect::<io::Result<Vec<_>>>().and_then(|roots| {
        walk.dir(&roots)?;
        walk.out.write_all(&END)
    });
    if cancel.is_cancelled() {
        return Err(Error::Cancelled);
    }
    let top = dirs.last().map_or(Path::new(""), PathBuf::as_path);
    written.map_err(|error| Error::io("write the tar of", top.join(lossy(&walk.path)))(error))?;
    Ok(walk.removing)
}

fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

struct Walk<'a, W> {
    out: &'a mut W,
    clamp: Clamp,
    cancel: &'a Cancel,
    quiet: HashSet<&'a [u8]>,
    late: HashSet<&'a [u8]>,
    /// Late directories that were seen and not written.
    late_dirs: BTreeMap<Vec<u8>, Stat>,
    /// Late links to files that were not written yet, by device and inode: their paths.
    waiting: HashMap<(u64, u64), Vec<Vec<u8>>>,
    /// Path of the entry.
    path: Vec<u8>,
    /// Files with several names: the first one, by device and inode.
    links: HashMap<(u64, u64), Vec<u8>>,
    /// The first file whose name says that another is removed.
    removing: Option<PathBuf>,
    buffer: Vec<u8>,
}

impl<W: Write> Walk<'_, W> {
    /// Writes what is in a directory. **Shape**: its parts, topmost first.
    fn dir(&mut self, parts: &[OwnedFd]) -> io::Result<()> {
        if self.cancel.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let mut names: Vec<CString> = Vec::new();
        for part in parts {
            names.extend(stack::list(part.as_fd())?.into_iter().map(|(name, _)| name));
        }
        names.sort_unstable();
        names.dedup();
        for name in names {
            let length = self.path.len();
            self.path.extend_from_slice(name.to_bytes());
            self.entry(parts, &name)?;
            self.path.truncate(length);
        }
        Ok(())
    }

    fn entry(&mut self, parts: &[OwnedFd], name: &CStr) -> io::Result<()> {
        let (dir, stat) = topmost(parts, name)?;
        if is_whiteout(&stat) {
            let at = self.path.len() - name.to_bytes().len();
            let path = [&self.path[..at], REMOVED, name.to_bytes()].concat();
            return write_header(self.out, &Entry::new(&path, Kind::File));
        }
        if name.to_bytes().starts_with(REMOVED) && self.removing.is_none() {
            self.removing = Some(Path::new("/").join(lossy(&self.path)));
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.child(parts, dir, name, &stat),
            FileType::RegularFile => self.file(dir, name, &stat),
            FileType::Symlink => {
                let link = rustix::fs::readlinkat(dir, name, Vec::new())?;
                self.other(dir, name, &stat, Kind::Symlink, link.to_bytes())
            }
            FileType::CharacterDevice => self.other(dir, name, &stat, Kind::Char, &[]),
            FileType::BlockDevice => self.other(dir, name, &stat, Kind::Block, &[]),
            FileType::Fifo => self.other(dir, name, &stat, Kind::Fifo, &[]),
            _ => Ok(()),
        }
    }

    fn child(&mut self, parts: &[OwnedFd], dir: BorrowedFd, name: &CStr, stat: &Stat) -> io::Result<()> {
        let quiet = self.quiet.contains(self.path.as_slice());
        let late = self.late.contains(self.path.as_slice());
        self.path.push(b'/');
        if late {
            self.late_dirs.insert(self.path.clone(), *stat);
        } else if !quiet {
            self.header(dir, name, stat, Kind::Dir, &[], 0)?;
        }
        self.dir(&children(parts, name)?)
    }

    fn file(&mut self, dir: BorrowedFd, name: &CStr, stat: &Stat) -> io::Result<()> {
        let inode = (stat.st_dev, stat.st_ino);
        let late = self.late.contains(self.path.as_slice());
        if late && !self.links.contains_key(&inode) {
            self.waiting.entry(inode).or_default().push(self.path.clone());
            return Ok(());
        }
        if late {
            self.late_parents()?;
        }
        if self.is_link(stat) {
            return self.link(dir, name, stat);
        }
        self.content(dir, name, stat)?;
        for path in self.waiting.remove(&inode).unwrap_or_default() {
            let here = std::mem::replace(&mut self.path, path);
            self.late_parents()?;
            self.link(dir, name, stat)?;
            self.path = here;
        }
        Ok(())
    }

    /// Writes those directories above the entry that are there for late links alone.
    fn late_parents(&mut self) -> io::Result<()> {
        let ends: Vec<_> = (1..=self.path.len()).filter(|end| self.path[end - 1] == b'/').collect();
        for end in ends {
            let Some(stat) = self.late_dirs.remove(&self.path[..end]) else { continue };
            let path = self.path[..end].to_vec();
            let here = std::mem::replace(&mut self.path, path);
            self.header(rustix::fs::CWD, c"", &stat, Kind::Dir, &[], 0)?;
            self.path = here;
        }
        Ok(())
    }

    fn content(&mut self, dir: BorrowedFd, name: &CStr, stat: &Stat) -> io::Result<()> {
        let size = stat.st_size as u64;
        self.header(dir, name, stat, Kind::File, &[], size)?;
        if size == 0 {
            return Ok(());
        }
        let file = entry::open_file(dir, name)?;
        if size > BUFFER as u64 {
            self.copy(&file, size)?
        } else {
            self.read(&file, size as usize)?
        }
        self.out.write_all(padding(size))
    }

    fn read(&mut self, mut file: &File, size: usize) -> io::Result<()> {
        let buffer = &mut self.buffer[..size];
        file.read_exact(buffer).map_err(shorter)?;
        self.out.write_all(buffer)
    }

    /// The library has the kernel copy between files, and what is buffered follows; all else goes through a buffer.
    fn copy(&mut self, file: &File, size: u64) -> io::Result<()> {
        let mut left = size;
        while left > 0 {
            let stretch = file.take(left.min(STRETCH));
            let copied = io::copy(&mut BufReader::with_capacity(BUFFER, stretch), self.out)?;
            if copied == 0 {
                return Err(shorter(io::ErrorKind::UnexpectedEof.into()));
            }
            left -= copied;
            if self.cancel.is_cancelled() {
                return Err(io::ErrorKind::Interrupted.into());
            }
        }
        Ok(())
    }

    fn other(&mut self, dir: BorrowedFd, name: &CStr, stat: &Stat, kind: Kind, link: &[u8]) -> io::Result<()> {
        if self.is_link(stat) {
            return self.link(dir, name, stat);
        }
        self.header(dir, name, stat, kind, link, 0)
    }

    /// Whether the file was written under another name; else notes this one.
    fn is_link(&mut self, stat: &Stat) -> bool {
        if stat.st_nlink < 2 {
            return false;
        }
        let inode = (stat.st_dev, stat.st_ino);
        let known = self.links.contains_key(&inode);
        if !known {
            self.links.insert(inode, self.path.clone());
        }
        known
    }

    fn link(&mut self, dir: BorrowedFd, name: &CStr, stat: &Stat) -> io::Result<()> {
        let target = self.links[&(stat.st_dev, stat.st_ino)].clone();
        self.header(dir, name, stat, Kind::Link, &target, 0)
    }

    fn header(
        &mut self,
        dir: BorrowedFd,
        name: &CStr,
        stat: &Stat,
        kind: Kind,
        link: &[u8],
        size: u64,
    ) -> io::Result<()> {
        let mut header = Entry::new(&self.path, kind);
        header.mode = stat.st_mode & 0o7777;
        (header.uid, header.gid) = (stat.st_uid.into(), stat.st_gid.into());
        header.size = size;
        header.mtime = self.clamp.apply(stat.st_mtime);
        header.link = link;
        if matches!(FileType::from_raw_mode(stat.st_mode), FileType::CharacterDevice | FileType::BlockDevice) {
            header.device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        }
        if let Some(capability) = capability(dir, name, stat)? {
            header.xattrs.insert(xattr::CAPABILITY.to_bytes().to_vec(), capability);
        }
        write_header(self.out, &header)
    }
}

fn shorter(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the file became shorter"),
        _ => error,
    }
}

/// The entry that shows, and the directory it is in.
fn topmost<'a>(parts: &'a [OwnedFd], name: &CStr) -> io::Result<(BorrowedFd<'a>, Stat)> {
    for part in parts {
        match entry::stat(part, name) {
            Ok(stat) => return Ok((part.as_fd(), stat)),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(Errno::NOENT.into())
}

/// The parts of a directory in the directory, topmost first.
fn children(parts: &[OwnedFd], name: &CStr) -> io::Result<Vec<OwnedFd>> {
    let mut children = Vec::with_capacity(parts.len());
    for part in parts {
        match stack::open_dir(part.as_fd(), name) {
            Ok(child) => children.push(child),
            Err(Errno::NOENT) => {}
            // Anything else hides what is below.
            Err(Errno::NOTDIR | Errno::LOOP) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(children)
}

/// File capabilities: only regular files have them.
fn capability(dir: BorrowedFd, name: &CStr, stat: &Stat) -> io::Result<Option<Vec<u8>>> {
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    Ok(xattr::get(dir, name, xattr::CAPABILITY)?.filter(|value| !value.is_empty()))
}
