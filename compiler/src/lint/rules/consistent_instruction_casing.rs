//! # What it does
//! Finds keywords in another case than most keywords of the file.
//!
//! # Why is this bad
//! A reader scans for keywords; one in another case is overlooked.
//!
//! # Example
//! ```dockerfile
//! FROM alpine
//! run apk add curl
//! CMD ["sh"]
//! ```
//!
//! # Use instead
//! ```dockerfile
//! FROM alpine
//! RUN apk add curl
//! CMD ["sh"]
//! ```

use ast::{Module, Op, Policy, Severity, Step, case, visit};

use crate::lint::{Check, Hit, Rule, replace};

pub(super) static RULE: Rule = Rule {
    name: "ConsistentInstructionCasing",
    description: "All commands within the Dockerfile should use the same casing (either upper or lower)",
    url: "https://docs.docker.com/go/dockerfile/rule/consistent-instruction-casing/",
    policy: Policy::On,
    severity: Severity::Warning,
    aliases: &[],
    by_comment: false,
    source: include_str!("consistent_instruction_casing.rs"),
    check: Check::Module(check),
};

fn check(module: &Module) -> Vec<Hit> {
    let (mut lower, mut upper) = (0, 0);
    for step in steps(module) {
        let name = step.keyword_text();
        // A keyword without letters of either case would count as lower; none has none.
        if case::is_lower(&name) {
            lower += 1;
        } else if case::is_upper(&name) {
            upper += 1;
        }
    }
    steps(module).filter_map(|step| violation(step, lower > upper)).collect()
}

fn violation(step: &Step, majority_is_lower: bool) -> Option<Hit> {
    let name = step.keyword_text();
    let (wanted, name_of_case) =
        if majority_is_lower { (case::lower(&name), "lowercase") } else { (case::upper(&name), "uppercase") };
    if name == wanted {
        return None;
    }
    let message = format!("Command '{name}' should match the case of the command majority ({name_of_case})");
    let fix = replace("write the keyword like the others", step.keyword, wanted.into_owned());
    Some(Hit { at: step.keyword, whole: step.span, message, fix: Some(fix) })
}

/// The steps of stages; what stands before the first does not count.
fn steps(module: &Module) -> impl Iterator<Item = &Step> {
    // Names of functions are not keywords.
    let is_keyword = |step: &&Step| !matches!(step.op, Op::Call(_) | Op::Value(_));
    module.defs.iter().flat_map(visit::def_steps).filter(is_keyword)
}

#[cfg(test)]
mod tests {
    use crate::testing::lint;

    #[test]
    fn the_majority_decides_and_a_tie_is_upper_case() {
        let wrong = |line, name, case| {
            format!(
                "ConsistentInstructionCasing {line} @{name}: Command '{name}' should match the case of the command majority ({case})"
            )
        };
        lint("arg a\nFROM alpine\nrun b\n", &[&wrong(3, "run", "uppercase")]);
        lint("from alpine\nrun a\nRun b\n", &[&wrong(3, "Run", "lowercase")]);
        lint("from alpine\nrun a\n", &[]);
    }
}
