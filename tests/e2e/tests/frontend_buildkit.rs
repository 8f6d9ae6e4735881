//! llbc as a frontend of BuildKit v0.32 (`BUILDKITD` names the daemon, or the shell finds it): digests, steps, warnings,
//! errors and answers are those of BuildKit's own frontend of the same daemon. No distribution has that daemon, so these
//! tests say that they were not run where it is missing.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::path::Path;

use e2e::serve::{self, GitDaemon, serve};
use e2e::{Buildkit, Registry, Sandbox, frontend, process, registry};
use serde_json::Value;
use tempfile::TempDir;

/// The context of every case.
const FILES: &[(&str, &str)] =
    &[("a.txt", "a\n"), ("b.txt", "b\n"), ("secret.key", "hidden\n"), ("dir/c.txt", "c\n"), ("dir/deep/d.txt", "d\n")];

/// A case: its name, the text and the arguments of the client. `BASE` and `MULTI` are images, `GIT` a repository, `WEB` a
/// server, `CONTEXT` the directory.
type Case = (&'static str, &'static str, &'static [&'static str]);

const OPTIONS: &[Case] = &[
    ("plain", "FROM BASE\nRUN echo hi > /hi\nCOPY . /all\n", &[]),
    ("target", "FROM BASE AS one\nRUN echo 1 > /1\nFROM BASE AS two\nRUN echo 2 > /2\n", &["--opt", "target=one"]),
    (
        "keys",
        "FROM BASE\nCOPY a.txt /\n",
        &["--opt", "contextkey=c", "--opt", "dockerfilekey=d", "--local", "c=CONTEXT", "--local", "d=CONTEXT"],
    ),
    ("args", "ARG V=1\nFROM BASE\nARG V\nRUN echo $V > /v\n", &["--opt", "build-arg:V=2"]),
    ("labels", "FROM BASE\n", &["--opt", "label:a=1", "--opt", "label:b.c=d e"]),
    ("hosts", "FROM BASE\nRUN cat /etc/hosts > /hosts\n", &["--opt", "add-hosts=a.b=1.2.3.4"]),
    ("hostname", "FROM BASE\nRUN hostname > /name\n", &["--opt", "hostname=hello"]),
    ("hostname-argument", "FROM BASE\nRUN hostname > /name\n", &["--opt", "build-arg:BUILDKIT_SANDBOX_HOSTNAME=hi"]),
    ("shm-size", "FROM BASE\nRUN df /dev/shm | tail -n1 > /shm\n", &["--opt", "shm-size=1048576"]),
    ("ulimit", "FROM BASE\nRUN ulimit -n > /limit\n", &["--opt", "ulimit=nofile=100:200"]),
    ("no-network", "FROM BASE\nRUN ls /sys/class/net > /nets\n", &["--opt", "force-network-mode=none"]),
    ("resources", "FROM BASE\nRUN echo 5 > /5\n", &["--opt", "memory=104857600", "--opt", "cpushares=512"]),
    ("pull", "FROM BASE\nRUN echo 6 > /6\n", &["--opt", "image-resolve-mode=pull"]),
    (
        "cache-namespace",
        "FROM BASE\nRUN --mount=type=cache,target=/c echo 1 > /c/x\n",
        &["--opt", "build-arg:BUILDKIT_CACHE_MOUNT_NS=here"],
    ),
    (
        "cache-imports",
        "FROM BASE\nRUN echo 7 > /7\n",
        &["--opt", "cache-imports=[{\"Type\":\"registry\",\"Attrs\":{\"ref\":\"REGISTRY/no/cache:1\"}}]"],
    ),
    ("epoch", "FROM BASE\nRUN echo 1 > /e\nWORKDIR /w\n", &["--opt", "build-arg:SOURCE_DATE_EPOCH=1700000000"]),
    (
        "secret",
        "FROM BASE\nRUN --mount=type=secret,id=q,required=true wc -c < /run/secrets/q > /n\n",
        &["--secret", "id=q,src=CONTEXT/a.txt"],
    ),
    ("documents", "FROM BASE\nRUN <<EOF\necho 1 > /1\nEOF\nCOPY <<EOF /f\nhello\nEOF\n", &[]),
    ("links", "FROM BASE\nCOPY --link a.txt /\nCOPY --link --from=MULTI /arch /q/\n", &[]),
    ("caps", "FROM BASE\n", &["--opt", "frontend.caps=moby.buildkit.frontend.inputs+forward"]),
    ("two-platforms", "FROM MULTI\nCOPY a.txt /\n", &["--opt", "platform=linux/amd64,linux/arm64"]),
    ("nothing-for-one-platform", PARTLY_NOTHING, &["--opt", "platform=linux/amd64,linux/arm64"]),
    ("other-platform", "FROM MULTI\nCOPY a.txt /\n", &["--opt", "platform=linux/arm64"]),
    ("index-of-one", "FROM MULTI\nCOPY a.txt /\n", &["--opt", "platform=linux/arm64", "--opt", "multi-platform=true"]),
    ("cross", CROSS, &["--opt", "platform=linux/amd64,linux/arm64"]),
    ("add-remote", "FROM BASE\nADD GIT#v1 /g\nADD WEB/file.txt /w/\n", &[]),
];

