//! Words that respect quotes: what `ENV`, `LABEL` and `ARG` are made of.
//!
//! Quotes and escapes only decide where a word ends; they stay in it, for the expansion takes them away.

use std::borrow::Cow;
use std::ops::Range;

use super::text::{Word, blank_at_start, means_nothing};

/// Adds the words of a range of the line.
pub(super) fn quoted<'l>(line: &'l [u8], range: Range<usize>, escape: u8, words: &mut Vec<Word<'l>>) {
    let mut at = range.start;
    while at < range.end {
        match blank_at_start(&line[at..range.end]) {
            0 => {
                let end = word_end(line, at, range.end, escape);
                words.extend(word(line, at..end, end == range.end, escape));
                at = end;
            }
            length => at += length,
        }
    }
}

fn word_end(line: &[u8], start: usize, end: usize, escape: u8) -> usize {
    let mut at = start;
    let mut quote = None;
    while at < end {
        let b = line[at];
        if means_nothing(b) {
            at += 1;
            continue;
        }
        if quote.is_none() && blank_at_start(&line[at..end]) > 0 {
            return at;
        }
        if b == escape && quote != Some(b'\'') {
            at += 1 + character_length(&line[(at + 1).min(end)..end]);
            continue;
        }
        match quote {
            None if matches!(b, b'\'' | b'"') => quote = Some(b),
            Some(open) if open == b => quote = None,
            _ => {}
        }
        at += 1;
    }
    end
}

/// Length of the first character; bytes that are none count by themselves.
fn character_length(bytes: &[u8]) -> usize {
    let Some(first) = bytes.first() else { return 0 };
    if *first < 0x80 {
        return 1;
    }
    let head = &bytes[..bytes.len().min(4)];
    head.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next()).map_or(1, char::len_utf8)
}

/// The word of a range. An escape character with nothing after it is dropped, and what is not UTF-8 is replaced.
fn word(line: &[u8], range: Range<usize>, last: bool, escape: u8) -> Option<Word<'_>> {
    let mut text = Cow::Borrowed(&line[range.clone()]);
    if last && ends_with_lone_escape(&text, escape) {
        let kept = text.len() - 1;
        text = Cow::Borrowed(&line[range.start..range.start + kept]);
    }
    if !text.is_ascii()
        && let Cow::Owned(decoded) = ast::word::decode(&line[range.start..range.start + text.len()])
    {
        text = Cow::Owned(decoded.into_bytes());
    }
    (!text.is_empty()).then_some(Word { text, range: range.start as u32..range.end as u32 })
}

/// Whether the last character is an escape that escapes nothing: not one that is escaped, nor one in single quotes.
fn ends_with_lone_escape(text: &[u8], escape: u8) -> bool {
    if text.last() != Some(&escape) {
        return false;
    }
    let mut quote = None;
    let mut at = 0;
    while at < text.len() {
        let b = text[at];
        if b == escape && quote != Some(b'\'') {
            if at + 1 == text.len() {
                return true;
            }
            at += 2;
            continue;
        }
        match quote {
            None if matches!(b, b'\'' | b'"') => quote = Some(b),
            Some(open) if open == b => quote = None,
            _ => {}
        }
        at += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &[&str]) {
        let mut words = Vec::new();
        quoted(line.as_bytes(), 0..line.len(), b'\\', &mut words);
        let words: Vec<_> = words.iter().map(|word| String::from_utf8_lossy(&word.text).into_owned()).collect();
        assert_eq!(words, expected, "{line}");
    }

    #[test]
    fn quotes_join_and_stay() {
        check("a=1 b='x y'  c=\"p q\"r", &["a=1", "b='x y'", "c=\"p q\"r"]);
        check("''", &["''"]);
        check("a\u{a0}b", &["a", "b"]);
        check("a='x", &["a='x"]);
    }

    #[test]
    fn escapes_stay_but_for_a_lone_one_at_the_end() {
        check(r"a=x\ y\\ z", &[r"a=x\ y\\", "z"]);
        check(r#"a="x\" y" z"#, &[r#"a="x\" y""#, "z"]);
        check(r"a='x\' z", &[r"a='x\'", "z"]);
        check(r"a=x\", &["a=x"]);
        check(r"a=x\\", &[r"a=x\\"]);
        check(r"\", &[]);
        check(r#"a="x\"#, &[r#"a="x"#]);
    }

    #[test]
    fn what_is_not_utf8_is_replaced() {
        let mut words = Vec::new();
        quoted(b"a=\xff", 0..3, b'\\', &mut words);
        assert_eq!(words[0].text.as_ref(), "a=\u{fffd}".as_bytes());
    }
}
