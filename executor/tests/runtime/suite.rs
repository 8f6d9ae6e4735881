//! What every runtime must do, over real containers. Each test runs on every implementation there is.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use executor::runtime::{
    Access, Device, DeviceKind, Hook, HostMount, Mount, MountSource, Network, Root, Runtime, Spec,
};
use executor::{Cancel, Error, snapshot};

use crate::rig::{Rig, each, embedded, is_mounted_below, run, run_until, stdout};

fn bind(root: &Path, selector: &str, dest: &str, readonly: bool) -> Mount {
    let source = MountSource::Bind { root: root.into(), selector: selector.into() };
    Mount { dest: dest.into(), source, readonly }
}

#[test]
fn streams_and_exit_codes() {
    each(|runtime| {
        let rig = Rig::new();
        let ran = run(runtime, &rig.sh("echo out; echo err >&2; exit 7")).unwrap();
        assert_eq!((ran.exit.code, ran.stdout.as_str(), ran.stderr.as_str()), (7, "out\n", "err\n"));
        let ran = run(runtime, &rig.sh("kill -TERM $$; sleep 1; exit 3")).unwrap();
        assert_eq!((ran.exit.code, ran.stderr.as_str()), (3, ""), "init ignores it");
        assert_eq!(run(runtime, &rig.sh("sh -c 'kill -9 $$'; exit $?")).unwrap().exit.code, 137);
    });
}

#[test]
fn much_output_comes_whole() {
    each(|runtime| {
        let rig = Rig::new();
        let out = stdout(runtime, &rig.sh("yes 0123456789 | head -c 5000000"));
        assert_eq!(out.len(), 5_000_000);
    });
}

#[test]
fn a_program_that_is_not_there() {
    each(|runtime| {
        let rig = Rig::new();
        fs::write(rig.root().join("bin/text"), "no program").unwrap();
        fs::write(rig.root().join("bin/foreign"), b"\x7fELF\x02\x01\x01 of no machine").unwrap();
        fs::set_permissions(rig.root().join("bin/foreign"), fs::Permissions::from_mode(0o755)).unwrap();
        let ran = run(runtime, &rig.command(&["/bin/foreign"])).unwrap();
        assert!(
            ran.exit.code != 0 && ran.stderr.to_lowercase().contains("exec format error"),
            "{} {}",
            ran.exit.code,
            ran.stderr
        );
        for (args, code, text) in [
            (&["nothing"][..], 127, "executable file not found in $PATH"),
            (&["/bin/nothing"], 127, "no such file or directory"),
            (&["/bin/text"], 126, "permission denied"),
        ] {
            let ran = run(runtime, &rig.command(args)).unwrap();
            assert_eq!(ran.exit.code, code, "{args:?}: {}", ran.stderr);
            assert!(ran.stderr.contains(text), "{args:?}: {}", ran.stderr);
        }
    });
}

#[test]
fn standard_input_is_closed() {
    each(|runtime| {
        let rig = Rig::new();
        assert_eq!(stdout(runtime, &rig.sh("cat; echo end")), "end\n");
    });
}

