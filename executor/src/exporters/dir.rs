//! The files of a result as a directory.
//!
//! They are written aside, into a directory of the export's own inside the one that was asked for, and moved into place when
//! all of them are there: new directories as a whole, files over those they replace. So a failure, a full disk or a kill
//! before that leaves what was there as it was, and whoever looks never sees half a file. (BuildKit's client writes each
//! file in place.) What a killed export left aside is removed by the next one.

use std::ffi::{CStr, OsStr};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, FlockOperation, Timespec, Timestamps, flock};
use rustix::io::Errno;

use super::attrs::TreeAttrs;
use super::tree::Opened;
use super::{Built, Context, Metadata, dest, tree};
use crate::rootfs::Tree;
use crate::snapshot::copy::{self, Options};
use crate::snapshot::mode::ModeChange;
use crate::snapshot::stack::kind;
use crate::snapshot::{Files, LayerId, OpenDir, entry};
use crate::temp::scatter;
use crate::{Cancel, Error, Output, Result};

/// How names of directories begin that exports write aside.
const ASIDE: &str = ".llbc-export-";

/// Writes the files into a directory. As BuildKit's client does, everything belongs to whoever runs this.
pub(super) fn export(built: &[Built], output: &Output, attrs: &TreeAttrs, context: Context<'_>) -> Result<Metadata> {
    let dest = dest::directory(output.dest.as_deref())?;
    let opened = tree::open(built, attrs, context)?;
    let is_new = !dest.exists();
    fs::create_dir_all(dest).map_err(Error::io("make", dest))?;
    let written = write(&opened, dest, attrs, context);
    if written.is_err() && is_new {
        // Only when nothing was moved into it.
        let _ = fs::remove_dir(dest);
    }
    written.map(|()| Metadata::new())
}

fn write(opened: &[Opened], dest: &Path, attrs: &TreeAttrs, context: Context<'_>) -> Result<()> {
    let options = options(attrs);
    let aside = Aside::make(dest)?;
    for Opened { prefix, files, attestations } in opened {
        let to = aside.tree().join(prefix);
        fs::create_dir_all(&to).map_err(Error::io("make", &to))?;
        let tree = Tree::open(&to).map_err(Error::io("open", &to))?;
        let label = if prefix.is_empty() { "copying files".into() } else { format!("copying files {prefix}") };
        let _part = context.progress.part(label, 0);
        copy::copy(files, "/", &tree, "/", &options, context.cancel)
            .map_err(|error| below(&dest.join(prefix), error))?;
        attestations.iter().try_for_each(|attestation| attestation.write(&to))?;
        if !prefix.is_empty() {
            // parity: a directory of a platform is of no tree and so of no time.
            let time = Timespec { tv_sec: attrs.epoch.unwrap_or(0), tv_nsec: 0 };
            let times = Timestamps { last_access: time, last_modification: time };
            entry::set_times(tree.fd(), c".", times)
                .map_err(|errno| Error::io("set the time of", &to)(errno.into()))?;
        }
    }
    context.cancel.check()?;
    // From here on it is not stopped: renaming takes no time.
    let (from, to) = (top(&aside.tree())?, top(dest)?);
    let times = rustix::fs::fstat(from.fd()).map(|stat| entry::times(&stat));
    merge(&from, &to, dest, &options)?;
    drop(aside);
    if attrs.delete {
        clean(dest, opened)?;
    }
    // parity: of the top itself only the time is the result's.
    let set = times.and_then(|times| entry::set_times(to.fd(), c".", times));
    set.map_err(|errno| Error::io("set the time of", dest)(errno.into()))
}

/// What failed of a copy, where its path in the result is: it is to be one of this machine.
const IN_RESULT: [&str; 4] = ["copy to", "make directory", "link", "replace"];

