//! Confined path operations: no path ever leaves the tree it belongs to, whatever links the tree holds and whoever
//! changes it meanwhile.
//!
//! A [`Tree`] is the open root directory of a tree. Paths are of the tree: `/etc`, `etc` and `../etc` are the same, an
//! absolute link points into the tree, `..` stops at its root. Everything goes through file descriptors: paths that exist
//! are resolved by the kernel (`openat2` with `RESOLVE_IN_ROOT`), missing ones by `walk`, which holds a descriptor of
//! every directory it is in. Results are `io::Result`: callers know the path and wrap it in their own error.

mod remove;
#[cfg(test)]
mod tests;
mod walk;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;

/// Times the kernel is asked again when somebody renames directories under a path that has `..` in it.
const RESOLVE_RETRIES: usize = 64;

/// The open root directory of a tree.
#[derive(Debug)]
pub struct Tree {
    root: OwnedFd,
}

/// How a directory is made.
#[derive(Clone, Copy, Debug)]
pub struct NewDir {
    /// Permission bits, set whatever the umask is. A set-group-ID directory passes that bit on, as it does its group.
    pub mode: u32,
    /// Owner and group; `None` is this process's.
    pub owner: Option<(u32, u32)>,
    /// Modification and access time: seconds and nanoseconds since the epoch; `None` is now.
    pub time: Option<(i64, i64)>,
}

/// A directory of a tree and a name in it, which need not exist and is never followed.
#[derive(Debug)]
pub struct Place {
    /// The directory.
    pub dir: OwnedFd,
    /// The name; `.` for the root of the tree itself.
    pub name: OsString,
}

/// The path from the root of a tree that a path says as text, where no directory on the way is a link: without `.` and
/// `..`, and never above the root.
pub fn below(path: &Path) -> PathBuf {
    let mut below = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => below.push(name),
            Component::ParentDir => drop(below.pop()),
            _ => {}
        }
    }
    below
}

