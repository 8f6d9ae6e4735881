//! `COPY` and `ADD`: sources, documents, a destination.

use ast::{Copy, OptKind};

use super::{Lowering, list};
use crate::dockerfile::flags::{Flag, Kind, Spec};
use crate::dockerfile::heredoc;
use crate::dockerfile::syntax::Instruction;
use crate::dockerfile::text::Word;

pub(super) const COPY_FLAGS: &[Spec] = &[
    ("chown", Kind::Text),
    ("from", Kind::Text),
    ("chmod", Kind::Text),
    ("link", Kind::Bool),
    ("exclude", Kind::Texts),
    ("parents", Kind::Bool),
];
pub(super) const ADD_FLAGS: &[Spec] = &[
    ("chown", Kind::Text),
    ("chmod", Kind::Text),
    ("link", Kind::Bool),
    ("keep-git-dir", Kind::Bool),
    ("checksum", Kind::Text),
    ("unpack", Kind::Bool),
    ("exclude", Kind::Texts),
];

pub(super) fn lower(parsed: &Instruction<'_>, name: &str, specs: &[Spec], lowering: &mut Lowering<'_>) -> Option<Copy> {
    let words = list(&parsed.args);
    let Some((dest, sources)) = words.split_last().filter(|(_, sources)| !sources.is_empty()) else {
        let what = "requires at least two arguments, but only one was provided. Destination could not be determined";
        lowering.error(format!("{name} {what}"), &parsed.name.range);
        return None;
    };
    for flag in lowering.flags(parsed, specs) {
        if let Some(kind) = option(&flag, lowering) {
            lowering.opt(kind, &flag);
        }
    }
    // parity: a delimiter that cannot be read makes the word a path here.
    let opener = |word: &Word<'_>| heredoc::opener(&word.text).ok().flatten();
    if opener(dest).is_some() {
        lowering.error(format!("{name} cannot accept a heredoc as a destination"), &dest.range);
    }
    let mut copy =
        Copy { sources: Vec::with_capacity(sources.len()), documents: Vec::new(), dest: lowering.word(dest) };
    for source in sources {
        match opener(source) {
            Some(opener) => copy.documents.push(document(opener, source, lowering)),
            None => copy.sources.push(lowering.word(source)),
        }
    }
    Some(copy)
}

/// An option; an empty text is as good as none.
fn option(flag: &Flag<'_>, lowering: &Lowering<'_>) -> Option<OptKind> {
    let is_true = flag.value == b"true";
    Some(match flag.name {
        "link" => OptKind::Link(is_true),
        "parents" => OptKind::Parents(is_true),
        "keep-git-dir" => OptKind::KeepGitDir(is_true),
        "unpack" => OptKind::Unpack(is_true),
        "exclude" => OptKind::Exclude(lowering.flag_literal(flag)),
        _ if flag.value.is_empty() => return None,
        // Read as a word, though one that expansion would change is refused later.
        "from" => OptKind::From(lowering.flag_word(flag)),
        "chown" => OptKind::Chown(lowering.flag_word(flag)),
        "chmod" => OptKind::Chmod(lowering.flag_word(flag)),
        _ => OptKind::Checksum(lowering.flag_word(flag)),
    })
}

/// parity: documents are found by name, so of several with one name all get the text of the last; in the JSON form,
/// which opens none, they are empty.
fn document(opener: heredoc::Opener, word: &Word<'_>, lowering: &Lowering<'_>) -> ast::Document {
    let line = lowering.context.line;
    let raw = lowering.context.documents.iter().rev().find(|raw| raw.opener.name == opener.name);
    let mut document = raw.map_or_else(
        || ast::Document {
            name: String::new(),
            content: ast::Text::default(),
            expand: false,
            chomp: false,
            opener: line.span(word.range.clone()),
            span: line.span(word.range.clone()),
        },
        |raw| lowering.document(raw),
    );
    document.name = opener.name;
    document.expand = opener.expand;
    document.chomp = opener.chomp;
    document.opener = line.span(word.range.clone());
    document
}
