//! Groups of the old hierarchies (version 1), one a controller, for limits where only they have the controller.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Applied, apply, plan};

/// Where the hierarchies are mounted, by custom.
const ROOT: &str = "/sys/fs/cgroup";

/// A group that this process has joined.
pub(super) struct Group {
    pub(super) dir: PathBuf,
    /// Where it was before.
    home: PathBuf,
}

impl Group {
    /// Makes a group with the limits of a controller and joins it. Children are born in it.
    pub(super) fn join(controller: &'static str, limits: &plan::Cgroup) -> Applied<Self> {
        let home = home(controller)?;
        super::remove::sweep(fs::File::open(&home)?);
        let dir = home.join(format!("llbc-{}", std::process::id()));
        fs::create_dir(&dir)?;
        let group = Self { dir, home };
        if let Err(e) = group.enter(controller, limits) {
            group.leave();
            return Err(e);
        }
        Ok(group)
    }

    fn enter(&self, controller: &str, limits: &plan::Cgroup) -> Applied {
        if controller == "cpuset" {
            // Nobody can join before both lists are there.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                fs::write(self.dir.join(file), fs::read(self.home.join(file))?)?;
            }
        }
        for (file, value) in settings(controller, limits) {
            apply(&self.dir, file, &value)?;
        }
        Ok(fs::write(self.dir.join("cgroup.procs"), "0")?)
    }

    /// Goes back and removes the group.
    pub(super) fn leave(self) {
        let _ = fs::write(self.home.join("cgroup.procs"), "0");
        let _ = fs::remove_dir(&self.dir);
    }
}

/// The group this process is in.
fn home(controller: &str) -> io::Result<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup")?;
    let path = own.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers.split(',').any(|c| c == controller).then_some(path)
    });
    let path = path.ok_or_else(|| io::Error::other(format!("the kernel has no {controller} controller to use")))?;
    let mounted = Path::new(ROOT).join(controller);
    let group = mounted.join(path.trim_start_matches('/'));
    // In a container the path is the host's, and the mount shows the own group at its top.
    if group.is_dir() { Ok(group) } else { Ok(mounted) }
}

fn settings(controller: &str, limits: &plan::Cgroup) -> Vec<(&'static str, String)> {
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
    numbers.chain(lists).filter(|(c, ..)| *c == controller).map(|(_, file, value)| (file, value)).collect()
}
