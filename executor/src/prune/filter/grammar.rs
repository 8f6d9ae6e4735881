//! The language of filters, containerd's:
//!
//! ```text
//! filter   := selector (',' selector)*
//! selector := path (operator value)?
//! path     := field ('.' field)*
//! field    := quoted | [A-Za-z0-9_]+
//! operator := '==' | '!=' | '~='
//! value    := quoted | what is neither a blank nor a comma
//! quoted   := what Go writes between '"'; a pattern also between '/' or '|'
//! ```
//!
//! Blanks are allowed between these. `=` is `==`, as `docker buildx` has it. What fields mean is no matter here.
//!
//! parity: containerd v2, pkg/filters, as vendored by BuildKit v0.32.

use regex_lite::Regex;

use crate::{Error, Result};

/// One condition as it is written.
#[derive(Clone, Debug)]
pub(super) struct Selector {
    /// The first field of its path: records have none below others.
    pub(super) field: String,
    pub(super) test: Test,
    /// Where the value is, or would be: an offset in bytes.
    pub(super) at: usize,
}

/// What is asked of a field.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Present,
    Equal(String),
    Unequal(String),
    Matches(Regex),
}

/// Reads conditions. **Shape**: in the order of the text, none for an empty one. **Errors**: `Invalid`, with the place.
pub(super) fn parse(text: &str) -> Result<Vec<Selector>> {
    let mut parser = Parser { text, at: 0 };
    let mut selectors = Vec::new();
    if parser.peek().is_none() {
        return Ok(selectors);
    }
    loop {
        selectors.push(parser.selector()?);
        match parser.peek() {
            None => return Ok(selectors),
            Some(',') => parser.at += 1,
            Some(_) => return Err(parser.wrong("there is more than a value; write \"…\" around one with blanks")),
        }
    }
}

