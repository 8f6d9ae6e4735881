//! Warnings: what was found in the text, at its places, as the builder shows it while it builds.

use ast::{Diagnostic, LineIndex, Severity};
use compiler::lint;
use gateway::caps;
use gateway::message::{SourceInfo, WarnRequest};

use crate::places;
use crate::session::Session;
use crate::text::Text;

/// What the builder is told of what was found.
pub(crate) fn of(session: &Session<'_>, text: &Text, found: &[Diagnostic], info: &SourceInfo) -> Vec<WarnRequest> {
    // An older builder has no place for them.
    if !session.caps.has(caps::WARNINGS) {
        return Vec::new();
    }
    let warnings = found.iter().filter(|diagnostic| diagnostic.severity == Severity::Warning);
    warnings.map(|warning| warn_request(warning, text, info)).collect()
}

fn warn_request(warning: &Diagnostic, text: &Text, info: &SourceInfo) -> WarnRequest {
    let ranges = places::all(warning, &text.source.lines);
    let rule = lint::Rule::find(warning.code);
    WarnRequest {
        digest: text.vertex.as_ref().map(ToString::to_string).unwrap_or_default(),
        level: 1,
        short: short(warning, &text.source.lines).into_bytes(),
        detail: rule.map(|rule| rule.description.as_bytes().to_vec()).into_iter().collect(),
        url: warning.url.unwrap_or_default().to_owned(),
        info: Some(info.clone()),
        ranges,
    }
}

fn short(warning: &Diagnostic, lines: &LineIndex) -> String {
    let first = places::all(warning, lines).first().and_then(|range| range.start);
    let line = first.map(|start| format!(" (line {})", start.line)).unwrap_or_default();
    format!("{}: {}{line}", warning.code, warning.message)
}

/// Sends warnings, one after the other: they are shown in the order in which they arrive.
pub(crate) fn warn(session: &Session<'_>, warnings: Vec<WarnRequest>) {
    for warning in &warnings {
        // A warning that does not arrive is no reason to fail.
        let _ = session.call(warning);
    }
}
