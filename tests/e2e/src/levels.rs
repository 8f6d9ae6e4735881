//! The same build at each level of the optimizer: trees, configs, layers and histories.

use std::fs::File;

use serde_json::Value;

use crate::{Sandbox, Tree};

/// What can be observed of a build.
#[derive(Clone, Debug)]
pub struct Built {
    /// The tree.
    pub tree: Tree,
    /// The config of the image, without what layers say.
    pub config: Value,
    /// How many layers there are.
    pub layers: usize,
    /// How many entries of the history say that they have one.
    pub layered: usize,
}

/// Builds what the words of a command line say after `llbc build`.
///
/// Panics where it cannot be built.
#[track_caller]
pub fn build(sandbox: &Sandbox, words: &str) -> Built {
    let script = format!(
        "rm -rf oci && llbc build --progress=quiet -o type=tar,dest=t.tar -o type=oci,tar=false,dest=oci,compression=uncompressed {words}"
    );
    sandbox.succeed(&mut sandbox.shell(&script));
    let tar = File::open(sandbox.directory().join("t.tar")).expect("the build wrote it");
    let tree = Tree::from_tar(tar).unwrap_or_else(|error| panic!("{words}: {error}"));
    let json = |path: &str| -> Value { serde_json::from_str(&sandbox.read(path)).expect("a layout is JSON") };
    let digest = |value: &Value| value["digest"].as_str().expect("it is a descriptor").replace(':', "/");
    let blob = |value: &Value| json(&format!("oci/blobs/{}", digest(value)));
    let manifest = blob(&json("oci/index.json")["manifests"][0]);
    let config = blob(&manifest["config"]);
    let is_layered = |entry: &&Value| entry["empty_layer"] != true;
    Built {
        tree,
        layers: manifest["layers"].as_array().map_or(0, Vec::len),
        layered: config["history"].as_array().map_or(0, |history| history.iter().filter(is_layered).count()),
        config: config["config"].clone(),
    }
}

/// Builds the same at `-O0` and with other flags, which must agree; how many layers there are, in the order of the flags.
///
/// Panics where they do not.
#[track_caller]
pub fn check(sandbox: &Sandbox, words: &str, others: &[&str]) -> Vec<usize> {
    let given = build(sandbox, &format!("-O0 {words}"));
    assert_eq!(given.layers, given.layered, "{words}");
    assert!(!given.tree.is_empty(), "{words}: an empty tree proves nothing");
    let check = |flags: &&str| {
        let other = build(sandbox, &format!("{flags} {words}"));
        let difference = given.tree.difference(&other.tree, ("-O0", flags));
        assert!(difference.is_empty(), "{words} at {flags}: {difference:#?}");
        assert_eq!(given.config, other.config, "{words} at {flags}");
        assert_eq!(other.layers, other.layered, "{words} at {flags}: a history entry for each layer");
        let as_many = if flags.contains("preserve") { given.layers..=given.layers } else { 1..=given.layers };
        assert!(as_many.contains(&other.layers), "{words} at {flags}: {} layers became {}", given.layers, other.layers);
        other.layers
    };
    others.iter().map(check).collect()
}