/// An error about a file of a result, which was to be in a directory.
fn below(dir: &Path, error: Error) -> Error {
    match error {
        Error::Io { attempt, path, source } if IN_RESULT.contains(&attempt) => {
            let path = dir.join(path.strip_prefix("/").unwrap_or(&path));
            Error::Io { attempt, path, source }
        }
        other => other,
    }
}

fn options(attrs: &TreeAttrs) -> Options {
    let owner = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    Options {
        owner: Some(owner),
        mode: ModeChange::Keep,
        new_dir: copy::NEW_DIR,
        time: attrs.epoch.map(|epoch| (epoch, 0)),
        include: None,
        exclude: None,
        contents: true,
        follow: false,
        replace: true,
    }
}

/// Removes from a directory what no result has.
fn clean(dest: &Path, opened: &[Opened]) -> Result<()> {
    let tree = Tree::open(dest).map_err(Error::io("open", dest))?;
    let wanted = opened.iter().map(|Opened { prefix, files, .. }| {
        Ok(match &**prefix {
            "" => Wanted::Tree(files.open_dir(Path::new("/"))?),
            prefix => Wanted::Below(prefix, files),
        })
    });
    let said = opened.iter().flat_map(|Opened { prefix, attestations, .. }| {
        let below = Some(prefix.as_str()).filter(|prefix| !prefix.is_empty());
        attestations.iter().map(move |said| Ok(Wanted::File(below, &said.name)))
    });
    let wanted = wanted.chain(said);
    let clean = |wanted: Vec<Wanted<'_>>| remove_others(&tree, &wanted, &open_top(dest)?, &mut PathBuf::from("/"));
    wanted.collect::<io::Result<_>>().and_then(clean).map_err(Error::io("clean", dest))
}

/// What a result has in a directory.
enum Wanted<'a> {
    /// What is in this one.
    Tree(OpenDir),
    /// A directory of this name, and in it these files.
    Below(&'a str, &'a Files),
    /// One file, perhaps in a directory of that name.
    File(Option<&'a str>, &'a str),
}

impl<'a> Wanted<'a> {
    /// Whether it has the name; if that is a directory, what it has in there.
    fn get(&self, name: &CStr) -> io::Result<Option<Option<Wanted<'a>>>> {
        match self {
            Self::Below(below, files) => {
                let is_it = below.as_bytes() == name.to_bytes();
                is_it.then(|| files.open_dir(Path::new("/")).map(|dir| Some(Wanted::Tree(dir)))).transpose()
            }
            Self::File(Some(below), file) => {
                Ok((below.as_bytes() == name.to_bytes()).then_some(Some(Wanted::File(None, file))))
            }
            Self::File(None, file) => Ok((file.as_bytes() == name.to_bytes()).then_some(None)),
            Self::Tree(dir) => match dir.stat(name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
                Ok(stat) if kind(&stat) == FileType::Directory => {
                    dir.open_dir(name).map(|dir| Some(Some(Wanted::Tree(dir))))
                }
                Ok(_) => Ok(Some(None)),
            },
        }
    }
}

/// A directory inside another that what is written goes into first; removed when dropped.
struct Aside {
    path: PathBuf,
    // Locked as long as this process lives: so others know that it does.
    _lock: File,
}

impl Aside {
    /// Makes it, and removes those that ended exports left.
    fn make(dest: &Path) -> Result<Self> {
        sweep(dest).map_err(Error::io("clean", dest))?;
        let path = dest.join(format!("{ASIDE}{}", LayerId::random()?.0));
        let make = || -> io::Result<File> {
            fs::create_dir(&path)?;
            let lock = File::open(&path)?;
            flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
            scatter(&lock);
            fs::create_dir(path.join("tree"))?;
            Ok(lock)
        };
        let _lock = make().map_err(Error::io("make", &path))?;
        Ok(Self { path, _lock })
    }

