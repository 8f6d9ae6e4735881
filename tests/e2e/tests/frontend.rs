//! llbc as a frontend of Docker's engine: files with and without `# syntax=` give the same images, and mistakes are shown
//! as Docker shows its own.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use e2e::frontend::{self, Arch};
use e2e::serve::{self, GitDaemon, serve};
use e2e::{Docker, Registry, Sandbox, Tree, base, docker, image, process, registry, scanner};
use serde_json::Value;
use tempfile::TempDir;

const BASE: &str = "busybox:frontend";

/// Files of the context.
const FILES: &[(&str, &str)] = &[
    ("a.txt", "a\n"),
    ("b.txt", "b\n"),
    ("secret.key", "hidden\n"),
    ("dir/c.txt", "c\n"),
    ("dir/deep/d.txt", "d\n"),
    ("run.sh", "#!/bin/sh\necho run\n"),
    (".dockerignore", "*.key\nDockerfile*\n"),
];

/// Build files that both frontends know. `BASE` stands for the base image.
const SAME: &[(&str, &str)] = &[
    ("scratch", "FROM scratch\nCOPY a.txt /\n"),
    ("run", "FROM BASE\nRUN echo hello > /hello && mkdir -p /x/y && chmod 700 /x/y\n"),
    ("json-run", "FROM BASE\nRUN [\"/bin/sh\", \"-c\", \"echo $HOME > /home-is\"]\n"),
    ("workdir", "FROM BASE\nWORKDIR /w\nWORKDIR deeper\nRUN pwd > here\nCOPY a.txt ./b/\n"),
    (
        "stages",
        "FROM BASE AS one\nRUN echo 1 > /1\nFROM BASE AS two\nRUN echo 2 > /2\nFROM BASE\nCOPY --from=one /1 /\nCOPY --from=two /2 /t/\n",
    ),
    ("stage-number", "FROM BASE\nRUN echo 1 > /1\nFROM scratch\nCOPY --from=0 /1 /one\n"),
    ("from-stage", "FROM BASE AS one\nENV A=1\nRUN echo x > /x\nFROM one\nRUN echo $A > /y\n"),
    ("args", "ARG V=9\nFROM BASE\nARG V\nARG W=w$V\nRUN echo $V $W > /args\n"),
    ("env", "FROM BASE\nENV A=a B=\"b c\"\nENV C ${A}-${B:-x} D\nRUN echo \"$A/$B/$C\" > /env\n"),
    ("env-words", "FROM BASE\nENV E=1\nCOPY ${E:+a.txt} /${E}/$E.txt\nLABEL l=$E\n"),
    ("copy-directory", "FROM BASE\nCOPY dir /to\nCOPY dir/ /other/\n"),
    ("copy-glob", "FROM BASE\nCOPY *.txt /texts/\n"),
    ("copy-ignored", "FROM BASE\nCOPY . /all\n"),
    ("copy-owner", "FROM BASE\nCOPY --chown=nobody:nogroup a.txt /owned\nCOPY --chown=7:8 dir /owned-dir\n"),
    ("add", "FROM BASE\nADD run.sh a.txt /added/\n"),
    ("shell", "FROM BASE\nSHELL [\"/bin/sh\", \"-ec\"]\nRUN echo s > /s\nCMD echo $0\n"),
    ("user", "FROM BASE\nRUN mkdir -m 777 /pub\nUSER nobody\nRUN id -u > /pub/id\n"),
    (
        "config",
        "FROM BASE\nLABEL a=1 b.c=\"d e\"\nEXPOSE 80 53/udp\nVOLUME /data /more\nSTOPSIGNAL SIGINT\nENTRYPOINT [\"/bin/sh\"]\nCMD [\"-c\", \"true\"]\n",
    ),
    ("healthcheck", "FROM BASE\nHEALTHCHECK --interval=5s --retries=3 CMD test -f /x\n"),
    ("maintainer", "FROM BASE\nMAINTAINER somebody\nCMD exit 1\n"),
    ("onbuild", "FROM BASE\nONBUILD RUN echo never\nONBUILD COPY a.txt /\n"),
    ("cache-mount", "FROM BASE\nRUN --mount=type=cache,target=/c echo cached > /c/x && cp /c/x /from-cache\n"),
    ("bind-mount", "FROM BASE\nRUN --mount=type=bind,source=dir,target=/m cat /m/c.txt > /bound\n"),
    ("tmpfs-mount", "FROM BASE\nRUN --mount=type=tmpfs,target=/t echo t > /t/t && cp /t/t /from-tmpfs\n"),
    ("continuation", "# escape=`\nFROM BASE\nRUN echo a `\n  # a comment`\n  b > /ab\n"),
    ("deletions", "FROM BASE AS x\nRUN echo 1 > /gone && mkdir /d && echo 2 > /d/f\nFROM x\nRUN rm -r /gone /d\n"),
];

