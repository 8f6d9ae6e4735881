//! A POSIX shell's text as rules see it: simple commands, each a list of words with their places in the file.
//!
//! Words lose their quotes and escapes; nothing is expanded. Redirections, assignments and reserved words in front of a
//! command are left out. Commands inside `$(…)` and backquotes are listed after the one they stand in. This is no parser
//! of the language: what it cannot read it reads as words, and it never fails. Its cost is linear in the text.

use ast::{FileId, Span};

/// How deep commands inside commands are looked at. Each level is read again, so it bounds the cost.
const MOST_NESTED: usize = 4;

/// A command with its arguments.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Simple {
    /// The program and its arguments; never empty.
    pub(super) words: Vec<Word>,
    /// Whether a pipe takes its output.
    pub(super) piped: bool,
    /// Whether a pipe gives its input.
    pub(super) fed: bool,
    /// Variables set in front of it.
    pub(super) assignments: Vec<String>,
}

/// A word without its quotes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Where it stands, quotes included.
    pub(super) span: Span,
}

/// Programs that run the program their arguments name.
const WRAPPERS: [&str; 8] = ["sudo", "env", "exec", "command", "time", "nohup", "nice", "eatmydata"];

impl Simple {
    /// The program without its path, and its arguments; programs that only run another one are left out.
    pub(super) fn program(&self) -> (&str, &[Word]) {
        let mut words = &self.words[..];
        while let [first, rest @ ..] = words
            && WRAPPERS.contains(&base_name(&first.text))
        {
            let skipped =
                rest.iter().take_while(|word| word.text.starts_with('-') || is_assignment(&word.text)).count();
            match &rest[skipped..] {
                [] => break,
                rest => words = rest,
            }
        }
        (base_name(&words[0].text), &words[1..])
    }

    /// All of it.
    pub(super) fn span(&self) -> Span {
        self.words[0].span.to(self.words[self.words.len() - 1].span)
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| is_name(name))
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A byte of the text and where it stands in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Byte {
    pub(super) byte: u8,
    pub(super) at: u32,
}

/// Splits a text into its commands, in the order in which they begin.
pub(super) fn commands(text: &[Byte], file: FileId) -> Vec<Simple> {
    let mut out = Vec::new();
    let mut level: Vec<_> = std::iter::once(0..text.len()).collect();
    for _ in 0..MOST_NESTED {
        let mut nested = Vec::new();
        for range in level {
            let mut reader = Reader { text: &text[..range.end], at: range.start, file, nested: &mut nested };
            reader.list(&mut out);
        }
        level = nested;
    }
    out
}

struct Reader<'t> {
    text: &'t [Byte],
    at: usize,
    file: FileId,
    /// Commands found inside words.
    nested: &'t mut Vec<std::ops::Range<usize>>,
}

/// Words that may stand before a command and are no part of it.
const RESERVED: [&str; 9] = ["if", "then", "elif", "else", "while", "until", "do", "!", "{"];

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).map(|byte| byte.byte)
    }

    fn eat(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    /// Commands up to the end of the text.
    fn list(&mut self, out: &mut Vec<Simple>) {
        let mut command = Simple::default();
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'#' => self.comment(),
                b'\n' | b';' | b'&' | b'|' | b'(' | b')' => {
                    self.at += 1;
                    let pipe = byte == b'|' && !self.eat(b'|');
                    if pipe {
                        self.eat(b'&');
                    }
                    end(&mut command, pipe, out);
                }
                b'<' | b'>' => self.redirection(),
                _ => self.command_word(&mut command),
            }
        }
        end(&mut command, false, out);
    }

    fn comment(&mut self) {
        while self.peek().is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
    }

    /// An operator with the word it redirects to.
    fn redirection(&mut self) {
        while matches!(self.peek(), Some(b'<' | b'>' | b'&' | b'|' | b'-')) {
            self.at += 1;
        }
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        if self.peek().is_some_and(|byte| !is_operator(byte)) {
            self.word();
        }
    }

    fn command_word(&mut self, command: &mut Simple) {
        let start = self.at;
        let word = self.word();
        let bare = word.text.len() == self.at - start;
        let first = command.words.is_empty();
        if bare && word.text.bytes().all(|b| b.is_ascii_digit()) && matches!(self.peek(), Some(b'<' | b'>')) {
            // The number of the stream that is redirected.
        } else if first && bare && RESERVED.contains(&word.text.as_str()) {
            // The command is yet to come.
        } else if first && is_assignment(&word.text) {
            command.assignments.extend(word.text.split('=').next().map(str::to_owned));
        } else {
            command.words.push(word);
        }
    }

    /// A word, from its first byte; always at least one byte long.
    fn word(&mut self) -> Word {
        let start = self.at;
        let mut text = Vec::new();
        while let Some(byte) = self.peek().filter(|byte| !is_operator(*byte) && !byte.is_ascii_whitespace()) {
            self.at += 1;
            match byte {
                b'\'' => self.quoted(b'\'', &mut text),
                b'"' => self.double_quoted(&mut text),
                _ => self.character(byte, &mut text),
            }
        }
        self.at = self.at.max(start + 1).min(self.text.len());
        let (first, last) = (self.text[start].at, self.text[self.at - 1].at);
        Word { text: String::from_utf8_lossy(&text).into_owned(), span: Span::new(self.file, first, last + 1) }
    }

    fn quoted(&mut self, quote: u8, text: &mut Vec<u8>) {
        while let Some(byte) = self.peek() {
            self.at += 1;
            if byte == quote {
                return;
            }
            text.push(byte);
        }
    }

    fn double_quoted(&mut self, text: &mut Vec<u8>) {
        while let Some(byte) = self.peek() {
            self.at += 1;
            if byte == b'"' {
                return;
            }
            self.character(byte, text);
        }
    }

    /// A byte outside single quotes, already passed.
    fn character(&mut self, byte: u8, text: &mut Vec<u8>) {
        match byte {
            b'\\' => {
                if let Some(next) = self.peek() {
                    self.at += 1;
                    if next != b'\n' {
                        text.push(next);
                    }
                }
            }
            b'$' if self.peek() == Some(b'(') => self.substitution(b'(', b')', true, text),
            b'$' if self.peek() == Some(b'{') => self.substitution(b'{', b'}', false, text),
            b'`' => {
                let start = self.at;
                let mut inner = Vec::new();
                self.quoted(b'`', &mut inner);
                self.nested.push(start..(start + inner.len()).min(self.text.len()));
                text.extend_from_slice(b"`");
                text.extend(inner);
                text.push(b'`');
            }
            _ => text.push(byte),
        }
    }

    /// `$(…)` or `${…}` from the bracket on; it is part of the word as it is written.
    fn substitution(&mut self, open: u8, close: u8, commands: bool, text: &mut Vec<u8>) {
        let start = self.at;
        let mut depth = 0_usize;
        let mut quote = None;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match quote {
                Some(mark) if byte == mark => quote = None,
                _ if byte == b'\\' && quote != Some(b'\'') => self.at = (self.at + 1).min(self.text.len()),
                Some(_) => {}
                None if byte == b'\'' || byte == b'"' => quote = Some(byte),
                None if byte == open => depth += 1,
                None if byte == close => depth -= 1,
                None => {}
            }
            if depth == 0 {
                break;
            }
        }
        text.push(b'$');
        text.extend(self.text[start..self.at].iter().map(|byte| byte.byte));
        if commands && self.at > start + 2 {
            self.nested.push(start + 1..self.at - 1);
        }
    }
}

