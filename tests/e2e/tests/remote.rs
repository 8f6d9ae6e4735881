//! Build files that are somewhere else: in repositories, in archives on the web, alone on the web, in archives on standard
//! input. What is fetched is what BuildKit v0.32 fetches; the servers are of this machine.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use e2e::Sandbox;
use e2e::serve::{GitDaemon, commit, serve};

/// A context with two build files, as directory `ctx` and archives in `www`.
fn context() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("ctx/Dockerfile", "FROM scratch\nCOPY a /from-a\n");
    sandbox.write("ctx/a", "a");
    sandbox.write("ctx/sub/Dockerfile", "FROM scratch\nCOPY b /from-b\n");
    sandbox.write("ctx/sub/b", "b");
    sandbox.write("ctx/sub/other", "FROM scratch\nCOPY sub/b /from-other\n");
    sandbox.write("www/Dockerfile", "FROM scratch\nWORKDIR /made\n");
    sandbox.succeed(&mut sandbox.shell("cd ctx && tar cf ../www/x.tar . && tar czf ../www/x.tgz ."));
    sandbox
}

/// Builds from an address; the names of the files in the result.
#[track_caller]
fn built(sandbox: &Sandbox, arguments: &str) -> String {
    let script = format!("rm -rf out && llbc build -o out {arguments} && ls out");
    sandbox.succeed(&mut sandbox.shell(&script)).out().trim().to_owned()
}

#[test]
fn archives_and_files_of_the_web() {
    let sandbox = context();
    let web = serve(&sandbox.directory().join("www"));
    assert_eq!(built(&sandbox, &format!("{web}/x.tar")), "from-a");
    assert_eq!(built(&sandbox, &format!("{web}/x.tgz")), "from-a");
    assert_eq!(built(&sandbox, &format!("-f sub/other {web}/x.tgz")), "from-other");
    assert_eq!(built(&sandbox, &format!("{web}/Dockerfile")), "made");
    // What is given by name is compiled; the context is still looked at to know what it is.
    let dump = |words: &str| sandbox.succeed(&mut sandbox.shell(&format!("llbc dump --text {words}"))).out();
    assert!(dump(&format!("--opt context={web}/x.tgz ctx/Dockerfile")).contains("attempt_unpack"));
    assert!(dump(&format!("{web}/x.tgz")).contains("attempt_unpack"));
    assert!(!dump(&format!("{web}/Dockerfile")).contains("attempt_unpack"));
    let missing = sandbox.fail(1, &mut sandbox.shell(&format!("llbc build -f nosuch {web}/x.tar")));
    assert!(missing.contains("there is no nosuch in") && missing.contains("help: "), "{missing}");
    let gone = sandbox.fail(1, &mut sandbox.shell(&format!("llbc check {web}/nosuch.tar")));
    assert!(gone.contains("404"), "{gone}");
}

#[test]
fn repositories() {
    let sandbox = context();
    commit(&sandbox.directory().join("ctx")).unwrap();
    let daemon = GitDaemon::start(&sandbox.directory());
    let address = format!("{}/ctx", daemon.address);
    assert_eq!(built(&sandbox, &address), "from-a");
    assert_eq!(built(&sandbox, &format!("'{address}#v1:sub'")), "from-b");
    assert_eq!(built(&sandbox, &format!("-f sub/other '{address}?tag=v1'")), "from-other");
    sandbox.succeed(&mut sandbox.shell(&format!("llbc check {address}")));
    // Over the protocol of the address, the time of the commit is learnt.
    let script = format!(
        "git -C ctx log -1 --format=%ct; llbc dump --image --opt build-arg:SOURCE_DATE_EPOCH=context {address}"
    );
    let out = sandbox.succeed(&mut sandbox.shell(&script)).out();
    let (seconds, image) = out.split_once('\n').unwrap();
    let image: serde_json::Value = serde_json::from_str(image).unwrap();
    let created = image["history"][0]["created"].as_str().unwrap();
    let expected = sandbox.succeed(&mut sandbox.shell(&format!("date -u -d @{seconds} +%Y-%m-%dT%H:%M:%SZ"))).out();
    assert_eq!(created, expected.trim());
    let missing = sandbox.fail(1, &mut sandbox.shell(&format!("llbc dump '{address}#nosuch'")));
    assert!(missing.contains("does not contain ref nosuch"), "{missing}");
    let offline = sandbox.fail(1, &mut sandbox.shell(&format!("llbc dump --offline {address}")));
    assert!(offline.contains("nobody is asked with --offline"), "{offline}");
}

