//! Symbolic modes: `u=rwX,go=r`, `+x`, `g=u-w`, `755`.
//!
//! Mirrors the library that BuildKit v0.32 reads them with (tonistiigi/dchapes-mode, BSD's setmode), with no umask. What
//! differs from chmod(1): where an operation copies (`g=u`), set-id bits stay as they are; of several copies the last one
//! counts (`u=go`); bits before a copy are set before it (`u=rg`), those after it on their own (`u=gs`); `t` for nobody in
//! particular is for nobody else (`+rt`).

use crate::{Error, Result};

const SET_ID: u32 = 0o6000;
const STICKY: u32 = 0o1000;
const EXECUTE: u32 = 0o111;

/// A change of permission bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ModeChange {
    /// As it is.
    Keep,
    /// These bits.
    Set(u32),
    /// Operations one after the other.
    Symbolic(Vec<Operation>),
}

/// One operation on the bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Sets bits.
    Add(u32),
    /// Sets bits of directories, and of what somebody could execute before.
    AddIfExecutable(u32),
    /// Clears bits.
    Remove(u32),
    /// Copies the three bits of one class to others, `to` being all bits of those: set, cleared, or put in their place.
    Copy { op: u8, from: Class, to: u32 },
}

/// Whose bits are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    User,
    Group,
    Other,
}

impl ModeChange {
    /// Parses a mode text. **Errors**: not a mode.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let bad = || Error::Invalid(format!("invalid mode {text:?}: invalid syntax"));
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            let bits = u32::from_str_radix(text, 8).map_err(|_| bad())?;
            return if bits <= 0o7777 { Ok(Self::Set(bits)) } else { Err(bad()) };
        }
        let mut operations = Vec::new();
        for part in text.split(',') {
            parse_part(part.as_bytes(), &mut operations).ok_or_else(bad)?;
        }
        Ok(Self::Symbolic(operations))
    }

    /// The bits something gets.
    pub(crate) fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        match self {
            Self::Keep => mode & 0o7777,
            Self::Set(bits) => *bits,
            Self::Symbolic(operations) => {
                let old = mode & 0o7777;
                let executable = is_dir || old & EXECUTE != 0;
                operations.iter().fold(old, |mode, operation| operation.apply(mode, executable))
            }
        }
    }
}

impl Operation {
    fn apply(&self, mode: u32, executable: bool) -> u32 {
        match *self {
            Self::Add(bits) => mode | bits,
            Self::AddIfExecutable(bits) if executable => mode | bits,
            Self::AddIfExecutable(_) => mode,
            Self::Remove(bits) => mode & !bits,
            Self::Copy { op, from, to } => {
                let bits = (from.bits(mode) * 0o111) & to;
                match op {
                    b'+' => mode | bits,
                    b'-' => mode & !bits,
                    _ => (mode & !to) | bits,
                }
            }
        }
    }
}

impl Class {
    fn bits(self, mode: u32) -> u32 {
        let shift = match self {
            Self::User => 6,
            Self::Group => 3,
            Self::Other => 0,
        };
        (mode >> shift) & 7
    }
}

/// Parses `[ugoa]*([+-=][rwxXstugo]*)+`.
fn parse_part(part: &[u8], operations: &mut Vec<Operation>) -> Option<()> {
    let names = part.iter().take_while(|byte| b"ugoa".contains(byte)).count();
    let (names, mut rest) = part.split_at(names);
    let who = names.iter().fold(0, |who, name| {
        who | match name {
            b'u' => 0o4700,
            b'g' => 0o2070,
            b'o' => 0o0007,
            _ => SET_ID | 0o777,
        }
    });
    if rest.is_empty() {
        return None;
    }
    while let Some((&op, tail)) = rest.split_first() {
        if !b"+-=".contains(&op) {
            return None;
        }
        let length = tail.iter().take_while(|byte| !b"+-=".contains(byte)).count();
        let (letters, tail) = tail.split_at(length);
        rest = tail;
        parse_operation(who, op, letters, operations)?;
    }
    Some(())
}

