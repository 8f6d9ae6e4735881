//! The program the shim is: this one, in a form that no container can write to.
//!
//! A container that executes `/proc/self/exe` reaches the file that its first process was started from. So that is never
//! the host's file itself: it is a mount of it that is read-only and attached nowhere, or, where such a mount cannot be
//! made, a sealed copy in memory.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};

use super::{mounts, sys};

/// A program that can be executed, not changed.
pub(super) struct Binary {
    fd: OwnedFd,
}

impl Binary {
    /// Protects the program at a path.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let fd = readonly_mount(path).or_else(|_| sealed_copy(path))?;
        Ok(Self { fd })
    }

    /// The program.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// A path to execute it by, in this process and the one it starts.
    pub(super) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.fd.as_raw_fd()).into()
    }
}

fn readonly_mount(path: &Path) -> io::Result<OwnedFd> {
    let file = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let mount = mounts::bind(&file, "")?;
    sys::set_mount_attributes(std::os::fd::AsFd::as_fd(&mount), (mounts::RDONLY | mounts::NOSUID).bits())?;
    Ok(mount)
}

fn sealed_copy(path: &Path) -> io::Result<OwnedFd> {
    let copy = rustix::fs::memfd_create("llbc-shim", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut copy = File::from(copy);
    io::copy(&mut File::open(path)?, &mut copy)?;
    rustix::fs::fcntl_add_seals(&copy, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    Ok(copy.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_form_can_be_written() {
        for make in [readonly_mount, sealed_copy] {
            let binary = Binary { fd: make(Path::new("/bin/true")).unwrap() };
            assert!(std::process::Command::new(binary.path()).status().unwrap().success());
            let error = File::options().write(true).open(binary.path()).map(|mut f| io::Write::write(&mut f, b"x"));
            assert!(!matches!(error, Ok(Ok(_))), "{error:?}");
        }
    }
}
