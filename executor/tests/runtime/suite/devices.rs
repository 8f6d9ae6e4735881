//! Devices, mounts and hooks of the host, as descriptions of devices ask for them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use executor::runtime::{Access, Device, DeviceKind, Hook, HostMount, Mount, MountSource, Spec};
use executor::{Cancel, Error};

use crate::rig::{Rig, each, embedded, is_mounted_below, run, run_until, stdout};

#[test]
fn devices_are_few_and_disks_are_closed() {
    each(|runtime| {
        let rig = Rig::new();
        let devices = stdout(runtime, &rig.sh("cd /dev; echo *"));
        for name in ["fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "tty", "urandom", "zero"] {
            assert!(devices.split_whitespace().any(|device| device == name), "{name}: {devices}");
        }
        assert!(!devices.contains("vda") && !devices.contains("kvm"), "{devices}");
        assert_eq!(
            stdout(
                runtime,
                &rig.sh("head -c 3 /dev/zero | wc -c; echo x > /dev/null; mknod /tmp/n c 1 3; echo x > /tmp/n")
            ),
            "3\n"
        );
        let disk = fs::metadata("/dev/vda").or_else(|_| fs::metadata("/dev/sda"));
        let (major, minor) = disk.map(|disk| (disk.rdev() >> 8 & 0xfff, disk.rdev() & 0xff)).unwrap_or((8, 0));
        let ran = run(runtime, &rig.sh(&format!("mknod /tmp/d b {major} {minor} && head -c 1 /tmp/d"))).unwrap();
        assert_ne!(ran.exit.code, 0);
        assert!(ran.stderr.contains("Operation not permitted"), "{}", ran.stderr);
    });
}

fn device(path: &str, minor: u32, access: Access) -> Device {
    Device {
        path: path.into(),
        host: "/dev/zero".into(),
        kind: DeviceKind::Character,
        major: 1,
        minor,
        mode: 0o660,
        uid: None,
        gid: None,
        access,
    }
}

#[test]
fn devices_of_the_host_are_files_of_the_container_and_not_of_the_tree() {
    each(|runtime| {
        let rig = Rig::new();
        let read = Access { write: false, ..Access::ALL };
        let mut spec = rig
            .sh("stat -c '%n %a %u %g %t:%T' /dev/mine /dev/new/full /opt/kmsg; head -c 2 /dev/mine | wc -c; \
             echo x 2>/dev/null > /dev/new/full || echo full");
        spec.user = "build".into();
        let full = Device { uid: Some(7), gid: Some(100), mode: 0o420, ..device("/dev/new/full", 7, Access::ALL) };
        spec.devices = vec![device("/dev/mine", 5, Access::ALL), full, device("/opt/kmsg", 11, Access::ALL)];
        let want = "/dev/mine 660 1000 100 1:5\n/dev/new/full 420 7 100 1:7\n/opt/kmsg 660 1000 100 1:b\n2\nfull\n";
        assert_eq!(stdout(runtime, &spec), want);
        assert!(!rig.root().join("opt/kmsg").exists() && !rig.root().join("dev/mine").exists());

        // A device that no kernel has: whoever may open it hears that, whoever may not hears that.
        let may = |devices: Vec<Device>, how: &str| {
            let mut spec = rig.sh(&format!("mknod /tmp/k c 1 200; ( : {how} /tmp/k ) 2>&1; rm /tmp/k"));
            spec.devices = devices;
            let said = stdout(runtime, &spec);
            assert_ne!(said.contains("not permitted"), said.contains("No such device"), "{said}");
            said.contains("No such device")
        };
        assert!(!may(vec![], "<") && !may(vec![device("/dev/none", 5, Access::ALL)], "<"));
        assert!(may(vec![device("/dev/none", 200, read)], "<"), "it may read");
        assert!(!may(vec![device("/dev/none", 200, read)], ">>"), "it may read only");
        assert!(may(vec![device("/dev/mine", 5, read), device("/dev/none", 200, Access::ALL)], ">>"));
    });
}

#[test]
fn mounts_of_the_host_have_their_options() {
    each(|runtime| {
        let rig = Rig::new();
        let (ours, below) = (rig.outside("ours"), rig.outside("ours/below"));
        fs::write(ours.join("file"), "text\n").unwrap();
        std::os::unix::fs::symlink("/", rig.root().join("away")).unwrap();
        let mount = |dest: &str, path: PathBuf, options: &[&str]| {
            let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
            let host = HostMount::new(path, &options).unwrap();
            Mount { dest: dest.into(), readonly: host.is_readonly(), source: MountSource::Host(host) }
        };
        let mut spec = rig.sh("cat /a/file /away/b/one; ( : > /a/new ) 2>&1; : > /c/new; \
             grep -E ' (/a|/b/one|/c) ' /proc/self/mountinfo | awk '{print $5, $6, ($7 == \"-\")}' | sort");
        spec.mounts = vec![
            mount("/a", ours.clone(), &["ro", "nosuid", "nodev", "noexec", "noatime", "rbind", "rprivate"]),
            mount("/away/b/one", ours.join("file"), &["ro", "bind"]),
            mount("/c", below.clone(), &[]),
        ];
        let said = stdout(runtime, &spec);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[..2], ["text", "text"], "{said}");
        assert!(lines[2].contains("Read-only file system"), "{said}");
        assert!(lines[3].starts_with("/a ro,nosuid,nodev,noexec,noatime") && lines[3].ends_with(" 1"), "{said}");
        assert!(lines[4].starts_with("/b/one ro,") && lines[5].starts_with("/c rw,"), "{said}");
        assert!(below.join("new").exists() && !ours.join("new").exists());
        spec.mounts = vec![mount("/a", ours.join("none"), &[])];
        let error = run(runtime, &spec).map(|ran| ran.exit).unwrap_err().to_string();
        assert!(error.contains("none: no such file or directory"), "{error}");
    });
}

