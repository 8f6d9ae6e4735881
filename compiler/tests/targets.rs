//! The targets of every Dockerfile of the conformance corpus are those on record.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test reads its cases from files")]

use std::path::{Path, PathBuf};

use ast::Source;
use compiler::targets::{Target, targets};
use serde_json::{Value, json};

/// A target as the corpus writes it.
fn recorded(target: &Target) -> Value {
    let lines = target.location.first..=target.location.last;
    let mut value = serde_json::to_value(target).unwrap();
    let fields = value.as_object_mut().unwrap();
    fields.remove("location");
    fields.insert("ranges".to_owned(), json!(lines.collect::<Vec<_>>()));
    value
}

fn list(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn targets_are_those_on_record() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance/dockerfile");
    let mut compared = 0;
    let mut wrong = Vec::new();
    for case in list(&root).iter().filter(|path| path.is_dir()).flat_map(|group| list(group)) {
        let expected: Value = serde_json::from_slice(&std::fs::read(case.join("expect.json")).unwrap()).unwrap();
        let Some(expected) = expected.get("targets") else { continue };
        let source = Source::new("Dockerfile", std::fs::read(case.join("Dockerfile")).unwrap());
        let module = compiler::parse(&source);
        let found = targets(&module, &source.lines).map(|targets| targets.0.iter().map(recorded).collect::<Vec<_>>());
        compared += 1;
        if found.as_ref().ok() != expected.as_array() {
            wrong.push(format!("{}: found {found:?}, expected {expected}", case.display()));
        }
    }
    assert!(compared > 600, "the corpus has targets");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_file_that_cannot_be_built_has_targets() {
    let source = Source::new("Dockerfile", *b"ARG B\nFROM $B AS a\n");
    let module = compiler::parse(&source);
    assert_eq!(targets(&module, &source.lines).unwrap().0.len(), 1);
}
