//! Everything the program says. Standard output is data, standard error is talk.
//!
//! Diagnostics are drawn with the source lines for people, or written as one JSON object a line for machines. Colour is
//! only used on a terminal and without `NO_COLOR`, and never carries meaning alone. A reader of standard output that
//! went away is no failure: it has seen enough.

mod diff;
mod human;
mod json;

use std::io::{self, IsTerminal, Write};

use ast::{Diagnostic, Severity, Sources};

use crate::args::ErrorFormat;
use crate::failure::{Failure, Message};

pub(crate) use diff::unified as difference;
pub(crate) use json::diagnostic as json_diagnostic;

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

/// Writes data to standard output.
pub(crate) fn data(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::io("write to", "standard output")(error))
        }
        _ => Ok(()),
    }
}

fn colours() -> bool {
    let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !forbidden && io::stderr().is_terminal()
}
