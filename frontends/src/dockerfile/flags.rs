//! Flags: the words that start with `--` between an instruction's name and its arguments.
//!
//! parity: they are read byte by byte as Latin-1, so a letter outside ASCII comes out as two, and the bytes 0x85 and
//! 0xa0 end a flag. Quotes and escapes are taken away here, before expansion.

use std::borrow::Cow;
use std::ops::Range;

use ast::{suggest, with_suggestion};
use smallvec::SmallVec;

use super::text::{Word, is_latin_blank, means_nothing};

/// Takes the flags off the start of `range`; returns the range of the rest.
pub(super) fn split<'l>(line: &'l [u8], range: Range<usize>, escape: u8, flags: &mut Vec<Word<'l>>) -> Range<usize> {
    let mut at = range.start;
    loop {
        while at < range.end && is_latin_blank(line[at]) {
            at += 1;
        }
        if !line[at..range.end].starts_with(b"--") {
            return at..range.end;
        }
        let (text, end) = flag(line, at..range.end, escape);
        let ends_flags = text.as_ref() == b"--";
        if !ends_flags {
            flags.push(Word { text, range: at as u32..end as u32 });
        }
        if ends_flags || end == range.end {
            return end..range.end;
        }
        at = end;
    }
}

/// One flag and where it ends.
fn flag(line: &[u8], range: Range<usize>, escape: u8) -> (Cow<'_, [u8]>, usize) {
    let plain = line[range.clone()].iter().position(|b| !means_nothing(*b));
    let plain = plain.map_or(range.end, |length| range.start + length);
    if plain == range.end || line[plain].is_ascii() && is_latin_blank(line[plain]) {
        return (Cow::Borrowed(&line[range.start..plain]), plain);
    }
    let mut text = line[range.start..plain].to_vec();
    let mut at = plain;
    let mut quote = None;
    while at < range.end {
        let mut b = line[at];
        match quote {
            None if is_latin_blank(b) => break,
            None if matches!(b, b'\'' | b'"') => {
                quote = Some(b);
                at += 1;
                continue;
            }
            Some(open) if open == b => {
                quote = None;
                at += 1;
                continue;
            }
            _ => {}
        }
        if b == escape {
            at += 1;
            let Some(escaped) = line[..range.end].get(at) else { break };
            b = *escaped;
        }
        text.extend_from_slice(char::from(b).encode_utf8(&mut [0; 2]).as_bytes());
        at += 1;
    }
    (Cow::Owned(text), at)
}

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `true`, `false` or nothing.
    Bool,
    /// A value.
    Text,
    /// A value; the flag may be repeated.
    Texts,
}

/// A flag that an instruction has.
pub(super) type Spec = (&'static str, Kind);

/// A flag that was given.
#[derive(Debug)]
pub(super) struct Flag<'f> {
    pub(super) name: &'static str,
    /// Its value; of a boolean one, `true` or `false`.
    pub(super) value: &'f [u8],
    /// Where the value stands in the line, as nearly as quotes let tell.
    pub(super) value_range: Range<u32>,
    pub(super) range: Range<u32>,
}

/// The flags of an instruction, few of which have more than one.
pub(super) type Flags<'f> = SmallVec<[Flag<'f>; 2]>;

/// Something wrong with the flag at `range`.
pub(super) type FlagError = (String, Range<u32>);

/// Holds words against the flags an instruction has.
pub(super) fn check<'f>(words: &'f [Word<'_>], specs: &[Spec]) -> (Flags<'f>, Vec<FlagError>) {
    let mut flags = Flags::with_capacity(words.len());
    let mut errors = Vec::new();
    for word in words {
        match check_one(word, specs, &flags) {
            Ok(flag) => flags.push(flag),
            Err(message) => errors.push((message, word.range.clone())),
        }
    }
    (flags, errors)
}

