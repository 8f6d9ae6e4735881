//! What the tests of this crate share: the way from a text to what is checked.

use ast::{FileId, Module, Severity, Source};

use crate::lint;

/// Checks what the rules on the text say of a Dockerfile, planning left out: one line a finding,
/// `RULE LINES @TEXT: MESSAGE`, or `CODE: MESSAGE` where no text is to blame.
#[track_caller]
pub(crate) fn lint(text: &str, expected: &[&str]) {
    lint_with(&[], text, expected);
}

/// The same with rules that must be asked for; without BuildKit's if there are some.
#[track_caller]
pub(crate) fn lint_with(rules: &[&str], text: &str, expected: &[&str]) {
    let (source, found) = found(rules, text);
    let found: Vec<String> = found.iter().map(|diagnostic| line(diagnostic, &source)).collect();
    assert_eq!(found, expected, "{text}");
}

/// Checks what the safe fixes of a rule make of a Dockerfile.
#[track_caller]
pub(crate) fn fixed_with(rule: &str, text: &str, expected: &str) {
    let (source, found) = found(&[rule], text);
    let fixes: Vec<&ast::Fix> = found.iter().filter_map(|diagnostic| diagnostic.fix.as_ref()).collect();
    let fixed = ast::apply_fixes(&source.bytes, fixes.into_iter().filter(|fix| fix.safe));
    assert_eq!(String::from_utf8_lossy(&fixed), expected, "{text}");
}

/// What a fix of the last step makes of an instruction; the same if there is none.
pub(crate) fn mended(line: &str, mend: impl Fn(&ast::Step) -> Option<ast::Fix>) -> String {
    let text = format!("FROM scratch\n{line}\n");
    let (source, module) = parsed(&text);
    let fix = ast::visit::steps(&module).last().and_then(|(step, _)| mend(step));
    let fixed = ast::apply_fixes(&source.bytes, fix.as_ref());
    String::from_utf8_lossy(&fixed).lines().skip(1).collect::<Vec<_>>().join("\n")
}

fn found(rules: &[&str], text: &str) -> (Source, Vec<ast::Diagnostic>) {
    let (source, module) = parsed(text);
    let rules: Vec<String> = rules.iter().map(|rule| (*rule).to_owned()).collect();
    let options = crate::Options { rules, ..crate::Options::default() };
    let mut found = match lint::settings(&module, &options) {
        Ok(checks) => lint::report(&module, &source, &checks, &[]),
        Err(error) => vec![*error],
    };
    found.retain(|found| options.rules.is_empty() || options.rules.iter().any(|rule| rule == found.code));
    (source, found)
}

/// A Dockerfile and its module.
pub(crate) fn parsed(text: &str) -> (Source, Module) {
    let source = Source::new("Dockerfile", text.as_bytes());
    let input = frontends::Input::of(FileId(0), &source);
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
