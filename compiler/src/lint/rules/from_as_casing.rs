//! # What it does
//! Finds `AS` in another case than the `FROM` before it.
//!
//! # Why is this bad
//! Two cases in one instruction hide the structure of the file from a reader who looks for keywords.
//!
//! # Example
//! ```dockerfile
//! FROM alpine as base
//! ```
//!
//! # Use instead
//! ```dockerfile
//! FROM alpine AS base
//! ```

use ast::{Policy, Severity, case};

use crate::lint::{Check, Hit, Instruction, Rule, replace};

pub(super) static RULE: Rule = Rule {
    name: "FromAsCasing",
    description: "The 'as' keyword should match the case of the 'from' keyword",
    url: "https://docs.docker.com/go/dockerfile/rule/from-as-casing/",
    policy: Policy::On,
    severity: Severity::Warning,
    aliases: &[],
    by_comment: true,
    source: include_str!("from_as_casing.rs"),
    check: Check::Instruction(check),
};

fn check(instruction: &Instruction<'_>) -> Option<Hit> {
    let keyword = &instruction.stage?.alias.as_ref()?.keyword;
    let from = instruction.step.keyword_text();
    let text = keyword.text.lossy();
    // A `From` of mixed case is another rule's business.
    let wanted = match () {
        () if case::is_upper(&from) => case::upper(&text),
        () if case::is_lower(&from) => case::lower(&text),
        () => return None,
    };
    // parity: to Go, a word with bytes that are not UTF-8 is of neither case.
    if text == wanted && !text.contains(char::REPLACEMENT_CHARACTER) {
        return None;
    }
    let fix = replace("write both keywords alike", keyword.span, wanted.into_owned());
    let message = format!("'{text}' and '{from}' keywords' casing do not match");
    Some(instruction.hit(keyword.span, message).fixed(fix))
}

#[cfg(test)]
mod tests {
    use crate::testing::lint;

    #[test]
    fn keywords_of_different_case() {
        lint("FROM alpine as a\n", &["FromAsCasing 1 @as: 'as' and 'FROM' keywords' casing do not match"]);
        lint("from alpine as a\n", &[]);
        lint(
            "FROM alpine AS a\nfrom a AS b\n",
            &[
                "FromAsCasing 2 @AS: 'AS' and 'from' keywords' casing do not match",
                "ConsistentInstructionCasing 2 @from: Command 'from' should match the case of the command majority (uppercase)",
            ],
        );
    }
}
