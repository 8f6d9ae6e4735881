//! Words of other languages as strings of a program.

use ast::word::{Mode, Piece, Word};
use ast::{Str, StrKind};

use super::Scope;

/// A text with parameters in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Parameter(String),
}

impl Template {
    /// A parameter.
    pub(super) fn of(parameter: &str) -> Self {
        Self(vec![Part::Parameter(parameter.to_owned())])
    }

    /// A text as it is.
    pub(super) fn text(text: &str) -> Self {
        Self(vec![Part::Text(text.to_owned())])
    }

    /// What a word is worth where names stand for something.
    ///
    /// **Errors**: what of it a program has no word for.
    pub(super) fn read(value: &Str, scope: &Scope) -> Result<Self, &'static str> {
        let (raw, escape) = match &value.kind {
            StrKind::Lit(text) => return Ok(Self::text(&text.lossy())),
            StrKind::Word { raw, escape } => (raw, *escape),
        };
        let word = Word::parse(raw, escape, Mode::Word);
        let mut template = Self::default();
        template.pieces(&word, &word.pieces, scope)?;
        Ok(template)
    }

    fn pieces(&mut self, word: &Word<'_>, pieces: &[Piece], scope: &Scope) -> Result<(), &'static str> {
        for piece in pieces {
            match piece {
                Piece::Text(range) | Piece::Literal(range) => self.0.push(Part::Text(word.slice(range).to_owned())),
                Piece::Quoted(inner) => self.pieces(word, inner, scope)?,
                Piece::Variable(variable) if variable.modifier.is_none() => {
                    match scope.values.get(word.slice(&variable.name)) {
                        Some(value) => self.0.extend(value.0.iter().cloned()),
                        None if scope.is_global && is_known(word.slice(&variable.name)) => {
                            return Err("what is known of the target");
                        }
                        None if scope.open => return Err("a variable that a base may have set"),
                        None => {}
                    }
                }
                Piece::Variable(_) => return Err("a substitution: ${NAME:-VALUE} and its kin"),
                Piece::Fault(_) => return Err("a word that cannot be read"),
            }
        }
        Ok(())
    }

    /// The text, if no parameter is in it.
    pub(super) fn constant(&self) -> Option<String> {
        let text = |part: &Part| if let Part::Text(text) = part { Some(text.clone()) } else { None };
        self.0.iter().map(text).collect::<Option<String>>()
    }

    /// Whether it begins with a sign; of a parameter at its start nobody knows, and it is taken to.
    pub(super) fn begins_with(&self, sign: char) -> bool {
        match self.0.iter().find(|part| !matches!(part, Part::Text(text) if text.is_empty())) {
            Some(Part::Text(text)) => text.starts_with(sign),
            Some(Part::Parameter(_)) => true,
            None => false,
        }
    }

    /// Whether a parameter is in it.
    pub(super) fn mentions(&self, parameter: &str) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Parameter(name) if name == parameter))
    }

    /// A text before it.
    pub(super) fn after(&self, text: &str) -> Self {
        let mut parts = vec![Part::Text(text.to_owned())];
        parts.extend(self.0.iter().cloned());
        Self(parts)
    }

    /// The same in small letters, as far as it is a text.
    pub(super) fn lower(&self) -> Self {
        self.constant().map_or_else(|| self.clone(), |text| Self::text(&text.to_lowercase()))
    }

    /// As a program writes it.
    pub(super) fn print(&self) -> String {
        if let Some(text) = self.constant() {
            return string(&text);
        }
        if let [Part::Parameter(name)] = &self.0[..] {
            return name.clone();
        }
        let part = |part: &Part| match part {
            Part::Text(text) => escaped(text),
            Part::Parameter(name) => format!("${{{name}}}"),
        };
        format!("\"{}\"", self.0.iter().map(part).collect::<String>())
    }
}

/// A text as a program writes it: without escapes where that can be.
pub(super) fn string(text: &str) -> String {
    let needs_escapes = text.contains(['"', '\\', '$', '\n', '\r', '\t']);
    if needs_escapes && !text.contains('`') { format!("`{text}`") } else { format!("\"{}\"", escaped(text)) }
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' | '\\' | '$' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out
}

/// Whether an argument is always there, wherever a build is for.
fn is_known(name: &str) -> bool {
    name.starts_with("TARGET") || name.starts_with("BUILD")
}

/// A name that a function or parameter can have: that of a stage has signs that it cannot, and must not be one that means
/// something already.
pub(super) fn identifier(name: &str) -> String {
    let mut text: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if text.is_empty() || text.starts_with(|c: char| c.is_ascii_digit()) {
        text.insert_str(0, "stage_");
    }
    let is_word = [
        "if", "else", "import", "export", "with", "as", "true", "false", "variadic", "binds", "fs", "string", "int",
        "bool",
    ]
    .contains(&text.as_str());
    if is_word || !ast::builtin::named(&text).is_empty() {
        text.push('_');
    }
    text
}
