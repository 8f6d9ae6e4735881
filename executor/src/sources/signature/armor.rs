//! Bytes as text between lines that say what they are: RFC 9580 section 6.2, and PROTOCOL.sshsig of OpenSSH.
//!
//! Text around blocks means nothing. The checksum at the end of OpenPGP's is no protection and is not looked at (RFC 9580
//! section 6.1): what was changed is no signature any more.

use crate::{Error, Result};

/// Characters of base64 in a line.
const WIDTH: usize = 64;

/// What is between two lines.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// `PGP SIGNATURE`.
    pub(super) kind: String,
    pub(super) bytes: Vec<u8>,
}

/// The blocks of a text, in its order. **Errors**: one that does not end, or is no base64.
pub(super) fn decode(text: &str) -> Result<Vec<Block>> {
    let mut lines = text.lines().map(str::trim);
    let mut blocks = Vec::new();
    while let Some(line) = lines.next() {
        let Some(kind) = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")) else { continue };
        let end = format!("-----END {kind}-----");
        let mut digits = String::new();
        loop {
            let line = lines.next().ok_or_else(|| Error::Invalid(format!("the {kind} has no end")))?;
            match line {
                _ if line == end => break,
                // `Version: …` and its like, which are at the beginning.
                _ if digits.is_empty() && line.contains(':') => {}
                _ if line.starts_with('=') => {}
                _ => digits.push_str(line),
            }
        }
        let bytes = oci::base64::decode(&digits).ok_or_else(|| Error::Invalid(format!("the {kind} is no base64")))?;
        blocks.push(Block { kind: kind.to_owned(), bytes });
    }
    Ok(blocks)
}

/// A block as text.
pub(super) fn encode(kind: &str, bytes: &[u8]) -> String {
    let digits = oci::base64::encode(bytes);
    let lines = digits.as_bytes().chunks(WIDTH).map(|line| line.escape_ascii().to_string() + "\n");
    format!("-----BEGIN {kind}-----\n{}-----END {kind}-----\n", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `KIND: text`, joined with commas, or the error.
    fn check(text: &str, expected: &str) {
        let shown = |block: &Block| format!("{}: {}", block.kind, block.bytes.escape_ascii());
        let actual = match decode(text) {
            Ok(blocks) => blocks.iter().map(shown).collect::<Vec<_>>().join(", "),
            Err(error) => error.to_string(),
        };
        assert_eq!(actual, expected, "{text}");
    }

    #[test]
    fn blocks() {
        check("", "");
        check("-----BEGIN A-----\nZm9v\n-----END A-----", "A: foo");
        check(
            "text\r\n-----BEGIN A B-----\r\nVersion: 1\r\n\r\nZm\r\n9v\r\n=abcd\r\n-----END A B-----\r\n",
            "A B: foo",
        );
        check("-----BEGIN A-----\n-----END A-----\n\n-----BEGIN B-----\nZg==\n-----END B-----\nrest", "A: , B: f");
        check("-----BEGIN A-----\nZm9v\n-----END B-----", "the A has no end");
        check("-----BEGIN A-----\nZm9v", "the A has no end");
        check("-----BEGIN A-----\nZm-v\n-----END A-----", "the A is no base64");
    }

    #[test]
    fn round_trip() {
        let bytes: Vec<u8> = (0..=255).collect();
        let text = encode("A B", &bytes);
        assert!(text.lines().all(|line| line.len() <= WIDTH));
        assert_eq!(decode(&text).unwrap(), [Block { kind: "A B".into(), bytes }]);
    }
}
