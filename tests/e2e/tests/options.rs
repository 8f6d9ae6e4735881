//! Every frontend option by the command line, one by one: what it leaves in the graph, or what is wrong with it. The rows were
//! held against BuildKit v0.32, whose vertices have the same digests with the same options.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use e2e::{Sandbox, process};

const TEXT: &str = "\
ARG G=1
FROM scratch AS base
ARG G TARGETPLATFORM
RUN echo $G $TARGETPLATFORM
FROM base AS two
RUN --mount=type=cache,target=/c echo two
WORKDIR /w
FROM named AS three
COPY f /
";

/// A frontend passes over options that it does not know; who says which is asked whatever becomes of it.
#[test]
fn a_misspelt_option_is_said_whoever_passes_it_on() {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", TEXT);
    let expected = "warning: --opt tarket: no such option is known (did you mean target?)";
    for command in
        ["llbc --opt tarket=a Dockerfile", "executor --frontend 127.0.0.1:1/none --opt tarket=a --opt target=b"]
    {
        let run = process::run(&mut sandbox.shell(command)).unwrap();
        assert_eq!(run.err().matches("warning: --opt").count(), 1, "{command}: {}", run.err());
        assert!(run.err().contains(expected), "{command}: {}", run.err());
    }
}

/// Options, and words of the graph that they make.
const GRAPHS: &[(&[&str], &[&str])] = &[
    (&["target=base"], &["[base 1/1] RUN echo 1"]),
    (&["target=TWO"], &[r#"mkdir("/w""#]),
    (&["target=two", "platform=linux/arm64"], &[r#"platform("linux", "arm64")"#, "RUN echo 1 linux/arm64"]),
    (&["target=two", "platform=linux/arm64,linux/amd64"], &["[linux/arm64 two 2/2]", "[linux/amd64 two 2/2]"]),
    (&["target=two", "multi-platform=true"], &["two 1/2]"]),
    (&["target=two", "build-arg:BUILDKIT_MULTI_PLATFORM=1"], &["[linux/"]),
    (&["target=two", "build-arg:G=7"], &["RUN echo 7"]),
    (&["target=two", "no-cache="], &["! ignore_cache"]),
    (&["target=two", "no-cache=BASE"], &["! ignore_cache"]),
    (&["target=two", "add-hosts=DB=1.2.3.4,b=::1"], &[r#"host("db", "1.2.3.4") host("b", "::1")"#]),
    (&["target=two", "hostname=h"], &[r#"hostname="h""#]),
    (&["target=two", "hostname=h", "build-arg:BUILDKIT_SANDBOX_HOSTNAME=i"], &[r#"hostname="i""#]),
    (&["target=two", "shm-size=1048576"], &[r#"tmpfs("/dev/shm", size=1048576)"#]),
    (&["target=two", "ulimit=nofile=1:2,nproc=3"], &[r#"ulimit("nofile", 1, 2) ulimit("nproc", 3, 3)"#]),
    (&["target=two", "cgroup-parent=abc"], &[r#"cgroup_parent="abc""#]),
    (&["target=two", "force-network-mode=host"], &["network=host"]),
    (&["target=two", "force-network-mode=none"], &["network=none"]),
    (&["target=two", "force-network-mode=sandbox"], &["RUN echo 1"]),
    (&["target=two", "memory=1000000", "memswap=5"], &["resources(memory=1000000, memory_swap=5)"]),
    (&["target=two", "cpushares=2"], &["resources(cpu_shares=2)"]),
    (&["target=two", "cpuperiod=2000", "cpuquota=5000"], &["resources(cpu_period=2000, cpu_quota=5000)"]),
    (&["target=two", "cpusetcpus=0-1", "cpusetmems=0"], &[r#"resources(cpuset_cpus="0-1", cpuset_mems="0")"#]),
    (&["target=two", "build-arg:BUILDKIT_CACHE_MOUNT_NS=ns"], &[r#"cache("/c", id="ns//c")"#]),
    (&["target=two", "build-arg:SOURCE_DATE_EPOCH=1234"], &["timestamp=1234000000000"]),
    (&["target=two", "build-arg:HTTP_PROXY=http://p:1"], &[r#"proxy(http="http://p:1")"#]),
    (&["target=two", "build-arg:BUILDKIT_DOCKERFILE_CHECK=skip=all"], &["RUN echo 1"]),
    (&["target=two", "filename=x/y"], &[r#"text "x/y""#]),
    (&["target=two", "attest:provenance=mode=min", "vcs:source=s", "requestid="], &["RUN echo 1"]),
    (&["target=two", "image-resolve-mode=local"], &["RUN echo 1"]),
    (&["context:named=docker-image://scratch"], &[r#"local.session"#]),
    (&["context:named=git://h/r.git#v1"], &[r#"source "git://h/r.git#v1""#]),
    (&["context:named=https://h/r.git"], &[r#"source "git://h/r.git""#, r#""git.fullurl": "https://h/r.git""#]),
    (&["context:named=https://h/x.tar"], &[r#"source "https://h/x.tar" attrs={"http.filename": "context"}"#]),
    (&["context:named=local:n"], &[r#"source "local://n""#, r#""[context named] load from client""#]),
    (&["context:named=local:n", "sharedkey:localdir:named=k"], &[r#""context:named-k""#]),
    (&["context:named=local:n", "local-sessionid:n=s"], &[r#""local.session": "s""#]),
    (&["context:named::linux/amd64=https://h/x.tar"], &[r#"source "https://h/x.tar""#]),
    (&["target=two", "context:base=https://h/x.tar"], &[r#"source "https://h/x.tar""#]),
    (
        &["target=two", "context=git://h/r", "build-arg:BUILDKIT_CONTEXT_KEEP_GIT_DIR=1"],
        &[r#""git.keepgitdir": "true""#],
    ),
    (&["target=two", "contextkey=k", "k=git://h/r"], &[r#"source "git://h/r""#]),
];

/// Options that are wrong, and what is said.
const REFUSED: &[(&[&str], &str)] = &[
    (&["target=0"], "target stage \"0\" could not be found"),
    (&["platform=a b"], "failed to parse target platform a b"),
    (&["multi-platform=x"], "invalid boolean value for multi-platform: x"),
    (&["cache-imports=x"], "failed to unmarshal cache-imports"),
    (&["add-hosts=x"], "failed to parse additional hosts: invalid key-value pair x"),
    (&["shm-size=1m"], "failed to parse shm size"),
    (&["ulimit=x"], "failed to parse ulimit: invalid ulimit argument: x"),
    (&["force-network-mode=x"], "invalid netmode x"),
    (&["memory=x"], "failed to parse resource limits: invalid memory value: x"),
    (&["cpushares=0"], "invalid cpushares value: 0: must be > 0"),
    (&["image-resolve-mode=x"], "invalid image-resolve-mode: x"),
    (&["attest:x="], "unknown attestation type \"x\""),
    (&["frontend.caps=nosuch.cap"], "unsupported frontend capability nosuch.cap"),
    (&["build-arg:BUILDKIT_DOCKERFILE_CHECK=bogus"], "invalid check option \"bogus\""),
    (&["target=two", "build-arg:SOURCE_DATE_EPOCH=zzz"], "invalid SOURCE_DATE_EPOCH: zzz"),
    (&["override-copy-image=x"], "was removed in BuildKit 0.11"),
    (&["build-arg:BUILDKIT_DISABLE_FILEOP=1"], "was removed in BuildKit 0.11"),
    (&["context=git://h/r?nosuch=1"], "unexpected query \"nosuch\""),
    (&["context:named=bogus"], "invalid context specifier bogus for named"),
    (&["context:named=ftp://x/y"], "unsupported context source ftp for named"),
    (&["context:named=input:foo"], "invalid input foo for named"),
    (&["context:named=oci-layout://store"], "oci-layout reference \"store\" has no digest"),
];

fn dump(sandbox: &Sandbox, options: &[&str]) -> process::Run {
    let mut command = sandbox.llbc();
    command.args(["dump", "--text", "--offline", "--session=s0"]);
    for option in options {
        command.args(["--opt", option]);
    }
    process::run(command.arg("Dockerfile")).unwrap()
}

#[test]
fn every_option_does_what_it_does_for_buildkit() {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", TEXT);
    for (options, words) in GRAPHS {
        let run = dump(&sandbox, options);
        for word in *words {
            assert!(
                run.status.success() && run.out().contains(word),
                "{options:?}: {word}\n{}{}",
                run.out(),
                run.err()
            );
        }
    }
}

#[test]
fn wrong_options_are_refused_in_its_words() {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", TEXT);
    for (options, message) in REFUSED {
        let run = dump(&sandbox, options);
        assert!(run.status.code() == Some(1) && run.err().contains(message), "{options:?}: {}", run.err());
    }
}

#[test]
fn labels_go_into_the_config() {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", TEXT);
    let mut command = sandbox.llbc();
    command.args(["dump", "--image", "--opt", "target=two", "--opt", "label:a=b", "Dockerfile"]);
    assert!(sandbox.succeed(&mut command).out().contains(r#""Labels":{"a":"b"}"#));
}
