//! The record of one entry.

use std::ffi::{CStr, CString, OsStr};
use std::io::{self, Read};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use oci::{Digest, Hasher};
use rustix::fs::{FileType, Stat};

use crate::snapshot::OpenDir;
use crate::snapshot::stack::kind;
use crate::snapshot::xattr::{self, Xattrs};
use crate::{Cancel, Error, Result};

/// Bytes read at once.
const BUFFER: usize = 256 << 10;

/// An entry to compute the record of.
pub(super) struct Job {
    dir: Arc<OpenDir>,
    name: CString,
    pub(super) stat: Stat,
}

impl Job {
    pub(super) fn new(dir: Arc<OpenDir>, name: CString, stat: Stat) -> Self {
        Self { dir, name, stat }
    }

    /// The record, when it was computed before.
    pub(super) fn known(&self) -> Option<Digest> {
        self.dir.node(&self.name)?.record.get().cloned()
    }

    /// Computes the record; a listing remembers it.
    pub(super) fn digest(&self, buffer: &mut Vec<u8>, cancel: &Cancel) -> Result<Digest> {
        let digest = self.compute(buffer, cancel).map_err(|error| self.failed(error))?;
        cancel.check()?;
        if let Some(node) = self.dir.node(&self.name) {
            // Somebody else may have computed the same.
            let _ = node.record.set(digest.clone());
        }
        Ok(digest)
    }

    /// An error about the entry, with its place on this machine.
    fn failed(&self, error: io::Error) -> Error {
        let dir = std::fs::read_link(format!("/proc/self/fd/{}", self.dir.fd().as_raw_fd())).unwrap_or_default();
        let path = dir.join(os_str(&self.name));
        match error.kind() {
            io::ErrorKind::NotFound => Error::Invalid(format!(
                "{} vanished while it was being read: build again when nothing writes there",
                path.display()
            )),
            _ => Error::io("hash", path)(error),
        }
    }

    fn compute(&self, buffer: &mut Vec<u8>, cancel: &Cancel) -> io::Result<Digest> {
        let link = match kind(&self.stat) {
            FileType::Symlink => self.dir.readlink(&self.name)?,
            _ => CString::default(),
        };
        // A user's socket is an empty file.
        let socket = self.dir.node(&self.name).is_some_and(|node| kind(&node.seen) == FileType::Socket);
        if socket {
            return Ok(Digest::sha256(&header(&self.stat, &link, &Xattrs::new())));
        }
        if kind(&self.stat) != FileType::RegularFile {
            return Ok(Digest::sha256(&header(&self.stat, &link, &self.dir.xattrs(&self.name)?)));
        }
        let mut file = self.dir.open_file(&self.name)?;
        let xattrs = xattr::read_open(&file, self.dir.fd(), &self.name)?;
        let mut hasher = Hasher::sha256();
        hasher.update(&header(&self.stat, &link, &xattrs));
        buffer.resize(BUFFER, 0);
        loop {
            let length = file.read(buffer)?;
            if length == 0 || cancel.is_cancelled() {
                return Ok(hasher.finish());
            }
            hasher.update(&buffer[..length]);
        }
    }
}

/// The header: names and values of fields in a row, in the order of tarsum v1.
fn header(stat: &Stat, link: &CStr, xattrs: &Xattrs) -> Vec<u8> {
    let kind = kind(stat);
    let (flag, size) = match kind {
        FileType::Directory => (b'5', 0),
        FileType::Symlink => (b'2', 0),
        FileType::CharacterDevice => (b'3', 0),
        FileType::BlockDevice => (b'4', 0),
        FileType::Fifo => (b'6', 0),
        FileType::Socket => (b'0', 0),
        _ => (b'0', stat.st_size),
    };
    let mode = if kind == FileType::Symlink { 0o777 } else { stat.st_mode & 0o7777 };
    let device = matches!(kind, FileType::CharacterDevice | FileType::BlockDevice);
    let (major, minor) =
        if device { (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)) } else { (0, 0) };
    let mut header = format!("namemode{mode}uid{}gid{}size{size}typeflag", stat.st_uid, stat.st_gid).into_bytes();
    header.push(flag);
    header.extend_from_slice(b"linkname");
    header.extend_from_slice(link.to_bytes());
    header.extend_from_slice(format!("unamegnamedevmajor{major}devminor{minor}").as_bytes());
    for (key, value) in xattrs.iter().filter(|(key, _)| counts(key)) {
        header.extend_from_slice(key.to_bytes());
        header.extend_from_slice(value);
    }
    header
}

/// Whether an attribute is content: those of the system's own are not, but file capabilities are.
fn counts(key: &CStr) -> bool {
    let bytes = key.to_bytes();
    key == xattr::CAPABILITY || !(bytes.starts_with(b"security.") || bytes.starts_with(b"system."))
}

pub(super) fn os_str(name: &CStr) -> &OsStr {
    OsStr::from_bytes(name.to_bytes())
}

pub(super) fn c_string(name: &OsStr) -> Result<CString> {
    CString::new(name.as_bytes()).map_err(|_| Error::Definition(format!("path component {name:?} holds a NUL")))
}
