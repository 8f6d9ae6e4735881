//! What steps get of the machine, and what they share: limits, memory, control groups, cache mounts of builds that run at
//! the same time.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use e2e::{Buildkit, Sandbox, base, process};

/// Says what its limits are, and its network and proxies.
const REPORT: &str = "FROM scratch AS base\nADD busybox.tar /\nARG HTTP_PROXY\nARG no_proxy\nRUN (ulimit -n; ulimit -Hn; ulimit -c; \
     df -k /dev/shm | awk 'NR > 1 {print $2}'; grep -c ' /dev/shm ' /proc/self/mountinfo; \
     ip -6 addr show dev lo | grep -c 'inet6 ::1/128'; ping6 -c1 -q ::1 > /dev/null && echo ::1; \
     env | grep -i proxy | sort) > /report 2>&1\nFROM scratch\nCOPY --from=base /report /\n";
const PROXIES: [(&str, &str); 2] = [("HTTP_PROXY", "http://proxy:1"), ("no_proxy", "localhost")];
const LIMITS: [(&str, &str); 2] = [("shm-size", "1048576"), ("ulimit", "nofile=100:200,core=0")];

#[test]
fn limits_shared_memory_and_proxies_are_those_that_were_asked_for() {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", REPORT);
    std::fs::copy(base::busybox().unwrap(), sandbox.directory().join("busybox.tar")).unwrap();
    let arguments = "--build-arg HTTP_PROXY=http://proxy:1 --build-arg no_proxy=localhost --network=none";
    let limits = "--shm-size 1m --ulimit nofile=100:200 --ulimit core=0";
    let limits_seen = ["100", "200", "0", "1024", "1", "1", "::1"];
    let proxies_seen =
        ["HTTP_PROXY=http://proxy:1", "NO_PROXY=localhost", "http_proxy=http://proxy:1", "no_proxy=localhost"];
    let expected = [&limits_seen[..], &proxies_seen[..]].concat();
    for runtime in ["", "--oci-runtime=crun"] {
        sandbox.succeed(&mut sandbox.shell(&format!("llbc build --no-cache {arguments} {limits} {runtime} -o ours .")));
        let report = sandbox.read("ours/report");
        assert_eq!(report.lines().collect::<Vec<_>>(), expected, "{runtime}");
    }
    let Some(buildkit) = Buildkit::get() else { return };
    let buildkit = buildkit.unwrap();
    let mut build = buildkit.client();
    build.current_dir(sandbox.directory()).args(["build", "--frontend=dockerfile.v0", "--local=context=."]);
    build.args(["--local=dockerfile=.", "--opt=force-network-mode=none", "--output=type=local,dest=theirs"]);
    build.args(LIMITS.map(|(name, value)| format!("--opt={name}={value}")));
    build.args(PROXIES.map(|(name, value)| format!("--opt=build-arg:{name}={value}")));
    process::succeed(&mut build).unwrap();
    assert_eq!(sandbox.read("theirs/report").lines().collect::<Vec<_>>(), expected, "BuildKit");
}

#[test]
fn memory_that_runs_out_is_named() {
    let sandbox = Sandbox::with_base();
    sandbox.write("Dockerfile", "FROM base\nRUN exec dd if=/dev/zero of=/dev/null bs=300M count=1\n");
    let limits = "--opt memory=33554432 --opt memswap=33554432";
    let said = sandbox.fail(1, &mut sandbox.shell(&format!("llbc build --progress=plain {limits} -o tree .")));
    assert!(said.ends_with("did not complete successfully: exit code: 137: cannot allocate memory\n"), "{said}");
}

/// Where the old hierarchies have the memory, the first that is killed is who makes the container.
#[test]
fn memory_that_is_too_little_for_any_process_is_named() {
    let sandbox = Sandbox::with_base();
    sandbox.write("Dockerfile", "FROM base\nRUN true\n");
    let said = sandbox.fail(1, &mut sandbox.shell("llbc build --progress=plain --opt memory=1 -o tree ."));
    let of_shim = "the memory that the step may have, 1 bytes, is too little\n";
    let of_step = "exit code: 137: cannot allocate memory\n";
    assert!(said.ends_with(of_shim) || said.ends_with(of_step), "{said}");
    sandbox.succeed(&mut sandbox.shell("llbc build -o tree ."));
}

