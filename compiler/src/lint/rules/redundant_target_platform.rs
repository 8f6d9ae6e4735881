//! # What it does
//! Finds `--platform=$TARGETPLATFORM`.
//!
//! # Why is this bad
//! A stage is built for the target platform anyway.
//!
//! # Example
//! ```dockerfile
//! FROM --platform=$TARGETPLATFORM alpine
//! ```
//!
//! # Use instead
//! ```dockerfile
//! FROM alpine
//! ```

use ast::{Policy, Severity};

use crate::lint::{Check, Rule};
use crate::plan::NoteKind;

pub(super) static RULE: Rule = Rule {
    name: "RedundantTargetPlatform",
    description: "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
    url: "https://docs.docker.com/go/dockerfile/rule/redundant-target-platform/",
    policy: Policy::On,
    severity: Severity::Warning,
    aliases: &["DL3065"],
    by_comment: true,
    source: include_str!("redundant_target_platform.rs"),
    check: Check::Note(check),
};

fn check(note: &NoteKind) -> Option<String> {
    let NoteKind::RedundantPlatform { written } = note else { return None };
    Some(format!("Setting platform to predefined {written} in FROM is redundant as this is the default behavior"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message() {
        let note = NoteKind::RedundantPlatform { written: "$TARGETPLATFORM".to_owned() };
        assert_eq!(
            check(&note).as_deref(),
            Some("Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior")
        );
    }
}
