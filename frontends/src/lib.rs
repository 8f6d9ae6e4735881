//! The languages: text in, [`ast::Module`] out.
//!
//! One folder a language, one row in [`LANGUAGES`]. A syntax tree never leaves its folder. Parsing never fails: broken
//! input gives a module with holes and diagnostics. Pure: this crate must never read a file, the environment or a clock.

pub mod dockerfile;
mod foreign;
pub mod hlb;
pub mod invariants;
pub mod keyed;
pub mod spec;
pub mod vocabulary;

use ast::{Diagnostic, FileId, LineIndex, Module, Source, Span, Step};
pub use dockerfile::syntax;

/// A text to parse.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The file, for spans.
    pub file: FileId,
    /// Its bytes as read.
    pub bytes: &'a [u8],
    /// Where its lines start, if somebody has looked for that already.
    pub lines: Option<&'a LineIndex>,
}

impl<'a> Input<'a> {
    /// Bytes alone.
    pub fn new(file: FileId, bytes: &'a [u8]) -> Self {
        Self { file, bytes, lines: None }
    }

    /// A source.
    pub fn of(file: FileId, source: &'a Source) -> Self {
        Self { file, bytes: &source.bytes, lines: Some(&source.lines) }
    }
}

/// A text that another one includes.
#[derive(Clone, Copy, Debug)]
pub struct Included<'a> {
    /// Its path, as [`ast::Include::path`] has it.
    pub path: &'a str,
    /// The file, for spans.
    pub file: FileId,
    /// Its bytes as read; `None` when there is no such file.
    pub bytes: Option<&'a [u8]>,
}

/// The text of an instruction that an image or a stage keeps for those built on it.
#[derive(Clone, Copy, Debug)]
pub struct Trigger<'a> {
    /// The text.
    pub bytes: &'a [u8],
    /// The instruction that brings it in: every span of the step is this one.
    pub at: Span,
    /// The escape character of the file that brings it in: it governs the words, not the lines.
    pub escape: u8,
}

/// Parses a kept instruction.
pub type TriggerParser = fn(&Trigger<'_>) -> Result<Step, Box<Diagnostic>>;

/// Puts a text in order: edits in file order, not overlapping, each of which keeps the meaning by itself.
///
/// A text with errors is put in order as far as it can be read.
pub type Formatter = fn(&Input<'_>) -> Vec<ast::Edit>;

/// Writes out what a text leaves to presets.
pub type Expander = fn(&Input<'_>) -> Result<String, Vec<Diagnostic>>;

/// What a language has no word for, with its place.
pub type Unsaid = (Span, &'static str);

/// Writes a module of stages, of whatever language, as a text; or names everything in it that there is no word for, in
/// file order. With `lossy`, that is left out: a step as a whole, or what is special about it.
pub type Writer = fn(&Module, bool) -> Result<String, Vec<Unsaid>>;

/// A language.
#[derive(Clone, Copy, Debug)]
pub struct Language {
    /// Its name, as [`ast::Dialect::id`] has it.
    pub id: &'static str,
    /// Names of files that are in it, without regard to case; also with a dot and anything after it.
    pub names: &'static [&'static str],
    /// Extensions of files that are in it, without regard to case.
    pub extensions: &'static [&'static str],
    /// Parses a text.
    pub parse: fn(&Input<'_>) -> Module,
    /// Parses a text with those that it includes, if the language has such; what is not given is in
    /// [`Module::includes`](ast::Module::includes).
    pub parse_with: Option<fn(&Input<'_>, &[Included<'_>]) -> Module>,
    /// Parses an instruction kept by an image, if the language has such.
    pub trigger: Option<TriggerParser>,
    /// Puts a text in order, if the language has an order.
    pub format: Option<Formatter>,
    /// What an editor can say of its words.
    pub vocabulary: Option<&'static vocabulary::Vocabulary>,
    /// What an editor can say of its keys and values, if the language is of such.
    pub keyed: Option<&'static keyed::Keyed>,
    /// Writes out presets, if the language has such.
    pub expand: Option<Expander>,
    /// Writes modules of other languages.
    pub write: Writer,
    /// A text of it, as a sentence calls it: `a Dockerfile`.
    pub noun: &'static str,
}

/// Every language there is.
pub static LANGUAGES: &[Language] =
    &[dockerfile::LANGUAGE, hlb::LANGUAGE, spec::LANGUAGE, foreign::MOCKER, foreign::GOCKER];

/// The language of a text: the one that is asked for, else the one of the frontend that its `# syntax=` line names, else
/// the one of its file name, else that of specs if it begins with their version, else Dockerfile.
///
/// **Errors**: a language that is asked for and is not there.
pub fn choose(path: &str, bytes: &[u8], asked: Option<&str>) -> Result<&'static Language, String> {
    if let Some(asked) = asked {
        return by_id(asked).ok_or_else(|| {
            let known: Vec<&str> = LANGUAGES.iter().map(|language| language.id).collect();
            format!("unknown language {asked}: there is {}", known.join(", "))
        });
    }
    let by_syntax = || of_frontend(&dockerfile::syntax(bytes)?.reference.text);
    let by_version = || by_id(spec::LANGUAGE.id).filter(|_| spec::has_version(bytes));
    Ok(by_syntax().or_else(|| detect(path)).or_else(by_version).unwrap_or(&LANGUAGES[0]))
}

/// The language of the frontend of an image, by the image's name.
pub fn of_frontend(reference: &str) -> Option<&'static Language> {
    by_id(repository(reference))
}

