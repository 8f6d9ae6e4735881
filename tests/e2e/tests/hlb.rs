//! HLB programs, built: the example of the project, and what is said when something is wrong.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::collections::BTreeSet;
use std::path::Path;

use e2e::Sandbox;
use e2e::docker::Docker;
use e2e::registry::Registry;
use serde_json::Value;

/// A sandbox with the base image and the project's example.
fn example() -> Sandbox {
    let sandbox = Sandbox::with_base();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/hlb");
    for file in ["build.hlb", "lib/page.hlb", "src/text.html"] {
        sandbox.write(file, &std::fs::read_to_string(root.join(file)).unwrap());
    }
    sandbox
}

#[test]
fn the_example_is_an_image() {
    let sandbox = example();
    let build = "llbc build -f build.hlb --offline --target site --build-arg base=base";
    sandbox.succeed(&mut sandbox.shell(&format!("{build} -o type=local,dest=tree -t site:1")));
    assert_eq!(sandbox.read("tree/www/index.html"), "<h1>Hello, HLB</h1>\n<p>Rendered in a container.</p>\n");
    assert_eq!(sandbox.read("tree/www/robots.txt"), "User-agent: * Disallow:");
}

#[test]
fn a_pipeline_sends_away_what_it_says() {
    let sandbox = example();
    sandbox.succeed(&mut sandbox.shell("llbc build -f build.hlb --offline --target all --build-arg base=base"));
    assert!(sandbox.read("out/tree/www/index.html").starts_with("<h1>Hello, HLB</h1>"));
    let config = sandbox.succeed(&mut sandbox.shell("tar -xOf out/site.tar manifest.json")).out();
    assert!(config.contains("site:1"), "{config}");
}

#[test]
fn processes_on_this_machine_need_permission() {
    let sandbox = Sandbox::new();
    sandbox.write("build.hlb", "fs default() {\n\tscratch\n\tmkfile \"/f\" 0o644 localRun(\"echo made here\")\n}\n");
    let refused = sandbox.fail(1, &mut sandbox.shell("llbc dump build.hlb"));
    assert!(refused.contains("--allow-local-run"), "{refused}");
    let shown = sandbox.succeed(&mut sandbox.shell("llbc dump --allow-local-run build.hlb")).out();
    assert!(shown.contains("made here"), "{shown}");
}

#[test]
fn errors_are_in_the_module_where_they_are() {
    let sandbox = Sandbox::new();
    sandbox.write("build.hlb", "import lib from \"./lib.hlb\"\n\nfs default() {\n\tlib.base\n}\n");
    sandbox.write("lib.hlb", "export base\n\nfs base() {\n\timage 12\n}\n");
    let said = sandbox.fail(1, &mut sandbox.shell("llbc dump build.hlb"));
    assert!(said.contains("lib.hlb:4:8") && said.contains("cannot use int as type string"), "{said}");
    let said = sandbox.fail(1, &mut sandbox.shell("llbc compile build.hlb --target nothing -o x"));
    assert!(said.contains("target \"nothing\" is not defined in build.hlb"), "{said}");
}

#[test]
fn a_dockerfile_is_a_source_of_a_program() {
    let sandbox = Sandbox::with_base();
    sandbox.write(
        "app/docker/Dockerfile",
        "ARG WORD\nFROM base AS build\nARG WORD\nCOPY text /text\nRUN echo $WORD >> /text\nFROM scratch\nCOPY --from=build /text /\n",
    );
    sandbox.write("app/text", "from the context\n");
    let options = "file \"docker/Dockerfile\"; arg \"WORD\" \"from_a_program\";";
    let program = format!(
        "fs default() {{\n\tdockerfile fs {{ local \"app\"; }} with option {{ {options} }}\n\tmkfile \"/more\" content=\"x\" filemode=0o644\n}}\n"
    );
    sandbox.write("build.hlb", &program);
    sandbox.succeed(&mut sandbox.shell("llbc build -f build.hlb --offline -o type=local,dest=tree"));
    assert_eq!(sandbox.read("tree/text"), "from the context\nfrom_a_program\n");
    assert_eq!(sandbox.read("tree/more"), "x");
}

