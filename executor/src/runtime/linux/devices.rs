//! The container's /dev.

use std::os::fd::{AsFd, OwnedFd};

use std::path::Path;

use rustix::fs::{self, FileType, Mode, OFlags};

use super::mounts;
use crate::rootfs::Tree;
use crate::{Error, Result, userns};

/// Name, major and minor number of the devices every container has.
const NODES: &[(&str, u32, u32)] =
    &[("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// Links every container has.
const LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Devices of the host that an insecure container gets. parity: whether the host has a file for them or not; some of them
/// have a driver only once their file is opened.
const INSECURE: &[(&str, u32, u32)] = &[
    ("kmsg", 1, 11),
    ("net/tun", 10, 200),
    ("cuse", 10, 203),
    ("fuse", 10, 229),
    ("kvm", 10, 232),
    ("loop-control", 10, 237),
];

/// Loop devices beyond those in use that an insecure container gets, as in BuildKit.
const SPARE_LOOPS: u32 = 7;

/// Makes /dev as a detached mount.
pub(super) fn make(insecure: bool) -> Result<OwnedFd> {
    let dev = mounts::filesystem("tmpfs", &[("mode", "755"), ("size", "65536k")], mounts::STRICT)?;
    // Modes are meant as they are written; the mask is the process's again when it runs.
    let mask = rustix::process::umask(Mode::empty());
    let result = fill(&dev, insecure);
    rustix::process::umask(mask);
    result.map_err(|errno| Error::io("fill", "/dev")(errno.into()))?;
    Ok(dev)
}

fn fill(dev: impl AsFd, insecure: bool) -> rustix::io::Result<()> {
    let dev = dev.as_fd();
    let node = |name: &str, kind, mode, major, minor| {
        fs::mknodat(dev, name, kind, Mode::from_raw_mode(mode), fs::makedev(major, minor))
    };
    for (name, major, minor) in NODES.iter().filter(|_| !userns::is_confined()) {
        node(name, FileType::CharacterDevice, 0o666, *major, *minor)?;
    }
    for (name, target) in LINKS {
        fs::symlinkat(*target, dev, *name)?;
    }
    if insecure && !userns::is_confined() {
        fs::mkdirat(dev, "net", Mode::from_raw_mode(0o755))?;
        for (name, kind, major, minor) in self::insecure() {
            let kind = if kind == "b" { FileType::BlockDevice } else { FileType::CharacterDevice };
            node(&name, kind, 0o666, major, minor)?;
        }
    }
    Ok(())
}

/// Mounts the host's devices onto the container's /dev, which is mounted already: in a user namespace none can be made.
pub(super) fn borrow(root: &Tree, insecure: bool) -> Result<()> {
    let more = if insecure { self::insecure() } else { Vec::new() };
    let usual = NODES.iter().map(|(name, major, minor)| (name.to_string(), *major, *minor));
    for (name, major, minor) in usual.chain(more.into_iter().map(|(name, _, major, minor)| (name, major, minor))) {
        let path = Path::new("/dev").join(&name);
        let Ok(device) = rustix::fs::open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) else { continue };
        let stat = rustix::fs::fstat(&device).map_err(|e| Error::io("stat", &path)(e.into()))?;
        if stat.st_rdev != fs::makedev(major, minor) {
            return Err(Error::Invalid(format!("{} is not the device {major}:{minor}", path.display())));
        }
        let mount = mounts::bind(&device, "").map_err(|e| Error::io("mount", &path)(e.into()))?;
        mounts::attach(root, mount, &path.to_string_lossy())?;
    }
    Ok(())
}

/// Name, kind (`b`, `c`), major and minor number of each device that an insecure container gets.
pub(super) fn insecure() -> Vec<(String, &'static str, u32, u32)> {
    let named = INSECURE.iter().map(|(name, major, minor)| (name.to_string(), "c", *major, *minor));
    let loops = (0..=first_free_loop() + SPARE_LOOPS).map(|minor| (format!("loop{minor}"), "b", 7, minor));
    // In a user namespace they are the host's own.
    let is_had = |name: &str| !userns::is_confined() || Path::new("/dev").join(name).exists();
    named.chain(loops).filter(|(name, ..)| is_had(name)).collect()
}

/// The loop device that the kernel would hand out next.
fn first_free_loop() -> u32 {
    let in_use = |minor: &u32| std::path::Path::new(&format!("/sys/block/loop{minor}/loop/backing_file")).exists();
    (0..256).find(|minor| !in_use(minor)).unwrap_or(0)
}
