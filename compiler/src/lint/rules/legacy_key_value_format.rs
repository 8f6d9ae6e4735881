//! # What it does
//! Finds `ENV key value` and `LABEL key value`.
//!
//! # Why is this bad
//! The form without `=` takes one pair only and everything to the end of the line as its value.
//!
//! # Example
//! ```dockerfile
//! ENV DIR /usr/src
//! ```
//!
//! # Use instead
//! ```dockerfile
//! ENV DIR="/usr/src"
//! ```

use ast::{Policy, Severity};

use crate::lint::{Check, Rule};
use crate::plan::NoteKind;

pub(super) static RULE: Rule = Rule {
    name: "LegacyKeyValueFormat",
    description: "Legacy key/value format with whitespace separator should not be used",
    url: "https://docs.docker.com/go/dockerfile/rule/legacy-key-value-format/",
    policy: Policy::On,
    severity: Severity::Warning,
    aliases: &[],
    by_comment: true,
    source: include_str!("legacy_key_value_format.rs"),
    check: Check::Note(check),
};

fn check(note: &NoteKind) -> Option<String> {
    let NoteKind::LegacyPair { keyword } = note else { return None };
    Some(format!("\"{keyword} key=value\" should be used instead of legacy \"{keyword} key value\" format"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message() {
        let note = NoteKind::LegacyPair { keyword: "ENV".to_owned() };
        assert_eq!(
            check(&note).as_deref(),
            Some("\"ENV key=value\" should be used instead of legacy \"ENV key value\" format")
        );
    }
}
