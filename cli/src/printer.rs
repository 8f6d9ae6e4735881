//! Everything the program says. Standard output is data, standard error is talk.
//!
//! Diagnostics are drawn with the source lines for people, or written as one JSON object a line for machines. Colour is
//! only used on a terminal and without `NO_COLOR`, and never carries meaning alone. A reader of standard output that
//! went away is no failure: it has seen enough.

mod diff;
mod gcc;
mod github;
mod human;
mod json;
mod position;
mod sarif;

use std::io::{self, IsTerminal, Write};

use ast::{Diagnostic, Severity, Sources};

use crate::args::ErrorFormat;
use crate::commands::check::Report;
use crate::failure::{Failure, Message};

pub(crate) use diff::unified as difference;
pub(crate) use gcc::gcc;
pub(crate) use github::github;
pub(crate) use sarif::sarif;

/// Prints diagnostics to standard error, in the order given; returns whether there is an error among them.
pub(crate) fn diagnostics(format: ErrorFormat, sources: &Sources, diagnostics: &[Diagnostic]) -> bool {
    let mut text = String::new();
    let colour = colours();
    for diagnostic in diagnostics {
        match format {
            ErrorFormat::Human => text.push_str(&human::diagnostic(sources, diagnostic, colour)),
            ErrorFormat::Json => {
                text.push_str(&json::diagnostic(sources, diagnostic));
                text.push('\n');
            }
        }
    }
    talk(&text);
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

/// Findings as one JSON object a line.
pub(crate) fn json_lines(reports: &[Report]) -> String {
    let lines = reports
        .iter()
        .flat_map(|report| report.diagnostics.iter().map(|found| json::diagnostic(&report.sources, found) + "\n"));
    lines.collect()
}

/// Says why a command failed.
pub(crate) fn failure(format: ErrorFormat, failure: &Failure) {
    match failure {
        Failure::Diagnosed => {}
        Failure::Build(error) => message(format, &Message { code: "build", text: error.to_string(), help: None }),
        Failure::Message(text) => message(format, text),
    }
}

fn message(format: ErrorFormat, message: &Message) {
    match format {
        ErrorFormat::Human => talk(&human::message(message, colours())),
        ErrorFormat::Json => talk(&(json::message(message) + "\n")),
    }
}

/// Writes to standard error. Nothing can be done when that is closed.
fn talk(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Says what was done, in a line.
pub(crate) fn note(text: &str) {
    talk(&format!("{text}\n"));
}

/// Writes data to standard output.
pub(crate) fn data(bytes: &[u8]) -> Result<(), Failure> {
    executor::stdout::write(bytes).map_err(Failure::io("write to", "standard output"))
}

fn colours() -> bool {
    let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !forbidden && io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use ast::{Edit, FileId, Fix, Source, Span};

    use super::*;

    /// What the tests of all formats print: an error, a warning with a fix, an error without a place.
    pub(super) fn reports() -> Vec<Report> {
        let mut sources = Sources::default();
        let file = sources.add(Source::new("a,b/Dockerfile", &b"FROM a\nRUM x\n"[..]));
        let error = Diagnostic::error("instruction", "unknown instruction: RUM", Span::new(file, 7, 10));
        let mut warning = Diagnostic::warning("UndefinedVar", "100% wrong", Span::new(file, 5, 6));
        let edits = vec![Edit { span: Span::new(FileId(0), 5, 6), text: "b".into() }];
        warning.fix = Some(Fix { title: "b".into(), safe: true, edits });
        let nowhere = Diagnostic::error("option", "no place", None);
        let diagnostics = vec![error.help("did you mean RUN?"), warning, nowhere];
        vec![Report { file: "a,b/Dockerfile".to_owned(), sources, diagnostics }]
    }
}
