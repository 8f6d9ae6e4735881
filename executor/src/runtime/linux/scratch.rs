//! The container's memory-backed files: /etc/hosts, /etc/resolv.conf, secrets, sockets. They are on no disk, and in no
//! mount namespace but the container's.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::net::SocketAddrUnix;

use super::mounts;
use super::plan::Owner;
use crate::runtime::Device;
use crate::{Error, Result};

/// Name of the directory that stays empty.
const EMPTY: &str = "empty";
/// Connections that wait to be accepted.
const BACKLOG: i32 = 16;

/// A file system in memory that is seen nowhere.
pub(super) struct Scratch {
    mount: OwnedFd,
}

impl Scratch {
    /// Makes one, with its empty directory.
    pub(super) fn new() -> Result<Self> {
        let mount = mounts::filesystem("tmpfs", &[("mode", "700")], mounts::NOSUID)?;
        let failed = |errno: rustix::io::Errno| Error::io("make", "memory-backed files")(errno.into());
        rustix::fs::mkdirat(&mount, EMPTY, Mode::from_raw_mode(0o755)).map_err(failed)?;
        Ok(Self { mount })
    }

    /// The one that lies at an open directory.
    pub(super) fn at(mount: OwnedFd) -> Self {
        Self { mount }
    }

    /// The mount, to attach it where files can be bound from it.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.mount.as_fd()
    }

    /// Writes a file.
    pub(super) fn write(&self, name: &str, data: &[u8], owner: Owner) -> Result<()> {
        let attempt = || -> std::io::Result<()> {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let mut file = File::from(rustix::fs::openat(&self.mount, name, flags, Mode::RUSR)?);
            file.write_all(data)?;
            let (uid, gid) = crate::userns::owner(owner.uid, owner.gid);
            rustix::fs::fchown(&file, uid, gid)?;
            Ok(rustix::fs::fchmod(&file, Mode::from_raw_mode(owner.mode))?)
        };
        attempt().map_err(Error::io("write memory-backed file", name))
    }

    /// Makes a device.
    pub(super) fn device(&self, name: &str, device: &Device, owner: Owner) -> Result<()> {
        let attempt = || -> rustix::io::Result<()> {
            let number = rustix::fs::makedev(device.major, device.minor);
            rustix::fs::mknodat(&self.mount, name, device.kind.file_type(), Mode::empty(), number)?;
            let (uid, gid) = crate::userns::owner(owner.uid, owner.gid);
            rustix::fs::chownat(&self.mount, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
            rustix::fs::chmodat(&self.mount, name, Mode::from_raw_mode(owner.mode), AtFlags::empty())
        };
        attempt().map_err(|errno| Error::io("make the device", &device.path)(errno.into()))
    }

    /// Binds a socket and listens on it.
    pub(super) fn listen(&self, name: &str, socket: impl AsFd, owner: Owner) -> Result<()> {
        let attempt = || -> rustix::io::Result<()> {
            let path = format!("/proc/self/fd/{}/{name}", self.mount.as_raw_fd());
            rustix::net::bind(&socket, &SocketAddrUnix::new(path.as_str())?)?;
            let (uid, gid) = crate::userns::owner(owner.uid, owner.gid);
            rustix::fs::chownat(&self.mount, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
            rustix::fs::chmodat(&self.mount, name, Mode::from_raw_mode(owner.mode), AtFlags::empty())?;
            rustix::net::listen(&socket, BACKLOG)
        };
        attempt().map_err(|errno| Error::io("listen on", name)(errno.into()))
    }

    /// A mount of one of the files. The file system must be attached in this namespace.
    pub(super) fn bind(&self, name: &str) -> Result<OwnedFd> {
        mounts::bind(&self.mount, name).map_err(|errno| Error::io("mount memory-backed file", name)(errno.into()))
    }

    /// A directory that stays empty.
    pub(super) fn empty(&self) -> Result<OwnedFd> {
        self.open(EMPTY)
    }

    /// A new directory, to attach what must be attached somewhere and seen nowhere.
    pub(super) fn point(&self, name: &str) -> Result<OwnedFd> {
        let failed = |errno: rustix::io::Errno| Error::io("make", name)(errno.into());
        rustix::fs::mkdirat(&self.mount, name, Mode::RWXU).map_err(failed)?;
        self.open(name)
    }

    fn open(&self, name: &str) -> Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = rustix::fs::openat(&self.mount, name, flags, Mode::empty());
        open.map_err(|errno| Error::io("open", name)(errno.into()))
    }
}
