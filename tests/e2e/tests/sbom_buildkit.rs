//! The bills of materials that BuildKit v0.32 and the executor have made of the same results (`BUILDKITD` names the daemon,
//! or the shell finds it). No distribution has that daemon, so these tests say that they were not run where it is missing.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::process::Command;

use e2e::{Buildkit, Sandbox, attested, frontend, process, scanner};
use serde_json::Value;

const BUILD: &str = "\
FROM BASE AS tools
ARG BUILDKIT_SBOM_SCAN_STAGE=true
RUN echo tool > /tool

FROM BASE
ARG BUILDKIT_SBOM_SCAN_CONTEXT=true
COPY --from=tools /tool /dir/tool
COPY file /file
RUN echo more > /more && echo again > /dir/tool
";

/// The same for two platforms, of which this machine need only run one.
const SEVERAL: &str = "\
FROM --platform=$BUILDPLATFORM BASE AS tools
RUN echo tool > /tool

FROM scratch
ARG TARGETARCH
COPY --from=tools /tool /tool-$TARGETARCH
";

/// What both builders make of the context, told of in layouts `theirs` and `ours`.
fn both(sandbox: &Sandbox, daemon: &Buildkit, theirs: &[&str], ours: &str) -> (Value, Value) {
    let mut build = daemon.client();
    build.current_dir(sandbox.directory()).args(["build", "--progress=plain", "--frontend=dockerfile.v0"]);
    build.args(["--local", "context=context", "--local", "dockerfile=context", "--opt", "filename=Dockerfile"]);
    build.args(theirs).args(["--output", "type=oci,dest=theirs.tar,name=docker.io/library/app:1"]);
    process::succeed(&mut build).unwrap_or_else(|error| panic!("{error}"));
    sandbox.succeed(&mut sandbox.shell(&format!(
        "rm -rf theirs ours; mkdir theirs ours; tar -C theirs -xf theirs.tar; \
         llbc build -O0 {ours} -o type=oci,dest=ours.tar -t app:1 context; tar -C ours -xf ours.tar"
    )));
    (attested::read(sandbox, "ours"), attested::read(sandbox, "theirs"))
}

/// Which layer each file is said to be from, by the numbers of layers.
fn number_layers(said: &mut Value, sandbox: &Sandbox, layout: &str) {
    let images = said[0]["manifests"].as_array().unwrap().clone();
    let images = images.iter().filter(|image| image["platform"]["os"] != "unknown");
    for (number, image) in images.enumerate() {
        let digest = image["digest"].as_str().unwrap().trim_start_matches("sha256:");
        let manifest = sandbox.read(&format!("{layout}/blobs/sha256/{digest}"));
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        let layers: Vec<String> = manifest["layers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|layer| format!("layerID: {}", layer["digest"].as_str().unwrap()))
            .collect();
        for statement in said[2][number].as_array_mut().unwrap() {
            let Some(files) = statement["predicate"]["files"].as_array_mut() else { continue };
            for comment in files.iter_mut().filter_map(|file| file.get_mut("comment")) {
                *comment = layers.iter().position(|layer| layer == comment.as_str().unwrap()).unwrap().into();
            }
        }
    }
}

#[track_caller]
fn compare(sandbox: &Sandbox, daemon: &Buildkit, theirs: &[&str], ours: &str) {
    let (ours, theirs) = both(sandbox, daemon, theirs, ours);
    same(sandbox, ours, theirs);
}

/// Compares what is said of two layouts, `ours` and `theirs`.
#[track_caller]
fn same(sandbox: &Sandbox, mut ours: Value, mut theirs: Value) {
    number_layers(&mut ours, sandbox, "ours");
    number_layers(&mut theirs, sandbox, "theirs");
    attested::comparable(&mut ours);
    attested::comparable(&mut theirs);
    assert_eq!(ours, theirs);
}

/// A program that reads a file.
fn from_file(file: &str, program: &Command) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec \"$@\" < {file}"), "sh"]).arg(program.get_program()).args(program.get_args());
    command
}

