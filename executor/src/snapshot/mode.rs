//! Symbolic modes: `u=rwX,go=r`, `+x`, `g=u-w`, `755`. As chmod(1) reads them with no umask.

use crate::{Error, Result};

const SET_ID: u32 = 0o6000;
const STICKY: u32 = 0o1000;

/// A change of permission bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ModeChange {
    /// As it is.
    Keep,
    /// These bits.
    Set(u32),
    /// Clauses one after the other.
    Symbolic(Vec<Clause>),
}

/// One operation on the bits of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clause {
    /// Bits that may change.
    who: u32,
    op: u8,
    /// Bits to set or clear, for everybody.
    bits: u32,
    /// Whether `x` is meant for directories, and for what is executable already.
    conditional: bool,
    /// Whose bits are copied: how far they are shifted.
    copied: Vec<u32>,
}

impl ModeChange {
    /// Parses a mode text. **Errors**: not a mode.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let bad = || Error::Invalid(format!("invalid mode {text:?}: invalid syntax"));
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            let bits = u32::from_str_radix(text, 8).map_err(|_| bad())?;
            return if bits <= 0o7777 { Ok(Self::Set(bits)) } else { Err(bad()) };
        }
        let mut clauses = Vec::new();
        for part in text.split(',') {
            parse_part(part.as_bytes(), &mut clauses).ok_or_else(bad)?;
        }
        Ok(Self::Symbolic(clauses))
    }

    /// The bits something gets.
    pub(crate) fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        match self {
            Self::Keep => mode & 0o7777,
            Self::Set(bits) => *bits,
            Self::Symbolic(clauses) => {
                let old = mode & 0o7777;
                clauses.iter().fold(old, |mode, clause| clause.apply(mode, old, is_dir))
            }
        }
    }
}

impl Clause {
    fn apply(&self, mode: u32, old: u32, is_dir: bool) -> u32 {
        let mut bits = self.bits;
        if self.conditional && (is_dir || old & 0o111 != 0) {
            bits |= 0o111;
        }
        for shift in &self.copied {
            bits |= ((mode >> shift) & 7) * 0o111;
        }
        let bits = bits & self.who;
        match self.op {
            b'+' => mode | bits,
            b'-' => mode & !bits,
            // Set-id and sticky bits are cleared only by who names them.
            _ => (mode & !self.who) | bits,
        }
    }
}

/// Parses `[ugoa]*([+-=][rwxXstugo]*)+`.
fn parse_part(part: &[u8], clauses: &mut Vec<Clause>) -> Option<()> {
    let names = part.iter().take_while(|byte| b"ugoa".contains(byte)).count();
    let (names, mut rest) = part.split_at(names);
    let mut who = 0;
    for name in names {
        who |= match name {
            b'u' => 0o4700,
            b'g' => 0o2070,
            b'o' => 0o0007,
            _ => SET_ID | 0o777,
        };
    }
    if rest.is_empty() {
        return None;
    }
    let only_other = !names.is_empty() && who & !0o007 == 0;
    let who = if names.is_empty() { SET_ID | 0o777 } else { who };
    while let Some((&op, tail)) = rest.split_first() {
        if !b"+-=".contains(&op) {
            return None;
        }
        let length = tail.iter().take_while(|byte| !b"+-=".contains(byte)).count();
        let (letters, tail) = tail.split_at(length);
        rest = tail;
        clauses.push(clause(who, op, letters, only_other)?);
    }
    Some(())
}

fn clause(mut who: u32, op: u8, letters: &[u8], only_other: bool) -> Option<Clause> {
    let (mut bits, mut conditional, mut copied) = (0, false, Vec::new());
    for letter in letters {
        match letter {
            b'r' => bits |= 0o444,
            b'w' => bits |= 0o222,
            b'x' => bits |= 0o111,
            b'X' if op == b'-' => bits |= 0o111,
            b'X' => conditional = true,
            b's' if only_other => {}
            b's' => bits |= SET_ID,
            b't' if only_other => {}
            b't' => {
                who |= STICKY;
                bits |= STICKY;
            }
            b'u' => copied.push(6),
            b'g' => copied.push(3),
            b'o' => copied.push(0),
            _ => return None,
        }
    }
    Some(Clause { who, op, bits, conditional, copied })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, file: (u32, u32), dir: (u32, u32)) {
        let change = ModeChange::parse(text).unwrap();
        assert_eq!(format!("{:o}", change.apply(file.0, false)), format!("{:o}", file.1), "{text} file");
        assert_eq!(format!("{:o}", change.apply(dir.0, true)), format!("{:o}", dir.1), "{text} dir");
    }

    #[test]
    fn modes() {
        check("755", (0o600, 0o755), (0o700, 0o755));
        check("4755", (0o600, 0o4755), (0o700, 0o4755));
        check("u=rwX,go=r", (0o600, 0o644), (0o777, 0o744));
        check("u=rwX,go=rX", (0o755, 0o755), (0o700, 0o755));
        check("+x", (0o644, 0o755), (0o644, 0o755));
        check("a-w", (0o666, 0o444), (0o777, 0o555));
        check("g=u-w", (0o640, 0o640), (0o700, 0o750));
        check("go=", (0o777, 0o700), (0o755, 0o700));
        check("u+s", (0o755, 0o4755), (0o755, 0o4755));
        check("g+s,o-x", (0o755, 0o2754), (0o755, 0o2754));
        check("+t", (0o755, 0o1755), (0o777, 0o1777));
        check("o+t", (0o755, 0o755), (0o777, 0o777));
        check("u=rw", (0o4755, 0o655), (0o4755, 0o655));
        check("=r", (0o6755, 0o444), (0o1755, 0o1444));
        check("a=r,u+w", (0o777, 0o644), (0o777, 0o644));
        check("a-X", (0o755, 0o644), (0o755, 0o644));
    }

    #[test]
    fn what_is_no_mode() {
        for text in ["", "u", "z+x", "u+q", "888", "17777", "u=r,", "rw"] {
            let error = ModeChange::parse(text).unwrap_err().to_string();
            assert_eq!(error, format!("invalid mode {text:?}: invalid syntax"));
        }
    }
}