fn check_one<'f>(word: &'f Word<'_>, specs: &[Spec], before: &[Flag<'_>]) -> Result<Flag<'f>, String> {
    let equals = word.text.iter().position(|b| *b == b'=');
    let written = &word.text[..equals.unwrap_or(word.text.len())];
    let name = written.strip_prefix(b"--").unwrap_or(written);
    let shown = || ast::word::decode(written);
    let Some((name, kind)) = specs.iter().find(|(known, _)| known.as_bytes() == name) else {
        let mut known: Vec<&str> = specs.iter().map(|(known, _)| *known).collect();
        known.sort_unstable();
        return Err(with_suggestion(format!("unknown flag: {}", shown()), suggest(&ast::word::decode(name), known)));
    };
    if *kind != Kind::Texts && before.iter().any(|flag| flag.name == *name) {
        return Err(format!("duplicate flag specified: {}", shown()));
    }
    let value = equals.map(|at| &word.text[at + 1..]);
    let value = match (kind, value) {
        (Kind::Bool, None) => b"true",
        (_, None) | (Kind::Bool, Some(b"")) => return Err(format!("missing a value on flag: {}", shown())),
        (Kind::Bool, Some(value)) => boolean(value).ok_or_else(|| {
            let value = ast::word::decode(value);
            format!("expecting boolean value for flag {}, not: {value}", shown())
        })?,
        (Kind::Text | Kind::Texts, Some(value)) => value,
    };
    let value_start = (word.range.start + equals.map_or(0, |at| at as u32 + 1)).min(word.range.end);
    Ok(Flag { name, value, value_range: value_start..word.range.end, range: word.range.clone() })
}

fn boolean(value: &[u8]) -> Option<&'static [u8]> {
    [&b"true"[..], b"false"].into_iter().find(|known| value.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_split(line: &[u8], flags: &[&str], rest: &[u8]) {
        let mut found = Vec::new();
        let range = split(line, 0..line.len(), b'\\', &mut found);
        let found: Vec<_> = found.iter().map(|word| String::from_utf8_lossy(&word.text).into_owned()).collect();
        assert_eq!((found, &line[range]), (flags.iter().map(|f| (*f).to_owned()).collect(), rest));
    }

    #[test]
    fn flags_end_at_the_first_word_without_dashes() {
        check_split(b"--a=b --c x --d", &["--a=b", "--c"], b"x --d");
        check_split(b"-- --c x", &[], b" --c x");
        check_split(b"--a", &["--a"], b"");
        check_split(b"- x", &[], b"- x");
    }

    #[test]
    fn quotes_and_escapes_go() {
        check_split(br#"--a="b c"d\ e x"#, &["--a=b cd e"], b"x");
        check_split(br"--a='b\'c' x", &["--a=b'c"], b"x");
        check_split(br"--a\", &["--a"], b"");
    }

    #[test]
    fn bytes_are_latin() {
        check_split("--a=ü x".as_bytes(), &["--a=Ã¼"], b"x");
        check_split(b"--a=\xc3\xa0 x", &["--a=Ã"], b"x");
    }

    #[track_caller]
    fn check_flags(words: &[&'static str], specs: &[Spec], expected: &[&str]) {
        let words: Vec<_> = words.iter().map(|word| Word::slice(word.as_bytes(), 0..word.len())).collect();
        let (flags, errors) = check(&words, specs);
        let mut found: Vec<_> =
            flags.iter().map(|f| format!("{}={}", f.name, String::from_utf8_lossy(f.value))).collect();
        found.extend(errors.into_iter().map(|(message, _)| message));
        assert_eq!(found, expected);
    }

    #[test]
    fn kinds_and_what_is_wrong() {
        let specs = [("link", Kind::Bool), ("chown", Kind::Text), ("exclude", Kind::Texts)];
        check_flags(
            &["--link", "--chown=a=b", "--exclude=x", "--exclude="],
            &specs,
            &["link=true", "chown=a=b", "exclude=x", "exclude="],
        );
        check_flags(&["--link=FALSE"], &specs, &["link=false"]);
        check_flags(&["--link="], &specs, &["missing a value on flag: --link"]);
        check_flags(&["--link=yes"], &specs, &["expecting boolean value for flag --link, not: yes"]);
        check_flags(&["--chown"], &specs, &["missing a value on flag: --chown"]);
        check_flags(&["--chown=1", "--chown=2"], &specs, &["chown=1", "duplicate flag specified: --chown"]);
        check_flags(
            &["--chwon=1", "--bad"],
            &specs,
            &["unknown flag: --chwon (did you mean chown?)", "unknown flag: --bad"],
        );
    }
}
