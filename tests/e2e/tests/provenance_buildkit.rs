//! What BuildKit v0.32 and the executor say of how the same results were made (`BUILDKITD` names the daemon, or the shell
//! finds it). No distribution has that daemon, so these tests say that they were not run where it is missing.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use e2e::{Buildkit, Sandbox, attested, process};
use serde_json::Value;

const BUILD: &str = "\
FROM BASE AS tools
RUN echo tool > /tool

FROM BASE
ARG V=1
COPY --from=tools /tool /tool
COPY file /file
RUN --mount=type=secret,id=token,required=false --mount=type=ssh,required=false --network=none echo $V > /v
LABEL a=b
";

/// The same for two platforms, of which this machine need only run one.
const SEVERAL: &str = "\
FROM --platform=$BUILDPLATFORM BASE AS tools
RUN echo tool > /tool

FROM scratch
COPY --from=tools /tool /tool
ADD ADDRESS/file /added
";
/// A step more, of which BuildKit does not tell the layers.
const OF_LAYOUT: &str = "COPY --from=layout /etc /etc\n";

/// Builds on both sides with a flag that each has its own way to say, and compares.
fn compare(sandbox: &Sandbox, daemon: &Buildkit, attrs: &str, theirs: &[&str], ours: &str) {
    let mut build = daemon.client();
    build.current_dir(sandbox.directory()).args(["build", "--progress=plain", "--frontend=dockerfile.v0"]);
    build.args(["--local", "context=context", "--local", "dockerfile=context", "--opt", "filename=Dockerfile"]);
    build.args(theirs).args(["--opt", &format!("attest:provenance={attrs}")]);
    build.args(["--output", "type=oci,dest=theirs.tar,name=docker.io/library/app:1"]);
    process::succeed(&mut build).unwrap_or_else(|error| panic!("{error}"));
    sandbox.succeed(&mut sandbox.shell(&format!(
        "rm -rf theirs ours; mkdir theirs ours; tar -C theirs -xf theirs.tar; \
         llbc build -O0 {ours} --provenance={attrs} -o type=oci,dest=ours.tar -t app:1 context; tar -C ours -xf ours.tar"
    )));
    let (mut ours, mut theirs) = (attested::read(sandbox, "ours"), attested::read(sandbox, "theirs"));
    attested::comparable(&mut ours);
    attested::comparable(&mut theirs);
    assert_eq!(ours, theirs, "{attrs}");
}

#[test]
fn the_same_is_said_field_by_field() {
    let Some((sandbox, _registry)) = Buildkit::beside(BUILD) else { return };
    let daemon = Buildkit::get().unwrap().unwrap();
    let theirs = ["--opt", "build-arg:V=2", "--opt", "label:x=y"];
    for attrs in ["mode=min", "mode=max,builder-id=me,reproducible=true", "mode=max,version=v0.2"] {
        compare(&sandbox, &daemon, attrs, &theirs, "--build-arg V=2 --label x=y");
    }
}

#[test]
fn the_same_is_said_of_several_platforms_and_of_sources_of_other_kinds() {
    let Some((sandbox, registry)) = Buildkit::beside(BUILD) else { return };
    let daemon = Buildkit::get().unwrap().unwrap();
    let base = format!("{}/base:1", registry.address);
    let web = e2e::serve::serve(&sandbox.directory().join("context"));
    let text = SEVERAL.replace("BASE", &base).replace("ADDRESS", &web);
    sandbox.write("context/Dockerfile", &text);
    let platforms = "linux/amd64,linux/arm64";
    let opts = ["--opt", &format!("platform={platforms}")];
    compare(&sandbox, &daemon, "mode=max", &opts, &format!("--platform {platforms}"));

    sandbox.write("context/Dockerfile", &(text + OF_LAYOUT));
    sandbox.succeed(&mut sandbox.shell("llbc build -o type=oci,tar=false,dest=layout base"));
    let index: Value = serde_json::from_str(&sandbox.read("layout/index.json")).unwrap();
    let layout = format!("layout=oci-layout://layout@{}", index["manifests"][0]["digest"].as_str().unwrap());
    let named = format!("context:{layout}");
    let opts = [&opts[..], &["--opt", &named, "--oci-layout", "layout=layout"]].concat();
    compare(&sandbox, &daemon, "mode=min", &opts, &format!("--platform {platforms} --build-context {layout}"));
}

#[test]
fn what_is_said_of_the_machine_is_said_in_the_same_place() {
    let Some((sandbox, _registry)) = Buildkit::beside(BUILD) else { return };
    sandbox.write("env/a.json", r#"{"host": "h1", "b": {"c": [1]}}"#);
    sandbox.write("env/b.json", r#"{"b": "later"}"#);
    sandbox.write("env/c.txt", "no");
    let text = format!("provenanceEnvDir = {:?}", sandbox.directory().join("env"));
    let daemon = Buildkit::configured(&Buildkit::program().unwrap(), &text).unwrap();
    for attrs in ["mode=min", "mode=max,version=v0.2"] {
        compare(&sandbox, &daemon, attrs, &[], "--provenance-env-dir env");
    }
    assert!(attested::read(&sandbox, "theirs").to_string().contains("later"));
}
