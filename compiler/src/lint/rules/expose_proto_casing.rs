//! # What it does
//! Finds protocols of ports that are not written in lower case.
//!
//! # Why is this bad
//! They are stored in lower case.
//!
//! # Example
//! ```dockerfile
//! EXPOSE 80/TCP
//! ```
//!
//! # Use instead
//! ```dockerfile
//! EXPOSE 80/tcp
//! ```

use ast::{Policy, Severity};

use crate::lint::{Check, Rule};
use crate::plan::NoteKind;

pub(super) static RULE: Rule = Rule {
    name: "ExposeProtoCasing",
    description: "Protocol in EXPOSE instruction should be lowercase",
    url: "https://docs.docker.com/go/dockerfile/rule/expose-proto-casing/",
    policy: Policy::On,
    severity: Severity::Warning,
    aliases: &[],
    by_comment: true,
    source: include_str!("expose_proto_casing.rs"),
    check: Check::Note(check),
};

fn check(note: &NoteKind) -> Option<String> {
    let NoteKind::PortProtocolCase { port } = note else { return None };
    Some(format!("Defined protocol '{port}' in EXPOSE instruction should be lowercase"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message() {
        let note = NoteKind::PortProtocolCase { port: "80/TCP".to_owned() };
        assert_eq!(
            check(&note).as_deref(),
            Some("Defined protocol '80/TCP' in EXPOSE instruction should be lowercase")
        );
    }
}