impl Tree {
    /// Opens the tree at a trusted path of the host.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { root: fs::open(path, flags, Mode::empty())? })
    }

    /// The tree below an open directory.
    pub fn from_fd(root: OwnedFd) -> Self {
        Self { root }
    }

    /// The root directory (`O_PATH` when opened by [`Tree::open`]).
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens what is at a path, following links, as an `O_PATH` descriptor.
    pub fn resolve(&self, path: &Path) -> io::Result<OwnedFd> {
        self.openat2(path, OFlags::PATH, Mode::empty())
    }

    /// Opens what is at a path, the last component not followed, as an `O_PATH` descriptor.
    pub fn resolve_nofollow(&self, path: &Path) -> io::Result<OwnedFd> {
        self.openat2(path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())
    }

    /// Finds the existing directory a path is in, and its last name. `..` at the end counts as a directory to enter.
    pub fn place(&self, path: &Path) -> io::Result<Place> {
        let (parent, name) = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => (parent, name.to_owned()),
            _ => (path, OsString::from(".")),
        };
        Ok(Place { dir: self.openat2(parent, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?, name })
    }

    /// Where a path leads once every link in it is followed, as an absolute path of the tree. Missing components stay as
    /// they are written, so the answer names what would be made.
    pub fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        walk::walk(self.fd(), path, walk::Missing::Keep).map(|end| end.path)
    }

    /// Opens a file for reading. Refuses what is no regular file, so that no pipe or device can block or bite.
    pub fn open_file(&self, path: &Path) -> io::Result<File> {
        let fd = self.openat2(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty())?;
        regular(fd)
    }

    /// Reads a whole file of at most `limit` bytes; a longer one is [`io::ErrorKind::FileTooLarge`].
    pub fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let mut data = Vec::new();
        self.open_file(path)?.take(limit.saturating_add(1)).read_to_end(&mut data)?;
        if data.len() as u64 > limit {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {limit} bytes")));
        }
        Ok(data)
    }

    /// Stat of what is at a path, following links.
    pub fn stat(&self, path: &Path) -> io::Result<Stat> {
        Ok(fs::fstat(self.resolve(path)?)?)
    }

    /// Stat of what is at a path, the last component not followed.
    pub fn lstat(&self, path: &Path) -> io::Result<Stat> {
        Ok(fs::fstat(self.resolve_nofollow(path)?)?)
    }

    /// Whether something is at a path, the last component not followed.
    pub fn exists(&self, path: &Path) -> io::Result<bool> {
        match self.resolve_nofollow(path) {
            Ok(_) => Ok(true),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Text of the link at a path.
    pub fn readlink(&self, path: &Path) -> io::Result<PathBuf> {
        let link = self.resolve_nofollow(path)?;
        if FileType::from_raw_mode(fs::fstat(&link)?.st_mode) != FileType::Symlink {
            return Err(Errno::INVAL.into());
        }
        Ok(PathBuf::from(OsString::from_vec(fs::readlinkat(&link, "", Vec::new())?.into_bytes())))
    }

    /// Makes the directories of a path that are missing, also those a dangling link points to, and opens the last.
    /// Returns the paths of those it made, outermost first. What exists keeps its owner, mode and times.
    pub fn mkdir_all(&self, path: &Path, new: NewDir) -> io::Result<(OwnedFd, Vec<PathBuf>)> {
        let end = walk::walk(self.fd(), path, walk::Missing::Make(new))?;
        if let Some(time) = new.time {
            // Innermost first: making a directory touches the one it is in.
            for made in end.made.iter().rev() {
                self.set_times(made, time)?;
            }
        }
        Ok((end.dir, end.made))
    }

    /// Sets both times (seconds and nanoseconds since the epoch) of what is at a path, the last component not followed.
    pub fn set_times(&self, path: &Path, (seconds, nanos): (i64, i64)) -> io::Result<()> {
        let place = self.place(path)?;
        let time = Timespec { tv_sec: seconds, tv_nsec: nanos as _ };
        let times = Timestamps { last_access: time, last_modification: time };
        Ok(fs::utimensat(&place.dir, &place.name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Makes a file in an existing directory; something at that name already is an error, a link included.
    pub fn create_file(&self, path: &Path, mode: u32) -> io::Result<File> {
        let place = self.place(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::openat(&place.dir, &place.name, flags, Mode::from_raw_mode(mode))?;
        fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        Ok(File::from(file))
    }

    /// Makes a link in an existing directory; its text is kept as given.
    pub fn symlink(&self, text: &Path, path: &Path) -> io::Result<()> {
        let place = self.place(path)?;
        Ok(fs::symlinkat(text, &place.dir, &place.name)?)
    }

    /// Removes what is at a path and everything below it; a link is removed, not followed. Nothing there is an error.
    /// The root itself stays, emptied.
    pub fn remove_all(&self, path: &Path) -> io::Result<()> {
        let place = self.place(path)?;
        remove::remove_all(&place.dir, &place.name)
    }

    /// Sets owner and group of what is at a path, the last component not followed.
    pub fn chown(&self, path: &Path, uid: u32, gid: u32) -> io::Result<()> {
        let place = self.place(path)?;
        let (uid, gid) = crate::userns::owner(uid, gid);
        fs::chownat(&place.dir, &place.name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(crate::userns::explain)
    }

    fn openat2(&self, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new("/") } else { path };
        let confined = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..RESOLVE_RETRIES {
            match fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, mode, confined) {
                Err(Errno::AGAIN | Errno::INTR) => continue,
                other => return Ok(other?),
            }
        }
        Err(Errno::AGAIN.into())
    }
}

/// Turns a descriptor opened without blocking into a file, if it is a regular one.
fn regular(fd: OwnedFd) -> io::Result<File> {
    match FileType::from_raw_mode(fs::fstat(&fd)?.st_mode) {
        FileType::RegularFile => Ok(File::from(fd)),
        FileType::Directory => Err(Errno::ISDIR.into()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}
