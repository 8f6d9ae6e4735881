//! What is said about the user's text: errors, warnings, and how to mend them.

use crate::Span;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know; never fails a build.
    Info,
    /// Probably a mistake.
    Warning,
    /// Nothing can be built from this.
    Error,
}

/// One finding about the user's text. One to one with a line of `--error-format json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The rule's name (`JSONArgsRecommended`) or the error's class (`parse`, `plan`, …).
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is: lower case, no full stop; BuildKit's words where it has them.
    pub message: String,
    /// Where the caret goes; `None` when no text is to blame (a bad option).
    pub at: Option<Span>,
    /// The places that BuildKit reports (whole lines), when they differ from the lines of `at`.
    /// **Shape**: one entry per location, in order; a location is a list of first and last lines (from 1).
    pub locations: Option<Vec<Vec<(u32, u32)>>>,
    /// Further places with a word each.
    pub also: Vec<Label>,
    /// What to do.
    pub help: Option<String>,
    /// Where to read on.
    pub url: Option<&'static str>,
    /// Edits that mend it.
    pub fix: Option<Fix>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(code: &'static str, message: impl Into<String>, at: impl Into<Option<Span>>) -> Self {
        Self::new(Severity::Error, code, message, at)
    }

    /// A warning at a place.
    pub fn warning(code: &'static str, message: impl Into<String>, at: impl Into<Option<Span>>) -> Self {
        Self::new(Severity::Warning, code, message, at)
    }

    fn new(severity: Severity, code: &'static str, message: impl Into<String>, at: impl Into<Option<Span>>) -> Self {
        Self {
            code,
            severity,
            message: message.into(),
            at: at.into(),
            locations: None,
            also: Vec::new(),
            help: None,
            url: None,
            fix: None,
        }
    }

    /// The same with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with a further place.
    #[must_use]
    pub fn also(mut self, span: Span, message: impl Into<String>) -> Self {
        self.also.push(Label { span, message: message.into() });
        self
    }
}

/// A further place and what it has to do with the finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What to say there.
    pub message: String,
}

/// Edits that mend a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What the edits do, as a menu entry.
    pub title: String,
    /// Whether they keep the meaning of the build.
    pub safe: bool,
    /// Replacements, in file order, not overlapping.
    pub edits: Vec<Edit>,
}

/// A text with edits applied; those that do not fit it (out of order, out of the text) are left out.
pub fn apply(text: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    for edit in edits {
        let (start, end) = (edit.span.start as usize, edit.span.end as usize);
        if start < at || end < start || end > text.len() {
            continue;
        }
        out.extend_from_slice(&text[at..start]);
        out.extend_from_slice(edit.text.as_bytes());
        at = end;
    }
    out.extend_from_slice(&text[at..]);
    out
}

/// One replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What goes.
    pub span: Span,
    /// What comes.
    pub text: String,
}

/// The text with fixes applied. One that touches what an earlier one changed is left out: what it says may not hold any
/// more, and the next round finds it again if it does.
///
/// All edits must be in the text's file.
pub fn apply_fixes<'f>(text: &[u8], fixes: impl IntoIterator<Item = &'f Fix>) -> Vec<u8> {
    let mut edits: std::collections::BTreeMap<(u32, u32), &Edit> = std::collections::BTreeMap::new();
    for fix in fixes {
        let free = |edit: &Edit| {
            let before = edits.range(..(edit.span.end, u32::MAX)).next_back();
            before
                .is_none_or(|((_, end), _)| *end < edit.span.start || (*end == edit.span.start && *end < edit.span.end))
        };
        if fix.edits.iter().all(free) {
            edits.extend(fix.edits.iter().map(|edit| ((edit.span.start, edit.span.end), edit)));
        }
    }
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    for ((start, end), edit) in edits {
        out.extend_from_slice(&text[at..start as usize]);
        out.extend_from_slice(edit.text.as_bytes());
        at = end as usize;
    }
    out.extend_from_slice(&text[at..]);
    out
}
