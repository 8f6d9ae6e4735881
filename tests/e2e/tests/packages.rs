//! Packages of build specs, by the managers of a real system: what is installed, and that nothing else is left over.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::path::Path;

use e2e::{Sandbox, base, image, levels, process, serve};

/// A moment that no archive has: the archive of the test is all that can answer.
const MOMENT: &str = "20260301T000000Z";

/// Programs that write times into what they make take this one.
const TIME: &str = "--build-arg SOURCE_DATE_EPOCH=1767225600";

/// A sandbox with a Debian system as image `debian`, if one can be had here.
fn with_debian() -> Option<Sandbox> {
    if !e2e::have(&[base::DEBIAN_PROGRAMS, &["dpkg-deb"]].concat()) {
        return None;
    }
    let sandbox = Sandbox::new();
    let tar = base::debian().unwrap_or_else(|error| panic!("{error}"));
    sandbox.succeed(sandbox.executor().args(["images", "import"]).arg(tar).arg("debian"));
    Some(sandbox)
}

/// The paths of the layers that an image has on the base of the sandbox.
fn new_files(sandbox: &Sandbox, archive: &str) -> Vec<String> {
    sandbox.write("base.toml", "spec = 1\n[image.base]\nfrom = \"debian\"\n");
    sandbox.succeed(&mut sandbox.shell("llbc build -f base.toml -o type=oci,dest=base.tar"));
    let base = image::config(&sandbox.directory().join("base.tar")).unwrap();
    let base = base["rootfs"]["diff_ids"].as_array().unwrap().clone();
    let lines = image::new_layers(&sandbox.directory().join(archive), &base).unwrap().concat();
    lines.iter().filter_map(|line| Some(line.split('"').nth(1)?.trim_matches(['.', '/']).to_owned())).collect()
}

/// What managers leave behind where nobody stops them: downloads, lists, logs, caches made of them.
fn check_nothing_is_left(files: &[String]) {
    let is_rest = |path: &&String| {
        ["var/cache/apt/", "var/lib/apt/lists/", "var/log/", "root/.", "tmp/"].iter().any(|rest| path.starts_with(rest))
    };
    let rest: Vec<&String> = files.iter().filter(is_rest).collect();
    assert!(rest.is_empty(), "{rest:?}");
}

/// An archive of one package as it was at a moment, below what a proxy is asked for.
fn archive(directory: &Path) -> String {
    let script = r#"
        set -e
        mkdir -p tiny/DEBIAN tiny/usr/share/tiny
        echo once > tiny/usr/share/tiny/word
        printf 'Package: tiny\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.test>\nDescription: tiny\n' > tiny/DEBIAN/control
        root="proxied/http:/snapshot.debian.org/archive/debian/MOMENT"
        binary="dists/bookworm/main/binary-$(dpkg --print-architecture)"
        mkdir -p "$root/pool" "$root/$binary"
        dpkg-deb --root-owner-group --build tiny "$root/pool/tiny.deb"
        cd "$root"
        { cat "$OLDPWD/tiny/DEBIAN/control"; echo "Filename: pool/tiny.deb"; echo "Size: $(stat -c %s pool/tiny.deb)"
          echo "SHA256: $(sha256sum pool/tiny.deb | cut -d' ' -f1)"; } > "$binary/Packages"
        { echo "Origin: Debian"; echo "Suite: oldstable"; echo "Codename: bookworm"; echo "Components: main"
          echo "Architectures: $(dpkg --print-architecture)"
          echo "Date: Sun, 01 Mar 2026 00:00:00 UTC"; echo "Valid-Until: Mon, 02 Mar 2026 00:00:00 UTC"; echo "SHA256:"
          echo " $(sha256sum "$binary/Packages" | cut -d' ' -f1) $(stat -c %s "$binary/Packages") ${binary#dists/bookworm/}/Packages"
        } > dists/bookworm/Release
    "#;
    e2e::process::succeed(
        std::process::Command::new("sh").args(["-c", &script.replace("MOMENT", MOMENT)]).current_dir(directory),
    )
    .unwrap();
    serve::serve(&directory.join("proxied"))
}

#[test]
fn packages_come_from_the_archive_as_it_was_at_a_moment() {
    let Some(sandbox) = with_debian() else { return };
    let proxy = archive(&sandbox.directory());
    sandbox.write(
        "build.toml",
        &format!(
            r#"spec = 1
[stage.sources]
from = "debian"
[[stage.sources.step]]
write = "/etc/apt/sources.list"
content = "deb [trusted=yes] http://deb.debian.org/debian bookworm main\n"
[image.a]
from = "stage.sources"
apt = {{ install = ["tiny=1"], snapshot = "{MOMENT}" }}
"#
        ),
    );
    let flags = format!("--network host --allow network.host --build-arg http_proxy={proxy}");
    sandbox.succeed(
        &mut sandbox
            .shell(&format!("llbc build {flags} -f build.toml -o type=oci,dest=a.tar,compression=uncompressed")),
    );
    let files = new_files(&sandbox, "a.tar");
    let has = |path: &str| files.iter().any(|file| file == path);
    assert!(has("usr/share/tiny/word") && has("var/lib/dpkg/info/tiny.list"), "{files:?}");
    check_nothing_is_left(&files);
    // The sources of the image stay what they are.
    sandbox.succeed(&mut sandbox.shell(&format!("llbc build {flags} -f build.toml -o tree")));
    assert!(sandbox.read("tree/etc/apt/sources.list").contains("deb.debian.org"));
    assert!(!sandbox.has("tree/etc/apt/sources.list.d/sources.list"));
}

