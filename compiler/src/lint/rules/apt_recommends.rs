//! # What it does
//! Finds `apt-get install` without `--no-install-recommends`.
//!
//! # Why is this bad
//! Packages that are merely recommended come along: the image is larger, and there is more in it to attack.
//!
//! # Example
//! ```dockerfile
//! RUN apt-get install -y python3
//! ```
//!
//! # Use instead
//! ```dockerfile
//! RUN apt-get install -y --no-install-recommends python3
//! ```

use ast::{Policy, Severity};

use crate::lint::{Check, Hit, Rule, Run, insert, packages};

pub(super) static RULE: Rule = Rule {
    name: "AptRecommends",
    description: "apt-get should install what is named and not what is recommended",
    url: "",
    policy: Policy::OnRequest,
    severity: Severity::Info,
    aliases: &["DL3015"],
    by_comment: true,
    source: include_str!("apt_recommends.rs"),
    check: Check::Run(check),
};

const FLAG: &str = "--no-install-recommends";

fn check(run: &Run<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for install in run.commands.iter().filter_map(packages::install).filter(|install| install.is("apt-get")) {
        let configured = install.words.iter().any(|word| word.text.contains("Install-Recommends"));
        if configured || install.has_flag(&[FLAG]) || install.packages().next().is_none() {
            continue;
        }
        let message = format!("{} also installs what packages recommend", install.program);
        let mut fix = insert(&format!("add {FLAG}"), install.verb.span, format!(" {FLAG}"));
        // Not safe: something may need what is recommended.
        fix.safe = false;
        hits.push(run.hit(install.verb.span, message).fixed(fix));
    }
    hits
}

#[cfg(test)]
mod tests {
    use crate::testing::lint_with;

    #[test]
    fn recommended_packages() {
        let check =
            |text: &str, expected: &[&str]| lint_with(&["AptRecommends"], &format!("FROM a\nRUN {text}\n"), expected);
        check("apt-get install -y b", &["AptRecommends 2 @install: apt-get also installs what packages recommend"]);
        check(
            "apt-get install --no-install-recommends b; apt-get -o APT::Install-Recommends=0 install c; apk add d",
            &[],
        );
    }
}