#[test]
fn a_secret_of_the_environment_and_a_server_behind_a_socket() {
    let sandbox = Sandbox::with_base();
    let options = "secretEnv \"HOST_TOKEN\" \"TOKEN\"; forward \"tcp://127.0.0.1:9\" \"/server\";";
    let run = format!("run \"test $TOKEN = 123 && test -S /server && echo ok > /ok\" with option {{ {options} }}");
    sandbox.write("build.hlb", &format!("fs default() {{\n\timage \"base\"\n\t{run}\n}}\n"));
    let mut build = sandbox.shell("llbc build -f build.hlb --offline -o type=local,dest=tree");
    sandbox.succeed(build.env("HOST_TOKEN", "123"));
    assert_eq!(sandbox.read("tree/ok"), "ok\n");
}

#[test]
fn the_manifest_of_an_image_and_layers_that_can_be_read_early() {
    if !e2e::have(&["docker-registry"]) {
        return;
    }
    let registry = Registry::start().unwrap();
    let name = format!("{}/app:1", registry.address);
    let sandbox = Sandbox::new();
    let push = format!("dockerPush \"{name}\" with option {{ stargz; }}");
    sandbox.write("push.hlb", &format!("fs default() {{\n\tscratch\n\tmkfile \"/f\" 0o644 \"x\"\n\t{push}\n}}\n"));
    sandbox.succeed(&mut sandbox.shell("llbc build -f push.hlb"));
    let read = format!("fs default() {{\n\tscratch\n\tmkfile \"/f\" 0o644 manifest(\"{name}\")\n}}\n");
    sandbox.write("read.hlb", &read);
    let shown = sandbox.succeed(&mut sandbox.shell("llbc dump read.hlb")).out();
    assert!(shown.contains("containerd.io/snapshot/stargz/toc.digest"), "{shown}");
}

#[test]
fn what_is_known_of_a_program_is_told_by_where_it_goes() {
    let sandbox = Sandbox::new();
    let made = |name: &str| {
        format!(
            "fs {name}() {{\n\tscratch\n\tmkfile \"/{name}\" 0o644 \"x\"\n\tdownloadOCITarball \"{name}.tar\"\n}}\n"
        )
    };
    let program = format!("{}{}pipeline default() {{\n\tstage one\n\tstage two\n}}\n", made("one"), made("two"));
    sandbox.write("build.hlb", &program);
    let build = "llbc build -f build.hlb --metadata-file meta.json";
    let said = sandbox.fail(1, &mut sandbox.shell(build));
    assert!(said.contains("--metadata-file of a program that has several results"), "{said}");
    assert!(!sandbox.has("one.tar") && !sandbox.has("meta.json"));
    sandbox.write("build.hlb", &program.replace("\tstage two\n", ""));
    sandbox.succeed(&mut sandbox.shell(&format!("{build} --iidfile id")));
    let told: Value = serde_json::from_str(&sandbox.read("meta.json")).unwrap();
    let config = "containerimage.config.digest";
    assert_eq!(told[config], *sandbox.read("id"), "{told}");
    assert_eq!(told["one.tar"][config], told[config], "{told}");
    // Two that are sent away, on the way to one that is not.
    let twice = program.replace(
        "pipeline default() {\n\tstage one\n\tstage two\n}",
        "fs default() {\n\ttwo\n\tcopy one \"/\" \"/\"\n}",
    );
    sandbox.write("build.hlb", &twice);
    sandbox.succeed(&mut sandbox.shell(build));
    let told: Value = serde_json::from_str(&sandbox.read("meta.json")).unwrap();
    let digests: BTreeSet<&str> =
        [&told["one.tar"], &told["two.tar"], &told].map(|of| of[config].as_str().unwrap()).into();
    assert_eq!(digests.len(), 3, "{told}");
}

