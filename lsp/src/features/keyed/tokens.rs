//! What each word is: headers, keys, values, references in texts, scripts.

use ast::Span;
use frontends::keyed::{Entry, Grammar, Meaning, Tree, Value, ValueKind};

use super::super::tokens::{Token, TokenKind};
use crate::File;

/// The tokens of a file, in no order; those of names come elsewhere.
pub(in super::super) fn tokens(file: &File, tree: &Tree, grammar: &Grammar) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut add = |span: Span, kind: TokenKind| tokens.push(Token { span, kind, defines: false });
    tree.comments.iter().for_each(|comment| add(*comment, TokenKind::Comment));
    for key in tree.sections.iter().flat_map(|section| &section.path) {
        add(key.span, TokenKind::Keyword);
    }
    tree.visit(&mut |_, entry: &Entry| {
        entry.keys.iter().for_each(|key| add(key.span, TokenKind::Property));
        entry.value.iter().for_each(|value| plain(file, value, &mut add));
    });
    super::texts(tree, grammar, &mut |means, value, inner| {
        add(value.span, TokenKind::Text);
        match means {
            // In a text with escapes, a script is not what it looks like.
            Meaning::Script if !file.slice(inner).contains('\\') => script(file, inner, &mut add),
            Meaning::Script => {}
            _ => super::references(file, inner).into_iter().for_each(|span| add(span, TokenKind::Variable)),
        }
    });
    tokens
}

fn plain(file: &File, value: &Value, add: &mut impl FnMut(Span, TokenKind)) {
    match &value.kind {
        ValueKind::Plain if matches!(file.slice(value.span), "true" | "false") => add(value.span, TokenKind::Keyword),
        ValueKind::Plain => add(value.span, TokenKind::Number),
        ValueKind::List { items, .. } => items.iter().for_each(|item| plain(file, item, add)),
        ValueKind::Text { .. } | ValueKind::Table { .. } => {}
    }
}

fn script(file: &File, span: Span, add: &mut impl FnMut(Span, TokenKind)) {
    for (span, kind) in super::super::tokens::script(file, span) {
        add(span, kind);
    }
}
