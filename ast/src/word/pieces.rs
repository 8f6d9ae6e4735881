//! What words are made of.

use std::ops::Range;

use super::Fault;

/// A part of a [`Word`](super::Word). Ranges are bytes of [`Word::text`](super::Word::text).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Characters as they are. Blanks among them end a word.
    Text(Range<u32>),
    /// Characters as they are, quoted or escaped: blanks among them belong to the word.
    Literal(Range<u32>),
    /// What stands in double quotes: nothing in it ends a word. Where quotes are kept they are literals in it.
    Quoted(Vec<Piece>),
    /// A reference to a variable.
    Variable(Variable),
    /// The word cannot be read any further; always the last piece.
    Fault(Fault),
}

/// A reference to a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// The name; may be empty (`${+x}`), a number or a sign (`$@`).
    pub name: Range<u32>,
    /// Whether it is written `${…}`.
    pub braced: bool,
    /// What is done with its value; most have none.
    pub modifier: Option<Box<Modifier>>,
    /// All of it.
    pub range: Range<u32>,
}

/// What is done with the value of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Modifier {
    /// `-`: the operand if there is no value.
    Default(Operand),
    /// `+`: the operand if there is a value, else nothing.
    Alternative(Operand),
    /// `?`: an error with the operand as its message if there is no value.
    Required(Operand),
    /// `#`, `##`: cuts a pattern off the start. A pattern that evaluates to something starting with `#` is the
    /// greedy form; the sign is part of the operand.
    CutPrefix(Operand),
    /// `%`, `%%`: cuts a pattern off the end. As with the prefix, the second sign is part of the operand.
    CutSuffix(Operand),
    /// `/`, `//`: replaces matches of a pattern.
    Replace {
        /// Whether every match is replaced.
        all: bool,
        /// The pattern.
        pattern: Vec<Piece>,
        /// What replaces it.
        replacement: Vec<Piece>,
    },
    /// A colon and a sign that is no modifier (`${x:=y}`): refused, but only after the operand is evaluated, and
    /// not where the name is unset and written back.
    Unknown {
        /// The sign after the colon.
        sign: char,
        /// What follows it.
        operand: Operand,
    },
}

/// The word after a modifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operand {
    /// Whether an empty value counts as none (`:-`).
    pub colon: bool,
    /// The word.
    pub pieces: Vec<Piece>,
}

/// Bytes of `${}` with a modifier.
const SIGNS: usize = 6;

impl Variable {
    /// The words after the modifier, in the order in which they are to be evaluated.
    pub fn operands(&self) -> impl Iterator<Item = &[Piece]> {
        let (first, second) = match self.modifier.as_deref() {
            None => (None, None),
            Some(Modifier::Default(o) | Modifier::Alternative(o) | Modifier::Required(o)) => (Some(&o.pieces), None),
            Some(Modifier::CutPrefix(o) | Modifier::CutSuffix(o)) => (Some(&o.pieces), None),
            Some(Modifier::Unknown { operand: o, .. }) => (Some(&o.pieces), None),
            Some(Modifier::Replace { pattern, replacement, .. }) => (Some(pattern), Some(replacement)),
        };
        first.into_iter().chain(second).map(Vec::as_slice)
    }

    /// Writes the reference back as it was written, its operands evaluated: what becomes of an unset name where names
    /// are kept.
    pub fn write_unset(&self, name: &str, operands: &[String], out: &mut String) {
        out.reserve(name.len() + operands.iter().map(String::len).sum::<usize>() + SIGNS);
        if !self.braced {
            out.push('$');
            return out.push_str(name);
        }
        out.push_str("${");
        out.push_str(name);
        if let Some(modifier) = self.modifier.as_deref() {
            let (sign, colon) = match modifier {
                Modifier::Default(operand) => ('-', operand.colon),
                Modifier::Alternative(operand) => ('+', operand.colon),
                Modifier::Required(operand) => ('?', operand.colon),
                Modifier::CutPrefix(_) => ('#', false),
                Modifier::CutSuffix(_) => ('%', false),
                Modifier::Unknown { sign, .. } => (*sign, true),
                // parity: the second slash of `//` is lost.
                Modifier::Replace { .. } => ('/', false),
            };
            out.extend(colon.then_some(':'));
            out.push(sign);
        }
        out.push_str(&operands.join("/"));
        out.push('}');
    }
}

/// The bytes from the first to the last piece.
pub(super) fn extent(pieces: &[Piece]) -> Range<u32> {
    let bounds = |piece: &Piece| match piece {
        Piece::Text(range) | Piece::Literal(range) => Some(range.clone()),
        Piece::Quoted(inner) => Some(extent(inner)),
        Piece::Variable(variable) => Some(variable.range.clone()),
        Piece::Fault(_) => None,
    };
    let start = pieces.iter().find_map(bounds).map_or(0, |range| range.start);
    let end = pieces.iter().rev().find_map(bounds).map_or(start, |range| range.end);
    start..end
}
