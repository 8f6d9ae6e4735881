//! Diagnostics as one JSON object a line: one to one with [`ast::Diagnostic`].
//!
//! ```json
//! {"severity":"error","code":"parse","message":"…","file":"Dockerfile","ranges":[[2,2]],
//!  "span":{"start":{"line":2,"column":1},"end":{"line":2,"column":4}},"help":null,"url":null}
//! ```
//!
//! `ranges` are first and last lines, from 1, an entry for each line; where the compiler mirrors BuildKit they are the
//! lines BuildKit reports.
//! `span` is the exact place: columns count bytes from 1, the end is one past the last byte. Both are `null` where no
//! text is to blame.

use ast::{Diagnostic, LineColumn, Severity, Sources, Span};
use serde::Serialize;

use crate::failure::Message;

#[derive(Serialize)]
struct Line<'a> {
    severity: Severity,
    code: &'a str,
    message: &'a str,
    file: Option<&'a str>,
    ranges: Vec<(u32, u32)>,
    span: Option<Place>,
    help: Option<&'a str>,
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    also: Vec<Also<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<Fix<'a>>,
}

#[derive(Serialize)]
struct Place {
    start: LineColumn,
    end: LineColumn,
}

#[derive(Serialize)]
struct Also<'a> {
    file: &'a str,
    span: Place,
    message: &'a str,
}

#[derive(Serialize)]
struct Fix<'a> {
    title: &'a str,
    safe: bool,
    edits: Vec<Edit<'a>>,
}

#[derive(Serialize)]
struct Edit<'a> {
    file: &'a str,
    span: Place,
    text: &'a str,
}

/// One finding, without a line break.
pub(super) fn diagnostic<'d>(sources: &'d Sources, diagnostic: &'d Diagnostic) -> String {
    let name = |span: Span| sources.get(span.file).name.as_str();
    let edit = |edit: &'d ast::Edit| Edit { file: name(edit.span), span: place(sources, edit.span), text: &edit.text };
    let fix = diagnostic.fix.as_ref().map(|fix| Fix {
        title: &fix.title,
        safe: fix.safe,
        edits: fix.edits.iter().map(edit).collect(),
    });
    print(&Line {
        severity: diagnostic.severity,
        code: diagnostic.code,
        message: &diagnostic.message,
        file: diagnostic.at.map(name),
        ranges: ranges(sources, diagnostic),
        span: diagnostic.at.map(|span| place(sources, span)),
        help: diagnostic.help.as_deref(),
        url: diagnostic.url,
        also: diagnostic
            .also
            .iter()
            .map(|label| Also { file: name(label.span), span: place(sources, label.span), message: &label.message })
            .collect(),
        fix,
    })
}

/// A failure that has no place in a text.
pub(super) fn message(message: &Message) -> String {
    print(&Line {
        severity: Severity::Error,
        code: message.code,
        message: &message.text,
        file: None,
        ranges: Vec::new(),
        span: None,
        help: message.help.as_deref(),
        url: None,
        also: Vec::new(),
        fix: None,
    })
}

fn print(line: &Line<'_>) -> String {
    serde_json::to_string(line).expect("a line is plain data")
}

/// The lines BuildKit reports, else those of the place; one range a line, as BuildKit gives them.
fn ranges(sources: &Sources, diagnostic: &Diagnostic) -> Vec<(u32, u32)> {
    let whole: Vec<(u32, u32)> = match (&diagnostic.locations, diagnostic.at) {
        (Some(locations), _) => locations.iter().flatten().copied().collect(),
        (None, Some(span)) => vec![sources.get(span.file).lines.lines_of(span)],
        (None, None) => Vec::new(),
    };
    whole.into_iter().flat_map(|(first, last)| (first..=last).map(|line| (line, line))).collect()
}

fn place(sources: &Sources, span: Span) -> Place {
    let lines = &sources.get(span.file).lines;
    Place { start: lines.position(span.start), end: lines.position(span.end) }
}

#[cfg(test)]
mod tests {
    use ast::{FileId, Source};

    use super::*;

    fn check(finding: &Diagnostic, expected: &str) {
        let mut sources = Sources::default();
        sources.add(Source::new("Dockerfile", &b"FROM a\nRUM x\n"[..]));
        assert_eq!(diagnostic(&sources, finding), expected);
    }

    #[test]
    fn every_field_is_there() {
        let mut finding = Diagnostic::error("parse", "unknown instruction: RUM", Span::new(FileId(0), 7, 10)).help("h");
        finding.url = Some("https://example.com/");
        check(
            &finding,
            r#"{"severity":"error","code":"parse","message":"unknown instruction: RUM","file":"Dockerfile","ranges":[[2,2]],"span":{"start":{"line":2,"column":1},"end":{"line":2,"column":4}},"help":"h","url":"https://example.com/"}"#,
        );
    }

    #[test]
    fn reported_lines_come_before_those_of_the_place() {
        let mut finding = Diagnostic::warning("X", "m", Span::new(FileId(0), 0, 1));
        finding.locations = Some(vec![vec![(1, 2)], vec![(4, 4)]]);
        check(
            &finding,
            r#"{"severity":"warning","code":"X","message":"m","file":"Dockerfile","ranges":[[1,1],[2,2],[4,4]],"span":{"start":{"line":1,"column":1},"end":{"line":1,"column":2}},"help":null,"url":null}"#,
        );
    }

    #[test]
    fn without_a_place() {
        check(
            &Diagnostic::error("plan", "m", None),
            r#"{"severity":"error","code":"plan","message":"m","file":null,"ranges":[],"span":null,"help":null,"url":null}"#,
        );
    }

    #[test]
    fn a_fix_carries_its_edits() {
        let mut finding = Diagnostic::warning("X", "m", Span::new(FileId(0), 0, 4));
        finding.fix = Some(ast::Fix {
            title: "upper".into(),
            safe: true,
            edits: vec![ast::Edit { span: Span::new(FileId(0), 7, 10), text: "RUN".into() }],
        });
        check(
            &finding,
            r#"{"severity":"warning","code":"X","message":"m","file":"Dockerfile","ranges":[[1,1]],"span":{"start":{"line":1,"column":1},"end":{"line":1,"column":5}},"help":null,"url":null,"fix":{"title":"upper","safe":true,"edits":[{"file":"Dockerfile","span":{"start":{"line":2,"column":1},"end":{"line":2,"column":4}},"text":"RUN"}]}}"#,
        );
    }
}
