//! One directory entry: comparing two, and making one like another.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps};
use rustix::io::{Errno, Result};

use super::stack::kind;
use super::xattr;

/// Files up to this many bytes are copied through memory: a read and a write cost less than asking for a clone.
const SMALL: u64 = 128 << 10;

/// What a layer has of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Left {
    /// Nothing: it is as below.
    Nothing,
    /// Directories whose times changed, which are quiet.
    Times,
    /// What every image has to say.
    Changes,
}

impl Left {
    /// What a directory says by itself, whatever is in it.
    pub(super) fn of_directory(upper: (BorrowedFd, &CStr), stat: &Stat, lower: Option<BorrowedFd>) -> Result<Self> {
        let Some(lower) = lower else { return Ok(Self::Changes) };
        let below = rustix::fs::fstat(lower)?;
        if !same_metadata(stat, &below) || xattr::read(upper.0, upper.1)? != xattr::read(lower, c".")? {
            return Ok(Self::Changes);
        }
        Ok(if same_time(stat, &below) { Self::Nothing } else { Self::Times })
    }
}

/// Whether two entries have the same type, permissions, owner and device number.
pub(crate) fn same_metadata(a: &Stat, b: &Stat) -> bool {
    a.st_mode == b.st_mode && a.st_uid == b.st_uid && a.st_gid == b.st_gid && a.st_rdev == b.st_rdev
}

/// Whether two entries were last changed at the same nanosecond.
pub(crate) fn same_time(a: &Stat, b: &Stat) -> bool {
    a.st_mtime == b.st_mtime && a.st_mtime_nsec == b.st_mtime_nsec
}

/// Whether two entries that are no directories are equal in all that a layer keeps.
///
/// Equal times are not believed: a step may have written a file and set its time back.
pub(crate) fn same_file(a: (BorrowedFd, &Stat), b: (BorrowedFd, &Stat), name: &CStr) -> Result<bool> {
    let ((a_dir, a_stat), (b_dir, b_stat)) = (a, b);
    if a_stat.st_dev == b_stat.st_dev && a_stat.st_ino == b_stat.st_ino {
        return Ok(true);
    }
    if !same_metadata(a_stat, b_stat) || !same_time(a_stat, b_stat) || a_stat.st_size != b_stat.st_size {
        return Ok(false);
    }
    let same_content = match kind(a_stat) {
        FileType::RegularFile => same_bytes(&open_file(a_dir, name)?, &open_file(b_dir, name)?)?,
        FileType::Symlink => {
            rustix::fs::readlinkat(a_dir, name, Vec::new())? == rustix::fs::readlinkat(b_dir, name, Vec::new())?
        }
        _ => true,
    };
    Ok(same_content && xattr::read(a_dir, name)? == xattr::read(b_dir, name)?)
}

fn same_bytes(a: &File, b: &File) -> Result<bool> {
    let (mut left, mut right) = (vec![0; 128 << 10], vec![0; 128 << 10]);
    let mut at = 0;
    loop {
        let length = a.read_at(&mut left, at).map_err(errno_of)?;
        if length == 0 {
            return Ok(true);
        }
        if b.read_exact_at(&mut right[..length], at).is_err() || left[..length] != right[..length] {
            return Ok(false);
        }
        at += length as u64;
    }
}

/// Opens a regular file for reading; never through a link.
pub(crate) fn open_file(dir: BorrowedFd, name: &CStr) -> Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, name, flags, Mode::empty())?.into())
}

/// Makes a regular file that does not exist yet, for writing.
pub(crate) fn create_file(dir: BorrowedFd, name: &CStr) -> Result<File> {
    create_file_with(dir, name, Mode::RUSR | Mode::WUSR)
}

/// The same with permissions, of which the umask takes some away.
pub(crate) fn create_file_with(dir: BorrowedFd, name: &CStr, mode: Mode) -> Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, name, flags, mode)?.into())
}

/// Copies the bytes of a file: shared with the original where the file system can, else inside the kernel, else through
/// `buffer` (of any length but none).
pub(crate) fn copy_bytes(from: &File, to: &File, size: u64, buffer: &mut [u8]) -> io::Result<()> {
    if size > SMALL {
        if rustix::fs::ioctl_ficlone(to, from).is_ok() {
            return Ok(());
        }
        if copy_in_kernel(from, to)? {
            return Ok(());
        }
    }
    let mut at = 0;
    loop {
        let length = from.read_at(buffer, at)?;
        if length == 0 {
            return Ok(());
        }
        to.write_all_at(&buffer[..length], at)?;
        at += length as u64;
        if at == size {
            return Ok(());
        }
    }
}