const PARTLY_NOTHING: &str = "FROM BASE AS amd64\nRUN echo 1 > /1\nFROM scratch AS arm64\nFROM ${TARGETARCH}\n";

const CROSS: &str = "FROM --platform=$BUILDPLATFORM BASE AS b\nARG TARGETARCH\nRUN echo $TARGETARCH > /x\nFROM MULTI\nCOPY --from=b /x /y\n";

/// Contexts by name.
const CONTEXTS: &[Case] = &[
    ("image", "FROM foo\nRUN echo q > /q\n", &["--opt", "context:foo=docker-image://BASE"]),
    ("image-copied", "FROM BASE\nCOPY --from=foo /arch /\n", &["--opt", "context:foo=docker-image://MULTI"]),
    (
        "image-of-platform",
        "FROM BASE\nCOPY --from=foo /arch /\n",
        &["--opt", "context:foo::linux/amd64=docker-image://MULTI"],
    ),
    (
        "instead-of-a-stage",
        "FROM BASE AS foo\nRUN false\nFROM foo\nCOPY a.txt /a\n",
        &["--opt", "context:foo=docker-image://MULTI"],
    ),
    ("git", "FROM BASE\nCOPY --from=foo / /f\n", &["--opt", "context:foo=GIT#v1:sub"]),
    ("web", "FROM BASE\nCOPY --from=foo / /f\n", &["--opt", "context:foo=WEB/file.txt"]),
    ("local", "FROM BASE\nCOPY --from=foo / /f\n", &["--opt", "context:foo=local:foo", "--local", "foo=CONTEXT/dir"]),
    (
        "layout",
        "FROM foo\nRUN echo layout > /l\n",
        &["--opt", "context:foo=oci-layout://layout@DIGEST", "--oci-layout", "layout=LAYOUT"],
    ),
];

/// Bills of materials. The scanner tells what it was given to scan.
const SCANS: &[Case] = &[
    ("result", "FROM BASE\nRUN echo 1 > /1\n", &["--opt", "attest:sbom=generator=SCANNER"]),
    (
        "context",
        "ARG BUILDKIT_SBOM_SCAN_CONTEXT=true\nFROM BASE\nCOPY a.txt dir /\n",
        &["--opt", "attest:sbom=generator=SCANNER,colour=red"],
    ),
    ("stages", SCANNED_STAGES, &["--opt", "attest:sbom=generator=SCANNER"]),
    ("unused-context", "FROM BASE\nARG BUILDKIT_SBOM_SCAN_CONTEXT=1\n", &["--opt", "attest:sbom=generator=SCANNER"]),
];

/// One stage asks for itself, the other is not asked for.
const SCANNED_STAGES: &str = "ARG BUILDKIT_SBOM_SCAN_STAGE=two\nFROM BASE AS one\nARG BUILDKIT_SBOM_SCAN_STAGE=1\nRUN echo 1 > /1\nFROM BASE AS two\nRUN echo 2 > /2\nFROM BASE AS three\nRUN echo 3 > /3\nFROM BASE\nCOPY --from=one /1 /\nCOPY --from=two /2 /\nCOPY --from=three /3 /\n";