/// The language of a name, without regard to case.
pub fn by_id(id: &str) -> Option<&'static Language> {
    LANGUAGES.iter().find(|language| language.id.eq_ignore_ascii_case(id))
}

/// The last part of an image's name: frontends are called after their languages.
fn repository(reference: &str) -> &str {
    let name = reference.split('@').next().unwrap_or_default();
    let last = name.rsplit('/').next().unwrap_or_default();
    last.split(':').next().unwrap_or_default()
}

/// Whether a name with variables in it may be that of one of several definitions: one begins as it does.
pub(crate) fn may_name(raw: &str, mut defs: impl Iterator<Item = impl AsRef<str>>) -> bool {
    let start = raw.split('$').next().unwrap_or_default().to_lowercase();
    raw.contains('$') && !start.is_empty() && defs.any(|name| name.as_ref().to_lowercase().starts_with(&start))
}

/// A name like another that a stage can have in every language of stages: lower-case letters and digits, and between them one
/// `.`, one or two `_`, or any number of `-`. Names of stages are names of images to whoever looks for one.
pub fn stage_name(text: &str) -> String {
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut name = String::new();
    for c in text.to_lowercase().chars() {
        let c = if is_letter(c) || matches!(c, '-' | '_' | '.') { c } else { '-' };
        let signs = &name[name.trim_end_matches(['-', '_', '.']).len()..];
        let fits = signs.is_empty() || (c == '-' && !signs.contains(['_', '.'])) || (c == '_' && signs == "_");
        if is_letter(c) || fits {
            name.push(c);
        }
    }
    if !name.starts_with(is_letter) {
        name.insert_str(0, "stage");
    }
    if !name.ends_with(is_letter) {
        name.push_str("stage");
    }
    name
}

/// The first of a name and the same with a number, from 2, that is free.
pub(crate) fn free_name(name: String, is_taken: impl Fn(&str) -> bool) -> String {
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.clone()).chain(numbered);
    names.find(|name| !is_taken(name)).expect("there are more numbers than names")
}

/// The language of a file, by its name.
pub fn detect(path: &str) -> Option<&'static Language> {
    let name = path.rsplit(['/', '\\']).next()?.to_ascii_lowercase();
    let has_name = |known: &str| name.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let has_extension = |known: &str| name.strip_suffix(known).is_some_and(|rest| rest.ends_with('.'));
    let by_name = LANGUAGES.iter().find(|language| language.names.iter().any(|known| has_name(known)));
    by_name.or_else(|| LANGUAGES.iter().find(|language| language.extensions.iter().any(|known| has_extension(known))))
}

#[cfg(test)]
mod tests {
    use super::{choose, detect, repository, stage_name};

    #[test]
    fn names_of_stages_are_like_those_of_images() {
        for name in ["a", "1st", "a-b", "a--b", "a_b", "a__b", "a.b"] {
            assert_eq!(stage_name(name), name);
        }
        let made = [
            ("A b", "a-b"),
            ("a.-b", "a.b"),
            ("a___b", "a__b"),
            ("a-_b", "a-b"),
            ("-a", "stage-a"),
            ("fs_", "fs_stage"),
            ("", "stage"),
        ];
        for (text, name) in made {
            assert_eq!(stage_name(text), name, "{text}");
        }
    }

    #[test]
    fn what_is_asked_for_comes_first_then_the_syntax_line_then_the_name() {
        let chosen = |path: &str, text: &str, asked| choose(path, text.as_bytes(), asked).map(|language| language.id);
        assert_eq!(chosen("x", "# syntax=docker/dockerfile:1\n", None), Ok("Dockerfile"));
        assert_eq!(chosen("x", "", Some("dockerfile")), Ok("Dockerfile"));
        assert!(
            chosen("Dockerfile", "", Some("m4"))
                .is_err_and(|error| error.starts_with("unknown language m4: there is Dockerfile"))
        );
    }

    #[test]
    fn specs_begin_with_their_version() {
        let id = |path: &str, text: &str| choose(path, text.as_bytes(), None).unwrap().id;
        assert_eq!(id("-", "# a spec\n\n spec=1\n[image.a]"), "TOML");
        assert_eq!(id("-", "spec \\\n= 1"), "Dockerfile");
        assert_eq!(id("-", "FROM a\nspec = 1"), "Dockerfile");
        assert_eq!(id("Dockerfile", "spec = 1"), "Dockerfile");
    }

    #[test]
    fn frontends_are_called_after_their_languages() {
        for reference in ["hlb", "openllb/hlb", "localhost:5000/openllb/hlb:v1@sha256:00", "hlb:latest"] {
            assert_eq!(repository(reference), "hlb", "{reference}");
        }
    }

    #[test]
    fn a_language_by_file_name() {
        for name in ["Dockerfile", "a/b/dockerfile", "Dockerfile.dev", "Containerfile", "app.Dockerfile"] {
            assert_eq!(detect(name).map(|language| language.id), Some("Dockerfile"), "{name}");
        }
        for name in ["Dockerfiles", "a.txt", "", "Dockerfile/x"] {
            assert!(detect(name).is_none(), "{name}");
        }
    }
}
