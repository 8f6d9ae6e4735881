//! HLB programs, built: the example of the project, and what is said when something is wrong.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::path::Path;

use e2e::Sandbox;

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
