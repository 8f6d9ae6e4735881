//! HLB programs, built: the example of the project, and what is said when something is wrong.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::path::Path;

use e2e::Sandbox;
use e2e::registry::Registry;

/// A sandbox with the base image and the project's example.
fn example() -> Sandbox {
    let sandbox = Sandbox::with_base();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/hlb");
    for file in ["build.hlb", "lib/page.hlb", "src/text.html"] {
        sandbox.write(file, &std::fs::read_to_string(root.join(file)).unwrap());
    }
    sandbox
}

#[test]
fn the_example_is_an_image() {
    let sandbox = example();
    let build = "llbc build -f build.hlb --offline --target site --build-arg base=base";
    sandbox.succeed(&mut sandbox.shell(&format!("{build} -o type=local,dest=tree -t site:1")));
    assert_eq!(sandbox.read("tree/www/index.html"), "<h1>Hello, HLB</h1>\n<p>Rendered in a container.</p>\n");
    assert_eq!(sandbox.read("tree/www/robots.txt"), "User-agent: * Disallow:");
}

#[test]
fn a_pipeline_sends_away_what_it_says() {
    let sandbox = example();
    sandbox.succeed(&mut sandbox.shell("llbc build -f build.hlb --offline --target all --build-arg base=base"));
    assert!(sandbox.read("out/tree/www/index.html").starts_with("<h1>Hello, HLB</h1>"));
    let config = sandbox.succeed(&mut sandbox.shell("tar -xOf out/site.tar manifest.json")).out();
    assert!(config.contains("site:1"), "{config}");
}

#[test]
fn processes_on_this_machine_need_permission() {
    let sandbox = Sandbox::new();
    sandbox.write("build.hlb", "fs default() {\n\tscratch\n\tmkfile \"/f\" 0o644 localRun(\"echo made here\")\n}\n");
    let refused = sandbox.fail(1, &mut sandbox.shell("llbc dump build.hlb"));
    assert!(refused.contains("--allow-local-run"), "{refused}");
    let shown = sandbox.succeed(&mut sandbox.shell("llbc dump --allow-local-run build.hlb")).out();
    assert!(shown.contains("made here"), "{shown}");
}

#[test]
fn errors_are_in_the_module_where_they_are() {
    let sandbox = Sandbox::new();
    sandbox.write("build.hlb", "import lib from \"./lib.hlb\"\n\nfs default() {\n\tlib.base\n}\n");
    sandbox.write("lib.hlb", "export base\n\nfs base() {\n\timage 12\n}\n");
    let said = sandbox.fail(1, &mut sandbox.shell("llbc dump build.hlb"));
    assert!(said.contains("lib.hlb:4:8") && said.contains("cannot use int as type string"), "{said}");
    let said = sandbox.fail(1, &mut sandbox.shell("llbc compile build.hlb --target nothing -o x"));
    assert!(said.contains("target \"nothing\" is not defined in build.hlb"), "{said}");
}

#[test]
fn a_dockerfile_is_a_source_of_a_program() {
    let sandbox = Sandbox::with_base();
    sandbox.write(
        "app/docker/Dockerfile",
        "ARG WORD\nFROM base AS build\nARG WORD\nCOPY text /text\nRUN echo $WORD >> /text\nFROM scratch\nCOPY --from=build /text /\n",
    );
    sandbox.write("app/text", "from the context\n");
    let options = "file \"docker/Dockerfile\"; arg \"WORD\" \"from_a_program\";";
    let program = format!(
        "fs default() {{\n\tdockerfile fs {{ local \"app\"; }} with option {{ {options} }}\n\tmkfile \"/more\" content=\"x\" filemode=0o644\n}}\n"
    );
    sandbox.write("build.hlb", &program);
    sandbox.succeed(&mut sandbox.shell("llbc build -f build.hlb --offline -o type=local,dest=tree"));
    assert_eq!(sandbox.read("tree/text"), "from the context\nfrom_a_program\n");
    assert_eq!(sandbox.read("tree/more"), "x");
}

#[test]
fn a_secret_of_the_environment_and_a_server_behind_a_socket() {
    let sandbox = Sandbox::with_base();
    let options = "secretEnv \"HOST_TOKEN\" \"TOKEN\"; forward \"tcp://127.0.0.1:9\" \"/server\";";
    let run = format!("run \"test $TOKEN = 123 && test -S /server && echo ok > /ok\" with option {{ {options} }}");
    sandbox.write("build.hlb", &format!("fs default() {{\n\timage \"base\"\n\t{run}\n}}\n"));
    let mut build = sandbox.shell("llbc build -f build.hlb --offline -o type=local,dest=tree");
    sandbox.succeed(build.env("HOST_TOKEN", "123"));
    assert_eq!(sandbox.read("tree/ok"), "ok\n");
}

#[test]
fn the_manifest_of_an_image_and_layers_that_can_be_read_early() {
    if !e2e::have(&["docker-registry"]) {
        return;
    }
    let registry = Registry::start().unwrap();
    let name = format!("{}/app:1", registry.address);
    let sandbox = Sandbox::new();
    let push = format!("dockerPush \"{name}\" with option {{ stargz; }}");
    sandbox.write("push.hlb", &format!("fs default() {{\n\tscratch\n\tmkfile \"/f\" 0o644 \"x\"\n\t{push}\n}}\n"));
    sandbox.succeed(&mut sandbox.shell("llbc build -f push.hlb"));
    let read = format!("fs default() {{\n\tscratch\n\tmkfile \"/f\" 0o644 manifest(\"{name}\")\n}}\n");
    sandbox.write("read.hlb", &read);
    let shown = sandbox.succeed(&mut sandbox.shell("llbc dump read.hlb")).out();
    assert!(shown.contains("containerd.io/snapshot/stargz/toc.digest"), "{shown}");
}

#[test]
fn a_push_for_several_platforms_is_one_index() {
    if !e2e::have(&["docker-registry", "skopeo"]) {
        return;
    }
    let registry = Registry::start().unwrap();
    let name = format!("{}/app:1", registry.address);
    let sandbox = Sandbox::new();
    let program = format!("fs default() {{\n\tscratch\n\tmkfile \"/f\" 0o644 \"x\"\n\tdockerPush \"{name}\"\n}}\n");
    sandbox.write("build.hlb", &program);
    sandbox.succeed(&mut sandbox.shell("llbc build -f build.hlb --platform linux/amd64,linux/arm64"));
    let inspect = format!("skopeo inspect --raw --tls-verify=false docker://{name}");
    let index = sandbox.succeed(&mut sandbox.shell(&inspect)).out();
    assert!(index.contains("image.index") && index.contains("\"amd64\"") && index.contains("\"arm64\""), "{index}");
}
