//! The container's control group: which devices it may use, its limits, whether memory ran out.
//!
//! The group is one of the unified hierarchy (version 2), which every kernel has beside or instead of the old ones; where
//! the host does not mount it, it is mounted privately. The first process is born in the group: moving a process into one
//! costs milliseconds, being born there microseconds. (Mounting costs milliseconds, too, so the host's mount is used.)
//!
//! Limits need controllers. Where the old hierarchies have them, the shim joins a group there for the run.
//!
//! An insecure container may change its group and make others below it, as programs that run containers do. So it gets the
//! controllers there are, as with the OCI runtimes of BuildKit: where the host has old hierarchies, a group in each of them.

mod devices;
mod legacy;
mod remove;

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};

use super::{caps, mounts, plan};
use crate::rootfs::{NewDir, Tree};
use crate::runtime::Device;
use crate::{Error, Result, userns};

/// Controllers that limits need.
const LIMITING: [&str; 3] = ["memory", "cpu", "cpuset"];

/// Which controllers a group is to have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    None,
    Limiting,
    All,
}

/// A control group; empty when none can be had.
pub(super) struct Cgroup {
    group: Option<Group>,
    legacy: Vec<legacy::Group>,
    /// Mounts of groups in old hierarchies, to show to the container, by what the hierarchies are called.
    shown: Vec<(String, OwnedFd)>,
    /// Processes the kernel had killed for memory on the whole machine before the run.
    killed_before: u64,
    is_filtered: bool,
    insecure: bool,
    /// What could not be done.
    pub(super) warning: Option<String>,
}

struct Group {
    parent: OwnedFd,
    name: CString,
    dir: OwnedFd,
    /// A mount of it, to show to the container.
    mount: Option<OwnedFd>,
}

/// Where hosts mount the unified hierarchy: alone, or beside the old ones.
const MOUNTED: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// The top of the unified hierarchy.
fn hierarchy() -> io::Result<OwnedFd> {
    const CGROUP2_MAGIC: i64 = 0x6367_7270;
    let mounted = MOUNTED.iter().find_map(|path| {
        let dir = mounts::host_dir(path).ok()?;
        (rustix::fs::fstatfs(&dir).ok()?.f_type as i64 == CGROUP2_MAGIC).then_some(dir)
    });
    match mounted {
        Some(dir) => Ok(dir),
        None => mounts::filesystem("cgroup2", &[], mounts::INERT).map_err(io::Error::other),
    }
}

/// Has ready what all groups share, for those of processes that are forked from this one.
pub(super) fn expect() {
    if !userns::is_confined() {
        let _ = devices::filter();
    }
}

impl Cgroup {
    /// Makes a group with the limits. What cannot be had is a warning: a build that works on a machine with control
    /// groups works on one without, only less confined. **Errors**: a limit that the kernel refuses.
    pub(super) fn make(limits: &plan::Cgroup, devices: &[Device], insecure: bool) -> Result<Self> {
        let mut cgroup = Self { insecure, ..Self::none() };
        match cgroup.try_make(limits, devices) {
            Ok(()) => {}
            Err(Failure::Refused(error)) => {
                cgroup.remove();
                return Err(error);
            }
            // An ordinary user has groups only where somebody handed them on, and misses them only for limits.
            Err(Failure::Absent(_)) if !limits.is_limiting() && userns::is_confined() => {}
            Err(Failure::Absent(e)) => {
                cgroup.warning = Some(format!("the container has no control group ({e}): limits are not applied"));
            }
        }
        Ok(cgroup)
    }

    /// No group: somebody else sees to it.
    pub(super) fn none() -> Self {
        Self {
            group: None,
            legacy: Vec::new(),
            shown: Vec::new(),
            killed_before: killed_for_memory(),
            is_filtered: false,
            insecure: false,
            warning: None,
        }
    }

