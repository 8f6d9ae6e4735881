//! # What it does
//! Finds blank lines between the continued lines of an instruction.
//!
//! # Why is this bad
//! They look like the end of the instruction, which they are not. Docker means to refuse them one day.
//!
//! # Example
//! ```dockerfile
//! RUN apk add \
//!
//!     curl
//! ```
//!
//! # Use instead
//! ```dockerfile
//! RUN apk add \
//!     curl
//! ```

use ast::{Blank, Edit, Fix, Policy, Severity};

use crate::lint::{Check, Hit, Rule};

pub(super) static RULE: Rule = Rule {
    name: "NoEmptyContinuation",
    description: "Empty continuation lines will become errors in a future release",
    url: "https://docs.docker.com/go/dockerfile/rule/no-empty-continuation/",
    policy: Policy::On,
    severity: Severity::Warning,
    aliases: &[],
    by_comment: false,
    source: include_str!("no_empty_continuation.rs"),
    check: Check::Blank(check),
};

fn check(blank: &Blank) -> Hit {
    let edits = vec![Edit { span: blank.first, text: String::new() }];
    let fix = Fix { title: "remove the blank line".to_owned(), safe: true, edits };
    Hit { at: blank.first, whole: blank.last, message: "Empty continuation line".to_owned(), fix: Some(fix) }
}

#[cfg(test)]
mod tests {
    use crate::testing::lint;

    #[test]
    fn a_blank_line_inside_an_instruction() {
        lint("FROM alpine\nRUN a \\\n\n # c\n  b\nRUN c\n", &["NoEmptyContinuation 5 @\n: Empty continuation line"]);
        lint("FROM alpine\nRUN a \\\n # c\n  b\n", &[]);
    }
}