#[test]
fn a_push_for_several_platforms_is_one_index() {
    if !e2e::have(&["docker-registry", "skopeo"]) {
        return;
    }
    let registry = Registry::start().unwrap();
    let name = format!("{}/app:1", registry.address);
    let sandbox = Sandbox::new();
    let program = format!("fs default() {{\n\tscratch\n\tmkfile \"/f\" 0o644 \"x\"\n\tdockerPush \"{name}\"\n}}\n");
    sandbox.write("build.hlb", &program);
    sandbox.succeed(&mut sandbox.shell("llbc build -f build.hlb --platform linux/amd64,linux/arm64"));
    let inspect = format!("skopeo inspect --raw --tls-verify=false docker://{name}");
    let index = sandbox.succeed(&mut sandbox.shell(&inspect)).out();
    assert!(index.contains("image.index") && index.contains("\"amd64\"") && index.contains("\"arm64\""), "{index}");
}

/// A module that a program imports from a filesystem, and one that this imports beside it, with a file that it copies.
const LIBRARY: &[(&str, &str)] = &[
    (
        "module.hlb",
        "import words from \"./parts/words.hlb\"\n\nexport page\n\nfs page() {\n  scratch\n  copy fs { local \"files\"; } \"/\" \"/\"\n  mkfile \"/word\" 0o644 words.greeting\n}\n",
    ),
    ("parts/words.hlb", "export greeting\nstring greeting() { \"hello\"; }\n"),
    ("files/data", "from the library\n"),
];

#[test]
fn a_module_is_a_file_of_a_filesystem() {
    let sandbox = Sandbox::new();
    for (path, text) in LIBRARY {
        sandbox.write(&format!("library/{path}"), text);
    }
    sandbox.write("build.hlb", "import lib from fs { local \"library\"; }\n\nfs default() {\n\tlib.page\n}\n");
    let build = "llbc build -f build.hlb --offline -o type=local,dest=";
    sandbox.succeed(&mut sandbox.shell(&format!("{build}tree")));
    assert_eq!((sandbox.read("tree/word"), sandbox.read("tree/data")), ("hello".into(), "from the library\n".into()));

    sandbox.succeed(&mut sandbox.shell("llbc hlb vendor build.hlb"));
    let kept = sandbox.succeed(&mut sandbox.shell("find .hlb/modules -type f | sort")).out();
    assert!(kept.contains("/module.hlb\n") && kept.contains("/parts/words.hlb\n"), "{kept}");
    // As HLB keeps them: in order.
    let text = sandbox.succeed(&mut sandbox.shell("cat .hlb/modules/sha256/*/*/module.hlb")).out();
    assert!(text.contains("\n\tscratch\n"), "{text}");
    let tree = sandbox.succeed(&mut sandbox.shell("llbc hlb tree build.hlb")).out();
    let lines: Vec<&str> = tree.lines().collect();
    assert_eq!(lines[0], "build.hlb");
    assert!(lines[1].starts_with("└── [lib]  sha256:") && lines[1].ends_with("/module.hlb"), "{tree}");
    assert!(lines[2].starts_with("    └── [words]  sha256:") && lines[2].ends_with("/parts/words.hlb"), "{tree}");
    sandbox.succeed(&mut sandbox.shell("cd .hlb/modules && sha256sum -c ../modules.sum"));

    // What is kept stands for what is there now, and must be what it was.
    sandbox.write("library/parts/words.hlb", "export greeting\nstring greeting() { \"bye\"; }\n");
    sandbox.succeed(&mut sandbox.shell(&format!("{build}kept")));
    assert_eq!(sandbox.read("kept/word"), "hello");
    sandbox.succeed(&mut sandbox.shell("echo >> .hlb/modules/sha256/*/*/parts/words.hlb"));
    let said = sandbox.fail(1, &mut sandbox.shell(&format!("{build}changed")));
    assert!(said.contains("is not what it was when it was kept") && said.contains("module.hlb:1:19"), "{said}");
    sandbox.succeed(&mut sandbox.shell("llbc hlb vendor -t lib build.hlb"));
    sandbox.succeed(&mut sandbox.shell(&format!("{build}new")));
    assert_eq!(sandbox.read("new/word"), "bye");

    // What is no longer imported goes; what is missing is said, or kept again.
    sandbox.write("library/more", "");
    sandbox.write("build.hlb", "import lib from fs {\n\tlocal \"library\" with option { includePatterns \"**\"; }\n}\n\nfs default() {\n\tlib.page\n}\n");
    let said = sandbox.fail(1, &mut sandbox.shell(&format!("{build}missing")));
    assert!(said.contains("missing module \"lib\" from vendor") && said.contains("build.hlb:1:17"), "{said}");
    sandbox.succeed(&mut sandbox.shell("llbc hlb tidy build.hlb"));
    sandbox.succeed(&mut sandbox.shell(&format!("{build}tidy")));
    let kept = sandbox.succeed(&mut sandbox.shell("find .hlb/modules -name module.hlb | wc -l")).out();
    assert_eq!(kept.trim(), "1");
    assert!(sandbox.fail(2, &mut sandbox.shell("llbc hlb vendor -t lid build.hlb")).contains("lib"));
    sandbox.write("alone.hlb", "fs default() { scratch; }\n");
    let said = sandbox.succeed(&mut sandbox.shell("llbc hlb tree alone.hlb")).out();
    assert_eq!(said, "No imports found in alone.hlb\n");
}

