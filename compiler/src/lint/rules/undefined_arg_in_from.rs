//! # What it does
//! Finds variables in `FROM` that no `ARG` before the first `FROM` declares.
//!
//! # Why is this bad
//! They are empty, whatever `--build-arg` says.
//!
//! # Example
//! ```dockerfile
//! FROM alpine:${VERSION:-3.20}
//! ```
//!
//! # Use instead
//! ```dockerfile
//! ARG VERSION=3.20
//! FROM alpine:${VERSION}
//! ```

use ast::{Policy, Severity, with_suggestion};

use crate::lint::{Check, Rule};
use crate::plan::NoteKind;

pub(super) static RULE: Rule = Rule {
    name: "UndefinedArgInFrom",
    description: "FROM command must use declared ARGs",
    url: "https://docs.docker.com/go/dockerfile/rule/undefined-arg-in-from/",
    policy: Policy::On,
    severity: Severity::Warning,
    aliases: &[],
    by_comment: true,
    source: include_str!("undefined_arg_in_from.rs"),
    check: Check::Note(check),
};

fn check(note: &NoteKind) -> Option<String> {
    let NoteKind::UndefinedInFrom { name, suggestion } = note else { return None };
    Some(with_suggestion(format!("FROM argument '{name}' is not declared"), suggestion.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message() {
        let note = NoteKind::UndefinedInFrom { name: "VERSOIN".to_owned(), suggestion: Some("VERSION".to_owned()) };
        assert_eq!(check(&note).as_deref(), Some("FROM argument 'VERSOIN' is not declared (did you mean VERSION?)"));
    }
}