#[test]
fn the_environment_is_what_the_spec_says_and_home() {
    each(|runtime| {
        let rig = Rig::new();
        let mut spec = rig.command(&["/bin/env"]);
        spec.env = vec!["PATH=/bin".into(), "A=1".into(), "A=2".into()];
        let lines = |out: String| {
            let mut lines: Vec<String> = out.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(lines(stdout(runtime, &spec)), ["A=2", "HOME=/root", "PATH=/bin"]);
        spec.user = "build".into();
        spec.env = vec!["HOME=/mine".into()];
        assert_eq!(lines(stdout(runtime, &spec)), ["HOME=/mine"]);
        spec.env = vec![];
        assert_eq!(lines(stdout(runtime, &spec)), ["HOME=/home/build"]);
    });
}

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
fn without_network_there_is_a_loopback_only() {
    each(|runtime| {
        let rig = Rig::new();
        let script = "ip -o link | wc -l; ip -o addr show lo | grep -c 127.0.0.1; nc -l -p 8000 -e echo hi & sleep 0.3; nc 127.0.0.1 8000";
        let spec = Spec { network: Network::None, ..rig.sh(script) };
        assert_eq!(stdout(runtime, &spec), "1\n1\nhi\n");
    });
}

#[test]
fn a_sandbox_reaches_the_outside_and_nothing_reaches_it() {
    // Not on loopback, which a sandbox must not see: the host's own address is what the outside is.
    let outside = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    outside.connect("192.0.2.250:9").unwrap();
    let address = outside.local_addr().unwrap().ip();
    let listener = std::net::TcpListener::bind((address, 0)).unwrap();
    let hidden = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, hidden) = (listener.local_addr().unwrap().port(), hidden.local_addr().unwrap().port());
    // Interfaces of other processes come and go meanwhile; who comes to the listener says which are this one's.
    let ways_out = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = ways_out.clone();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let std::net::IpAddr::V4(from) = client.peer_addr().unwrap().ip() else { continue };
            seen.lock().unwrap().push(way_out((from.to_bits() - u32::from_be_bytes([10, 212, 0, 0])) / 4));
            let _ = std::io::Write::write_all(&mut &client, b"outside\n");
        }
    });
    each(|runtime| {
        let rig = Rig::new();
        let script = format!(
            "nc -w 5 {address} {port} </dev/null; nc -w 2 127.0.0.1 {hidden} </dev/null 2>/dev/null || echo hidden; \
             ip -o link | wc -l"
        );
        let sandbox = || Spec { network: Network::Sandbox, ..rig.sh(&script) };
        assert_eq!(stdout(runtime, &sandbox()), "outside\nhidden\n2\n");
        assert!(ways_out.lock().unwrap().last().unwrap().exists());
        // Two at once have addresses of their own and do not see each other.
        let server = Spec {
            network: Network::Sandbox,
            ..rig.sh(
                "ip -o -4 addr show eth0 | awk '{print $4}' > /tmp/a; nc -l -p 81 -w 3 </dev/null 2>/dev/null; true",
            )
        };
        std::thread::scope(|scope| {
            scope.spawn(|| stdout(runtime, &server));
            wait_for("the other's address", || {
                fs::read_to_string(rig.root().join("tmp/a")).is_ok_and(|a| !a.is_empty())
            });
            let other = fs::read_to_string(rig.root().join("tmp/a")).unwrap();
            let other = other.trim().split('/').next().unwrap().to_owned();
            let client =
                Spec { network: Network::Sandbox, ..rig.sh(&format!("nc -w 1 {other} 81 </dev/null 2>&1 || echo no")) };
            let said = stdout(runtime, &client);
            assert!(said.ends_with("no\n"), "{said}");
        });
    });
    wait_for("the ways out to go", || !ways_out.lock().unwrap().iter().any(|way| way.exists()));
}

#[test]
fn each_of_several_in_a_row_has_a_network_of_its_own() {
    each(|runtime| {
        let rig = Rig::new();
        let addresses: BTreeSet<_> = (0..4).map(|_| address(runtime, &rig)).collect();
        assert_eq!(addresses.len(), 4, "{addresses:?}");
        assert!(addresses.iter().all(|address| address.ends_with("/16\n1\n0\n")), "{addresses:?}");
    });
}

/// What a process says of its network: its address, how many ways out there are, and how many addresses of IPv6 but the
/// loopback's.
fn address(runtime: &dyn Runtime, rig: &Rig) -> String {
    let look = "ip -o -4 addr show eth0 | awk '{print $4}'; ip route | grep -c default; \
                cat /proc/net/if_inet6 2>/dev/null | grep -v lo$ | wc -l";
    stdout(runtime, &Spec { network: Network::Sandbox, ..rig.sh(look) })
}

#[test]
fn processes_that_were_expected_are_like_others() {
    each(|runtime| {
        let rig = Rig::new();
        [false, true, true].into_iter().for_each(|sandbox| runtime.expect(sandbox));
        let addresses: BTreeSet<_> = (0..3).map(|_| address(runtime, &rig)).collect();
        assert_eq!(addresses.len(), 3, "{addresses:?}");
        assert!(addresses.iter().all(|address| address.ends_with("/16\n1\n0\n")), "{addresses:?}");
    });
    // Nobody comes.
    each(|runtime| runtime.expect(true));
}

/// The host's end of a way out of sandboxes, by its number.
fn way_out(number: u32) -> PathBuf {
    PathBuf::from(format!("/sys/class/net/llbc{number}"))
}

/// How long a process sleeps that a test looks for, so that no other test's is taken for it.
fn nap(pid: u32) -> String {
    (10_000_000 + pid).to_string()
}

