//! # What it does
//! Finds base images without a tag, and those of the tag `latest`.
//!
//! # Why is this bad
//! `latest` is another image tomorrow: the same file gives another result, and nobody sees why.
//!
//! A name with a variable in it is left alone, and so is one with a digest.
//!
//! # Example
//! ```dockerfile
//! FROM alpine
//! ```
//!
//! # Use instead
//! ```dockerfile
//! FROM alpine:3.20
//! ```

use ast::{Op, Policy, Severity};

use crate::lint::{Check, Hit, Rule, Stage};

pub(super) static RULE: Rule = Rule {
    name: "UnpinnedBaseImage",
    description: "Base images should be named with a tag, and not with latest",
    url: "",
    policy: Policy::OnRequest,
    severity: Severity::Warning,
    aliases: &["DL3006", "DL3007"],
    by_comment: true,
    source: include_str!("unpinned_base_image.rs"),
    check: Check::Stage(check),
};

fn check(stage: &Stage<'_>) -> Option<Hit> {
    let Op::From(base) = &stage.from.op else { return None };
    let name = base.raw().lossy();
    let is_stage = stage.comes_after(&name.to_lowercase());
    if is_stage || name == "scratch" || name.is_empty() || name.contains(['$', '@']) {
        return None;
    }
    let last = name.rsplit('/').next().unwrap_or_default();
    let message = match last.split_once(':') {
        None => format!("base image {name} has no tag, so it is whatever latest is"),
        Some((_, "latest")) => format!("base image {name} is another one tomorrow"),
        Some(_) => return None,
    };
    Some(stage.hit(base.span, message))
}

#[cfg(test)]
mod tests {
    use crate::testing::lint_with;

    #[test]
    fn no_tag_or_latest() {
        let check = |text: &str, expected: &[&str]| lint_with(&["UnpinnedBaseImage"], text, expected);
        check(
            "FROM alpine\n",
            &["UnpinnedBaseImage 1 @alpine: base image alpine has no tag, so it is whatever latest is"],
        );
        check(
            "FROM h:5000/a:latest AS b\n",
            &["UnpinnedBaseImage 1 @h:5000/a:latest: base image h:5000/a:latest is another one tomorrow"],
        );
        check("FROM a:1 AS b\nFROM B\nFROM scratch\nFROM a@sha256:00\nFROM a:$V\n", &[]);
    }
}
