//! How results were made: asked for by flags, options, bake files and specs; beside images and trees.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::process::Command;

use e2e::serve::{self, GitDaemon};
use e2e::{Registry, Sandbox, attested, process, registry};
use serde_json::{Value, json};

const BUILD: &str = "\
FROM base
ARG WHO=me
COPY file /file
RUN --mount=type=secret,id=token,required=false --network=none echo $WHO > /who
";

/// The predicate beside a tree that a line of flags builds.
fn told(sandbox: &Sandbox, flags: &str) -> Value {
    sandbox.succeed(&mut sandbox.shell(&format!("llbc build {flags} -o tree")));
    sandbox.json("tree/provenance.json")["predicate"].take()
}

#[test]
fn what_flags_ask_for() {
    let sandbox = attested::app(BUILD);
    let request = |flags: &str| {
        let told = told(&sandbox, &format!("{flags} --build-arg WHO=you app"));
        told["buildDefinition"]["externalParameters"].clone()
    };
    let whole = json!({
        "configSource": { "path": "Dockerfile" },
        "request": {
            "frontend": "dockerfile.v0",
            "args": { "build-arg:WHO": "you" },
            "secrets": [{ "id": "token", "optional": true }],
            "locals": [{ "name": "context" }, { "name": "dockerfile" }],
            "compatibilityVersion": 30,
        },
    });
    for flags in
        ["--provenance=true", "--provenance=max", "--attest type=provenance", "--opt attest:provenance=mode=max"]
    {
        assert_eq!(request(flags), whole, "{flags}");
    }
    for flags in ["--provenance=min", "--provenance=mode=min", "--build-arg BUILDKIT_ATTEST_PROVENANCE=mode=min"] {
        let least = request(flags);
        assert_eq!((least["request"].get("args"), least["request"].get("secrets")), (None, None), "{flags}");
    }
    for flags in ["", "--provenance=false", "--sbom=false --attest type=provenance,disabled=true"] {
        sandbox.succeed(&mut sandbox.shell(&format!("rm -r tree; llbc build {flags} app -o tree")));
        assert!(!sandbox.has("tree/provenance.json"), "{flags}");
    }
}

#[test]
fn an_image_with_it_is_an_image_as_any_other() {
    if !e2e::have(registry::PROGRAMS) {
        return;
    }
    let (sandbox, registry) = (attested::app(BUILD), Registry::start().unwrap());
    let name = format!("{}/app:1", registry.address);
    let stored = sandbox.succeed(&mut sandbox.shell("llbc build --provenance=max -t app --iidfile id app")).err();
    assert!(stored.contains("exporting attestation manifest sha256:"), "{stored}");
    sandbox.succeed(&mut sandbox.shell(&format!("llbc build --provenance=max -t {name} --push app")));
    let list = sandbox.succeed(sandbox.executor().args(["images", "ls"])).out();
    assert!(list.contains("app:latest"), "{list}");
    for from in ["app", &name] {
        sandbox.write("next/Dockerfile", &format!("FROM {from}\nRUN cat /who /who > /twice\n"));
        sandbox.succeed(&mut sandbox.shell("llbc build -o next/out next"));
        assert_eq!(sandbox.read("next/out/twice"), "me\nme\n");
    }
    // Its blobs are not garbage.
    sandbox.succeed(sandbox.executor().args(["prune", "--all"]));
    sandbox.succeed(&mut sandbox.shell("llbc build -f next/Dockerfile -o type=oci,dest=all.tar . "));
    // Somebody else can copy all of it.
    if e2e::have(&["skopeo"]) {
        let copy = ["copy", "--all", "--src-tls-verify=false"];
        let (from, to) = (format!("docker://{name}"), format!("oci:{}/copy", sandbox.directory().display()));
        process::succeed(Command::new("skopeo").args(copy).args([from, to])).unwrap();
        let (index, said) = attested::statements(&sandbox, "copy");
        assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
        assert_eq!(said[0][0]["subject"][0]["digest"]["sha256"].as_str().map(str::len), Some(64));
    }
}

