//! What holds for the module of any text whatever. For the tests and the fuzz targets, which share it.

use ast::{Diagnostic, LineIndex, Module, Span, visit};

use crate::{Input, Language};

/// Parses the text and checks its module.
///
/// Panics when something does not hold.
pub fn check(language: &Language, bytes: &[u8]) -> Module {
    let input = Input { file: ast::FileId(0), bytes };
    let module = (language.parse)(&input);
    assert_eq!(ast::dump::json(&module), ast::dump::json(&(language.parse)(&input)), "the same text, the same module");
    let length = bytes.len() as u32;
    let inside = |span: Span| span.start <= span.end && span.end <= length;
    let mut end = 0;
    for (step, _) in visit::steps(&module) {
        assert!(step.span.start >= end, "steps follow each other: {step:?}");
        assert!(inside(step.span) && inside(step.keyword), "{step:?}");
        end = step.span.end;
        visit::strings(step, &mut |string| assert!(inside(string.span), "{string:?}"));
        for document in visit::documents(step) {
            assert!(inside(document.span) && inside(document.opener), "{document:?}");
        }
        for mention in visit::mentions(step) {
            assert!(inside(mention.span), "{mention:?}");
        }
        for opt in &step.opts {
            assert!(inside(opt.span) && step.span.start <= opt.span.start && opt.span.end <= step.span.end, "{opt:?}");
        }
    }
    let last_line = LineIndex::new(bytes).line(length);
    module.diagnostics.iter().for_each(|diagnostic| check_diagnostic(diagnostic, &inside, last_line));
    module
}

fn check_diagnostic(diagnostic: &Diagnostic, inside: &dyn Fn(Span) -> bool, last_line: u32) {
    assert!(diagnostic.at.is_none_or(inside), "{diagnostic:?}");
    for (first, last) in diagnostic.locations.iter().flatten().flatten() {
        assert!(first <= last && *last <= last_line, "{diagnostic:?}");
    }
}
