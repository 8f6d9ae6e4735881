//! # What it does
//! Finds paths copied from the context that the ignore file leaves out.
//!
//! # Why is this bad
//! The file is not in the context, so the build fails, or copies nothing where a pattern was given.
//!
//! # Example
//! ```dockerfile
//! # .dockerignore has the line tmp
//! COPY ./tmp/helloworld.txt /
//! ```
//!
//! # Use instead
//! ```dockerfile
//! COPY ./forever/helloworld.txt /
//! ```

use ast::{Policy, Severity};

use crate::lint::{Check, Rule};
use crate::plan::NoteKind;

pub(super) static RULE: Rule = Rule {
    name: "CopyIgnoredFile",
    description: "Attempting to Copy file that is excluded by .dockerignore",
    url: "https://docs.docker.com/go/dockerfile/rule/copy-ignored-file/",
    policy: Policy::On,
    severity: Severity::Warning,
    aliases: &[],
    by_comment: true,
    source: include_str!("copy_ignored_file.rs"),
    check: Check::Note(check),
};

fn check(note: &NoteKind) -> Option<String> {
    let NoteKind::IgnoredSource { instruction, path } = note else { return None };
    Some(format!("Attempting to {instruction} file {} that is excluded by .dockerignore", ast::quote(path.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message() {
        let note = NoteKind::IgnoredSource { instruction: "Copy", path: "a".to_owned() };
        assert_eq!(check(&note).as_deref(), Some("Attempting to Copy file \"a\" that is excluded by .dockerignore"));
    }
}
