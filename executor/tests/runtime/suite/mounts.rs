//! What is mounted for a process.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use executor::runtime::{Mount, MountSource};

use super::bind;
use crate::rig::{Rig, each, run, stdout};

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
