//! # What it does
//! Finds `ENV key value` and `LABEL key value`.
//!
//! # Why is this bad
//! The form without `=` takes one pair only and everything to the end of the line as its value.
//!
//! # Example
//! ```dockerfile
//! ENV DIR /usr/src
//! ```
//!
//! # Use instead
//! ```dockerfile
//! ENV DIR="/usr/src"
//! ```

use ast::{Fix, Op, Policy, Severity, Span, Step, StrKind};

use crate::lint::{Check, Rule, is_as_written, replace};
use crate::plan::NoteKind;

pub(super) static RULE: Rule = Rule {
    name: "LegacyKeyValueFormat",
    description: "Legacy key/value format with whitespace separator should not be used",
    url: "https://docs.docker.com/go/dockerfile/rule/legacy-key-value-format/",
    policy: Policy::On,
    severity: Severity::Warning,
    aliases: &[],
    by_comment: true,
    source: include_str!("legacy_key_value_format.rs"),
    check: Check::Mendable(check, mend),
};

fn check(note: &NoteKind) -> Option<String> {
    let NoteKind::LegacyPair { keyword } = note else { return None };
    Some(format!("\"{keyword} key=value\" should be used instead of legacy \"{keyword} key value\" format"))
}

/// Writes the sign and the quotes, where nothing in the value means anything to either form.
fn mend(step: &Step) -> Option<Fix> {
    let (Op::Env(pairs) | Op::Label(pairs)) = &step.op else { return None };
    let ([pair], true) = (&pairs[..], is_as_written(step)) else { return None };
    let StrKind::Word { raw, escape } = &pair.value.kind else { return None };
    let value = std::str::from_utf8(raw).ok()?;
    if value.contains(['\'', '"', '\\', char::from(*escape)]) || value.contains(char::is_control) {
        return None;
    }
    let quote = if value.contains(char::is_whitespace) { "\"" } else { "" };
    let place = Span { start: pair.key.span.end, ..pair.value.span };
    Some(replace("write KEY=VALUE", place, format!("={quote}{value}{quote}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_written_with_the_sign() {
        for (line, expected) in [
            ("ENV DIR /usr/src", "ENV DIR=/usr/src"),
            ("LABEL  a   b  $C d", "LABEL  a=\"b  $C d\""),
            ("ENV A b\\ c", "ENV A b\\ c"),
            ("ENV A \"b\"", "ENV A \"b\""),
            ("ENV A \\\n b", "ENV A \\\n b"),
            ("ENV A=b", "ENV A=b"),
        ] {
            assert_eq!(crate::testing::mended(line, mend), expected);
        }
    }

    #[test]
    fn message() {
        let note = NoteKind::LegacyPair { keyword: "ENV".to_owned() };
        assert_eq!(
            check(&note).as_deref(),
            Some("\"ENV key=value\" should be used instead of legacy \"ENV key value\" format")
        );
    }
}
