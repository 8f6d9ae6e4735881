//! Image configs of the conformance corpus must come out in the bytes whose SHA-256 was recorded.
#![allow(clippy::unwrap_used, missing_docs, clippy::disallowed_methods)]

use std::fs;
use std::path::{Path, PathBuf};

use oci::{Digest, ImageConfig};
use serde_json::Value;

fn expectations() -> Vec<PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance/dockerfile");
    let entries = |dir: &Path| fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let groups = entries(&corpus).into_iter().filter(|path| path.is_dir());
    let cases = groups.flat_map(|group| entries(&group)).filter(|path| path.is_dir());
    cases.map(|case| case.join("expect.json")).collect()
}

/// Whether the expectation holds a config with a digest; panics when it does not come out.
fn check(path: &Path, expected: &Value) -> bool {
    let (Some(image), Some(digest)) = (expected.get("image"), expected.get("image_digest")) else { return false };
    let config = ImageConfig::from_json(image.to_string().as_bytes()).unwrap();
    let bytes = config.to_json();
    assert_eq!(Digest::sha256(&bytes).as_str(), digest, "{}: {}", path.display(), String::from_utf8_lossy(&bytes));
    true
}

#[test]
fn configs_have_the_recorded_digests() {
    let mut checked = 0;
    for path in expectations() {
        let expected: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let platforms = expected["platforms"].as_array().cloned().unwrap_or_default();
        checked += std::iter::once(&expected).chain(&platforms).filter(|value| check(&path, value)).count();
    }
    assert!(checked > 500, "only {checked} configs found");
}
