//! Reads the pieces of a word: text, quotes, escapes. References are read in `substitution`.

use std::ops::Range;

use super::{Fault, MAX_DEPTH, Mode, Piece};

/// A text that is read from front to back.
pub(super) struct Reader<'t> {
    pub(super) text: &'t str,
    /// What is read so far, in bytes.
    pub(super) position: usize,
    pub(super) escape: char,
    pub(super) mode: Mode,
    /// How many quotes and references are open.
    pub(super) depth: u32,
}

impl Reader<'_> {
    /// Reads pieces until `stop`, which is eaten, or the end of the text.
    pub(super) fn pieces(&mut self, stop: Option<char>, raw_escapes: bool, out: &mut Vec<Piece>) -> Result<(), Fault> {
        let quotes = self.mode != Mode::Document;
        while let Some(c) = self.peek() {
            match c {
                _ if Some(c) == stop => {
                    self.bump(c);
                    return Ok(());
                }
                '$' => self.dollar(out)?,
                '\'' if quotes => self.single_quoted(out)?,
                '"' if quotes => self.double_quoted(raw_escapes, out)?,
                '<' => self.less_than(out),
                _ if c == self.escape => self.escaped(raw_escapes, out),
                _ => self.text(stop, out),
            }
        }
        match stop {
            Some('/') => Err(Fault::Slash),
            Some(_) => Err(Fault::Brace),
            None => Ok(()),
        }
    }

    /// The escape character, which the caller has looked at, and the one it is for.
    fn escaped(&mut self, raw_escapes: bool, out: &mut Vec<Piece>) {
        let start = self.position;
        self.bump(self.escape);
        let after = self.position;
        if let Some(escaped) = self.peek() {
            self.bump(escaped);
        }
        out.push(Piece::Literal(range(if raw_escapes { start } else { after }, self.position)));
    }

    /// Characters that mean nothing; at least one, which the caller has looked at.
    fn text(&mut self, stop: Option<char>, out: &mut Vec<Piece>) {
        let start = self.position;
        let quotes = if self.mode == Mode::Document { *b"$$" } else { *b"'\"" };
        let stop = stop.filter(char::is_ascii).map_or(b'$', |stop| stop as u8);
        self.skip_to([b'$', b'<', self.escape_sign(), stop, quotes[0], quotes[1]]);
        out.push(Piece::Text(range(start, self.position)));
    }

    /// The escape character as a sign to look for, or another one if it is none.
    fn escape_sign(&self) -> u8 {
        if self.escape.is_ascii() { self.escape as u8 } else { b'$' }
    }

    /// Goes to the first of some signs, or to the end. They are ASCII, of which no other character has a byte.
    fn skip_to<const N: usize>(&mut self, signs: [u8; N]) {
        let rest = &self.text.as_bytes()[self.position..];
        let is_sign = |byte| signs.iter().fold(false, |found, sign| found | (byte == *sign));
        self.position += find(rest, is_sign).unwrap_or(rest.len());
    }

    fn single_quoted(&mut self, out: &mut Vec<Piece>) -> Result<(), Fault> {
        let start = self.position;
        let Some(length) = self.text[start + 1..].find('\'') else {
            self.position = self.text.len();
            return Err(Fault::SingleQuote);
        };
        self.position = start + length + 2;
        out.push(Piece::Literal(if self.mode.keeps_quotes() {
            range(start, self.position)
        } else {
            range(start + 1, self.position - 1)
        }));
        Ok(())
    }

    fn double_quoted(&mut self, raw_escapes: bool, out: &mut Vec<Piece>) -> Result<(), Fault> {
        let mut inner = Vec::new();
        self.enter()?;
        let result = self.in_double_quotes(raw_escapes, &mut inner);
        self.depth -= 1;
        if let Err(fault) = result {
            // Kept, so that what goes wrong inside is found before the missing quote.
            inner.push(Piece::Fault(fault.clone()));
            out.push(Piece::Quoted(inner));
            return Err(fault);
        }
        out.push(Piece::Quoted(inner));
        Ok(())
    }

    fn in_double_quotes(&mut self, raw_escapes: bool, out: &mut Vec<Piece>) -> Result<(), Fault> {
        self.quote_sign(out);
        while let Some(c) = self.peek() {
            let start = self.position;
            match c {
                '"' => {
                    self.quote_sign(out);
                    return Ok(());
                }
                '$' => self.dollar(out)?,
                _ if c == self.escape => self.escape_in_quotes(raw_escapes, out),
                _ => {
                    self.skip_to([b'"', b'$', self.escape_sign()]);
                    literal(out, start, self.position);
                }
            }
        }
        Err(Fault::DoubleQuote)
    }

    fn quote_sign(&mut self, out: &mut Vec<Piece>) {
        self.position += 1;
        if self.mode.keeps_quotes() {
            literal(out, self.position - 1, self.position);
        }
    }

    /// In double quotes an escape only works before `"`, `$` and itself, and stays before anything else.
    fn escape_in_quotes(&mut self, raw_escapes: bool, out: &mut Vec<Piece>) {
        let start = self.position;
        self.bump(self.escape);
        let sign = range(start, self.position);
        if raw_escapes {
            out.push(Piece::Literal(sign.clone()));
        }
        match self.peek() {
            None => {}
            Some(c) if c == '"' || c == '$' || c == self.escape => {
                let start = self.position;
                self.bump(c);
                out.push(Piece::Literal(range(start, self.position)));
            }
            // parity: where escapes are kept, one that does not work is written twice.
            Some(_) => out.push(Piece::Literal(sign)),
        }
    }

    /// `<<` and the blanks after it belong together: `<< X` is one word.
    fn less_than(&mut self, out: &mut Vec<Piece>) {
        let start = self.position;
        self.position += 1;
        if self.peek() == Some('<') {
            self.position += 1;
            let rest = &self.text[self.position..];
            self.position += rest.find(|c| !matches!(c, '\t' | '\r' | ' ')).unwrap_or(rest.len());
        }
        out.push(Piece::Literal(range(start, self.position)));
    }

    pub(super) fn enter(&mut self) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(Fault::TooDeep) } else { Ok(()) }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.text[self.position..].chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.bump(c);
        Some(c)
    }

    pub(super) fn bump(&mut self, c: char) {
        self.position += c.len_utf8();
    }
}

