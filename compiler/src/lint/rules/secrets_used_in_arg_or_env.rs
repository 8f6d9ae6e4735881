//! # What it does
//! Finds `ARG` and `ENV` whose names say that they hold a secret.
//!
//! # Why is this bad
//! Values of arguments and variables stay in the image: in its configuration and its history.
//!
//! # Example
//! ```dockerfile
//! FROM alpine
//! ARG AWS_SECRET_KEY
//! RUN aws s3 cp s3://bucket/file .
//! ```
//!
//! # Use instead
//! ```dockerfile
//! FROM alpine
//! RUN --mount=type=secret,id=aws,target=/root/.aws/credentials aws s3 cp s3://bucket/file .
//! ```

use ast::{Policy, Severity};

use crate::lint::{Check, Rule};
use crate::plan::NoteKind;

pub(super) static RULE: Rule = Rule {
    name: "SecretsUsedInArgOrEnv",
    description: "Sensitive data should not be used in the ARG or ENV commands",
    url: "https://docs.docker.com/go/dockerfile/rule/secrets-used-in-arg-or-env/",
    policy: Policy::On,
    severity: Severity::Warning,
    aliases: &["DL3064"],
    by_comment: true,
    source: include_str!("secrets_used_in_arg_or_env.rs"),
    check: Check::Note(check),
};

/// A word of these makes a name that of a secret.
const SECRET: [&str; 10] =
    ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];

/// A word of these makes it harmless again.
const HARMLESS: [&str; 3] = ["public", "file", "version"];

fn check(note: &NoteKind) -> Option<String> {
    let NoteKind::Sets { instruction, key } = note else { return None };
    let has = |words: &[&str]| key.split('_').any(|part| is_any(part, words));
    if !has(&SECRET) || has(&HARMLESS) {
        return None;
    }
    let key = ast::quote(key.as_bytes());
    Some(format!("Do not use ARG or ENV instructions for sensitive data ({instruction} {key})"))
}

/// Whether the part is one of the words in any case. Letters outside ASCII that fold into one (the Kelvin sign is a k) count.
fn is_any(part: &str, words: &[&str]) -> bool {
    if part.is_ascii() {
        return words.iter().any(|word| part.eq_ignore_ascii_case(word));
    }
    words.contains(&part.to_lowercase().replace('\u{17f}', "s").as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_of_a_name() {
        let found = |key: &str| check(&NoteKind::Sets { instruction: "ENV", key: key.into() });
        for secret in ["API_KEY", "apikey", "My_Secret_Value", "AUTH", "_token_"] {
            assert!(found(secret).is_some(), "{secret}");
        }
        for harmless in ["KEYBOARD", "AUTHOR", "PUBLIC_KEY", "TOKEN_FILE", "SECRETS", ""] {
            assert!(found(harmless).is_none(), "{harmless}");
        }
        let message = "Do not use ARG or ENV instructions for sensitive data (ENV \"AUTH\")";
        assert_eq!(found("AUTH").as_deref(), Some(message));
    }
}