/// A scanner that writes down what it sees: parameters, and the files of each tree.
const SCANNER: &str = r#"FROM base
ENV PATH=/bin
CMD ["/bin/sh", "-c", "cd /run/src; for tree in core/* extras/*; do test -d $tree || continue; echo '{\"_type\":\"https://in-toto.io/Statement/v0.1\",\"predicateType\":\"https://spdx.dev/Document\",\"predicate\":{\"tree\":\"'$tree'\",\"env\":\"'$(env | sort | grep BUILDKIT_)'\",\"files\":\"'$(find $tree | grep -v /proc | sort)'\"}}' > $BUILDKIT_SCAN_DESTINATION/${tree#*/}.spdx.json; done"]
"#;

/// Builds without a local context.
const REMOTE: &[Case] = &[
    ("git", "", &["--opt", "context=GIT"]),
    ("git-directory", "", &["--opt", "context=GIT#v1:sub"]),
    ("git-query", "", &["--opt", "context=GIT?tag=v1&subdir=sub"]),
    ("git-epoch", "", &["--opt", "context=GIT", "--opt", "build-arg:SOURCE_DATE_EPOCH=context"]),
    ("web-archive", "", &["--opt", "context=WEB/context.tar"]),
    ("web-epoch", "", &["--opt", "context=WEB/context.tar", "--opt", "build-arg:SOURCE_DATE_EPOCH=context"]),
    ("web-file", "", &["--opt", "context=WEB/Plain"]),
];

/// What fails, or is warned of.
const MISTAKES: &[Case] = &[
    ("instruction", "FROM BASE\nRUM x\n", &[]),
    ("flag", "FROM BASE\nCOPY --bogus a b\n", &[]),
    ("step", "FROM BASE\nRUN echo oops && exit 3\n", &[]),
    ("missing-file", "FROM BASE\nCOPY nope /\n", &[]),
    ("missing-image", "FROM REGISTRY/none:1\n", &[]),
    ("missing-context", "FROM foo\n", &["--opt", "context:foo=docker-image://REGISTRY/none:1"]),
    ("wrong-context", "FROM foo\n", &["--opt", "context:foo=bogus:x"]),
    ("target", "FROM BASE\n", &["--opt", "target=nope"]),
    ("capability", "FROM BASE\n", &["--opt", "frontend.caps=nope"]),
    ("attestation", "FROM BASE\n", &["--opt", "attest:nope="]),
    ("size", "FROM BASE\n", &["--opt", "shm-size=x"]),
    ("platform", "FROM MULTI\n", &["--opt", "platform=linux/s390x"]),
    (
        "checksum",
        "FROM BASE\nADD --checksum=sha256:0000000000000000000000000000000000000000000000000000000000000000 WEB/file.txt /\n",
        &[],
    ),
    ("syntax", "FROM BASE\n", &["--opt", "build-arg:BUILDKIT_SYNTAX=REGISTRY/none:1"]),
    ("warnings", "FROM BASE AS Foo\nENV a b\nWORKDIR rel\nRUN echo $X\nMAINTAINER me\nCOPY $UNDEF a.txt /\n", &[]),
    ("checks", "# check=error=true\nFROM BASE\nMAINTAINER me\n", &[]),
    ("checks-argument", "FROM BASE\nMAINTAINER me\n", &["--opt", "build-arg:BUILDKIT_DOCKERFILE_CHECK=skip=all"]),
];

/// Requests that are no builds.
const REQUESTS: &[&str] = &["outline", "targets", "lint", "subrequests.describe", "convertllb", "nothing"];

const ASKED: &str = "# the first\nARG V=1\nFROM BASE AS one\nARG Q=2\nRUN --mount=type=secret,id=s --mount=type=ssh --mount=type=cache,target=/x echo $Q\n# the last\nFROM scratch as Two\nCOPY --from=one --chown=1:2 /x $Z\nCOPY --from=one --chmod=u+x /x <&>\nWORKDIR q\n";

