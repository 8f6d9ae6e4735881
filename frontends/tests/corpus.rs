//! Every Dockerfile of the conformance corpus: the errors of parsing, with their lines, are those on record.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test reads its cases from files")]

use std::path::{Path, PathBuf};

use ast::{FileId, LineIndex, Module};
use serde_json::Value;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance/dockerfile")
}

struct Case {
    name: String,
    text: Vec<u8>,
    expected: Value,
}

fn cases() -> Vec<Case> {
    let list = |dir: &Path| {
        let mut entries: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        entries
    };
    let json = |path: PathBuf| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let dirs = list(&corpus()).into_iter().filter(|path| path.is_dir()).flat_map(|group| list(&group));
    dirs.filter(|dir| dir.join("Dockerfile").exists())
        .map(|dir| Case {
            name: dir.strip_prefix(corpus()).unwrap().display().to_string(),
            text: std::fs::read(dir.join("Dockerfile")).unwrap(),
            expected: json(dir.join("expect.json")),
        })
        .collect()
}

fn parse(case: &Case) -> Module {
    let language = frontends::detect("Dockerfile").unwrap();
    (language.parse)(&frontends::Input::new(FileId(0), &case.text))
}

/// The first error as the corpus writes it: message and line numbers.
fn first_error(case: &Case, module: &Module) -> Option<(String, Vec<u64>)> {
    let error = module.diagnostics.first()?;
    let lines = LineIndex::new(&case.text);
    let ranges = match (&error.locations, error.at) {
        (Some(locations), _) => locations.first().cloned().unwrap_or_default(),
        (None, Some(at)) => vec![lines.lines_of(at)],
        (None, None) => Vec::new(),
    };
    let numbers = ranges.into_iter().flat_map(|(first, last)| u64::from(first)..=u64::from(last));
    Some((error.message.clone(), numbers.collect()))
}

fn expected_error(case: &Case) -> Option<(String, Vec<u64>)> {
    let error = case.expected.get("error")?;
    let numbers = |range: &Value| match range {
        Value::Array(ends) => ends[0].as_u64().unwrap()..=ends[1].as_u64().unwrap(),
        line => line.as_u64().unwrap()..=line.as_u64().unwrap(),
    };
    let ranges = error["ranges"].as_array().cloned().unwrap_or_default();
    Some((error["message"].as_str().unwrap().to_owned(), ranges.iter().flat_map(numbers).collect()))
}

/// Messages of the phases before planning; every other error on record is the planner's.
fn is_of_parsing(message: &str) -> bool {
    [
        "dockerfile parse error on line",
        "when using JSON array syntax",
        "unterminated heredoc",
        "Syntax error - can't find =",
        "file with no instructions",
        "no build stage in current context",
        "invalid escape token",
        "dockerfile line greater",
        "the Dockerfile cannot be empty",
    ]
    .iter()
    .any(|start| message.starts_with(start))
        || message.ends_with("must have two arguments")
}

#[test]
fn errors_are_those_on_record() {
    let mut wrong = Vec::new();
    let cases = cases();
    assert!(cases.len() > 700, "the corpus is there");
    for case in &cases {
        let found = first_error(case, &parse(case));
        let expected = expected_error(case).filter(|(message, _)| is_of_parsing(message));
        if found != expected {
            wrong.push(format!("{}: found {found:?}, expected {expected:?}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_syntax_directive_is_the_one_on_record() {
    for case in &cases() {
        let found = parse(case).syntax.map(|syntax| (syntax.reference.text, syntax.command, syntax.line));
        let text = |field: &str| case.expected["syntax"][field].as_str().unwrap().to_owned();
        let line = || case.expected["syntax"]["ranges"][0].as_u64().unwrap() as u32;
        let expected = case.expected.get("syntax").map(|_| (text("ref"), text("cmdline"), line()));
        assert_eq!(found, expected, "{}", case.name);
    }
}

/// Spans lie in the file, steps follow each other, and the keyword stands where its span says.
#[test]
fn spans_are_places_in_the_text() {
    for case in &cases() {
        let module = parse(case);
        let mut end = 0;
        let steps = module.defs.iter().flat_map(|def| def.body.steps());
        for step in module.head.iter().chain(steps) {
            assert!(step.span.start >= end, "{}: {step:?}", case.name);
            end = step.span.end;
            assert!(end as usize <= case.text.len(), "{}: {step:?}", case.name);
            let keyword = &case.text[step.keyword.start as usize..step.keyword.end as usize];
            assert_eq!(String::from_utf8_lossy(keyword), step.keyword_text(), "{}", case.name);
        }
    }
}
