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
    let warnings = warnings.map(|warning| warn_request(warning, text, info));
    warnings.chain(unscanned(session, text, info)).collect()
}

/// Arguments that ask for more in a bill of materials than what is in the result.
const SCANS: &[&str] = &["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// A bill of materials is the builder's business where a frontend gives none: it scans the result, and nothing else.
fn unscanned(session: &Session<'_>, text: &Text, info: &SourceInfo) -> Option<WarnRequest> {
    session.opt("attest:sbom").or(session.opt("build-arg:BUILDKIT_ATTEST_SBOM"))?;
    let in_text = |name: &str| text.source.bytes.windows(name.len()).any(|word| word == name.as_bytes());
    let name = SCANS.iter().find(|name| session.opt(&format!("build-arg:{name}")).is_some() || in_text(name))?;
    let short = format!("{name} is not supported by this frontend: the bill of materials is that of the result alone");
    Some(WarnRequest {
        digest: text.vertex.as_ref().map(ToString::to_string).unwrap_or_default(),
        level: 1,
        short: short.into_bytes(),
        info: Some(info.clone()),
        ..WarnRequest::default()
    })
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
