//! Here-documents: which words of a line open one.
//!
//! parity: openers are looked for in the whole line, keyword and flags included, always with `\` as the escape
//! character, and a line whose quotes do not match has none.

use std::ops::Range;

use ast::word::{Mode, Word};

use super::text::{is_regex_blank, is_separator, split_first};

/// A word that opens a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opener {
    /// The delimiter, without its quotes.
    pub(super) name: String,
    /// Whether no part of the delimiter is quoted.
    pub(super) expand: bool,
    /// Whether the opener is `<<-`.
    pub(super) chomp: bool,
}

/// The openers of a line and where they stand.
///
/// **Errors**: a delimiter that cannot be read, in BuildKit's words.
pub(super) fn openers(line: &[u8]) -> Result<Vec<(Opener, Range<u32>)>, String> {
    if !memchr::memchr_iter(b'<', line).any(|at| line.get(at + 1) == Some(&b'<')) {
        return Ok(Vec::new());
    }
    if is_plain(line) {
        return plain_openers(line);
    }
    walked_openers(line)
}

/// [`openers`] of any line.
fn walked_openers(line: &[u8]) -> Result<Vec<(Opener, Range<u32>)>, String> {
    let parsed = Word::parse(line, b'\\', Mode::Line);
    // Where the line is not as it was written (a byte that is no character), an opener's place is the line.
    let exact = parsed.text.as_bytes() == line;
    let mut found = Vec::new();
    for (word, range) in parsed.words_unset().unwrap_or_default() {
        if let Some(opener) = opener(word.as_bytes())? {
            found.push((opener, if exact { range } else { 0..line.len() as u32 }));
        }
    }
    Ok(found)
}

/// Whether the words of a line are what stands between its blanks: nothing in it is quoted, escaped or named, and no blank
/// belongs to an opener.
fn is_plain(line: &[u8]) -> bool {
    let is_sign = |b: u8| !b.is_ascii() || matches!(b, b'\'' | b'"' | b'\\' | b'$' | b'\n');
    !line.iter().fold(false, |found, b| found | is_sign(*b))
        && memchr::memchr_iter(b'<', line).all(|at| !line.get(at + 1).is_some_and(|next| is_separator(*next)))
}

/// [`openers`] of such a line.
fn plain_openers(line: &[u8]) -> Result<Vec<(Opener, Range<u32>)>, String> {
    let mut found = Vec::new();
    let mut rest = Some(0..line.len());
    while let Some(range) = rest {
        let word;
        (word, rest) = split_first(line, range);
        if let Some(opener) = opener(&line[word.clone()])? {
            found.push((opener, word.start as u32..word.end as u32));
        }
    }
    Ok(found)
}

/// The opener that a word is: `<<NAME`, perhaps with digits before, `-` and blanks between.
///
/// **Errors**: see [`openers`].
pub(super) fn opener(word: &[u8]) -> Result<Option<Opener>, String> {
    let digits = word.iter().position(|b| !b.is_ascii_digit()).unwrap_or(word.len());
    let Some(rest) = word[digits..].strip_prefix(b"<<") else { return Ok(None) };
    let (chomp, rest) = rest.strip_prefix(b"-").map_or((false, rest), |rest| (true, rest));
    let blanks = rest.iter().position(|b| !is_regex_blank(*b)).unwrap_or(rest.len());
    let name = &rest[blanks..];
    if name.is_empty() || name.contains(&b'<') {
        return Ok(None);
    }
    if name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_') {
        return Ok(Some(Opener { name: ast::word::decode(name).into_owned(), expand: true, chomp }));
    }
    let unquoted = words(name, Mode::Delimiter)?;
    let [word] = unquoted.as_slice() else { return Ok(None) };
    let quoted = words(name, Mode::Name)?;
    let [raw] = quoted.as_slice() else {
        let name = ast::word::decode(name);
        return Err(format!("internal lexing of heredoc produced inconsistent results: {name}"));
    };
    let quotes = |text: &str| text.bytes().filter(|b| matches!(b, b'\'' | b'"')).count();
    Ok(Some(Opener { name: word.clone(), expand: quotes(word) == quotes(raw), chomp }))
}

fn words(name: &[u8], mode: Mode) -> Result<Vec<String>, String> {
    let parsed = Word::parse(name, b'\\', mode);
    match parsed.words_unset() {
        Some(words) => Ok(words.into_iter().map(|(word, _)| word).collect()),
        None => {
            let fault = parsed.first_fault().map(ToString::to_string).unwrap_or_default();
            Err(format!("failed to process {}: {fault}", ast::quote(name)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &[(&str, bool, bool)]) {
        let found = openers(line.as_bytes()).unwrap_or_default();
        let found: Vec<_> = found.iter().map(|(o, _)| (o.name.as_str(), o.expand, o.chomp)).collect();
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn what_opens_a_document() {
        check("RUN <<EOF", &[("EOF", true, false)]);
        check("RUN <<-E 3<<F <<'G H'", &[("E", true, true), ("F", true, false), ("G H", false, false)]);
        check(r#"RUN <<"E"F <<\E"#, &[("EF", false, false), ("E", true, false)]);
        check("RUN << EOF", &[("EOF", true, false)]);
        check("RUN echo $((2 << 3))", &[("3))", true, false)]);
        check("COPY <<$a /", &[("$a", true, false)]);
    }

    #[test]
    fn a_glance_sees_what_the_walk_finds() {
        let signs = ["<", "<<", "<<-", " ", "\t", "3", "E", "F_1", "a.b", "=", ";"];
        for number in 0..signs.len().pow(5) {
            let line: String = (0..5).map(|place| signs[number / signs.len().pow(place) % signs.len()]).collect();
            if is_plain(line.as_bytes()) {
                let walked = walked_openers(line.as_bytes());
                assert_eq!(plain_openers(line.as_bytes()), walked, "{line}");
            }
        }
    }

    #[test]
    fn plain_names_are_their_own_words() {
        for name in ["EOF", "F_1", "3"] {
            let opener = Opener { name: name.to_owned(), expand: true, chomp: false };
            assert_eq!(super::opener(format!("<<{name}").as_bytes()), Ok(Some(opener)));
            for mode in [Mode::Delimiter, Mode::Name] {
                assert_eq!(words(name.as_bytes(), mode), Ok(vec![name.to_owned()]));
            }
        }
    }

    #[test]
    fn places_in_a_line_that_is_not_text() {
        let line = b"COPY \xff\xff <<E /";
        assert_eq!(openers(line).unwrap_or_default()[0].1, 0..line.len() as u32);
    }

    #[test]
    fn what_does_not() {
        for line in ["RUN a<<b", "RUN \"<<EOF\"", "RUN <<<a", "RUN $((1<<2))", "RUN <<", "RUN <<EOF 'x"] {
            check(line, &[]);
        }
    }
}
