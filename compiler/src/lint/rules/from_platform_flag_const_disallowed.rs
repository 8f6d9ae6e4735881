//! # What it does
//! Finds `FROM --platform` with a fixed platform.
//!
//! # Why is this bad
//! The stage is then the same for every target, so the file builds for one platform only. A stage whose name has the
//! platform in it is left alone: there it is meant.
//!
//! # Example
//! ```dockerfile
//! FROM --platform=linux/amd64 alpine AS base
//! ```
//!
//! # Use instead
//! ```dockerfile
//! FROM --platform=$BUILDPLATFORM alpine AS base
//! ```

use ast::{Policy, Severity};

use crate::lint::{Check, Rule};
use crate::plan::NoteKind;

pub(super) static RULE: Rule = Rule {
    name: "FromPlatformFlagConstDisallowed",
    description: "FROM --platform flag should not use a constant value",
    url: "https://docs.docker.com/go/dockerfile/rule/from-platform-flag-const-disallowed/",
    policy: Policy::On,
    severity: Severity::Warning,
    aliases: &["DL3029"],
    by_comment: true,
    source: include_str!("from_platform_flag_const_disallowed.rs"),
    check: Check::Note(check),
};

fn check(note: &NoteKind) -> Option<String> {
    let NoteKind::ConstantPlatform { value } = note else { return None };
    Some(format!("FROM --platform flag should not use constant value {}", ast::quote(value.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message() {
        let note = NoteKind::ConstantPlatform { value: "linux/amd64".to_owned() };
        assert_eq!(check(&note).as_deref(), Some("FROM --platform flag should not use constant value \"linux/amd64\""));
    }
}