/// Whether the kernel copied it all; it may refuse before the first byte.
fn copy_in_kernel(from: &File, to: &File) -> io::Result<bool> {
    let (mut read, mut written) = (0, 0);
    loop {
        match rustix::fs::copy_file_range(from, Some(&mut read), to, Some(&mut written), 1 << 30) {
            Ok(0) => return Ok(written > 0),
            Ok(_) => {}
            Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL | Errno::PERM) if written == 0 => {
                return Ok(false);
            }
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Makes an entry like another one in all that a layer keeps; a directory is made empty. Sockets are left out: nothing can
/// be behind them. Returns whether something was made.
pub(crate) fn clone(from: BorrowedFd, stat: &Stat, to: BorrowedFd, name: &CStr) -> Result<bool> {
    match kind(stat) {
        FileType::RegularFile => {
            let target = create_file(to, name)?;
            let mut buffer = vec![0; SMALL as usize];
            copy_bytes(&open_file(from, name)?, &target, stat.st_size as u64, &mut buffer).map_err(errno_of)?;
        }
        FileType::Directory => rustix::fs::mkdirat(to, name, Mode::RWXU)?,
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(from, name, Vec::new())?;
            rustix::fs::symlinkat(&*target, to, name)?;
        }
        FileType::Socket => return Ok(false),
        kind => rustix::fs::mknodat(to, name, kind, Mode::RUSR | Mode::WUSR, stat.st_rdev)?,
    }
    clone_metadata((from, name), stat, (to, name))?;
    Ok(true)
}

/// Gives an entry the owner, permissions, attributes and times of another one. In this order: a change of owner takes
/// set-id bits and capabilities away.
pub(crate) fn clone_metadata(from: (BorrowedFd, &CStr), stat: &Stat, to: (BorrowedFd, &CStr)) -> Result<()> {
    set_owner(to.0, to.1, stat.st_uid, stat.st_gid)?;
    if kind(stat) != FileType::Symlink {
        set_mode(to.0, to.1, stat.st_mode)?;
    }
    for (key, value) in xattr::read(from.0, from.1)? {
        xattr::set(to.0, to.1, &key, &value)?;
    }
    set_times(to.0, to.1, times(stat))
}

/// Sets the owner of an entry.
pub(crate) fn set_owner(dir: BorrowedFd, name: &CStr, uid: u32, gid: u32) -> Result<()> {
    let (uid, gid) = crate::userns::owner(uid, gid);
    rustix::fs::chownat(dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
}

/// Sets the permission bits of an entry that is no link.
pub(crate) fn set_mode(dir: BorrowedFd, name: &CStr, mode: u32) -> Result<()> {
    rustix::fs::chmodat(dir, name, Mode::from_raw_mode(mode & 0o7777), AtFlags::empty())
}

/// Sets the times of an entry.
pub(crate) fn set_times(dir: BorrowedFd, name: &CStr, times: Timestamps) -> Result<()> {
    rustix::fs::utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW)
}

/// The times in a status.
pub(crate) fn times(stat: &Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: stat.st_atime, tv_nsec: stat.st_atime_nsec as _ },
        last_modification: Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ },
    }
}

/// Makes a whiteout: nothing is by this name, whatever lower layers have.
pub(crate) fn whiteout(dir: BorrowedFd, name: &CStr) -> Result<()> {
    rustix::fs::mknodat(dir, name, FileType::CharacterDevice, Mode::empty(), 0)?;
    mark_whiteouts(dir)
}

/// Notes that a directory holds whiteouts. The kernel lists a directory that only one layer has as it is, so that names
/// appear that cannot be opened; unless the directory looks copied up, which an empty origin says.
pub(crate) fn mark_whiteouts(dir: BorrowedFd) -> Result<()> {
    rustix::fs::fsetxattr(dir, xattr::overlay_mark(xattr::Mark::Origin), &[], rustix::fs::XattrFlags::empty())
}

/// Status of an entry, not of what it links to.
pub(crate) fn stat(dir: impl AsFd, name: &CStr) -> Result<Stat> {
    rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// The kernel's number of an error that came through the standard library.
pub(crate) fn errno_of(error: io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}