fn hook(point: &str, script: &str) -> Hook {
    let args = ["sh", "-c", script].map(str::to_owned).to_vec();
    Hook { point: point.into(), path: "/bin/sh".into(), args, env: vec!["X=1".into()], timeout: Some(10) }
}

#[test]
fn hooks_run_at_their_points() {
    each(|runtime| {
        let rig = Rig::new();
        let log = rig.outside("hooks").join("log");
        // They look for the root in the bundle.
        let script = |point: &str| {
            let log = log.display();
            format!(
                r#"bundle=$(sed 's/.*"bundle": *"\([^"]*\)".*/\1/')
                case {point} in create*) grep -q rootfs $bundle/config.json && : > $bundle/rootfs/{point} || exit 4;; esac
                echo {point} $X >> {log}"#
            )
        };
        let points = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"];
        let mut hooks: Vec<Hook> = points.iter().map(|point| hook(point, &script(point))).collect();
        hooks.push(hook("startContainer", "(id -u; grep CapEff /proc/self/status | tr -d '\\t') > /tmp/started"));
        fs::set_permissions(rig.root().join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        // crun waits for the poststart hook in vain where the step ends beside it: it has one signal for both.
        let script = "echo step; cat /tmp/started; ls /create*; sleep 0.5";
        let spec = Spec { user: "build".into(), hooks, ..rig.sh(script) };
        let want = "step\n1000\nCapEff:0000000000000000\n/createContainer\n/createRuntime\n";
        assert_eq!(stdout(runtime, &spec), want);
        let said = fs::read_to_string(&log).unwrap();
        let want: Vec<String> = points.iter().map(|point| format!("{point} 1")).collect();
        assert_eq!(said.lines().collect::<Vec<_>>(), want);
        assert!(!is_mounted_below(&std::env::temp_dir().join("llbc-")), "a bundle is mounted");
    });
}

#[test]
fn a_hook_that_fails_ends_the_step_before_it_begins() {
    each(|runtime| {
        let rig = Rig::new();
        for point in ["createRuntime", "createContainer", "startContainer"] {
            let hooks = vec![hook(point, "echo no luck >&2; exit 3")];
            let spec = Spec { hooks, ..rig.sh("echo step; : > /ran") };
            // Other runtimes say it as programs do.
            assert!(run(runtime, &spec).map_or(true, |ran| ran.exit.code != 0 && ran.stdout.is_empty()), "{point}");
            assert!(!rig.root().join("ran").exists(), "{point}");
        }
    });
    let rig = Rig::new();
    let error = |hook: Hook| {
        let spec = Spec { hooks: vec![hook], ..rig.sh("true") };
        run(&embedded(), &spec).map(|ran| ran.exit).unwrap_err().to_string()
    };
    let said = error(hook("createRuntime", "echo no luck >&2; exit 3"));
    assert_eq!(said, "the createRuntime hook /bin/sh of a device failed: exit status: 3: no luck");
    let said = error(Hook { timeout: Some(1), ..hook("createContainer", "sleep 100") });
    assert_eq!(said, "the createContainer hook /bin/sh of a device failed: it takes longer than 1 s");
    let said = error(Hook { path: "/none".into(), ..hook("prestart", "") });
    assert!(said.contains("the prestart hook /none of a device failed: No such file"), "{said}");
    let said = error(Hook { path: "sh".into(), ..hook("prestart", "") });
    assert!(said.contains("its path is not absolute"), "{said}");
    for point in ["createRuntime", "createContainer"] {
        let cancel = Cancel::default();
        let begun = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(500));
                cancel.cancel();
            });
            let spec = Spec { hooks: vec![hook(point, "sleep 100")], ..rig.sh("true") };
            let ended = run_until(&embedded(), &spec, &cancel).map(|ran| ran.exit);
            assert!(matches!(ended, Err(Error::Cancelled)), "{point}: {ended:?}");
        });
        assert!(begun.elapsed() < Duration::from_secs(8), "{point}: {:?}", begun.elapsed());
    }
    // What comes too late to end it is said.
    let hooks = vec![hook("poststart", "exit 3"), hook("poststop", "exit 4")];
    let ran = run(&embedded(), &Spec { hooks, ..rig.sh("sleep 1; exit 7") }).unwrap();
    assert_eq!(ran.exit.code, 7);
    assert!(ran.stderr.contains("poststart hook /bin/sh of a device failed: exit status: 3"), "{}", ran.stderr);
    assert!(ran.stderr.contains("poststop hook /bin/sh of a device failed: exit status: 4"), "{}", ran.stderr);
}
