//! # What it does
//! Finds images that are made to run as root: the last `USER` of the last stage is `root` or `0`.
//!
//! # Why is this bad
//! Whoever breaks out of the process has all rights in the container, and one step less to go to the host.
//!
//! # Example
//! ```dockerfile
//! FROM alpine
//! USER root
//! RUN apk add --no-cache curl
//! ```
//!
//! # Use instead
//! ```dockerfile
//! FROM alpine
//! USER root
//! RUN apk add --no-cache curl
//! USER app
//! ```

use ast::{Module, Op, Policy, Severity, visit};

use crate::lint::{Check, Hit, Rule};

pub(super) static RULE: Rule = Rule {
    name: "RootUser",
    description: "The last user of an image should not be root",
    url: "",
    policy: Policy::OnRequest,
    severity: Severity::Warning,
    aliases: &["DL3002"],
    by_comment: true,
    source: include_str!("root_user.rs"),
    check: Check::Module(check),
};

fn check(module: &Module) -> Vec<Hit> {
    let steps = module.defs.last().map(visit::def_steps).unwrap_or_default();
    let last =
        steps.iter().rev().find_map(|step| if let Op::User(user) = &step.op { Some((step, user)) } else { None });
    let root = last.filter(|(_, user)| {
        let name = user.raw().lossy();
        matches!(name.split(':').next(), Some("root" | "0"))
    });
    let hit = root.map(|(step, user)| Hit {
        at: user.span,
        whole: step.span,
        message: "the image runs as root".to_owned(),
        fix: None,
    });
    hit.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use crate::testing::lint_with;

    #[test]
    fn the_last_user_of_the_last_stage() {
        let check = |text: &str, expected: &[&str]| lint_with(&["RootUser"], text, expected);
        check("FROM a\nUSER app\nUSER 0:0\n", &["RootUser 3 @0:0: the image runs as root"]);
        check("FROM a\nUSER root\nUSER app\n", &[]);
        check("FROM a AS b\nUSER root\nFROM c\n", &[]);
    }
}
