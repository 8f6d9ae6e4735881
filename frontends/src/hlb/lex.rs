//! Tokens: a stack of modes, one set of rules each, made by logos.
//!
//! Mirrors HLB's lexer, where the first rule that matches wins and rules do not see what stands before them: a keyword ends
//! where its letters end (`as:x` is `as` and `:x`), a terminator counts wherever a token may begin. What no rule takes is
//! one [`Kind::Invalid`], so that the whole text always has tokens.

use std::ops::Range;

use logos::Logos;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Import,
    Export,
    With,
    As,
    /// `0x1f`, `0o755`, `0b1`.
    Numeric,
    Decimal,
    Bool,
    Ident,
    /// The dot of `module.name`.
    Dot,
    Comma,
    /// Before the default of a parameter, and after the name of an argument.
    Equals,
    /// `==`.
    Same,
    /// `!=`.
    Different,
    Semicolon,
    Newline,
    /// With its line break, where there is one.
    Comment,
    OpenBrace,
    CloseBrace,
    OpenParen,
    CloseParen,
    OpenQuote,
    CloseQuote,
    OpenRaw,
    CloseRaw,
    /// `<<WORD`.
    OpenHeredoc,
    /// ``<<`WORD` ``.
    OpenRawHeredoc,
    CloseHeredoc,
    OpenHole,
    CloseHole,
    /// A backslash and the character after it.
    Escaped,
    /// Text of a string or a document.
    Text,
    /// No token.
    Invalid,
    Eof,
}

/// A token; white space between tokens has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Bytes of the text.
    pub(super) range: Range<u32>,
}

/// The rules outside of strings.
#[derive(Logos, Clone, Copy, PartialEq)]
enum Code {
    #[regex("[0-9A-Za-z_]+")]
    Word,
    /// What may go on a word that is no keyword and no number.
    #[regex(":[0-9A-Za-z_:]*")]
    Tail,
    #[token("\"")]
    Quote,
    #[token("`")]
    Raw,
    #[regex("<<[-~]?[0-9A-Za-z_]+")]
    Heredoc,
    #[regex("<<[-~]?`[0-9A-Za-z_]+`")]
    RawHeredoc,
    #[token("{")]
    OpenBrace,
    #[token("}")]
    CloseBrace,
    #[token("(")]
    OpenParen,
    #[token(")")]
    CloseParen,
    #[token(",")]
    Comma,
    #[token("=")]
    Equals,
    #[token("==")]
    Same,
    #[token("!=")]
    Different,
    #[token(";")]
    Semicolon,
    #[token("\n")]
    Newline,
    #[regex("#[^\n]*\n?", allow_greedy = true)]
    Comment,
    #[regex("[\r\t ]+")]
    Space,
}

/// The rules of `"…"`.
#[derive(Logos, Clone, Copy, PartialEq)]
enum Quoted {
    #[token("\"")]
    End,
    #[regex(r"\\[^\n]")]
    Escaped,
    #[token("${")]
    Hole,
    #[regex(r#"\$|[^"$\\]+"#)]
    Text,
}

/// The rules of a document with holes.
#[derive(Logos, Clone, Copy, PartialEq)]
enum Document {
    #[regex(r"[ \t\n\r\x0c]+")]
    Space,
    #[regex(r"\\[^\n]", priority = 10)]
    Escaped,
    #[token("${")]
    Hole,
    #[regex(r"\$|[^$ \t\n\r\x0c\\][^$ \t\n\r\x0c]*|\\")]
    Text,
}

/// What the lexer is in.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mode {
    Braces,
    Parens,
    Hole,
    Quoted,
    Raw,
    /// Until its word; with holes or without.
    Heredoc(Range<u32>, bool),
}

