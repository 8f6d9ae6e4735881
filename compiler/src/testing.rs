//! What the tests of this crate share: the way from a text to what is checked.

use ast::{FileId, Module, Severity, Source};

use crate::lint;

/// Checks what the rules on the text say of a Dockerfile, planning left out: one line a finding,
/// `RULE LINES @TEXT: MESSAGE`, or `CODE: MESSAGE` where no text is to blame.
#[track_caller]
pub(crate) fn lint(text: &str, expected: &[&str]) {
    let (source, module) = parsed(text);
    let found = match lint::settings(&module, &crate::Options::default()) {
        Ok(checks) => lint::report(&module, &source.lines, &checks, &[]),
        Err(error) => vec![*error],
    };
    let found: Vec<String> = found.iter().map(|diagnostic| line(diagnostic, &source)).collect();
    assert_eq!(found, expected, "{text}");
}

/// A Dockerfile and its module.
pub(crate) fn parsed(text: &str) -> (Source, Module) {
    let source = Source::new("Dockerfile", text.as_bytes());
    let input = frontends::Input { file: FileId(0), bytes: &source.bytes };
    let module = (frontends::LANGUAGES[0].parse)(&input);
    (source, module)
}

fn line(diagnostic: &ast::Diagnostic, source: &Source) -> String {
    let Some(at) = diagnostic.at else {
        assert_eq!(diagnostic.severity, Severity::Error);
        return format!("{}: {}", diagnostic.code, diagnostic.message);
    };
    let (first, last) = match &diagnostic.locations {
        Some(locations) => locations[0][0],
        None => source.lines.lines_of(at),
    };
    let lines = if first == last { first.to_string() } else { format!("{first}-{last}") };
    let text = String::from_utf8_lossy(&source.bytes[at.start as usize..at.end as usize]);
    format!("{} {lines} @{text}: {}", diagnostic.code, diagnostic.message)
}