    fn try_make(&mut self, limits: &plan::Cgroup, devices: &[Device]) -> Applied {
        let group = Group::make(&hierarchy()?, &limits.parent, self.wanted(limits))?;
        if !self.insecure {
            self.is_filtered = devices::restrict(&group.dir, devices);
        }
        let group = self.group.insert(group);
        let mut missing = if limits.is_limiting() { group.limit(limits)? } else { Vec::new() };
        for hierarchy in if self.insecure { legacy::hierarchies() } else { Vec::new() } {
            match legacy::Group::join(&hierarchy, limits) {
                Ok(group) => {
                    missing.retain(|controller| !legacy::has(&hierarchy, controller));
                    self.shown.extend(group.mount().map(|mount| (hierarchy, mount)));
                    self.legacy.push(group);
                }
                // The container does not see it then.
                Err(Failure::Absent(_)) => {}
                Err(refused) => return Err(refused),
            }
        }
        for controller in missing {
            match legacy::Group::join(controller, limits) {
                Ok(group) => self.legacy.push(group),
                Err(Failure::Absent(e)) => {
                    let before = self.warning.take().map_or_else(String::new, |before| format!("{before}; "));
                    self.warning = Some(format!("{before}the {controller} limits are not applied: {e}"));
                }
                Err(refused) => return Err(refused),
            }
        }
        Ok(())
    }

    fn wanted(&self, limits: &plan::Cgroup) -> Wanted {
        match (self.insecure, limits.is_limiting()) {
            (true, _) => Wanted::All,
            (false, true) => Wanted::Limiting,
            (false, false) => Wanted::None,
        }
    }

    /// The group to be born in.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.group.as_ref().map(|group| group.dir.as_fd())
    }

    /// Whether nothing keeps a container from using devices it can make or finds in its image.
    pub(super) fn lets_devices_through(&self) -> bool {
        // In a user namespace nobody can make devices, and the file systems mounted there open none.
        !self.is_filtered && !self.insecure && !userns::is_confined()
    }

    /// Capabilities of a process in here. Without a device filter it must not make devices.
    pub(super) fn capabilities(&self) -> u64 {
        if self.lets_devices_through() { caps::DEFAULT & !caps::MKNOD } else { caps::DEFAULT }
    }

    /// Whether the kernel killed a process for memory: in the group, or, where groups do not tell, anywhere meanwhile.
    pub(super) fn had_out_of_memory(&self) -> bool {
        let own = self.group.as_ref().and_then(|group| count(&group.path().join("memory.events"), "oom_kill"));
        let legacy = || self.legacy.iter().find_map(|group| count(&group.dir.join("memory.oom_control"), "oom_kill"));
        match own.or_else(legacy) {
            Some(killed) => killed > 0,
            None => killed_for_memory() > self.killed_before,
        }
    }

    /// Removes the group. It is empty once the container's first process is reaped.
    pub(super) fn remove(self) {
        drop(self.shown);
        for group in self.legacy {
            group.leave();
        }
        if let Some(group) = self.group {
            drop((group.dir, group.mount));
            let _ = remove::remove(&group.parent, &group.name);
        }
    }
}

impl Group {
    fn make(hierarchy: &OwnedFd, parent: &Path, wanted: Wanted) -> io::Result<Self> {
        let tree = Tree::from_fd(hierarchy.try_clone()?);
        let parent = if parent.as_os_str().is_empty() { parent_path(hierarchy, wanted) } else { parent.to_owned() };
        let new = NewDir { mode: 0o755, owner: None, time: None };
        let (parent_fd, _) = tree.mkdir_all(&parent, new)?;
        if wanted != Wanted::None {
            let chain: Vec<&Path> = parent.ancestors().collect();
            chain.into_iter().rev().for_each(|above| delegate(&tree, above, wanted));
        }
        remove::sweep(&parent_fd);
        let name = CString::new(format!("llbc-{}", std::process::id()))?;
        rustix::fs::mkdirat(&parent_fd, &name, Mode::from_raw_mode(0o755))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(&parent_fd, &name, flags, Mode::empty())?;
        // A mount that is nobody's cannot be copied on every kernel: then the container sees none.
        let mount = mounts::bind(&dir, "").ok();
        Ok(Self { parent: parent_fd, name, dir, mount })
    }

    fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.dir.as_raw_fd()).into()
    }

    /// Sets limits; returns the controllers that are not there.
    fn limit(&self, limits: &plan::Cgroup) -> Applied<Vec<&'static str>> {
        let mut missing = Vec::new();
        for (controller, file, value) in unified_settings(limits) {
            match apply(&self.path(), file, &value) {
                Err(Failure::Absent(_)) if missing.contains(&controller) => {}
                Err(Failure::Absent(_)) => missing.push(controller),
                applied => applied?,
            }
        }
        Ok(missing)
    }
}

type Applied<T = ()> = std::result::Result<T, Failure>;

/// Why a limit is not applied.
enum Failure {
    /// There is nothing to apply it with.
    Absent(io::Error),
    /// The kernel does not take it.
    Refused(Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Absent(error)
    }
}

/// Sets a limit of a group.
fn apply(group: &Path, file: &str, value: &str) -> Applied {
    let absent = |e: io::Error| io::Error::new(e.kind(), format!("cannot open {file}: {e}"));
    let mut file_of_group = fs::OpenOptions::new().write(true).open(group.join(file)).map_err(absent)?;
    let written = io::Write::write_all(&mut file_of_group, value.as_bytes());
    written.map_err(|e| Failure::Refused(Error::Invalid(format!("the kernel refuses the limit {file}={value}: {e}"))))
}

impl plan::Cgroup {
    fn is_limiting(&self) -> bool {
        let numbers = [self.memory, self.memory_swap, self.cpu_shares, self.cpu_period, self.cpu_quota];
        numbers.iter().any(|n| *n != 0) || !self.cpuset_cpus.is_empty() || !self.cpuset_mems.is_empty()
    }
}

/// Where the group goes, if nobody says. Limits need controllers, which a group with processes in it cannot hand on: so such
/// a group is at the top. All others stay in the executor's own group and under its limits. None are below a group of ours:
/// somebody would have to remove that while others are about to use it, and other runtimes do not try again.
fn parent_path(hierarchy: &OwnedFd, wanted: Wanted) -> PathBuf {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = Path::new(own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/"));
    if wanted != Wanted::None {
        return handed_on(hierarchy, own).into();
    }
    own.into()
}

/// The highest group above the own one in which this process may make others: for root the top, for a user what was handed
/// on to it. Controllers can be had below groups without processes only, so higher is better.
fn handed_on<'a>(hierarchy: &OwnedFd, own: &'a Path) -> &'a Path {
    let may_write = |group: &&Path| {
        let below = group.strip_prefix("/").unwrap_or(group);
        let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
        rustix::fs::accessat(hierarchy, below, rustix::fs::Access::WRITE_OK, AtFlags::empty()).is_ok()
    };
    own.ancestors().filter(may_write).last().unwrap_or(Path::new("/"))
}

/// Hands controllers on to the groups below, those that can be.
fn delegate(tree: &Tree, group: &Path, wanted: Wanted) {
    let Ok(dir) = tree.resolve(group) else { return };
    let dir = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()));
    let there = fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default();
    let is_wanted = |controller: &&str| wanted == Wanted::All || LIMITING.contains(controller);
    for controller in there.split_whitespace().filter(is_wanted) {
        let _ = fs::write(dir.join("cgroup.subtree_control"), format!("+{controller}"));
    }
}

/// Controller, file and text of each limit that is set.
fn unified_settings(limits: &plan::Cgroup) -> Vec<(&'static str, &'static str, String)> {
    let mut settings = Vec::new();
    if limits.memory > 0 {
        settings.push(("memory", "memory.max", limits.memory.to_string()));
    }
    match limits.memory_swap {
        0 => {}
        -1 => settings.push(("memory", "memory.swap.max", "max".into())),
        both => settings.push(("memory", "memory.swap.max", (both - limits.memory).max(0).to_string())),
    }
    if limits.cpu_shares > 0 {
        // The conversion of the OCI runtimes: 2..262144 to 1..10000.
        let weight = 1 + (limits.cpu_shares.clamp(2, 262_144) - 2) * 9_999 / 262_142;
        settings.push(("cpu", "cpu.weight", weight.to_string()));
    }
    if limits.cpu_quota != 0 || limits.cpu_period > 0 {
        let quota = if limits.cpu_quota > 0 { limits.cpu_quota.to_string() } else { "max".into() };
        let period = if limits.cpu_period > 0 { limits.cpu_period } else { 100_000 };
        settings.push(("cpu", "cpu.max", format!("{quota} {period}")));
    }
    for (file, list) in [("cpuset.cpus", &limits.cpuset_cpus), ("cpuset.mems", &limits.cpuset_mems)] {
        if !list.is_empty() {
            settings.push(("cpuset", file, list.clone()));
        }
    }
    settings
}

