//! # What it does
//! Finds a relative `WORKDIR` before any absolute one.
//!
//! # Why is this bad
//! It depends on the working directory of the base image, which may change with the next version of the image.
//!
//! # Example
//! ```dockerfile
//! FROM nginx
//! WORKDIR usr/share/nginx/html
//! ```
//!
//! # Use instead
//! ```dockerfile
//! FROM nginx
//! WORKDIR /usr/share/nginx/html
//! ```

use ast::{Policy, Severity};

use crate::lint::{Check, Rule};
use crate::plan::NoteKind;

pub(super) static RULE: Rule = Rule {
    name: "WorkdirRelativePath",
    description: "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes",
    url: "https://docs.docker.com/go/dockerfile/rule/workdir-relative-path/",
    policy: Policy::On,
    severity: Severity::Warning,
    aliases: &["DL3000"],
    by_comment: true,
    source: include_str!("workdir_relative_path.rs"),
    check: Check::Note(check),
};

fn check(note: &NoteKind) -> Option<String> {
    let NoteKind::RelativeWorkdir { path } = note else { return None };
    Some(format!(
        "Relative workdir {} can have unexpected results if the base image changes",
        ast::quote(path.as_bytes())
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message() {
        let note = NoteKind::RelativeWorkdir { path: "a".to_owned() };
        assert_eq!(
            check(&note).as_deref(),
            Some("Relative workdir \"a\" can have unexpected results if the base image changes")
        );
    }
}
