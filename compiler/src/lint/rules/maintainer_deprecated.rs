//! # What it does
//! Finds `MAINTAINER`.
//!
//! # Why is this bad
//! It is deprecated. A label says the same, and tools that read image metadata know it.
//!
//! # Example
//! ```dockerfile
//! MAINTAINER moby@example.com
//! ```
//!
//! # Use instead
//! ```dockerfile
//! LABEL org.opencontainers.image.authors="moby@example.com"
//! ```

use ast::{Edit, Fix, Op, Policy, Severity};

use crate::lint::{Check, Hit, Instruction, Rule};

pub(super) static RULE: Rule = Rule {
    name: "MaintainerDeprecated",
    description: "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    url: "https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/",
    policy: Policy::On,
    severity: Severity::Warning,
    aliases: &["DL4000"],
    by_comment: true,
    source: include_str!("maintainer_deprecated.rs"),
    check: Check::Instruction(check),
};

fn check(instruction: &Instruction<'_>) -> Option<Hit> {
    let step = instruction.step;
    // By the keyword, because one that cannot be parsed is meant all the same.
    let may_be_one = matches!(step.op, Op::Maintainer(_) | Op::Hole);
    if !may_be_one || !step.keyword_bytes().eq_ignore_ascii_case(b"MAINTAINER") {
        return None;
    }
    let message = "Maintainer instruction is deprecated in favor of using label".to_owned();
    let mut hit = instruction.hit(step.keyword, message);
    if let Op::Maintainer(author) = &step.op {
        let quoted = ast::quote(author.raw());
        let edits = vec![Edit { span: step.span, text: format!("LABEL org.opencontainers.image.authors={quoted}") }];
        // Not safe: the author leaves the image's `author` field.
        hit.fix = Some(Fix { title: "use a label".to_owned(), safe: false, edits });
    }
    Some(hit)
}

#[cfg(test)]
mod tests {
    use crate::testing::lint;

    #[test]
    fn the_instruction_itself() {
        let message = "Maintainer instruction is deprecated in favor of using label";
        lint("FROM alpine\nMAINTAINER a\n", &[&format!("MaintainerDeprecated 2 @MAINTAINER: {message}")]);
    }
}
