//! # What it does
//! Finds `CMD` and `ENTRYPOINT` in shell form.
//!
//! # Why is this bad
//! The shell then is the first process of the container. It does not pass signals on, so the program inside is killed
//! after a timeout instead of ending by itself.
//!
//! A stage with its own `SHELL` is left alone: there the shell is a choice.
//!
//! # Example
//! ```dockerfile
//! ENTRYPOINT my-program start
//! ```
//!
//! # Use instead
//! ```dockerfile
//! ENTRYPOINT ["my-program", "start"]
//! ```

use ast::{Policy, Severity};

use crate::lint::{Check, Rule};
use crate::plan::NoteKind;

pub(super) static RULE: Rule = Rule {
    name: "JSONArgsRecommended",
    description: "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
    url: "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/",
    policy: Policy::On,
    severity: Severity::Warning,
    aliases: &["DL3025"],
    by_comment: true,
    source: include_str!("json_args_recommended.rs"),
    check: Check::Note(check),
};

fn check(note: &NoteKind) -> Option<String> {
    let NoteKind::ShellForm { keyword } = note else { return None };
    Some(format!("JSON arguments recommended for {keyword} to prevent unintended behavior related to OS signals"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message() {
        let note = NoteKind::ShellForm { keyword: "CMD".to_owned() };
        assert_eq!(
            check(&note).as_deref(),
            Some("JSON arguments recommended for CMD to prevent unintended behavior related to OS signals")
        );
    }
}