#[test]
fn what_comes_from_the_cache_went_in_all_the_same() {
    let sandbox = attested::app(BUILD);
    let without_times = |mut told: Value| {
        for key in ["invocationId", "startedOn", "finishedOn"] {
            assert!(told["runDetails"]["metadata"].as_object_mut().unwrap().remove(key).is_some(), "{key}");
        }
        told
    };
    let layout = |name: &str| {
        let output = format!("type=oci,tar=false,dest={name}");
        sandbox.succeed(&mut sandbox.shell(&format!("llbc build -O0 --provenance=max -o {output} app")));
        without_times(attested::statements(&sandbox, name).1[0][0]["predicate"].take())
    };
    let (first, second) = (layout("one"), layout("two"));
    assert_eq!(first, second);
    let metadata = &first["runDetails"]["metadata"]["buildkit_metadata"];
    assert_eq!(metadata["source"]["infos"][0]["filename"], "Dockerfile");
    let steps: Vec<&String> = metadata["layers"].as_object().unwrap().keys().collect();
    assert_eq!(steps.len(), 3, "the base, the file, the command: {steps:?}");
    let material = &first["buildDefinition"]["resolvedDependencies"][0];
    let base = format!("pkg:docker/base@latest?platform=linux%2F{}", e2e::frontend::Arch::here().unwrap().name());
    assert_eq!(material["uri"], base);
}

#[test]
fn a_repository_is_a_material_and_its_password_is_none() {
    let sandbox = attested::app(BUILD);
    serve::commit(&sandbox.directory().join("app")).unwrap();
    let daemon = GitDaemon::start(&sandbox.directory());
    let address = format!("{}/app", daemon.address);
    let commit =
        process::succeed(Command::new("git").args(["rev-parse", "main"]).current_dir(sandbox.directory().join("app")));
    let commit = json!({ "sha1": commit.unwrap().out().trim() });
    let flags = "--provenance=mode=max,complete-materials=true --build-arg P=https://me:hunter2@example.com/";
    let told = told(&sandbox, &format!("{flags} {address}#main"));
    let source = &told["buildDefinition"]["externalParameters"]["configSource"];
    assert_eq!((&source["digest"], source["uri"].as_str()), (&commit, Some(&*format!("{address}#main"))));
    let materials = told["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
    assert!(materials.contains(&json!({ "uri": format!("{address}#main"), "digest": commit })), "{materials:?}");
    assert_eq!(told["runDetails"]["metadata"]["buildkit_completeness"]["resolvedDependencies"], true);
    assert_eq!(told["runDetails"]["metadata"]["buildkit_hermetic"], true);
    assert!(!told.to_string().contains("hunter2"), "{told}");
    let local = sandbox.fail(1, &mut sandbox.shell("llbc build --provenance=complete-materials=true app"));
    assert!(local.contains("provenance materials are incomplete: local directories: context, dockerfile"), "{local}");
}

#[test]
fn targets_of_bake_files_and_images_of_specs_say_it_themselves() {
    let sandbox = attested::app(BUILD);
    sandbox.write(
        "docker-bake.json",
        r#"{"group": {"default": {"targets": ["a", "b"]}}, "target": {
            "a": {"context": "app", "attest": ["type=provenance,mode=min"], "output": ["a"]},
            "b": {"context": "app", "attest": [{"type": "provenance", "builder-id": "me"}], "output": ["b"]}}}"#,
    );
    sandbox.succeed(&mut sandbox.shell("llbc build -f docker-bake.json"));
    let of = |file: &str| sandbox.json(file)["predicate"].take();
    assert_eq!(of("a/provenance.json")["runDetails"]["builder"]["id"], "");
    assert_eq!(of("b/provenance.json")["runDetails"]["builder"]["id"], "me");
    assert!(of("b/provenance.json")["buildDefinition"]["internalParameters"]["buildConfig"].is_object());
    sandbox.succeed(&mut sandbox.shell("rm -r a b; llbc build -f docker-bake.json --provenance=false"));
    assert!(sandbox.has("a/who") && !sandbox.has("a/provenance.json") && !sandbox.has("b/provenance.json"));

    let spec = "[image.x]\nfrom = \"base\"\ntags = [\"x\"]\nattest = { provenance = \"min\" }\n\
                [image.y]\nfrom = \"base\"\ntags = [\"y\"]\n";
    sandbox.write("build.toml", spec);
    let stored = sandbox.succeed(&mut sandbox.shell("llbc build -f build.toml . x y")).err();
    assert_eq!(
        stored.lines().filter(|line| line.contains("exporting attestation manifest") && line.ends_with("done")).count(),
        1
    );
}

