//! The features for languages of keys and values: the same questions, answered from a [`Tree`] and a [`Grammar`].

pub(super) mod actions;
pub(super) mod completion;
pub(super) mod extract;
pub(super) mod folding;
pub(super) mod hover;
pub(super) mod lens;
pub(super) mod links;
pub(super) mod selection;
pub(super) mod signature;
pub(super) mod symbols;
pub(super) mod tokens;

use ast::Span;
use frontends::keyed::{Grammar, Meaning, Tree, Value, ValueKind};

use crate::File;

/// Every text in the file that is a value, with what it means and where it stands between its quotes.
fn texts<'t>(tree: &'t Tree, grammar: &Grammar, visit: &mut impl FnMut(Meaning, &'t Value, Span)) {
    tree.visit(&mut |path, entry| {
        let words: Vec<&str> = path.iter().copied().chain(&entry.keys).map(|key| key.text.as_str()).collect();
        let field = grammar.at(&words).and_then(|found| found.field);
        let means = field.map_or(Meaning::Plain, |field| field.means);
        for value in entry.value.iter().flat_map(Value::texts) {
            if let ValueKind::Text { inner, .. } = value.kind {
                visit(means, value, inner);
            }
        }
    });
}

/// The references in a text between quotes: with their signs.
fn references(file: &File, inner: Span) -> Vec<Span> {
    let text = file.slice(inner);
    let found = text.match_indices("${").filter_map(|(at, _)| {
        let length = text[at..].find('}')? + 1;
        let start = inner.start + at as u32;
        Some(Span { start, end: start + length as u32, ..inner })
    });
    found.collect()
}

/// An image as written, where nothing in it is replaced and nothing else in the file is meant.
fn image(file: &File, means: Meaning, inner: Span) -> Option<&str> {
    let text = file.slice(inner);
    let is_defined = |text: &str| ["stage.", "image.", "source."].iter().any(|space| text.starts_with(space));
    let elsewhere = means == Meaning::Base && (is_defined(text) || text == "scratch");
    let is_image = matches!(means, Meaning::Base | Meaning::Image) && !elsewhere && !text.contains(['$', '\\']);
    is_image.then_some(text)
}