/// Daemon, registry, repository, server and context.
struct Bench {
    buildkit: Buildkit,
    registry: Registry,
    web: String,
    git: GitDaemon,
    sandbox: Sandbox,
    layout: String,
    directory: TempDir,
}

/// What a build came to, as far as two frontends must agree.
#[derive(Debug, PartialEq)]
struct Outcome {
    code: Option<i32>,
    digests: [Value; 2],
    steps: Vec<String>,
    warnings: Vec<String>,
    said: Vec<String>,
    answer: String,
}

impl Bench {
    fn new() -> Option<Self> {
        let have = e2e::have(registry::PROGRAMS) && e2e::have(&["busybox", "git"]);
        let Some(buildkit) = Buildkit::get().filter(|_| have) else {
            process::say("not run, there is no buildkitd; BUILDKITD names one");
            return None;
        };
        let registry = Registry::start().unwrap();
        let directory = tempfile::tempdir().unwrap();
        frontend::push(directory.path(), &format!("{}/llbc:1", registry.address)).unwrap();
        let sandbox = Sandbox::with_base();
        repository(&directory.path().join("git/repository"), &registry.address);
        let bench = Self {
            buildkit: buildkit.unwrap(),
            web: serve(&directory.path().join("web")),
            git: GitDaemon::start(&directory.path().join("git")),
            layout: directory.path().join("layout").to_str().unwrap().to_owned(),
            registry,
            sandbox,
            directory,
        };
        bench.images();
        for (name, content) in FILES {
            bench.sandbox.write(&format!("context/{name}"), content);
        }
        bench.files_on_the_web();
        Some(bench)
    }

    fn images(&self) {
        let build =
            |flags: &[String]| drop(self.sandbox.succeed(self.sandbox.llbc().arg("build").args(flags).arg(".")));
        let (address, layout) = (&self.registry.address, &self.layout);
        self.sandbox.write("Base", "FROM base\nENV PATH=/bin\n");
        self.sandbox.write("Scanner", SCANNER);
        self.sandbox.write("Multi", "FROM scratch\nARG TARGETARCH\nCOPY <<EOF /arch\n$TARGETARCH\nEOF\n");
        let words = |text: String| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        build(&words(format!("-f Base -o type=registry,name={address}/base:1")));
        build(&words(format!("-f Scanner -o type=registry,name={address}/scanner:1")));
        build(&words(format!("-f Base -o type=oci,tar=false,dest={layout}")));
        build(&words(format!("-f Multi --platform linux/amd64,linux/arm64 -o type=registry,name={address}/multi:1")));
    }

    fn files_on_the_web(&self) {
        let place = self.directory.path().join("web");
        std::fs::create_dir_all(&place).unwrap();
        let plain = format!("FROM {}/base:1\nRUN echo x > /x\n", self.registry.address);
        std::fs::write(place.join("file.txt"), "file\n").unwrap();
        std::fs::write(place.join("Plain"), &plain).unwrap();
        let mut tar = tar::Builder::new(std::fs::File::create(place.join("context.tar")).unwrap());
        let mut header = tar::Header::new_gnu();
        header.set_size(plain.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, "Dockerfile", plain.as_bytes()).unwrap();
        tar.finish().unwrap();
    }

    fn fill(&self, text: &str) -> String {
        let index = std::fs::read(format!("{}/index.json", self.layout)).unwrap();
        let index: Value = serde_json::from_slice(&index).unwrap();
        let context = self.sandbox.directory().join("context");
        let address = &self.registry.address;
        [
            ("BASE", format!("{address}/base:1")),
            ("MULTI", format!("{address}/multi:1")),
            ("SCANNER", format!("{address}/scanner:1")),
            ("REGISTRY", address.clone()),
            ("GIT", format!("{}/repository", self.git.address)),
            ("WEB", self.web.clone()),
            ("CONTEXT", context.to_str().unwrap().to_owned()),
            ("LAYOUT", self.layout.clone()),
            ("DIGEST", index["manifests"][0]["digest"].as_str().unwrap().to_owned()),
        ]
        .into_iter()
        .fold(text.to_owned(), |text, (name, value)| text.replace(name, &value))
    }

