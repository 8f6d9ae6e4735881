//! Mounts of a container, every one made detached and attached by descriptor.
//!
//! The image decides what lies at a target: a link to `/`, a link to `/proc`, a device. So no mount call ever takes a
//! path: a target is opened confined to the root, without following links of /proc, and the mount is moved onto what was
//! opened.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};

use super::plan::Plan;
use super::stubs::{self, Kind};
use crate::rootfs::Tree;
use crate::runtime::HostMount;
use crate::{Error, Result, userns};

/// Attributes of mounts that hold no programs and devices.
pub(super) const INERT: MountAttrFlags =
    MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV).union(MountAttrFlags::MOUNT_ATTR_NOEXEC);
/// No set-user-id.
pub(super) const NOSUID: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID;
/// No set-user-id, and every access is noted.
pub(super) const STRICT: MountAttrFlags = NOSUID.union(MountAttrFlags::MOUNT_ATTR_STRICTATIME);
/// Read-only.
pub(super) const RDONLY: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY;

/// Paths of the kernel that tell of the host or change it; hidden.
pub(super) const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Paths of the kernel that may be read, not written.
pub(super) const READONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Makes a mount of a new file system instance.
pub(super) fn filesystem(kind: &str, options: &[(&str, &str)], attributes: MountAttrFlags) -> Result<OwnedFd> {
    named(kind, kind, options, attributes)
}

/// The same with the device that the list of mounts is to show.
fn named(name: &str, kind: &str, options: &[(&str, &str)], attributes: MountAttrFlags) -> Result<OwnedFd> {
    let attempt = || {
        let fs = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        rustix::mount::fsconfig_set_string(&fs, "source", name)?;
        for (key, value) in options {
            match *value {
                "" => rustix::mount::fsconfig_set_flag(&fs, *key)?,
                value => rustix::mount::fsconfig_set_string(&fs, *key, value)?,
            }
        }
        rustix::mount::fsconfig_create(&fs)?;
        rustix::mount::fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    };
    attempt().map_err(|errno| Error::io("make a mount of", kind)(errno.into()))
}

/// Makes a mount of what is at `path` below an open directory, or of the directory itself when `path` is empty.
pub(super) fn bind(dir: impl AsFd, path: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    rustix::mount::open_tree(dir, path, flags)
}

/// Makes a mount of an open file or directory of the host, with all that is mounted below it if its options say so.
pub(super) fn bind_host(file: impl AsFd, host: &HostMount) -> rustix::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let below = if host.recursive { OpenTreeFlags::AT_RECURSIVE } else { OpenTreeFlags::empty() };
    let mount = rustix::mount::open_tree(file, "", flags | below)?;
    // What a container mounts is nothing to the host.
    super::sys::set_propagation(mount.as_fd(), host.follows)?;
    Ok(mount)
}

/// Sets the attributes of a mount of the host's that its options name.
pub(super) fn set_options(mount: impl AsFd, host: &HostMount) -> Result<()> {
    super::sys::change_mount_attributes(mount.as_fd(), host.set, host.clear)
        .map_err(Error::io("set the options of the mount of", &host.path))
}

/// Sets attributes of a mount.
pub(super) fn restrict(mount: impl AsFd, attributes: MountAttrFlags) -> Result<()> {
    let bits = attributes.bits();
    super::sys::set_mount_attributes(mount.as_fd(), bits).map_err(Error::io("restrict", "a mount"))
}

/// Attaches a mount at a path of the container; makes the mount point when it is missing.
pub(super) fn attach(root: &Tree, mount: impl AsFd, dest: &str) -> Result<()> {
    let failed = |source| Error::io("mount onto", dest)(source);
    let kind = kind_of(&rustix::fs::fstat(&mount).map_err(|e| failed(e.into()))?);
    let path = Path::new(dest);
    let target = match root.resolve(path) {
        Ok(target) => target,
        Err(_) => {
            stubs::make_point(root, &root.real_path(path).map_err(failed)?, kind).map_err(failed)?;
            root.resolve(path).map_err(failed)?
        }
    };
    let found = kind_of(&rustix::fs::fstat(&target).map_err(|e| failed(e.into()))?);
    if found != kind {
        let text = |kind| if kind == Kind::Dir { "a directory" } else { "a file" };
        return Err(Error::Invalid(format!("cannot mount {} onto {dest}: it is {}", text(kind), text(found))));
    }
    attach_to(mount, &target).map_err(|e| failed(e.into()))
}

/// Attaches a mount to an open file or directory.
pub(super) fn attach_to(mount: impl AsFd, target: impl AsFd) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", target, "", flags)
}

/// What a step's own mount takes the place of, and does not lie upon: memory that processes share, files about names.
const REPLACED: &[&str] = &["/dev/shm", "/dev/mqueue", "/etc/resolv.conf", "/etc/hosts"];

