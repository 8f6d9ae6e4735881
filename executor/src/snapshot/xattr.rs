//! Extended attributes, addressed by directory and name, because entries that cannot be opened have them too.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::XattrFlags;
use rustix::io::{Errno, Result};

/// Attributes by name; bytes as the kernel keeps them.
pub(crate) type Xattrs = BTreeMap<CString, Vec<u8>>;

/// The attribute that file capabilities live in.
pub(crate) const CAPABILITY: &CStr = c"security.capability";

/// All attributes of an entry but those an overlay keeps for itself. A file system without attributes has none.
pub(crate) fn read(dir: BorrowedFd, name: &CStr) -> Result<Xattrs> {
    let path = path_of(dir, name);
    let mut found = Xattrs::new();
    for key in keys(&path)?.into_iter().filter(|key| !is_of_overlay(key)) {
        if let Some(value) = value(&path, &key)? {
            found.insert(key, value);
        }
    }
    Ok(found)
}

/// The same of an entry that is open too. Most files have none, and asking an open file costs less than a path.
pub(crate) fn read_open(file: impl AsFd, dir: BorrowedFd, name: &CStr) -> Result<Xattrs> {
    match rustix::fs::flistxattr(file, &mut [0; 64]) {
        Ok(0) | Err(Errno::NOTSUP) => Ok(Xattrs::new()),
        Ok(_) | Err(Errno::RANGE) => read(dir, name),
        Err(errno) => Err(errno),
    }
}

/// One attribute of an entry.
pub(crate) fn get(dir: BorrowedFd, name: &CStr, key: &CStr) -> Result<Option<Vec<u8>>> {
    value(&path_of(dir, name), key)
}

/// Sets one attribute of an entry.
pub(crate) fn set(dir: BorrowedFd, name: &CStr, key: &CStr, value: &[u8]) -> Result<()> {
    rustix::fs::lsetxattr(path_of(dir, name), key, value, XattrFlags::empty())
}

/// Removes all attributes of an entry but those an overlay or a security module of the system keeps for itself.
pub(crate) fn remove_all(dir: BorrowedFd, name: &CStr) -> Result<()> {
    let path = path_of(dir, name);
    let others = |key: &&CString| !is_of_overlay(key) && !key.to_bytes().starts_with(b"security.");
    keys(&path)?.iter().filter(others).try_for_each(|key| rustix::fs::lremovexattr(&path, &**key))
}

/// Removes what an overlay noted for itself on an entry it made; returns what that was.
pub(crate) fn remove_overlay_marks(dir: BorrowedFd, name: &CStr) -> Result<Vec<CString>> {
    let path = path_of(dir, name);
    let marks: Vec<CString> = keys(&path)?.into_iter().filter(|key| is_of_overlay(key)).collect();
    for key in &marks {
        rustix::fs::lremovexattr(&path, &**key)?;
    }
    Ok(marks)
}

/// The name of a mark that an overlay understands here: in a user namespace it takes those that its user may set.
pub(crate) fn overlay_mark(name: Mark) -> &'static CStr {
    match (name, crate::userns::is_confined()) {
        (Mark::Opaque, false) => c"trusted.overlay.opaque",
        (Mark::Opaque, true) => c"user.overlay.opaque",
        (Mark::Origin, false) => c"trusted.overlay.origin",
        (Mark::Origin, true) => c"user.overlay.origin",
    }
}

/// A mark of an overlay.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mark {
    /// The directory hides all below it.
    Opaque,
    /// The directory was copied up.
    Origin,
}

/// Whether an attribute is an overlay's own.
pub(crate) fn is_of_overlay(key: &CStr) -> bool {
    [&b"trusted.overlay."[..], b"user.overlay."].iter().any(|prefix| key.to_bytes().starts_with(prefix))
}

fn keys(path: &CStr) -> Result<Vec<CString>> {
    let mut names = Vec::new();
    match grown(&mut names, |buffer| rustix::fs::llistxattr(path, buffer)) {
        Ok(()) => {}
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        Err(errno) => return Err(errno),
    }
    let keys = names.split_inclusive(|byte| *byte == 0).filter_map(|key| CStr::from_bytes_with_nul(key).ok());
    Ok(keys.map(CStr::to_owned).collect())
}

fn value(path: &CStr, key: &CStr) -> Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    match grown(&mut bytes, |buffer| rustix::fs::lgetxattr(path, key, buffer)) {
        Ok(()) => Ok(Some(bytes)),
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Calls with a buffer that grows until the answer fits.
fn grown(buffer: &mut Vec<u8>, call: impl Fn(&mut [u8]) -> Result<usize>) -> Result<()> {
    buffer.resize(256, 0);
    loop {
        match call(buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(());
            }
            Err(Errno::RANGE) if buffer.len() < 1 << 17 => {
                let larger = buffer.len() * 4;
                buffer.resize(larger, 0);
            }
            Err(errno) => return Err(errno),
        }
    }
}

/// The directory's descriptor stands for the directory; the last component is not followed by the calls above.
fn path_of(dir: BorrowedFd, name: &CStr) -> CString {
    let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.to_bytes());
    CString::new(path).expect("a name holds no NUL")
}
