//! A process's own directory for what it is making, and the removal of those of dead processes.
//!
//! `<pid>-<start>/` belongs to a process as long as it holds the lock of that directory; the kernel drops the lock
//! when the process dies, however it dies, so whoever can take the lock may remove the directory. Locks, unlike process
//! ids, mean the same in every pid namespace. `lock`, beside the directories, is held while they appear and are swept: a
//! directory that is not locked yet would look abandoned. A process that makes nothing has no directory.
//!
//! The directories are told to the file system to be unrelated ([`scatter`]): what a process makes is not in the way of what
//! another removed. Within one they are not, as a place that is new costs a read of the disk or three.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, IFlags, flock, ioctl_getflags, ioctl_setflags};
use rustix::mount::{UnmountFlags, unmount};

use crate::{Error, Result};

/// Mode of directories that only their owner enters.
const PRIVATE: u32 = 0o700;

/// This process's directory. Cheap to clone; removed when the last clone is dropped.
#[derive(Clone)]
pub struct Temp(Arc<Dir>);

struct Dir {
    parent: PathBuf,
    /// Made for the first thing in it, or when one is expected.
    made: Mutex<Option<Made>>,
    next: AtomicU64,
}

struct Made {
    path: PathBuf,
    lock: File,
}

/// Makes a directory of the store, and those on the way, for its owner alone: what builds leave in it may be set-user-id,
/// or a private image. One that is there already is closed to others.
pub(crate) fn make_private(dir: &Path) -> Result<()> {
    let make = || {
        let found = match fs::metadata(dir) {
            Ok(found) if found.is_dir() => found,
            _ => {
                fs::DirBuilder::new().recursive(true).mode(PRIVATE).create(dir)?;
                fs::metadata(dir)?
            }
        };
        let is_private = found.permissions().mode() & 0o077 == 0;
        if is_private { Ok(()) } else { fs::set_permissions(dir, fs::Permissions::from_mode(PRIVATE)) }
    };
    make().map_err(Error::io("make", dir))
}

/// Tells the file system that what is in the directories made in this one from now on is unrelated: ext4 then gives each a
/// part of the disk of its own, by its name among others. Without a journal it takes no inode that was in use in the last
/// minutes, and finds that out one by one: next to a tree of 20,000 files that was just removed, making another takes ten
/// times as long as elsewhere on the disk. Of parts with as few directories as any it takes the next, so that one that was just
/// emptied may be taken again. It is not for nothing: what is known of that part has to be read, which takes a directory from
/// a tenth of a millisecond to two.
pub(crate) fn scatter(dir: &File) {
    // Where there is no such flag, nothing is lost.
    let _ = ioctl_getflags(dir).and_then(|flags| ioctl_setflags(dir, flags | IFlags::TOPDIR));
}

/// A path in the directory that nothing else uses; what is there is removed when this is dropped.
pub struct TempPath {
    path: PathBuf,
    /// Until the directory goes.
    stays: bool,
    /// Keeps the process's directory locked as long as something in it is used.
    _temp: Temp,
}

impl Temp {
    /// Temporary things in `parent`; removes those of dead processes.
    pub(crate) fn open(parent: &Path) -> Result<Self> {
        let _lock = lock(parent)?;
        sweep(parent);
        let dir = Dir { parent: parent.to_owned(), made: Mutex::default(), next: AtomicU64::new(0) };
        Ok(Self(Arc::new(dir)))
    }

    /// Makes this process's directory, which who first needs something in it would wait for. What goes wrong is said to them.
    pub(crate) fn begin(&self) {
        let _ = self.0.path();
    }

    /// A fresh path; nothing is made at it. The name is for people who look.
    pub fn path(&self, name: &str) -> Result<TempPath> {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        Ok(TempPath { path: self.0.path()?.join(format!("{number}-{name}")), stays: false, _temp: self.clone() })
    }

