//! Reads `$name` and `${…}`.

use std::ops::Range;

use super::reader::{Reader, range};
use super::{Fault, Modifier, Operand, Piece, Variable};

impl Reader<'_> {
    pub(super) fn dollar(&mut self, out: &mut Vec<Piece>) -> Result<(), Fault> {
        let start = self.position;
        self.position += 1;
        if self.peek() == Some('{') {
            self.position += 1;
            return self.braced(start, out);
        }
        self.bare(start, out);
        Ok(())
    }

    fn bare(&mut self, start: usize, out: &mut Vec<Piece>) {
        let name = self.name();
        let range = range(start, self.position);
        out.push(if name.is_empty() {
            Piece::Text(range)
        } else {
            Piece::Variable(Variable { name, braced: false, modifier: None, range })
        });
    }

    fn braced(&mut self, start: usize, out: &mut Vec<Piece>) -> Result<(), Fault> {
        match self.peek() {
            None => return Err(Fault::Brace),
            Some('{' | '}' | ':') => return Err(Fault::BadSubstitution),
            Some(_) => {}
        }
        self.enter()?;
        let mut variable = self.head(start)?;
        // An operand with a fault is kept because what it holds is evaluated before the fault is met.
        let result = variable.modifier.as_deref_mut().map_or(Ok(()), |modifier| self.operands(modifier));
        self.depth -= 1;
        variable.range.end = self.position as u32;
        out.push(Piece::Variable(variable));
        result
    }

    /// Name and modifier, its operands yet to be read.
    fn head(&mut self, start: usize) -> Result<Variable, Fault> {
        let name = self.name();
        let modifier = self.sign()?;
        Ok(Variable { name, braced: true, modifier, range: range(start, start) })
    }

    /// The modifier, its operands yet to be read.
    fn sign(&mut self) -> Result<Option<Box<Modifier>>, Fault> {
        let sign = self.next();
        let (colon, sign) = if sign == Some(':') { (true, self.next()) } else { (false, sign) };
        let operand = Operand { colon, pieces: Vec::new() };
        Ok(Some(Box::new(match (colon, sign) {
            (false, Some('}')) => return Ok(None),
            (false, Some('/')) => {
                let all = self.peek() == Some('/');
                self.position += usize::from(all);
                Modifier::Replace { all, pattern: Vec::new(), replacement: Vec::new() }
            }
            (false, Some('#')) => Modifier::CutPrefix(operand),
            (false, Some('%')) => Modifier::CutSuffix(operand),
            (_, Some('-')) => Modifier::Default(operand),
            (_, Some('+')) => Modifier::Alternative(operand),
            (_, Some('?')) => Modifier::Required(operand),
            (true, Some(sign)) if !matches!(sign, '#' | '%') => Modifier::Unknown { sign, operand },
            // parity: Go prints its end-of-text sign as U+FFFD; after a colon the missing brace is found first.
            (true, None) => return Err(Fault::Brace),
            (true, Some(sign)) => return Err(Fault::Modifier(format!(":{sign}"))),
            (false, sign) => return Err(Fault::Modifier(sign.unwrap_or('\u{fffd}').to_string())),
        })))
    }

    /// Reads the operands up to the brace. A fault is also the last piece of the operand that has it.
    fn operands(&mut self, modifier: &mut Modifier) -> Result<(), Fault> {
        match modifier {
            Modifier::Replace { pattern, replacement, .. } => {
                self.operand('/', true, pattern)?;
                self.operand('}', true, replacement)
            }
            Modifier::CutPrefix(operand) | Modifier::CutSuffix(operand) => self.operand('}', true, &mut operand.pieces),
            Modifier::Default(operand)
            | Modifier::Alternative(operand)
            | Modifier::Required(operand)
            | Modifier::Unknown { operand, .. } => self.operand('}', false, &mut operand.pieces),
        }
    }

    fn operand(&mut self, stop: char, raw_escapes: bool, out: &mut Vec<Piece>) -> Result<(), Fault> {
        self.pieces(Some(stop), raw_escapes, out).map_err(|fault| {
            let fault = match stop {
                // Whatever is wrong at the end of the text, what is reported is the missing partner.
                _ if self.position < self.text.len() => fault,
                '/' => Fault::Slash,
                _ => Fault::Brace,
            };
            seal(out, self.text.len(), &fault);
            fault
        })
    }

    pub(super) fn name(&mut self) -> Range<u32> {
        let start = self.position;
        let rest = &self.text[start..];
        let is_name = |c: char| c.is_alphabetic() || is_digit(c) || c == '_';
        self.position += match rest.chars().next() {
            Some(c) if is_digit(c) => rest.find(|c| !is_digit(c)).unwrap_or(rest.len()),
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => 1,
            _ => rest.find(|c| !is_name(c)).unwrap_or(rest.len()),
        };
        range(start, self.position)
    }
}

/// Ends an operand that stops with a fault. Where the fault is at the end of the text, it is also what is reported
/// when the evaluation of a reference that ends there fails: so of such references only the operands and the name are
/// kept, for both are looked at before.
fn seal(pieces: &mut Vec<Piece>, end: usize, fault: &Fault) {
    loop {
        match pieces.last_mut() {
            Some(Piece::Fault(_)) => {
                pieces.pop();
            }
            Some(Piece::Variable(variable)) if variable.range.end as usize == end => {
                let operands: Vec<Piece> = variable.operands().flatten().cloned().collect();
                let looked_up = Variable { modifier: None, ..variable.clone() };
                pieces.pop();
                pieces.extend(operands);
                if !ends_with_fault(pieces) {
                    pieces.extend([Piece::Variable(looked_up), Piece::Fault(fault.clone())]);
                    return;
                }
            }
            Some(Piece::Quoted(inner)) if matches!(inner.last(), Some(Piece::Fault(_))) => {
                return seal(inner, end, fault);
            }
            _ => return pieces.push(Piece::Fault(fault.clone())),
        }
    }
}

/// A decimal digit of any script.
fn is_digit(c: char) -> bool {
    c.is_ascii_digit() || (!c.is_ascii() && is_decimal(c))
}

/// Digit zeros of the scripts in common use; each is followed by the other nine.
fn is_decimal(c: char) -> bool {
    const ZEROS: [u32; 20] = [
        0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50, 0xed0, 0xf20,
        0x1040, 0x17e0, 0x1810, 0xff10, 0x1d7ce,
    ];
    ZEROS.iter().any(|zero| (*zero..*zero + 10).contains(&(c as u32)))
}

/// Whether the evaluation of these pieces, as far as they are read, meets a fault.
fn ends_with_fault(pieces: &[Piece]) -> bool {
    match pieces.last() {
        Some(Piece::Fault(_)) => true,
        Some(Piece::Quoted(inner)) => ends_with_fault(inner),
        Some(Piece::Variable(variable)) => variable.operands().any(ends_with_fault),
        Some(Piece::Text(_) | Piece::Literal(_)) | None => false,
    }
}
