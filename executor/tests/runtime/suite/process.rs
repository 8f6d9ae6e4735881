//! Processes: what goes in and comes out, where they run, with which limits.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use executor::runtime::{Mount, MountSource, Spec};

use super::bind;
use crate::rig::{Rig, each, embedded, run, stdout};

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
fn what_the_path_of_the_working_directory_only_passes_is_roots() {
    each(|runtime| {
        let rig = Rig::new();
        let spec = Spec { cwd: "/w/../v".into(), user: "build".into(), ..rig.sh("pwd") };
        assert_eq!(stdout(runtime, &spec), "/v\n");
        let owner = |path: &str| fs::metadata(rig.root().join(path)).unwrap().uid();
        assert_eq!((owner("w"), owner("v")), (0, 1000));
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
fn limits_of_the_process() {
    each(|runtime| {
        let rig = Rig::new();
        let ulimits = vec![("nofile".into(), 100, 200), ("core".into(), 0, -1), ("stack".into(), 65536, 131_072)];
        let spec = Spec { ulimits, ..rig.sh("ulimit -n; ulimit -Hn; ulimit -c; ulimit -s; ulimit -Hs") };
        assert_eq!(stdout(runtime, &spec), "100\n200\n0\n64\n128\n");
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