    /// Leaves the removal of the directory to whoever takes a copy of its lock: a process that lives longer, as removing
    /// takes time. Nobody else removes it as long as the copy is open. What is made later is in another directory.
    pub(crate) fn hand_over(&self, take: &mut dyn FnMut(BorrowedFd<'_>) -> bool) {
        let mut made = self.0.made();
        if made.as_ref().is_some_and(|made| take(made.lock.as_fd())) {
            *made = None;
        }
    }

    /// A fresh directory.
    pub fn dir(&self, name: &str) -> Result<TempPath> {
        let path = self.path(name)?;
        fs::create_dir(&path.path).map_err(Error::io("make", &path.path))?;
        Ok(path)
    }

    /// A fresh empty file, open for reading and writing.
    pub fn file(&self, name: &str) -> Result<(TempPath, File)> {
        let path = self.path(name)?;
        let file = File::options().read(true).write(true).create_new(true).open(&path.path);
        let file = file.map_err(Error::io("make", path.path()))?;
        Ok((path, file))
    }
}

impl TempPath {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves what is there to its final name in one step. What is at that name already must be of the same kind; a
    /// directory must be empty.
    pub fn persist(self, to: &Path) -> Result<()> {
        fs::rename(&self.path, to).map_err(Error::io("rename into", to))
    }

    /// Leaves what is there until the process's directory is removed.
    pub(crate) fn leave(mut self) {
        self.stays = true;
    }
}

impl Dir {
    fn path(&self) -> Result<PathBuf> {
        let mut made = self.made();
        if let Some(made) = &*made {
            return Ok(made.path.clone());
        }
        let new = make(&self.parent)?;
        Ok(made.insert(new).path.clone())
    }

    fn made(&self) -> MutexGuard<'_, Option<Made>> {
        self.made.lock().expect("no panic while it is held")
    }
}

impl Drop for TempPath {
    fn drop(&mut self) {
        if !self.stays {
            remove(&self.path);
        }
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        if let Some(made) = &*self.made() {
            remove(&made.path);
        }
    }
}

/// Removes a process's directory that was handed over.
pub(crate) fn remove_handed_over(lock: OwnedFd) {
    // What it leaves is left to the next start.
    if let Ok(path) = fs::read_link(format!("/proc/self/fd/{}", lock.as_raw_fd())) {
        remove(&path);
    }
}

/// Nobody's directory appears or is swept while it is held.
fn lock(parent: &Path) -> Result<File> {
    let path = parent.join("lock");
    let lock = File::create(&path).map_err(Error::io("make", &path))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(io::Error::from).map_err(Error::io("lock", &path))?;
    Ok(lock)
}

fn nanoseconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
}

fn make(parent: &Path) -> Result<Made> {
    let _lock = self::lock(parent)?;
    scatter(&File::open(parent).map_err(Error::io("open", parent))?);
    let path = parent.join(format!("{}-{}", std::process::id(), nanoseconds()));
    fs::create_dir(&path).map_err(Error::io("make", &path))?;
    let lock = File::open(&path).map_err(Error::io("open", &path))?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)
        .map_err(io::Error::from)
        .map_err(Error::io("lock", &path))?;
    Ok(Made { path, lock })
}

/// Removes the directories that nobody holds. Failures are left to the next start: they cost space, not correctness.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() && is_abandoned(&path) {
            detach_mounts(&path);
            remove(&path);
        }
    }
}

fn is_abandoned(path: &Path) -> bool {
    File::open(path).is_ok_and(|dir| flock(&dir, FlockOperation::NonBlockingLockExclusive).is_ok())
}

/// Takes away mounts that a killed process left below `path`, innermost first.
fn detach_mounts(path: &Path) {
    let Ok(table) = fs::read("/proc/self/mountinfo") else { return };
    for point in mounts_below(&table, path).iter().rev() {
        let _ = unmount(point, UnmountFlags::DETACH);
    }
}

/// Mount points below `path`, in the order of the table: outer before inner.
fn mounts_below(table: &[u8], path: &Path) -> Vec<PathBuf> {
    let points = table.split(|b| *b == b'\n').filter_map(|line| line.split(|b| *b == b' ').nth(4));
    points.map(unescape).filter(|point| point.starts_with(path)).collect()
}

