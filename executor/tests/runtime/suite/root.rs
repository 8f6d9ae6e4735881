//! The root: what is left in it, and what cannot be reached from it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use executor::runtime::{Mount, MountSource, Root, Spec};
use executor::snapshot;

use super::bind;
use crate::rig::{Rig, each, embedded, is_mounted_below, run, stdout};

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