/// What both frontends make of options of the client, and where the text may be.
const OPTIONS: &[(&str, &str, &[&str])] = &[
    ("target", "FROM BASE AS one\nRUN echo 1 > /1\nFROM one\nRUN echo 2 > /2\n", &["--target", "one"]),
    ("build-arg", "ARG T\nFROM BASE\nARG T\nRUN echo $T > /t\n", &["--build-arg", "T=given"]),
    ("label", "FROM BASE\n", &["--label", "a=1", "--label", "b.c=d e"]),
    ("no-cache", "FROM BASE\nRUN echo 1 > /1\n", &["--no-cache"]),
    ("add-host", "FROM BASE\nRUN grep there /etc/hosts > /hosts\n", &["--add-host", "there:10.1.2.3"]),
    ("platform", "FROM BASE\nARG TARGETARCH\nRUN echo $TARGETARCH > /arch\n", &["--platform", "linux/amd64"]),
];

/// Contexts that are no directories of the client: arguments, and what is on standard input. `GIT` is a repository, `WEB` an
/// address, `CONTEXT` a directory.
const ELSEWHERE: &[(&str, &[&str], Option<&str>)] = &[
    // This old engine, which reads the file before the frontend starts, takes `master` where no branch is named, and no
    // directories.
    ("git", &["GIT#main"], None),
    ("git-tag", &["GIT#v1"], None),
    ("git-file", &["-f", "sub/Dockerfile", "GIT#v1"], None),
    ("web-archive", &["WEB/context.tar"], None),
    ("web-archive-packed", &["WEB/context.tgz"], None),
    ("web-archive-file", &["-f", "sub/Dockerfile", "WEB/context.tgz"], None),
    ("web-file", &["WEB/plain"], None),
    ("stdin-file", &["-"], Some("plain")),
    ("stdin-archive", &["-"], Some("context.tar")),
    ("stdin-archive-packed", &["-"], Some("context.tgz")),
    ("stdin-archive-file", &["-f", "sub/Dockerfile", "-"], Some("context.tar")),
    ("stdin-beside-directory", &["-f", "-", "CONTEXT"], Some("beside")),
];

/// Engine, registry with the frontend image, and a context.
struct Bench {
    docker: Docker,
    _registry: Registry,
    directory: TempDir,
    syntax: String,
}

impl Bench {
    /// `None` where there is no engine and no CI.
    fn new() -> Option<Self> {
        if !e2e::have(registry::PROGRAMS) || !e2e::have(&["busybox"]) || !e2e::have(docker::PROGRAMS) {
            return None;
        }
        let docker = Docker::get()?;
        docker.import(&base::busybox().unwrap(), BASE, &["ENV PATH=/bin"]).unwrap();
        let registry = Registry::start().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let syntax = format!("{}/llbc:1", registry.address);
        let bench = Self { docker, _registry: registry, directory, syntax };
        push_frontend(bench.directory.path(), &bench.syntax);
        for (name, content) in FILES {
            bench.write(name, content);
        }
        Some(bench)
    }