#[test]
fn a_module_is_a_file_of_a_repository() {
    if !e2e::have(&["git"]) {
        return;
    }
    let sandbox = Sandbox::new();
    for (path, text) in LIBRARY {
        sandbox.write(&format!("served/r/{path}"), text);
    }
    sandbox.write("served/r/build.hlb", "import all from \"./module.hlb\"\nexport page\nfs page() { all.page; }\n");
    let repository = sandbox.directory().join("served/r");
    e2e::serve::commit(&repository).unwrap();
    sandbox.succeed(&mut sandbox.shell("cd served/r && git update-server-info && mv .git ../r.git"));
    let address = e2e::serve::serve(&sandbox.directory().join("served"));
    let address = format!("git+{address}/r.git");
    sandbox.write("build.hlb", &format!("import lib from \"{address}@main\"\n\nfs default() {{\n\tlib.page\n}}\n"));
    let said = sandbox.fail(1, &mut sandbox.shell("llbc build -f build.hlb --offline"));
    assert!(
        said.contains("--offline") && said.contains("build.hlb:1:17") && said.contains("llbc hlb vendor"),
        "{said}"
    );
    let build = "llbc build -f build.hlb -o type=local,dest=";
    sandbox.succeed(&mut sandbox.shell(&format!("{build}tree")));
    assert_eq!((sandbox.read("tree/word"), sandbox.read("tree/data")), ("hello".into(), "from the library\n".into()));
    // What is kept needs no server; what it copies is fetched.
    sandbox.succeed(&mut sandbox.shell("llbc hlb vendor build.hlb"));
    let tree = sandbox.succeed(&mut sandbox.shell("llbc hlb tree --offline --long build.hlb")).out();
    assert!(tree.contains("/build.hlb\n") && tree.contains("    └── [all]  sha256:"), "{tree}");
    // Errors are in the module, by its place.
    sandbox
        .write("wrong.hlb", &format!("import lib from \"{address}@v1:none.hlb\"\n\nfs default() {{\n\tlib.page\n}}\n"));
    let said = sandbox.fail(1, &mut sandbox.shell("rm -r .hlb; llbc dump wrong.hlb"));
    assert!(said.contains("wrong.hlb:1:17") && said.contains("has no file none.hlb"), "{said}");
    sandbox.write("wrong.hlb", &format!("import lib from \"{address}@v2\"\n\nfs default() {{\n\tlib.page\n}}\n"));
    let said = sandbox.fail(1, &mut sandbox.shell("llbc dump wrong.hlb"));
    assert!(said.contains("wrong.hlb:1:17") && said.contains("importing \"lib\""), "{said}");
}

