//! # What it does
//! Finds stages that have the name of an earlier stage.
//!
//! # Why is this bad
//! Only the later of them can be copied from or built on.
//!
//! # Example
//! ```dockerfile
//! FROM debian AS base
//! FROM alpine AS base
//! ```
//!
//! # Use instead
//! ```dockerfile
//! FROM debian AS debian-base
//! FROM alpine AS alpine-base
//! ```

use ast::{Policy, Severity};

use crate::lint::{Check, Hit, Rule, Stage};

pub(super) static RULE: Rule = Rule {
    name: "DuplicateStageName",
    description: "Stage names should be unique",
    url: "https://docs.docker.com/go/dockerfile/rule/duplicate-stage-name/",
    policy: Policy::On,
    severity: Severity::Warning,
    aliases: &["DL3024"],
    by_comment: false,
    source: include_str!("duplicate_stage_name.rs"),
    check: Check::Stage(check),
};

fn check(stage: &Stage<'_>) -> Option<Hit> {
    let name = stage.def.name.as_ref()?;
    if !stage.comes_after(&name.text) {
        return None;
    }
    let quoted = ast::quote(name.text.as_bytes());
    Some(stage.hit(name.span, format!("Duplicate stage name {quoted}, stage names should be unique")))
}

#[cfg(test)]
mod tests {
    use crate::testing::lint;

    #[test]
    fn a_name_given_twice() {
        let twice = "DuplicateStageName 2 @a: Duplicate stage name \"a\", stage names should be unique";
        lint("FROM alpine AS a\nFROM busybox AS a\n", &[twice]);
        lint("FROM alpine AS a\nFROM busybox AS b\n", &[]);
    }
}