    /// Builds by a frontend: ours or theirs.
    fn build(&self, frontend: &[&str], arguments: &[&str], local: bool) -> Outcome {
        let metadata = self.sandbox.directory().join("metadata.json");
        let _ = std::fs::remove_file(&metadata);
        let mut command = self.buildkit.client();
        command.args(["build", "--progress=rawjson"]).args(frontend);
        if local {
            let context = self.fill("CONTEXT");
            command.arg(format!("--local=context={context}")).arg(format!("--local=dockerfile={context}"));
        }
        command.args(arguments.iter().map(|argument| self.fill(argument)));
        if !arguments.iter().any(|argument| argument.starts_with("requestid=")) {
            command.args(["-o", "type=oci,dest=/dev/null", "--metadata-file"]).arg(&metadata);
        }
        let run = process::run(&mut command).unwrap();
        let metadata: Value =
            std::fs::read(&metadata).map_or(Value::Null, |said| serde_json::from_slice(&said).unwrap());
        Outcome {
            code: run.status.code(),
            digests: ["containerimage.digest", "containerimage.config.digest"].map(|key| metadata[key].clone()),
            answer: without_sessions(&run.out()),
            ..progress(&run.err())
        }
    }

    /// This frontend, which leaves the graph as BuildKit's own makes it.
    fn ours(&self) -> [String; 6] {
        let source = format!("source={}/llbc:1", self.registry.address);
        ["--frontend", "gateway.v0", "--opt", &source, "--opt", "optimize=0"].map(str::to_owned)
    }

    /// Builds every case by both frontends, which must agree, and be able to.
    #[track_caller]
    fn agree(&self, cases: &[Case], local: bool) {
        for case in cases {
            let built = self.both(case, local);
            assert_eq!(built.code, Some(0), "{}: {built:#?}", case.0);
            assert!(!built.steps.is_empty(), "{}: nothing was built\n{built:#?}", case.0);
        }
    }

    /// What both frontends make of a case.
    #[track_caller]
    fn both(&self, (name, text, arguments): &Case, local: bool) -> Outcome {
        self.sandbox.write("context/Dockerfile", &self.fill(text));
        let theirs = self.build(&["--frontend", "dockerfile.v0"], arguments, local);
        let ours = self.build(&self.ours().each_ref().map(String::as_str), arguments, local);
        assert_eq!(ours, theirs, "{name}");
        ours
    }
}

/// A repository with a build file and a file, at its top and in a directory.
fn repository(place: &Path, registry: &str) {
    let text = format!("FROM {registry}/base:1\nCOPY a.txt /\n");
    std::fs::create_dir_all(place.join("sub")).unwrap();
    for (name, content) in
        [("Dockerfile", text.as_str()), ("a.txt", "git\n"), ("sub/Dockerfile", &text), ("sub/a.txt", "sub\n")]
    {
        std::fs::write(place.join(name), content).unwrap();
    }
    serve::commit(place).unwrap();
}

/// What the lines of `--progress=rawjson` tell.
fn progress(text: &str) -> Outcome {
    let (mut steps, mut warnings, mut said) = (Vec::new(), Vec::new(), Vec::new());
    for line in text.lines() {
        let Ok(event) = serde_json::from_str::<Value>(line) else {
            said.extend((!is_talk(line)).then(|| without_references(line)));
            continue;
        };
        let list = |key: &str| event[key].as_array().cloned().unwrap_or_default();
        let names = list("vertexes").into_iter().map(|vertex| vertex["name"].as_str().unwrap_or_default().to_owned());
        steps.extend(names.filter(|name| is_step(name)));
        warnings.extend(list("warnings").into_iter().map(|mut warning| {
            // It differs by session.
            warning.as_object_mut().unwrap().remove("vertex");
            warning["sourceInfo"].as_object_mut().map(|info| info.remove("definition"));
            warning.to_string()
        }));
    }
    for list in [&mut steps, &mut warnings] {
        list.sort();
        list.dedup();
    }
    Outcome { code: None, digests: [Value::Null, Value::Null], steps, warnings, said, answer: String::new() }
}