/// Shows the container its group at /sys/fs/cgroup.
pub(super) fn mount(cgroup: &Cgroup, root: &Tree, insecure: bool) -> Result<()> {
    if cgroup.lets_devices_through() {
        use rustix::mount::MountAttrFlags;
        mounts::restrict(root.fd(), MountAttrFlags::MOUNT_ATTR_NODEV)?;
    }
    let shown = cgroup.group.as_ref().and_then(|group| group.mount.as_ref());
    let Some(mount) = shown.filter(|_| root.exists(Path::new("/sys/fs/cgroup")).unwrap_or(false)) else {
        return Ok(());
    };
    mounts::restrict(mount, if insecure { mounts::INERT } else { mounts::INERT | mounts::RDONLY })?;
    if cgroup.shown.is_empty() {
        return mounts::attach(root, mount, "/sys/fs/cgroup");
    }
    show_hierarchies(&cgroup.shown, mount, root)
}

/// Shows the container its groups in all hierarchies as hosts that have old ones do.
fn show_hierarchies(old: &[(String, OwnedFd)], unified: &OwnedFd, root: &Tree) -> Result<()> {
    let made = |e: rustix::io::Errno| Error::io("show control groups below", "/sys/fs/cgroup")(e.into());
    let top = mounts::filesystem("tmpfs", &[("mode", "755")], mounts::INERT)?;
    let all = old.iter().map(|(hierarchy, mount)| (hierarchy.as_str(), mount)).chain([("unified", unified)]);
    for (hierarchy, _) in all.clone() {
        rustix::fs::mkdirat(&top, hierarchy, Mode::from_raw_mode(0o755)).map_err(made)?;
        // Programs look for a controller by its name.
        for controller in hierarchy.split(',').filter(|controller| *controller != hierarchy) {
            rustix::fs::symlinkat(hierarchy, &top, controller).map_err(made)?;
        }
    }
    mounts::attach(root, &top, "/sys/fs/cgroup")?;
    for (hierarchy, mount) in all {
        mounts::restrict(mount, mounts::INERT)?;
        mounts::attach(root, mount, &format!("/sys/fs/cgroup/{hierarchy}"))?;
    }
    Ok(())
}

/// How many processes the kernel has killed for memory since it started.
pub(super) fn killed_for_memory() -> u64 {
    count(Path::new("/proc/vmstat"), "oom_kill").unwrap_or(0)
}

/// The number beside a key in a file of `key number` lines.
fn count(file: &Path, key: &str) -> Option<u64> {
    // Read at once: the kernel adds up all of them anew for each read.
    let mut text = String::with_capacity(16 << 10);
    io::Read::read_to_string(&mut fs::File::open(file).ok()?, &mut text).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_become_files_of_the_unified_hierarchy() {
        let limits = plan::Cgroup {
            memory: 64 << 20,
            memory_swap: 96 << 20,
            cpu_shares: 1024,
            cpu_quota: 50_000,
            cpuset_cpus: "0-1".into(),
            ..plan::Cgroup::default()
        };
        let text: Vec<String> =
            unified_settings(&limits).into_iter().map(|(_, file, v)| format!("{file}={v}")).collect();
        let want = [
            "memory.max=67108864",
            "memory.swap.max=33554432",
            "cpu.weight=39",
            "cpu.max=50000 100000",
            "cpuset.cpus=0-1",
        ];
        assert_eq!(text, want);
        assert!(unified_settings(&plan::Cgroup::default()).is_empty());
    }
}
