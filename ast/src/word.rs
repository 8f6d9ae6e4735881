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

use std::borrow::Cow;
use std::ops::Range;

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

/// A part of a [`Word`]. Ranges are bytes of [`Word::text`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Characters as they are. Blanks among them end a word.
    Text(Range<u32>),
    /// Characters as they are, quoted or escaped: blanks among them belong to the word.
    Literal(Range<u32>),
    /// What stands in double quotes: nothing in it ends a word. Where quotes are kept they are literals in it.
    Quoted(Vec<Piece>),
    /// A reference to a variable.
    Variable(Box<Variable>),
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
    /// What is done with its value.
    pub modifier: Modifier,
    /// All of it.
    pub range: Range<u32>,
}

/// What is done with the value of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Modifier {
    /// Nothing.
    None,
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

impl Variable {
    /// The words after the modifier, in the order in which they are to be evaluated.
    pub fn operands(&self) -> impl Iterator<Item = &[Piece]> {
        let (first, second) = match &self.modifier {
            Modifier::None => (None, None),
            Modifier::Default(o) | Modifier::Alternative(o) | Modifier::Required(o) => (Some(&o.pieces), None),
            Modifier::CutPrefix(o) | Modifier::CutSuffix(o) => (Some(&o.pieces), None),
            Modifier::Unknown { operand: o, .. } => (Some(&o.pieces), None),
            Modifier::Replace { pattern, replacement, .. } => (Some(pattern), Some(replacement)),
        };
        first.into_iter().chain(second).map(Vec::as_slice)
    }
}

impl Variable {
    /// Writes the reference back as it was written, its operands evaluated: what becomes of an unset name where names
    /// are kept.
    pub fn write_unset(&self, name: &str, operands: &[String], out: &mut String) {
        if !self.braced {
            out.push('$');
            return out.push_str(name);
        }
        out.push_str("${");
        out.push_str(name);
        let (sign, colon) = match &self.modifier {
            Modifier::None => (None, false),
            Modifier::Default(operand) => (Some('-'), operand.colon),
            Modifier::Alternative(operand) => (Some('+'), operand.colon),
            Modifier::Required(operand) => (Some('?'), operand.colon),
            Modifier::CutPrefix(_) => (Some('#'), false),
            Modifier::CutSuffix(_) => (Some('%'), false),
            Modifier::Unknown { sign, .. } => (Some(*sign), true),
            // parity: the second slash of `//` is lost.
            Modifier::Replace { .. } => (Some('/'), false),
        };
        out.extend(colon.then_some(':'));
        out.extend(sign);
        out.push_str(&operands.join("/"));
        out.push('}');
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
        for (offset, c) in value.char_indices() {
            if splits && c.is_whitespace() {
                self.flush();
                continue;
            }
            if self.word.is_empty() {
                self.start = at(offset);
            }
            self.word.push(c);
            self.end = if literal { at(offset + c.len_utf8()) } else { range.end };
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

/// The bytes from the first to the last piece.
fn extent(pieces: &[Piece]) -> Range<u32> {
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

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

impl<'a> Word<'a> {
    /// Reads `raw`, in which `escape` takes the meaning from the character after it.
    pub fn parse(raw: &'a [u8], escape: u8, mode: Mode) -> Self {
        let mut text = decode(raw);
        // parity: the lexer drops a byte order mark at the start of every word.
        if let Some(rest) = text.strip_prefix('\u{feff}') {
            text = Cow::Owned(rest.to_owned());
        }
        let mut parser = Parser { text: &text, position: 0, escape: char::from(escape), mode, depth: 0 };
        let mut pieces = Vec::new();
        if let Err(fault) = parser.pieces(None, mode == Mode::Line, &mut pieces) {
            pieces.push(Piece::Fault(fault));
        }
        Self { text, mode, pieces }
    }

    /// The characters of a range.
    pub fn slice(&self, range: &Range<u32>) -> &str {
        &self.text[range.start as usize..range.end as usize]
    }

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
                            variable.modifier,
                            Modifier::Default(_) | Modifier::Alternative(_) | Modifier::Required(_)
                        ),
                    });
                }
                Piece::Text(_) | Piece::Literal(_) | Piece::Fault(_) => {}
            }
        }
    }
}