#[test]
fn names_and_hosts() {
    each(|runtime| {
        let rig = Rig::new();
        assert_eq!(stdout(runtime, &rig.sh("hostname")), "buildkitsandbox\n");
        let mut spec = rig.sh("hostname; cat /etc/hosts; touch /etc/hosts 2>/dev/null || echo ro");
        spec.hostname = "box".into();
        spec.extra_hosts = vec![("db".into(), "10.1.2.3".into())];
        let want = "box\n127.0.0.1\tlocalhost box\n::1\tlocalhost ip6-localhost ip6-loopback\n10.1.2.3\tdb\nro\n";
        assert_eq!(stdout(runtime, &spec), want);
        assert!(stdout(runtime, &rig.sh("cat /etc/resolv.conf")).starts_with("nameserver "));
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

#[test]
fn more_groups_come_after_the_users_own() {
    each(|runtime| {
        let rig = Rig::new();
        let spec = Spec { user: "build".into(), additional_gids: vec![44, 10], ..rig.sh("id -G") };
        assert_eq!(stdout(runtime, &spec), "100 10 44\n");
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

#[test]
fn the_working_directory_is_made() {
    each(|runtime| {
        let rig = Rig::new();
        let spec = Spec { cwd: "/w/x".into(), user: "build".into(), ..rig.sh("pwd; touch here") };
        assert_eq!(stdout(runtime, &spec), "/w/x\n");
        let made = fs::metadata(rig.root().join("w/x")).unwrap();
        assert_eq!((made.uid(), made.gid(), made.mode() & 0o7777), (1000, 100, 0o755));
        assert!(rig.root().join("w/x/here").exists());
    });
}

#[test]
fn what_is_made_for_a_step_has_the_group_of_a_set_group_id_directory() {
    each(|runtime| {
        let rig = Rig::new();
        let shared = rig.root().join("shared");
        fs::create_dir(&shared).unwrap();
        std::os::unix::fs::chown(&shared, None, Some(77)).unwrap();
        fs::set_permissions(&shared, PermissionsExt::from_mode(0o2775)).unwrap();
        let spec = Spec {
            cwd: "/shared/w/x".into(),
            mounts: vec![Mount { dest: "/shared/m/n".into(), source: MountSource::Tmpfs { size: 0 }, readonly: false }],
            ..rig.sh("touch /shared/m/file")
        };
        stdout(runtime, &spec);
        for (path, want) in [("m", (0o2755, 77)), ("m/file", (0o644, 77)), ("w", (0o2755, 0)), ("w/x", (0o2755, 0))] {
            let made = fs::metadata(shared.join(path)).unwrap();
            assert_eq!((made.mode() & 0o7777, made.gid()), want, "{path}");
        }
    });
}

#[test]
fn binds_are_read_only_or_not_and_select() {
    each(|runtime| {
        let rig = Rig::new();
        let outside = rig.outside("data");
        fs::create_dir(outside.join("sub")).unwrap();
        fs::write(outside.join("sub/file"), "text").unwrap();
        let script = "cat /ro/file /file; touch /ro/x 2>/dev/null || echo ro; touch /rw/y; ls /rw";
        let mut spec = rig.sh(script);
        spec.mounts = vec![
            bind(&outside, "sub/file", "/file", true),
            bind(&outside, "/sub", "/ro", true),
            bind(&outside, "sub", "/rw", false),
        ];
        assert_eq!(stdout(runtime, &spec), "texttextro\nfile\ny\n");
        spec.mounts = vec![bind(&outside, "missing", "/x", true)];
        let error = run(runtime, &spec).map(|ran| ran.exit).unwrap_err();
        assert_eq!(error.to_string(), "missing: no such file or directory");
    });
}

#[test]
fn mounts_may_lie_in_mounts() {
    each(|runtime| {
        let rig = Rig::new();
        let (outer, inner) = (rig.outside("outer"), rig.outside("inner"));
        fs::write(inner.join("f"), "inner").unwrap();
        let mut spec = rig.sh("cat /a/b/f; touch /a/g");
        spec.mounts = vec![bind(&outer, "", "/a", false), bind(&inner, "", "/a/b", true)];
        assert_eq!(stdout(runtime, &spec), "inner");
        assert!(outer.join("g").exists() && !rig.root().join("a/b").exists());
    });
}

#[test]
fn programs_are_found_in_mounts_and_from_the_working_directory() {
    each(|runtime| {
        let rig = Rig::new();
        let tools = tempfile::tempdir().unwrap();
        fs::copy(rig.root().join("bin/busybox"), tools.path().join("busybox")).unwrap();
        let mut spec = rig.command(&["/tools/busybox", "echo", "here"]);
        spec.mounts = vec![bind(tools.path(), "/", "/tools", true)];
        assert_eq!(stdout(runtime, &spec), "here\n");
        let mut spec = rig.command(&["./sh", "-c", "echo there"]);
        spec.cwd = "/bin".into();
        assert_eq!(stdout(runtime, &spec), "there\n");
    });
}

#[test]
fn tmpfs_has_a_size() {
    each(|runtime| {
        let rig = Rig::new();
        let mut spec = rig.sh("stat -c %a /t; dd if=/dev/zero of=/t/x bs=1024 count=2048 2>/dev/null || echo full");
        spec.mounts = vec![Mount { dest: "/t".into(), source: MountSource::Tmpfs { size: 1 << 20 }, readonly: false }];
        assert_eq!(stdout(runtime, &spec), "1777\nfull\n");
        assert!(!rig.root().join("t").exists());
    });
}

#[test]
fn tmpfs_has_the_permissions_of_the_directory_below_it() {
    each(|runtime| {
        let rig = Rig::new();
        fs::set_permissions(rig.root().join("old"), fs::Permissions::from_mode(0o2750)).unwrap();
        let mut spec = rig.sh("stat -c '%a %u:%g' /old /new");
        let tmpfs = |dest: &str| Mount { dest: dest.into(), source: MountSource::Tmpfs { size: 0 }, readonly: true };
        spec.mounts = vec![tmpfs("/new"), tmpfs("/old")];
        assert_eq!(stdout(runtime, &spec), "2750 0:0\n1777 0:0\n");
    });
}

#[test]
fn a_mount_takes_the_place_of_shared_memory() {
    each(|runtime| {
        let rig = Rig::new();
        assert_eq!(stdout(runtime, &rig.sh("grep -o '^.* /dev/shm ' /proc/mounts")), "shm /dev/shm \n");
        let script =
            "grep -c ' /dev/shm ' /proc/self/mountinfo; df -k /dev/shm | awk 'NR > 1 {print $2}'; stat -c %a /dev/shm";
        let mut spec = rig.sh(script);
        let source = MountSource::Tmpfs { size: 1 << 20 };
        spec.mounts = vec![Mount { dest: "/dev/shm".into(), source, readonly: false }];
        assert_eq!(stdout(runtime, &spec), "1\n1024\n1777\n");
    });
}

#[test]
fn a_mount_takes_the_place_of_files_about_names() {
    each(|runtime| {
        let rig = Rig::new();
        let mut spec = rig.sh("stat -c %F /etc/hosts; grep -c ' /etc/hosts ' /proc/self/mountinfo");
        spec.mounts = vec![bind(&rig.outside("data"), "", "/etc/hosts", true)];
        assert_eq!(stdout(runtime, &spec), "directory\n1\n");
        assert!(!rig.root().join("etc/hosts").exists());
    });
}

#[test]
fn secrets_are_memory_with_an_owner_and_leave_nothing() {
    each(|runtime| {
        let rig = Rig::new();
        let secret = |mode, dest: &str| {
            let source = MountSource::Secret { data: b"hush".to_vec(), uid: 1000, gid: 100, mode };
            Mount { dest: dest.into(), source, readonly: true }
        };
        let mut spec = rig.sh("cat /run/secrets/s; stat -c ' %u:%g %a' /run/secrets/s; echo x 2>/dev/null > /run/secrets/s || echo ro; cat /proc/mounts");
        spec.user = "build".into();
        spec.mounts = vec![secret(0o400, "/run/secrets/s"), secret(0o500, "/run/secrets/x")];
        spec.remove_mount_stubs_recursive = true;
        let out = stdout(runtime, &spec);
        let (head, mounts) = out.split_at("hush 1000:100 400\nro\n".len());
        assert_eq!(head, "hush 1000:100 400\nro\n");
        let options = |dest: &str| mounts.lines().find(|line| line.contains(dest)).unwrap().to_owned();
        let plain = options("/run/secrets/s ");
        assert!(["tmpfs", "ro,", "nosuid", "nodev", "noexec"].iter().all(|word| plain.contains(word)), "{plain}");
        assert!(!options("/run/secrets/x ").contains("noexec"));
        assert!(!rig.root().join("run").exists());
    });
}

#[test]
fn an_agent_lists_and_signs_and_nothing_else() {
    each(|runtime| {
        let rig = Rig::new();
        let path = rig.outside("agent").join("socket");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        // Lists no keys; whatever else reaches it, it grants.
        let server = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut client, _) = listener.accept().unwrap();
            let mut seen = Vec::new();
            let mut request = [0; 5];
            while client.read_exact(&mut request).is_ok() {
                seen.push(request[4]);
                let answer: &[u8] = if request[4] == 11 { &[0, 0, 0, 5, 12, 0, 0, 0, 0] } else { &[0, 0, 0, 1, 6] };
                client.write_all(answer).unwrap();
            }
            seen
        });
        // busybox cannot talk to a socket; the perl of the host can. Asked: list, sign, remove all, lock, extension, list.
        let talk = "use IO::Socket::UNIX; $s = IO::Socket::UNIX->new('/run/agent') or die $!; \
            for (11, 13, 19, 22, 27, 11) { syswrite $s, pack('NC', 1, $_); sysread $s, $l, 4; \
            sysread $s, $a, unpack('N', $l); print ord($a), ' '; }";
        let mut spec = rig.sh(&format!("stat -c '%F %u:%g %a' /run/agent; perl -e \"{}\"", talk.replace('$', "\\$")));
        spec.env = vec!["PATH=/bin:/usr/bin".into()];
        let source = MountSource::Socket { path, raw: false, uid: 1000, gid: 100, mode: 0o600 };
        spec.mounts = vec![
            Mount { dest: "/run/agent".into(), source, readonly: false },
            bind(Path::new("/usr"), "", "/usr", true),
        ];
        for link in ["lib", "lib64"] {
            std::os::unix::fs::symlink(format!("usr/{link}"), rig.root().join(link)).unwrap();
        }
        spec.user = "build".into();
        let ran = run(runtime, &spec).unwrap();
        assert_eq!(ran.stdout, "socket 1000:100 600\n12 6 5 5 5 12 ", "{}", ran.stderr);
        assert_eq!(server.join().unwrap(), [11, 13, 11], "what reached the agent");
    });
}

#[test]
fn everything_passes_through_a_raw_socket() {
    each(|runtime| {
        let rig = Rig::new();
        let path = rig.outside("server").join("socket");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        // Answers when the client has said everything, with all of it.
        let server = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut client, _) = listener.accept().unwrap();
            let mut said = Vec::new();
            client.read_to_end(&mut said).unwrap();
            client.write_all(&said).unwrap();
        });
        let talk = "use IO::Socket::UNIX; $s = IO::Socket::UNIX->new('/run/socket') or die $!; \
            print $s 'GET ' x 50000; $s->flush; $s->shutdown(1); local $/; print length(<$s>);";
        let mut spec = rig.sh(&format!("perl -e \"{}\"", talk.replace('$', "\\$")));
        spec.env = vec!["PATH=/bin:/usr/bin".into()];
        let source = MountSource::Socket { path, raw: true, uid: 0, gid: 0, mode: 0o600 };
        spec.mounts = vec![
            Mount { dest: "/run/socket".into(), source, readonly: false },
            bind(Path::new("/usr"), "", "/usr", true),
        ];
        for link in ["lib", "lib64"] {
            std::os::unix::fs::symlink(format!("usr/{link}"), rig.root().join(link)).unwrap();
        }
        let ran = run(runtime, &spec).unwrap();
        assert_eq!(ran.stdout, "200000", "{}", ran.stderr);
        server.join().unwrap();
    });
}

