//! Every HLB program of the conformance corpus: errors at the places on record, the same printed form, the same lints.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test reads its cases from files")]

use std::path::{Path, PathBuf};

use ast::{Diagnostic, FileId, LineIndex, Module, Severity, Span, builtin};
use frontends::Language;
use serde_json::Value;

struct Case {
    name: String,
    text: String,
    expected: Value,
    /// Whether a difference is listed in `docs/hlb.md`.
    quirk: bool,
}

fn cases() -> Vec<Case> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance/hlb");
    let list = |dir: &Path| {
        let mut entries: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        entries
    };
    let json = |path: PathBuf| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let dirs = list(&corpus).into_iter().filter(|path| path.is_dir()).flat_map(|group| list(&group));
    let cases: Vec<Case> = dirs
        .map(|dir| Case {
            name: dir.strip_prefix(&corpus).unwrap().display().to_string(),
            text: std::fs::read_to_string(dir.join("main.hlb")).unwrap(),
            expected: json(dir.join("expect.json")),
            quirk: json(dir.join("case.json"))["quirk"] == Value::Bool(true),
        })
        .collect();
    assert!(cases.len() > 200, "the corpus is there");
    cases
}

fn language() -> &'static Language {
    frontends::detect("main.hlb").unwrap()
}

fn parse(text: &str) -> Module {
    (language().parse)(&frontends::Input::new(FileId(0), text.as_bytes()))
}

fn format(text: &str) -> String {
    let edits = (language().format.unwrap())(&frontends::Input::new(FileId(0), text.as_bytes()));
    String::from_utf8(ast::apply(text.as_bytes(), &edits)).unwrap()
}

/// Shows what differs in all cases, not only the first.
fn check(what: impl Fn(&Case) -> (String, String)) {
    let mut failed = Vec::new();
    for case in cases().iter().filter(|case| !case.quirk) {
        let (found, expected) = what(case);
        if found != expected {
            failed.push(format!("{}\nfound:\n{found}\nexpected:\n{expected}", case.name));
        }
    }
    assert!(failed.is_empty(), "{} failed\n{}", failed.len(), failed.join("\n"));
}

/// Line and column of a span in a text, columns in characters.
fn place(text: &str, span: Span) -> String {
    if span.file == builtin::FILE {
        return "<builtin>".to_owned();
    }
    let lines = LineIndex::new(text.as_bytes());
    let position = |offset: u32| {
        let line = lines.line(offset);
        let start = lines.start_of(line).unwrap() as usize;
        format!("{line}:{}", text[start..offset as usize].chars().count() + 1)
    };
    format!("{}-{}", position(span.start), position(span.end))
}

/// Where a span starts. HLB reads one line break more than there is, and so sees the end of the file a line below.
fn start(text: &str, span: Span) -> String {
    if span.start as usize == text.len() {
        return format!("{}:1", LineIndex::new(text.as_bytes()).line(span.start) + 1);
    }
    place(text, span).split('-').next().unwrap().to_owned()
}

fn expected_place(value: &Value) -> String {
    if value["file"] == "<builtin>" {
        return "<builtin>".to_owned();
    }
    let position = |key: &str| format!("{}:{}", value[key]["line"], value[key]["col"]);
    format!("{}-{}", position("start"), position("end"))
}

/// An error: its text and every place with a word about it.
fn shown(text: &str, error: &Diagnostic) -> String {
    let mut places: Vec<String> = error.also.iter().map(|label| place(text, label.span)).collect();
    places.extend(error.at.map(|at| place(text, at)));
    places.sort();
    places.dedup();
    format!("{} {}", error.message, places.join(" "))
}

fn expected(error: &Value) -> String {
    let mut places: Vec<String> = error["annotations"].as_array().unwrap().iter().map(expected_place).collect();
    places.sort();
    format!("{} {}", error["message"].as_str().unwrap(), places.join(" "))
}

#[test]
fn errors_of_syntax_are_where_hlb_finds_them() {
    check(|case| {
        let error = &case.expected["error"];
        let expected = (error["stage"] == "parse").then(|| {
            let start = &error["diagnostics"][0]["start"];
            format!("{}:{}", start["line"], start["col"])
        });
        let module = parse(&case.text);
        let found = module.diagnostics.iter().find(|found| found.code == ast::code::SYNTAX);
        let found = found.map(|found| start(&case.text, found.at.unwrap()));
        (found.unwrap_or_default(), expected.unwrap_or_default())
    });
}

#[test]
fn errors_of_names_and_types_are_hlbs() {
    check(|case| {
        let error = &case.expected["error"];
        let is_checked = error["stage"] == "semantic" || error["stage"] == "check" || error["stage"].is_null();
        let module = parse(&case.text);
        let found = module.diagnostics.iter().filter(|found| found.code == ast::check::CODE);
        let found: Vec<String> = found.map(|found| shown(&case.text, found)).collect();
        let none = Vec::new();
        let expected = error["diagnostics"].as_array().filter(|_| is_checked).unwrap_or(&none);
        let expected: Vec<String> = expected.iter().map(self::expected).collect();
        if is_checked || found.is_empty() {
            return (found.join("\n"), expected.join("\n"));
        }
        // What HLB finds only when it evaluates may be found now.
        let message =
            module.diagnostics.iter().find(|found| found.severity == Severity::Error).unwrap().message.clone();
        (message, error["message"].as_str().unwrap().to_owned())
    });
}

#[test]
fn lints_are_hlbs() {
    check(|case| {
        let module = parse(&case.text);
        let found = module.diagnostics.iter().filter(|found| found.severity == Severity::Warning);
        let found: Vec<String> = found.map(|found| shown(&case.text, found)).collect();
        let none = Vec::new();
        let expected = case.expected["lint"].as_array().unwrap_or(&none).iter().map(self::expected);
        (found.join("\n"), expected.collect::<Vec<_>>().join("\n"))
    });
}

#[test]
fn texts_are_printed_as_hlb_prints_them() {
    check(|case| {
        let Some(expected) = case.expected["formatted"].as_str() else { return (String::new(), String::new()) };
        (format(&case.text), expected.to_owned())
    });
}

#[test]
fn what_holds_for_modules_holds() {
    for case in &cases() {
        frontends::invariants::check(language(), case.text.as_bytes());
    }
}

#[test]
fn the_listing_of_builtins_is_a_module_of_the_language() {
    let text = std::str::from_utf8(&builtin::LISTING.bytes).unwrap();
    let module = parse(text);
    let errors = module.diagnostics.iter().filter(|found| found.code == ast::code::SYNTAX);
    assert_eq!(errors.count(), 0);
    assert_eq!(module.defs.len(), builtin::rows().len());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../grammar/builtins.hlb");
    let file = std::fs::read_to_string(path).unwrap();
    assert_eq!(file, text, "grammar/builtins.hlb is the table in ast/src/builtin.rs: cargo xtask gen");
}
