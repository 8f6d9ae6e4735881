//! Parameters of a program: the marks of evaluated texts, as references again.

use ast::{Param, Span, Str, StrKind};

use super::Unfolding;

impl Unfolding<'_> {
    /// A text with its parameters, and which those are.
    pub(super) fn text(&self, text: &str, at: Span) -> (Str, Vec<String>) {
        let is_marked = |mark: &String| text.contains(mark.as_str());
        if !self.marks.values().any(is_marked) {
            return (Str { kind: StrKind::Lit(text.into()), span: at }, Vec::new());
        }
        let mut raw: String =
            text.chars().flat_map(|c| ['\\'].into_iter().filter(move |_| "\\$\"'".contains(c)).chain([c])).collect();
        let mut names = Vec::new();
        for (name, mark) in self.marks {
            if raw.contains(mark.as_str()) {
                raw = raw.replace(mark.as_str(), &format!("${{{name}}}"));
                names.push(name.clone());
            }
        }
        (Str { kind: StrKind::Word { raw: raw.into(), escape: b'\\' }, span: at }, names)
    }

    /// The mark of a parameter.
    pub(super) fn mark(&self, name: &str) -> Option<String> {
        self.marks.get(name).cloned()
    }

    pub(super) fn is_marked(&self, text: &str) -> bool {
        self.marks.values().any(|mark| text.contains(mark.as_str()))
    }

    /// A text in which nothing can refer to a parameter: with what each is when nobody says otherwise.
    pub(super) fn as_usual(&self, text: &str) -> String {
        let usual = |name: &str| match &self.params.get(name)?.default.as_ref()?.kind {
            StrKind::Lit(text) | StrKind::Word { raw: text, .. } => Some(text.lossy().into_owned()),
        };
        let replaced =
            |text: String, (name, mark): (&String, &String)| text.replace(mark, &usual(name).unwrap_or_default());
        self.marks.iter().fold(text.to_owned(), replaced)
    }

    /// The parameter whose mark a text is, if its name is `name`.
    pub(super) fn parameter(&self, name: &str, text: &str) -> Option<Param> {
        let is_it = self.marks.get(name).is_some_and(|mark| mark == text);
        self.params.get(name).filter(|_| is_it).map(|param| (*param).clone())
    }

    pub(super) fn declared(&self, name: &str) -> Option<Param> {
        self.params.get(name).map(|param| (*param).clone())
    }
}
