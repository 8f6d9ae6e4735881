//! Why words cannot be read, as BuildKit says it.

use std::fmt;

use super::MAX_DEPTH;

/// Why a word cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `'` without its partner.
    SingleQuote,
    /// `"` without its partner.
    DoubleQuote,
    /// `${` without `}`.
    Brace,
    /// `${/` without the second `/`.
    Slash,
    /// `${}`, `${:}`, `${{`.
    BadSubstitution,
    /// A modifier there is not.
    Modifier(String),
    /// More than [`MAX_DEPTH`] operands and quotes in each other.
    TooDeep,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SingleQuote => f.write_str("unexpected end of statement while looking for matching single-quote"),
            Self::DoubleQuote => f.write_str("unexpected end of statement while looking for matching double-quote"),
            Self::Brace => f.write_str("syntax error: missing '}'"),
            Self::Slash => f.write_str("syntax error: missing '/' in ${}"),
            Self::BadSubstitution => f.write_str("syntax error: bad substitution"),
            Self::Modifier(modifier) => write!(f, "unsupported modifier ({modifier}) in substitution"),
            Self::TooDeep => write!(f, "substitutions are nested more than {MAX_DEPTH} deep"),
        }
    }
}
