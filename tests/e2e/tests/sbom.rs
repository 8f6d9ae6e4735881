//! Bills of materials: asked for by flags, options, bake files and specs; beside images and trees; of several platforms.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use e2e::{Sandbox, attested, scanner};
use serde_json::{Value, json};

/// Two stages and a context that a scanner may look at, too.
const BUILD: &str = "\
FROM base AS tools
ARG BUILDKIT_SBOM_SCAN_STAGE=true
RUN echo tool > /tool

FROM scratch
COPY --from=tools /tool /tool
COPY file /file
";

fn place() -> Sandbox {
    let sandbox = attested::app(BUILD);
    scanner::build(&sandbox, "base", "-t scanner");
    sandbox
}

/// The names of files that a bill tells of.
fn files(statement: &Value) -> Vec<String> {
    let files = statement["predicate"]["files"].as_array().unwrap();
    files.iter().map(|file| file["fileName"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_flags_ask_for() {
    let sandbox = place();
    for flags in
        ["--sbom=generator=scanner", "--attest type=sbom,generator=scanner", "--opt attest:sbom=generator=scanner"]
    {
        sandbox.succeed(&mut sandbox.shell(&format!("rm -rf tree; llbc build {flags} -o tree app")));
        let told = sandbox.json("tree/sbom.spdx.json");
        assert_eq!(told["_type"], "https://in-toto.io/Statement/v1");
        assert_eq!(files(&told), ["/file", "/tool"], "{flags}");
        let subjects: Vec<&Value> = told["subject"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
        assert_eq!(subjects, ["file", "tool"]);
        let stage = sandbox.json("tree/sbom-tools.spdx.json");
        assert!(files(&stage).contains(&"/bin/busybox".to_owned()), "{stage}");
        assert!(!sandbox.has("tree/sbom-context.spdx.json"));
    }
    let told = sandbox.succeed(&mut sandbox.shell(
        "rm -r tree; llbc build --sbom=generator=scanner,DEPTH=2 --build-arg BUILDKIT_SBOM_SCAN_CONTEXT=true \
         --provenance=min -o tree app",
    ));
    assert!(told.err().contains("generating sbom using docker.io/library/scanner:latest"), "{}", told.err());
    let said = sandbox.json("tree/sbom.spdx.json")["predicate"]["comment"].clone();
    assert_eq!(
        said,
        "BUILDKIT_SCAN_DEPTH=2 BUILDKIT_SCAN_DESTINATION=/run/out/ BUILDKIT_SCAN_SOURCE=/run/src/core/sbom \
         BUILDKIT_SCAN_SOURCE_EXTRAS=/run/src/extras "
    );
    assert!(sandbox.has("tree/provenance.json"));
    sandbox.succeed(&mut sandbox.shell("rm -r tree; llbc build --sbom=false -o tree app"));
    assert!(sandbox.has("tree/file") && !sandbox.has("tree/sbom.spdx.json"));
}

#[test]
fn arguments_of_the_text_say_what_is_scanned_beside_the_result() {
    let sandbox = place();
    let names = |arguments: &str| {
        sandbox.succeed(&mut sandbox.shell(&format!(
            "rm -rf tree; llbc build --sbom=generator=scanner {arguments} -o tree app; cd tree; ls sbom-* > ../names || true"
        )));
        sandbox.read("names").split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let text = BUILD.replace("FROM scratch\n", "FROM scratch\nARG BUILDKIT_SBOM_SCAN_CONTEXT=true\n");
    sandbox.write("app/Dockerfile", &text);
    assert_eq!(names(""), ["sbom-context.spdx.json", "sbom-tools.spdx.json"]);
    let context = sandbox.json("tree/sbom-context.spdx.json");
    assert!(files(&context).contains(&"/file".to_owned()), "{context}");
    assert_eq!(names("--build-arg BUILDKIT_SBOM_SCAN_STAGE=other,one"), ["sbom-context.spdx.json"]);
    assert_eq!(names("--build-arg BUILDKIT_SBOM_SCAN_CONTEXT=0"), ["sbom-tools.spdx.json"]);
}

#[test]
fn one_manifest_for_each_platform_holds_all_that_is_said_of_it() {
    let sandbox = place();
    sandbox.write("app/Dockerfile", "FROM scratch\nARG TARGETARCH\nCOPY file /file-$TARGETARCH\n");
    let run = sandbox.succeed(&mut sandbox.shell(
        "llbc build --platform linux/amd64,linux/arm64 --sbom=generator=scanner --provenance=max -t app:1 \
         -o type=oci,tar=false,dest=layout app",
    ));
    for platform in ["linux/amd64", "linux/arm64"] {
        let step = format!("[{platform}] generating sbom using docker.io/library/scanner:latest");
        assert!(run.err().contains(&step), "{}", run.err());
    }
    let (index, said) = attested::statements(&sandbox, "layout");
    assert_eq!((index["manifests"].as_array().unwrap().len(), said.len()), (4, 2));
    for (number, (said, arch)) in said.iter().zip(["amd64", "arm64"]).enumerate() {
        let types: Vec<&Value> = said.iter().map(|one| &one["predicateType"]).collect();
        assert_eq!(types, ["https://spdx.dev/Document", "https://slsa.dev/provenance/v1"]);
        assert_eq!(files(&said[0]), [format!("/file-{arch}")]);
        let digest = index["manifests"][number]["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let subject =
            json!([{ "name": format!("pkg:docker/app@1?platform=linux%2F{arch}"), "digest": { "sha256": digest } }]);
        assert_eq!((&said[0]["subject"], &said[1]["subject"]), (&subject, &subject));
    }
    // One directory holds both.
    sandbox.succeed(&mut sandbox.shell(
        "llbc build --platform linux/amd64,linux/arm64 --sbom=generator=scanner -o type=local,platform-split=false,dest=all app",
    ));
    assert!(sandbox.has("all/sbom.spdx.linux_amd64.json") && sandbox.has("all/sbom.spdx.linux_arm64.json"));
}

#[test]
fn a_bill_comes_from_the_cache() {
    let sandbox = place();
    let steps = |flags: &str| {
        let shown =
            sandbox.succeed(&mut sandbox.shell(&format!("llbc build --sbom=generator=scanner {flags} -t app app")));
        let lines: Vec<String> = shown.err().lines().map(str::to_owned).collect();
        let number = lines.iter().find(|line| line.contains("generating sbom")).unwrap().split(' ').next().unwrap();
        lines.iter().any(|line| line.starts_with(number) && line.ends_with("CACHED"))
    };
    assert!(!steps(""));
    assert!(steps(""));
    assert!(!steps("--no-cache"));
    let list = sandbox.succeed(sandbox.executor().args(["images", "ls"])).out();
    assert!(list.contains("app:latest"), "{list}");
    sandbox.write("next/Dockerfile", "FROM app\nCOPY --from=base /bin/busybox /x\n");
    sandbox.succeed(&mut sandbox.shell("llbc build -o next/out next"));
    assert!(sandbox.has("next/out/tool"));
}

#[test]
fn what_a_scanner_leaves_is_not_trusted() {
    let sandbox = place();
    let out = "\"$BUILDKIT_SCAN_DESTINATION\"";
    for (does, expected) in [
        (format!("rm {out}/*"), "the scanner for bills of materials left nothing"),
        (
            format!("ln -sf /etc/passwd {out}/sbom.spdx.json"),
            "sbom.spdx.json, which the scanner for bills of materials left, is a symbolic link",
        ),
        (format!("mkdir {out}/more"), "more, which the scanner for bills of materials left, is a directory"),
        (format!("mkfifo {out}/more"), "more, which the scanner for bills of materials left, is not a regular file"),
        (format!("echo '{{}}' > {out}/more"), "is no in-toto statement: it has no _type"),
        (format!("dd if=/dev/zero of={out}/more bs=1M count=1 seek=40 2>/dev/null"), "exceeds 41943040 bytes"),
        (
            format!("sed -i s,spdx.dev,x.dev, {out}/*"),
            "does not match required predicate type https://spdx.dev/Document",
        ),
        ("exit 3".to_owned(), "exit code: 3"),
    ] {
        sandbox.write("bad/leave", &does);
        sandbox.write("bad/Dockerfile", "FROM scratch\nCOPY leave /\n");
        let refused = sandbox.fail(1, &mut sandbox.shell("llbc build --sbom=generator=scanner -o bad-out bad"));
        assert!(refused.contains(expected), "{does}: {refused}");
        assert!(!sandbox.has("bad-out/leave"), "{does}");
    }
    for (generator, expected) in [
        ("base", "scanner docker.io/library/base:latest does not have cmd"),
        ("no-such.invalid/x", "no-such.invalid/x:latest"),
        ("A B", "failed to parse sbom scanner A B"),
    ] {
        sandbox.write("plain/Dockerfile", "FROM base\n");
        let flags = format!("--attest 'type=sbom,generator={generator}'");
        let refused = sandbox.fail(1, &mut sandbox.shell(&format!("llbc build {flags} -o plain-out plain")));
        assert!(refused.contains(expected), "{generator}: {refused}");
    }
}

#[test]
fn targets_of_bake_files_and_images_of_specs_say_it_themselves() {
    let sandbox = place();
    sandbox.write(
        "docker-bake.json",
        r#"{"group": {"default": {"targets": ["a", "b"]}}, "target": {
            "a": {"context": "app", "attest": ["type=sbom,generator=scanner"], "output": ["a"]},
            "b": {"context": "app", "attest": [{"type": "provenance"}], "output": ["b"]}}}"#,
    );
    sandbox.succeed(&mut sandbox.shell("llbc build -f docker-bake.json"));
    assert!(sandbox.has("a/sbom.spdx.json") && !sandbox.has("a/provenance.json"));
    assert!(sandbox.has("b/provenance.json") && !sandbox.has("b/sbom.spdx.json"));
    sandbox.succeed(&mut sandbox.shell("rm -r a b; llbc build -f docker-bake.json --sbom=false"));
    assert!(sandbox.has("a/tool") && !sandbox.has("a/sbom.spdx.json"));

    let spec = "[image.x]\nfrom = \"base\"\ntags = [\"x\"]\n[image.y]\nfrom = \"base\"\ntags = [\"y\"]\n\
                attest = { sbom = true, provenance = \"min\" }\n[test.t]\nfrom = \"base\"\nrun = [\"true\"]\n";
    sandbox.write("build.toml", spec);
    // The scanner that nobody names, under its name.
    sandbox.succeed(&mut sandbox.shell("llbc build -t docker/buildkit-syft-scanner:stable-1 scanner"));
    let stored = sandbox.succeed(&mut sandbox.shell("llbc build -f build.toml . x y")).err();
    let count = |text: &str| stored.lines().filter(|line| line.contains(text) && line.ends_with("done")).count();
    assert_eq!(count("exporting attestation manifest"), 1, "{stored}");
    assert!(stored.contains("generating sbom using docker.io/docker/buildkit-syft-scanner:stable-1"), "{stored}");
    sandbox.succeed(&mut sandbox.shell("llbc build -f build.toml --sbom=generator=scanner . x y"));
}

#[test]
fn definitions_and_programs_have_nothing_but_their_results() {
    let sandbox = place();
    sandbox.succeed(
        &mut sandbox
            .shell("cd app && llbc Dockerfile | executor --local context=. --sbom=generator=scanner -o ../tree"),
    );
    assert_eq!(files(&sandbox.json("tree/sbom.spdx.json")), ["/file", "/tool"]);
    assert!(!sandbox.has("tree/sbom-tools.spdx.json"));
    sandbox.write("one.hlb", "export default\nfs default() {\n\timage \"base\"\n\tmkfile \"/a\" 0o644 \"x\"\n}\n");
    sandbox.succeed(&mut sandbox.shell("llbc build -f one.hlb --sbom=generator=scanner -o hlb ."));
    assert!(files(&sandbox.json("hlb/sbom.spdx.json")).contains(&"/a".to_owned()));
    sandbox.write("two.hlb", "export default\nfs default() {\n\timage \"base\"\n\tdownload \"there\"\n}\n");
    let refused = sandbox.fail(1, &mut sandbox.shell("llbc build -f two.hlb --sbom=generator=scanner ."));
    assert!(refused.contains("an attestation of a program that sends results away"), "{refused}");
}
