//! The shell language, as far as an editor needs it: tokens with places, never an error.
//!
//! Reads a piece of a build file as it stands there, so a line may be continued by an escape character, and between
//! continued lines comments may stand that no shell sees. Quotes, variables, substitutions and operators are told
//! apart; what a command does is not.

use ast::Span;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The name of a command.
    Command,
    /// A word of the shell itself.
    Keyword,
    /// An argument.
    Argument,
    /// An argument that starts with a dash.
    Option,
    /// A separator, a redirection, a bracket.
    Operator,
    /// Quoted text.
    Quoted,
    /// A variable with its sign.
    Variable,
    /// `NAME=`, or the variable of a loop.
    Assignment,
    /// A comment.
    Comment,
}

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// What it is.
    pub(crate) kind: Kind,
    /// Where.
    pub(crate) span: Span,
    /// The name in it, of variables and assignments.
    pub(crate) name: Option<Span>,
}

/// How deep substitutions are followed; real scripts stay below five.
const MAX_DEPTH: u32 = 32;

/// The tokens of a piece of a text.
pub(crate) fn tokens(text: &str, span: Span) -> Vec<Token> {
    let end = (span.end as usize).min(text.len());
    let mut lexer = Lexer {
        bytes: text.as_bytes().get(..end).unwrap_or_default(),
        at: span.start as usize,
        file: span,
        tokens: Vec::new(),
        depth: 0,
    };
    while lexer.at < end {
        lexer.script(None);
        // A bracket that closes nothing.
        if lexer.at < end {
            lexer.operator(1);
        }
    }
    lexer.tokens
}

struct Lexer<'t> {
    bytes: &'t [u8],
    at: usize,
    file: Span,
    tokens: Vec<Token>,
    depth: u32,
}