#[test]
fn an_overlay_root_keeps_changes_in_its_upper_directory() {
    each(|runtime| {
        let rig = Rig::new();
        let [upper, work, below] = ["upper", "work", "below"].map(|name| rig.outside(name));
        fs::write(below.join("lowest"), "x").unwrap();
        let overlay = snapshot::Overlay { lower: vec![below, rig.root()], upper: upper.clone(), work };
        let spec = Spec { root: Root::Overlay(overlay), ..rig.sh("cat /lowest; echo y > /new; rm /etc/group") };
        assert_eq!(stdout(runtime, &spec), "x");
        assert_eq!(fs::read_to_string(upper.join("new")).unwrap(), "y\n");
        let whiteout = fs::symlink_metadata(upper.join("etc/group")).unwrap();
        assert_eq!((whiteout.mode() & libc::S_IFMT, whiteout.rdev()), (libc::S_IFCHR, 0));
        assert!(!is_mounted_below(&rig.root()));
    });
}

#[test]
fn layers_are_stacked_for_a_mount() {
    each(|runtime| {
        let rig = Rig::new();
        let (low, high) = (rig.outside("low"), rig.outside("high"));
        fs::create_dir(low.join("d")).unwrap();
        fs::create_dir(high.join("d")).unwrap();
        fs::write(low.join("d/a"), "low").unwrap();
        fs::write(high.join("d/b"), "high").unwrap();
        let mut spec = rig.sh("cat /m/a /m/b; touch /m/c 2>/dev/null || echo ro");
        let source = MountSource::Layers { lower: vec![low, high], selector: "/d".into() };
        spec.mounts = vec![Mount { dest: "/m".into(), source, readonly: true }];
        assert_eq!(stdout(runtime, &spec), "lowhighro\n");
    });
}