/// A build in the background.
fn start(sandbox: &Sandbox, name: &str, mount: &str, script: &str) -> Child {
    let file = format!("{name}.Dockerfile");
    sandbox.write(&file, &format!("FROM base\nRUN --mount=type=cache,target=/c,{mount} me={name}; {script}\n"));
    let mut command = sandbox.shell(&format!("exec llbc build --no-cache --progress=plain -f {file} -o {name} ."));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Two builds at once, of the same step but for its name; what they wrote to `/seen`.
fn two(mount: &str, script: &str) -> [String; 2] {
    let sandbox = Sandbox::with_base();
    let builds = ["one", "two"].map(|name| start(&sandbox, name, mount, script));
    for build in builds {
        let output = build.wait_with_output().unwrap();
        assert!(output.status.success(), "{mount}: {}", String::from_utf8_lossy(&output.stderr));
    }
    ["one/seen", "two/seen"].map(|name| sandbox.read(name))
}

#[test]
fn cache_mounts_of_two_builds_are_shared_or_not_as_they_say() {
    // Each waits for the file of the other.
    let meet =
        "touch /c/$me; for i in $(seq 300); do [ $(ls /c | wc -l) = 2 ] && break; sleep 0.1; done; ls /c > /seen";
    assert_eq!(two("sharing=shared", meet), ["one\ntwo\n", "one\ntwo\n"]);
    // Each gives the other time to come, and is alone.
    let alone = "touch /c/$me; sleep 2; ls /c > /seen; rm /c/$me";
    assert_eq!(two("sharing=private", alone), ["one\n", "two\n"]);
    assert_eq!(two("sharing=locked", alone), ["one\n", "two\n"]);
}

/// Directories of this name in the hierarchies of control groups.
fn groups(name: &str) -> Vec<PathBuf> {
    let hierarchies = std::fs::read_dir("/sys/fs/cgroup").unwrap().map(|entry| entry.unwrap().path());
    let all = hierarchies.map(|hierarchy| hierarchy.join(name)).chain([Path::new("/sys/fs/cgroup").join(name)]);
    all.filter(|path| path.is_dir()).collect()
}

/// Removes them, once the groups of steps in them are gone: no build waits for that.
fn remove_groups(name: &str) {
    let go = || groups(name).iter().all(|group| std::fs::remove_dir(group).is_ok());
    assert!(process::wait_until(Duration::from_secs(10), go), "something is left in {:?}", groups(name));
}

#[test]
fn steps_run_below_the_control_group_they_are_given() {
    let sandbox = Sandbox::with_base();
    let name = format!("llbc-e2e-{}", std::process::id());
    sandbox.write("Dockerfile", "FROM base\nRUN cat /proc/self/cgroup | grep -v ':/$'; sleep 4\n");
    let mut command =
        sandbox.shell(&format!("exec llbc build --progress=plain --cgroup-parent /{name} -o tree . 2>&1"));
    let build = command.stdout(Stdio::piped()).spawn().unwrap();
    assert!(process::wait_until(Duration::from_secs(60), || !groups(&name).is_empty()), "no group {name}");
    let output = build.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !said.contains(&name), "the step sees the host's groups:\n{said}");
    remove_groups(&name);
}

#[test]
fn where_there_can_be_no_sandbox_that_is_said_and_nothing_is_left() {
    if !e2e::have(&["iptables", "unshare"]) {
        return;
    }
    let sandbox = Sandbox::with_base();
    sandbox.write("Dockerfile", "FROM base\nRUN touch /it-ran\n");
    let name = format!("llbc-e2e-none-{}", std::process::id());
    // A host whose packet filter drops what is forwarded, by a rule that is not ours to change.
    let build = |flags: &str| {
        sandbox.shell(&format!(
            "unshare --net sh -c 'iptables -t mangle -P FORWARD DROP && \
             exec llbc build --progress=plain --no-cache --cgroup-parent /{name} {flags} -o tree .'"
        ))
    };
    let said = sandbox.succeed(&mut build("")).err();
    assert!(said.contains("use the host's network") && said.contains("packet filter mangle drops"), "{said}");
    assert!(sandbox.has("tree/it-ran"));
    let said = sandbox.fail(1, &mut build("--network=sandbox"));
    assert!(said.contains("is not supported") && said.contains("packet filter mangle drops"), "{said}");
    remove_groups(&name);
}
