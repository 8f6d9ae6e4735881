//! Who a process is, and what it may do.

use std::fs;
use std::path::Path;

use executor::runtime::{Network, Spec};

use super::{remove_groups_at_the_top, wait_for};
use crate::rig::{Rig, each, run, stdout};

#[test]
fn users_and_groups() {
    each(|runtime| {
        let rig = Rig::new();
        let id = |user: &str| {
            let spec = Spec { user: user.into(), ..rig.sh("echo $(id -u) $(id -g) $(id -G)") };
            stdout(runtime, &spec).trim().to_owned()
        };
        assert_eq!(id(""), "0 0 0 10");
        assert_eq!(id("build"), "1000 100 100 10");
        assert_eq!(id("1234:5678"), "1234 5678 5678");
        assert_eq!(id("build:wheel"), "1000 10 10");
        let error = run(runtime, &Spec { user: "who".into(), ..rig.sh("true") }).map(|ran| ran.exit).unwrap_err();
        assert_eq!(error.to_string(), "unable to find user who: no matching entries in passwd file");
    });
}

#[test]
fn capabilities_are_the_default_ones() {
    each(|runtime| {
        let rig = Rig::new();
        let caps = |user: &str| {
            let spec =
                Spec { user: user.into(), ..rig.sh("grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status | tr -d '\\t'") };
            stdout(runtime, &spec).lines().map(str::to_owned).collect::<Vec<_>>().join(" ")
        };
        let (none, default) = ("0000000000000000", "00000000a80425fb");
        let status = |effective| {
            format!(
                "CapInh:{none} CapPrm:{effective} CapEff:{effective} CapBnd:{default} CapAmb:{none} NoNewPrivs:0 Seccomp:2"
            )
        };
        assert_eq!(caps(""), status(default));
        assert_eq!(caps("build"), status(none));
    });
}

#[test]
fn an_insecure_process_has_everything() {
    each(|runtime| {
        let rig = Rig::new();
        let script =
            "grep -E '^(CapEff|CapAmb|Seccomp:)' /proc/self/status | tr -d '\\t'; mount -t tmpfs none /tmp && echo ok";
        let out = stdout(runtime, &Spec { insecure: true, ..rig.sh(script) });
        let lines: Vec<&str> = out.lines().collect();
        let caps = |line: &str| u64::from_str_radix(line.split(':').nth(1).unwrap(), 16).unwrap();
        assert!(caps(lines[0]).count_ones() > 35 && caps(lines[0]) == caps(lines[1]), "{out}");
        assert_eq!(&lines[2..], ["Seccomp:0", "ok"]);
    });
}

#[test]
fn an_insecure_process_has_devices_without_files_on_the_host() {
    each(|runtime| {
        let script = "cd /dev; stat -c '%n %t:%T' kmsg cuse fuse kvm net/tun loop-control loop0 loop7";
        let rig = Rig::new();
        let out = stdout(runtime, &Spec { insecure: true, ..rig.sh(script) });
        let devices = ["kmsg 1:b", "cuse a:cb", "fuse a:e5", "kvm a:e8", "net/tun a:c8", "loop-control a:ed"];
        assert_eq!(out.lines().collect::<Vec<_>>(), [&devices[..], &["loop0 7:0", "loop7 7:7"]].concat());
    });
}

#[test]
fn an_insecure_process_makes_control_groups() {
    let name = format!("llbc-nested-{}", std::process::id());
    each(|runtime| {
        // Where the old hierarchies are shown, one of them.
        let script = "cd /sys/fs/cgroup; test -e cgroup.procs || cd memory; mkdir own own/below
            echo $$ > own/below/cgroup.procs && grep -o 'own/below$' /proc/self/cgroup";
        let rig = Rig::new();
        let mut spec = rig.sh(script);
        spec.cgroup_parent = name.clone();
        assert_ne!(run(runtime, &spec).unwrap().exit.code, 0, "only an insecure one");
        spec.insecure = true;
        assert_eq!(stdout(runtime, &spec), "own/below\n");
        remove_groups_at_the_top(&name);
    });
}