#[test]
fn results_of_one_build_have_their_own_materials() {
    let sandbox = attested::app(BUILD);
    sandbox.succeed(&mut sandbox.shell("llbc build -t other app"));
    let stage = |name: &str, base: &str| {
        format!(
            "[stage.{name}]\nfrom = \"{base}\"\nstep = [{{ run = \"mkdir /out && echo {name} > /out/{name}\" }}]\n\
             [files.of-{name}]\nfrom = \"stage.{name}:/out\"\nto = \"./{name}\"\n"
        )
    };
    sandbox.write("build.toml", &(stage("a", "base") + &stage("b", "other")));
    sandbox.succeed(&mut sandbox.shell("llbc build -f build.toml --provenance=min . of-a of-b"));
    let materials = |name: &str| {
        let told = sandbox.json(&format!("{name}/provenance.json"));
        let materials = told["predicate"]["buildDefinition"]["resolvedDependencies"].as_array().unwrap().clone();
        let name = |material: &Value| material["uri"].as_str().unwrap().split('@').next().unwrap().to_owned();
        materials.iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(
        (materials("a"), materials("b")),
        (vec!["pkg:docker/base".to_owned()], vec!["pkg:docker/other".to_owned()])
    );
}

#[test]
fn programs_that_are_one_build_say_it_and_others_do_not() {
    let sandbox = attested::app(BUILD);
    let program = |more: &str| {
        format!("export default\nfs default() {{\n\timage \"base\"\n\tmkfile \"/a\" 0o644 \"x\"\n{more}}}\n")
    };
    sandbox.write("one.hlb", &program(""));
    let told = told(&sandbox, "-f one.hlb --provenance=max .");
    assert_eq!(told["buildDefinition"]["externalParameters"]["request"]["frontend"], "llbc.hlb");
    sandbox.write("several.hlb", &program("\tdownload \"there\"\n"));
    let refused = sandbox.fail(1, &mut sandbox.shell("llbc build -f several.hlb --provenance=max ."));
    assert!(refused.contains("an attestation of a program that sends results away"), "{refused}");
}

#[test]
fn whoever_runs_the_machine_has_more_said() {
    let sandbox = attested::app(BUILD);
    sandbox.write("env/a.json", r#"{"host": "h1", "b": [1, {"c": null}]}"#);
    for (version, path) in [("v1", "/buildDefinition/internalParameters"), ("v0.2", "/invocation/environment")] {
        let told = told(&sandbox, &format!("--provenance=version={version} --provenance-env-dir env app"));
        let internal = told.pointer(path).unwrap_or_else(|| panic!("{told}"));
        assert_eq!((&internal["host"], &internal["b"]), (&json!("h1"), &json!([1, { "c": null }])));
        assert!(internal.get("llbcVersion").is_some(), "{internal}");
    }
    sandbox.write("env/b.json", r#"{"builderPlatform": "x"}"#);
    let refused = sandbox.fail(1, &mut sandbox.shell("llbc build --provenance=max --provenance-env-dir env -o no app"));
    assert!(refused.contains("env/b.json: key \"builderPlatform\" of a provenance is the builder's own"), "{refused}");
    sandbox.succeed(&mut sandbox.shell("llbc build --provenance-env-dir env -o tree app"));
}

#[test]
fn definitions_have_nothing_but_themselves() {
    let sandbox = attested::app(BUILD);
    sandbox.succeed(
        &mut sandbox.shell("cd app && llbc Dockerfile | executor --local context=. --provenance=max -o ../tree"),
    );
    let told = sandbox.json("tree/provenance.json")["predicate"].take();
    let request = &told["buildDefinition"]["externalParameters"]["request"];
    assert_eq!((request.get("frontend"), &request["locals"]), (None, &json!([{ "name": "context" }])));
    assert_eq!(told["runDetails"]["metadata"]["buildkit_completeness"]["request"], false);
    let refused = sandbox.fail(1, &mut sandbox.shell("llbc build --provenance=capture-usage=true app"));
    assert!(refused.contains("capture-usage of a provenance is not supported"), "{refused}");
    let types = "llbc build --provenance=max -o type=oci,dest=x.tar,oci-mediatypes=false app";
    let refused = sandbox.fail(1, &mut sandbox.shell(types));
    assert!(refused.contains("cannot export attestations with \"oci-mediatypes=false\""), "{refused}");
}