#[test]
fn a_read_only_root_cannot_be_written() {
    each(|runtime| {
        let rig = Rig::new();
        let script = "touch /x 2>/dev/null || echo ro; touch /dev/shm/x /t/x && echo rw";
        let mut spec = Spec { readonly_root: true, ..rig.sh(script) };
        spec.mounts = vec![Mount { dest: "/t".into(), source: MountSource::Tmpfs { size: 0 }, readonly: false }];
        assert_eq!(stdout(runtime, &spec), "ro\nrw\n");
    });
}

#[test]
fn mount_points_leave_no_trace() {
    each(|runtime| {
        let rig = Rig::new();
        let old = fs::File::open(rig.root().join("old")).unwrap();
        old.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1000)).unwrap();
        let mut spec = rig.sh("true");
        let tmpfs = |dest: &str| Mount { dest: dest.into(), source: MountSource::Tmpfs { size: 0 }, readonly: false };
        spec.mounts = vec![tmpfs("/old/point"), tmpfs("/new/deep/point")];
        spec.remove_mount_stubs_recursive = true;
        stdout(runtime, &spec);
        let left: Vec<_> = fs::read_dir(rig.root()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(!left.iter().any(|name| name == "new"), "{left:?}");
        assert_eq!(fs::read_dir(rig.root().join("old")).unwrap().count(), 0);
        assert!(!rig.root().join("etc/hosts").exists() && !rig.root().join("etc/resolv.conf").exists());
    });
}