/// The tokens of a text; the last is [`Kind::Eof`].
pub(super) fn lex(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { text, at: 0, modes: Vec::new(), tokens: Vec::with_capacity(text.len() / 4) };
    while lexer.at < text.len() {
        lexer.step();
    }
    lexer.push(Kind::Eof, 0);
    lexer.tokens
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    modes: Vec<Mode>,
    tokens: Vec<Token>,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let range = self.at as u32..(self.at + length) as u32;
        self.at += length;
        self.tokens.push(Token { kind, range });
    }

    fn open(&mut self, kind: Kind, length: usize, mode: Mode) {
        self.push(kind, length);
        self.modes.push(mode);
    }

    fn close(&mut self, kind: Kind, length: usize) {
        self.push(kind, length);
        self.modes.pop();
    }

    fn invalid(&mut self) {
        let length = self.rest().chars().next().map_or(1, char::len_utf8);
        self.push(Kind::Invalid, length);
    }

    fn step(&mut self) {
        match self.modes.last() {
            Some(Mode::Quoted) => self.quoted(),
            Some(Mode::Raw) => self.raw(),
            Some(Mode::Heredoc(word, holes)) => {
                let (word, holes) = (word.clone(), *holes);
                self.heredoc(word, holes);
            }
            _ => self.code(),
        }
    }

    fn code(&mut self) {
        let mut rules = Code::lexer(self.rest());
        let Some(Ok(rule)) = rules.next() else { return self.invalid() };
        let length = rules.slice().len();
        match (rule, self.modes.last()) {
            (Code::Space, _) => self.at += length,
            (Code::Word, _) => self.word(length),
            (Code::Tail, _) => self.name(length),
            (Code::Quote, _) => self.open(Kind::OpenQuote, 1, Mode::Quoted),
            (Code::Raw, _) => self.open(Kind::OpenRaw, 1, Mode::Raw),
            (Code::Heredoc | Code::RawHeredoc, _) => self.open_heredoc(length, rule == Code::Heredoc),
            (Code::OpenBrace, _) => self.open(Kind::OpenBrace, 1, Mode::Braces),
            (Code::OpenParen, _) => self.open(Kind::OpenParen, 1, Mode::Parens),
            (Code::CloseBrace, Some(Mode::Braces)) => self.close(Kind::CloseBrace, 1),
            (Code::CloseBrace, Some(Mode::Hole)) => self.close(Kind::CloseHole, 1),
            (Code::CloseParen, Some(Mode::Parens)) => self.close(Kind::CloseParen, 1),
            (Code::Comma, Some(Mode::Parens)) => self.push(Kind::Comma, 1),
            (Code::Equals, Some(_)) if self.follows_name() => self.push(Kind::Equals, 1),
            (Code::Same, Some(Mode::Braces)) => self.push(Kind::Same, length),
            (Code::Different, Some(Mode::Braces)) => self.push(Kind::Different, length),
            (Code::CloseBrace | Code::CloseParen | Code::Comma | Code::Equals | Code::Same | Code::Different, _) => {
                self.invalid();
            }
            (Code::Semicolon, _) => self.push(Kind::Semicolon, 1),
            (Code::Newline, _) => self.push(Kind::Newline, 1),
            (Code::Comment, _) => self.push(Kind::Comment, length),
        }
    }

    fn follows_name(&self) -> bool {
        self.tokens.last().is_some_and(|token| token.kind == Kind::Ident)
    }

    fn word(&mut self, length: usize) {
        match fixed(&self.rest()[..length]) {
            Some(kind) => self.push(kind, length),
            None => self.name(length),
        }
    }

    /// A name whose first bytes are known, with all that belongs to it; a dot and a further name that touch it, too.
    fn name(&mut self, length: usize) {
        let length = length + name_length(&self.rest()[length..]);
        self.push(Kind::Ident, length);
        while self.rest().starts_with('.') {
            self.push(Kind::Dot, 1);
            let length = name_length(self.rest());
            if length == 0 {
                return;
            }
            self.push(Kind::Ident, length);
        }
    }

    fn open_heredoc(&mut self, length: usize, holes: bool) {
        let start = self.at;
        let opener = &self.rest()[..length];
        let word = opener.trim_start_matches(['<', '-', '~', '`']).trim_end_matches('`');
        let from = start + (length - opener.trim_start_matches(['<', '-', '~', '`']).len());
        let range = from as u32..(from + word.len()) as u32;
        let kind = if holes { Kind::OpenHeredoc } else { Kind::OpenRawHeredoc };
        self.open(kind, length, Mode::Heredoc(range, holes));
    }

    fn quoted(&mut self) {
        let mut rules = Quoted::lexer(self.rest());
        let Some(Ok(rule)) = rules.next() else { return self.invalid() };
        let length = rules.slice().len();
        match rule {
            Quoted::End => self.close(Kind::CloseQuote, length),
            Quoted::Escaped => self.push(Kind::Escaped, length),
            Quoted::Hole => self.open(Kind::OpenHole, length, Mode::Hole),
            Quoted::Text => self.push(Kind::Text, length),
        }
    }

    fn raw(&mut self) {
        match self.rest().find('`').unwrap_or(self.rest().len()) {
            0 => self.close(Kind::CloseRaw, 1),
            length => self.push(Kind::Text, length),
        }
    }

    fn heredoc(&mut self, word: Range<u32>, holes: bool) {
        let word = &self.text[word.start as usize..word.end as usize];
        let after = self.rest().strip_prefix(word);
        if after.is_some_and(|after| !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')) {
            return self.close(Kind::CloseHeredoc, word.len());
        }
        if !holes {
            let space = self.rest().starts_with(is_space);
            let length = self.rest().find(|c| is_space(c) != space).unwrap_or(self.rest().len());
            return self.push(Kind::Text, length);
        }
        let mut rules = Document::lexer(self.rest());
        let Some(Ok(rule)) = rules.next() else { return self.invalid() };
        let length = match rule {
            Document::Text if rules.slice() != "$" => {
                self.rest().find(|c| is_space(c) || c == '$').unwrap_or(self.rest().len())
            }
            _ => rules.slice().len(),
        };
        match rule {
            Document::Hole => self.open(Kind::OpenHole, length, Mode::Hole),
            Document::Escaped => self.push(Kind::Escaped, length),
            Document::Space | Document::Text => self.push(Kind::Text, length),
        }
    }
}

