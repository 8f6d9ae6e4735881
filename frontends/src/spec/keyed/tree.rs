//! The places of keys and values in any text, however broken.
//!
//! The lexer is TOML's own; what follows a mistake is found again by lines: a header at the start of a line ends
//! whatever is open, and so does a key with its sign in a list. The parser of values (`toml::de`) is not for this: it
//! has no places of keys that lack a value, and an open bracket takes everything after it.

use ast::{FileId, Span};
use toml_parser::Source;
use toml_parser::lexer::{Token, TokenKind};

use crate::keyed::{Entry, Key, Section, Tree, Value, ValueKind};

/// Brackets inside brackets that are looked into: TOML's own reader stops earlier.
const MAX_DEPTH: u32 = 96;

/// Reads a text.
pub(super) fn read(text: &str) -> Tree {
    let source = Source::new(text);
    let tokens = source.lex().into_vec();
    let mut parser = Parser { source, text, tokens: &tokens, at: 0, comments: Vec::new() };
    let sections = parser.sections();
    Tree { sections, comments: parser.comments }
}

struct Parser<'t> {
    source: Source<'t>,
    text: &'t str,
    tokens: &'t [Token],
    at: usize,
    comments: Vec<Span>,
}

impl Parser<'_> {
    fn kind_of(&self, at: usize) -> TokenKind {
        self.tokens.get(at).map_or(TokenKind::Eof, Token::kind)
    }

    fn kind(&self) -> TokenKind {
        self.kind_of(self.at)
    }

    fn span_of(&self, at: usize) -> Span {
        let (start, end) = match self.tokens.get(at) {
            Some(token) => (token.span().start(), token.span().end()),
            None => (self.text.len(), self.text.len()),
        };
        Span::new(FileId(0), start as u32, end as u32)
    }

    fn span(&self) -> Span {
        self.span_of(self.at)
    }

    /// The end of what was taken.
    fn end(&self) -> u32 {
        self.at.checked_sub(1).map_or(0, |before| self.span_of(before).end)
    }

    fn take(&mut self, kind: TokenKind) -> bool {
        let is_next = self.kind() == kind;
        self.at += usize::from(is_next);
        is_next
    }

    fn blanks(&mut self) {
        while self.take(TokenKind::Whitespace) {}
    }

    /// Passes over everything that means nothing; returns whether lines end in it.
    fn trivia(&mut self) -> bool {
        let mut ends = false;
        loop {
            match self.kind() {
                TokenKind::Comment => self.comments.push(self.span()),
                TokenKind::Newline => ends = true,
                TokenKind::Whitespace => {}
                _ => return ends,
            }
            self.at += 1;
        }
    }

    /// Passes over what is left of a line.
    fn line(&mut self) {
        while !matches!(self.kind(), TokenKind::Newline | TokenKind::Eof) {
            if self.kind() == TokenKind::Comment {
                self.comments.push(self.span());
            }
            self.at += 1;
        }
    }

    fn sections(&mut self) -> Vec<Section> {
        let mut sections = vec![Section { closed: true, ..Section::default() }];
        loop {
            self.trivia();
            let last = sections.last_mut().expect("there is a first");
            match self.kind() {
                TokenKind::Eof => return sections,
                TokenKind::LeftSquareBracket => sections.push(self.header()),
                _ => match self.entry(0) {
                    Some(entry) => {
                        last.span.end = entry.span.end;
                        last.entries.push(entry);
                    }
                    None => self.at += 1,
                },
            }
            self.line();
        }
    }

    fn header(&mut self) -> Section {
        let start = self.span().start;
        self.at += 1;
        let repeated = self.take(TokenKind::LeftSquareBracket);
        let path = self.keys();
        let closed =
            self.take(TokenKind::RightSquareBracket) && (!repeated || self.take(TokenKind::RightSquareBracket));
        let header = Span::new(FileId(0), start, self.end());
        Section { header, path, repeated, closed, entries: Vec::new(), span: header }
    }

    /// Whether a header starts here, so that whatever is open was forgotten: nothing in a list looks like it.
    fn at_header(&self) -> bool {
        let mut before = self.at;
        while before > 0 && self.kind_of(before - 1) == TokenKind::Whitespace {
            before -= 1;
        }
        if before > 0 && self.kind_of(before - 1) != TokenKind::Newline {
            return false;
        }
        let mut at = self.at;
        let mut brackets = 0;
        while self.kind_of(at) == TokenKind::LeftSquareBracket {
            brackets += 1;
            at += 1;
        }
        let first = self.text.get(self.span_of(at).start as usize..self.span_of(at).end as usize).unwrap_or_default();
        let is_name = first.starts_with(|c: char| c.is_ascii_alphabetic()) && !matches!(first, "true" | "false");
        (brackets == 1 || brackets == 2) && self.kind_of(at) == TokenKind::Atom && is_name
    }

    fn is_key(kind: TokenKind) -> bool {
        matches!(kind, TokenKind::Atom | TokenKind::BasicString | TokenKind::LiteralString)
    }

    /// The parts of a key; one that ends in a dot has an empty last part.
    fn keys(&mut self) -> Vec<Key> {
        let mut keys = Vec::new();
        loop {
            let after_dot = self.end();
            self.blanks();
            if !Self::is_key(self.kind()) {
                if !keys.is_empty() {
                    keys.push(Key { text: String::new(), span: Span::new(FileId(0), after_dot, after_dot) });
                }
                return keys;
            }
            let mut text = String::new();
            if let Some(raw) = self.tokens.get(self.at).and_then(|token| self.source.get(token)) {
                raw.decode_key(&mut text, &mut ());
            }
            keys.push(Key { text, span: self.span() });
            self.at += 1;
            let key_end = self.at;
            self.blanks();
            if !self.take(TokenKind::Dot) {
                self.at = key_end;
                return keys;
            }
        }
    }

    fn entry(&mut self, depth: u32) -> Option<Entry> {
        let start = self.span().start;
        let keys = self.keys();
        if keys.is_empty() {
            return None;
        }
        let key_end = self.at;
        self.blanks();
        let assigned = self.take(TokenKind::Equals);
        if !assigned {
            self.at = key_end;
        }
        let end = self.end();
        if assigned {
            self.blanks();
        }
        let value = if assigned { self.value(depth) } else { None };
        let end = value.as_ref().map_or(end, |value| value.span.end);
        Some(Entry { keys, assigned, value, span: Span::new(FileId(0), start, end) })
    }

    fn value(&mut self, depth: u32) -> Option<Value> {
        let span = self.span();
        match self.kind() {
            TokenKind::BasicString | TokenKind::LiteralString => self.text_value(1),
            TokenKind::MlBasicString | TokenKind::MlLiteralString => self.text_value(3),
            TokenKind::LeftSquareBracket if depth < MAX_DEPTH => Some(self.list(depth + 1)),
            TokenKind::LeftCurlyBracket if depth < MAX_DEPTH => Some(self.table(depth + 1)),
            TokenKind::Atom | TokenKind::Dot => {
                while matches!(self.kind(), TokenKind::Atom | TokenKind::Dot) {
                    self.at += 1;
                }
                Some(Value { kind: ValueKind::Plain, span: Span { end: self.end(), ..span } })
            }
            _ => None,
        }
    }

    fn text_value(&mut self, quotes: usize) -> Option<Value> {
        let span = self.span();
        let raw = self.text.get(span.start as usize..span.end as usize)?;
        let quote = raw.chars().next()?;
        let inner = raw.get(quotes..).unwrap_or_default();
        let ending = inner.len() - inner.trim_end_matches(quote).len();
        let content = inner.len().saturating_sub(quotes);
        let before = inner.get(..content).unwrap_or_default();
        let backslashes = before.len() - before.trim_end_matches('\\').len();
        let escaped = quote == '"' && backslashes % 2 == 1 && ending == quotes;
        let closed = ending >= quotes && !escaped;
        self.at += 1;
        let start = span.start + quotes.min(raw.len()) as u32;
        let end = if closed { span.end - quotes as u32 } else { span.end };
        let inner = Span { start, end: end.max(start), ..span };
        Some(Value { kind: ValueKind::Text { inner, closed }, span })
    }

    fn list(&mut self, depth: u32) -> Value {
        let span = self.span();
        self.at += 1;
        let (mut items, mut open, mut closed) = (Vec::new(), true, false);
        loop {
            self.trivia();
            let start = self.at;
            match self.kind() {
                TokenKind::Eof => break,
                TokenKind::RightSquareBracket => {
                    self.at += 1;
                    closed = true;
                    break;
                }
                TokenKind::Comma => {
                    self.at += 1;
                    open = true;
                }
                TokenKind::LeftSquareBracket if self.at_header() => break,
                _ => match self.value(depth) {
                    Some(value) => {
                        self.blanks();
                        if self.kind() == TokenKind::Equals {
                            // This is a key: the list was forgotten.
                            self.at = start;
                            break;
                        }
                        items.push(value);
                        open = false;
                    }
                    None => self.at += 1,
                },
            }
        }
        self.bracketed(span, closed, ValueKind::List { items, open, closed })
    }

    fn table(&mut self, depth: u32) -> Value {
        let span = self.span();
        self.at += 1;
        let (mut entries, mut open, mut closed) = (Vec::new(), true, false);
        loop {
            let is_new_line = self.trivia();
            match self.kind() {
                TokenKind::Eof | TokenKind::RightSquareBracket => break,
                TokenKind::RightCurlyBracket => {
                    self.at += 1;
                    closed = true;
                    break;
                }
                TokenKind::Comma => {
                    self.at += 1;
                    open = true;
                }
                TokenKind::LeftSquareBracket if self.at_header() => break,
                _ if is_new_line && !open => break,
                _ => match self.entry(depth) {
                    Some(entry) => {
                        entries.push(entry);
                        open = false;
                    }
                    None => self.at += 1,
                },
            }
        }
        self.bracketed(span, closed, ValueKind::Table { entries, open, closed })
    }

    /// One that is not closed ends where the last thing in it does, not with the blanks that follow.
    fn bracketed(&mut self, open: Span, closed: bool, kind: ValueKind) -> Value {
        let last = match &kind {
            ValueKind::List { items, .. } => items.last().map(|item| item.span.end),
            ValueKind::Table { entries, .. } => entries.last().map(|entry| entry.span.end),
            ValueKind::Text { .. } | ValueKind::Plain => None,
        };
        let end = if closed { self.end() } else { last.unwrap_or(open.end) };
        if !closed {
            self.back_to_line();
        }
        Value { kind, span: Span { end: end.max(open.end), ..open } }
    }

    /// Back to the end of the last line before what ended something that was forgotten.
    fn back_to_line(&mut self) {
        let mut at = self.at;
        while at > 0 && self.kind_of(at - 1) == TokenKind::Whitespace {
            at -= 1;
        }
        if at > 0 && self.kind_of(at - 1) == TokenKind::Newline {
            self.at = at - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, value: &Value) -> String {
        let open = |closed: bool| if closed { "" } else { "…" };
        match &value.kind {
            ValueKind::Text { inner, closed } => {
                format!("'{}'{}", &text[inner.start as usize..inner.end as usize], open(*closed))
            }
            ValueKind::Plain => text[value.span.start as usize..value.span.end as usize].to_owned(),
            ValueKind::List { items, closed, .. } => {
                let items: Vec<_> = items.iter().map(|item| self::value(text, item)).collect();
                format!("[{}]{}", items.join(" "), open(*closed))
            }
            ValueKind::Table { entries, closed, .. } => format!("{{{}}}{}", shown(text, entries), open(*closed)),
        }
    }

    fn shown(text: &str, entries: &[Entry]) -> String {
        let entry = |entry: &Entry| {
            let keys: Vec<_> = entry.keys.iter().map(|key| key.text.as_str()).collect();
            let sign = if entry.assigned { "=" } else { "" };
            format!("{}{sign}{}", keys.join("."), entry.value.as_ref().map_or(String::new(), |v| value(text, v)))
        };
        entries.iter().map(entry).collect::<Vec<_>>().join(" ")
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let tree = read(text);
        let section = |section: &Section| {
            let path: Vec<_> = section.path.iter().map(|key| key.text.as_str()).collect();
            let many = if section.repeated { "*" } else { "" };
            format!("{}{many}: {}", path.join("."), shown(text, &section.entries))
        };
        let found: Vec<_> = tree.sections.iter().map(section).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn everything_there_is() {
        check(
            "spec = 1\n[a.\"b c\"] # note\nx.y = [\"p\", 1.5, { q = true }]\n[[d]]\ns = \"\"\"\n[e]\n\"\"\"\n",
            &[": spec=1", "a.b c: x.y=['p' 1.5 {q=true}]", "d*: s='\n[e]\n'"],
        );
        check("a = '\\'\nb = \"\\\"\"\n", &[": a='\\' b='\\\"'"]);
    }

    #[test]
    fn what_is_half_written() {
        check("[image.a]\nfr\nx = \n[im\n", &[": ", "image.a: fr x=", "im: "]);
        check("a = [\"b\",\n[c]\nd = \"e\n", &[": a=['b']…", "c: d='e'…"]);
        check("a = [{ b = 1, c\nd = 2\n", &[": a=[{b=1 c}…]… d=2"]);
        check("a = [\nb = 1\n", &[": a=[]… b=1"]);
        check("a.\n= 1\n[[x.", &[": a.", "x.*: "]);
    }

    #[test]
    fn deep_brackets_end() {
        for open in ["[", "{a=", "[{a="] {
            assert_eq!(read(&format!("x = {}", open.repeat(100_000))).sections.len(), 1);
        }
    }
}
