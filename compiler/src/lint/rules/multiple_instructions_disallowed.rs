//! # What it does
//! Finds `CMD`, `ENTRYPOINT` and `HEALTHCHECK` that a later one of the same stage replaces.
//!
//! # Why is this bad
//! Only the last of each has an effect.
//!
//! # Example
//! ```dockerfile
//! FROM alpine
//! ENTRYPOINT ["echo"]
//! ENTRYPOINT ["cat"]
//! ```
//!
//! # Use instead
//! ```dockerfile
//! FROM alpine
//! ENTRYPOINT ["cat"]
//! ```

use ast::{Policy, Severity};

use crate::lint::{Check, Rule};
use crate::plan::NoteKind;

pub(super) static RULE: Rule = Rule {
    name: "MultipleInstructionsDisallowed",
    description: "Multiple instructions of the same type should not be used in the same stage",
    url: "https://docs.docker.com/go/dockerfile/rule/multiple-instructions-disallowed/",
    policy: Policy::On,
    severity: Severity::Warning,
    aliases: &["DL3012", "DL4003", "DL4004"],
    by_comment: true,
    source: include_str!("multiple_instructions_disallowed.rs"),
    check: Check::Note(check),
};

fn check(note: &NoteKind) -> Option<String> {
    let NoteKind::Replaced { keyword } = note else { return None };
    Some(format!(
        "Multiple {keyword} instructions should not be used in the same stage because only the last one will be used"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message() {
        let note = NoteKind::Replaced { keyword: "CMD".to_owned() };
        assert_eq!(
            check(&note).as_deref(),
            Some(
                "Multiple CMD instructions should not be used in the same stage because only the last one will be used"
            )
        );
    }
}
