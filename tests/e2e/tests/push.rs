//! Images into registries: what is sent, what others make of it, and what is said when it does not work.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use e2e::{Registry, Sandbox, process, registry, serve};
use serde_json::Value;

const HELLO: &str = "FROM base\nRUN echo hello > /hello\nCMD [\"cat\", \"/hello\"]\n";

fn skopeo(arguments: &[&str]) -> Value {
    let run = process::succeed(Command::new("skopeo").args(arguments)).unwrap_or_else(|error| panic!("{error}"));
    serde_json::from_str(&run.out()).unwrap()
}

/// A sandbox with a build file, and a registry; `None` where there is none.
fn place(with_password: bool) -> Option<(Sandbox, Registry)> {
    if !e2e::have(registry::PROGRAMS) || !e2e::have(&["skopeo"]) {
        return None;
    }
    let registry = if with_password { Registry::start_with_password() } else { Registry::start() };
    let sandbox = Sandbox::with_base();
    sandbox.write("Dockerfile", HELLO);
    Some((sandbox, registry.unwrap()))
}

#[test]
fn several_names_in_several_repositories() {
    let Some((sandbox, registry)) = place(false) else { return };
    let at = &registry.address;
    let tags = format!("-t {at}/team/app:1 -t {at}/team/app:latest -t {at}/other:1");
    let said =
        sandbox.succeed(&mut sandbox.shell(&format!("llbc build --push {tags} --metadata-file meta.json ."))).err();
    let pushed = |line: &&str| line.contains("pushing manifest for") && line.ends_with("done");
    assert_eq!(said.lines().filter(pushed).count(), 3, "{said}");
    let metadata: Value = serde_json::from_str(&sandbox.read("meta.json")).unwrap();
    assert_eq!(metadata["image.name"], format!("{at}/team/app:1,{at}/team/app:latest,{at}/other:1"));
    let digest = metadata["containerimage.digest"].as_str().unwrap();
    for name in ["team/app:1", "team/app:latest", "other:1", &format!("other@{digest}")] {
        let seen = skopeo(&["inspect", "--tls-verify=false", &format!("docker://{at}/{name}")]);
        assert_eq!(seen["Digest"], digest, "{name}");
    }
    // Two layers and a config go to the first repository; the second one takes them from there.
    let uploads = said.lines().filter(|line| line.contains("pushing sha256:") && line.ends_with("done")).count();
    assert_eq!(uploads, 3, "{said}");
    let names = sandbox.succeed(sandbox.executor().args(["images", "ls", "-q"])).out();
    assert_eq!(names, "base:latest\n", "what is pushed is not kept as well");
    // And it is a base for others.
    sandbox.write("Dockerfile", &format!("FROM {at}/team/app:1\nRUN cat /hello /hello > /twice\n"));
    sandbox.succeed(&mut sandbox.shell("LLBC_ROOT=$PWD/fresh llbc build --progress=plain -o tree ."));
    assert_eq!(sandbox.read("tree/twice"), "hello\nhello\n");
}

#[test]
fn a_registry_is_asked_once_for_a_base() {
    let Some((sandbox, registry)) = place(false) else { return };
    sandbox.succeed(&mut sandbox.shell(&format!("llbc build --push -t {}/app:1 .", registry.address)));
    let (address, heard) = serve::overhear(&registry.address);
    sandbox.write("Dockerfile", &format!("FROM {address}/app:1\nRUN cat /hello > /again\n"));
    sandbox.succeed(&mut sandbox.shell("LLBC_ROOT=$PWD/fresh llbc build -o tree ."));
    assert_eq!(sandbox.read("tree/again"), "hello\n");
    let heard = String::from_utf8_lossy(&heard.lock().unwrap()).into_owned();
    let asked = |what: &str| heard.lines().filter(|line| line.starts_with(what)).collect::<Vec<_>>();
    let (manifests, blobs) = (asked("GET /v2/app/manifests/"), asked("GET /v2/app/blobs/"));
    assert_eq!((manifests.len(), blobs.len()), (1, 3), "a manifest, a config, two layers: {manifests:?} {blobs:?}");
}

#[test]
fn what_a_registry_has_in_another_repository_is_not_sent_again() {
    let Some((sandbox, registry)) = place(false) else { return };
    let push = |registry: &Registry, repository: &str| {
        let name = format!("{}/{repository}:1", registry.address);
        let said = sandbox.succeed(&mut sandbox.shell(&format!("llbc build --push -t {name} ."))).err();
        skopeo(&["inspect", "--tls-verify=false", &format!("docker://{name}")]);
        said.lines().filter(|line| line.contains("pushing sha256:") && line.ends_with("done")).count()
    };
    assert_eq!(["one", "one", "two", "team/three"].map(|name| push(&registry, name)), [3, 0, 0, 0]);
    assert_eq!(push(&Registry::start().unwrap(), "four"), 3, "another registry has nothing of it");
}

