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

use ast::{Edit, Fix, Op, Policy, Severity, Step};

use crate::lint::{Check, Rule, is_as_written};
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
    check: Check::Mendable(check, mend),
};

fn check(note: &NoteKind) -> Option<String> {
    let NoteKind::ShellForm { keyword } = note else { return None };
    Some(format!("JSON arguments recommended for {keyword} to prevent unintended behavior related to OS signals"))
}

/// Commands of shells that are no programs, or not the same ones.
const BUILTINS: &[&str] = &[
    ".", ":", "alias", "bg", "break", "case", "cd", "command", "continue", "eval", "exec", "exit", "export", "fg",
    "for", "getopts", "hash", "if", "jobs", "local", "read", "readonly", "return", "set", "shift", "source", "times",
    "trap", "type", "ulimit", "umask", "unalias", "unset", "until", "wait", "while",
];

/// Writes the words of a command that means nothing to a shell. Not safe: the image is another one, that is the point.
fn mend(step: &Step) -> Option<Fix> {
    let (Op::Cmd(command) | Op::Entrypoint(command)) = &step.op else { return None };
    let ([line], true, true) = (&command.args[..], command.shell, is_as_written(step)) else { return None };
    let line = std::str::from_utf8(line).ok()?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+,- ".contains(c);
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    if BUILTINS.contains(words.first()?) || !line.chars().all(is_plain) {
        return None;
    }
    let words: Vec<String> = words.into_iter().map(|word| format!("\"{word}\"")).collect();
    let edits = vec![Edit { span: command.span, text: format!("[{}]", words.join(", ")) }];
    Some(Fix { title: "run the program without a shell".to_owned(), safe: false, edits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_become_a_list() {
        for (line, expected) in [
            ("ENTRYPOINT my-program  start", "ENTRYPOINT [\"my-program\", \"start\"]"),
            ("CMD a", "CMD [\"a\"]"),
            ("CMD a && b", "CMD a && b"),
            ("CMD a $B", "CMD a $B"),
            ("CMD A=1 b", "CMD A=1 b"),
            ("CMD exec a", "CMD exec a"),
            ("CMD a \\\n b", "CMD a \\\n b"),
            ("CMD [\"a\"]", "CMD [\"a\"]"),
        ] {
            assert_eq!(crate::testing::mended(line, mend), expected);
        }
    }

    #[test]
    fn message() {
        let note = NoteKind::ShellForm { keyword: "CMD".to_owned() };
        assert_eq!(
            check(&note).as_deref(),
            Some("JSON arguments recommended for CMD to prevent unintended behavior related to OS signals")
        );
    }
}
