//! Errors as a builder shows them: the message, and the places with their text.

use std::fmt::Display;

use ast::{Diagnostic, LineIndex, Severity};
use gateway::message::{Range, SourceInfo};
use gateway::{Code, Detail, Status};
use serde_json::json;

use crate::places;

/// Types of details, as BuildKit's errors name them; their encoding is JSON.
const TYPES: &str = "github.com/moby/buildkit/errdefs.";

/// An error of which nothing closer is known: what failed builds have.
pub(crate) fn unknown(error: &dyn Display) -> Status {
    Status::new(Code::Unknown, error.to_string())
}

/// The errors among the findings: the first with its places; what others there are is told in further lines.
pub(crate) fn of_diagnostics(diagnostics: &[Diagnostic], lines: &LineIndex, info: &SourceInfo) -> Status {
    let mut errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    let Some(first) = errors.next() else { return unknown(&"the build file gave no graph") };
    let mut status = unknown(&first.message);
    for ranges in places::locations(first, lines) {
        status = status.detail(source(info, &ranges));
    }
    for further in errors {
        let place = places::all(further, lines).first().and_then(|range| range.start).map_or(0, |start| start.line);
        let place = if place > 0 { format!("line {place}: ") } else { String::new() };
        status.message.push_str(&format!("\nalso: {place}{}", further.message));
    }
    status
}

/// A place in a text.
pub(crate) fn source(info: &SourceInfo, ranges: &[Range]) -> Detail {
    let definition = llb::dump::message(&info.definition).expect("the definition was encoded here");
    let info = json!({
        "filename": info.filename,
        "data": oci::base64::encode(&info.data),
        "definition": definition,
        "language": info.language,
    });
    detail("Source", &json!({ "info": info, "ranges": places::json(ranges) }))
}

/// A capability that a client asks for and this frontend does not have.
pub(crate) fn unsupported_cap(name: &str) -> Status {
    let status = Status::new(Code::Unimplemented, format!("unsupported frontend capability {name}"));
    status.detail(detail("FrontendCap", &json!({ "name": name })))
}

/// A request that this frontend does not answer.
pub(crate) fn unsupported_request(name: &str) -> Status {
    unknown(&format!("unsupported request {name}")).detail(detail("Subrequest", &json!({ "name": name })))
}

/// Whether an error names a place in a text.
pub(crate) fn has_source(status: &Status) -> bool {
    status.details.iter().any(|detail| detail.type_url == format!("{TYPES}Source+json"))
}

fn detail(kind: &str, value: &serde_json::Value) -> Detail {
    Detail { type_url: format!("{TYPES}{kind}+json"), value: oci::json::to_vec(value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ast::{FileId, Source, Span};

    #[test]
    fn an_error_carries_its_lines_and_tells_of_others() {
        let text = Source::new("Dockerfile", &b"FROM a\nRUM x\nRUX y\n"[..]);
        let at = |start| Span::new(FileId(0), start, start + 3);
        let found = [
            Diagnostic::error("x", "bad", at(7)),
            Diagnostic::warning("W", "w", at(0)),
            Diagnostic::error("x", "worse", at(13)),
        ];
        let graph = llb::text::parse("%0 = source \"local://a\"\noutput %0").unwrap();
        let definition = llb::encode_to_bytes(&graph).unwrap();
        let info =
            SourceInfo { filename: "Dockerfile".into(), data: b"F".to_vec(), definition, ..SourceInfo::default() };
        let status = of_diagnostics(&found, &text.lines, &info);
        assert_eq!(status.message, "bad\nalso: line 3: worse");
        assert!(has_source(&status) && status.details.len() == 1);
        let mut said: serde_json::Value = serde_json::from_slice(&status.details[0].value).unwrap();
        let definition = said["info"]["definition"].take();
        let expected = json!({
            "info": { "filename": "Dockerfile", "data": "Rg==", "definition": null, "language": "" },
            "ranges": [{ "start": { "line": 2 }, "end": { "line": 2 } }],
        });
        assert_eq!(said, expected);
        assert_eq!(definition["def"][0], "WgAaCwoJbG9jYWw6Ly9h", "{definition}");
        assert!(definition["metadata"].is_object(), "{definition}");
    }
}
