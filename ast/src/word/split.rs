//! The words of a text in which no name is set.

use std::borrow::Cow;
use std::ops::Range;

use super::pieces::extent;
use super::{Piece, Word};

impl Word<'_> {
    /// The words of a text in which no name is set, each with the bytes it stands for; `None` if there is a fault.
    /// For modes that keep unset names.
    pub fn words_unset(&self) -> Option<Vec<(String, Range<u32>)>> {
        let mut splitter = Splitter::default();
        for piece in &self.pieces {
            let (value, splits, range) = match piece {
                Piece::Fault(_) => return None,
                Piece::Text(range) => (Cow::Borrowed(self.slice(range)), true, range.clone()),
                Piece::Literal(range) => (Cow::Borrowed(self.slice(range)), false, range.clone()),
                Piece::Quoted(inner) => {
                    let mut value = String::new();
                    self.write_unset(inner, &mut value, &mut splitter)?;
                    (Cow::Owned(value), false, extent(inner))
                }
                Piece::Variable(variable) => {
                    let mut value = String::new();
                    self.write_unset(std::slice::from_ref(piece), &mut value, &mut splitter)?;
                    (Cow::Owned(value), true, variable.range.clone())
                }
            };
            splitter.add(&value, splits, &range);
        }
        Some(splitter.finish())
    }

    /// Writes pieces with every reference as it was written.
    fn write_unset(&self, pieces: &[Piece], out: &mut String, splitter: &mut Splitter) -> Option<()> {
        for piece in pieces {
            match piece {
                Piece::Fault(_) => return None,
                Piece::Text(range) | Piece::Literal(range) => out.push_str(self.slice(range)),
                Piece::Quoted(inner) => self.write_unset(inner, out, splitter)?,
                Piece::Variable(variable) => {
                    let mut operands = Vec::new();
                    for operand in variable.operands() {
                        let mut value = String::new();
                        self.write_unset(operand, &mut value, splitter)?;
                        splitter.forget();
                        operands.push(value);
                    }
                    variable.write_unset(self.slice(&variable.name), &operands, out);
                }
            }
        }
        Some(())
    }
}

/// Collects words from values, some of which end words at blanks.
#[derive(Default)]
struct Splitter {
    words: Vec<(String, Range<u32>)>,
    word: String,
    start: u32,
    end: u32,
}

impl Splitter {
    fn add(&mut self, value: &str, splits: bool, range: &Range<u32>) {
        // Only for text that stands there literally do offsets in the value mean offsets in the range.
        let literal = value.len() == (range.end - range.start) as usize;
        let at = |offset: usize| if literal { range.start + offset as u32 } else { range.start };
        let mut offset = 0;
        // What lies between blanks, with the blank that ends it.
        for part in value.split_inclusive(|c: char| splits && c.is_whitespace()) {
            let text = if splits { part.trim_end() } else { part };
            if !text.is_empty() {
                if self.word.is_empty() {
                    self.start = at(offset);
                }
                self.word.push_str(text);
                self.end = if literal { at(offset + text.len()) } else { range.end };
            }
            if text.len() < part.len() {
                self.flush();
            }
            offset += part.len();
        }
    }

    /// parity: the evaluation of an operand forgets the word begun before it.
    fn forget(&mut self) {
        self.word.clear();
    }

    fn flush(&mut self) {
        if !self.word.is_empty() {
            self.words.push((std::mem::take(&mut self.word), self.start..self.end));
        }
    }

    fn finish(mut self) -> Vec<(String, Range<u32>)> {
        self.flush();
        self.words
    }
}