#[test]
fn files_about_names_leave_no_trace_below_a_mount() {
    each(|runtime| {
        let rig = Rig::new();
        let before = rig.root().join("etc").read_dir().unwrap().count();
        let mut spec = rig.sh("ls /etc");
        spec.mounts = vec![bind(&rig.outside("data"), "", "/etc", false)];
        assert_eq!(stdout(runtime, &spec), "");
        assert_eq!(rig.root().join("etc").read_dir().unwrap().count(), before);
    });
}

/// crun makes no mount point that a link leads to.
#[test]
fn mount_points_that_links_in_mounts_lead_to_leave_no_trace() {
    let (rig, data) = (Rig::new(), tempfile::tempdir().unwrap());
    for dir in [data.path(), &rig.root().join("old")] {
        std::os::unix::fs::symlink("/gone/away", dir.join("link")).unwrap();
    }
    let inner = rig.outside("inner");
    fs::write(inner.join("file"), "text").unwrap();
    let mut spec = rig.sh("cat /gone/away/file");
    spec.mounts = vec![bind(data.path(), "", "/old", false), bind(&inner, "", "/old/link", true)];
    spec.remove_mount_stubs_recursive = true;
    assert_eq!(stdout(&embedded(), &spec), "text");
    assert!(!rig.root().join("gone").exists());
}

#[test]
fn mount_points_leave_no_trace_in_a_root_that_is_read_only() {
    each(|runtime| {
        let rig = Rig::new();
        let point = Mount { dest: "/new/point".into(), source: MountSource::Tmpfs { size: 0 }, readonly: false };
        let clean = Spec {
            readonly_root: true,
            remove_mount_stubs_recursive: true,
            mounts: vec![point],
            ..rig.sh("touch /x 2>/dev/null || echo ro")
        };
        assert_eq!(stdout(runtime, &clean), "ro\n");
        assert!(!rig.root().join("new").exists() && !rig.root().join("etc/hosts").exists());
        let (upper, work) = (rig.outside("upper"), rig.outside("work"));
        let overlay = snapshot::Overlay { lower: vec![rig.root()], upper: upper.clone(), work };
        assert_eq!(stdout(runtime, &Spec { root: Root::Overlay(overlay), ..clean }), "ro\n");
        let left = |dir: &Path| fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
        assert!(!left(&upper).iter().any(|name| name == "new"), "{:?}", left(&upper));
        assert_eq!(left(&upper.join("etc")).len(), 0);
    });
}