/// Whether one of the plan's mounts takes the place of the container's own.
pub(super) fn is_replaced(dest: &str, plan: &Plan) -> bool {
    REPLACED.contains(&dest) && plan.mounts.iter().any(|mount| mount.dest.trim_end_matches('/') == dest)
}

/// Mounts what the kernel provides: /proc, /dev and below, /sys.
pub(super) fn kernel(root: &Tree, plan: &Plan) -> Result<()> {
    let insecure = plan.insecure;
    attach(root, proc()?, "/proc")?;
    attach(root, super::devices::make(insecure)?, "/dev")?;
    if userns::is_confined() {
        super::devices::borrow(root, insecure)?;
    }
    let pts = [("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")];
    // The group of terminals is not among the ids of everybody.
    let pts = &pts[..if userns::has_one_id() { 3 } else { 4 }];
    attach(root, filesystem("devpts", pts, NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC)?, "/dev/pts")?;
    if !is_replaced("/dev/shm", plan) {
        attach(root, named("shm", "tmpfs", &[("mode", "1777"), ("size", "65536k")], INERT)?, "/dev/shm")?;
    }
    if !is_replaced("/dev/mqueue", plan) {
        attach(root, filesystem("mqueue", &[], INERT)?, "/dev/mqueue")?;
    }
    let writable = if insecure { MountAttrFlags::empty() } else { RDONLY };
    attach(root, sys(writable)?, "/sys")
}

/// A new /proc. The kernel refuses one where parts of the system's are hidden, as containers do it.
fn proc() -> Result<OwnedFd> {
    filesystem("proc", &[], INERT).map_err(|error| match error {
        Error::Io { source, .. } if userns::is_confined() && source.raw_os_error() == Some(libc::EPERM) => {
            Error::Unsupported {
                what: "a container in a container that hides parts of /proc".into(),
                why: "the kernel mounts no new /proc there; run the outer one with `--security-opt \
                      systempaths=unconfined` (Docker) or `procMount: Unmasked` (Kubernetes)"
                    .into(),
            }
        }
        error => error,
    })
}

/// A new /sys, or, where only the owner of the network may have one, what the system shows of its own.
fn sys(writable: MountAttrFlags) -> Result<OwnedFd> {
    match filesystem("sysfs", &[], INERT | writable) {
        Err(Error::Io { source, .. }) if userns::is_confined() && source.raw_os_error() == Some(libc::EPERM) => {
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
            let same = rustix::mount::open_tree(rustix::fs::CWD, "/sys", flags);
            let same = same.map_err(|e| Error::io("mount", "/sys")(e.into()))?;
            super::sys::set_mount_attributes_below(same.as_fd(), (INERT | RDONLY).bits())
                .map_err(Error::io("restrict", "/sys"))?;
            Ok(same)
        }
        made => made,
    }
}

/// Hides and protects the parts of /proc and /sys that a container must not use. `empty` is a directory that stays empty.
pub(super) fn protect(root: &Tree, empty: BorrowedFd<'_>) -> Result<()> {
    let null = checked_null(root)?;
    for path in MASKED {
        let Some(target) = existing(root, path)? else { continue };
        let stat = rustix::fs::fstat(&target).map_err(|e| Error::io("mask", path)(e.into()))?;
        let cover = match kind_of(&stat) {
            Kind::Dir => bind(empty, "").map_err(|e| Error::io("mask", path)(e.into()))?,
            Kind::File => bind(&null, "").map_err(|e| Error::io("mask", path)(e.into()))?,
        };
        if kind_of(&stat) == Kind::Dir {
            restrict(&cover, RDONLY)?;
        }
        attach_to(cover, target).map_err(|e| Error::io("mask", path)(e.into()))?;
    }
    for path in READONLY {
        let Some(target) = existing(root, path)? else { continue };
        let same = bind(&target, "").map_err(|e| Error::io("protect", path)(e.into()))?;
        restrict(&same, INERT | RDONLY)?;
        attach_to(same, target).map_err(|e| Error::io("protect", path)(e.into()))?;
    }
    Ok(())
}

fn existing(root: &Tree, path: &str) -> Result<Option<OwnedFd>> {
    match root.resolve(Path::new(path)) {
        Ok(fd) => Ok(Some(fd)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("open", path)(e)),
    }
}

/// The container's /dev/null, if it is the null device and nothing that only bears its name.
fn checked_null(root: &Tree) -> Result<OwnedFd> {
    let null = root.resolve(Path::new("/dev/null")).map_err(Error::io("open", "/dev/null"))?;
    let stat = rustix::fs::fstat(&null).map_err(|e| Error::io("stat", "/dev/null")(e.into()))?;
    let is_null =
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == rustix::fs::makedev(1, 3);
    if is_null { Ok(null) } else { Err(Error::Invalid("/dev/null of the container is not the null device".into())) }
}

fn kind_of(stat: &Stat) -> Kind {
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory { Kind::Dir } else { Kind::File }
}

/// Opens a directory of the host.
pub(super) fn host_dir(path: &str) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|e| Error::io("open", path)(e.into()))
}
