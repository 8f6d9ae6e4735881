//! The conformance corpus: definitions that BuildKit made survive decoding and encoding byte for byte.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test reads its cases from files")]

use std::fs;
use std::path::{Path, PathBuf};

/// Every file of the corpus whose name has this beginning and end.
fn corpus(prefix: &str, suffix: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance/dockerfile");
    let mut found = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                folders.push(path);
            } else if name.starts_with(prefix) && name.ends_with(suffix) {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 500, "the corpus is there: {} files", found.len());
    found.sort();
    found
}

#[test]
fn decode_then_encode_gives_the_same_bytes() {
    for path in corpus("expect", ".pb") {
        let bytes = fs::read(&path).unwrap();
        let decoded = llb::decode(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(decoded.definition.to_bytes() == bytes, "{}: definition", path.display());
        let (definition, digests) = llb::encode_traced(&decoded.graph).unwrap();
        assert!(definition.to_bytes() == bytes, "{}: graph", path.display());
        assert!(digests.iter().map(|digest| digest.as_ref().unwrap()).eq(&decoded.digests), "{}", path.display());
    }
}

#[test]
fn dump_prints_what_buildctl_prints() {
    for path in corpus("dump", ".jsonl") {
        let decoded = llb::decode(&fs::read(path.with_file_name("expect.pb")).unwrap()).unwrap();
        let lines = llb::dump::json(&decoded.definition).unwrap();
        for (actual, expected) in lines.lines().zip(fs::read_to_string(&path).unwrap().lines()) {
            assert_eq!(actual, expected, "{}", path.display());
        }
        assert!(lines == fs::read_to_string(&path).unwrap(), "{}", path.display());
    }
}

#[test]
fn the_text_form_says_all() {
    for path in corpus("expect", ".pb") {
        let graph = llb::decode(&fs::read(&path).unwrap()).unwrap().graph;
        let text = llb::text::print(&graph);
        let parsed = llb::text::parse(&text).unwrap_or_else(|error| panic!("{}: {error}\n{text}", path.display()));
        assert!(parsed == graph, "{}:\n{text}", path.display());
    }
}

#[test]
fn the_verifier_has_nothing_to_say() {
    for path in corpus("expect", ".pb") {
        let graph = llb::decode(&fs::read(&path).unwrap()).unwrap().graph;
        assert_eq!(llb::verify::verify(&graph), [], "{}", path.display());
    }
}