#[test]
fn limits_of_the_process() {
    each(|runtime| {
        let rig = Rig::new();
        let ulimits = vec![("nofile".into(), 100, 200), ("core".into(), 0, -1), ("stack".into(), 65536, 131_072)];
        let spec = Spec { ulimits, ..rig.sh("ulimit -n; ulimit -Hn; ulimit -c; ulimit -s; ulimit -Hs") };
        assert_eq!(stdout(runtime, &spec), "100\n200\n0\n64\n128\n");
    });
}

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
            .args(["--exact", "suite::an_executor_that_is_killed_leaves_nothing"])
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

/// Removes the groups of this name at the top of the hierarchies, once those of containers in them are gone: nobody waits for
/// that. It fails where something is left.
fn remove_groups_at_the_top(name: &str) {
    let top = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(top).unwrap().map(|entry| entry.unwrap().path()).chain([top.to_owned()]);
    let groups: Vec<_> = hierarchies.map(|hierarchy| hierarchy.join(name)).collect();
    let is_gone = |group: &PathBuf| !group.is_dir() || fs::remove_dir(group).is_ok();
    wait_for("the groups in it to go", || groups.iter().all(is_gone));
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

fn wait_for(what: &str, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(20), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
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

#[test]
fn targets_cannot_lead_out_of_the_container() {
    each(|runtime| {
        let rig = Rig::new();
        let outside = rig.outside("outside");
        let victim = rig.outside("victim");
        fs::write(outside.join("f"), "data").unwrap();
        let up = "../".repeat(20);
        std::os::unix::fs::symlink(&victim, rig.root().join("absolute")).unwrap();
        std::os::unix::fs::symlink(
            format!("{up}{}", victim.strip_prefix("/").unwrap().display()),
            rig.root().join("relative"),
        )
        .unwrap();
        let mut spec = rig.sh("cat /absolute/f /relative/f");
        spec.mounts = vec![bind(&outside, "", "/absolute", true), bind(&outside, "", "/relative", true)];
        if let Ok(ran) = run(runtime, &spec) {
            assert_eq!(ran.stdout, "datadata", "{}", ran.stderr);
        }
        assert_eq!(fs::read_dir(&victim).unwrap().count(), 0);
        assert!(!is_mounted_below(&victim));
    });
}

#[test]
fn nothing_of_the_host_lies_on_the_root() {
    each(|runtime| {
        let rig = Rig::new();
        let tree = rig.outside("tree");
        fs::create_dir(tree.join("part")).unwrap();
        let layers = |dest: &str| {
            let lower = vec![rig.root(), tree.clone()];
            Mount { dest: dest.into(), source: MountSource::Layers { lower, selector: "part".into() }, readonly: true }
        };
        let script = "ls -a /.. | tr '\\n' ' '; awk '$5 == \"/\"' /proc/self/mountinfo | wc -l; test -e /../proc/1/root/usr; echo $?";
        let mut spec = rig.sh(script);
        spec.mounts = vec![layers("/a"), layers("/b")];
        assert_eq!(stdout(runtime, &spec), ". .. a b bin dev etc old proc sys tmp 1\n1\n");
    });
}

#[test]
fn selectors_cannot_lead_out_of_their_tree() {
    each(|runtime| {
        let rig = Rig::new();
        let tree = rig.outside("tree");
        std::os::unix::fs::symlink("/etc", tree.join("escape")).unwrap();
        let mut spec = rig.sh("true");
        spec.mounts = vec![bind(&tree, "escape/shadow", "/x", true)];
        assert!(run(runtime, &spec).is_err());
        spec.mounts = vec![bind(&tree, "../../../etc", "/x", true)];
        assert!(run(runtime, &spec).is_err());
    });
}

#[test]
fn the_program_cannot_reach_the_hosts_binary() {
    each(|runtime| {
        let rig = Rig::new();
        let script = "#!/proc/self/exe\n";
        let path = rig.root().join("bin/trap");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        // Whatever starts must not be able to open its own program for writing; mostly nothing starts at all.
        let before = fs::metadata(env!("CARGO_BIN_EXE_executor")).unwrap().mtime();
        let _ = run(runtime, &rig.command(&["/bin/trap"]));
        let _ = run(runtime, &rig.command(&["/proc/self/exe", "--version"]));
        assert_eq!(fs::metadata(env!("CARGO_BIN_EXE_executor")).unwrap().mtime(), before);
    });
}

#[test]
fn no_descriptor_leaks_in() {
    each(|runtime| {
        let rig = Rig::new();
        let _held = fs::File::open("/etc/passwd").unwrap();
        assert_eq!(stdout(runtime, &rig.sh("ls /proc/self/fd | wc -l")), "4\n", "three streams and the directory");
        let ran = run(runtime, &Spec { cwd: "/proc/self/fd/7".into(), ..rig.sh("cat ../../etc/shadow") });
        assert!(!ran.is_ok_and(|ran| ran.exit.code == 0));
    });
}

#[test]
fn old_times_come_back() {
    let rig = Rig::new();
    let old = fs::File::open(rig.root().join("old")).unwrap();
    old.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1000)).unwrap();
    let mut spec = rig.sh("true");
    spec.mounts = vec![Mount { dest: "/old/point".into(), source: MountSource::Tmpfs { size: 0 }, readonly: false }];
    stdout(&crate::rig::embedded(), &spec);
    assert_eq!(fs::metadata(rig.root().join("old")).unwrap().mtime(), 1000);
}