    /// Where the tree is written.
    fn tree(&self) -> PathBuf {
        self.path.join("tree")
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // The next export removes what stays.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes what exports that were killed left aside.
fn sweep(dest: &Path) -> io::Result<()> {
    for found in fs::read_dir(dest)? {
        let found = found?;
        if !found.file_name().to_string_lossy().starts_with(ASIDE) || !found.file_type()?.is_dir() {
            continue;
        }
        // Gone meanwhile, or its owner lives.
        let Ok(dir) = File::open(found.path()) else { continue };
        if flock(&dir, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = fs::remove_dir_all(found.path());
        }
    }
    Ok(())
}

/// Moves what is in one directory into another. `path` is the other, for people.
fn merge(from: &OpenDir, to: &OpenDir, path: &Path, options: &Options) -> Result<()> {
    for name in from.names().map_err(Error::io("list", path))? {
        let path = path.join(OsStr::from_bytes(name.to_bytes()));
        let new = from.stat(&name).map_err(Error::io("write", &path))?;
        let old = match to.stat(&name) {
            Ok(old) => Some(kind(&old) == FileType::Directory),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        let is_dir = kind(&new) == FileType::Directory;
        if is_dir && old == Some(true) {
            let both = from.open_dir(&name).and_then(|from| Ok((from, to.open_dir(&name)?)));
            let (from, to) = both.map_err(Error::io("open", &path))?;
            merge(&from, &to, &path, options)?;
            // As they were before the entries left.
            let cloned = entry::clone_metadata((from.fd(), c"."), &new, (to.fd(), c"."));
            cloned.map_err(|errno| Error::io("copy the metadata of", &path)(errno.into()))?;
            continue;
        }
        if old.is_some_and(|old_is_dir| old_is_dir || is_dir) {
            remove(to, &name).map_err(Error::io("replace", &path))?;
        }
        move_one(from, to, &name, &path, options)?;
    }
    Ok(())
}

fn remove(dir: &OpenDir, name: &CStr) -> io::Result<()> {
    Tree::from_fd(dir.fd().try_clone_to_owned()?).remove_all(Path::new(OsStr::from_bytes(name.to_bytes())))
}

/// Renames an entry; copies it where another file system is mounted in the directory.
fn move_one(from: &OpenDir, to: &OpenDir, name: &CStr, path: &Path, options: &Options) -> Result<()> {
    match rustix::fs::renameat(from.fd(), name, to.fd(), name) {
        Err(Errno::XDEV) => {
            let opened = || -> io::Result<(Files, Tree)> {
                let from = format!("/proc/self/fd/{}", from.fd().as_raw_fd());
                Ok((Files::at(Path::new(&from))?, Tree::from_fd(to.fd().try_clone_to_owned()?)))
            };
            let (files, tree) = opened().map_err(Error::io("open", path))?;
            let name = format!("/{}", name.to_string_lossy());
            copy::copy(&files, &name, &tree, &name, options, &Cancel::default())
        }
        moved => moved.map_err(|errno| Error::io("write", path)(errno.into())),
    }
}

/// Removes what is in a directory and in no result.
fn remove_others(tree: &Tree, wanted: &[Wanted<'_>], found: &OpenDir, path: &mut PathBuf) -> io::Result<()> {
    for name in found.names()? {
        path.push(OsStr::from_bytes(name.to_bytes()));
        let having: Vec<_> =
            wanted.iter().filter_map(|wanted| wanted.get(&name).transpose()).collect::<io::Result<_>>()?;
        let is_wanted = !having.is_empty();
        let inside: Vec<_> = having.into_iter().flatten().collect();
        if !is_wanted {
            tree.remove_all(path)?;
        } else if !inside.is_empty() && kind(&found.stat(&name)?) == FileType::Directory {
            remove_others(tree, &inside, &found.open_dir(&name)?, path)?;
        }
        path.pop();
    }
    Ok(())
}

/// The top of a directory at a trusted path of the host.
fn top(path: &Path) -> Result<OpenDir> {
    open_top(path).map_err(Error::io("open", path))
}

fn open_top(path: &Path) -> io::Result<OpenDir> {
    Files::at(path)?.open_dir(Path::new("/"))
}
