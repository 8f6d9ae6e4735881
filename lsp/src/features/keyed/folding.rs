//! Sections, values of several lines, runs of comments.

use ast::Span;
use frontends::keyed::{Tree, Value, ValueKind};

use super::super::folding::FoldKind;
use crate::File;

/// Everything that can be folded, in no order.
pub(in super::super) fn folds(file: &File, tree: &Tree, add: &mut dyn FnMut(Span, FoldKind)) {
    for section in &tree.sections {
        add(section.span, FoldKind::Code);
    }
    tree.visit(&mut |_, entry| entry.value.iter().for_each(|value| in_value(value, add)));
    let follows = |a: &Span, b: &Span| file.lines().line(a.start) + 1 == file.lines().line(b.start);
    for run in tree.comments.chunk_by(follows) {
        add(run[0].to(run[run.len() - 1]), FoldKind::Comment);
    }
}

/// Tables in lists have entries of their own, which are visited for themselves.
fn in_value(value: &Value, add: &mut dyn FnMut(Span, FoldKind)) {
    add(value.span, FoldKind::Code);
    if let ValueKind::List { items, .. } = &value.kind {
        items.iter().for_each(|item| in_value(item, add));
    }
}
