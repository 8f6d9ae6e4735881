//! What is told of a build for programs: `--progress=rawjson` and `--metadata-file`, in the shape of BuildKit's client.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::collections::BTreeSet;
use std::path::Path;

use e2e::{Buildkit, Sandbox, base, process};
use serde_json::Value;

const DOCKERFILE: &str = "FROM scratch AS base
ADD busybox.tar /
RUN echo out; echo err >&2
FROM base
WORKDIR /w
COPY Dockerfile /w/
RUN --mount=type=cache,target=/c true
";

/// Paths of all fields in values, with their types: `.vertexes[].digest string`.
fn fields(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(all) => all.iter().for_each(|(key, value)| fields(value, &format!("{path}.{key}"), found)),
        Value::Array(all) => all.iter().for_each(|value| fields(value, &format!("{path}[]"), found)),
        Value::Null => {}
        Value::Bool(_) => drop(found.insert(format!("{path} bool"))),
        Value::Number(_) => drop(found.insert(format!("{path} number"))),
        Value::String(_) => drop(found.insert(format!("{path} string"))),
    }
}

/// Fields of a stream of JSON lines, the names of its vertices, and what is told of the export.
fn told(lines: &str) -> (BTreeSet<String>, BTreeSet<String>, BTreeSet<String>) {
    let (mut shape, mut names, mut parts) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for line in lines.lines() {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        fields(&value, "", &mut shape);
        let all = |list: &str, key: &str| -> Vec<String> {
            let list = value[list].as_array().into_iter().flatten();
            list.map(|item| item[key].as_str().unwrap_or_default().to_owned()).collect()
        };
        names.extend(all("vertexes", "name"));
        // Without the digests, which differ with the times.
        let kinds =
            all("statuses", "id").into_iter().map(|id| id.split(" sha256:").next().unwrap_or_default().to_owned());
        parts.extend(kinds.filter(|kind| kind.starts_with("exporting") || kind.starts_with("sending")));
    }
    // A frontend in the daemon reads files that llbc reads itself.
    names.retain(|name| {
        !name.starts_with("[internal] load build definition") && name != "[internal] load .dockerignore"
    });
    (shape, names, parts)
}

fn metadata(path: &Path) -> BTreeSet<String> {
    let mut shape = BTreeSet::new();
    fields(&serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap(), "", &mut shape);
    shape
}

#[test]
fn programs_are_told_what_buildkit_tells_them() {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", DOCKERFILE);
    std::fs::copy(base::busybox().unwrap(), sandbox.directory().join("busybox.tar")).unwrap();
    let name = "docker.io/library/app:1";
    let ours = sandbox.succeed(&mut sandbox.shell(&format!(
        "llbc build -O0 --no-cache --progress=rawjson --metadata-file ours.json -t {name} -o type=oci,dest=ours.tar ."
    )));
    let (shape, names, parts) = told(&ours.err());
    for field in
        [".vertexes[].digest", ".vertexes[].started", ".vertexes[].completed", ".statuses[].id", ".logs[].data"]
    {
        assert!(shape.contains(&format!("{field} string")), "{field} is not in {shape:?}");
    }
    let expected = ["exporting config", "exporting layers", "exporting manifest", "sending tarball"];
    assert_eq!(parts.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    let Some(buildkit) = Buildkit::get() else { return };
    let buildkit = buildkit.unwrap();
    let mut build = buildkit.client();
    build.current_dir(sandbox.directory()).args([
        "build",
        "--no-cache",
        "--progress=rawjson",
        "--metadata-file=theirs.json",
    ]);
    build.args(["--frontend=dockerfile.v0", "--local=context=.", "--local=dockerfile=."]);
    build.arg(format!("--output=type=oci,name={name},dest=theirs.tar"));
    let theirs = process::succeed(&mut build).unwrap();
    let (their_shape, their_names, their_parts) = told(&theirs.err());
    assert_eq!((names, parts), (their_names, their_parts));
    let unknown: Vec<_> = shape.difference(&their_shape).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    // Where it is all of a kind: `.statuses[].name` and the like come with what only a daemon does.
    let missing: Vec<_> = their_shape.difference(&shape).collect();
    assert!(missing.iter().all(|field| field.starts_with(".statuses[]")), "{missing:?}");
    let read = |name: &str| metadata(&sandbox.directory().join(name));
    assert_eq!(read("ours.json"), read("theirs.json"));
}
