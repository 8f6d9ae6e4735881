//! # What it does
//! Finds `sudo`.
//!
//! # Why is this bad
//! A build step is root unless `USER` says otherwise, so `sudo` does nothing there; and an image that holds it lets its
//! user be root.
//!
//! # Example
//! ```dockerfile
//! USER app
//! RUN sudo apt-get update
//! ```
//!
//! # Use instead
//! ```dockerfile
//! USER root
//! RUN apt-get update
//! USER app
//! ```

use ast::{Policy, Severity};

use crate::lint::{Check, Hit, Rule, Run};

pub(super) static RULE: Rule = Rule {
    name: "SudoInRun",
    description: "USER should be used to become root, and not sudo",
    url: "",
    policy: Policy::OnRequest,
    severity: Severity::Warning,
    aliases: &["DL3004"],
    by_comment: true,
    source: include_str!("sudo_in_run.rs"),
    check: Check::Run(check),
};

fn check(run: &Run<'_>) -> Vec<Hit> {
    let calls = run.commands.iter().filter(|command| command.words[0].text == "sudo");
    calls.map(|command| run.hit(command.words[0].span, "USER root does what sudo is for".to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use crate::testing::lint_with;

    #[test]
    fn sudo_as_the_command() {
        let check =
            |text: &str, expected: &[&str]| lint_with(&["SudoInRun"], &format!("FROM a\nRUN {text}\n"), expected);
        check("true && sudo -E b", &["SudoInRun 2 @sudo: USER root does what sudo is for"]);
        check("apk add sudo", &[]);
    }
}
