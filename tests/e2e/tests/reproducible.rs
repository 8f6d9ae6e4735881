//! With `SOURCE_DATE_EPOCH` the same files give the same image: in any store, after any other build, and in BuildKit.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::path::Path;

use e2e::{Buildkit, Sandbox, base, process};
use serde_json::Value;

const EPOCH: &str = "1700000000";

/// Steps that leave files, directories, links and deletions behind, old and new, and what several steps see.
const DOCKERFILE: &str = "FROM scratch AS base
ADD busybox.tar /
RUN mkdir -p /srv/deep/er && echo made > /srv/deep/er/file && ln /srv/deep/er/file /srv/hard && ln -s er /srv/deep/soft
RUN rm /srv/hard && touch -d @1 /srv/deep && touch -d @4000000000 /srv/future && mkdir -m 1777 /srv/sticky
FROM base AS other
RUN echo other > /other && chown 7:8 /other
FROM base
WORKDIR /work/dir
COPY --chown=5:6 context /work/dir/
COPY --from=other /other /srv/
ADD --chmod=600 context/a /srv/b
ENV A=1
LABEL l=v
RUN --mount=type=cache,target=/cache --mount=type=tmpfs,target=/t touch /cache/x /t/y && date > /dev/null
CMD [\"true\"]
";

fn place() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", DOCKERFILE);
    sandbox.write("context/a", "a\n");
    sandbox.write("context/sub/b", "b\n");
    std::fs::copy(base::busybox().unwrap(), sandbox.directory().join("busybox.tar")).unwrap();
    sandbox
}

fn build(sandbox: &Sandbox, flags: &str, options: &str, name: &str) {
    let output = format!("type=oci,dest={name},rewrite-timestamp=true{options}");
    let script = format!("SOURCE_DATE_EPOCH={EPOCH} llbc build --progress=plain {flags} -o {output} .");
    sandbox.succeed(&mut sandbox.shell(&script));
}

/// Parts of the image in an archive: the manifest, the config, and for each layer its digest and entries.
fn parts(archive: &Path) -> (Value, Value, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    process::succeed(std::process::Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(directory.path()))
        .unwrap();
    let blob = |digest: &Value| directory.path().join("blobs").join(digest.as_str().unwrap().replace(':', "/"));
    let read = |path: &Path| serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap();
    let index = read(&directory.path().join("index.json"));
    let manifest = read(&blob(&index["manifests"][0]["digest"]));
    let config = read(&blob(&manifest["config"]["digest"]));
    let layers = manifest["layers"].as_array().unwrap().iter();
    let layers = layers.map(|layer| {
        let list = process::succeed(std::process::Command::new("tar").arg("-tvf").arg(blob(&layer["digest"]))).unwrap();
        format!("{}\n{}", layer["digest"], list.out())
    });
    let layers = layers.collect();
    (manifest, config, layers)
}

#[test]
fn the_same_in_any_store_and_after_any_build() {
    let (one, two) = (place(), place());
    build(&one, "", "", "first.tar");
    // Another history: other files before, no cache, another runtime, one step at a time.
    two.write("Dockerfile", &DOCKERFILE.replace("made", "other"));
    build(&two, "", "", "other.tar");
    two.write("Dockerfile", DOCKERFILE);
    build(&two, "--no-cache --oci-runtime=crun --max-parallelism=1", "", "second.tar");
    let read = |sandbox: &Sandbox, name: &str| std::fs::read(sandbox.directory().join(name)).unwrap();
    let same = read(&one, "first.tar") == read(&two, "second.tar");
    let shown = |sandbox: &Sandbox, name: &str| parts(&sandbox.directory().join(name));
    assert!(same, "{:#?}\n{:#?}", shown(&one, "first.tar"), shown(&two, "second.tar"));
    build(&one, "--no-cache", "", "again.tar");
    assert!(read(&one, "first.tar") == read(&one, "again.tar"));
}

#[test]
fn the_same_as_in_buildkit() {
    let Some(buildkit) = Buildkit::get() else { return };
    let buildkit = buildkit.unwrap();
    let sandbox = place();
    build(&sandbox, "-O0", ",compression=uncompressed", "ours.tar");
    let mut command = buildkit.client();
    command.current_dir(sandbox.directory()).args(["build", "--frontend=dockerfile.v0", "--local=context=."]);
    command.args(["--local=dockerfile=.", &format!("--opt=build-arg:SOURCE_DATE_EPOCH={EPOCH}")]);
    command.arg("--output=type=oci,dest=theirs.tar,rewrite-timestamp=true,compression=uncompressed");
    process::succeed(&mut command).unwrap();
    let read = |name: &str| parts(&sandbox.directory().join(name));
    let ((mut ours, our_config, our_layers), (mut theirs, their_config, their_layers)) =
        (read("ours.tar"), read("theirs.tar"));
    assert_eq!(our_layers, their_layers);
    assert_eq!(our_config, their_config);
    // An annotation of its own gets into BuildKit's manifests.
    for manifest in [&mut ours, &mut theirs] {
        for layer in manifest["layers"].as_array_mut().unwrap() {
            layer.as_object_mut().unwrap().remove("annotations");
        }
    }
    assert_eq!(ours, theirs);
}