/// Adds quoted characters; those that follow others are one piece with them.
fn literal(out: &mut Vec<Piece>, start: usize, end: usize) {
    match out.last_mut() {
        Some(Piece::Literal(last)) if last.end as usize == start => last.end = end as u32,
        _ => out.push(Piece::Literal(range(start, end))),
    }
}

/// Where the first byte is that is a sign: scripts are long, and signs rare. Of 32 bytes a loop is made that looks at many at
/// once, if `is_sign` takes no short cuts; of 16 it is not.
pub(super) fn find(text: &[u8], is_sign: impl Fn(u8) -> bool) -> Option<usize> {
    let (chunks, rest) = text.as_chunks::<32>();
    for (index, chunk) in chunks.iter().enumerate() {
        let mut flags = [0; 32];
        flags.iter_mut().zip(chunk).for_each(|(flag, byte)| *flag = u8::from(is_sign(*byte)));
        let (eights, _) = flags.as_chunks::<8>();
        if let Some(at) = eights.iter().position(|eight| *eight != [0; 8]) {
            let bits = u64::from_le_bytes(eights[at]).trailing_zeros() as usize;
            return Some(32 * index + 8 * at + bits / 8);
        }
    }
    Some(text.len() - rest.len() + rest.iter().position(|byte| is_sign(*byte))?)
}

/// Bytes of a text.
pub(super) fn range(start: usize, end: usize) -> Range<u32> {
    start as u32..end as u32
}
