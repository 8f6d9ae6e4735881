//! Image configs that mean harm: what a registry, or whoever wrote an image, says of it is no reason to leave the tree, to
//! stop in a panic, or to take for ever.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::path::Path;
use std::time::{Duration, Instant};

use e2e::{Sandbox, process};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// No attack may take longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Writes a blob of a layout; its digest.
fn put(layout: &Path, bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    std::fs::write(layout.join("blobs/sha256").join(&hex), bytes).unwrap();
    format!("sha256:{hex}")
}

fn get(layout: &Path, digest: &Value) -> Vec<u8> {
    let hex = digest.as_str().unwrap().trim_start_matches("sha256:");
    std::fs::read(layout.join("blobs/sha256").join(hex)).unwrap()
}

/// Gives the image of a layout another config, and takes that for what its manifest and index say.
fn give(layout: &Path, change: &dyn Fn(Value) -> Vec<u8>) {
    let mut index: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    let mut manifest: Value = serde_json::from_slice(&get(layout, &index["manifests"][0]["digest"])).unwrap();
    let config = change(serde_json::from_slice(&get(layout, &manifest["config"]["digest"])).unwrap());
    manifest["config"]["digest"] = put(layout, &config).into();
    manifest["config"]["size"] = config.len().into();
    let manifest = serde_json::to_vec(&manifest).unwrap();
    index["manifests"][0]["digest"] = put(layout, &manifest).into();
    index["manifests"][0]["size"] = manifest.len().into();
    std::fs::write(layout.join("index.json"), serde_json::to_vec(&index).unwrap()).unwrap();
}

/// A config with another value at a place.
fn with(place: &'static str, value: Value) -> Box<dyn Fn(Value) -> Vec<u8>> {
    Box::new(move |mut config| {
        let (above, name) = place.rsplit_once('/').unwrap();
        config.pointer_mut(above).unwrap()[name] = value.clone();
        serde_json::to_vec(&config).unwrap()
    })
}

fn text(bytes: impl Into<Vec<u8>>) -> Box<dyn Fn(Value) -> Vec<u8>> {
    let bytes = bytes.into();
    Box::new(move |_| bytes.clone())
}

/// One config, and what is said of it, or what a step writes.
type Row = (&'static str, Box<dyn Fn(Value) -> Vec<u8>>, Result<&'static str, &'static str>);

fn rows() -> Vec<Row> {
    let digest = json!(format!("sha256:{}", "0".repeat(64)));
    let mismatch = "mismatched image rootfs and manifest layers";
    let no_user = "unable to find user";
    vec![
        ("no JSON", text("{"), Err("failed to parse image config: EOF while parsing an object")),
        ("a list", text("[]"), Err("cannot unmarshal array")),
        ("nothing", text(""), Err("failed to parse image config: EOF while parsing a value")),
        ("lists in lists", text("[".repeat(200_000)), Err("recursion limit exceeded")),
        ("long", text(vec![b' '; 40 << 20]), Err("is longer than 4194304 bytes")),
        ("no layers", with("/rootfs/diff_ids", json!([])), Err(mismatch)),
        ("layers it has not", with("/rootfs/diff_ids", json!([digest, digest, digest, digest])), Err(mismatch)),
        ("another layer", with("/rootfs/diff_ids", json!([digest])), Err("layer: digest mismatch")),
        ("a variable of two lines", with("/config/Env", json!(["A=1\nB=2", "PATH=/bin"])), Ok("1")),
        (
            "a variable with a NUL",
            with("/config/Env", json!(["A=1\0B=2", "PATH=/bin"])),
            Err("variable with a NUL byte"),
        ),
        ("a variable without a value", with("/config/Env", json!(["y", "PATH=/bin"])), Ok("")),
        ("a variable without a name", with("/config/Env", json!(["=x", "PATH=/bin"])), Err("has no name")),
        ("a variable that is nothing", with("/config/Env", json!(["", "PATH=/bin"])), Err("has no name")),
        ("a directory above the top", with("/config/WorkingDir", json!("../../../../../..")), Ok("")),
        ("a directory with a NUL", with("/config/WorkingDir", json!("/a\0b")), Err("cannot create working directory")),
        ("a user of the host's", with("/config/User", json!("../../../../etc/passwd")), Err(no_user)),
        ("a user that turns the terminal red", with("/config/User", json!("a\u{1b}[31mb")), Err(no_user)),
        (
            "a user beyond numbers",
            with("/config/User", json!("99999999999999999999")),
            Err("uids and gids must be in range"),
        ),
        ("a trigger that is none", with("/config/OnBuild", json!(["FROM scratch"])), Err("is not a command type")),
        ("a shell of nothing", with("/config/Shell", json!([])), Ok("")),
        ("numbers for words", with("/config/Env", json!(7)), Err("cannot unmarshal number")),
    ]
}

#[test]
fn configs_that_mean_harm_are_refused_or_do_none() {
    let sandbox = Sandbox::with_base();
    sandbox.write("Base", "FROM base\nENV A=\n");
    sandbox.write("Dockerfile", "FROM evil\nRUN echo \"$A\" | head -n1 > /seen\n");
    sandbox.succeed(&mut sandbox.shell("llbc build -f Base -o type=oci,tar=false,dest=good ."));
    for (what, change, expected) in rows() {
        let layout = sandbox.directory().join("layout");
        sandbox.succeed(&mut sandbox.shell("rm -rf layout; cp -r good layout"));
        give(&layout, &*change);
        let started = Instant::now();
        let build = "llbc build --no-cache --progress=plain --build-context evil=oci-layout://$PWD/layout -o tree .";
        let run = process::run(&mut sandbox.shell(build)).unwrap();
        let said = run.err();
        assert!(started.elapsed() < PATIENCE && !said.contains("panicked"), "{what}: {said}");
        assert!(!said.contains(['\u{1b}', '\0']), "{what} writes to the terminal: {said:?}");
        match expected {
            Ok(seen) => {
                assert_eq!(run.status.code(), Some(0), "{what}: {said}");
                assert_eq!(sandbox.read("tree/seen").trim(), seen, "{what}");
                std::fs::remove_dir_all(sandbox.directory().join("tree")).unwrap();
            }
            Err(word) => {
                assert_eq!(run.status.code(), Some(1), "{what}: {said}");
                assert!(said.contains(word), "{what}: {word:?} is not in\n{said}");
                assert!(!sandbox.has("tree"), "{what} left an output");
            }
        }
    }
}
