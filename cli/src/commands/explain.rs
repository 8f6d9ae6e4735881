//! `llbc explain`: what a rule means; without a name, the list of rules.

use std::fmt::Write as _;

use ast::Policy;
use compiler::lint::{RULES, Rule};

use super::check::unknown_rule;
use crate::args::Explain;
use crate::failure::Result;
use crate::printer;

pub(super) fn run(args: &Explain) -> Result<()> {
    let Some(name) = &args.rule else { return printer::data(list().as_bytes()) };
    let found = Rule::search(name);
    if found.is_empty() {
        return Err(unknown_rule(name));
    }
    let texts: Vec<String> = found.into_iter().map(explanation).collect();
    printer::data(texts.join("\n").as_bytes())
}

fn explanation(rule: &Rule) -> String {
    let mut text = format!("{}: {}\n\n{}\n\n{}\n", rule.name, rule.description, rule.explanation(), when(rule));
    if !rule.aliases.is_empty() {
        writeln!(text, "hadolint knows it as {}.", rule.aliases.join(", ")).expect("writing to a string does not fail");
    }
    if !rule.url.is_empty() {
        write!(text, "\n{}\n", rule.url).expect("writing to a string does not fail");
    }
    text
}

/// When a rule runs, and what to write for the other.
fn when(rule: &Rule) -> String {
    let name = rule.name;
    match rule.policy {
        Policy::On => {
            format!("It is on. `# check=skip={name}` at the top of the file, or above an instruction, turns it off.")
        }
        Policy::Experimental => {
            format!("It is experimental: `# check=experimental={name}` at the top of the file turns it on.")
        }
        Policy::OnRequest => format!(
            "It is off, for BuildKit does not have it. `llbc check --rules {name}`, or `# check=experimental={name}` at the \
             top of the file, turns it on; `# check=skip={name}` turns it off again."
        ),
    }
}

fn list() -> String {
    let width = RULES.iter().map(|rule| rule.name.len()).max().unwrap_or(0);
    RULES.iter().fold(String::new(), |mut text, rule| {
        let when = match rule.policy {
            Policy::On => "",
            Policy::Experimental => " (experimental)",
            Policy::OnRequest => " (on request)",
        };
        writeln!(text, "{:width$}  {}{when}", rule.name, rule.description).expect("writing to a string does not fail");
        text
    })
}
