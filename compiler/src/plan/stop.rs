//! Why a step of planning ends early.

use ast::{Diagnostic, Span};

use super::expand::Fault;

/// The class of errors that planning finds.
pub(crate) const CODE: &str = "plan";

/// Why something was not planned.
#[derive(Debug)]
pub(super) enum Stop {
    /// It depends on an answer that is missing: not an error, but there is nothing to say yet.
    Unknown,
    /// It cannot be.
    Error(Box<Diagnostic>),
}

/// A result of planning.
pub(super) type Done<T = ()> = Result<T, Stop>;

impl Stop {
    /// An error whose place is where its instruction stands; whoever knows that adds it ([`Stop::at`]).
    pub(super) fn error(message: impl Into<String>) -> Self {
        Self::Error(Box::new(Diagnostic::error(CODE, message, None)))
    }

    /// The same with advice.
    pub(super) fn help(self, help: impl Into<String>) -> Self {
        self.map(|diagnostic| Diagnostic { help: Some(help.into()), ..diagnostic })
    }

    /// The same with the exact place of the mistake, unless one is known already.
    pub(super) fn point(self, span: Span) -> Self {
        self.map(|diagnostic| Diagnostic { at: diagnostic.at.or(Some(span)), ..diagnostic })
    }

    /// The same with a further place and a word about it.
    pub(super) fn label(self, span: Span, message: &str) -> Self {
        self.map(|diagnostic| diagnostic.also(span, message))
    }

    /// The same with a place that BuildKit does not report.
    pub(super) fn nowhere(self, span: Option<Span>) -> Self {
        self.map(|diagnostic| Diagnostic {
            at: diagnostic.at.or(span),
            locations: diagnostic.locations.or(Some(Vec::new())),
            ..diagnostic
        })
    }

    /// The same with text before the message.
    pub(super) fn context(self, what: &str) -> Self {
        self.map(|diagnostic| Diagnostic { message: format!("{what}: {}", diagnostic.message), ..diagnostic })
    }

    /// The same with what was probably meant.
    pub(super) fn suggest(self, suggestion: Option<&str>) -> Self {
        self.map(|diagnostic| Diagnostic {
            message: ast::with_suggestion(diagnostic.message, suggestion),
            ..diagnostic
        })
    }

    fn map(self, change: impl FnOnce(Diagnostic) -> Diagnostic) -> Self {
        match self {
            Self::Unknown => Self::Unknown,
            Self::Error(diagnostic) => Self::Error(Box::new(change(*diagnostic))),
        }
    }
}

impl From<Fault> for Stop {
    fn from(Fault(message): Fault) -> Self {
        Self::error(message)
    }
}
