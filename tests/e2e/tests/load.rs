//! Images into Docker's engine.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use e2e::{Docker, Sandbox};
use serde_json::Value;

/// The files of blobs in a store.
fn blobs(store: &Path) -> BTreeSet<PathBuf> {
    let files = std::fs::read_dir(store.join("blobs-v1/sha256")).into_iter().flatten();
    files.map(|file| file.unwrap().path()).collect()
}

#[test]
fn layers_go_from_their_files_into_an_engine_and_are_compressed_nowhere() {
    let Some(docker) = Docker::get() else { return };
    let sandbox = Sandbox::with_base();
    let text = "0123456789abcdef\n".repeat(100_000);
    sandbox.write("large", &text);
    sandbox.write("Dockerfile", "FROM base\nCOPY large /\nRUN wc -c < large > /size && rm /large\n");
    let before = blobs(&sandbox.store());
    let mut build = sandbox.llbc();
    build.env("DOCKER_HOST", format!("unix://{}", docker.socket().display()));
    build.args(["build", "--load", "-t", "e2e-load:1", "--metadata-file", "meta.json", "."]);
    sandbox.succeed(&mut build);
    for added in blobs(&sandbox.store()).difference(&before) {
        let bytes = std::fs::read(added).unwrap();
        assert!(serde_json::from_slice::<Value>(&bytes).is_ok(), "a layer is in the store: {}", added.display());
    }
    let docker = |arguments: &[&str]| sandbox.succeed(docker.client().args(arguments)).out();
    let metadata: Value = serde_json::from_str(&sandbox.read("meta.json")).unwrap();
    let id = docker(&["image", "inspect", "--format={{.Id}}", "e2e-load:1"]);
    assert_eq!(id.trim(), metadata["containerimage.config.digest"]);
    // The engine has unpacked all layers, deletions included.
    let run = ["run", "--rm", "--network=none", "e2e-load:1", "sh", "-c", "cat /size; test ! -e /large && echo gone"];
    assert_eq!(docker(&run), format!("{}\ngone\n", text.len()));
}
