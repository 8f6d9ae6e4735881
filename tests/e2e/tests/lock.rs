//! Lock files: what a build takes from outside is written down, and then it is that or nothing.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use e2e::serve::{GitDaemon, serve};
use e2e::{Sandbox, scanner};
use serde_json::Value;

/// A repository with one commit, and a way to add others.
fn repository(sandbox: &Sandbox) -> impl Fn(&str) + '_ {
    sandbox.succeed(&mut sandbox.shell(
        "git init -q -b main repos/r.git && cd repos/r.git && git config user.email a@b.test && git config user.name a",
    ));
    let commit = |content: &str| {
        sandbox.write("repos/r.git/f", content);
        sandbox.succeed(&mut sandbox.shell("cd repos/r.git && git add f && git commit -q -m c"));
    };
    commit("one");
    commit
}

#[test]
fn what_was_locked_is_built_though_the_world_moves_on() {
    let sandbox = Sandbox::with_base();
    let commit = repository(&sandbox);
    let git = GitDaemon::start(&sandbox.directory().join("repos"));
    sandbox.write("www/f", "first");
    let web = serve(&sandbox.directory().join("www"));
    sandbox.write(
        "Dockerfile",
        &format!(
            "FROM base\nADD {}/r.git#main /repo\nFROM base\nADD {web}/f /web\nCOPY --from=0 /repo/f /repo\n",
            git.address
        ),
    );
    sandbox.succeed(&mut sandbox.shell("llbc lock"));
    let lock: Value = serde_json::from_str(&sandbox.read("llbc.lock")).unwrap();
    let repository = lock.as_object().unwrap().iter().find(|(name, _)| name.starts_with("git://")).unwrap();
    assert_eq!(repository.1["commit"].as_str().unwrap().len(), 40, "{lock}");
    assert!(lock[format!("{web}/f")]["checksum"].as_str().unwrap().starts_with("sha256:"), "{lock}");
    assert!(lock.as_object().unwrap().keys().any(|name| name.ends_with("base:latest")), "{lock}");

    commit("two");
    sandbox.succeed(&mut sandbox.shell("llbc build --locked -o tree ."));
    assert_eq!((sandbox.read("tree/repo").as_str(), sandbox.read("tree/web").as_str()), ("one", "first"));

    // A file that has changed is not what was written down.
    sandbox.write("www/f", "second");
    sandbox.succeed(&mut sandbox.shell("executor prune --all --force || executor prune --all"));
    sandbox.fail(1, &mut sandbox.shell("llbc build --locked --no-cache -o again ."));
    // A build that is stopped may kill git while it has its own locks.
    sandbox
        .succeed(&mut sandbox.shell("for repository in $LLBC_ROOT/git-v1/*/; do touch $repository/config.lock; done"));
    sandbox.succeed(&mut sandbox.shell(&format!("llbc lock --update {web}/f")));
    sandbox.succeed(&mut sandbox.shell("llbc build --locked -o again ."));
    assert_eq!((sandbox.read("again/repo").as_str(), sandbox.read("again/web").as_str()), ("one", "second"));
}

#[test]
fn what_is_not_locked_is_refused() {
    let sandbox = Sandbox::with_base();
    sandbox.write("build.toml", "[image.a]\nfrom = \"base\"\n");
    let refused = sandbox.fail(1, &mut sandbox.shell("llbc build --locked -o tree -f build.toml"));
    assert!(refused.contains("there is no llbc.lock") && refused.contains("llbc lock"), "{refused}");
    sandbox.succeed(&mut sandbox.shell("llbc lock build.toml"));
    sandbox.succeed(&mut sandbox.shell("llbc build --locked -o tree -f build.toml"));

    sandbox.write("build.toml", "[image.a]\nfrom = \"other\"\nfile = [{ from = \"f\", to = \"/f\" }]\n[source]\nf = { http = \"http://127.0.0.1:1/f\" }\n");
    let refused = sandbox.fail(1, &mut sandbox.shell("llbc check --locked build.toml"));
    assert!(refused.contains("other:latest is not in the lock file"), "{refused}");
    sandbox.write("build.toml", "[image.a]\nfrom = \"base\"\nfile = [{ from = \"f\", to = \"/f\" }]\n[source]\nf = { http = \"http://127.0.0.1:1/f\" }\n");
    let refused = sandbox.fail(1, &mut sandbox.shell("llbc compile --locked build.toml"));
    assert!(refused.contains("http://127.0.0.1:1/f is not in the lock file"), "{refused}");
    let unknown = sandbox.fail(1, &mut sandbox.shell("llbc lock build.toml --update bsae"));
    assert!(unknown.contains("bsae is not in"), "{unknown}");
}

