//! # What it does
//! Finds stages named `context` or `scratch`.
//!
//! # Why is this bad
//! Both names mean something else already: the build context and the empty image.
//!
//! # Example
//! ```dockerfile
//! FROM alpine AS scratch
//! ```
//!
//! # Use instead
//! ```dockerfile
//! FROM alpine AS builder
//! ```

use ast::{Policy, Severity};

use crate::lint::{Check, Hit, Rule, Stage};

pub(super) static RULE: Rule = Rule {
    name: "ReservedStageName",
    description: "Reserved words should not be used as stage names",
    url: "https://docs.docker.com/go/dockerfile/rule/reserved-stage-name/",
    policy: Policy::On,
    severity: Severity::Warning,
    aliases: &["DL3063"],
    by_comment: false,
    source: include_str!("reserved_stage_name.rs"),
    check: Check::Stage(check),
};

fn check(stage: &Stage<'_>) -> Option<Hit> {
    let name = stage.def.name.as_ref()?;
    if !matches!(name.text.as_str(), "context" | "scratch") {
        return None;
    }
    let quoted = ast::quote(name.text.as_bytes());
    Some(stage.hit(name.span, format!("Stage name should not use the same name as reserved stage {quoted}")))
}

#[cfg(test)]
mod tests {
    use crate::testing::lint;

    #[test]
    fn names_that_mean_something_else() {
        let reserved =
            "ReservedStageName 1 @context: Stage name should not use the same name as reserved stage \"context\"";
        lint("FROM alpine AS context\n", &[reserved]);
        lint("FROM alpine AS scratchy\n", &[]);
    }
}
