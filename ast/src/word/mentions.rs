//! What a word mentions: names, and the first thing that is wrong with it.

use std::ops::Range;

use super::{Fault, Modifier, Piece, Word};

/// A name that a word mentions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference<'w> {
    /// The name.
    pub name: &'w str,
    /// The name's bytes in [`Word::text`].
    pub name_range: Range<u32>,
    /// The whole reference.
    pub range: Range<u32>,
    /// Whether the word says itself what happens when there is no value.
    pub guarded: bool,
}

impl Word<'_> {
    /// Every name the word mentions, operands included, in the order of evaluation.
    pub fn references(&self) -> Vec<Reference<'_>> {
        let mut found = Vec::new();
        self.collect(&self.pieces, &mut found);
        found
    }

    /// The first fault in the order of evaluation.
    pub fn first_fault(&self) -> Option<&Fault> {
        fn first(pieces: &[Piece]) -> Option<&Fault> {
            pieces.iter().find_map(|piece| match piece {
                Piece::Fault(fault) => Some(fault),
                Piece::Quoted(inner) => first(inner),
                Piece::Variable(variable) => variable.operands().find_map(first),
                Piece::Text(_) | Piece::Literal(_) => None,
            })
        }
        first(&self.pieces)
    }

    fn collect<'w>(&'w self, pieces: &'w [Piece], found: &mut Vec<Reference<'w>>) {
        for piece in pieces {
            match piece {
                Piece::Quoted(inner) => self.collect(inner, found),
                Piece::Variable(variable) => {
                    variable.operands().for_each(|operand| self.collect(operand, found));
                    found.push(Reference {
                        name: self.slice(&variable.name),
                        name_range: variable.name.clone(),
                        range: variable.range.clone(),
                        guarded: matches!(
                            variable.modifier.as_deref(),
                            Some(Modifier::Default(_) | Modifier::Alternative(_) | Modifier::Required(_))
                        ),
                    });
                }
                Piece::Text(_) | Piece::Literal(_) | Piece::Fault(_) => {}
            }
        }
    }
}
