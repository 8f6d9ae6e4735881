//! `llbc explain`: what a rule means; without a name, the list of rules.

use std::fmt::Write as _;

use compiler::lint::{RULES, Rule};

use crate::args::Explain;
use crate::failure::{Failure, Result};
use crate::printer;

pub(super) fn run(args: &Explain) -> Result<()> {
    let Some(name) = &args.rule else { return printer::data(list().as_bytes()) };
    let found = Rule::find(name).or_else(|| RULES.iter().copied().find(|rule| rule.name.eq_ignore_ascii_case(name)));
    let Some(rule) = found else {
        return Err(Failure::usage(format!("there is no rule {name}"), "`llbc explain` lists them".to_owned()));
    };
    let mut text = format!("{}: {}\n\n{}\n", rule.name, rule.description, rule.explanation());
    if !rule.url.is_empty() {
        write!(text, "\n{}\n", rule.url).expect("writing to a string does not fail");
    }
    printer::data(text.as_bytes())
}

fn list() -> String {
    let width = RULES.iter().map(|rule| rule.name.len()).max().unwrap_or(0);
    RULES.iter().fold(String::new(), |mut text, rule| {
        let experimental = if rule.experimental { " (experimental)" } else { "" };
        writeln!(text, "{:width$}  {}{experimental}", rule.name, rule.description)
            .expect("writing to a string does not fail");
        text
    })
}