#[test]
fn memory_that_runs_out_is_named() {
    let rig = Rig::new();
    let mut spec = rig.sh("head -c 200000000 /dev/zero | tail -c 199999999 > /dev/null; exit $?");
    spec.args = vec!["/bin/sh".into(), "-c".into(), "exec dd if=/dev/zero of=/dev/null bs=300M count=1".into()];
    spec.resources.memory = 32 << 20;
    spec.resources.memory_swap = 32 << 20;
    let ran = run(&crate::rig::embedded(), &spec).unwrap();
    assert_eq!((ran.exit.code, ran.exit.out_of_memory), (137, true), "{}", ran.stderr);
}

#[test]
fn a_limit_that_the_kernel_refuses_is_an_error() {
    let refused = |limit: &dyn Fn(&mut llb::LinuxResources)| {
        let rig = Rig::new();
        let mut spec = rig.sh("true");
        limit(&mut spec.resources);
        each(|runtime| assert!(!run(runtime, &spec).is_ok_and(|ran| ran.exit.code == 0)));
        run(&embedded(), &spec).map(|ran| ran.exit).unwrap_err().to_string()
    };
    let error = refused(&|limits| limits.cpuset_cpus = "9999".into());
    assert!(error.starts_with("the kernel refuses the limit cpuset.cpus=9999: "), "{error}");
    let error = refused(&|limits| (limits.memory, limits.memory_swap) = (64 << 20, 32 << 20));
    assert_eq!(error, "memory with swap is limited to 33554432 bytes, memory alone to 67108864: that cannot be kept");
    let error = refused(&|limits| limits.memory_swap = 32 << 20);
    assert_eq!(error, "a limit of memory with swap (memswap) needs one of memory alone (memory)");
    let error = refused(&|limits| limits.cpuset_mems = "1000".into());
    assert!(error.starts_with("the kernel refuses the limit cpuset.mems=1000: "), "{error}");
    let error = refused(&|limits| (limits.cpu_period, limits.cpu_quota) = (1, 1));
    assert!(error.starts_with("the kernel refuses the limit cpu."), "{error}");
}

#[test]
fn what_is_no_process_is_refused() {
    each(|runtime| {
        let refused = |spec: &Spec| run(runtime, spec).map(|ran| ran.exit).unwrap_err().to_string();
        let rig = Rig::new();
        let spec = rig.sh("true");
        let error = refused(&Spec { args: Vec::new(), ..spec.clone() });
        assert_eq!(error, "no command to run: the process has no arguments");
        let error = refused(&Spec { env: vec!["A=b".into(), "=c".into()], ..spec.clone() });
        assert_eq!(error, "environment variable \"=c\" has no name");
        let error = refused(&Spec { cwd: "tmp".into(), ..spec });
        assert_eq!(error, "working directory tmp is not absolute: it has to start with /");
    });
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