/// A repository of one package, and the key that it is signed with.
fn signed_repository(directory: &Path) -> String {
    let script = r#"
        set -e
        mkdir -p tiny/DEBIAN tiny/usr/share/tiny served/dists/stable/main/binary-all gpg
        echo signed > tiny/usr/share/tiny/word
        printf 'Package: tiny\nVersion: 2\nArchitecture: all\nMaintainer: a <a@b.test>\nDescription: tiny\n' > tiny/DEBIAN/control
        dpkg-deb --root-owner-group --build tiny served/tiny.deb
        chmod 700 gpg
        export GNUPGHOME="$PWD/gpg"
        cd served
        binary=main/binary-all/Packages
        { cat ../tiny/DEBIAN/control; echo "Filename: tiny.deb"; echo "Size: $(stat -c %s tiny.deb)"
          echo "SHA256: $(sha256sum tiny.deb | cut -d' ' -f1)"; } > "dists/stable/$binary"
        cd dists/stable
        { echo "Suite: stable"; echo "Codename: stable"; echo "Components: main"; echo "Architectures: all"
          echo "Date: $(date -Ru)"; echo "SHA256:"
          echo " $(sha256sum "$binary" | cut -d' ' -f1) $(stat -c %s "$binary") $binary"; } > Release
        gpg --batch --quiet --passphrase '' --quick-gen-key a@b.test default default never
        gpg --batch --quiet --clearsign -o InRelease Release
        gpg --batch --quiet --armor --export a@b.test > ../../key.asc
        gpgconf --kill all
    "#;
    process::succeed(std::process::Command::new("sh").args(["-c", script]).current_dir(directory)).unwrap();
    serve::serve(&directory.join("served"))
}

/// What is downloaded is readable by its owner alone; keys are read by a user of their own.
#[test]
fn a_repository_is_checked_with_a_key_that_is_downloaded() {
    let Some(sandbox) = with_debian().filter(|_| e2e::have(&["gpg"])) else { return };
    let address = signed_repository(&sandbox.directory());
    sandbox.write(
        "Mockerfile.yaml",
        &format!(
            "apiVersion: v1alpha1\nimages:\n- name: a\n  from: debian\n  package:\n    repo:\n    \
             - deb [arch=all] {address} stable main\n    gpg:\n    - {address}/key.asc\n    install:\n    - tiny=2\n"
        ),
    );
    let flags = "--network host --allow network.host";
    sandbox.succeed(&mut sandbox.shell(&format!("llbc build {flags} -f Mockerfile.yaml -o tree")));
    assert_eq!(sandbox.read("tree/usr/share/tiny/word"), "signed\n");
}

/// The example for CMake: its compiler comes from Debian's own archive.
#[test]
fn a_project_of_cmake_is_built_with_packages_of_debian() {
    let Some(sandbox) = with_debian() else { return };
    let folder = e2e::workspace().join("examples/cmake");
    for name in ["build.toml", "CMakeLists.txt", "main.c"] {
        sandbox.write(name, &std::fs::read_to_string(folder.join(name)).unwrap());
    }
    // With the time of the builds at each level, the compiler is installed once for all.
    let contexts = &format!(
        "{TIME} --build-context debian:bookworm=docker-image://debian \
         --build-context debian:bookworm-slim=docker-image://debian"
    );
    sandbox.succeed(&mut sandbox.shell(&format!(
        "llbc build {contexts} -t greet -o type=oci,dest=a.tar,compression=uncompressed -f build.toml ."
    )));
    let files = new_files(&sandbox, "a.tar");
    assert_eq!(files.iter().filter(|path| path.ends_with("bin/greet")).count(), 1, "{files:?}");
    check_nothing_is_left(&files);
    // The tools are not in it, and what it was made with left nothing over either.
    assert!(!files.iter().any(|path| path.ends_with("bin/cmake")));
    sandbox.succeed(&mut sandbox.shell(&format!(
        "llbc build {contexts} --target greet-build -o type=oci,dest=tools.tar,compression=uncompressed -f build.toml . && \
         llbc build {contexts} -o tree -f build.toml . && tree/usr/local/bin/greet > said"
    )));
    check_nothing_is_left(&new_files(&sandbox, "tools.tar"));
    assert!(!sandbox.read("said").is_empty());
    check_levels(&sandbox, "build.toml", ".", contexts);
}