/// A filesystem that a process makes: it has a directory that all processes of the program see.
fn step(name: &str, script: &str) -> String {
    format!(
        "fs {name}() {{\n\timage \"base\"\n\trun \"{script}\" with option {{\n\t\tmount scratch \"/shared\" with option {{ cache \"meet\" \"shared\"; }}\n\t}}\n}}\n"
    )
}

/// What a process does that waits for another one: both end only if they run at once.
fn meet(own: &str, other: &str) -> String {
    let wait =
        format!("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do test -e /shared/{other} && exit 0; sleep 1; done");
    format!("echo > /shared/{own}; {wait}; exit 1")
}

#[test]
fn what_a_pipeline_has_at_once_overlaps() {
    let sandbox = Sandbox::with_base();
    // Two filesystems of a stage; and two pipelines of a stage, each with two stages of its own.
    let steps = [
        step("a", &meet("a", "b")),
        step("b", &meet("b", "a")),
        step("c", &meet("c", "e")),
        step("d", &meet("d", "f")),
        step("e", &meet("e", "c")),
        step("f", &meet("f", "d")),
    ];
    let pipelines = "pipeline one() { stage c; stage d; }\npipeline two() { stage e; stage f; }\npipeline default() {\n\tstage a b\n\tstage one two\n}\n";
    sandbox.write("build.hlb", &(steps.concat() + pipelines));
    sandbox.succeed(&mut sandbox.shell("llbc build -f build.hlb --offline"));
}

#[test]
fn what_a_pipeline_has_one_after_the_other_does_not_overlap() {
    let sandbox = Sandbox::with_base();
    let alone = |own: &str| {
        format!("test ! -e /shared/busy || exit 7; echo > /shared/busy; sleep 2; rm /shared/busy; echo {own}")
    };
    let steps = ["a", "b", "c"].map(|name| step(name, &alone(name)));
    sandbox.write("build.hlb", &(steps.concat() + "pipeline default() {\n\tstage a\n\tstage b\n\tstage c\n}\n"));
    sandbox.succeed(&mut sandbox.shell("llbc build -f build.hlb --offline"));
    // One that fails ends it.
    let steps = [step("a", "exit 3"), step("b", "echo > /shared/b")];
    let last = step("c", "test ! -e /shared/b");
    sandbox.write("fail.hlb", &(steps.concat() + &last + "pipeline default() {\n\tstage a\n\tstage b\n}\n"));
    let said = sandbox.fail(1, &mut sandbox.shell("llbc build -f fail.hlb --offline"));
    assert!(said.contains("exit code: 3"), "{said}");
    sandbox.succeed(&mut sandbox.shell("llbc build -f fail.hlb --offline --target c"));
}

#[test]
fn the_digest_of_a_push_is_a_string_of_the_program() {
    if !e2e::have(&["docker-registry"]) {
        return;
    }
    let registry = Registry::start().unwrap();
    let name = format!("{}/app:1", registry.address);
    let sandbox = Sandbox::new();
    let pushed =
        format!("fs pushed() {{\n\tscratch\n\tmkfile \"/f\" 0o644 \"x\"\n\tdockerPush \"{name}\" as digest\n}}\n");
    let program = format!("{pushed}fs default() {{\n\tscratch\n\tmkfile \"/digest\" 0o644 digest\n}}\n");
    sandbox.write("build.hlb", &program);
    // Who only looks sends nothing away.
    let said = sandbox.fail(1, &mut sandbox.shell("llbc dump build.hlb"));
    assert!(said.contains("only a build pushes") && said.contains("build.hlb:4:2"), "{said}");
    sandbox.succeed(&mut sandbox.shell("llbc build -f build.hlb -o type=local,dest=tree"));
    let read = format!("fs default() {{\n\timage \"{}/app@$DIGEST\"\n}}\n", registry.address);
    sandbox.write("read.hlb", &read.replace("$DIGEST", &sandbox.read("tree/digest")));
    sandbox.succeed(&mut sandbox.shell("llbc build -f read.hlb -o type=local,dest=back"));
    assert_eq!(sandbox.read("back/f"), "x");
}

