//! Caches that one store hands to another: in a registry, in a directory, in an image.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::path::Path;

use e2e::{Registry, Sandbox, registry};
use serde_json::Value;

/// Two stages; what the first one runs is a result of its own, and its layer is in no image. What a step wrote tells whether
/// it ran again.
const BUILD: &str = "\
FROM base AS tools
RUN cat /proc/sys/kernel/random/uuid > /tool

FROM base
COPY --from=tools /tool /tool
COPY file /file
RUN cat /proc/sys/kernel/random/uuid > /id
CMD [\"cat\", \"/id\"]
";

/// A store with the base image, and the build in a directory.
fn machine() -> Sandbox {
    let sandbox = Sandbox::with_base();
    sandbox.write("context/Dockerfile", BUILD);
    sandbox.write("context/file", "content\n");
    sandbox
}

/// What steps wrote.
#[derive(Debug, PartialEq)]
struct Ids {
    tool: String,
    id: String,
}

fn build(sandbox: &Sandbox, flags: &str) -> (Ids, String) {
    let command = format!("llbc build --progress=plain {flags} -o tree context");
    let said = sandbox.succeed(&mut sandbox.shell(&command)).err();
    (Ids { tool: sandbox.read("tree/tool"), id: sandbox.read("tree/id") }, said)
}

fn blobs(store: &Path) -> usize {
    std::fs::read_dir(store.join("blobs-v1/sha256")).map_or(0, Iterator::count)
}

#[test]
fn a_directory_serves_another_machine() {
    let (there, here) = (machine(), machine());
    let cache = there.directory().join("cache");
    let (made, said) =
        build(&there, &format!("--cache-to type=local,dest={},mode=max --metadata-file meta", cache.display()));
    assert!(said.contains("exporting cache to client directory"), "{said}");
    let metadata: Value = serde_json::from_str(&there.read("meta")).unwrap();
    assert!(metadata["cache.manifest"]["digest"].as_str().unwrap().starts_with("sha256:"), "{metadata}");
    let from = format!("--cache-from type=local,src={}", cache.display());
    let (found, said) = build(&here, &from);
    assert_eq!(found, made, "{said}");
    assert!(said.contains(&format!("importing cache manifest from {}", cache.display())), "{said}");

    // A file is another: what is before its COPY is found, what is behind runs.
    let here = machine();
    here.write("context/file", "another\n");
    let (changed, _) = build(&here, &from);
    assert_eq!((changed.tool == made.tool, changed.id == made.id), (true, false));

    // What was found is the store's from then on, but for layers that were not looked at: those are made again.
    std::fs::remove_dir_all(&cache).unwrap();
    assert_eq!(build(&here, "").0, changed);
    let (again, said) = build(&here, &from);
    assert_eq!(again, changed);
    assert!(said.contains("cache"), "what cannot be had is said: {said}");
}

#[test]
fn what_the_result_is_made_of_is_handed_out_and_with_max_all() {
    for (mode, tool_is_found) in [("", false), (",mode=max", true)] {
        let (there, here) = (machine(), machine());
        let cache = there.directory().join("cache");
        let (made, _) = build(&there, &format!("--cache-to type=local,dest={}{mode}", cache.display()));
        let from = format!("--cache-from type=local,src={}", cache.display());
        assert_eq!(build(&here, &from).0, made, "{mode}");
        // The first stage alone.
        let here = machine();
        let tool = format!("llbc build {from} --target tools -o tools context");
        here.succeed(&mut here.shell(&tool));
        assert_eq!(here.read("tools/tool") == made.tool, tool_is_found, "{mode}");
    }
}

#[test]
fn a_registry_serves_another_machine_and_sends_what_is_needed() {
    if !e2e::have(registry::PROGRAMS) {
        return;
    }
    let registry = Registry::start().unwrap();
    let (there, here) = (machine(), machine());
    let cache = format!("{}/app:cache", registry.address);
    let (made, said) = build(&there, &format!("--cache-to type=registry,ref={cache},mode=max"));
    assert!(said.contains("exporting cache to registry"), "{said}");
    // Nobody needs the files: only the keys come.
    let before = blobs(&here.store());
    let only = format!("llbc build --progress=plain --cache-from {cache} -o type=cacheonly context");
    let said = here.succeed(&mut here.shell(&only)).err();
    assert!(said.matches(" CACHED").count() >= 3, "{said}");
    assert!(blobs(&here.store()) <= before + 2, "a manifest and a config");
    assert_eq!(build(&here, "").0, made, "what was found is the store's, wherever its files are");
    // The same cache again sends nothing, and other forms are read as well.
    for form in
        ["image-manifest=false", "image-manifest=false,oci-mediatypes=false", "compression=zstd,force-compression=true"]
    {
        let to = format!("{}/app:other", registry.address);
        build(&there, &format!("--cache-to type=registry,ref={to},mode=max,{form}"));
        assert_eq!(build(&machine(), &format!("--cache-from {to}")).0, made, "{form}");
    }
}

#[test]
fn targets_with_one_cache_hand_out_what_all_of_them_need() {
    let (there, here) = (machine(), machine());
    let bake = format!(
        "target \"default\" {{\n  name = \"t-${{x}}\"\n  matrix = {{ x = [\"one\", \"two\"] }}\n  context = \"context\"\n  \
         target = x\n  output = [x]\n  cache-to = [\"type=local,dest={0}/cache\"]\n}}\n",
        there.directory().display()
    );
    for sandbox in [&there, &here] {
        let stage = |name: &str| format!("FROM base AS {name}\nRUN cat /proc/sys/kernel/random/uuid > /{name}\n");
        sandbox.write("context/Dockerfile", &(stage("one") + &stage("two")));
    }
    there.write("docker-bake.hcl", &bake);
    there.succeed(&mut there.shell("llbc build -f docker-bake.hcl"));
    for name in ["one", "two"] {
        let from = format!("--cache-from type=local,src={}/cache", there.directory().display());
        here.succeed(&mut here.shell(&format!("llbc build {from} --target {name} -o {name} context")));
        assert_eq!(here.read(&format!("{name}/{name}")), there.read(&format!("{name}/{name}")), "{name}");
    }
}

#[test]
fn a_program_of_several_builds_hands_out_no_cache() {
    let sandbox = Sandbox::with_base();
    let program = |all: &str| {
        format!(
            "fs a() {{\n\timage \"base\"\n\tmkfile \"/a\" 0o644 \"a\"\n}}\nfs b() {{\n\timage \"base\"\n\tmkfile \"/b\" 0o644 \"b\"\n}}\n\
             pipeline default() {{\n{all}}}\n"
        )
    };
    sandbox.write("after.hlb", &program("\tstage a\n\tstage b\n"));
    sandbox.write("once.hlb", &program("\tstage a b\n"));
    let build = "llbc build --cache-to type=local,dest=cache,mode=max -o tree -f";
    let said = sandbox.fail(1, &mut sandbox.shell(&format!("{build} after.hlb")));
    assert!(said.contains("handing out the cache of a program that is several builds"), "{said}");
    assert!(!sandbox.has("cache") && !sandbox.has("tree"));
    sandbox.succeed(&mut sandbox.shell(&format!("{build} once.hlb")));
    assert!(sandbox.has("cache/index.json"));
    sandbox.succeed(
        &mut sandbox.shell(&format!("{} after.hlb", build.replace("type=local,dest=cache,mode=max", "type=inline"))),
    );
}

#[test]
fn an_image_holds_its_own_cache() {
    if !e2e::have(registry::PROGRAMS) {
        return;
    }
    let registry = Registry::start().unwrap();
    for flag in [
        "--cache-to type=inline",
        "--build-arg BUILDKIT_INLINE_CACHE=1",
        "--build-arg BUILDKIT_INLINE_CACHE=0 --build-arg BUILDKIT_INLINE_CACHE",
    ] {
        let there = machine();
        let image = format!("{}/app:1", registry.address);
        let push = format!("BUILDKIT_INLINE_CACHE=1 llbc build {flag} -t {image} --push context");
        there.succeed(&mut there.shell(&push));
        let (made, _) = build(&there, "");
        let (found, said) = build(&machine(), &format!("--cache-from {image}"));
        assert_eq!(found, made, "{said}");
    }
}

#[test]
fn a_build_does_without_a_cache_that_cannot_be_had() {
    let sandbox = machine();
    let nowhere = sandbox.directory().join("nowhere");
    let (_, said) =
        build(&sandbox, &format!("--cache-from type=local,src={} --cache-from 127.0.0.1:1/a/b", nowhere.display()));
    assert!(said.contains(&format!("importing cache manifest from {}", nowhere.display())), "{said}");
    assert!(said.contains("importing cache manifest from 127.0.0.1:1/a/b:latest"), "{said}");
    assert_eq!(said.matches("ERROR").count(), 2, "{said}");
    // To hand one out is part of the build, unless it is said not to be.
    let to = "llbc build --cache-to type=registry,ref=127.0.0.1:1/a/b";
    sandbox.fail(1, &mut sandbox.shell(&format!("{to} context")));
    sandbox.succeed(&mut sandbox.shell(&format!("{to},ignore-error=true context")));
    // What cannot work is said before anything runs.
    sandbox.write("file", "");
    let to = "llbc build --progress=plain --cache-to type=local,dest=file/cache context";
    let said = sandbox.fail(1, &mut sandbox.shell(to));
    assert!(said.contains("file/cache") && !said.contains("RUN"), "{said}");
    // What a cache was made of is not believed.
    sandbox.write("cache/oci-layout", "{\"imageLayoutVersion\": \"1.0.0\"}");
    sandbox.write("cache/index.json", "{\"schemaVersion\": 2, \"manifests\": [{\"digest\": \"sha256:0\"}]}");
    let (_, said) = build(&sandbox, "--cache-from type=local,src=cache");
    assert_eq!(said.matches("ERROR").count(), 1, "{said}");
}

#[test]
fn services_that_are_not_there_are_refused_by_name() {
    let sandbox = machine();
    let refused = |flags: &str| sandbox.fail(1, &mut sandbox.shell(&format!("llbc build {flags} context")));
    assert!(refused("--cache-from type=gha").contains("gha"));
    assert!(refused("--cache-to type=s3,bucket=b").contains("s3"));
    let said = refused("--cache-to type=registry,ref=a/b,modee=max");
    assert!(said.contains("modee") && said.contains("mode"), "{said}");
}
