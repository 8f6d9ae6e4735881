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

use ast::{Edit, Fix, Op, Policy, Severity, Step};

use crate::lint::{Check, Rule, is_as_written};
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
    check: Check::Mendable(check, mend),
};

fn check(note: &NoteKind) -> Option<String> {
    let NoteKind::PortProtocolCase { port } = note else { return None };
    Some(format!("Defined protocol '{port}' in EXPOSE instruction should be lowercase"))
}

/// Writes the protocols in lower case, where they stand in the text and not in a variable.
fn mend(step: &Step) -> Option<Fix> {
    let (Op::Expose(ports), true) = (&step.op, is_as_written(step)) else { return None };
    let lowered = |port: &ast::Str| {
        let (port_number, protocol) = std::str::from_utf8(port.raw()).ok()?.split_once('/')?;
        let lower = protocol.to_ascii_lowercase();
        let known = matches!(lower.as_str(), "tcp" | "udp" | "sctp") && lower != protocol;
        known.then(|| Edit { span: port.span, text: format!("{port_number}/{lower}") })
    };
    let edits: Vec<Edit> = ports.iter().filter_map(lowered).collect();
    let title = "write the protocol in lower case".to_owned();
    // Safe: it is stored in lower case already.
    (!edits.is_empty()).then_some(Fix { title, safe: true, edits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_written_in_lower_case() {
        for (line, expected) in [
            ("EXPOSE 80/TCP", "EXPOSE 80/tcp"),
            ("EXPOSE 53/Udp 80 $P/TCP 443/tcp", "EXPOSE 53/udp 80 $P/tcp 443/tcp"),
            ("EXPOSE 80/$TCP", "EXPOSE 80/$TCP"),
            ("EXPOSE 80/ICMP", "EXPOSE 80/ICMP"),
        ] {
            assert_eq!(crate::testing::mended(line, mend), expected);
        }
    }

    #[test]
    fn message() {
        let note = NoteKind::PortProtocolCase { port: "80/TCP".to_owned() };
        assert_eq!(
            check(&note).as_deref(),
            Some("Defined protocol '80/TCP' in EXPOSE instruction should be lowercase")
        );
    }
}
