//! # What it does
//! Finds ports with an address or a port of the host.
//!
//! # Why is this bad
//! An image cannot say where its ports appear on the host; that part is dropped.
//!
//! # Example
//! ```dockerfile
//! EXPOSE 127.0.0.1:80:80
//! ```
//!
//! # Use instead
//! ```dockerfile
//! EXPOSE 80
//! ```

use ast::{Policy, Severity};

use crate::lint::{Check, Rule};
use crate::plan::NoteKind;

pub(super) static RULE: Rule = Rule {
    name: "ExposeInvalidFormat",
    description: "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release",
    url: "https://docs.docker.com/go/dockerfile/rule/expose-invalid-format/",
    policy: Policy::On,
    severity: Severity::Warning,
    aliases: &[],
    by_comment: true,
    source: include_str!("expose_invalid_format.rs"),
    check: Check::Note(check),
};

fn check(note: &NoteKind) -> Option<String> {
    let NoteKind::PortMapping { port } = note else { return None };
    Some(format!("EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message() {
        let note = NoteKind::PortMapping { port: "80:80".to_owned() };
        assert_eq!(
            check(&note).as_deref(),
            Some("EXPOSE instruction should not define an IP address or host-port mapping, found '80:80'")
        );
    }
}
