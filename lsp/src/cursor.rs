//! What is being typed: the place of a cursor in a line of instructions, however unfinished.
//!
//! Serves languages whose lines begin with a keyword ([`Vocabulary`]); the tree says which line it is, the text before
//! the cursor says the rest, because what is not written yet is in no tree.

use ast::{Span, visit};
use frontends::vocabulary::{Keyword, OptionWord, Vocabulary};

use crate::File;

/// Where a cursor stands.
#[derive(Debug)]
pub(crate) struct Cursor {
    /// What is expected there.
    pub(crate) place: Place,
    /// What is typed of it already: what a completion replaces.
    pub(crate) typed: Span,
    /// The definition it stands in.
    pub(crate) def: Option<usize>,
}

/// What is expected.
#[derive(Debug)]
pub(crate) enum Place {
    /// A keyword.
    Keyword,
    /// An option, or an argument.
    Option(&'static Keyword),
    /// The value of an option.
    Value(&'static Keyword, &'static OptionWord),
    /// A field of an option.
    Field(&'static OptionWord),
    /// The value of a field.
    FieldValue(&'static OptionWord),
    /// An argument of a keyword: how many stand before it, and whether something else than the context is its source.
    Argument { keyword: &'static Keyword, before: usize, sourced: bool },
    /// The name of a variable.
    Variable,
    /// The name of a setting in a comment.
    Directive,
    /// The value of a setting.
    DirectiveValue(String),
    /// Nothing that is known: a document, a comment.
    Other,
}

impl Cursor {
    /// Looks at a place in a file.
    pub(crate) fn new(file: &File, offset: u32) -> Option<Self> {
        let words = file.words()?;
        let text = file.text();
        if !text.is_char_boundary(offset as usize) {
            return None;
        }
        let span = |start: usize| Span::new(ast::FileId(0), start as u32, offset);
        let line = text[..offset as usize].rfind('\n').map_or(0, |newline| newline + 1);
        let (step, def) = match file.step_at(offset) {
            Some((step, def)) => (Some(step), def),
            None => (None, file.module.defs.partition_point(|def| def.span.start <= offset).checked_sub(1)),
        };
        let Some(step) = step.filter(|step| step.keyword.start <= offset) else {
            let start = line + text[line..offset as usize].chars().take_while(|c| c.is_whitespace()).count();
            let typed = &text[start.min(offset as usize)..offset as usize];
            if let Some(comment) = typed.strip_prefix(words.comment) {
                let (place, length) = directive(comment);
                return Some(Self { place, typed: span(offset as usize - length), def });
            }
            let place = if typed.contains(char::is_whitespace) { Place::Other } else { Place::Keyword };
            return Some(Self { place, typed: span(start), def });
        };
        if offset <= step.keyword.end {
            return Some(Self { place: Place::Keyword, typed: span(step.keyword.start as usize), def });
        }
        let in_document = visit::documents(step).iter().any(|d| d.span.start <= offset && offset < d.span.end);
        if in_document || text[line..offset as usize].trim_start().starts_with(words.comment) {
            return Some(Self { place: Place::Other, typed: span(offset as usize), def });
        }
        let before = &text[step.keyword.end as usize..offset as usize];
        let (place, length) = line_place(words, &step.keyword_text(), before);
        Some(Self { place, typed: span(offset as usize - length), def })
    }
}

/// The place in a comment, and how much of it is typed.
fn directive(comment: &str) -> (Place, usize) {
    let comment = comment.trim_start();
    match comment.split_once('=') {
        None if comment.chars().all(char::is_alphanumeric) => (Place::Directive, comment.len()),
        None => (Place::Other, 0),
        Some((name, value)) => {
            let typed = value.rsplit(['=', ',', ';', ' ']).next().unwrap_or_default();
            (Place::DirectiveValue(name.trim().to_lowercase()), typed.len())
        }
    }
}

/// The place after a keyword, and how much of it is typed.
fn line_place(words: &Vocabulary, keyword: &str, before: &str) -> (Place, usize) {
    let (parts, typed) = split(before);
    if let Some((place, length)) = variable(typed) {
        return (place, length);
    }
    let Some(keyword) = words.keyword(keyword) else { return (Place::Other, 0) };
    if keyword.takes == frontends::vocabulary::Takes::Line {
        // A line in a line: its keyword, or what follows that.
        let Some(inner) = parts.first() else { return (Place::Keyword, typed.len()) };
        let start = before.find(inner).map_or(before.len(), |at| at + inner.len());
        return line_place(words, inner, &before[start..]);
    }
    let flags = parts.iter().take_while(|word| word.starts_with("--")).count();
    let sourced = parts[..flags].iter().any(|word| word.starts_with("--from="));
    if flags < parts.len() || !typed.starts_with('-') {
        let before = parts.len() - flags;
        return (Place::Argument { keyword, before, sourced }, typed.len());
    }
    let Some((name, value)) = typed.split_once('=') else { return (Place::Option(keyword), typed.len()) };
    let Some(option) = keyword.option(name) else { return (Place::Other, 0) };
    if !matches!(option.value, frontends::vocabulary::Value::Fields(_)) {
        return (Place::Value(keyword, option), value.len());
    }
    let field = value.rsplit(',').next().unwrap_or_default();
    match field.split_once('=') {
        None => (Place::Field(option), field.len()),
        Some((name, value)) => match option.field(name) {
            Some(field) => (Place::FieldValue(field), value.len()),
            None => (Place::Other, 0),
        },
    }
}

/// The name of a variable at the end of a word.
fn variable(word: &str) -> Option<(Place, usize)> {
    let sign = word.rfind('$')?;
    let rest = &word[sign + 1..];
    let name = rest.strip_prefix('{').unwrap_or(rest);
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then_some((Place::Variable, name.len()))
}

/// The words that are complete, and the one that is not; comments between continued lines are left out.
fn split(text: &str) -> (Vec<&str>, &str) {
    let mut words = Vec::new();
    for (number, line) in text.split('\n').enumerate() {
        let is_comment = number > 0 && line.trim_start().starts_with('#');
        if !is_comment {
            words.extend(line.split_whitespace().filter(|word| !matches!(*word, "\\" | "`")));
        }
    }
    let is_complete = text.is_empty() || text.ends_with(char::is_whitespace);
    let typed = if is_complete { "" } else { words.pop().unwrap_or_default() };
    (words, typed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::file;

    #[track_caller]
    fn check(marked: &str, expected: &str) {
        let (file, offset) = file(marked);
        let cursor = Cursor::new(&file, offset).unwrap();
        let shown = match &cursor.place {
            Place::Keyword => "keyword".to_owned(),
            Place::Option(keyword) => format!("option of {}", keyword.name),
            Place::Value(keyword, option) => format!("value of {} {}", keyword.name, option.name),
            Place::Field(option) => format!("field of {}", option.name),
            Place::FieldValue(field) => format!("value of field {}", field.name),
            Place::Argument { keyword, before, sourced } => format!("argument {before} of {} {sourced}", keyword.name),
            Place::Variable => "variable".to_owned(),
            Place::Directive => "directive".to_owned(),
            Place::DirectiveValue(name) => format!("value of {name}"),
            Place::Other => "other".to_owned(),
        };
        assert_eq!(format!("{shown}: {:?}", file.slice(cursor.typed)), expected);
    }

    #[test]
    fn keywords() {
        check("┃", r#"keyword: """#);
        check("FROM a\n  ru┃", r#"keyword: "ru""#);
        check("FROM a\nONBUILD CO┃", r#"keyword: "CO""#);
    }

    #[test]
    fn options_and_their_values() {
        check("FROM a\nCOPY --fr┃", r#"option of COPY: "--fr""#);
        check("FROM a\nCOPY --from=b┃ x", r#"value of COPY --from: "b""#);
        check("FROM a\nRUN --mount=type=ca┃", r#"value of field type: "ca""#);
        check("FROM a\nRUN --mount=type=cache,ta┃", r#"field of --mount: "ta""#);
        check("FROM a\nRUN x \\\n  # c\n --network=┃", r#"argument 1 of RUN false: "--network=""#);
    }

    #[test]
    fn arguments_and_variables() {
        check("FROM ┃", r#"argument 0 of FROM false: """#);
        check("FROM a\nCOPY --from=b x/┃", r#"argument 0 of COPY true: "x/""#);
        check("FROM a\nWORKDIR /${HO┃", r#"variable: "HO""#);
        check("FROM a\nRUN echo \"$┃", r#"variable: """#);
    }

    #[test]
    fn comments() {
        check("# sy┃", r#"directive: "sy""#);
        check("# check=skip=A,JS┃", r#"value of check: "JS""#);
        check("FROM a\nRUN <<E\nx ┃\nE\n", r#"other: """#);
    }
}
