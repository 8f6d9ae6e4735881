//! The JSON form of arguments: an array of strings, read as Go's `encoding/json` reads it.
//!
//! Not serde_json, because this must tell an array of something else than strings (an error) from what is no JSON (the
//! shell form), and keep the place of every element.

use std::borrow::Cow;
use std::ops::Range;

use super::text::{Word, trim_start};

/// How deep Go's decoder lets arrays and objects be nested.
const MAX_DEPTH: usize = 10_000;

/// What a text is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Array<'l> {
    /// An array of strings.
    Strings(Vec<Word<'l>>),
    /// An array, but not of strings.
    Mixed,
    /// Something else.
    None,
}

/// Reads a range of the line.
pub(super) fn array(line: &[u8], range: Range<usize>) -> Array<'_> {
    let range = trim_start(line, range);
    if line[range.clone()].first() != Some(&b'[') {
        return Array::None;
    }
    let mut reader = Reader { line, at: range.start + 1, end: range.end };
    match reader.elements() {
        Some((words, false)) => Array::Strings(words),
        Some((_, true)) => Array::Mixed,
        None => Array::None,
    }
}

struct Reader<'l> {
    line: &'l [u8],
    at: usize,
    end: usize,
}

impl<'l> Reader<'l> {
    /// The strings after `[`, and whether there is something else among the elements.
    fn elements(&mut self) -> Option<(Vec<Word<'l>>, bool)> {
        let mut words = Vec::new();
        let mut mixed = false;
        self.blanks();
        if self.eat(b']') {
            return self.at_end().then_some((words, mixed));
        }
        loop {
            self.blanks();
            if self.peek() == Some(b'"') {
                words.push(self.string()?);
            } else {
                self.value()?;
                mixed = true;
            }
            self.blanks();
            if self.eat(b']') {
                return self.at_end().then_some((words, mixed));
            }
            self.expect(b',')?;
        }
    }

    fn at_end(&mut self) -> bool {
        self.blanks();
        self.at == self.end
    }

    fn peek(&self) -> Option<u8> {
        self.line[..self.end].get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let b = self.peek()?;
        self.at += 1;
        Some(b)
    }

    fn eat(&mut self, b: u8) -> bool {
        let found = self.peek() == Some(b);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, b: u8) -> Option<()> {
        self.eat(b).then_some(())
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn string(&mut self) -> Option<Word<'l>> {
        let start = self.at;
        self.expect(b'"')?;
        let plain =
            self.line[self.at..self.end].iter().position(|b| !matches!(b, b' '..=b'~') || matches!(b, b'"' | b'\\'))?;
        let mut text = Cow::Borrowed(&self.line[self.at..self.at + plain]);
        self.at += plain;
        while !self.eat(b'"') {
            self.character(text.to_mut())?;
        }
        Some(Word { text, range: start as u32..self.at as u32 })
    }

    fn character(&mut self, out: &mut Vec<u8>) -> Option<()> {
        match self.next()? {
            0..0x20 => None,
            b'\\' => self.escaped(out),
            b if b.is_ascii() => {
                out.push(b);
                Some(())
            }
            _ => {
                let start = self.at - 1;
                while self.peek().is_some_and(|b| !b.is_ascii()) {
                    self.at += 1;
                }
                out.extend_from_slice(ast::word::decode(&self.line[start..self.at]).as_bytes());
                Some(())
            }
        }
    }