/// Whether a line is the client's own talk, as of how its connection ended. It begins with the clock: `time=…`, or the date as
/// `2026/01/31`.
fn is_talk(line: &str) -> bool {
    let is_date = |date: &[u8; 10]| {
        date.iter()
            .enumerate()
            .all(|(at, byte)| if matches!(at, 4 | 7) { *byte == b'/' } else { byte.is_ascii_digit() })
    };
    line.starts_with("time=") || line.as_bytes().first_chunk().is_some_and(is_date)
}

/// Loading the frontend is no step of the build; what is loaded beside the text before an error is found is a matter of
/// who asks for how much at once.
fn is_step(name: &str) -> bool {
    let is_own = name.contains("/llbc:1");
    let is_look_up = name.contains("internal]") || name.starts_with("resolve image config");
    !is_own && !is_look_up && !name.starts_with("[context ") && !name.starts_with("exporting")
}

/// Names of references are made up by the daemon.
fn without_references(line: &str) -> String {
    let words = line.split(' ').map(|word| if word.contains("::") { "REFERENCE" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// Answers hold the definition that reads the text, which names the session.
fn without_sessions(answer: &str) -> String {
    let Some((_, json)) = answer.split_once('{') else { return answer.to_owned() };
    let Ok(mut json) = serde_json::from_str::<Value>(&format!("{{{json}")) else { return answer.to_owned() };
    for info in json["source"]["infos"].as_array_mut().into_iter().flatten() {
        info.as_object_mut().unwrap().remove("definition");
    }
    serde_json::to_string_pretty(&json).unwrap()
}

#[test]
fn results_warnings_errors_and_answers_are_those_of_the_daemons_own_frontend() {
    let Some(bench) = Bench::new() else { return };
    bench.agree(OPTIONS, true);
    bench.agree(CONTEXTS, true);
    bench.agree(REMOTE, false);
    bench.agree(SCANS, true);
    for mistake in MISTAKES {
        bench.both(mistake, true);
    }
    bench.sandbox.write("context/.dockerignore", "*.key\n");
    bench.agree(&[("ignored", "FROM BASE\nCOPY . /all\n", &[])], true);
    assert_ne!(bench.both(&("ignored-file", "FROM BASE\nCOPY secret.key /\n", &[]), true).code, Some(0));
    bench.sandbox.write("context/Dockerfile.dockerignore", "*.txt\n");
    bench.agree(&[("ignored-by-its-own", "FROM BASE\nCOPY . /all\n", &[])], true);

    let ours = bench.ours();
    bench.sandbox.write("context/Dockerfile", &bench.fill(ASKED));
    for request in REQUESTS {
        let request = format!("requestid=frontend.{request}");
        let theirs = bench.build(&["--frontend", "dockerfile.v0"], &["--opt", &request], true);
        let ours = bench.build(&ours.each_ref().map(String::as_str), &["--opt", &request], true);
        assert_eq!(ours, theirs, "{request}");
    }

    // Languages by name and by option; the comment of both begins with the same character.
    let hlb = "fs default() {\n\timage \"BASE\"\n\trun \"cp /in/a.txt /made\" with option {\n\t\tmount fs { local \".\"; } \"/in\" with readonly\n\t}\n}\n";
    let toml = "[image.made]\nfrom = \"BASE\"\nstep = [{ copy = \"./a.txt\", to = \"/made\" }]\n";
    for (file, text, language) in [("x.hlb", hlb, ""), ("x.toml", toml, ""), ("x", hlb, "hlb"), ("y", toml, "toml")] {
        bench.sandbox.write(&format!("context/{file}"), &bench.fill(text));
        let (name, language) = (format!("filename={file}"), format!("language={language}"));
        let mut arguments = vec!["--opt", &name];
        if !language.ends_with('=') {
            arguments.extend(["--opt", &language]);
        }
        let built = bench.build(&ours.each_ref().map(String::as_str), &arguments, true);
        assert_eq!(built.code, Some(0), "{file} {language}\n{built:#?}");
    }
}