/// Where a word stands in its command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    Command,
    Argument,
    Loop,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn push(&mut self, kind: Kind, start: usize, name: Option<(usize, usize)>) {
        if start < self.at {
            let span = |start: usize, end: usize| Span::new(self.file.file, start as u32, end as u32);
            let name = name.map(|(start, end)| span(start, end));
            self.tokens.push(Token { kind, span: span(start, self.at), name });
        }
    }

    fn operator(&mut self, length: usize) {
        let start = self.at;
        self.at = (self.at + length).min(self.bytes.len());
        self.push(Kind::Operator, start, None);
    }

    /// Commands up to `until`, which is not taken.
    fn script(&mut self, until: Option<u8>) {
        let mut position = Position::Command;
        while self.at < self.bytes.len() {
            let b = self.peek(0);
            if Some(b) == until {
                return;
            }
            match b {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'\n' => {
                    self.at += 1;
                    position = Position::Command;
                }
                b'#' => self.comment(),
                _ if self.continued() => {}
                b';' | b'&' | b'|' => {
                    self.operator(1 + usize::from(self.peek(1) == b));
                    position = Position::Command;
                }
                b'(' | b'{' if position == Position::Command => self.operator(1),
                b')' if until.is_none() && self.depth > 0 => return,
                b'(' | b')' => {
                    self.operator(1);
                    position = Position::Command;
                }
                b'<' | b'>' => self.redirection(),
                _ => position = self.word(position),
            }
        }
    }

    fn redirection(&mut self) {
        let mut length = 1;
        while length < 3 && matches!(self.peek(length), b'<' | b'>' | b'&' | b'-') {
            length += 1;
        }
        self.operator(length);
    }

    fn comment(&mut self) {
        let start = self.at;
        self.at = self.line_end();
        self.push(Kind::Comment, start, None);
    }

    fn line_end(&self) -> usize {
        let rest = &self.bytes[self.at..];
        rest.iter().position(|b| *b == b'\n').map_or(self.bytes.len(), |length| self.at + length)
    }

    /// Whether an escape character stands here with nothing but blanks between it and the line end.
    fn is_continued(&self) -> bool {
        let line_end = self.line_end();
        matches!(self.peek(0), b'\\' | b'`')
            && line_end < self.bytes.len()
            && self.bytes[self.at + 1..line_end].iter().all(u8::is_ascii_whitespace)
    }

    /// Passes an escape character at the end of a line, and the comments after it.
    fn continued(&mut self) -> bool {
        if !self.is_continued() {
            return false;
        }
        self.at = self.line_end() + 1;
        loop {
            let rest = &self.bytes[self.at..];
            let blanks = rest.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(rest.len());
            if rest.get(blanks) != Some(&b'#') {
                return true;
            }
            self.at += blanks;
            self.comment();
            self.at += usize::from(self.peek(0) == b'\n');
        }
    }

    /// A word with its quotes and variables; returns where the next one stands.
    fn word(&mut self, position: Position) -> Position {
        let start = self.at;
        let mut plain = self.at;
        let mut pieces = 0;
        if position == Position::Command
            && let Some(end) = self.assignment()
        {
            self.at = end + 1;
            self.push(Kind::Assignment, start, Some((start, end)));
            plain = self.at;
            pieces += 1;
        }
        while self.at < self.bytes.len() && !self.ends_word() {
            match self.peek(0) {
                quote @ (b'\'' | b'"') => {
                    self.flush(plain, position, pieces, start);
                    pieces += 1;
                    self.quoted(quote);
                    plain = self.at;
                }
                b'$' if self.is_variable() => {
                    self.flush(plain, position, pieces, start);
                    pieces += 1;
                    self.variable();
                    plain = self.at;
                }
                b'\\' => self.at = (self.at + 2).min(self.bytes.len()),
                _ => self.at += 1,
            }
        }
        let word = self.bytes.get(start..self.at).unwrap_or_default();
        if pieces > 0 {
            self.flush(plain, position, pieces, start);
            let assigned = self.tokens.last().is_some_and(|_| self.is_assignment(start));
            return if assigned { Position::Command } else { Position::Argument };
        }
        let (kind, next) = classify(word, position);
        let name = (kind == Kind::Assignment).then_some((start, self.at));
        self.push(kind, start, name);
        next
    }

    fn is_assignment(&self, start: usize) -> bool {
        let first = self.tokens.iter().rev().take_while(|token| token.span.start >= start as u32).last();
        first.is_some_and(|token| token.kind == Kind::Assignment)
    }

    /// The plain text before a quote or a variable.
    fn flush(&mut self, plain: usize, position: Position, pieces: usize, start: usize) {
        let kind = match position {
            Position::Command if pieces == 0 => Kind::Command,
            _ if self.bytes.get(start) == Some(&b'-') => Kind::Option,
            _ => Kind::Argument,
        };
        self.push(kind, plain, None);
    }

    fn ends_word(&self) -> bool {
        match self.peek(0) {
            b' ' | b'\t' | b'\r' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')' => true,
            _ => self.is_continued(),
        }
    }

    /// Where the name of an assignment ends, if one begins here.
    fn assignment(&self) -> Option<usize> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|b| !(b.is_ascii_alphanumeric() || *b == b'_'))?;
        (length > 0 && !rest[0].is_ascii_digit() && rest[length] == b'=').then_some(self.at + length)
    }

    fn quoted(&mut self, quote: u8) {
        let mut start = self.at;
        self.at += 1;
        while self.at < self.bytes.len() {
            match self.peek(0) {
                b if b == quote => {
                    self.at += 1;
                    break;
                }
                b'\\' if quote == b'"' => self.at = (self.at + 2).min(self.bytes.len()),
                b'$' if quote == b'"' && self.is_variable() => {
                    self.push(Kind::Quoted, start, None);
                    self.variable();
                    start = self.at;
                }
                _ => self.at += 1,
            }
        }
        self.push(Kind::Quoted, start, None);
    }

    fn is_variable(&self) -> bool {
        matches!(self.peek(1), b'{' | b'(' | b'_' | b'@' | b'*' | b'#' | b'?' | b'!')
            || self.peek(1).is_ascii_alphanumeric()
    }

    fn variable(&mut self) {
        let start = self.at;
        match self.peek(1) {
            b'(' if self.depth < MAX_DEPTH => {
                self.operator(2);
                self.depth += 1;
                self.script(Some(b')'));
                self.depth -= 1;
                if self.peek(0) == b')' {
                    self.operator(1);
                }
            }
            b'{' => {
                let name = self.name_from(self.at + 2);
                let close = self.bytes[self.at..].iter().position(|b| matches!(b, b'}' | b'\n'));
                self.at = close.map_or(self.bytes.len(), |length| self.at + length + 1);
                self.push(Kind::Variable, start, Some(name).filter(|(start, end)| start < end));
            }
            b if b.is_ascii_alphabetic() || b == b'_' => {
                let name = self.name_from(self.at + 1);
                self.at = name.1;
                self.push(Kind::Variable, start, Some(name));
            }
            _ => {
                self.at = (self.at + 2).min(self.bytes.len());
                self.push(Kind::Variable, start, None);
            }
        }
    }

    fn name_from(&self, start: usize) -> (usize, usize) {
        let rest = self.bytes.get(start..).unwrap_or_default();
        let length = rest.iter().position(|b| !(b.is_ascii_alphanumeric() || *b == b'_')).unwrap_or(rest.len());
        (start, start + length)
    }
}

