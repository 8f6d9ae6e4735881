//! Caches that BuildKit v0.32 and the executor lend each other (`BUILDKITD` names the daemon, or the shell finds it). No
//! distribution has that daemon, so these tests say that they were not run where it is missing.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::path::Path;

use e2e::{Buildkit, Registry, Sandbox, process};

/// Steps of all kinds; what two of them wrote tells whether they ran again.
const BUILD: &str = "\
FROM BASE AS tools
RUN cat /proc/sys/kernel/random/uuid > /tool

FROM BASE
COPY --from=tools /tool /tool
COPY file /file
RUN --mount=type=bind,from=tools,source=/tool,target=/t cat /t > /t2
WORKDIR /w
COPY --from=tools --chown=1:1 /tool /etc/passwd ./
ADD file /dir/
RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/x cat /proc/sys/kernel/random/uuid > /id
COPY --link file /linked
";

/// The places of caches, as either side exports to them.
const EXPORTS: &str = "type=local,dest=cache,mode=max type=registry,ref=REGISTRY/app:cache,mode=max type=inline";
/// The same, as either side imports from them.
const IMPORTS: [&str; 3] =
    ["type=local,src=cache", "type=registry,ref=REGISTRY/app:cache", "type=registry,ref=REGISTRY/app:1"];

fn flags(flag: &str, entries: &str, registry: &Registry) -> String {
    let one = |entry: &str| format!("{flag} {}", entry.replace("REGISTRY", &registry.address));
    entries.split(' ').map(one).collect::<Vec<_>>().join(" ")
}

fn llbc(sandbox: &Sandbox, store: &str, flags: &str) {
    let build = format!("LLBC_ROOT=$PWD/{store} llbc build -O0 --progress=plain {flags} context");
    sandbox.succeed(&mut sandbox.shell(&build));
}

fn buildkit(sandbox: &Sandbox, daemon: &Buildkit, flags: &str) {
    let mut build = daemon.client();
    build.current_dir(sandbox.directory()).args(["build", "--progress=plain", "--frontend=dockerfile.v0"]);
    build.args(["--local", "context=context", "--local", "dockerfile=context"]).args(flags.split(' '));
    process::succeed(&mut build).unwrap_or_else(|error| panic!("{error}"));
}

/// Whether two trees have all files alike; `id` and `tool` are of steps that write something else each time.
fn compare(sandbox: &Sandbox, made: &str, found: &str) {
    let at = |tree: &str| sandbox.directory().join(tree);
    let same = |one: &Path, other: &Path| {
        process::succeed(std::process::Command::new("diff").args(["-r", "--no-dereference"]).arg(one).arg(other))
    };
    same(&at(made), &at(found)).unwrap_or_else(|error| panic!("{made} and {found}: {error}"));
}

#[test]
fn what_buildkit_lends_is_found_here() {
    let Some((sandbox, registry)) = Buildkit::beside(BUILD) else { return };
    let daemon = Buildkit::get().unwrap().unwrap();
    buildkit(&sandbox, &daemon, "--output type=local,dest=made");
    // One export at a time is what older clients know.
    for entry in EXPORTS.split(' ') {
        let output = format!("--output type=image,name={}/app:1,push=true,registry.insecure=true", registry.address);
        buildkit(&sandbox, &daemon, &format!("{output} {}", flags("--export-cache", entry, &registry)));
    }
    for (number, import) in IMPORTS.iter().enumerate() {
        let from = flags("--cache-from", import, &registry);
        llbc(&sandbox, &format!("store-{number}"), &format!("{from} -o found-{number}"));
        compare(&sandbox, "made", &format!("found-{number}"));
    }
}

#[test]
fn what_is_lent_here_buildkit_finds() {
    let Some((sandbox, registry)) = Buildkit::beside(BUILD) else { return };
    let image = format!("{}/app:1", registry.address);
    llbc(&sandbox, "store", &format!("{} --push -t {image}", flags("--cache-to", EXPORTS, &registry)));
    llbc(&sandbox, "store", "-o made");
    for (number, import) in IMPORTS.iter().enumerate() {
        let daemon = Buildkit::get().unwrap().unwrap();
        let from = flags("--import-cache", import, &registry);
        buildkit(&sandbox, &daemon, &format!("{from} --output type=local,dest=found-{number}"));
        compare(&sandbox, "made", &format!("found-{number}"));
    }
}
