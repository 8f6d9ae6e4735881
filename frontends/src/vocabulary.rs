//! What an editor can say of a language's words: data, no code, so that one set of features serves every language.
//!
//! The parser does not read it; `frontends` tests hold it against what the parser takes.

/// The words of a language.
#[derive(Debug)]
pub struct Vocabulary {
    /// Instructions, functions, tables: what a line may begin with; sorted.
    pub keywords: &'static [Keyword],
    /// Variables that are there without being declared.
    pub variables: &'static [Documented],
    /// Settings in comments at the start of a file, `# NAME=value`.
    pub directives: &'static [Documented],
    /// What begins a comment.
    pub comment: &'static str,
}

/// A word with what it means.
#[derive(Debug)]
pub struct Documented {
    /// As written.
    pub name: &'static str,
    /// One sentence or two; Markdown.
    pub doc: &'static str,
}

/// A word that begins a line.
#[derive(Debug)]
pub struct Keyword {
    /// As written by convention.
    pub name: &'static str,
    /// Its forms; parameters in angle brackets, what may be left out in square ones.
    pub forms: &'static [&'static str],
    /// What it does; Markdown.
    pub doc: &'static str,
    /// Where to read on.
    pub url: &'static str,
    /// Options it takes, as written; sorted.
    pub options: &'static [OptionWord],
    /// What its arguments are.
    pub takes: Takes,
}

/// An option.
#[derive(Debug)]
pub struct OptionWord {
    /// As written, without the sign that follows (`--from`).
    pub name: &'static str,
    /// What it does; Markdown.
    pub doc: &'static str,
    /// What follows.
    pub value: Value,
}

/// What a value is.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// None: naming the option switches it on; `=true` and `=false` may follow.
    Switch,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A stage, an image or a named context.
    Source,
    /// A platform.
    Platform,
    /// A path of the build context.
    Path,
    /// Fields separated by commas, `key=value`.
    Fields(&'static [OptionWord]),
    /// Any text; an example of it.
    Text(&'static str),
}

/// What the arguments of a keyword are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// An image, or the name of a stage.
    Base,
    /// Paths of the build context.
    Paths,
    /// A command.
    Command,
    /// Names and values.
    Variables,
    /// One of these words, or another.
    Words(&'static [&'static str]),
    /// A whole line of the language.
    Line,
    /// Text.
    Text,
}

impl Vocabulary {
    /// The keyword of a name, in any case.
    pub fn keyword(&self, name: &str) -> Option<&'static Keyword> {
        self.keywords.iter().find(|keyword| keyword.name.eq_ignore_ascii_case(name))
    }
}

impl Keyword {
    /// The option of a name.
    pub fn option(&self, name: &str) -> Option<&'static OptionWord> {
        self.options.iter().find(|option| option.name == name)
    }
}

impl OptionWord {
    /// The field of a name, of a value that has fields.
    pub fn field(&self, name: &str) -> Option<&'static OptionWord> {
        let Value::Fields(fields) = self.value else { return None };
        fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))
    }
}
