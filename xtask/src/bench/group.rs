//! A control group that a bench is in, with everything that it starts: the only account that leaves nobody out. Others count
//! a process when somebody waits for it, and each builder waits for others of its own: of one the processes of steps would
//! count, of another not.
//!
//! Builders take turns, so what is spent during a build is spent for it. The group is one of the unified hierarchy, in which
//! no builder moves its steps where the old hierarchies are beside it; where it is alone, runc puts steps into groups at the
//! top, whose names are known.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the unified hierarchy is mounted: alone, or beside the old ones.
const MOUNTED: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// Groups at the top for steps of BuildKit and of Docker.
const BESIDE: [&str; 2] = ["buildkit", "docker"];
/// How groups of benches begin.
const PREFIX: &str = "llbc-bench-";
/// The groups that count, in a bench that is in one, separated by colons.
const VARIABLE: &str = "LLBC_BENCH_GROUPS";
/// What is done so long after a build counts for it: removing what was left, mostly.
pub(super) const AFTERWARDS: Duration = Duration::from_millis(100);

/// A group, removed when dropped.
pub(super) struct Group(PathBuf);

impl Group {
    /// Makes one. `None`: there is no unified hierarchy, or it is not ours to change.
    pub(super) fn make() -> Option<Self> {
        let top = MOUNTED.iter().map(Path::new).find(|top| top.join("cgroup.controllers").exists())?;
        sweep(top);
        let path = top.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&path).ok()?;
        Some(Self(path))
    }

    /// What tells the bench that is to enter it: a variable and its value.
    pub(super) fn variable(&self) -> (&'static str, String) {
        let beside = BESIDE.iter().map(|name| self.0.with_file_name(name));
        let all: Vec<_> =
            std::iter::once(self.0.clone()).chain(beside).map(|path| path.display().to_string()).collect();
        (VARIABLE, all.join(":"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What ends just now is in it for a moment. One that stays in use is removed by the next bench.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Removes groups that killed benches left: the kernel lets nobody remove one that is in use.
fn sweep(top: &Path) {
    for entry in fs::read_dir(top).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// The account of the bench's groups.
pub(super) struct Account(Vec<PathBuf>);

impl Account {
    /// Enters the group that was made for this bench. `None`: there is none.
    pub(super) fn open() -> Option<Self> {
        let paths: Vec<PathBuf> = std::env::split_paths(&std::env::var_os(VARIABLE)?).collect();
        // This process, by whatever number its namespace knows it.
        fs::write(paths.first()?.join("cgroup.procs"), "0").ok()?;
        Some(Self(paths))
    }

    /// Processor time so far, of everybody.
    pub(super) fn spent(&self) -> Duration {
        self.0.iter().filter_map(|group| spent_in(group)).sum()
    }
}

fn spent_in(group: &Path) -> Option<Duration> {
    let text = fs::read_to_string(group.join("cpu.stat")).ok()?;
    let microseconds = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
    microseconds.parse().ok().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn what_nobody_waits_for_counts() {
        let Some(group) = Group::make() else {
            return eprintln!("nothing is counted: no control group can be made here");
        };
        let account = Account(vec![group.0.clone()]);
        assert_eq!(account.spent(), Duration::ZERO);
        // The one that works is nobody's child any more when it begins; it ends when its output is read to the end.
        let work = r#"echo $$ > "$1/cgroup.procs"; (i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done) & exit"#;
        let output = Command::new("sh").args(["-c", work, "sh"]).arg(&group.0).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(account.spent() > Duration::from_millis(5), "{:?}", account.spent());
        let path = group.0.clone();
        drop(group);
        assert!(!path.exists());
    }
}