#[test]
fn scanners_are_locked_too() {
    let sandbox = Sandbox::with_base();
    scanner::build(&sandbox, "base", "-t scanner -t docker/buildkit-syft-scanner:stable-1");
    let names = || {
        let lock: Value = serde_json::from_str(&sandbox.read("llbc.lock")).unwrap();
        let names = lock.as_object().unwrap().keys().filter(|name| name.contains("scanner"));
        names.cloned().collect::<Vec<_>>().join(" ")
    };
    sandbox.write("Dockerfile", "FROM base\n");
    let build = "llbc build --locked --sbom=generator=scanner -o tree .";
    sandbox.succeed(&mut sandbox.shell("llbc lock"));
    let refused = sandbox.fail(1, &mut sandbox.shell(build));
    assert!(refused.contains("scanner:latest is not in the lock file"), "{refused}");
    sandbox.succeed(&mut sandbox.shell("llbc lock --opt attest:sbom=generator=scanner"));
    assert!(names().contains("docker.io/library/scanner:latest"), "{}", names());
    sandbox.succeed(&mut sandbox.shell(build));
    assert!(sandbox.has("tree/sbom.spdx.json"));

    sandbox.write("spec/build.toml", "[image.x]\nfrom = \"base\"\ntags = [\"x\"]\nattest = { sbom = true }\n");
    sandbox.succeed(&mut sandbox.shell("llbc lock spec/build.toml -o llbc.lock"));
    assert!(names().contains("docker.io/docker/buildkit-syft-scanner:stable-1"), "{}", names());
    sandbox.succeed(&mut sandbox.shell("cp llbc.lock spec; llbc build --locked -f spec/build.toml"));
}

#[test]
fn programs_are_locked_too() {
    let sandbox = Sandbox::with_base();
    sandbox.write("www/f", "first");
    let web = serve(&sandbox.directory().join("www"));
    sandbox.write(
        "build.hlb",
        &format!("fs default() {{\n\timage \"base\"\n\tcopy fs {{\n\t\thttp \"{web}/f\"\n\t}} \"/f\" \"/f\"\n}}\n"),
    );
    sandbox.succeed(&mut sandbox.shell("llbc lock build.hlb"));
    assert!(sandbox.read("llbc.lock").contains("checksum"), "{}", sandbox.read("llbc.lock"));
    sandbox.succeed(&mut sandbox.shell("llbc build --locked -o tree -f build.hlb"));
    assert_eq!(sandbox.read("tree/f"), "first");
}

#[test]
fn modules_of_programs_are_locked_too() {
    if !e2e::have(&["git"]) {
        return;
    }
    let sandbox = Sandbox::new();
    let commit = repository(&sandbox);
    let module = |word: &str| {
        let text = format!("export page\nfs page() {{\n\tscratch\n\tmkfile \"/page\" 0o644 \"{word}\"\n}}\n");
        sandbox.write("repos/r.git/build.hlb", &text);
        sandbox.succeed(&mut sandbox.shell("cd repos/r.git && git add build.hlb"));
        commit(word);
        sandbox.succeed(&mut sandbox.shell("cd repos/r.git && git update-server-info"));
    };
    module("first");
    let address = serve(&sandbox.directory().join("repos"));
    let program = format!("import lib from \"git+{address}/r.git/.git@main\"\n\nfs default() {{\n\tlib.page\n}}\n");
    sandbox.write("build.hlb", &program);
    sandbox.succeed(&mut sandbox.shell("llbc lock build.hlb"));
    let lock: Value = serde_json::from_str(&sandbox.read("llbc.lock")).unwrap();
    let repository = lock.as_object().unwrap().iter().find(|(name, _)| name.starts_with("git://")).unwrap();
    assert_eq!(repository.1["commit"].as_str().unwrap().len(), 40, "{lock}");

    module("second");
    sandbox.succeed(&mut sandbox.shell("llbc build --locked -o tree -f build.hlb"));
    assert_eq!(sandbox.read("tree/page"), "first");
    sandbox.succeed(&mut sandbox.shell("llbc lock --update '' build.hlb && llbc build --locked -o tree -f build.hlb"));
    assert_eq!(sandbox.read("tree/page"), "second");
}