/// White space inside documents.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c')
}

fn name_length(text: &str) -> usize {
    text.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':')).count()
}

/// Keywords and numbers: words that are no names.
fn fixed(word: &str) -> Option<Kind> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    Some(match word {
        "import" => Kind::Import,
        "export" => Kind::Export,
        "with" => Kind::With,
        "as" => Kind::As,
        "true" | "false" => Kind::Bool,
        "0" => Kind::Decimal,
        _ if matches!(word.as_bytes(), [b'0', b'b' | b'B' | b'o' | b'O' | b'x' | b'X', ..]) && digits(&word[2..]) => {
            Kind::Numeric
        }
        _ if !word.starts_with('0') && word.bytes().all(|b| b.is_ascii_digit()) => Kind::Decimal,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let tokens = lex(text);
        let shown: Vec<String> = tokens
            .iter()
            .filter(|token| token.kind != Kind::Eof)
            .map(|token| format!("{:?} {:?}", token.kind, &text[token.range.start as usize..token.range.end as usize]))
            .collect();
        assert_eq!(shown.join("\n"), expected.trim().lines().map(str::trim).collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn keywords_end_where_their_letters_end() {
        check(
            "as:x with9 x.with 9lives 0644 0x1f 0b12",
            r#"
            As "as"
            Ident ":x"
            Ident "with9"
            Ident "x"
            Dot "."
            Ident "with"
            Ident "9lives"
            Ident "0644"
            Numeric "0x1f"
            Numeric "0b12""#,
        );
    }

    #[test]
    fn strings_hold_code_in_holes() {
        check(
            r#""a\"${f("b")}$c""#,
            r#"
            OpenQuote "\""
            Text "a"
            Escaped "\\\""
            OpenHole "${"
            Ident "f"
            OpenParen "("
            OpenQuote "\""
            Text "b"
            CloseQuote "\""
            CloseParen ")"
            CloseHole "}"
            Text "$"
            Text "c"
            CloseQuote "\"""#,
        );
    }

    #[test]
    fn a_document_ends_with_its_word_wherever_a_token_begins() {
        check(
            "<<EOM xEOM EOMx\n${1}EOM y",
            r#"
            OpenHeredoc "<<EOM"
            Text " "
            Text "xEOM"
            Text " "
            Text "EOMx"
            Text "\n"
            OpenHole "${"
            Decimal "1"
            CloseHole "}"
            CloseHeredoc "EOM"
            Ident "y""#,
        );
    }

    #[test]
    fn what_no_rule_takes_is_one_character() {
        check("a @é }", "Ident \"a\"\nInvalid \"@\"\nInvalid \"é\"\nInvalid \"}\"");
    }
}
