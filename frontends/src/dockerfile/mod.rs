//! Dockerfile: a hand-written scanner, a syntax tree an instruction, and its lowering into the shared tree.
//!
//! `scan` makes logical lines, `syntax` gives each its form, `lower` gives it its meaning. `grammar/dockerfile.pest` is
//! the same language as a grammar; a test holds the two against each other.
//!
//! Behaviour mirrors BuildKit v0.32's `frontend/dockerfile/parser` and `instructions`: what is accepted, the messages,
//! the lines they name, and which error is reported first.

mod csv;
mod directives;
mod flags;
mod format;
#[cfg(test)]
mod grammar;
mod heredoc;
mod json;
mod keyword;
mod lower;
pub(crate) mod number;
mod parse;
pub mod print;
mod readback;
mod scan;
mod syntax;
mod text;
mod vocabulary;
mod words;

use ast::Dialect;

use crate::Language;

/// The row of [`crate::LANGUAGES`].
pub(crate) const LANGUAGE: Language = Language {
    id: "Dockerfile",
    names: &["dockerfile", "containerfile"],
    extensions: &["dockerfile", "containerfile"],
    parse: parse::parse,
    parse_with: None,
    trigger: Some(parse::trigger),
    format: Some(format::format),
    vocabulary: Some(&vocabulary::VOCABULARY),
    keyed: None,
    expand: None,
    write: print::module,
    noun: "a Dockerfile",
};

/// An instruction that an image keeps for its heirs, as `ONBUILD` takes it.
pub(crate) fn kept(instruction: &str, at: ast::Span) -> Result<ast::Op, Box<ast::Diagnostic>> {
    let bytes = format!("ONBUILD {instruction}").into_bytes();
    parse::trigger(&crate::Trigger { bytes: &bytes, at, escape: b'\\' }).map(|step| step.op)
}

/// What the `# syntax=` line of a text names; looked for in every language the same way.
pub fn syntax(bytes: &[u8]) -> Option<ast::Syntax> {
    parse::syntax_directive(&crate::Input::new(ast::FileId(0), bytes))
}

const DIALECT: Dialect = Dialect {
    id: LANGUAGE.id,
    description_key: "com.docker.dockerfile.v1.command",
    numbered_steps: true,
    history: true,
    exports_args: true,
    functions: false,
};
