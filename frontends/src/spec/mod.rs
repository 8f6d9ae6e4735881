//! The declarative language: `build.toml`, where a build says what it wants.
//!
//! TOML is parsed by its crate, which gives every value its place; `read` types it, `preset` turns kinds of projects
//! into plain stages, and `lower` makes steps of stages. Nothing is implicit that `llbc expand` does not print.

mod doubled;
mod expand;
mod format;
mod include;
mod keyed;
mod lower;
mod model;
mod preset;
mod print;
mod read;
mod results;
mod schema;
#[cfg(test)]
mod tests;
mod text;
mod when;

use ast::{Checks, Diagnostic, FileId, Module, Span, code};
use toml::de::DeTable;

use crate::{Included, Input, Language};
use include::Gathered;
use model::Spec;
use read::Reader;

pub use print::several;
pub use schema::{json as json_schema, reference};

/// The row of [`crate::LANGUAGES`].
pub(crate) const LANGUAGE: Language = Language {
    id: lower::DIALECT.id,
    names: &["build.toml"],
    extensions: &["toml"],
    parse,
    parse_with: Some(parse_with),
    trigger: None,
    format: Some(format::format),
    expand: Some(expand::expand),
    vocabulary: None,
    keyed: Some(&keyed::KEYED),
    write: print::module,
    noun: "a build spec",
};

/// The version of the language.
const VERSION: i64 = 1;

/// Whether a text begins with the version of the language, as no text of another does.
pub(crate) fn has_version(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with(b"#"));
    let rest = first.and_then(|line| line.strip_prefix(b"spec"));
    rest.is_some_and(|rest| rest.trim_ascii_start().starts_with(b"="))
}

fn parse(input: &Input<'_>) -> Module {
    parse_with(input, &[])
}

/// Parses a text with those that it includes, as far as they are there.
fn parse_with(input: &Input<'_>, included: &[Included<'_>]) -> Module {
    let text = match std::str::from_utf8(input.bytes) {
        Ok(text) => text,
        Err(error) => return refused(input.file, error.valid_up_to()),
    };
    let mut reader = Reader::new(input.file, None);
    let spec = read(text, &mut reader);
    let Gathered { spec, missing } = include::gather(spec, included, &mut reader);
    let certain = reader.diagnostics.len();
    let spec = preset::apply(spec, &mut reader);
    let mut module = lower::module(input.file, &spec, &mut reader);
    if module.defs.is_empty() && reader.diagnostics.is_empty() {
        let at = Span::new(input.file, 0, 0);
        reader.diagnostics.push(
            Diagnostic::error(code::MODULE, "there is no image to build", at)
                .help("the smallest spec is an [image.NAME] with from = \"IMAGE\""),
        );
    }
    if !missing.is_empty() {
        // What a name means may be said in a text that is not there yet.
        reader.diagnostics.truncate(certain);
    }
    module.includes = missing;
    module.diagnostics = reader.diagnostics;
    module
}

/// Parses a text that was made of another one; whatever is wrong is wrong with what `at` has.
pub(crate) fn parse_at(text: &str, at: Span) -> Module {
    let mut reader = Reader::new(at.file, Some(at));
    let spec = preset::apply(read(text, &mut reader), &mut reader);
    let mut module = lower::module(at.file, &spec, &mut reader);
    module.diagnostics = reader.diagnostics;
    module
}

/// What the reader of TOML says of a key that is there twice, and of one whose value is there and whole.
const DOUBLED: [&str; 2] = ["duplicate key", "cannot extend"];

/// The values of a text, typed.
fn read(text: &str, reader: &mut Reader) -> Spec {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let range = error.span().unwrap_or(0..0);
        let mut found = Diagnostic::error(code::SYNTAX, error.message().to_owned(), reader.span(range.clone()));
        if DOUBLED.iter().any(|doubled| error.message().starts_with(doubled))
            && let Some(first) = doubled::first(text, &range)
        {
            found =
                found.also(reader.span(first), "the first is here").help("a key is said once: take one of them out");
        }
        reader.diagnostics.push(found);
    }
    let mut spec = Spec::default();
    read::fill(document.get_ref(), &mut spec, reader);
    for (name, _) in spec.test.iter_mut().flat_map(|tests| &mut tests.0) {
        name.value = results::test_name(&name.value);
    }
    if let Some(version) = spec.version.filter(|version| version.value != VERSION) {
        reader.error(format!("version {} of the language is not supported", version.value), version.span).help =
            Some(format!("this llbc knows version {VERSION}"));
    }
    spec
}

/// The module of a text that is not UTF-8.
fn refused(file: FileId, offset: usize) -> Module {
    let at = Span::new(file, offset as u32, offset as u32);
    let error = Diagnostic::error(code::SYNTAX, "the text is not UTF-8", at).help("TOML is always UTF-8");
    Module {
        file,
        dialect: lower::DIALECT,
        syntax: None,
        imports: Vec::new(),
        exports: Vec::new(),
        head: Vec::new(),
        defs: Vec::new(),
        goals: Vec::new(),
        contexts: Vec::new(),
        includes: Vec::new(),
        checks: Ok(Checks::default()),
        diagnostics: vec![error],
    }
}
