//! # What it does
//! Finds `FROM` whose base is no valid image name when every argument has its default.
//!
//! # Why is this bad
//! The file then only builds with the right `--build-arg`.
//!
//! # Example
//! ```dockerfile
//! ARG TAG
//! FROM busybox:${TAG}
//! ```
//!
//! # Use instead
//! ```dockerfile
//! ARG TAG=latest
//! FROM busybox:${TAG}
//! ```

use ast::{Policy, Severity};

use crate::lint::{Check, Rule};
use crate::plan::NoteKind;

pub(super) static RULE: Rule = Rule {
    name: "InvalidDefaultArgInFrom",
    description: "Default value for global ARG results in an empty or invalid base image name",
    url: "https://docs.docker.com/go/dockerfile/rule/invalid-default-arg-in-from/",
    policy: Policy::On,
    severity: Severity::Warning,
    aliases: &[],
    by_comment: false,
    source: include_str!("invalid_default_arg_in_from.rs"),
    check: Check::Note(check),
};

fn check(note: &NoteKind) -> Option<String> {
    let NoteKind::InvalidDefaultBase { base } = note else { return None };
    Some(format!("Default value for ARG {base} results in empty or invalid base image name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message() {
        let note = NoteKind::InvalidDefaultBase { base: "a:$T".to_owned() };
        assert_eq!(
            check(&note).as_deref(),
            Some("Default value for ARG a:$T results in empty or invalid base image name")
        );
    }
}
