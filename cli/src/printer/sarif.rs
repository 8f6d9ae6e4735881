//! Findings as SARIF 2.1.0, the format of code scanners (OASIS, "Static Analysis Results Interchange Format").
//!
//! One run, whose driver lists the rules that found something; columns are code points. Safe fixes are given as `fixes`.

use ast::{Diagnostic, Severity, Sources};
use compiler::lint::Rule;
use serde_json::{Value, json};

use super::position::{self, Region};
use crate::commands::check::Report;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The whole log, with a line break at its end.
pub(crate) fn sarif(reports: &[Report]) -> String {
    let found = || reports.iter().flat_map(|report| report.diagnostics.iter().map(move |found| (report, found)));
    let mut codes: Vec<&str> = found().map(|(_, found)| found.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let results: Vec<Value> = found().map(|(report, found)| result(report, found, &codes)).collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "llbc",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": codes.iter().map(|code| rule(code)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    serde_json::to_string_pretty(&log).expect("a log is plain data") + "\n"
}

fn rule(code: &str) -> Value {
    let mut value = json!({"id": code});
    if let Some(rule) = Rule::find(code) {
        value["shortDescription"] = json!({"text": rule.description});
        value["help"] = json!({"text": rule.explanation(), "markdown": rule.explanation()});
        if !rule.url.is_empty() {
            value["helpUri"] = json!(rule.url);
        }
    }
    value
}

fn result(report: &Report, found: &Diagnostic, codes: &[&str]) -> Value {
    let level = match found.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    };
    let artifact = json!({"uri": uri(&report.file)});
    let mut place = json!({"artifactLocation": artifact});
    if let Some(found) = position::region(&report.sources, found) {
        place["region"] = region(found);
    }
    let text = match &found.help {
        Some(help) => format!("{}; {help}", found.message),
        None => found.message.clone(),
    };
    let mut value = json!({
        "ruleId": found.code,
        "ruleIndex": codes.binary_search(&found.code).unwrap_or_default(),
        "level": level,
        "message": {"text": text},
        "locations": [{"physicalLocation": place}],
    });
    if let Some(fix) = found.fix.as_ref().filter(|fix| fix.safe) {
        value["fixes"] = json!([{
            "description": {"text": fix.title},
            "artifactChanges": [{"artifactLocation": artifact, "replacements": replacements(&report.sources, fix)}],
        }]);
    }
    value
}

fn replacements(sources: &Sources, fix: &ast::Fix) -> Vec<Value> {
    let replacement = |edit: &ast::Edit| {
        let deleted = region(position::of_span(sources.get(edit.span.file), edit.span));
        json!({"deletedRegion": deleted, "insertedContent": {"text": edit.text}})
    };
    fix.edits.iter().map(replacement).collect()
}

fn region(region: Region) -> Value {
    let ((line, column), (last, end)) = (region.start, region.end);
    json!({"startLine": line, "startColumn": column, "endLine": last, "endColumn": end})
}

/// A path as an address relative to where the program runs.
fn uri(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    let mut uri = if path.starts_with('/') { "file://".to_owned() } else { String::new() };
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(byte.into());
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printer::tests::reports;

    #[test]
    fn a_log() {
        let log: Value = serde_json::from_str(&sarif(&reports())).unwrap();
        let run = &log["runs"][0];
        assert_eq!(run["tool"]["driver"]["rules"][0]["id"], "UndefinedVar");
        assert!(run["tool"]["driver"]["rules"][0]["helpUri"].as_str().unwrap().starts_with("https://docs.docker.com/"));
        let [error, warning, nowhere] = run["results"].as_array().unwrap().as_slice() else { panic!("{log}") };
        let place = &error["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "a%2Cb/Dockerfile");
        assert_eq!(place["region"], json!({"startLine": 2, "startColumn": 1, "endLine": 2, "endColumn": 4}));
        assert_eq!(
            (&error["level"], &error["message"]["text"]),
            (&json!("error"), &json!("unknown instruction: RUM; did you mean RUN?"))
        );
        assert_eq!(warning["fixes"][0]["artifactChanges"][0]["replacements"][0]["insertedContent"]["text"], "b");
        assert_eq!(nowhere["locations"][0]["physicalLocation"].get("region"), None);
        for result in [error, warning, nowhere] {
            let index = result["ruleIndex"].as_u64().unwrap() as usize;
            assert_eq!(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
        }
    }

    #[test]
    fn addresses() {
        assert_eq!(uri("./a b/ü"), "a%20b/%C3%BC");
        assert_eq!(uri("/x"), "file:///x");
    }
}