fn is_operator(byte: u8) -> bool {
    matches!(byte, b'\n' | b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>')
}

/// Adds a command that has words; the next one takes its output if a pipe follows.
fn end(command: &mut Simple, pipe: bool, out: &mut Vec<Simple>) {
    let mut done = std::mem::take(command);
    command.fed = pipe;
    if !done.words.is_empty() {
        done.piped = pipe;
        out.push(done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let bytes: Vec<Byte> = text.bytes().zip(0..).map(|(byte, at)| Byte { byte, at }).collect();
        let found: Vec<String> = commands(&bytes, FileId(0)).iter().map(shown).collect();
        assert_eq!(found, expected, "{text}");
    }

    fn shown(command: &Simple) -> String {
        let words: Vec<&str> = command.words.iter().map(|word| word.text.as_str()).collect();
        let pipes = [if command.fed { "| " } else { "" }, if command.piped { " |" } else { "" }];
        [pipes[0], &words.join("·"), pipes[1]].concat()
    }

    #[test]
    fn lists_and_pipes() {
        check("a b && c;d||e & f", &["a·b", "c", "d", "e", "f"]);
        check("a | b |& c\nd", &["a |", "| b |", "| c", "d"]);
        check("(a; b) | c", &["a", "b", "| c"]);
        check("", &[]);
    }

    #[test]
    fn reserved_words_and_assignments_are_no_commands() {
        check("if a; then b; else c; fi", &["a", "b", "c", "fi"]);
        check("A=1 B='x y' cmd C=2", &["cmd·C=2"]);
        check("! { a; }", &["a", "}"]);
    }

    #[test]
    fn quotes_escapes_and_comments() {
        check(r#"echo 'a b' "c \" d" e\ f # g"#, &[r#"echo·a b·c " d·e f"#]);
        check("a \\\n b#c", &["a··b#c"]);
        check("echo 'open", &["echo·open"]);
    }

    #[test]
    fn redirections_are_left_out() {
        check("a > /dev/null 2>&1 b", &["a·b"]);
        check("a <<EOF >x", &["a"]);
        check("a 2 >x", &["a·2"]);
    }

    #[test]
    fn commands_inside_words() {
        check("a $(b \"$(c)\") `d`", &["a·$(b \"$(c)\")·`d`", "b·$(c)", "d", "c"]);
        check("a ${b:-c d}", &["a·${b:-c d}"]);
        check("a $(", &["a·$("]);
        check("a \\", &["a·"]);
    }

    #[test]
    fn a_program_behind_wrappers() {
        let program = |text: &str| {
            let bytes: Vec<Byte> = text.bytes().zip(0..).map(|(byte, at)| Byte { byte, at }).collect();
            let found = commands(&bytes, FileId(0));
            let (name, rest) = found[0].program();
            format!("{name} {}", rest.len())
        };
        assert_eq!(program("sudo -E env A=1 /usr/bin/apt-get install x"), "apt-get 2");
        assert_eq!(program("sudo"), "sudo 0");
        assert_eq!(program("env -i"), "env 1");
    }

    #[test]
    fn deep_nesting_is_linear() {
        let text = "$(".repeat(50_000);
        let bytes: Vec<Byte> = text.bytes().zip(0..).map(|(byte, at)| Byte { byte, at }).collect();
        assert!(commands(&bytes, FileId(0)).len() <= MOST_NESTED + 1);
    }
}
