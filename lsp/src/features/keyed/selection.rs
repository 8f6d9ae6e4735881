//! A selection that grows: word, text, value, entry, list, section.

use ast::Span;
use frontends::keyed::{Tree, Value, ValueKind};

/// Ranges that may hold the place, in no order.
pub(in super::super) fn ranges(tree: &Tree, offset: u32, found: &mut Vec<Span>) {
    if let Some(section) = tree.section_at(offset).map(|at| &tree.sections[at]) {
        found.push(section.header);
        found.push(section.span);
    }
    tree.visit(&mut |_, entry| {
        if entry.span.start <= offset && offset <= entry.span.end {
            found.push(entry.span);
            entry.value.iter().for_each(|value| in_value(value, found));
        }
    });
}

fn in_value(value: &Value, found: &mut Vec<Span>) {
    found.push(value.span);
    match &value.kind {
        ValueKind::Text { inner, .. } => found.push(*inner),
        ValueKind::List { items, .. } => items.iter().for_each(|item| in_value(item, found)),
        ValueKind::Plain | ValueKind::Table { .. } => {}
    }
}