#[test]
fn a_frontend_image_makes_a_filesystem() {
    if !e2e::have(&["docker-registry"]) {
        return;
    }
    let registry = Registry::start().unwrap();
    let name = format!("{}/llbc:1", registry.address);
    let sandbox = Sandbox::with_base();
    e2e::frontend::push(&sandbox.directory().join("image"), &name).unwrap();
    let inputs = "input \"context\" context; input \"dockerfile\" context; input \"extra\" fs { local \"extra\"; };";
    let opts = "opt \"build-arg:WORD\" \"a_word\"; opt \"context:extra\" \"input:extra\";";
    let text = "ARG WORD\\nCOPY --from=extra /f /f\\nCOPY text /text\\nENV WORD=\\$WORD\\n";
    let context = format!(
        "fs context() {{\n\tscratch\n\tmkfile \"/text\" 0o644 \"from the context\"\n\tmkfile \"/Dockerfile\" 0o644 \"FROM scratch\\n{text}\"\n}}\n"
    );
    let program = format!(
        "{context}fs default() {{\n\tfrontend \"{name}\" with option {{ {inputs} {opts} }}\n\tmkfile \"/more\" 0o644 \"x\"\n}}\n"
    );
    sandbox.write("extra/f", "from an input\n");
    sandbox.write("build.hlb", &program);
    sandbox.succeed(&mut sandbox.shell("llbc build -f build.hlb -o type=local,dest=tree"));
    assert_eq!(
        (sandbox.read("tree/text"), sandbox.read("tree/f")),
        ("from the context".into(), "from an input\n".into())
    );
    assert_eq!(sandbox.read("tree/more"), "x");
    let image = sandbox.succeed(&mut sandbox.shell("llbc dump --image build.hlb")).out();
    assert!(image.contains("WORD=a_word"), "{image}");
}

#[test]
fn what_is_in_a_cache_can_be_bound() {
    let sandbox = Sandbox::with_base();
    let run = "run \"echo one >> /c/f; echo own > /c/own; ln -s f /c/link\" with option {\n\t\tmount scratch \"/c\" with option { cache \"id\" \"locked\"; } as kept\n\t}";
    sandbox.write("build.hlb", &format!("fs build() {{\n\timage \"base\"\n\t{run}\n}}\nfs default() {{\n\tkept\n\tmkfile \"/more\" 0o644 \"x\"\n}}\n"));
    sandbox.succeed(&mut sandbox.shell("llbc build -f build.hlb --offline -o type=local,dest=tree"));
    let listed = sandbox.succeed(&mut sandbox.shell("ls tree && readlink tree/link")).out();
    assert_eq!((sandbox.read("tree/f").as_str(), listed.as_str()), ("one\n", "f\nlink\nmore\nown\nf\n"));
}

#[test]
fn an_image_is_loaded_into_dockers_engine() {
    let Some(docker) = Docker::get() else { return };
    let sandbox = Sandbox::with_base();
    let program = "fs default() {\n\timage \"base\"\n\tmkfile \"/f\" 0o644 \"from a program\"\n\tentrypoint \"cat\" \"/f\"\n\tdockerLoad \"hlb/loaded:1\"\n}\n";
    sandbox.write("build.hlb", program);
    let mut build = sandbox.shell("llbc build -f build.hlb --offline");
    sandbox.succeed(build.env("DOCKER_HOST", format!("unix://{}", docker.socket().display())));
    let run = docker.client().args(["run", "--rm", "--network=none", "hlb/loaded:1"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&run.stdout), "from a program", "{}", String::from_utf8_lossy(&run.stderr));
}
