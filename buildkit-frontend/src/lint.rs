//! `frontend.lint`: what rules find in the text, as JSON and as text. Mirrors `subrequests/lint` of BuildKit v0.32.

use std::fmt::Write;

use ast::{Diagnostic, Severity};
use compiler::lint::Rule;
use gateway::message::{Range, Result as Solved};
use serde::Serialize;
use serde_json::{Value, json};

use crate::places;
use crate::requests;
use crate::session::Session;
use crate::text::Text;
use crate::world::Outside;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Warning<'d> {
    rule_name: &'d str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'d str,
    #[serde(skip_serializing_if = "str::is_empty")]
    url: &'d str,
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'d str,
    location: Value,
}

#[derive(Serialize)]
struct Results<'d> {
    warnings: Option<Vec<Warning<'d>>>,
    sources: [Value; 1],
    #[serde(rename = "buildError", skip_serializing_if = "Option::is_none")]
    build_error: Option<Value>,
}

/// Looks at the text and tells what was found.
pub(crate) fn lint(session: &Session<'_>, text: &Text) -> Solved {
    let outside = Outside::new(session, Some(text));
    let outcome = compiler::check(&text.source, &session.options, text.facts.clone(), &outside);
    let (warnings, errors): (Vec<_>, Vec<_>) =
        outcome.diagnostics.iter().partition(|diagnostic| diagnostic.severity != Severity::Error);
    let mut result =
        requests::result(json(&warnings, &errors, text, outcome.module.dialect.id), &shown(warnings, text));
    let failed = !outcome.diagnostics.is_empty();
    result.metadata.insert("result.statuscode".to_owned(), if failed { b"1" } else { b"0" }.to_vec());
    result
}

fn json(warnings: &[&Diagnostic], errors: &[&Diagnostic], text: &Text, language: &str) -> Vec<u8> {
    let location = |diagnostic: &Diagnostic| {
        let ranges = places::all(diagnostic, &text.source.lines);
        if ranges.is_empty() { json!({}) } else { json!({ "ranges": places::json(&ranges) }) }
    };
    let warnings: Vec<Warning<'_>> = warnings
        .iter()
        .map(|warning| Warning {
            rule_name: warning.code,
            description: Rule::find(warning.code).map_or("", |rule| rule.description),
            url: warning.url.unwrap_or_default(),
            detail: &warning.message,
            location: location(warning),
        })
        .collect();
    let source = json!({
        "filename": text.source.name,
        "data": oci::base64::encode(&text.source.bytes),
        "language": language,
    });
    let error = errors.first().map(|error| json!({ "message": error.message, "location": location(error) }));
    let warnings = (!warnings.is_empty()).then_some(warnings);
    oci::json::to_vec_indented(&Results { warnings, sources: [source], build_error: error })
}

/// The warnings as people read them, by line.
fn shown(mut warnings: Vec<&Diagnostic>, text: &Text) -> String {
    let first = |warning: &Diagnostic| {
        let ranges = places::all(warning, &text.source.lines);
        ranges.first().and_then(|range| range.start).map_or(0, |start| start.line)
    };
    warnings.sort_by_key(|warning| first(warning));
    let mut out = String::new();
    for warning in warnings {
        let url = warning.url.map(|url| format!(" - {url}")).unwrap_or_default();
        let _ = write!(out, "\nWARNING: {}{url}\n{}\n", warning.code, warning.message);
        let bytes = String::from_utf8_lossy(&text.source.bytes);
        out.push_str(&excerpt(&text.source.name, &bytes, &places::all(warning, &text.source.lines)));
    }
    out
}

/// Lines of a text with those around them; the lines meant are marked.
fn excerpt(name: &str, text: &str, ranges: &[Range]) -> String {
    let meant: Vec<usize> = ranges.iter().filter_map(|range| range.start).map(|start| start.line as usize).collect();
    let lines: Vec<&str> = text.split('\n').collect();
    let (Some(&first), Some(&last)) = (meant.iter().min(), meant.iter().max()) else { return String::new() };
    if first < 1 || first > lines.len() {
        return String::new();
    }
    let (mut start, mut end) = (first, last.min(lines.len()));
    // parity: lines are added above and below in turn, fewer around several.
    let wanted = if start == end { 4 } else { 2 };
    let mut added = 0;
    while added < wanted {
        if start > 1 {
            start -= 1;
            added += 1;
        }
        if end != lines.len() {
            end += 1;
            added += 1;
        }
        added += 1;
    }
    let rule = "--------------------\n";
    let mut out = format!("{name}:{first}\n{rule}");
    for line in start..=end {
        let mark = if meant.contains(&line) { ">>>" } else { "   " };
        let _ = writeln!(out, " {line:3} | {mark} {}", lines[line - 1]);
    }
    out + rule
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_shows_lines_around() {
        let text = "a\nb\nc\nd\ne\nf";
        let expected = "D:3\n--------------------\n   1 |     a\n   2 |     b\n   3 | >>> c\n   4 |     d\n   5 |     e\n--------------------\n";
        assert_eq!(excerpt("D", text, &[places::line(3)]), expected);
        assert_eq!(excerpt("D", text, &[]), "");
        assert_eq!(excerpt("D", text, &[places::line(9)]), "");
    }
}