    fn escaped(&mut self, out: &mut Vec<u8>) -> Option<()> {
        out.push(match self.next()? {
            b @ (b'"' | b'\\' | b'/') => b,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let c = self.unicode()?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Some(());
            }
            _ => return None,
        });
        Some(())
    }

    /// The character after `\u`; half a surrogate pair alone is U+FFFD.
    fn unicode(&mut self) -> Option<char> {
        let first = self.hex()?;
        if !(0xd800..0xdc00).contains(&first) {
            return Some(char::from_u32(first).unwrap_or('\u{fffd}'));
        }
        let after_first = self.at;
        if self.eat(b'\\') && self.eat(b'u') {
            let second = self.hex()?;
            if (0xdc00..0xe000).contains(&second) {
                return char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
            }
        }
        self.at = after_first;
        Some('\u{fffd}')
    }

    fn hex(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |value, _| Some(value * 16 + char::from(self.next()?).to_digit(16)?))
    }

    /// Skips any value. The stack holds the closing signs that are due.
    fn value(&mut self) -> Option<()> {
        let mut due: Vec<u8> = Vec::new();
        loop {
            self.blanks();
            match self.peek()? {
                open @ (b'[' | b'{') => {
                    self.at += 1;
                    self.blanks();
                    let close = if open == b'[' { b']' } else { b'}' };
                    if !self.eat(close) {
                        due.push(close);
                        // The array itself is the first level.
                        if due.len() >= MAX_DEPTH {
                            return None;
                        }
                        self.key_if(close)?;
                        continue;
                    }
                }
                b'"' => drop(self.string()?),
                b't' => self.literal(b"true")?,
                b'f' => self.literal(b"false")?,
                b'n' => self.literal(b"null")?,
                _ => self.number()?,
            }
            if self.close(&mut due)? {
                return Some(());
            }
        }
    }

    /// After a value: closes what ends here; whether nothing is due any more.
    fn close(&mut self, due: &mut Vec<u8>) -> Option<bool> {
        while let Some(close) = due.last().copied() {
            self.blanks();
            if self.eat(b',') {
                self.key_if(close)?;
                return Some(false);
            }
            self.expect(close)?;
            due.pop();
        }
        Some(true)
    }

    /// In an object, the key and colon before a value.
    fn key_if(&mut self, close: u8) -> Option<()> {
        if close == b'}' {
            self.blanks();
            self.string()?;
            self.blanks();
            self.expect(b':')?;
        }
        Some(())
    }

    fn literal(&mut self, text: &[u8]) -> Option<()> {
        let found = self.line[self.at..self.end].starts_with(text);
        self.at += text.len();
        found.then_some(())
    }

    /// parity: a number too large for a double is an error of decoding, so the text counts as no JSON.
    fn number(&mut self) -> Option<()> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        let number = std::str::from_utf8(&self.line[start..self.at]).ok()?;
        number.parse::<f64>().ok().filter(|value| value.is_finite()).map(drop)
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&[&str]>) {
        match (array(text.as_bytes(), 0..text.len()), expected) {
            (Array::Strings(words), Some(expected)) => {
                let words: Vec<_> = words.iter().map(|word| String::from_utf8_lossy(&word.text).into_owned()).collect();
                assert_eq!(words, expected, "{text}");
            }
            (found, expected) => assert!(found == Array::None && expected.is_none(), "{text}: {found:?}"),
        }
    }

    #[test]
    fn strings() {
        check("[]", Some(&[]));
        check(r#" [ "a" , "b c"] "#, Some(&["a", "b c"]));
        check(r#"["\"\\\/\b\n\u00e9\ud83d\ude00\ud800x"]"#, Some(&["\"\\/\u{8}\né😀\u{fffd}x"]));
        check("[\"ü\"]", Some(&["ü"]));
    }

    #[test]
    fn no_json() {
        for text in ["", "a", "[", "[a]", "['a']", r#"["a",]"#, r#"["a"] b"#, "[\"a\tb\"]", r#"["\x"]"#, "[1e999]"] {
            check(text, None);
        }
    }

    #[test]
    fn something_else_than_strings() {
        for text in ["[1]", "[null]", r#"["a", 1.5e3]"#, r#"[["a"]]"#, r#"[{"a": [true, {}]}, -0]"#, "[false]"] {
            assert_eq!(array(text.as_bytes(), 0..text.len()), Array::Mixed, "{text}");
        }
        let deep = format!("[{}{}]", "[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(array(deep.as_bytes(), 0..deep.len()), Array::None);
    }
}
