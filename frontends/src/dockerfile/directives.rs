//! Parser directives: comments of the form `# name=value` at the very start of a file.
//!
//! BuildKit reads them twice, by slightly different rules: once while it splits lines ([`Directives`], which takes
//! blanks before `#`, and knows no `#!` line), and once on the text alone ([`find`], for `syntax` and `check`).

use super::scan;
use super::text::{is_regex_blank, trim_start, trimmed};
use std::ops::Range;

/// A directive there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Syntax,
    Escape,
    Check,
}

impl Name {
    fn parse(name: &[u8]) -> Option<Self> {
        [(Self::Syntax, "syntax"), (Self::Escape, "escape"), (Self::Check, "check")]
            .into_iter()
            .find_map(|(directive, known)| name.eq_ignore_ascii_case(known.as_bytes()).then_some(directive))
    }

    fn text(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Escape => "escape",
            Self::Check => "check",
        }
    }
}

/// A directive and where its value stands in the line.
pub(super) type Directive = (Name, Range<usize>);

/// Reads directives line by line until a line is none.
#[derive(Clone, Debug, Default)]
pub(super) struct Directives {
    seen: Vec<Name>,
    done: bool,
}

impl Directives {
    /// Whether no line can be a directive any more.
    pub(super) fn done(&self) -> bool {
        self.done
    }

    /// The directive that `line` is, if it is one.
    ///
    /// **Errors**: what is wrong with it, in BuildKit's words.
    pub(super) fn read(&mut self, line: &[u8], sign: &[u8]) -> Result<Option<Directive>, String> {
        if self.done {
            return Ok(None);
        }
        let Some((name, value)) = line.starts_with(sign).then(|| parse(line, sign.len())).flatten() else {
            self.done = true;
            return Ok(None);
        };
        if self.seen.contains(&name) {
            return Err(format!("only one {} parser directive can be used", name.text()));
        }
        self.seen.push(name);
        Ok(Some((name, value)))
    }
}

/// Reads `name = value` from `at` on.
fn parse(line: &[u8], at: usize) -> Option<Directive> {
    let start = trim_start(line, at..line.len()).start;
    let rest = &line[start..];
    let name_end = rest.iter().position(|b| !b.is_ascii_alphanumeric())?;
    if !rest[0].is_ascii_alphabetic() {
        return None;
    }
    let mut sign = name_end;
    while rest.get(sign).is_some_and(|b| is_regex_blank(*b)) {
        sign += 1;
    }
    if rest.get(sign) != Some(&b'=') {
        return None;
    }
    Some((Name::parse(&rest[..name_end])?, value_range(line, start + sign + 1)?))
}

/// The value without the blanks around it; of nothing but blanks, the last one.
fn value_range(line: &[u8], start: usize) -> Option<Range<usize>> {
    let value = &line[start..];
    let Some(first) = value.iter().position(|b| !is_regex_blank(*b)) else {
        return (!value.is_empty()).then(|| line.len() - 1..line.len());
    };
    let last = value.iter().rposition(|b| !is_regex_blank(*b)).unwrap_or(first);
    Some(start + first..start + last + 1)
}

/// The value of the `check` directive in a comment, up to its first blank; the comment sign is gone already.
pub(super) fn check_in_comment(comment: &[u8]) -> Option<&[u8]> {
    match Directives::default().read(comment, b"") {
        Ok(Some((Name::Check, value))) => Some(up_to_blank(&comment[value])),
        _ => None,
    }
}

/// Where the value of a directive of the whole text stands.
///
/// `syntax` is also found after `//`; BuildKit's third form, a JSON object, is found by [`syntax_in_json`].
pub(super) fn find(bytes: &[u8], wanted: Name) -> Option<Range<usize>> {
    let start = start(bytes);
    let found = find_after(bytes, start, wanted, b"#");
    if wanted == Name::Syntax { found.or_else(|| find_after(bytes, start, wanted, b"//")) } else { found }
}

