//! How processes end, and that nothing is left of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use executor::runtime::{Mount, MountSource, Network, Spec};
use executor::{Cancel, Error};

use super::{is_running, nap, process, remove_groups_at_the_top, wait_for, way_out};
use crate::rig::{Rig, each, is_mounted_below, run, run_until, stdout};

#[test]
fn cancelling_kills_everything() {
    each(|runtime| {
        let (rig, nap) = (Rig::new(), nap(std::process::id()));
        let cancel = Cancel::default();
        let started = Instant::now();
        let error = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(300));
                cancel.cancel();
            });
            let script = format!("trap '' TERM INT; (trap '' TERM; sleep {nap}) & sleep {nap}");
            run_until(runtime, &rig.sh(&script), &cancel).map(|ran| ran.exit).unwrap_err()
        });
        assert!(matches!(error, Error::Cancelled), "{error}");
        assert!(started.elapsed() < Duration::from_secs(5));
        assert!(!is_running(&nap));
        assert!(!is_mounted_below(&rig.root()));
    });
}

/// Set for the process that is to be killed: the runtime, the group it runs a container below, if any, and in which root.
const VICTIM: &str = "LLBC_TEST_VICTIM";

#[test]
fn an_executor_that_is_killed_leaves_nothing() {
    if let Ok(victim) = std::env::var(VICTIM) {
        return be_the_victim(&victim);
    }
    let below = format!("llbc-below-{}", std::process::id());
    for (runtime, parent) in ["embedded", "runc", "crun"].into_iter().flat_map(|name| [(name, ""), (name, &*below)]) {
        let (rig, nap) = (Rig::new(), nap(std::process::id()));
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "suite::ends::an_executor_that_is_killed_leaves_nothing"])
            .env(VICTIM, format!("{runtime}:{parent}:{}", rig.root().display()))
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let pid = child.id();
        wait_for("the container to start", || is_running(&nap));
        // The first number that was free.
        let way_out = (pid..pid + 8).map(|number| way_out(number % (1 << 14))).find(|way| way.exists()).unwrap();
        let groups = control_groups_of(&nap);
        assert!(groups.iter().all(|group| group.is_dir() && group.to_string_lossy().contains(parent)));
        assert!(!groups.is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
        wait_for("the container to end", || !is_running(&nap));
        wait_for("its group to go", || !groups.iter().any(|group| group.exists()));
        remove_groups_at_the_top(&below);
        let bundle = std::env::temp_dir().join(format!("llbc-{pid}-0"));
        wait_for("its interfaces to go", || !way_out.exists());
        wait_for("its bundle to go", || !bundle.exists());
        wait_for("its mount points to go", || !rig.root().join("point").exists());
        assert!(!is_mounted_below(&rig.root()));
    }
}

fn be_the_victim(victim: &str) {
    let [runtime, parent, root] = victim.splitn(3, ':').collect::<Vec<_>>().try_into().unwrap();
    let rig = Rig::at(root.into());
    let nap = nap(std::os::unix::process::parent_id());
    let mut spec = Spec { network: Network::Sandbox, ..rig.sh(&format!("sleep {nap}")) };
    spec.mounts = vec![Mount { dest: "/point".into(), source: MountSource::Tmpfs { size: 0 }, readonly: false }];
    spec.cgroup_parent = parent.into();
    let _ = run(&*crate::rig::named(runtime), &spec);
}

#[test]
fn many_that_start_and_end_at_once_have_a_group_each() {
    each(|runtime| {
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..8).for_each(|_| drop(stdout(runtime, &Rig::new().sh("true")))));
            }
        });
    });
}

#[test]
fn a_group_is_made_among_the_groups_only() {
    let name = format!("llbc-escaped-{}", std::process::id());
    each(|runtime| {
        let parent = "../".repeat(20) + &name;
        let _ = run(runtime, &Spec { cgroup_parent: parent, ..Rig::new().sh("true") });
        assert!(!Path::new("/").join(&name).exists());
    });
    remove_groups_at_the_top(&name);
}

/// The groups of its own that a running process is in; where there are several hierarchies, each has one.
fn control_groups_of(argument: &str) -> Vec<PathBuf> {
    let listed = fs::read_to_string(process(argument).unwrap().join("cgroup")).unwrap();
    let group = |line: &str| {
        let [_, controllers, path] = line.splitn(3, ':').collect::<Vec<_>>().try_into().ok()?;
        let hierarchy = match controllers {
            "" => "unified",
            named => named.strip_prefix("name=").unwrap_or(named),
        };
        let hierarchy = Some(Path::new("/sys/fs/cgroup").join(hierarchy)).filter(|path| path.is_dir());
        let hierarchy = hierarchy.unwrap_or_else(|| "/sys/fs/cgroup".into());
        path.contains("llbc-").then(|| hierarchy.join(path.trim_start_matches('/')))
    };
    listed.lines().filter_map(group).collect()
}

#[test]
fn what_is_left_in_the_background_dies_with_the_process() {
    each(|runtime| {
        let (rig, nap) = (Rig::new(), nap(std::process::id()));
        let started = Instant::now();
        assert_eq!(stdout(runtime, &rig.sh(&format!("sleep {nap} & echo done"))), "done\n");
        assert!(started.elapsed() < Duration::from_secs(5));
        assert!(!is_running(&nap));
    });
}