    fn context(&self) -> std::path::PathBuf {
        self.directory.path().join("context")
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.context().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Builds a file by both frontends; the tags of the images.
    fn build_both(&self, name: &str, text: &str, arguments: &[&str]) -> [String; 2] {
        let text = text.replace("BASE", BASE);
        let syntax = format!("# syntax={}\n", self.syntax);
        [("ours", syntax.as_str()), ("theirs", "")].map(|(who, first)| {
            self.write(&format!("Dockerfile.{who}"), &format!("{first}{text}"));
            let tag = format!("{name}-{who}:frontend");
            // Layers are compared, too.
            let same: &[&str] = if who == "ours" { &["--build-arg", "LLBC_OPT=0"] } else { &[] };
            let arguments = [&["-t", &tag], same, arguments].concat();
            self.build(&format!("Dockerfile.{who}"), &arguments).unwrap_or_else(|error| panic!("{name}: {error}"));
            tag
        })
    }

    fn build(&self, file: &str, arguments: &[&str]) -> e2e::Result<e2e::Run> {
        let file = self.context().join(file);
        let arguments = [&["-f", file.to_str().unwrap()], arguments].concat();
        self.docker.build(&self.context(), &arguments)
    }

    /// Compares images pair by pair: configs, and the tree of each layer.
    #[track_caller]
    fn require_same(&self, tags: &[[String; 2]]) {
        let archive = self.directory.path().join("images.tar");
        process::succeed(self.docker.client().args(["save", "-o"]).arg(&archive).args(tags.as_flattened())).unwrap();
        let images = images(&archive);
        for [ours, theirs] in tags {
            let ((config, layers), (their_config, their_layers)) = (&images[ours], &images[theirs]);
            assert_eq!(config, their_config, "{ours}");
            assert_eq!(layers.len(), their_layers.len(), "{ours}");
            for (layer, their_layer) in layers.iter().zip(their_layers) {
                let difference = layer.difference(their_layer, ("ours", "docker's"));
                assert!(difference.is_empty(), "{ours}\n{}", difference.join("\n"));
            }
        }
    }

    /// Builds what is not a directory of the client: an address, or `-` with standard input.
    fn build_elsewhere(&self, tag: &str, arguments: &[&str], stdin: Option<&Path>) -> e2e::Result<e2e::Run> {
        let mut command = self.docker.client();
        command.args(["build", "--network=none", "--progress=plain", "-t", tag]).args(arguments);
        let input = stdin.map(|path| std::fs::read(path).unwrap()).unwrap_or_default();
        self.docker.run_build(&mut command, &input)
    }

    /// Tree and config of an image built at a level, and the steps of its build that were shown. `None` is the level of who
    /// says none.
    fn optimized(&self, file: &str, level: Option<&str>) -> (Tree, Value, usize) {
        let argument = level.map(|level| format!("LLBC_OPT={level}"));
        let tag = format!("level:{}", level.unwrap_or("default"));
        let mut arguments = vec!["--no-cache", "-t", &tag];
        arguments.extend(argument.iter().flat_map(|argument| ["--build-arg", argument]));
        let run = self.build(file, &arguments).unwrap_or_else(|error| panic!("{file} at {level:?}: {error}"));
        // A step is named again when others were shown meanwhile.
        let names: BTreeSet<String> = run.err().lines().filter_map(step).collect();
        let client = |arguments: &[&str]| process::succeed(self.docker.client().args(arguments)).unwrap();
        // What is not started needs no program.
        let container = client(&["create", &tag, "true"]).out();
        let tar = client(&["export", container.trim()]).stdout;
        client(&["rm", container.trim()]);
        let config = client(&["image", "inspect", "--format={{json .Config}}", &tag]).out();
        let tree = Tree::from_tar(&tar[..]).unwrap().without_times();
        (tree, serde_json::from_str(&config).unwrap(), names.len())
    }

    /// Builds a file by this frontend that cannot be built; what the client says.
    fn fail(&self, text: &str) -> String {
        self.write("Dockerfile.bad", &format!("# syntax={}\n{}", self.syntax, text.replace("BASE", BASE)));
        self.build("Dockerfile.bad", &[]).expect_err("the file cannot be built").to_string()
    }
}

/// The name of a step where it begins: `#7 [2/5] RUN x`.
fn step(line: &str) -> Option<String> {
    let (_, name) = line.strip_prefix('#')?.split_once(" [")?;
    (!name.starts_with("internal]")).then(|| name.to_owned())
}

/// Images of an archive by tag: config, and the tree of each layer.
fn images(archive: &Path) -> BTreeMap<String, (Value, Vec<Tree>)> {
    let files = read(archive);
    let json = |name: &str| serde_json::from_slice::<Value>(&files[name]).unwrap();
    let image = |entry: &Value| {
        let layers = entry["Layers"].as_array().unwrap().iter();
        let layers: Vec<Tree> =
            layers.map(|layer| Tree::from_tar(&files[layer.as_str().unwrap()][..]).unwrap()).collect();
        let config = image::comparable(&json(entry["Config"].as_str().unwrap()));
        let tags: Vec<String> =
            entry["RepoTags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned()).collect();
        // Images that are equal to the byte are one, of both names.
        tags.into_iter().map(move |tag| (tag, (config.clone(), layers.clone())))
    };
    json("manifest.json").as_array().unwrap().iter().flat_map(image).collect()
}

/// All files of a tar; links of `docker save` to layers it has already written are followed.
fn read(archive: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut tar = tar::Archive::new(std::fs::File::open(archive).unwrap());
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut links = Vec::new();
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if let Some(target) = entry.link_name().unwrap() {
            let target = Path::new(&name).parent().unwrap().join(target);
            links.push((name, normal(&target)));
            continue;
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        files.insert(name, bytes);
    }
    for (name, target) in links {
        let bytes = files[&target].clone();
        files.insert(name, bytes);
    }
    files
}

fn normal(path: &Path) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.to_str().unwrap().split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Builds the image from one program twice, into a registry and into a store: it must be one image.
fn push_frontend(directory: &Path, name: &str) {
    let pushed = frontend::push(&directory.join("push"), name).unwrap();
    let again = frontend::digest(&directory.join("again"), "type=image,rewrite-timestamp=true,name=llbc").unwrap();
    assert_eq!(pushed, again, "the image is not reproducible");
}

#[test]
fn the_executor_runs_frontend_images() {
    if !e2e::have(registry::PROGRAMS) || !e2e::have(&["busybox"]) {
        return;
    }
    let registry = Registry::start().unwrap();
    let name = format!("{}/llbc:1", registry.address);
    push_frontend(tempfile::tempdir().unwrap().path(), &name);
    let sandbox = Sandbox::with_base();
    let text = "FROM base AS One\nRUN echo 1 > /one\nFROM base\nCOPY --from=One /one /\nCOPY a.txt /\n";
    sandbox.write("a.txt", "a\n");
    sandbox.write("Dockerfile", &format!("# syntax={name}\n{text}"));
    sandbox.write("plain/Dockerfile", text);

    let digest = |run: &e2e::Run| run.out().trim().to_owned();
    let build = |file: &str| digest(&sandbox.succeed(sandbox.llbc().args(["build", "--quiet", "-f", file, "."])));
    let plain = build("plain/Dockerfile");
    assert_eq!(build("Dockerfile"), plain, "by the frontend and without it");
    let run = |arguments: &[&str]| {
        let mut command = sandbox.executor();
        command.args(["--frontend", &name, "--progress=plain"]).args(arguments);
        process::run(&mut command).unwrap()
    };
    let said = run(&["--quiet", "--opt", "filename=plain/Dockerfile"]);
    assert_eq!(digest(&said), plain, "{}", said.err());
    // How it was made: by the frontend, whose image went in like the base, from what it read.
    let options = ["filename=plain/Dockerfile", "build-arg:A=b", "attest:provenance=mode=max"];
    let options = options.iter().flat_map(|option| ["--opt", option]);
    let said = run(&options.chain(["-o", "tree"]).collect::<Vec<_>>());
    assert!(said.status.success(), "{}", said.err());
    let told: Value = serde_json::from_str(&sandbox.read("tree/provenance.json")).unwrap();
    let definition = &told["predicate"]["buildDefinition"];
    let made = &definition["externalParameters"];
    assert_eq!(made["configSource"]["path"], "plain/Dockerfile");
    assert_eq!(made["request"]["frontend"], "gateway.v0");
    assert_eq!(made["request"]["args"], serde_json::json!({ "build-arg:A": "b", "source": name }));
    assert_eq!(made["request"]["locals"], serde_json::json!([{ "name": "context" }, { "name": "dockerfile" }]));
    let materials = definition["resolvedDependencies"].as_array().unwrap().iter();
    let materials: Vec<&str> = materials.map(|material| material["uri"].as_str().unwrap()).collect();
    let [frontend, base] = materials.as_slice() else { panic!("{materials:?}") };
    assert!(frontend.starts_with("pkg:docker/127.0.0.1%3A") && frontend.contains("/llbc@1?"), "{frontend}");
    assert!(base.starts_with("pkg:docker/base@latest?"), "{base}");
    // What is in it, and in a stage, by the frontend; of one that says nothing the executor has it told.
    scanner::build(&sandbox, "base", "-t scanner");
    let text =
        "FROM base AS one\nARG BUILDKIT_SBOM_SCAN_STAGE=1\nRUN echo 1 > /one\nFROM scratch\nCOPY --from=one /one /\n";
    sandbox.write("scanned/Dockerfile", text);
    let options = ["filename=scanned/Dockerfile", "attest:sbom=generator=scanner", "attest:provenance=mode=min"];
    let options: Vec<&str> = options.iter().flat_map(|option| ["--opt", option]).collect();
    let said = run(&[&options[..], &["-o", "scanned/tree"]].concat());
    assert!(said.status.success(), "{}", said.err());
    let bill = |file: &str| -> Value { serde_json::from_str(&sandbox.read(&format!("scanned/tree/{file}"))).unwrap() };
    assert_eq!(bill("sbom.spdx.json")["predicate"]["files"][0]["fileName"], "/one");
    assert_eq!(bill("sbom-one.spdx.json")["predicate"]["name"], "sbom-one");
    let materials = bill("provenance.json")["predicate"]["buildDefinition"]["resolvedDependencies"].to_string();
    assert!(materials.contains("pkg:docker/scanner@latest"), "{materials}");
    let text = said.err();
    let scans: BTreeSet<&str> = text
        .lines()
        .filter(|line| line.contains("generating sbom"))
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(scans.len(), 1, "{text}");
    let said = run(&["--opt", "no-cache"]);
    assert!(
        said.err().contains("WARN: StageNameCasing: Stage name 'One' should be lowercase (line 2)"),
        "{}",
        said.err()
    );
    let said = run(&["--opt", "requestid=frontend.targets", "--metadata-file", "answer.json"]);
    assert_eq!(said.out(), "TARGET    DESCRIPTION\none       \n(default) \n", "{}", said.err());
    let answer: Value = serde_json::from_str(&sandbox.read("answer.json")).unwrap();
    assert_eq!(answer["result.json"]["targets"][0]["name"], "one", "{answer}");

    sandbox.write("Dockerfile", &format!("# syntax={name}\nFROM base\nRUM x\n"));
    let failed = process::run(sandbox.llbc().args(["build", "."])).unwrap();
    assert!(!failed.status.success());
    for words in ["   3 | >>> RUM x", "error: dockerfile parse error on line 3: unknown instruction: RUM"] {
        assert!(failed.err().contains(words), "{words}\n{}", failed.err());
    }
    // An image that is no frontend.
    let image = format!("{}/base:1", registry.address);
    sandbox.write("Push", "FROM base\n");
    sandbox.succeed(sandbox.llbc().args(["build", "-f", "Push", "-o", &format!("type=registry,name={image}"), "."]));
    let failed = process::run(sandbox.executor().args(["--frontend", &image])).unwrap();
    assert!(failed.err().contains("without a result"), "{}", failed.err());
}

#[test]
fn the_program_for_another_architecture_builds_the_same() {
    const EMULATOR: &str = "qemu-aarch64-static";
    if !e2e::have(registry::PROGRAMS) || !e2e::have(&["busybox", EMULATOR]) {
        return;
    }
    if !Arch::Arm64.is_supported() {
        process::say("not run, the toolchain has no target aarch64-unknown-linux-musl");
        return;
    }
    let registry = Registry::start().unwrap();
    let programs = [Arch::Amd64, Arch::Arm64].map(|arch| (arch, frontend::compile(arch, "dev").unwrap()));
    let directory = tempfile::tempdir().unwrap();
    let name = format!("{}/llbc:both", registry.address);
    let outputs = [
        format!("type=registry,rewrite-timestamp=true,name={name}"),
        "type=image,rewrite-timestamp=true,name=llbc".to_owned(),
    ];
    let [pushed, again] = outputs.map(|output| frontend::digest_of(&programs, directory.path(), &output).unwrap());
    assert_eq!(pushed, again, "the image is not reproducible");

    // Each machine gets its own program: the entrypoint of the foreign one runs in an emulator.
    let sandbox = Sandbox::with_base();
    std::fs::copy(process::find(EMULATOR).unwrap(), sandbox.directory().join("emulator")).unwrap();
    let emulated = format!("{}/llbc:emulated", registry.address);
    let image = format!(
        "FROM --platform=linux/arm64 {name} AS program\nFROM scratch\nCOPY --from=program /llbc-frontend /\nCOPY emulator /\n\
         ENTRYPOINT [\"/emulator\", \"/llbc-frontend\"]\n"
    );
    sandbox.write("Image", &image);
    let output = format!("type=registry,name={emulated}");
    sandbox.succeed(sandbox.llbc().args(["build", "-f", "Image", "-o", &output, "."]));
    sandbox
        .write("Dockerfile", "FROM base AS One\nRUN echo 1 > /one\nFROM base\nCOPY --from=One /one /\nCOPY Image /\n");
    let digest = |frontend: &str| {
        let run = process::run(sandbox.executor().args(["--frontend", frontend, "--quiet"])).unwrap();
        assert!(run.status.success(), "{frontend}\n{}", run.err());
        run.out().trim().to_owned()
    };
    assert_eq!(digest(&name), digest(&emulated));
}

#[test]
fn images_are_the_same_with_and_without_the_syntax_line() {
    let Some(bench) = Bench::new() else { return };
    let mut tags: Vec<[String; 2]> = SAME.iter().map(|(name, text)| bench.build_both(name, text, &[])).collect();
    tags.extend(OPTIONS.iter().map(|(name, text, arguments)| bench.build_both(name, text, arguments)));
    bench.require_same(&tags);

    // What the engine's own frontend does not know, on the same engine.
    let heredoc =
        format!("# syntax={}\nFROM {BASE}\nRUN <<EOF\necho one > /one\nEOF\nCOPY --link a.txt /\n", bench.syntax);
    bench.write("Dockerfile.new", &heredoc);
    bench.build("Dockerfile.new", &["-t", "new:frontend"]).unwrap();
    let run =
        bench.docker.client().args(["run", "--rm", "--network=none", "new:frontend", "cat", "/one", "/a.txt"]).output();
    assert_eq!(String::from_utf8(run.unwrap().stdout).unwrap(), "one\na\n");

    // Mistakes and steps that fail; this old client shows no lines of the file, of its own frontend's errors neither.
    for (text, words) in [
        ("FROM BASE\nRUM x\n", "dockerfile parse error on line 3: unknown instruction: RUM (did you mean RUN?)"),
        ("FROM BASE\nRUN exit 7\n", "exit code: 7"),
        ("FROM BASE\nCOPY nothing /\n", "\"/nothing\" not found"),
    ] {
        let said = bench.fail(text);
        assert!(said.contains(words), "{words}\n{said}");
    }
}

#[test]
fn contexts_may_be_anywhere() {
    if !e2e::have(&["git"]) {
        return;
    }
    let Some(bench) = Bench::new() else { return };
    let place = |who: &str| bench.directory.path().join(who);
    for (who, first) in [("ours", format!("# syntax={}\n", bench.syntax)), ("theirs", String::new())] {
        let write = |name: &str, content: &str| {
            let path = place(who).join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        };
        let text = |steps: &str| format!("{first}FROM {BASE}\n{steps}");
        write("git/Dockerfile", &text("COPY a.txt sub/*.txt /top/\n"));
        write("git/a.txt", "a\n");
        write("git/sub/Dockerfile", &text("COPY *.txt /sub/\n"));
        write("git/sub/b.txt", "b\n");
        write("plain", &text("RUN echo plain > /plain\n"));
        write("beside", &text("COPY . /all\n"));
        let archives = "tar -C git -cf context.tar . && tar -C git -czf context.tgz .";
        process::succeed(std::process::Command::new("sh").args(["-c", archives]).current_dir(place(who))).unwrap();
        serve::commit(&place(who).join("git")).unwrap();
    }
    let (git, web) = (GitDaemon::start(bench.directory.path()), serve(bench.directory.path()));
    let context = bench.context();
    let build = |name: &str, who: &str, arguments: &[&str], stdin: Option<&str>| {
        let fill = |word: &&str| {
            word.replace("GIT", &format!("{}/{who}/git", git.address))
                .replace("WEB", &format!("{web}/{who}"))
                .replace("CONTEXT", context.to_str().unwrap())
        };
        let arguments: Vec<String> = arguments.iter().map(fill).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let tag = format!("{name}-{who}:elsewhere");
        let stdin = stdin.map(|name| place(who).join(name));
        let built = bench.build_elsewhere(&tag, &arguments, stdin.as_deref());
        built.unwrap_or_else(|error| panic!("{tag}: {error}"));
        tag
    };
    let both = |(name, arguments, stdin): &(&str, &[&str], Option<&str>)| {
        ["ours", "theirs"].map(|who| build(name, who, arguments, *stdin))
    };
    let tags: Vec<[String; 2]> = ELSEWHERE.iter().map(both).collect();
    bench.require_same(&tags);
}

#[test]
fn the_engine_builds_every_language() {
    let Some(bench) = Bench::new() else { return };
    let syntax = format!("# syntax={}\n", bench.syntax);
    let cat = |tag: &str| {
        let run = bench.docker.client().args(["run", "--rm", "--network=none", tag, "cat", "/made"]).output().unwrap();
        String::from_utf8(run.stdout).unwrap()
    };
    // A comment begins with the same character in all of them.
    let hlb = "fs default() {\n\timage \"BASE\"\n\trun \"cat /in/a.txt > /made; echo hlb >> /made\" with option {\n\t\tmount fs { local \".\" } \"/in\" with readonly\n\t\tnetwork \"none\"\n\t}\n}\n";
    bench.write("build.hlb", &format!("{syntax}{}", hlb.replace("BASE", BASE)));
    let toml = "[image.made]\nfrom = \"BASE\"\nstep = [{ copy = \"./a.txt\", to = \"/made\" }, { run = \"echo toml >> /made\" }]\n";
    bench.write("build.toml", &format!("{syntax}{}", toml.replace("BASE", BASE)));
    bench.build("build.hlb", &["-t", "hlb:frontend"]).unwrap();
    assert_eq!(cat("hlb:frontend"), "a\nhlb\n");
    bench.build("build.toml", &["-t", "toml:frontend"]).unwrap();
    assert_eq!(cat("toml:frontend"), "a\ntoml\n");
    for (file, text, words) in [
        ("bad.hlb", "fs default() {\n\timage 12\n}\n", "cannot use int as type string"),
        ("bad.toml", "[image.a]\nfrom = \"x\"\ncdm = [\"x\"]\n", "unknown key `cdm` in image (did you mean cmd?)"),
        (
            "layout.toml",
            "[source]\ns = { oci-layout = \"x\" }\n[image.a]\nfrom = \"source.s\"\n",
            "a frontend does not see the layout of `source-s`, which is beside the build file",
        ),
    ] {
        bench.write(file, &format!("{syntax}{text}"));
        let said = bench.build(file, &[]).expect_err("the file cannot be built").to_string();
        assert!(said.contains(words), "{words}\n{said}");
    }
}

/// What passes find something to do in, beside those of [`SAME`] in which they do.
const STEPS: &[(&str, &str)] = &[
    ("steps", "FROM BASE\nWORKDIR /a\nCOPY a.txt .\nCOPY b.txt .\nCOPY dir sub/\nWORKDIR /b\nRUN cat /a/a.txt > c\n"),
    (
        "collected",
        "FROM BASE AS made\nRUN mkdir -m 700 /out && echo 1 > /out/1\nFROM scratch AS only\nCOPY --from=made /out /\nFROM BASE\nWORKDIR /w\nCOPY --from=only / /to/\n",
    ),
    (
        "owners",
        "FROM BASE\nWORKDIR /w\nCOPY --chown=nobody:nogroup a.txt b.txt ./\nUSER nobody\nWORKDIR deep\nCOPY dir .\n",
    ),
];

#[test]
fn the_engine_makes_the_same_at_every_level() {
    let Some(bench) = Bench::new() else { return };
    let is_worth_it = |(name, _): &&(&str, &str)| ["workdir", "stages", "from-stage", "env", "add"].contains(name);
    for (name, text) in STEPS.iter().chain(SAME.iter().filter(is_worth_it)) {
        let file = format!("Dockerfile.{name}");
        bench.write(&file, &format!("# syntax={}\n{}", bench.syntax, text.replace("BASE", BASE)));
        let (tree, config, plain) = bench.optimized(&file, Some("0"));
        let steps = [None, Some("1"), Some("2")].map(|level| {
            let (other, other_config, steps) = bench.optimized(&file, level);
            let difference = other.difference(&tree, ("this level", "-O0"));
            assert!(difference.is_empty(), "{name} at {level:?}\n{}", difference.join("\n"));
            assert_eq!(other_config, config, "{name} at {level:?}");
            steps
        });
        assert_eq!(steps[0], steps[1], "{name}: -O1 is what nobody asks for");
        if STEPS.iter().any(|(known, _)| known == name) {
            assert!(steps[1] < plain && steps[2] <= steps[1], "{name}: {steps:?} steps of {plain}");
        }
    }
}

#[test]
fn the_engine_keeps_each_layer_where_it_is_asked_to() {
    let Some(bench) = Bench::new() else { return };
    let (name, text) = STEPS[0];
    bench.write(name, &format!("# syntax={}\n{}", bench.syntax, text.replace("BASE", BASE)));
    let layers = |arguments: &[&str]| {
        let arguments = arguments.iter().flat_map(|argument| ["--build-arg", argument]);
        bench.build(name, &arguments.chain(["-t", "layers:1"]).collect::<Vec<_>>()).unwrap();
        let inspect = ["image", "inspect", "--format={{len .RootFS.Layers}}", "layers:1"];
        process::succeed(bench.docker.client().args(inspect)).unwrap().out().trim().parse::<usize>().unwrap()
    };
    let (given, fused) = (layers(&["LLBC_OPT=0"]), layers(&["LLBC_OPT=2"]));
    assert!(fused < given, "{fused} layers of {given}");
    assert_eq!(layers(&["LLBC_OPT=2", "LLBC_PRESERVE_LAYERS=true"]), given);
    let error = bench.build(name, &["--build-arg", "LLBC_PRESERVE_LAYERS=yes"]).expect_err("it is no boolean");
    assert!(error.to_string().contains("LLBC_PRESERVE_LAYERS yes: say true or false"), "{error}");
}

#[test]
fn the_engine_has_the_labs_channel_where_it_is_asked_for() {
    let Some(bench) = Bench::new() else { return };
    let text = format!("# syntax={}\nFROM {BASE}\nRUN --device=acme.com/none true\n", bench.syntax);
    bench.write("Dockerfile.labs", &text);
    let error = bench.build("Dockerfile.labs", &[]).expect_err("devices belong to labs");
    assert!(error.to_string().contains("device feature is only supported in"), "{error}");
    bench.build("Dockerfile.labs", &["--build-arg", "LLBC_CHANNEL=labs"]).unwrap();
}