/// Reads `raw` in every mode and checks what holds for any word: for tests and fuzzing.
///
/// Panics when something does not hold.
pub fn check(raw: &[u8], escape: u8) {
    for mode in [Mode::Word, Mode::Name, Mode::Document, Mode::Delimiter, Mode::Line] {
        let word = Word::parse(raw, escape, mode);
        check_pieces(&word, &word.pieces);
        let mentioned = word.references();
        assert!(mentioned.iter().all(|reference| word.text.contains(reference.name)));
        // `words_unset` evaluates everything but what depends on a value.
        assert_eq!(word.words_unset().is_none(), word.first_fault().is_some(), "{raw:?} {mode:?}");
    }
    if is_plain(raw, escape) {
        let word = Word::parse(raw, escape, Mode::Word);
        let text: String = word.pieces.iter().map(|piece| word.slice(&extent(std::slice::from_ref(piece)))).collect();
        assert_eq!(text.as_bytes(), raw);
    }
}

fn check_pieces(word: &Word<'_>, pieces: &[Piece]) {
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            // Slicing panics outside the text and inside a character.
            Piece::Text(range) | Piece::Literal(range) => drop(word.slice(range).len()),
            Piece::Quoted(inner) => check_pieces(word, inner),
            Piece::Variable(variable) => {
                assert!(variable.range.start <= variable.name.start && variable.name.end <= variable.range.end);
                assert!(word.slice(&variable.range).starts_with('$'));
                variable.operands().for_each(|operand| check_pieces(word, operand));
            }
            Piece::Fault(_) => assert_eq!(index + 1, pieces.len(), "a fault is the last piece"),
        }
    }
}

/// Whether no byte of `raw` means anything: then its value is itself in every mode, and its words are what blanks
/// separate. The fast path of evaluators.
pub fn is_plain(raw: &[u8], escape: u8) -> bool {
    raw.iter().all(|b| b.is_ascii() && !matches!(b, b'$' | b'\'' | b'"') && *b != escape)
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

struct Parser<'t> {
    text: &'t str,
    position: usize,
    escape: char,
    mode: Mode,
    depth: u32,
}