/// Where directives are looked for: after a byte order mark and a `#!` line.
fn start(bytes: &[u8]) -> usize {
    let start = if bytes.starts_with(scan::BYTE_ORDER_MARK) { scan::BYTE_ORDER_MARK.len() } else { 0 };
    if !bytes[start..].starts_with(b"#!") {
        return start;
    }
    bytes.iter().position(|b| *b == b'\n').map_or(bytes.len(), |end| end + 1)
}

fn find_after(bytes: &[u8], start: usize, wanted: Name, sign: &[u8]) -> Option<Range<usize>> {
    let mut directives = Directives::default();
    let mut at = start;
    // What a line begins with is looked at before where it ends: mostly nothing is a directive.
    while !directives.done() && bytes.get(at..).is_some_and(|rest| rest.starts_with(sign)) {
        let end = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |length| at + length);
        let line = bytes[at..end].strip_suffix(b"\r").unwrap_or(&bytes[at..end]);
        match directives.read(line, sign) {
            Ok(Some((name, value))) if name == wanted => {
                let start = at + value.start;
                return Some(start..start + value.len());
            }
            Ok(_) => at = end + 1,
            Err(_) => return None,
        }
    }
    None
}

/// A value up to its first blank.
pub(super) fn up_to_blank(value: &[u8]) -> &[u8] {
    value.split(|b| *b == b' ').next().unwrap_or_default()
}

/// The string under `syntax` if the whole text is a JSON object, and how many lines precede the object.
pub(super) fn syntax_in_json(bytes: &[u8]) -> Option<(String, u32)> {
    let start = start(bytes);
    let json = trimmed(&bytes[start..]);
    if !json.starts_with(b"{") {
        return None;
    }
    let object: serde_json::Value = serde_json::from_slice(json).ok()?;
    Some((object.get("syntax")?.as_str()?.to_owned(), u32::from(bytes[..start].ends_with(b"\n"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, wanted: Name, expected: Option<&str>) {
        let found = find(text.as_bytes(), wanted).map(|range| &text[range]);
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn values() {
        check("# syntax = docker/dockerfile:1  \r\nFROM a", Name::Syntax, Some("docker/dockerfile:1"));
        check("#syntax=a b", Name::Syntax, Some("a b"));
        check("#check=skip=A, B;error=true", Name::Check, Some("skip=A, B;error=true"));
        check("# escape=`\n# CHECK=skip=all", Name::Check, Some("skip=all"));
        check("// syntax=a", Name::Syntax, Some("a"));
        check("// check=a", Name::Check, None);
    }

    #[test]
    fn where_they_end() {
        check("\n# syntax=a", Name::Syntax, None);
        check("# note\n# syntax=a", Name::Syntax, None);
        check("# other=b\n# syntax=a", Name::Syntax, None);
        check(" # syntax=a", Name::Syntax, None);
        check("\u{feff}#!/bin/x\n# syntax=a", Name::Syntax, Some("a"));
        check("# check=a\n# check=b\n# syntax=c", Name::Syntax, None);
    }

    #[test]
    fn a_value_of_blanks() {
        let mut directives = Directives::default();
        assert_eq!(directives.read(b"# escape=  ", b"#"), Ok(Some((Name::Escape, 10..11))));
        assert_eq!(Directives::default().read(b"# escape=", b"#"), Ok(None));
    }

    #[test]
    fn in_a_comment_and_in_json() {
        assert_eq!(check_in_comment(b"check=skip=A b"), Some(&b"skip=A"[..]));
        assert_eq!(check_in_comment(b"see check=skip=A"), None);
        assert_eq!(syntax_in_json(br#"{"syntax": "a/b"}"#), Some(("a/b".to_owned(), 0)));
        assert_eq!(syntax_in_json(b"#!x\n{\"syntax\": \"a\"}"), Some(("a".to_owned(), 1)));
        assert_eq!(syntax_in_json(b"FROM a"), None);
    }
}
