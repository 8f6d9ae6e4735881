//! Groups of the old hierarchies (version 1), one a controller, or a few: for limits where only they have the controller, and
//! for insecure containers, which see all of them.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Applied, apply, mounts, plan};

/// Where the hierarchies are mounted, by custom.
const ROOT: &str = "/sys/fs/cgroup";

/// A group that this process has joined.
pub(super) struct Group {
    /// What its hierarchy is called.
    pub(super) hierarchy: String,
    pub(super) dir: PathBuf,
    /// Where it was before.
    home: PathBuf,
}

/// What the mounted hierarchies are called: by their controllers (`memory`, `cpu,cpuacct`), or by a name (`systemd`).
pub(super) fn hierarchies() -> Vec<String> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let called = |line: &str| line.split(':').nth(1).map(|controllers| called(controllers).to_owned());
    let is_mounted = |hierarchy: &String| !hierarchy.is_empty() && Path::new(ROOT).join(hierarchy).is_dir();
    own.lines().filter_map(called).filter(is_mounted).collect()
}

fn called(controllers: &str) -> &str {
    controllers.strip_prefix("name=").unwrap_or(controllers)
}

/// Whether a hierarchy has a controller.
pub(super) fn has(hierarchy: &str, controller: &str) -> bool {
    hierarchy.split(',').any(|own| own == controller)
}

impl Group {
    /// Makes a group in a hierarchy, or in that of a controller, with the limits of its controllers, and joins it. Children are
    /// born in it.
    pub(super) fn join(hierarchy: &str, limits: &plan::Cgroup) -> Applied<Self> {
        let home = home(hierarchy)?;
        super::remove::sweep(fs::File::open(&home)?);
        let dir = home.join(format!("llbc-{}", std::process::id()));
        fs::create_dir(&dir)?;
        let group = Self { hierarchy: hierarchy.to_owned(), dir, home };
        if let Err(e) = group.enter(limits) {
            group.leave();
            return Err(e);
        }
        Ok(group)
    }

    /// A mount of it, to show to the container.
    pub(super) fn mount(&self) -> Option<OwnedFd> {
        mounts::bind(rustix::fs::CWD, self.dir.to_str()?).ok()
    }

    fn enter(&self, limits: &plan::Cgroup) -> Applied {
        if has(&self.hierarchy, "cpuset") {
            // Nobody can join before both lists are there.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                fs::write(self.dir.join(file), fs::read(self.home.join(file))?)?;
            }
        }
        for (file, value) in settings(&self.hierarchy, limits) {
            apply(&self.dir, file, &value)?;
        }
        Ok(fs::write(self.dir.join("cgroup.procs"), "0")?)
    }

    /// Goes back and removes the group, with what the container made below.
    pub(super) fn leave(self) {
        let _ = fs::write(self.home.join("cgroup.procs"), "0");
        let name = self.dir.file_name().and_then(|name| CString::new(name.as_bytes()).ok());
        if let (Some(name), Ok(home)) = (name, fs::File::open(&self.home)) {
            let _ = super::remove::remove(home, &name);
        }
    }
}

/// The group this process is in, of a hierarchy or that of a controller.
fn home(hierarchy: &str) -> io::Result<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup")?;
    let path = own.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        (called(controllers) == hierarchy || has(controllers, hierarchy)).then_some(path)
    });
    let path = path.ok_or_else(|| io::Error::other(format!("the kernel has no {hierarchy} controller to use")))?;
    let mounted = Path::new(ROOT).join(hierarchy);
    let group = mounted.join(path.trim_start_matches('/'));
    // In a container the path is the host's, and the mount shows the own group at its top.
    if group.is_dir() { Ok(group) } else { Ok(mounted) }
}

fn settings(hierarchy: &str, limits: &plan::Cgroup) -> Vec<(&'static str, String)> {
    let all = [
        ("memory", "memory.limit_in_bytes", limits.memory),
        ("memory", "memory.memsw.limit_in_bytes", limits.memory_swap),
        ("cpu", "cpu.shares", limits.cpu_shares),
        ("cpu", "cpu.cfs_period_us", limits.cpu_period),
        ("cpu", "cpu.cfs_quota_us", limits.cpu_quota),
    ];
    let numbers =
        all.into_iter().filter(|(.., value)| *value != 0).map(|(c, file, value)| (c, file, value.to_string()));
    let lists = [("cpuset.cpus", &limits.cpuset_cpus), ("cpuset.mems", &limits.cpuset_mems)];
    let lists =
        lists.into_iter().filter(|(_, list)| !list.is_empty()).map(|(file, list)| ("cpuset", file, list.clone()));
    numbers
        .chain(lists)
        .filter(|(controller, ..)| has(hierarchy, controller))
        .map(|(_, file, value)| (file, value))
        .collect()
}
