//! The shell-word language: quotes, escapes, `$name`, `${name}` and the modifiers, as a tree that an evaluator walks.
//!
//! Only structure is decided here. What a variable is worth is the planner's business; what a word *mentions*
//! ([`Word::references`]) serves rules and the editor. Parsing never fails: what cannot be read is a last
//! [`Piece::Fault`], because an evaluator must first report what goes wrong before it.
//!
//! Mirrors the shell lexer of BuildKit v0.32. Quirks that a walk must keep:
//! - Operands are evaluated even when their value is not used: an error in them counts.
//! - Splitting into words ([`Piece::Text`] and unquoted variables split at Unicode blanks, the rest does not): the
//!   evaluation of an operand forgets the word begun before it, so `a${X:-b}` is the one word `b`.
//! - A reference to an unset name is written back when names are kept ([`Mode::Name`]), with its operand evaluated.

mod fault;
mod invariants;
mod mentions;
mod pieces;
mod reader;
mod split;
mod substitution;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

pub use fault::Fault;
pub use invariants::check;
pub use mentions::Reference;
pub use pieces::{Modifier, Operand, Piece, Variable};

use reader::Reader;

/// How quotes and escapes are read and what becomes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Quotes and escapes are taken away; unset names are empty. Arguments of instructions.
    Word,
    /// Quotes stay, escapes go, unset names stay as written. Names of steps.
    Name,
    /// Quotes are ordinary characters. Bodies of documents.
    Document,
    /// Quotes and escapes go, unset names stay as written. Delimiters of documents.
    Delimiter,
    /// Quotes and escapes stay, unset names stay: a line in which openers of documents are looked for.
    Line,
}

impl Mode {
    /// Whether a reference to an unset name is written back as it was.
    pub fn keeps_unset(self) -> bool {
        matches!(self, Self::Name | Self::Delimiter | Self::Line)
    }

    fn keeps_quotes(self) -> bool {
        matches!(self, Self::Name | Self::Line)
    }
}

/// How deep operands and quotes may be nested: more is a [`Fault::TooDeep`]. Real files stay below ten. Walks recurse: so many levels
/// fit the stack of a thread (2 MiB) even where nothing is optimized.
pub const MAX_DEPTH: u32 = 1024;

/// Bytes of a piece in most long words.
const TYPICAL_PIECE: usize = 24;

/// A parsed word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word<'a> {
    /// What the ranges of the pieces point into: the text, each byte that is not UTF-8 replaced by U+FFFD.
    pub text: Cow<'a, str>,
    /// How it was read.
    pub mode: Mode,
    /// What it is made of.
    pub pieces: Vec<Piece>,
}
impl<'a> Word<'a> {
    /// Reads `raw`, in which `escape` takes the meaning from the character after it.
    pub fn parse(raw: &'a [u8], escape: u8, mode: Mode) -> Self {
        let mut text = decode(raw);
        // parity: the lexer drops a byte order mark at the start of every word.
        if let Some(rest) = text.strip_prefix('\u{feff}') {
            text = Cow::Owned(rest.to_owned());
        }
        let mut reader = Reader { text: &text, position: 0, escape: char::from(escape), mode, depth: 0 };
        let mut pieces = Vec::with_capacity(4 + text.len() / TYPICAL_PIECE);
        if let Err(fault) = reader.pieces(None, mode == Mode::Line, &mut pieces) {
            pieces.push(Piece::Fault(fault));
        }
        Self { text, mode, pieces }
    }

    /// The characters of a range.
    pub fn slice(&self, range: &Range<u32>) -> &str {
        &self.text[range.start as usize..range.end as usize]
    }
}

/// The value of a text in [`Mode::Name`], or in [`Mode::Word`] if it has no quotes, as far as that can be told at a glance:
/// nothing is escaped, and it mentions names alone (`$name`, `${name}`). So are most scripts, whose variables are the shell's:
/// where none is set, the text is its own value.
///
/// `value` is that of a name, if it has one; without, the name stays as it is written. Values of more than `limit` bytes
/// together are left to the walk, which says so.
pub fn at_a_glance<'t, 'v>(
    text: &'t str,
    escape: u8,
    limit: usize,
    mut value: impl FnMut(&str) -> Result<Option<&'v str>, Unknown>,
) -> Option<Cow<'t, str>> {
    if !text.is_ascii() || memchr::memchr(escape, text.as_bytes()).is_some() {
        return None;
    }
    let mut reader = Reader { text, position: 0, escape: char::from(escape), mode: Mode::Name, depth: 0 };
    let (mut written, mut length, mut values) = (0, 0, String::new());
    while let Some(at) = memchr::memchr(b'$', &text.as_bytes()[reader.position..]) {
        let start = reader.position + at;
        reader.position = start + 1;
        let braced = reader.peek() == Some('{');
        reader.position += usize::from(braced);
        let name = reader.name();
        if braced && (name.is_empty() || reader.next() != Some('}')) {
            return None;
        }
        if name.is_empty() {
            continue;
        }
        let Some(value) = value(&text[name.start as usize..name.end as usize]).ok()? else { continue };
        length += value.len();
        if (written == 0 && !has_plain_quotes(text)) || length > limit {
            return None;
        }
        values.reserve(text.len() - written + value.len());
        values.push_str(&text[written..start]);
        values.push_str(value);
        written = reader.position;
    }
    if written == 0 {
        return Some(text.into());
    }
    values.push_str(&text[written..]);
    Some(values.into())
}

/// What is not known yet.
#[derive(Clone, Copy, Debug)]
pub struct Unknown;

/// Whether quotes change nothing: in single ones no name is looked up, and double ones that stay open are a fault.
fn has_plain_quotes(text: &str) -> bool {
    memchr::memchr(b'\'', text.as_bytes()).is_none()
        && memchr::memchr_iter(b'"', text.as_bytes()).count().is_multiple_of(2)
}

/// Whether no byte of `raw` means anything: then its value is itself in every mode, and its words are what blanks
/// separate. The fast path of evaluators.
pub fn is_plain(raw: &[u8], escape: u8) -> bool {
    let means = |b: u8| !b.is_ascii() | (b == b'$') | (b == b'\'') | (b == b'"') | (b == escape);
    reader::find(raw, means).is_none()
}

/// What quotes hold, if they hold all of `raw` and nothing in them means anything: that is its value in [`Mode::Word`].
pub fn in_quotes(raw: &[u8], escape: u8) -> Option<&[u8]> {
    let [quote @ (b'\'' | b'"'), inner @ .., end] = raw else { return None };
    (end == quote && is_plain(inner, escape)).then_some(inner)
}

/// Text as Go decodes it: every byte that belongs to no character becomes U+FFFD by itself.
pub fn decode(raw: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(raw) {
        Ok(text) => text.into(),
        Err(_) => raw
            .utf8_chunks()
            .flat_map(|chunk| chunk.valid().chars().chain(chunk.invalid().iter().map(|_| '\u{fffd}')))
            .collect::<String>()
            .into(),
    }
}
