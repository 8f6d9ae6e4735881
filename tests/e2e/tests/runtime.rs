//! What a step can see of where it runs: the same steps report it from the executor, with each of its runtimes, from
//! Docker's engine, and from BuildKit where it is at hand. What differs is named here and in `docs/differences.md`.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::collections::BTreeMap;
use std::path::Path;

use e2e::{Buildkit, Docker, Sandbox, base, process};

/// Reports of a build, by name.
type Reports = BTreeMap<String, String>;

const HOST: &str = "db=10.0.0.2";
const PROXY: &str = "HTTP_PROXY=http://proxy:3128";
const RUNTIMES: [&str; 3] = ["", "--oci-runtime=crun", "--oci-runtime=runc"];

/// Traces of builders in their steps; the executor leaves none.
const TRACED: [&str; 3] = ["OTEL_", "TRACEPARENT=", "otel-grpc.sock"];

fn prepare(sandbox: &Sandbox) {
    for name in ["Dockerfile", "report.sh"] {
        sandbox.write(name, &std::fs::read_to_string(e2e::workspace().join("tests/e2e/runtime").join(name)).unwrap());
    }
    sandbox.write("key", "hunter2\n");
    std::fs::copy(base::busybox().unwrap(), sandbox.directory().join("busybox.tar")).unwrap();
}

fn read(directory: &Path) -> Reports {
    let read = |name: &str| {
        let text = std::fs::read_to_string(directory.join(name)).unwrap();
        assert!(text.ends_with("== end\n"), "{text}");
        (name.to_owned(), text.lines().filter_map(comparable).map(|line| line + "\n").collect())
    };
    ["root", "user", "group"].map(read).into_iter().collect()
}

/// A line as it is compared; `None` for what only traces of builders have.
fn comparable(line: &str) -> Option<String> {
    if TRACED.iter().any(|traced| line.contains(traced)) {
        return None;
    }
    // Daemons hand on what their starters ignore.
    if line.starts_with("SigIgn:") {
        return None;
    }
    // Empty directories over what is hidden: the executor's hold no set-user-id programs either.
    let is_mask = ["/proc/acpi ", "/proc/scsi ", "/proc/asound ", "/sys/firmware ", "/sys/devices/virtual/powercap "]
        .iter()
        .any(|mask| line.starts_with(mask));
    let line = if is_mask { line.replace("ro,nosuid,relatime", "ro,relatime") } else { line.to_owned() };
    Some(line)
}

fn executor(sandbox: &Sandbox, runtime: &str) -> Reports {
    let out = "out-".to_owned() + runtime.trim_start_matches("--oci-runtime=");
    sandbox.succeed(&mut sandbox.shell(&format!(
        "llbc build --no-cache --network=none --secret id=key,src=key --add-host {HOST} --build-arg {PROXY} {runtime} -o {out} ."
    )));
    // Two signals belong to the C library, which starts programs with those ignored.
    assert!(sandbox.read(&format!("{out}/root")).contains("SigIgn: 00000000000000"), "{runtime}");
    read(&sandbox.directory().join(out))
}

/// A report without what other runtimes decide by themselves: the flags of their mounts in /proc, and links in /dev.
fn by_runtime(reports: &Reports) -> Reports {
    let is_theirs =
        |line: &&str| line.starts_with("/proc/") && line.contains("relatime") || line.contains("/proc/kcore");
    let is_null = |line: &&str| line.starts_with("/proc/") && line.contains(" rw,nosuid tmpfs");
    let keep = |text: &String| {
        text.lines().filter(|line| !is_theirs(line) && !is_null(line)).map(|line| format!("{line}\n")).collect()
    };
    reports.iter().map(|(name, text)| (name.clone(), keep(text))).collect()
}

/// A report without what Docker's older engine and C library do otherwise than BuildKit: the first group is not among the
/// others, and its read-only trees are mounted read-write over a copy.
fn as_in_docker(reports: &Reports) -> Reports {
    let is_older = |line: &&str| ["Groups:", "/ctx "].iter().any(|older| line.starts_with(older));
    let keep = |text: &String| text.lines().filter(|line| !is_older(line)).map(|line| format!("{line}\n")).collect();
    reports.iter().map(|(name, text)| (name.clone(), keep(text))).collect()
}

#[track_caller]
fn same(what: &str, ours: &Reports, theirs: &Reports) {
    for (name, ours) in ours {
        let theirs = &theirs[name];
        let only = |one: &str, other: &str, sign: &str| -> String {
            let other: Vec<&str> = other.lines().collect();
            one.lines().filter(|line| !other.contains(line)).map(|line| format!("{sign} {line}\n")).collect()
        };
        assert!(
            ours == theirs,
            "{what}, {name} (- executor, + the other):\n{}{}",
            only(ours, theirs, "-"),
            only(theirs, ours, "+")
        );
    }
}

#[test]
fn steps_see_what_they_see_in_docker_and_buildkit() {
    let sandbox = Sandbox::new();
    prepare(&sandbox);
    let ours = executor(&sandbox, "");
    for runtime in &RUNTIMES[1..] {
        same(runtime, &by_runtime(&executor(&sandbox, runtime)), &by_runtime(&ours));
    }
    if let Some(docker) = Docker::get() {
        let directory = sandbox.directory();
        let output = format!("type=local,dest={}", directory.join("docker").display());
        let secret = format!("id=key,src={}", directory.join("key").display());
        let host = HOST.replace('=', ":");
        let flags = ["--secret", &secret, "--add-host", &host, "--build-arg", PROXY, "--output", &output];
        docker.build(&directory, &flags).unwrap();
        same("Docker", &as_in_docker(&ours), &as_in_docker(&read(&directory.join("docker"))));
    }
    if let Some(buildkit) = Buildkit::get() {
        let buildkit = buildkit.unwrap();
        let mut build = buildkit.client();
        build.current_dir(sandbox.directory()).args(["build", "--frontend=dockerfile.v0", "--local=context=."]);
        build.args(["--local=dockerfile=.", "--secret=id=key,src=key", "--output=type=local,dest=buildkit"]);
        build
            .arg(format!("--opt=add-hosts={HOST}"))
            .arg("--opt=force-network-mode=none")
            .arg(format!("--opt=build-arg:{PROXY}"));
        process::succeed(&mut build).unwrap();
        same("BuildKit", &ours, &read(&sandbox.directory().join("buildkit")));
    }
}

#[test]
fn permissions_of_what_a_step_makes_are_the_same_whoever_builds() {
    let sandbox = Sandbox::with_base();
    sandbox
        .write("Dockerfile", "FROM base\nRUN umask > /umask && touch /f && mkdir /d && stat -c %a /f /d >> /umask\n");
    for mask in ["022", "077", "000"] {
        for runtime in ["", "--oci-runtime=runc", "--oci-runtime=crun"] {
            let program = runtime.trim_start_matches("--oci-runtime=");
            if !program.is_empty() && !e2e::have(&[program]) {
                continue;
            }
            let build = format!("umask {mask}; llbc build --no-cache {runtime} --progress=quiet -o tree .");
            sandbox.succeed(&mut sandbox.shell(&build));
            assert_eq!(sandbox.read("tree/umask"), "0022\n644\n755\n", "{mask} {runtime}");
        }
    }
}
