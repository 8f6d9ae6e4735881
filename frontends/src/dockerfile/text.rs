//! Blanks, as the parts of BuildKit's parser see them: most trim Unicode blanks, splitting knows only ASCII ones,
//! flags are read byte by byte as Latin-1.

use std::borrow::Cow;
use std::ops::Range;

/// A piece of a logical line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word<'l> {
    /// Its value: the bytes of `range`, except where quoting or encoding made it another text.
    pub(super) text: Cow<'l, [u8]>,
    /// Where it stands in the line.
    pub(super) range: Range<u32>,
}

impl<'l> Word<'l> {
    pub(super) fn slice(line: &'l [u8], range: Range<usize>) -> Self {
        Self { text: Cow::Borrowed(&line[range.clone()]), range: range.start as u32..range.end as u32 }
    }
}

/// What a byte is to those who look for the ends of words.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// A blank that separates words: `[\t\v\f\r ]`.
    Separator,
    /// Part of a word wherever it stands.
    Plain,
    /// A quote, an escape, another control character, or not ASCII.
    Other,
}

/// The class of each byte: nearly every byte is asked for its own.
static CLASSES: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    let mut b = 0;
    while b < 0x7f {
        classes[b as usize] = match b {
            b'\t' | 0x0b | 0x0c | b'\r' | b' ' => Class::Separator,
            b'\'' | b'"' | b'`' | b'\\' => Class::Other,
            b'!'..=b'~' => Class::Plain,
            _ => Class::Other,
        };
        b += 1;
    }
    classes
};

/// Whether a byte is a blank that separates words: `[\t\v\f\r ]`.
pub(super) fn is_separator(b: u8) -> bool {
    CLASSES[usize::from(b)] == Class::Separator
}

/// Whether a byte is part of a word wherever it stands, as most are: it neither quotes nor escapes, nor is it a blank or a
/// part of one.
pub(super) fn means_nothing(b: u8) -> bool {
    CLASSES[usize::from(b)] == Class::Plain
}

/// ASCII blanks of Go's regular expressions: `\s`.
pub(super) fn is_regex_blank(b: u8) -> bool {
    matches!(b, b'\t' | b'\n' | 0x0c | b'\r' | b' ')
}

/// Blanks among the bytes taken as Latin-1.
pub(super) fn is_latin_blank(b: u8) -> bool {
    is_separator(b) || matches!(b, b'\n' | 0x85 | 0xa0)
}

/// Length in bytes of the Unicode blank that `bytes` starts with; 0 if it starts with none.
pub(super) fn blank_at_start(bytes: &[u8]) -> usize {
    match bytes {
        [b, ..] if *b < 0x80 => usize::from(is_separator(*b) || *b == b'\n'),
        [0xc2, 0x85 | 0xa0, ..] => 2,
        [a, b, c, ..] if is_long_blank([*a, *b, *c]) => 3,
        _ => 0,
    }
}

fn blank_at_end(bytes: &[u8]) -> usize {
    match bytes {
        [.., b] if *b < 0x80 => usize::from(is_separator(*b) || *b == b'\n'),
        [.., 0xc2, 0x85 | 0xa0] => 2,
        [.., a, b, c] if is_long_blank([*a, *b, *c]) => 3,
        _ => 0,
    }
}

/// Unicode blanks of three bytes: U+1680, U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F, U+3000.
fn is_long_blank(bytes: [u8; 3]) -> bool {
    matches!(
        bytes,
        [0xe1, 0x9a, 0x80] | [0xe2, 0x80, 0x80..=0x8a | 0xa8 | 0xa9 | 0xaf] | [0xe2, 0x81, 0x9f] | [0xe3, 0x80, 0x80]
    )
}

/// The range of `line` without the Unicode blanks at its start.
pub(super) fn trim_start(line: &[u8], mut range: Range<usize>) -> Range<usize> {
    loop {
        match blank_at_start(&line[range.clone()]) {
            0 => return range,
            length => range.start += length,
        }
    }
}

/// The range of `line` without the Unicode blanks around it.
pub(super) fn trim(line: &[u8], range: Range<usize>) -> Range<usize> {
    let mut range = trim_start(line, range);
    loop {
        match blank_at_end(&line[range.clone()]) {
            0 => return range,
            length => range.end -= length,
        }
    }
}

/// The bytes without the Unicode blanks around them.
pub(super) fn trimmed(bytes: &[u8]) -> &[u8] {
    &bytes[trim(bytes, 0..bytes.len())]
}

/// Adds the words of a range that separators divide, empty ones included: the range is taken as it is.
pub(super) fn separated<'l>(line: &'l [u8], range: Range<usize>, words: &mut Vec<Word<'l>>) {
    let mut rest = Some(range).filter(|range| !range.is_empty());
    while let Some(range) = rest {
        let word;
        (word, rest) = split_first(line, range);
        words.push(Word::slice(line, word));
    }
}

/// The range up to the first separators and the range after them, if there are separators.
pub(super) fn split_first(line: &[u8], range: Range<usize>) -> (Range<usize>, Option<Range<usize>>) {
    let bytes = &line[range.clone()];
    let Some(length) = bytes.iter().position(|b| is_separator(*b)) else { return (range, None) };
    let blanks = bytes[length..].iter().position(|b| !is_separator(*b)).unwrap_or(bytes.len() - length);
    let end = range.start + length;
    (range.start..end, Some(end + blanks..range.end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unicode_blanks_are_trimmed() {
        let text = "\u{a0} \u{3000}a b\u{2003}\u{85}\t".as_bytes();
        assert_eq!(trimmed(text), b"a b");
        assert_eq!(trimmed(b" \xa0 "), b"\xa0", "a byte that is no character is no blank");
        assert_eq!(trimmed(b" \t"), b"");
    }

    #[test]
    fn words_between_separators() {
        let words = |line: &'static str| {
            let mut words = Vec::new();
            separated(line.as_bytes(), 0..line.len(), &mut words);
            words.into_iter().map(|word| word.text.into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(words("a\t b\u{a0}c"), ["a".as_bytes(), "b\u{a0}c".as_bytes()]);
        assert_eq!(words("a "), ["a".as_bytes(), b""]);
        assert_eq!(split_first(b"RUN  a b", 0..8), (0..3, Some(5..8)));
        assert_eq!(split_first(b"RUN", 0..3), (0..3, None));
    }
}