/// What a plain word is, and where the next one stands.
fn classify(word: &[u8], position: Position) -> (Kind, Position) {
    match (position, word) {
        (Position::Loop, _) => (Kind::Assignment, Position::Argument),
        (Position::Command, b"for") => (Kind::Keyword, Position::Loop),
        (
            Position::Command,
            b"if" | b"then" | b"else" | b"elif" | b"while" | b"until" | b"do" | b"!" | b"{" | b"}" | b"fi" | b"done"
            | b"esac" | b"time",
        ) => (Kind::Keyword, Position::Command),
        (Position::Command, b"case" | b"function") => (Kind::Keyword, Position::Argument),
        (Position::Command, b"read" | b"export" | b"local" | b"readonly") => (Kind::Command, Position::Command),
        (Position::Command, _) => (Kind::Command, Position::Argument),
        (Position::Argument, b"in") => (Kind::Keyword, Position::Argument),
        (Position::Argument, [b'-', ..]) => (Kind::Option, Position::Argument),
        (Position::Argument, _) => (Kind::Argument, Position::Argument),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let span = Span::new(ast::FileId(0), 0, text.len() as u32);
        let shown = |token: &Token| {
            let letter = match token.kind {
                Kind::Command => 'c',
                Kind::Keyword => 'k',
                Kind::Argument => 'a',
                Kind::Option => 'o',
                Kind::Operator => 'p',
                Kind::Quoted => 'q',
                Kind::Variable => 'v',
                Kind::Assignment => 's',
                Kind::Comment => 'r',
            };
            format!("{letter}:{}", &text[token.span.start as usize..token.span.end as usize])
        };
        let found: Vec<String> = tokens(text, span).iter().map(shown).collect();
        assert_eq!(found.join(" "), expected);
    }

    #[test]
    fn commands_and_operators() {
        check("apt-get update -y && rm -rf /x; a|b", "c:apt-get a:update o:-y p:&& c:rm o:-rf a:/x p:; c:a p:| c:b");
        check("A=1 B=$C make x=2", "s:A= a:1 s:B= v:$C c:make a:x=2");
        check("for f in a b; do echo $f; done", "k:for s:f k:in a:a a:b p:; k:do c:echo v:$f p:; k:done");
        check("cmd >out 2>&1", "c:cmd p:> a:out a:2 p:>& a:1");
    }

    #[test]
    fn quotes_and_substitutions() {
        check(
            r#"echo "a $B ${C:-x} $(id -u)" '$D'"#,
            r#"c:echo q:"a  v:$B q:  v:${C:-x} q:  p:$( c:id o:-u p:) q:" q:'$D'"#,
        );
        check("x \\\n # no $A\n  y", "c:x r:# no $A a:y");
        check("(cd a) # end", "p:( c:cd a:a p:) r:# end");
    }

    #[test]
    fn whatever_comes_it_ends() {
        for text in ["\"", "'a", "$(", "${", "$(a $(b", "\\", ")", "a\\\n", "`", "<<<", "$(((((", "é$é\"é"] {
            let span = Span::new(ast::FileId(0), 0, text.len() as u32);
            let mut end = 0;
            for token in tokens(text, span) {
                assert!(token.span.start >= end && token.span.end > token.span.start, "{text}: {token:?}");
                end = token.span.end;
            }
        }
    }
}
