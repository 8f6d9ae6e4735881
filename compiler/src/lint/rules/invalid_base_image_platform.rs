//! # What it does
//! Finds base images for another platform than the one the stage is built for.
//!
//! # Why is this bad
//! Their programs may not run where the image is meant to run.
//!
//! # Example
//! ```dockerfile
//! # built for linux/amd64, while example/app is only there for linux/arm64
//! FROM example/app
//! ```
//!
//! # Use instead
//! ```dockerfile
//! FROM --platform=linux/arm64 example/app
//! ```

use ast::{Policy, Severity};

use crate::lint::{Check, Rule};
use crate::plan::NoteKind;

pub(super) static RULE: Rule = Rule {
    name: "InvalidBaseImagePlatform",
    description: "Base image platform does not match expected target platform",
    url: "",
    policy: Policy::On,
    severity: Severity::Warning,
    aliases: &[],
    by_comment: false,
    source: include_str!("invalid_base_image_platform.rs"),
    check: Check::Note(check),
};

fn check(note: &NoteKind) -> Option<String> {
    let NoteKind::BasePlatform { name, wanted, found } = note else { return None };
    Some(format!(
        "Base image {name} was pulled with platform {}, expected {} for current build",
        ast::quote(found.as_bytes()),
        ast::quote(wanted.as_bytes())
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message() {
        let note = NoteKind::BasePlatform {
            name: "a".to_owned(),
            wanted: "linux/amd64".to_owned(),
            found: "linux".to_owned(),
        };
        assert_eq!(
            check(&note).as_deref(),
            Some("Base image a was pulled with platform \"linux\", expected \"linux/amd64\" for current build")
        );
    }
}
