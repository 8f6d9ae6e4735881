//! # What it does
//! Finds package managers that would ask before they install.
//!
//! # Why is this bad
//! Nobody is there to answer: the build stops, or waits.
//!
//! # Example
//! ```dockerfile
//! RUN apt-get install curl
//! ```
//!
//! # Use instead
//! ```dockerfile
//! RUN apt-get install -y curl
//! ```

use ast::{Policy, Severity};

use crate::lint::{Check, Hit, Rule, Run, insert, packages};

pub(super) static RULE: Rule = Rule {
    name: "InstallPrompts",
    description: "Package managers should be told not to ask",
    url: "",
    policy: Policy::OnRequest,
    severity: Severity::Warning,
    aliases: &["DL3014", "DL3030", "DL3034", "DL3038"],
    by_comment: true,
    source: include_str!("install_prompts.rs"),
    check: Check::Run(check),
};

fn check(run: &Run<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for command in run.commands.iter().filter(|command| !command.fed) {
        let Some(install) = packages::install(command).filter(packages::Install::asks) else { continue };
        if install.words.iter().any(|word| word.text.contains("Assume-Yes")) {
            continue;
        }
        let message = format!("{} {} asks before it installs", install.program, install.verb.text);
        let fix = insert("answer with -y", install.verb.span, " -y".to_owned());
        hits.push(run.hit(install.verb.span, message).fixed(fix));
    }
    hits
}

#[cfg(test)]
mod tests {
    use crate::testing::{fixed_with, lint_with};

    #[test]
    fn nobody_answers() {
        let check =
            |text: &str, expected: &[&str]| lint_with(&["InstallPrompts"], &format!("FROM a\nRUN {text}\n"), expected);
        check("apt-get install curl", &["InstallPrompts 2 @install: apt-get install asks before it installs"]);
        check("apt-get install -qqy curl && yes | apt install x && apk add y && dnf -y install z", &[]);
    }

    #[test]
    fn the_fix_answers() {
        fixed_with("InstallPrompts", "FROM a\nRUN yum install \\\n  b\n", "FROM a\nRUN yum install -y \\\n  b\n");
    }
}
