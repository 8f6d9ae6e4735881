//! What every runtime must do, over real containers. Each test runs on every implementation there is.

mod devices;
mod ends;
mod mounts;
mod network;
mod process;
mod rights;
mod root;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use executor::runtime::{Mount, MountSource};

fn bind(root: &Path, selector: &str, dest: &str, readonly: bool) -> Mount {
    let source = MountSource::Bind { root: root.into(), selector: selector.into() };
    Mount { dest: dest.into(), source, readonly }
}

/// The host's end of a way out of sandboxes, by its number.
fn way_out(number: u32) -> PathBuf {
    PathBuf::from(format!("/sys/class/net/llbc{number}"))
}

/// How long a process sleeps that a test looks for, so that no other test's is taken for it.
fn nap(pid: u32) -> String {
    (10_000_000 + pid).to_string()
}

/// Removes the groups of this name at the top of the hierarchies, once those of containers in them are gone: nobody waits for
/// that. It fails where something is left.
fn remove_groups_at_the_top(name: &str) {
    let top = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(top).unwrap().map(|entry| entry.unwrap().path()).chain([top.to_owned()]);
    let groups: Vec<_> = hierarchies.map(|hierarchy| hierarchy.join(name)).collect();
    let is_gone = |group: &PathBuf| !group.is_dir() || fs::remove_dir(group).is_ok();
    wait_for("the groups in it to go", || groups.iter().all(is_gone));
}

fn wait_for(what: &str, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(20), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a process with this argument runs on the machine.
fn is_running(argument: &str) -> bool {
    process(argument).is_some()
}

/// Where /proc has the `sleep` with an argument.
fn process(argument: &str) -> Option<PathBuf> {
    let is_it = |path: &PathBuf| {
        let command = fs::read(path.join("cmdline")).unwrap_or_default();
        command.starts_with(b"sleep") && command.split(|byte| *byte == 0).any(|word| word == argument.as_bytes())
    };
    fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path())).find(is_it)
}
