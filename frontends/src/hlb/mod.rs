//! HLB: a lexer with modes, a recursive-descent parser, its lowering into the shared tree, and a formatter.
//!
//! `grammar/hlb.ebnf` is the same language as a grammar. Names and types are checked on the shared tree by [`ast::check`].
//! Behaviour mirrors openllb/hlb at 8955839; `docs/hlb.md` lists where it differs and what it adds.

mod format;
mod lex;
mod lint;
mod lower;
mod parse;
mod print;
mod syntax;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

use ast::{Diagnostic, Dialect, Edit, Module, Span, code};

use crate::{Input, Language};

/// The row of [`crate::LANGUAGES`].
pub(crate) const LANGUAGE: Language = Language {
    id: "HLB",
    names: &[],
    extensions: &["hlb"],
    parse,
    parse_with: None,
    format: Some(format),
    trigger: None,
    vocabulary: None,
    keyed: None,
    expand: None,
    write: print::module,
    noun: "an HLB program",
};

const DIALECT: Dialect = Dialect {
    id: LANGUAGE.id,
    description_key: "llbc.hlb.statement",
    numbered_steps: false,
    history: true,
    exports_args: false,
    functions: true,
};

fn parse(input: &Input<'_>) -> Module {
    let text = readable(input.bytes);
    let (file, faults) = parse::parse(&text);
    let mut module = lower::lower(&text, &file, input.file);
    if let Err(error) = std::str::from_utf8(input.bytes) {
        let at = error.valid_up_to() as u32;
        let error = Diagnostic::error(code::SYNTAX, "the text is not UTF-8", Span::new(input.file, at, at + 1));
        module.diagnostics.push(error.help("save the file as UTF-8"));
    }
    module.diagnostics.extend(faults.into_iter().map(|fault| {
        let error = Diagnostic::error(code::SYNTAX, fault.message, Span::new(input.file, fault.at.start, fault.at.end));
        Diagnostic { help: fault.help.map(str::to_owned), ..error }
    }));
    if module.diagnostics.is_empty() {
        module.diagnostics = lint::lint(&text, &file, input.file);
        module.diagnostics.extend(ast::check::check(&module));
    }
    module
}

/// The lines that change when the text is printed anew, apart for every declaration and for what is between them; none when
/// it has errors of syntax.
fn format(input: &Input<'_>) -> Vec<Edit> {
    let Ok(text) = std::str::from_utf8(input.bytes) else { return Vec::new() };
    let (file, faults) = parse::parse(text);
    if !faults.is_empty() {
        return Vec::new();
    }
    let printed = format::format(text, &file);
    let end = (text.len()..text.len(), printed.text.len()..printed.text.len());
    let mut edits = Vec::new();
    let (mut old_at, mut new_at) = (0, 0);
    for (old, new) in printed.pieces.into_iter().chain([end]) {
        for (old, new) in [(old_at..old.start, new_at..new.start), (old.clone(), new.clone())] {
            let Some((changed, text)) = changed(&text[old.clone()], &printed.text[new]) else { continue };
            let (start, end) = (old.start + changed.start, old.start + changed.end);
            edits.push(Edit { span: Span::new(input.file, start as u32, end as u32), text: text.to_owned() });
        }
        (old_at, new_at) = (old.end, new.end);
    }
    edits
}

/// What is left of two texts without the lines they begin and end with alike.
fn changed<'n>(old: &str, new: &'n str) -> Option<(Range<usize>, &'n str)> {
    if old == new {
        return None;
    }
    let same = |pairs: &mut dyn Iterator<Item = (&str, &str)>| -> usize {
        pairs.take_while(|(old, new)| old == new).map(|(line, _)| line.len()).sum()
    };
    let start = same(&mut old.split_inclusive('\n').zip(new.split_inclusive('\n')));
    let (old_rest, new_rest) = (&old[start..], &new[start..]);
    let lines = |text: &str| text.split_inclusive('\n').rev().map(str::to_owned).collect::<Vec<_>>();
    let (old_lines, new_lines) = (lines(old_rest), lines(new_rest));
    let end = same(&mut old_lines.iter().map(String::as_str).zip(new_lines.iter().map(String::as_str)));
    Some((start..old.len() - end, &new[start..new.len() - end]))
}

/// The text with every byte that is not UTF-8 replaced by one character of one byte, so that places stay.
fn readable(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    Cow::Owned(text)
}
