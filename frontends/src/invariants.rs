//! What holds for the module of any text whatever. For the tests and the fuzz targets, which share it.

use ast::{Diagnostic, LineIndex, Module, Span, visit};

use crate::{Input, Language};

/// Parses the text and checks its module.
///
/// Panics when something does not hold.
pub fn check(language: &Language, bytes: &[u8]) -> Module {
    let input = Input::new(ast::FileId(0), bytes);
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
    if let Some(format) = language.format {
        check_format(language, &input, &module, &format(&input));
    }
    module
}

/// What is put in order means what it meant, and is in order.
fn check_format(language: &Language, input: &Input<'_>, module: &Module, edits: &[ast::Edit]) {
    let mut at = 0;
    for edit in edits {
        let inside = at <= edit.span.start && edit.span.start <= edit.span.end;
        assert!(inside, "edits follow each other: {edits:?} in {:?}", ast::word::decode(input.bytes));
        at = edit.span.end;
    }
    let formatted = ast::apply(input.bytes, edits);
    let input = Input::new(input.file, &formatted);
    let again = (language.parse)(&input);
    assert_eq!(meaning(module), meaning(&again), "{}", ast::word::decode(&formatted));
    let left = language.format.map(|format| format(&input)).unwrap_or_default();
    assert!(left.is_empty(), "formatting again changes nothing: {left:?} in {}", ast::word::decode(&formatted));
}

/// The module without what layout may change: places, comments that say nothing, blank lines, line numbers.
fn meaning(module: &Module) -> serde_json::Value {
    fn strip(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(fields) => {
                for layout in ["span", "blank", "comments"] {
                    fields.remove(layout);
                }
                // Of an escape that does not exist the dump says where it is.
                if let Some(place) = fields.get_mut("bad-escape") {
                    *place = serde_json::Value::Null;
                }
                if let Some(serde_json::Value::String(message)) = fields.get_mut("message") {
                    message.retain(|c| !c.is_ascii_digit());
                }
                fields.values_mut().for_each(strip);
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut dump = ast::dump::json(module);
    strip(&mut dump);
    dump
}

fn check_diagnostic(diagnostic: &Diagnostic, inside: &dyn Fn(Span) -> bool, last_line: u32) {
    assert!(diagnostic.at.is_none_or(inside), "{diagnostic:?}");
    for (first, last) in diagnostic.locations.iter().flatten().flatten() {
        assert!(first <= last && *last <= last_line, "{diagnostic:?}");
    }
}
