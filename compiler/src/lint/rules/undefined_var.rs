//! # What it does
//! Finds variables that are set nowhere before they are used: by no `ARG`, no `ENV`, and not by the base image.
//!
//! # Why is this bad
//! They are empty, which is hardly ever what is meant.
//!
//! Commands that a shell runs are not looked at: there the variable may be the shell's.
//!
//! # Example
//! ```dockerfile
//! FROM alpine
//! ARG foo
//! COPY $fooo .
//! ```
//!
//! # Use instead
//! ```dockerfile
//! FROM alpine
//! ARG foo
//! COPY $foo .
//! ```

use ast::{Policy, Severity};

use crate::lint::{Check, Rule};
use crate::plan::NoteKind;

pub(super) static RULE: Rule = Rule {
    name: "UndefinedVar",
    description: "Variables should be defined before their use",
    url: "https://docs.docker.com/go/dockerfile/rule/undefined-var/",
    policy: Policy::On,
    severity: Severity::Warning,
    aliases: &[],
    by_comment: true,
    source: include_str!("undefined_var.rs"),
    check: Check::Note(check),
};

fn check(note: &NoteKind) -> Option<String> {
    let NoteKind::UndefinedVariable { name, suggestion } = note else { return None };
    Some(match suggestion {
        Some(suggestion) => format!("Usage of undefined variable '${name}' (did you mean ${suggestion}?)"),
        None => format!("Usage of undefined variable '${name}'"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message() {
        let note = NoteKind::UndefinedVariable { name: "PAHT".to_owned(), suggestion: Some("PATH".to_owned()) };
        assert_eq!(check(&note).as_deref(), Some("Usage of undefined variable '$PAHT' (did you mean $PATH?)"));
    }
}