#[test]
fn the_same_is_said_field_by_field() {
    let Some((sandbox, registry)) = Buildkit::beside(BUILD) else { return };
    let daemon = Buildkit::get().unwrap().unwrap();
    let generator = format!("{}/scanner:1", registry.address);
    scanner::build(&sandbox, &format!("{}/base:1", registry.address), &format!("--push -t {generator}"));
    let attest = format!("attest:sbom=generator={generator},DEPTH=2");
    let flags = format!("--sbom=generator={generator},DEPTH=2");
    compare(&sandbox, &daemon, &["--opt", &attest], &flags);
    for mode in ["min", "max"] {
        let provenance = format!("attest:provenance=mode={mode}");
        let ours = format!("{flags} --provenance=mode={mode}");
        compare(&sandbox, &daemon, &["--opt", &attest, "--opt", &provenance], &ours);
    }
    let arguments =
        ["--opt", "build-arg:BUILDKIT_SBOM_SCAN_STAGE=no", "--opt", "build-arg:BUILDKIT_SBOM_SCAN_CONTEXT=0"];
    let ours = "--build-arg BUILDKIT_SBOM_SCAN_STAGE=no --build-arg BUILDKIT_SBOM_SCAN_CONTEXT=0";
    compare(&sandbox, &daemon, &[&["--opt", &attest][..], &arguments].concat(), &format!("{flags} {ours}"));

    // Files beside a tree.
    let directory = ["--opt", &attest, "--opt", "attest:provenance=mode=min", "--opt", "filename=Dockerfile"];
    let mut build = daemon.client();
    build.current_dir(sandbox.directory()).args(["build", "--progress=plain", "--frontend=dockerfile.v0"]);
    build.args(["--local", "context=context", "--local", "dockerfile=context"]).args(directory);
    process::succeed(build.args(["--output", "type=local,dest=theirs-tree"])).unwrap();
    sandbox.succeed(&mut sandbox.shell(&format!("llbc build -O0 {flags} --provenance=mode=min -o ours-tree context")));
    sandbox.succeed(&mut sandbox.shell(
        "for side in theirs ours; do (cd $side-tree; ls *.json) > $side-names; done; cmp theirs-names ours-names",
    ));
    for name in sandbox.read("ours-names").split_whitespace() {
        let [ours, theirs] = ["ours", "theirs"].map(|side| {
            let mut told: Value = serde_json::from_str(&sandbox.read(&format!("{side}-tree/{name}"))).unwrap();
            // Of files both have the same digests, but for those that hold times.
            assert!(told["subject"].as_array().unwrap().len() > 3, "{told}");
            attested::comparable(&mut told);
            told
        });
        assert_eq!(ours, theirs, "{name}");
    }

    // A definition that no frontend made.
    let mut build = daemon.client();
    build.current_dir(sandbox.directory()).args(["build", "--progress=plain", "--opt", &attest]);
    build.args(["--local", "context=context", "--output", "type=oci,dest=theirs.tar,name=docker.io/library/app:1"]);
    sandbox.succeed(&mut sandbox.shell("llbc -O0 context/Dockerfile --context context > definition"));
    let mut build = from_file("definition", &build);
    process::succeed(build.current_dir(sandbox.directory())).unwrap_or_else(|error| panic!("{error}"));
    sandbox.succeed(&mut sandbox.shell(&format!(
        "rm -rf theirs ours; mkdir theirs ours; tar -C theirs -xf theirs.tar; executor {flags} --local context=context \
         -o type=oci,dest=ours.tar -t app:1 definition; tar -C ours -xf ours.tar"
    )));
    same(&sandbox, attested::read(&sandbox, "ours"), attested::read(&sandbox, "theirs"));

    let text = SEVERAL.replace("BASE", &format!("{}/base:1", registry.address));
    sandbox.write("context/Dockerfile", &text);
    let platforms = "linux/amd64,linux/arm64";
    let theirs = ["--opt", &attest, "--opt", "attest:provenance=mode=max", "--opt", &format!("platform={platforms}")];
    compare(&sandbox, &daemon, &theirs, &format!("{flags} --provenance=mode=max --platform {platforms}"));
}

#[test]
fn what_a_frontend_returns_is_taken_as_the_daemon_takes_it() {
    let Some((sandbox, registry)) = Buildkit::beside(BUILD) else { return };
    let daemon = Buildkit::get().unwrap().unwrap();
    let (frontend, generator) = (format!("{}/llbc:1", registry.address), format!("{}/scanner:1", registry.address));
    frontend::push(&sandbox.directory().join("frontend"), &frontend).unwrap();
    scanner::build(&sandbox, &format!("{}/base:1", registry.address), &format!("--push -t {generator}"));
    let platforms = "platform=linux/amd64,linux/arm64";
    let text = SEVERAL.replace("BASE", &format!("{}/base:1", registry.address));
    for (text, more) in [(None, vec![]), (Some(text), vec![platforms])] {
        if let Some(text) = text {
            sandbox.write("context/Dockerfile", &text);
        }
        let opts = [format!("attest:sbom=generator={generator},DEPTH=2"), "optimize=0".to_owned()];
        let opts: Vec<&str> = opts.iter().map(String::as_str).chain(more).flat_map(|opt| ["--opt", opt]).collect();
        let mut build = daemon.client();
        build.current_dir(sandbox.directory()).args(["build", "--progress=plain", "--frontend=gateway.v0"]);
        build.args(["--opt", &format!("source={frontend}")]).args(&opts);
        build.args(["--local", "context=context", "--local", "dockerfile=context"]);
        build.args(["--output", "type=oci,dest=theirs.tar,name=docker.io/library/app:1"]);
        process::succeed(&mut build).unwrap_or_else(|error| panic!("{error}"));
        let mut build = sandbox.executor();
        build.args([
            "--frontend",
            &frontend,
            "--local",
            "context=context",
            "-o",
            "type=oci,dest=ours.tar",
            "-t",
            "app:1",
        ]);
        sandbox.succeed(build.args(&opts));
        sandbox
            .succeed(&mut sandbox.shell(
                "rm -rf theirs ours; mkdir theirs ours; tar -C theirs -xf theirs.tar; tar -C ours -xf ours.tar",
            ));
        same(&sandbox, attested::read(&sandbox, "ours"), attested::read(&sandbox, "theirs"));
    }
}