/// Parses the letters behind `+`, `-` or `=`. **Shape**: `who` is 0 where nobody is named.
fn parse_operation(mut who: u32, op: u8, letters: &[u8], operations: &mut Vec<Operation>) -> Option<()> {
    let only_other = who == 0o007;
    let (mut bits, mut conditional, mut copied) = (0, 0, false);
    for letter in letters {
        match letter {
            b'r' => bits |= 0o444,
            b'w' => bits |= 0o222,
            b'x' => bits |= EXECUTE,
            b'X' if op == b'-' => bits |= EXECUTE,
            b'X' => conditional = EXECUTE,
            b's' | b't' if only_other => {}
            b's' => bits |= SET_ID,
            b't' => {
                who |= STICKY;
                bits |= STICKY;
            }
            b'u' | b'g' | b'o' => {
                if bits != 0 {
                    push(who, op, std::mem::take(&mut bits), operations);
                }
                push_conditional(who, std::mem::take(&mut conditional), operations);
                let from = match letter {
                    b'u' => Class::User,
                    b'g' => Class::Group,
                    _ => Class::Other,
                };
                let to = if who == 0 { 0o777 } else { who & 0o777 };
                operations.push(Operation::Copy { op, from, to });
                copied = true;
            }
            _ => return None,
        }
    }
    // A copy has cleared already what is not copied.
    if bits != 0 || (op == b'=' && !copied) {
        push(who, op, bits, operations);
    }
    push_conditional(who, conditional, operations);
    Some(())
}

/// Notes bits that are set, cleared, or all that somebody has.
fn push(who: u32, op: u8, bits: u32, operations: &mut Vec<Operation>) {
    let anybody = if who == 0 { SET_ID | 0o777 } else { who };
    match op {
        b'+' => operations.push(Operation::Add(bits & anybody)),
        b'-' => operations.push(Operation::Remove(bits & anybody)),
        _ => operations.extend([Operation::Remove(anybody), Operation::Add(bits & anybody)]),
    }
}

fn push_conditional(who: u32, bits: u32, operations: &mut Vec<Operation>) {
    if bits != 0 {
        operations.push(Operation::AddIfExecutable(if who == 0 { bits } else { bits & who }));
    }
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
    fn copies() {
        // Set-id bits stay, whatever is copied to whom.
        check("g=u", (0o2755, 0o2775), (0o2755, 0o2775));
        check("u=g", (0o4711, 0o4111), (0o4711, 0o4111));
        check("a=u", (0o4711, 0o4777), (0o6750, 0o6777));
        check("go=u-w", (0o6711, 0o6755), (0o6711, 0o6755));
        check("g+u", (0o711, 0o771), (0o711, 0o771));
        check("g-u", (0o755, 0o705), (0o755, 0o705));
        // Each copy takes the place of the one before; what follows is set on its own.
        check("u=go", (0o751, 0o151), (0o751, 0o151));
        check("u=gs", (0o755, 0o4055), (0o755, 0o4055));
        check("u=gr", (0o711, 0o411), (0o711, 0o411));
        check("u=gX", (0o744, 0o544), (0o744, 0o544));
        check("+rt", (0o600, 0o1600), (0o700, 0o1700));
    }

    /// Texts of up to three letters.
    fn letters() -> Vec<String> {
        let mut texts = vec![String::new()];
        let mut from = 0;
        for _ in 0..3 {
            let to = texts.len();
            for at in from..to {
                texts.extend("rwxXstugo".chars().map(|letter| format!("{}{letter}", texts[at])).collect::<Vec<_>>());
            }
            from = to;
        }
        texts
    }

    #[test]
    fn every_single_operation_does_what_it_does_in_buildkit() {
        let who = ["", "u", "g", "o", "a", "ug", "uo", "ua", "go", "ga", "oa", "ugo", "uga", "uoa", "goa"];
        let modes = [0, 0o644, 0o755, 0o2755, 0o4711, 0o6755, 0o1777, 0o456];
        let letters = letters();
        let mut results = Vec::new();
        for (who, op) in who.iter().flat_map(|who| ["+", "-", "="].map(|op| (who, op))) {
            for text in &letters {
                let change = ModeChange::parse(&format!("{who}{op}{text}")).unwrap();
                let all = modes.iter().flat_map(|mode| [change.apply(*mode, false), change.apply(*mode, true)]);
                results.extend(all.flat_map(|mode| (mode as u16).to_le_bytes()));
            }
        }
        // Of the same list, made with BuildKit's library.
        let expected = "sha256:f375fd1195d5d39125f3eb2e065a356dfb11289dad8a467d6660eac56d8ddbf2";
        assert_eq!(oci::Digest::sha256(&results).to_string(), expected);
    }

    #[test]
    fn what_is_no_mode() {
        for text in ["", "u", "z+x", "u+q", "888", "17777", "u=r,", "rw"] {
            let error = ModeChange::parse(text).unwrap_err().to_string();
            assert_eq!(error, format!("invalid mode {text:?}: invalid syntax"));
        }
    }
}
