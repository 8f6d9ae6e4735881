//! # What it does
//! Finds a `RUN` that first changes its directory.
//!
//! # Why is this bad
//! The next instruction starts from the working directory again, which readers forget. `WORKDIR` says it for all that
//! follows, and makes the directory.
//!
//! A `cd` further on, or in a subshell, is left alone.
//!
//! # Example
//! ```dockerfile
//! RUN cd /src && make
//! ```
//!
//! # Use instead
//! ```dockerfile
//! WORKDIR /src
//! RUN make
//! ```

use ast::{Policy, Severity};

use crate::lint::{Check, Hit, Rule, Run};

pub(super) static RULE: Rule = Rule {
    name: "CdInRun",
    description: "WORKDIR should be used to change the directory of a whole RUN",
    url: "",
    policy: Policy::OnRequest,
    severity: Severity::Info,
    aliases: &["DL3003"],
    by_comment: true,
    source: include_str!("cd_in_run.rs"),
    check: Check::Run(check),
};

fn check(run: &Run<'_>) -> Vec<Hit> {
    let set = |name: &&str| *name == "set";
    let first = run.commands.iter().find(|command| !set(&command.words[0].text.as_str()));
    let cd = first.filter(|command| command.words[0].text == "cd" && command.words.len() == 2);
    let hit = cd.map(|command| {
        let directory = &command.words[1].text;
        run.hit(command.span(), format!("cd holds for this instruction only; WORKDIR {directory} holds from here on"))
    });
    hit.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use crate::testing::lint_with;

    #[test]
    fn cd_before_everything_else() {
        let check = |text: &str, expected: &[&str]| lint_with(&["CdInRun"], &format!("FROM a\nRUN {text}\n"), expected);
        check(
            "set -e; cd /src && make",
            &["CdInRun 2 @cd /src: cd holds for this instruction only; WORKDIR /src holds from here on"],
        );
        check("make && cd x && make", &[]);
    }
}