/// The kernel writes blanks, tabs, newlines and backslashes as three octal digits.
fn unescape(text: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| byte == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(escaped) => {
                out.push(escaped);
                rest = &after[3..];
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(out))
}

/// Removes a file or a directory tree, whichever is there.
fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => drop(fs::remove_dir_all(path)),
        Ok(_) => drop(fs::remove_file(path)),
        Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != "lock");
        names.sort();
        names
    }

    #[test]
    fn what_is_not_persisted_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let temp = Temp::open(parent.path()).unwrap();
        let (kept, _) = temp.file("a").unwrap();
        let dir = temp.dir("b").unwrap();
        fs::write(dir.path().join("x"), "x").unwrap();
        kept.persist(&parent.path().join("kept")).unwrap();
        drop(dir);
        drop(temp);
        assert_eq!(names(parent.path()), ["kept"]);
    }

    #[test]
    fn a_live_process_is_left_alone_and_a_dead_one_is_swept() {
        let parent = tempfile::tempdir().unwrap();
        let live = Temp::open(parent.path()).unwrap();
        assert!(names(parent.path()).is_empty(), "it made nothing yet");
        let file = live.file("x").unwrap();
        fs::create_dir_all(parent.path().join("1-2/work/work")).unwrap();
        let other = Temp::open(parent.path()).unwrap();
        assert_eq!(names(parent.path()).len(), 1);
        drop((file, live, other));
        assert!(names(parent.path()).is_empty());
    }

    #[test]
    fn who_takes_a_directory_over_removes_it_and_nobody_else() {
        let parent = tempfile::tempdir().unwrap();
        let temp = Temp::open(parent.path()).unwrap();
        temp.dir("left").unwrap().leave();
        let mut taken = None;
        temp.hand_over(&mut |_| false);
        temp.hand_over(&mut |lock| taken.insert(lock.try_clone_to_owned().unwrap()).as_raw_fd() >= 0);
        temp.hand_over(&mut |_| unreachable!("there is nothing any more"));
        let later = temp.dir("later").unwrap();
        drop(Temp::open(parent.path()).unwrap());
        assert_eq!(names(parent.path()).len(), 2);
        drop((later, temp));
        assert_eq!(names(parent.path()).len(), 1);
        remove_handed_over(taken.unwrap());
        assert!(names(parent.path()).is_empty());
    }

    #[test]
    fn directories_of_processes_are_unrelated() {
        let parent = tempfile::tempdir().unwrap();
        let temp = Temp::open(parent.path()).unwrap();
        temp.begin();
        assert_eq!(names(parent.path()).len(), 1, "it is there before something is in it");
        let magic = rustix::fs::statfs(parent.path()).unwrap().f_type;
        // Of ext4 and those before it.
        if magic != 0xef53 {
            return eprintln!("not seen to be unrelated: {} is on no ext4", parent.path().display());
        }
        let flags = ioctl_getflags(File::open(parent.path()).unwrap()).unwrap();
        assert!(flags.contains(IFlags::TOPDIR), "{flags:?}");
        let flags = ioctl_getflags(&temp.0.made().as_ref().unwrap().lock).unwrap();
        assert!(!flags.contains(IFlags::TOPDIR), "{flags:?}");
    }

    #[test]
    fn mounts_are_found_below_a_path() {
        let table = b"1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:5 / /s/tmp/1\\0402/m rw - overlay o rw\n\
            3 2 0:6 / /s/tmp/1\\0402/m/n rw - tmpfs t rw\n4 1 0:7 / /s/tmp/1x rw - tmpfs t rw\n";
        let found = mounts_below(table, Path::new("/s/tmp/1 2"));
        assert_eq!(found, [PathBuf::from("/s/tmp/1 2/m"), PathBuf::from("/s/tmp/1 2/m/n")]);
    }
}