/// An error at an offset in a filter.
pub(super) fn wrong(text: &str, at: usize, message: &str) -> Error {
    let column = text[..at].chars().count() + 1;
    Error::Invalid(format!("filter {text}, column {column}: {message}"))
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Parser<'t> {
    fn wrong(&self, message: &str) -> Error {
        wrong(self.text, self.at, message)
    }

    /// Passes over blanks; the character after them.
    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.text[self.at..].chars().next()
    }

    /// What follows, as long as it is of a kind.
    fn take(&mut self, is: impl Fn(char) -> bool) -> &'t str {
        let rest = &self.text[self.at..];
        let taken = &rest[..rest.find(|c| !is(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn selector(&mut self) -> Result<Selector> {
        let field = self.field()?;
        while self.peek() == Some('.') {
            self.at += 1;
            self.field()?;
        }
        if matches!(self.peek(), None | Some(',')) {
            return Ok(Selector { field, test: Test::Present, at: self.at });
        }
        let operator_at = self.at;
        let operator = self.take(|c| matches!(c, '=' | '!' | '~'));
        if !matches!(operator, "=" | "==" | "!=" | "~=") {
            return Err(wrong(self.text, operator_at, "there is ==, != or ~= after a field"));
        }
        let is_pattern = operator == "~=";
        self.peek();
        let at = self.at;
        let value = self.value(is_pattern)?;
        let test = match operator {
            "!=" => Test::Unequal(value),
            _ if is_pattern => Test::Matches(
                Regex::new(&value).map_err(|e| wrong(self.text, at, &format!("it is no regular expression: {e}")))?,
            ),
            _ => Test::Equal(value),
        };
        Ok(Selector { field, test, at })
    }

    fn field(&mut self) -> Result<String> {
        if let Some(quote @ ('"' | '/' | '|')) = self.peek() {
            return self.quoted(quote, false);
        }
        match self.take(|c| c.is_ascii_alphanumeric() || c == '_') {
            "" => Err(self.wrong("the name of a field is missing")),
            name => Ok(name.to_owned()),
        }
    }

    fn value(&mut self, is_pattern: bool) -> Result<String> {
        if let Some(quote @ ('"' | '/' | '|')) = self.peek() {
            return self.quoted(quote, is_pattern);
        }
        match self.take(|c| c != ',' && !c.is_whitespace() && !c.is_control()) {
            "" => Err(self.wrong("the value is missing")),
            value => Ok(value.to_owned()),
        }
    }

    /// What is between two of `quote`, the first of which is next.
    fn quoted(&mut self, quote: char, is_pattern: bool) -> Result<String> {
        if quote != '"' && !is_pattern {
            return Err(self.wrong(&format!("only patterns are quoted with {quote}; write \"…\"")));
        }
        let start = self.at;
        self.at += 1;
        let mut value = Vec::new();
        loop {
            let plain = self.take(|c| c != quote && c != '\\' && c != '\n');
            value.extend_from_slice(plain.as_bytes());
            match self.text[self.at..].chars().next() {
                Some('\\') => self.escape(quote, &mut value)?,
                Some(end) if end == quote => break,
                _ => return Err(wrong(self.text, start, "what is quoted does not end")),
            }
        }
        self.at += 1;
        String::from_utf8(value).map_err(|_| wrong(self.text, start, "it is no UTF-8"))
    }

    /// One escape of Go's, at its backslash.
    fn escape(&mut self, quote: char, value: &mut Vec<u8>) -> Result<()> {
        let rest = &self.text[self.at + 1..];
        let kind = rest.chars().next();
        let simple = match kind {
            Some('a') => 7,
            Some('b') => 8,
            Some('f') => 12,
            Some('n') => b'\n',
            Some('r') => b'\r',
            Some('t') => b'\t',
            Some('v') => 11,
            Some('\\') => b'\\',
            // All quotes are ASCII.
            Some(c) if c == quote => quote as u8,
            _ => 0,
        };
        if simple != 0 {
            value.push(simple);
            self.at += 2;
            return Ok(());
        }
        let (skipped, digits, radix) = match kind {
            Some('0'..='7') => (0, 3, 8),
            Some('x') => (1, 2, 16),
            Some('u') => (1, 4, 16),
            Some('U') => (1, 8, 16),
            _ => return Err(self.wrong("there is no such escape; a backslash is written \\\\")),
        };
        let number = rest.get(skipped..skipped + digits).filter(|text| text.chars().all(|c| c.is_digit(radix)));
        let number = number.and_then(|text| u32::from_str_radix(text, radix).ok());
        let failed = || self.wrong("the digits of the escape are wrong");
        let number = number.ok_or_else(failed)?;
        if digits <= 3 {
            value.push(u8::try_from(number).map_err(|_| failed())?);
        } else {
            let character = char::from_u32(number).ok_or_else(failed)?;
            value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        self.at += 1 + skipped + digits;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let show = |selector: &Selector| match &selector.test {
            Test::Present => format!("{}?", selector.field),
            Test::Equal(value) => format!("{}=={value}", selector.field),
            Test::Unequal(value) => format!("{}!={value}", selector.field),
            Test::Matches(pattern) => format!("{}~={pattern}", selector.field),
        };
        match parse(text) {
            Ok(selectors) => selectors.iter().map(show).collect::<Vec<_>>().join(" & "),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn selectors() {
        for (text, expected) in [
            ("", ""),
            (" ", ""),
            ("id==abc", "id==abc"),
            ("id=abc", "id==abc"),
            ("shared,id!=x , type ~= ^source", "shared? & id!=x & type~=^source"),
            ("type.of.it==x", "type==x"),
            ("\"id\"==\"a \\\"b\\\", c\"", "id==a \"b\", c"),
            ("id~=/a b,c/", "id~=a b,c"),
            ("id~=|a/b|", "id~=a/b"),
            ("id~=.*", "id~=.*"),
            ("id~=/a\\\\.b\\/c/", "id~=a\\.b/c"),
            ("id==\"\\x41\\101\\u00e9\\U0001f600\\t\"", "id==AAé😀\t"),
            ("id==\"\\xc3\\xa9\"", "id==é"),
            ("id==a=b/c.d", "id==a=b/c.d"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_malformed_is_told_at_its_place() {
        for (text, expected) in [
            (",", "1: the name of a field is missing"),
            ("id==a,", "7: the name of a field is missing"),
            ("==a", "1: the name of a field is missing"),
            ("id.==a", "4: the name of a field is missing"),
            ("é", "1: the name of a field is missing"),
            ("id==", "5: the value is missing"),
            ("id==,shared", "5: the value is missing"),
            ("id===a", "3: there is ==, != or ~= after a field"),
            ("id=~a", "3: there is ==, != or ~= after a field"),
            ("id a", "4: there is ==, != or ~= after a field"),
            ("id==a b", "7: there is more than a value; write \"…\" around one with blanks"),
            ("id==/a/", "5: only patterns are quoted with /; write \"…\""),
            ("id==\"a", "5: what is quoted does not end"),
            ("id~=/\\./", "6: there is no such escape; a backslash is written \\\\"),
            ("id~=/\\", "6: there is no such escape; a backslash is written \\\\"),
            ("id==\"\\x4\"", "6: the digits of the escape are wrong"),
            ("id==\"\\777\"", "6: the digits of the escape are wrong"),
            ("id==\"\\ud800\"", "6: the digits of the escape are wrong"),
            ("id==\"\\u12é\"", "6: the digits of the escape are wrong"),
            ("id==\"\\xff\"", "5: it is no UTF-8"),
        ] {
            assert_eq!(shown(text), format!("filter {text}, column {expected}"));
        }
        assert!(shown("type==é,id~=a(").starts_with("filter type==é,id~=a(, column 13: it is no regular expression: "));
    }
}
