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
    let (mut lower, mut upper, mut all) = (0, 0, 0);
    steps(module).for_each(|step| {
        all += 1;
        // A keyword without letters of either case would count as lower; none has none.
        match cases(step) {
            (true, _) => lower += 1,
            (_, true) => upper += 1,
            _ => {}
        }
    });
    let majority_is_lower = lower > upper;
    if all == lower.max(upper) {
        return Vec::new();
    }
    let is_wrong = |step: &&Step| {
        let (is_lower, is_upper) = cases(step);
        if majority_is_lower { !is_lower } else { !is_upper }
    };
    steps(module).filter(is_wrong).map(|step| violation(step, majority_is_lower)).collect()
}

/// Whether the keyword is in lower case, and whether it is in upper case. Most are ASCII: then nothing is decoded.
fn cases(step: &Step) -> (bool, bool) {
    let (mut is_lower, mut is_upper) = (true, true);
    for &byte in &step.text[..] {
        if ast::ends_keyword(byte) {
            break;
        }
        if !byte.is_ascii() {
            let name = step.keyword_text();
            return (case::is_lower(&name), case::is_upper(&name));
        }
        is_lower &= !byte.is_ascii_uppercase();
        is_upper &= !byte.is_ascii_lowercase();
    }
    (is_lower, is_upper)
}

fn violation(step: &Step, majority_is_lower: bool) -> Hit {
    let name = step.keyword_text();
    let (wanted, name_of_case) =
        if majority_is_lower { (case::lower(&name), "lowercase") } else { (case::upper(&name), "uppercase") };
    let message = format!("Command '{name}' should match the case of the command majority ({name_of_case})");
    let fix = replace("write the keyword like the others", step.keyword, wanted.into_owned());
    Hit { at: step.keyword, whole: step.span, message, fix: Some(fix) }
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