impl Parser<'_> {
    /// Reads pieces until `stop`, which is eaten, or the end of the text.
    fn pieces(&mut self, stop: Option<char>, raw_escapes: bool, out: &mut Vec<Piece>) -> Result<(), Fault> {
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
        let quotes = self.mode != Mode::Document;
        let rest = &self.text.as_bytes()[self.position..];
        // Byte by byte: every sign is ASCII, of which no other character has a byte.
        let special = |b: &u8| {
            matches!(b, b'$' | b'<')
                || self.is_escape(*b)
                || stop.is_some_and(|stop| stop == char::from(*b))
                || (quotes && matches!(b, b'\'' | b'"'))
        };
        self.position += rest.iter().position(special).unwrap_or(rest.len());
        out.push(Piece::Text(range(start, self.position)));
    }

    fn is_escape(&self, byte: u8) -> bool {
        byte.is_ascii() && self.escape == char::from(byte)
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
                    let rest = &self.text.as_bytes()[start..];
                    let special = |b: &u8| matches!(b, b'"' | b'$') || self.is_escape(*b);
                    self.position += rest.iter().position(special).unwrap_or(rest.len());
                    out.push(Piece::Literal(range(start, self.position)));
                }
            }
        }
        Err(Fault::DoubleQuote)
    }

    fn quote_sign(&mut self, out: &mut Vec<Piece>) {
        self.position += 1;
        if self.mode.keeps_quotes() {
            out.push(Piece::Literal(range(self.position - 1, self.position)));
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

    fn dollar(&mut self, out: &mut Vec<Piece>) -> Result<(), Fault> {
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
            Piece::Variable(Box::new(Variable { name, braced: false, modifier: Modifier::None, range }))
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
        let result = self.operands(&mut variable.modifier);
        self.depth -= 1;
        variable.range.end = self.position as u32;
        out.push(Piece::Variable(variable));
        result
    }

    fn enter(&mut self) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(Fault::TooDeep) } else { Ok(()) }
    }

    /// Name and modifier, its operands yet to be read.
    fn head(&mut self, start: usize) -> Result<Box<Variable>, Fault> {
        let name = self.name();
        let modifier = self.sign()?;
        Ok(Box::new(Variable { name, braced: true, modifier, range: range(start, start) }))
    }

    /// The modifier, its operands yet to be read.
    fn sign(&mut self) -> Result<Modifier, Fault> {
        let sign = self.next();
        let (colon, sign) = if sign == Some(':') { (true, self.next()) } else { (false, sign) };
        let operand = Operand { colon, pieces: Vec::new() };
        Ok(match (colon, sign) {
            (false, Some('}')) => Modifier::None,
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
        })
    }

    /// Reads the operands up to the brace. A fault is also the last piece of the operand that has it.
    fn operands(&mut self, modifier: &mut Modifier) -> Result<(), Fault> {
        match modifier {
            Modifier::None => Ok(()),
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

    fn name(&mut self) -> Range<u32> {
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

    fn peek(&self) -> Option<char> {
        self.text[self.position..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.bump(c);
        Some(c)
    }

    fn bump(&mut self, c: char) {
        self.position += c.len_utf8();
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
                let looked_up = Variable { modifier: Modifier::None, ..(**variable).clone() };
                pieces.pop();
                pieces.extend(operands);
                if !ends_with_fault(pieces) {
                    pieces.extend([Piece::Variable(Box::new(looked_up)), Piece::Fault(fault.clone())]);
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

fn range(start: usize, end: usize) -> Range<u32> {
    start as u32..end as u32
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces in brackets: `t:`ext, `l:`iteral, `q[`…`]`, `v:`name with its modifier, `!`fault.
    fn show(word: &Word<'_>, pieces: &[Piece]) -> String {
        let operand = |o: &Operand| format!("{}{}", if o.colon { ":" } else { "" }, show(word, &o.pieces));
        let parts = pieces.iter().map(|piece| match piece {
            Piece::Text(range) => format!("t:{}", word.slice(range)),
            Piece::Literal(range) => format!("l:{}", word.slice(range)),
            Piece::Quoted(inner) => format!("q{}", show(word, inner)),
            Piece::Fault(fault) => format!("!{fault}"),
            Piece::Variable(v) => {
                let name = word.slice(&v.name);
                match &v.modifier {
                    Modifier::None => format!("v:{name}"),
                    Modifier::Default(o) => format!("v:{name}-{}", operand(o)),
                    Modifier::Alternative(o) => format!("v:{name}+{}", operand(o)),
                    Modifier::Required(o) => format!("v:{name}?{}", operand(o)),
                    Modifier::CutPrefix(o) => format!("v:{name}#{}", operand(o)),
                    Modifier::CutSuffix(o) => format!("v:{name}%{}", operand(o)),
                    Modifier::Unknown { sign, operand: o } => format!("v:{name}~{sign}{}", operand(o)),
                    Modifier::Replace { all, pattern, replacement } => format!(
                        "v:{name}{}{}{}",
                        if *all { "//" } else { "/" },
                        show(word, pattern),
                        show(word, replacement)
                    ),
                }
            }
        });
        format!("[{}]", parts.collect::<Vec<_>>().join("|"))
    }

    #[track_caller]
    fn check_in(mode: Mode, raw: &str, expected: &str) {
        let word = Word::parse(raw.as_bytes(), b'\\', mode);
        assert_eq!(show(&word, &word.pieces), expected, "{raw}");
    }

    #[track_caller]
    fn check(raw: &str, expected: &str) {
        check_in(Mode::Word, raw, expected);
    }

    #[test]
    fn text_quotes_and_escapes() {
        check("", "[]");
        check("a b", "[t:a b]");
        check(r#"a'b c'"d e"\ f"#, r"[t:a|l:b c|q[l:d e]|l: |t:f]");
        check(r#""a\"b\n\\c""#, r#"[q[l:a|l:"|l:b|l:\|l:n|l:\|l:c]]"#);
        check(r"a\", "[t:a|l:]");
        check("a<b<<  c", "[t:a|l:<|t:b|l:<<  |t:c]");
    }

    #[test]
    fn quotes_by_mode() {
        check_in(Mode::Name, r#"'a'"b"\c"#, r#"[l:'a'|q[l:"|l:b|l:"]|l:c]"#);
        check_in(Mode::Document, r#"'a'"b"\c$d"#, r#"[t:'a'"b"|l:c|v:d]"#);
        check_in(Mode::Line, r#""\n\""\c"#, r#"[q[l:"|l:\|l:\|l:n|l:\|l:"|l:"]|l:\c]"#);
    }

    #[test]
    fn references() {
        check("$a.$b_1$", "[v:a|t:.|v:b_1|t:$]");
        check("$12a$@x", "[v:12|t:a|v:@|t:x]");
        check("${a}${-}", "[v:a|v:-]");
        check("${größe}", "[v:größe]");
        check("${a:-b$c}", "[v:a-:[t:b|v:c]]");
        check("${a+}${a?'x y'}", "[v:a+[]|v:a?[l:x y]]");
        check(r"${a##*/}${a%\}}", r"[v:a#[t:#*/]|v:a%[l:\}]]");
        check("${a/b/c}${a//b/}", "[v:a/[t:b][t:c]|v:a//[t:b][]]");
        check("${a:=b}", "[v:a~=:[t:b]]");
    }

    #[test]
    fn faults() {
        check("a'b", "[t:a|!unexpected end of statement while looking for matching single-quote]");
        check("${a", "[!unsupported modifier (\u{fffd}) in substitution]");
        check("${a:", "[!syntax error: missing '}']");
        check("${}", "[!syntax error: bad substitution]");
        check("${a=b}", "[!unsupported modifier (=) in substitution]");
        check("${a:#b}", "[!unsupported modifier (:#) in substitution]");
    }

    #[test]
    fn what_precedes_a_fault_is_kept() {
        let brace = "!syntax error: missing '}'";
        check("${a:-${z?m}x", &format!("[v:a-:[v:z?[t:m]|t:x|{brace}]|{brace}]"));
        // The reference ends with the text: should it fail, the brace is what is missing all the same.
        check("${a:-${z?m}", &format!("[v:a-:[t:m|v:z|{brace}]|{brace}]"));
        check("${a:-${b/x", &format!("[v:a-:[t:x|{brace}]|{brace}]"));
        check("${a:-${b/x\"", &format!("[v:a-:[t:x|q[{brace}]]|{brace}]"));
        check("${a:-'x", &format!("[v:a-:[{brace}]|{brace}]"));
    }

    #[test]
    fn names_mentioned() {
        let word = Word::parse(b"$a\"${b:-$c}\"${d%$e}", b'\\', Mode::Word);
        let names: Vec<_> = word.references().iter().map(|r| (r.name.to_owned(), r.guarded)).collect();
        let expected = [("a", false), ("c", false), ("b", true), ("e", false), ("d", false)];
        assert_eq!(names, expected.map(|(name, guarded)| (name.to_owned(), guarded)));
    }

    #[test]
    fn words_of_a_line() {
        let words = |raw: &str| {
            let found = Word::parse(raw.as_bytes(), b'\\', Mode::Line).words_unset();
            found.map(|words| words.into_iter().map(|(word, _)| word).collect::<Vec<_>>())
        };
        assert_eq!(
            words(r#"RUN a\ b "c d" $e<< F"#),
            Some(["RUN", r"a\ b", "\"c d\"", "$e<< F"].map(String::from).to_vec())
        );
        assert_eq!(words("a ${b:-c}${d//e/f}"), Some(["a", "${d/e/f}"].map(String::from).to_vec()));
        assert_eq!(words("a 'b"), None);
        let ranges = Word::parse(b"cat  <<X y", b'\\', Mode::Line).words_unset().unwrap_or_default();
        assert_eq!(ranges[1], ("<<X".to_owned(), 5..8));
    }

    #[test]
    fn deep_nesting_is_read_up_to_the_limit() {
        let nested = |open: &str, close: &str, levels| open.repeat(levels) + &close.repeat(levels);
        for (open, close, each) in [("${a:-", "}", 1), ("${a/x", "/}", 1), ("\"${a+", "}\"", 2)] {
            let most = MAX_DEPTH as usize / each;
            check_all(&nested(open, close, most));
            let word = nested(open, close, most);
            let word = Word::parse(word.as_bytes(), b'\\', Mode::Word);
            assert_eq!((word.references().len(), word.first_fault()), (most, None));
            let word = nested(open, close, most + 1);
            let word = Word::parse(word.as_bytes(), b'\\', Mode::Word);
            assert_eq!(word.first_fault(), Some(&Fault::TooDeep), "{open}");
        }
    }

    #[test]
    fn deep_nesting_without_an_end_is_a_fault() {
        for open in ["${a:-", "\"${a:-", "x${a/"] {
            check_all(&open.repeat(MAX_DEPTH as usize));
            let word = open.repeat(100_000);
            let word = Word::parse(word.as_bytes(), b'\\', Mode::Word);
            assert!(matches!(word.pieces.last(), Some(Piece::Fault(_))));
        }
    }

    fn check_all(raw: &str) {
        super::check(raw.as_bytes(), b'\\');
    }

    #[test]
    fn bytes_that_are_no_text() {
        assert_eq!(decode(b"a\xe2\x82b\xff"), "a\u{fffd}\u{fffd}b\u{fffd}");
        assert!(is_plain(b"a/b:c", b'\\') && !is_plain(b"$a", b'\\') && !is_plain(b"a`", b'`'));
        assert!(!is_plain(b"\xff", b'\\'), "what is not UTF-8 becomes U+FFFD");
    }
}