/// Builds a project at each level. A level that makes the definition of the one below, to the byte, is not built again.
#[track_caller]
fn check_levels(sandbox: &Sandbox, file: &str, context: &str, flags: &str) {
    let flags = format!("{TIME} {flags}");
    let define = |level: &str| {
        let script = format!("llbc {level} {flags} {file} --context {context}");
        sandbox.succeed(&mut sandbox.shell(&script)).stdout
    };
    let definitions = ["-O0", "-O1", "-O2"].map(|level| (level, define(level)));
    let changed = definitions.windows(2).filter(|pair| pair[0].1 != pair[1].1).map(|pair| pair[1].0);
    let changed: Vec<&str> = changed.collect();
    process::say(&format!("{context}: {changed:?} differ from the level below"));
    assert!(changed.contains(&"-O1"), "{context}: a pass finds something to do in every preset");
    levels::check(sandbox, &format!("{flags} -f {file} {context}"), &changed);
}

/// Copies a folder of examples to a folder of the sandbox.
fn copy_example(sandbox: &Sandbox, name: &str) {
    let from = e2e::workspace().join("examples").join(name);
    sandbox.succeed(sandbox.shell("cp -r \"$FROM\" .").env("FROM", from));
}

/// The examples for Go and Python, by toolchains of Debian's archive that one graph makes into images; then what
/// `llbc init` writes for the same projects, in both forms.
#[test]
fn projects_are_built_with_toolchains_of_debian() {
    let Some(sandbox) = with_debian() else { return };
    sandbox.write(
        "toolchains.toml",
        r#"spec = 1
[image.go]
from = "debian"
apt.install = ["golang-go", "ca-certificates"]
tags = ["golang:1", "golang:1.19"]
[image.python]
from = "debian"
apt.install = ["python3-venv"]
tags = ["python:3-slim"]
"#,
    );
    sandbox.succeed(&mut sandbox.shell("llbc build -f toolchains.toml go python"));
    for (project, said) in [("go", "./greet"), ("python", "cd app && ../venv/bin/python3 -m greet")] {
        copy_example(&sandbox, project);
        sandbox.succeed(&mut sandbox.shell(&format!("llbc build -o tree-{project} {project}")));
        // The interpreter of the virtual environment is that of the image.
        let run = if project == "go" { said.to_owned() } else { said.replace("../venv/bin/", "") };
        let run = sandbox.succeed(&mut sandbox.shell(&format!("cd tree-{project} && {run}")));
        assert!(run.out().contains("hello"), "{}", run.out());
        check_levels(&sandbox, &format!("{project}/build.toml"), project, "");
        sandbox.succeed(
            &mut sandbox
                .shell(&format!("cd {project} && rm -f build.toml && llbc init && llbc init --format dockerfile")),
        );
        for file in ["build.toml", "Dockerfile"] {
            sandbox.succeed(
                &mut sandbox.shell(&format!("llbc build -f {project}/{file} -o init-{project}-{file} {project}")),
            );
        }
    }
    assert!(sandbox.has("tree-go/greet") && !sandbox.has("tree-go/usr"), "a Go program is all there is");
    assert!(sandbox.has("tree-python/venv/bin/python3"));
}

/// The examples for Java, Node and Rust, by toolchains of Debian's archive. Its Maven has the plugins in a repository of its
/// own, so nothing is fetched.
#[test]
fn more_projects_are_built_with_toolchains_of_debian() {
    let Some(sandbox) = with_debian() else { return };
    sandbox.write(
        "toolchains.toml",
        r#"spec = 1
[image.java]
from = "debian"
apt.install = ["maven", "default-jdk-headless", "libmaven-compiler-plugin-java", "libmaven-resources-plugin-java", "libmaven-jar-plugin-java", "libsurefire-java"]
tags = ["maven:3-eclipse-temurin-17", "eclipse-temurin:17-jre"]
[image.node]
from = "debian"
apt.install = ["npm"]
step = [{ run = "useradd node" }]
tags = ["node:lts-slim"]
[image.rust]
from = "debian"
apt.install = ["cargo"]
tags = ["rust:1-bookworm"]
[image.slim]
from = "debian"
tags = ["debian:bookworm-slim"]
"#,
    );
    sandbox.succeed(&mut sandbox.shell("llbc build -f toolchains.toml java node rust slim"));
    // Archives hold the times of their files unless one is said.
    let maven = "mvn --batch-mode --offline --define maven.repo.local=/usr/share/maven-repo --define skipTests \
                 --define project.build.outputTimestamp=2026-01-01T00:00:00Z package";
    for (project, more, run) in [
        ("java", format!("build = \"{maven} && install -D target/*.jar /out/app.jar\"\n"), "java -jar /app.jar"),
        ("node", String::new(), "node index.js"),
        ("rust", String::new(), "greet"),
    ] {
        copy_example(&sandbox, project);
        let spec = sandbox.read(&format!("{project}/build.toml"));
        let test = format!("[test.said]\nfrom = \"image.greet\"\nrun = \"{run}\"\nstdout = \"hello\"\n");
        sandbox.write(&format!("{project}/build.toml"), &format!("{spec}{more}\n{test}"));
        sandbox.succeed(&mut sandbox.shell(&format!("llbc test -f {project}/build.toml {project}")));
        check_levels(&sandbox, &format!("{project}/build.toml"), project, "--target greet");
    }
}