#[test]
fn by_digest_with_annotations_and_for_several_platforms() {
    let Some((sandbox, registry)) = place(false) else { return };
    let at = &registry.address;
    sandbox.write("Dockerfile", "FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /$TARGETARCH\n");
    let build = "llbc build --platform=linux/amd64,linux/arm64 --annotation index:org.example.a=1 --annotation b=2 \
                 --metadata-file meta.json . -o type=image,push=true,push-by-digest=true";
    sandbox.succeed(&mut sandbox.shell(&format!("{build},name={at}/multi")));
    let metadata: Value = serde_json::from_str(&sandbox.read("meta.json")).unwrap();
    let digest = metadata["containerimage.digest"].as_str().unwrap();
    let raw = |name: &str| skopeo(&["inspect", "--raw", "--tls-verify=false", &format!("docker://{at}/{name}")]);
    let index = raw(&format!("multi@{digest}"));
    assert_eq!(index["annotations"]["org.example.a"], "1");
    let platforms: Vec<_> =
        index["manifests"].as_array().unwrap().iter().map(|m| &m["platform"]["architecture"]).collect();
    assert_eq!(platforms, ["amd64", "arm64"]);
    let manifest = raw(&format!("multi@{}", index["manifests"][1]["digest"].as_str().unwrap()));
    assert_eq!(manifest["annotations"]["b"], "2");
    let untagged = Command::new("skopeo")
        .args(["inspect", "--raw", "--tls-verify=false", &format!("docker://{at}/multi:latest")])
        .output()
        .unwrap();
    assert!(!untagged.status.success(), "a push by digest gives no tag");
}

#[test]
fn with_a_password_from_docker_and_from_a_helper() {
    let Some((sandbox, registry)) = place(true) else { return };
    let at = &registry.address;
    let push = |tag: &str| format!("DOCKER_CONFIG=$PWD/config llbc build --push -t {at}/app:{tag} .");
    let said = sandbox.fail(1, &mut sandbox.shell(&push("0")));
    assert!(said.contains(&format!("{at}/app: push access denied")), "{said}");
    sandbox.write("config/config.json", &format!(r#"{{"auths": {{"{at}": {{"auth": "bWU6c2VjcmV0"}}}}}}"#));
    sandbox.succeed(&mut sandbox.shell(&push("1")));
    sandbox.write("config/config.json", &format!(r#"{{"credHelpers": {{"{at}": "e2e"}}}}"#));
    let helper = sandbox.write(
        "bin/docker-credential-e2e",
        "#!/bin/sh\nread host\necho \"{\\\"ServerURL\\\": \\\"$host\\\", \\\"Username\\\": \\\"me\\\", \\\"Secret\\\": \\\"secret\\\"}\"\n",
    );
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let said = sandbox.succeed(&mut sandbox.shell(&format!("PATH=$PWD/bin:$PATH {}", push("2")))).err();
    assert!(!said.contains("secret"), "{said}");
    for tag in ["1", "2"] {
        let name = format!("docker://{at}/app:{tag}");
        let seen = skopeo(&["inspect", "--tls-verify=false", "--creds=me:secret", &name]);
        assert_eq!(seen["Architecture"].as_str().map(str::is_empty), Some(false));
    }
}

#[test]
fn what_cannot_be_pushed_is_said_before_anything_is_built() {
    let sandbox = Sandbox::with_base();
    sandbox.write("Dockerfile", "FROM base\nRUN echo it-ran\n");
    for (flags, words) in [
        ("--push", "cannot push an image without a name"),
        ("-o type=registry,name=a,comprssion=zstd", "did you mean compression?"),
        ("-o type=oci,dest=x,push=true", "push=true is for type=image"),
        ("-o type=oci,dest=x,store=true", "is not for type=oci, it is for type=image"),
        ("--load", "no engine to load into"),
    ] {
        let command = format!("DOCKER_HOST= CONTAINERD_ADDRESS=/nowhere llbc build --progress=plain {flags} .");
        let said = sandbox.fail(1, &mut sandbox.shell(&command));
        assert!(said.contains(words) && !said.contains("it-ran"), "{flags}: {said}");
    }
    assert!(!sandbox.has("x"));
}

#[test]
fn a_registry_that_is_down() {
    let Some((sandbox, mut registry)) = place(false) else { return };
    registry.stop();
    let at = &registry.address;
    let said = sandbox.fail(1, &mut sandbox.shell(&format!("llbc build --push -t {at}/app .")));
    assert!(said.contains(&format!("{at}/app")) && said.contains("Connection refused"), "{said}");
    sandbox.write("Dockerfile", &format!("FROM {at}/app\n"));
    let said = sandbox.fail(1, &mut sandbox.shell("llbc build ."));
    assert!(said.contains("Connection refused") && said.contains("Dockerfile:1"), "{said}");
    let names = sandbox.succeed(sandbox.executor().args(["images", "ls", "-q"])).out();
    assert_eq!(names, "base:latest\n");
}

#[test]
fn a_registry_that_fails_in_the_middle_of_an_upload() {
    let Some((sandbox, registry)) = place(false) else { return };
    let at = e2e::serve::serve_failing_uploads();
    sandbox.write("Dockerfile", "FROM base\nRUN head -c 9000000 /dev/urandom > /big\n");
    let push = |at: &str| format!("llbc build --progress=plain --push -t {at}/app --metadata-file meta.json .");
    let said = sandbox.fail(1, &mut sandbox.shell(&push(&at)));
    let words = format!("error: {at}/app: ");
    assert!(said.contains(&words) && said.contains(&format!("PUT http://{at}/v2/uploads/1")), "{said}");
    assert!(!sandbox.has("meta.json"));
    let left = sandbox.left_behind();
    assert!(left.is_empty(), "{left:?}");
    // Nothing of the build was lost: the next push is of what is there.
    let said = sandbox.succeed(&mut sandbox.shell(&push(&registry.address))).err();
    assert!(said.contains("CACHED") && sandbox.has("meta.json"), "{said}");
}
