//! Resolution of paths that need not exist, one component at a time.
//!
//! The kernel cannot resolve through a dangling link, and tools make directories behind them (`mkdir -p` in a tree whose
//! `/var/run` points to a missing `/run`). So this walks by hand. It holds a descriptor of each directory on the way:
//! `..` is the descriptor before, never a lookup, and no rename by somebody else can move the walk out of the tree.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{self, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::NewDir;

/// Links followed in one walk before it is a loop; the kernel's number.
const MAX_LINKS: usize = 40;

/// What to do about components that do not exist.
#[derive(Clone, Copy)]
pub(super) enum Missing {
    /// Keep them as written; from there on nothing is looked up.
    Keep,
    /// Make them directories.
    Make(NewDir),
}

/// Where a walk ended.
pub(super) struct End {
    /// The last directory that was entered.
    pub(super) dir: OwnedFd,
    /// The path without links.
    pub(super) path: PathBuf,
    /// Paths of the directories that were made, in that order.
    pub(super) made: Vec<PathBuf>,
}

/// Walks a path from the root of a tree.
pub(super) fn walk(root: BorrowedFd<'_>, path: &Path, missing: Missing) -> io::Result<End> {
    let mut walk = Walk { root, dirs: Vec::new(), names: Vec::new(), made: Vec::new() };
    let mut todo: VecDeque<OsString> = components(path).collect();
    let mut links = 0;
    while let Some(name) = todo.pop_front() {
        match walk.step(&name, missing)? {
            Step::Entered => {}
            Step::Link(text) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::LOOP.into());
                }
                if text.is_absolute() {
                    walk.back_to_root();
                }
                components(&text).rev().for_each(|name| todo.push_front(name));
            }
            Step::Leaf if todo.is_empty() || matches!(missing, Missing::Keep) => {
                walk.names.push(name);
                walk.names.extend(todo.drain(..));
            }
            Step::Leaf => return Err(Errno::NOTDIR.into()),
        }
    }
    walk.end(matches!(missing, Missing::Make(_)))
}

fn components(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    let wanted: Vec<OsString> = path
        .components()
        .filter_map(|c| match c {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            _ => None,
        })
        .collect();
    wanted.into_iter()
}

struct Walk<'a> {
    root: BorrowedFd<'a>,
    dirs: Vec<OwnedFd>,
    names: Vec<OsString>,
    made: Vec<PathBuf>,
}

enum Step {
    /// The component is a directory, and now the current one; or it was `..`.
    Entered,
    /// The component is a link with this text.
    Link(PathBuf),
    /// The component is missing or no directory.
    Leaf,
}

impl Walk<'_> {
    fn step(&mut self, name: &OsStr, missing: Missing) -> io::Result<Step> {
        if name == ".." {
            self.dirs.pop();
            self.names.pop();
            return Ok(Step::Entered);
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = match (fs::openat(self.current(), name, flags, Mode::empty()), missing) {
            (Err(Errno::NOENT), Missing::Make(new)) => self.make(name, new)?,
            (Err(Errno::NOENT), Missing::Keep) => return Ok(Step::Leaf),
            (found, _) => found?,
        };
        match FileType::from_raw_mode(fs::fstat(&found)?.st_mode) {
            FileType::Directory => {
                self.dirs.push(found);
                self.names.push(name.to_owned());
                Ok(Step::Entered)
            }
            FileType::Symlink => {
                let text = fs::readlinkat(&found, "", Vec::new())?.into_bytes();
                Ok(Step::Link(PathBuf::from(OsString::from_vec(text))))
            }
            _ => Ok(Step::Leaf),
        }
    }

    /// Makes a directory here. Somebody else may have made something at that name meanwhile: then that is what counts.
    fn make(&mut self, name: &OsStr, new: NewDir) -> io::Result<OwnedFd> {
        let ours = match fs::mkdirat(self.current(), name, Mode::from_raw_mode(0o700)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(e) => return Err(e.into()),
        };
        let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if !ours {
            return Ok(fs::openat(self.current(), name, flags | OFlags::PATH, Mode::empty())?);
        }
        let dir = fs::openat(self.current(), name, flags | OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        if let Some((uid, gid)) = new.owner {
            let (uid, gid) = crate::userns::owner(uid, gid);
            fs::fchown(&dir, uid, gid).map_err(crate::userns::explain)?;
        }
        // The kernel passes this bit on; the group it came with.
        let inherited = fs::fstat(&dir)?.st_mode & Mode::SGID.as_raw_mode();
        fs::fchmod(&dir, Mode::from_raw_mode(new.mode | inherited))?;
        self.made.push(self.path().join(name));
        Ok(dir)
    }

    fn current(&self) -> BorrowedFd<'_> {
        self.dirs.last().map_or(self.root, |dir| dir.as_fd())
    }

    fn back_to_root(&mut self) {
        self.dirs.clear();
        self.names.clear();
    }

    fn path(&self) -> PathBuf {
        let mut path = PathBuf::from("/");
        for name in &self.names {
            // Names kept after a missing one may hold `..`.
            if name == ".." {
                path.pop()
            } else {
                path.push(name);
                true
            };
        }
        path
    }

    fn end(mut self, must_be_entered: bool) -> io::Result<End> {
        if must_be_entered && self.names.len() > self.dirs.len() {
            return Err(Errno::NOTDIR.into());
        }
        let path = self.path();
        let dir = match self.dirs.pop() {
            Some(dir) => dir,
            None => self.root.try_clone_to_owned()?,
        };
        Ok(End { dir, path, made: self.made })
    }
}
