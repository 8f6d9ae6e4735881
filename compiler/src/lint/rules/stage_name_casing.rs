//! # What it does
//! Finds names of stages that are not written in lower case.
//!
//! # Why is this bad
//! Stages are looked up in lower case. A name written otherwise reads as if case mattered, and in `FROM` only the
//! lower-case form finds it.
//!
//! # Example
//! ```dockerfile
//! FROM alpine AS BuildBase
//! ```
//!
//! # Use instead
//! ```dockerfile
//! FROM alpine AS build-base
//! ```

use ast::{Policy, Severity};

use crate::lint::{Check, Hit, Instruction, Rule, replace};

pub(super) static RULE: Rule = Rule {
    name: "StageNameCasing",
    description: "Stage names should be lowercase",
    url: "https://docs.docker.com/go/dockerfile/rule/stage-name-casing/",
    policy: Policy::On,
    severity: Severity::Warning,
    aliases: &[],
    by_comment: true,
    source: include_str!("stage_name_casing.rs"),
    check: Check::Instruction(check),
};

fn check(instruction: &Instruction<'_>) -> Option<Hit> {
    let name = instruction.stage?.alias.as_ref()?.name.as_ref()?;
    let text = name.text.lossy();
    let lower = ast::case::lower(&text);
    // parity: to Go, a name with bytes that are not UTF-8 is never its own lower case.
    if text == lower && !text.contains(char::REPLACEMENT_CHARACTER) {
        return None;
    }
    // Safe: the stage is known by its lower-case name already.
    let fix = replace("write the name in lower case", name.span, lower.into_owned());
    Some(instruction.hit(name.span, format!("Stage name '{text}' should be lowercase")).fixed(fix))
}

#[cfg(test)]
mod tests {
    use crate::testing::lint;

    #[test]
    fn names_in_upper_case() {
        lint("FROM alpine AS Base\n", &["StageNameCasing 1 @Base: Stage name 'Base' should be lowercase"]);
        lint("FROM alpine AS base-1\nFROM base-1\n", &[]);
    }
}