#[test]
fn archives_and_build_files_on_standard_input() {
    let sandbox = context();
    let pack = "tar cf x.tar -C ctx . && gzip -k x.tar && zstd -q x.tar -o x.tar.zst && xz -k x.tar && bzip2 -k x.tar";
    sandbox.succeed(&mut sandbox.shell(pack));
    for archive in ["x.tar", "x.tar.gz", "x.tar.zst", "x.tar.xz", "x.tar.bz2"] {
        assert_eq!(built(&sandbox, &format!("- < {archive}")), "from-a", "{archive}");
    }
    // A pipe gives it in pieces.
    assert_eq!(built(&sandbox, "- < <(head -c 100 x.tar; sleep 0.2; tail -c +101 x.tar)"), "from-a");
    assert_eq!(built(&sandbox, "-f sub/other - < x.tar.gz"), "from-other");
    assert_eq!(built(&sandbox, "--offline - < x.tar"), "from-a");
    assert_eq!(built(&sandbox, "- < www/Dockerfile"), "made");
    assert_eq!(built(&sandbox, "-f - ctx < ctx/Dockerfile"), "from-a");
    let fails = |words: &str| sandbox.fail(1, &mut sandbox.shell(&format!("llbc build {words}")));
    let missing = fails("-f nosuch - < x.tar");
    assert!(missing.contains("there is no nosuch in the archive"), "{missing}");
    let no_context = fails("- < ctx/Dockerfile");
    assert!(no_context.contains("\"/a\": not found"), "{no_context}");
    sandbox.write("bad/Dockerfile", "FROM scratch\nCOPPY a /\n");
    let wrong = fails("- < <(tar c -C bad .)");
    assert!(wrong.contains("Dockerfile:2") && wrong.contains("did you mean COPY"), "{wrong}");
    let both = sandbox.fail(2, &mut sandbox.shell("llbc build -f x - < ctx/Dockerfile"));
    assert!(both.contains("no archive"), "{both}");
}

/// The server says no time of its files.
#[test]
fn the_time_of_an_archive_is_that_of_its_newest_file() {
    let sandbox = context();
    let address = serve(&sandbox.directory());
    let pack = "find ctx -type f -exec touch -d @1700000000 {} +; touch -d @1700000200 ctx/a; tar cf x.tar -C ctx . && gzip -k x.tar && \
                zstd -q x.tar -o x.tar.zst && xz -k x.tar && bzip2 -k x.tar";
    sandbox.succeed(&mut sandbox.shell(pack));
    let text = format!("FROM scratch AS time\nADD {address}/x.tar.gz /\nFROM scratch\nCOPY Dockerfile /\n");
    sandbox.write("main/Dockerfile", &text);
    let created = |words: &str| {
        let words = format!("llbc dump --image --opt build-arg:SOURCE_DATE_EPOCH={words}");
        let image = sandbox.succeed(&mut sandbox.shell(&words)).out();
        let image: serde_json::Value = serde_json::from_str(&image).unwrap();
        image["history"][0]["created"].as_str().map(str::to_owned)
    };
    let newest = Some("2023-11-14T22:16:40Z".to_owned());
    for archive in ["x.tar", "x.tar.gz", "x.tar.xz", "x.tar.bz2"] {
        assert_eq!(created(&format!("context {address}/{archive}")), newest, "{archive}");
    }
    assert_eq!(created("time main/Dockerfile"), newest);
    for archive in ["x.tar", "x.tar.zst"] {
        assert_eq!(
            created(&format!("named --opt context:named={address}/{archive} main/Dockerfile")),
            newest,
            "{archive}"
        );
    }
    let plain = created(&format!("named --opt context:named={address}/main/Dockerfile main/Dockerfile"));
    assert_eq!(plain, None);
}

#[test]
fn named_contexts() {
    let sandbox = Sandbox::with_base();
    sandbox.write("lib/b", "of lib");
    sandbox.write("Dockerfile", "FROM scratch\nCOPY --from=named /b /\n");
    let named = |source: &str| built(&sandbox, &format!("--build-context named={source} ."));
    assert_eq!(named("lib"), "b");
    assert_eq!(built(&sandbox, "--opt context:named=local:there --local there=lib ."), "b");
    sandbox.succeed(&mut sandbox.shell("llbc build -f - --build-context named=lib -o type=oci,dest=image.tar,name=x . < Dockerfile && mkdir image && tar xf image.tar -C image"));
    assert_eq!(named("oci-layout://image"), "b");
    sandbox.succeed(&mut sandbox.shell("llbc build --build-context named=lib -t kept . && rm -rf out"));
    assert_eq!(named("docker-image://kept"), "b");
    // What another stage or image is called is looked up under its name; a platform's own comes first.
    sandbox.write("Dockerfile", "FROM named\n");
    assert_eq!(
        built(
            &sandbox,
            "--build-context named::linux/amd64=docker-image://kept --build-context named=docker-image://nosuch --platform linux/amd64 ."
        ),
        "b"
    );
    let input = sandbox.fail(1, &mut sandbox.shell("llbc build --build-context named=input:x ."));
    assert!(input.contains("input"), "{input}");
}
