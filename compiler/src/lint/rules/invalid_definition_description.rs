//! # What it does
//! Finds comments right above a stage or an argument that do not begin with its name. An experimental rule.
//!
//! # Why is this bad
//! A comment that begins with the name describes it, in `llbc outline` and in the editor. Another comment in that
//! place is probably meant to.
//!
//! # Example
//! ```dockerfile
//! # the base stage
//! FROM alpine AS base
//! ```
//!
//! # Use instead
//! ```dockerfile
//! # base is what all other stages start from
//! FROM alpine AS base
//! ```

use ast::{Op, Policy, Severity};

use crate::lint::{Check, Hit, Instruction, Rule};

pub(super) static RULE: Rule = Rule {
    name: "InvalidDefinitionDescription",
    description: "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.",
    url: "https://docs.docker.com/go/dockerfile/rule/invalid-definition-description/",
    policy: Policy::Experimental,
    severity: Severity::Warning,
    aliases: &[],
    by_comment: true,
    source: include_str!("invalid_definition_description.rs"),
    check: Check::Instruction(check),
};

fn check(instruction: &Instruction<'_>) -> Option<Hit> {
    let comment = instruction.step.comments.last().filter(|_| instruction.parsed)?;
    let (keyword, names) = defined(instruction);
    let first_word = comment.text.split(|b| *b == b' ').next().unwrap_or_default();
    let [first, others @ ..] = names.as_slice() else { return None };
    if names.iter().any(|name| name.as_bytes() == first_word) {
        return None;
    }
    let example = if others.is_empty() { first } else { "<arg_key>" };
    let message = format!("Comment for {keyword} should follow the format: `# {example} <description>`");
    Some(instruction.hit(comment.span, message))
}

/// What the instruction defines, and the keyword for it in messages.
fn defined<'a>(instruction: &Instruction<'a>) -> (&'static str, Vec<&'a str>) {
    if let Some(stage) = instruction.stage {
        return ("FROM", stage.name.iter().map(|name| name.text.as_str()).collect());
    }
    match &instruction.step.op {
        Op::Arg(params) => ("ARG", params.iter().map(|param| param.name.text.as_str()).collect()),
        _ => ("", Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::lint;

    #[test]
    fn only_when_asked_for() {
        lint("# x\nARG a\nFROM alpine\n", &[]);
    }

    #[test]
    fn the_last_comment_counts() {
        let wrong = |line: u32, at: &str, keyword: &str, name: &str| {
            let format = format!("Comment for {keyword} should follow the format: `# {name} <description>`");
            format!("InvalidDefinitionDescription {line} @{at}: {format}")
        };
        let on = "# check=experimental=all\n";
        lint(&format!("{on}# x y\nARG a\nFROM alpine\n"), &[&wrong(3, "# x y", "ARG", "a")]);
        lint(&format!("{on}# x\nARG a b\nFROM alpine\n"), &[&wrong(3, "# x", "ARG", "<arg_key>")]);
        lint(&format!("{on}FROM alpine\n# b x\n# y\nFROM alpine AS b\n"), &[&wrong(5, "# y", "FROM", "b")]);
        lint(&format!("{on}# y\n# b x\nFROM alpine AS b\n"), &[]);
        lint(&format!("{on}# y\n#\nFROM alpine AS b\n"), &[]);
    }
}
