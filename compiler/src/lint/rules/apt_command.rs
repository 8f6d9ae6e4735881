//! # What it does
//! Finds `apt` in scripts.
//!
//! # Why is this bad
//! `apt` is made for people: it warns of that itself, and its options and output may change with any release. `apt-get`
//! promises to stay as it is.
//!
//! # Example
//! ```dockerfile
//! RUN apt install -y curl
//! ```
//!
//! # Use instead
//! ```dockerfile
//! RUN apt-get install -y curl
//! ```

use ast::{Edit, Fix, Policy, Severity, Span};

use crate::lint::shell::Simple;
use crate::lint::{Check, Hit, Rule, Run};

pub(super) static RULE: Rule = Rule {
    name: "AptCommand",
    description: "Scripts should call apt-get instead of apt",
    url: "",
    policy: Policy::OnRequest,
    severity: Severity::Warning,
    aliases: &["DL3027"],
    by_comment: true,
    source: include_str!("apt_command.rs"),
    check: Check::Run(check),
};

/// What both do alike.
const ALIKE: [&str; 7] = ["update", "install", "reinstall", "remove", "purge", "autoremove", "clean"];

fn check(run: &Run<'_>) -> Vec<Hit> {
    run.commands.iter().filter_map(|command| hit(run, command)).collect()
}

fn hit(run: &Run<'_>, command: &Simple) -> Option<Hit> {
    let (program, words) = command.program();
    if program != "apt" {
        return None;
    }
    let name = &command.words[command.words.len() - words.len() - 1];
    let mut hit = run.hit(name.span, "apt is for people; scripts use apt-get".to_owned());
    let verb = words.iter().find(|word| !word.text.starts_with('-'));
    let plain = name.span.end - name.span.start == name.text.len() as u32;
    if plain && verb.is_some_and(|verb| ALIKE.contains(&verb.text.as_str())) {
        let end = Span { start: name.span.end, ..name.span };
        let edits = vec![Edit { span: end, text: "-get".to_owned() }];
        hit.fix = Some(Fix { title: "call apt-get".to_owned(), safe: true, edits });
    }
    Some(hit)
}

#[cfg(test)]
mod tests {
    use crate::testing::{fixed_with, lint_with};

    #[test]
    fn apt_by_that_name() {
        let check =
            |text: &str, expected: &[&str]| lint_with(&["AptCommand"], &format!("FROM a\nRUN {text}\n"), expected);
        check("/usr/bin/apt list", &["AptCommand 2 @/usr/bin/apt: apt is for people; scripts use apt-get"]);
        check("apt-get update && echo apt && which apt", &[]);
    }

    #[test]
    fn the_fix_keeps_the_path() {
        fixed_with(
            "AptCommand",
            "FROM a\nRUN sudo /usr/bin/apt -y install b\n",
            "FROM a\nRUN sudo /usr/bin/apt-get -y install b\n",
        );
        fixed_with("AptCommand", "FROM a\nRUN apt list\n", "FROM a\nRUN apt list\n");
    }
}