/// Where the host has old hierarchies, those too, as with BuildKit.
#[test]
fn an_insecure_process_makes_groups_in_every_hierarchy() {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let called = own.lines().filter_map(|line| line.split(':').nth(1));
    let called = called.map(|controllers| controllers.strip_prefix("name=").unwrap_or(controllers));
    let top = Path::new("/sys/fs/cgroup");
    let mut hierarchies: Vec<&str> = called.filter(|name| !name.is_empty() && top.join(name).is_dir()).collect();
    if hierarchies.is_empty() {
        hierarchies.push(".");
    }
    let name = format!("llbc-every-{}", std::process::id());
    each(|runtime| {
        let places = hierarchies.join(" ");
        let script = format!("cd /sys/fs/cgroup; for h in {places}; do mkdir $h/{name} && echo $h; done");
        let made = stdout(runtime, &Spec { insecure: true, ..Rig::new().sh(&script) });
        assert_eq!(made.lines().collect::<Vec<_>>(), hierarchies);
    });
    // Nothing of it stays on the host.
    let left = || {
        let found = std::process::Command::new("find").arg(top).args(["-name", &name]).output().unwrap();
        String::from_utf8(found.stdout).unwrap()
    };
    wait_for("the groups to go", || left().is_empty());
}

#[test]
fn namespaces_are_own_ones() {
    each(|runtime| {
        let rig = Rig::new();
        let namespaces = |spec: &Spec| stdout(runtime, spec);
        let host = |kind: &str| fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display().to_string();
        let spec = rig.sh("for n in pid mnt ipc uts net; do readlink /proc/self/ns/$n; done");
        let ours = namespaces(&spec);
        let ours: Vec<&str> = ours.lines().collect();
        for (kind, own) in ["pid", "mnt", "ipc", "uts"].into_iter().zip(&ours) {
            assert_ne!(*own, host(kind));
        }
        assert_ne!(ours[4], host("net"));
        let sandbox = namespaces(&Spec { network: Network::Sandbox, ..spec.clone() });
        assert_ne!(sandbox.lines().nth(4).unwrap(), host("net"));
        let shared = namespaces(&Spec { network: Network::Host, ..spec });
        assert_eq!(shared.lines().nth(4).unwrap(), host("net"));
        assert_eq!(stdout(runtime, &rig.sh("echo $$; ps | wc -l")).lines().next(), Some("1"));
    });
}

#[test]
fn kernel_file_systems_are_masked_and_protected() {
    each(|runtime| {
        let rig = Rig::new();
        for script in [
            "echo 1 > /proc/sys/kernel/hostname",
            "echo h > /proc/sysrq-trigger",
            "touch /sys/x",
            "echo 1 > /sys/kernel/uevent_seqnum",
            "mount -t tmpfs none /tmp",
            "mount -o remount,rw /proc/sys",
            "unshare -U true",
            "unshare -m true",
            "dmesg",
        ] {
            assert_ne!(run(runtime, &rig.sh(script)).unwrap().exit.code, 0, "{script}");
        }
        for path in ["/proc/kcore", "/proc/keys", "/proc/timer_list"] {
            assert_eq!(
                stdout(runtime, &rig.sh(&format!("test ! -e {path} || cat {path} | wc -c | tr -d ' '")))
                    .trim_end_matches("0\n"),
                "",
                "{path}"
            );
        }
        assert_eq!(stdout(runtime, &rig.sh("test ! -d /sys/firmware || ls -A /sys/firmware")), "");
    });
}

#[test]
fn more_groups_come_after_the_users_own() {
    each(|runtime| {
        let rig = Rig::new();
        let spec = Spec { user: "build".into(), additional_gids: vec![44, 10], ..rig.sh("id -G") };
        assert_eq!(stdout(runtime, &spec), "100 10 44\n");
    });
}
