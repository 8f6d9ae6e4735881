//! Modes of `--chmod`: octal, or symbolic as chmod(1) has them.

use crate::plan::stop::{Done, Stop};

/// Bits a mode may have.
const ALL: u64 = 0o7777;

/// A mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Keep what the source has.
    Keep,
    /// These bits.
    Bits(i32),
    /// These changes, worked out where the files are.
    Symbolic(String),
}

/// Reads a mode; empty keeps.
pub(super) fn parse(text: &str) -> Done<Mode> {
    if text.is_empty() {
        return Ok(Mode::Keep);
    }
    match ast::number::parse_uint(text, 8, 32) {
        Ok(bits) if bits <= ALL => Ok(Mode::Bits(bits as i32)),
        Err(_) if is_symbolic(text) => Ok(Mode::Symbolic(text.to_owned())),
        Err(_) if !text.starts_with(|c: char| c.is_ascii_digit()) => {
            Err(Stop::error("invalid syntax").help("a mode is octal, such as 0755, or symbolic, such as u=rwx,go=rx"))
        }
        _ => Err(Stop::error(format!(
            "invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
        ))),
    }
}

/// `[ugoa]* ([-+=] [rwxXst]* | [ugo])+`, separated by commas.
fn is_symbolic(text: &str) -> bool {
    !text.is_empty() && text.split(',').all(is_clause)
}

fn is_clause(clause: &str) -> bool {
    let changes = clause.trim_start_matches(['u', 'g', 'o', 'a']);
    let is_change = |c: char| matches!(c, '+' | '-' | '=' | 'r' | 'w' | 'x' | 'X' | 's' | 't' | 'u' | 'g' | 'o');
    changes.starts_with(['+', '-', '=']) && changes.chars().all(is_change)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let actual = match parse(text) {
            Ok(mode) => format!("{mode:?}"),
            Err(Stop::Error(error)) => error.message,
            Err(Stop::Unknown) => "unknown".to_owned(),
        };
        assert_eq!(actual, expected, "{text}");
    }

    #[test]
    fn modes() {
        check("", "Keep");
        check("0", "Bits(0)");
        check("0755", "Bits(493)");
        check("u=rwx,go=rx", r#"Symbolic("u=rwx,go=rx")"#);
        check("+X", r#"Symbolic("+X")"#);
        check("go=u-w", r#"Symbolic("go=u-w")"#);
        check("u=,g=", r#"Symbolic("u=,g=")"#);
        for bad in ["rwx", "u", "u+rwz", "+x,", "a+b"] {
            check(bad, "invalid syntax");
        }
        for bad in ["789", "10000", "0o644"] {
            check(bad, &format!("invalid chmod parameter: '{bad}'. it should be octal string and between 0 and 07777"));
        }
    }
}
