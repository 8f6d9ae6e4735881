//! The few functions of Go's library whose exact results reach digests and messages: paths, numbers, letter case.

use std::borrow::Cow;
use std::fmt;

pub(super) use ast::case::{lower as to_lower, upper as to_upper};

/// The shortest equivalent slash path (`path.Clean`): `.` when nothing is left.
pub(super) fn clean(path: &str) -> Cow<'_, str> {
    if is_clean(path) {
        return Cow::Borrowed(path);
    }
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let mut cleaned = String::with_capacity(path.len().max(1));
    for (at, part) in parts.into_iter().enumerate() {
        if at > 0 || rooted {
            cleaned.push('/');
        }
        cleaned.push_str(part);
    }
    if cleaned.is_empty() {
        cleaned.push(if rooted { '/' } else { '.' });
    }
    Cow::Owned(cleaned)
}

/// The common case, without an allocation: absolute or relative, no empty part, no dots.
fn is_clean(path: &str) -> bool {
    let rest = path.strip_prefix('/').unwrap_or(path);
    if rest.is_empty() {
        return path == "/";
    }
    // As bytes: splitting a text searches it, which takes longer for parts of a few bytes.
    !rest.as_bytes().split(|byte| *byte == b'/').any(|part| matches!(part, b"" | b"." | b".."))
}

/// Joins what is not empty with slashes and cleans it (`path.Join`); empty when all is.
pub(super) fn join(first: &str, second: &str) -> String {
    match (first.is_empty(), second.is_empty()) {
        (true, true) => String::new(),
        (true, false) => clean(second).into_owned(),
        (false, true) => clean(first).into_owned(),
        (false, false) => {
            let separator = if first.ends_with('/') { "" } else { "/" };
            let second = if separator.is_empty() { second.trim_start_matches('/') } else { second };
            let joined = [first, separator, second].concat();
            match clean(&joined) {
                Cow::Borrowed(_) => joined,
                Cow::Owned(cleaned) => cleaned,
            }
        }
    }
}

/// The last element (`path.Base`): `.` of nothing, `/` of slashes.
pub(super) fn base(path: &str) -> &str {
    if path.is_empty() {
        return ".";
    }
    match path.trim_end_matches('/').rsplit('/').next() {
        None | Some("") => "/",
        Some(last) => last,
    }
}

/// Letters alike but for their case (`strings.EqualFold`, without the folds that cross alphabets).
pub(super) fn equal_fold(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right) || (!left.is_ascii() && to_lower(left) == to_lower(right))
}

/// Why a text is no number; shown as Go's `strconv` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NumberError {
    function: &'static str,
    text: String,
    /// What is wrong, without the rest.
    pub(super) reason: &'static str,
}

impl fmt::Display for NumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "strconv.{}: parsing {}: {}", self.function, ast::quote(self.text.as_bytes()), self.reason)
    }
}

const SYNTAX: &str = "invalid syntax";
const RANGE: &str = "value out of range";

/// `strconv.ParseInt(text, base, bits)` for a base up to ten.
pub(super) fn parse_int(text: &str, base: u32, bits: u32) -> Result<i64, NumberError> {
    let fail = |reason| NumberError { function: "ParseInt", text: text.to_owned(), reason };
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let magnitude = magnitude(digits, base, bits).map_err(fail)?;
    let limit = 1u64 << (bits - 1);
    match negative {
        true if magnitude <= limit => Ok((magnitude as i64).wrapping_neg()),
        false if magnitude < limit => Ok(magnitude as i64),
        _ => Err(fail(RANGE)),
    }
}

/// `strconv.ParseUint(text, base, bits)` for a base up to ten.
pub(super) fn parse_uint(text: &str, base: u32, bits: u32) -> Result<u64, NumberError> {
    let fail = |reason| NumberError { function: "ParseUint", text: text.to_owned(), reason };
    magnitude(text, base, bits).map_err(fail)
}

/// `strconv.Atoi`, whose errors nobody shows.
pub(super) fn atoi(text: &str) -> Option<i64> {
    // What does not start like a number is none: names of stages are looked at often.
    text.starts_with(|c: char| matches!(c, '+' | '-' | '0'..='9')).then(|| parse_int(text, 10, 64).ok())?
}

/// What is wrong first is told: a number that is too large, or a sign that is no digit.
fn magnitude(digits: &str, base: u32, bits: u32) -> Result<u64, &'static str> {
    let largest = u64::MAX >> (64 - bits);
    let append = |number: u64, sign: char| {
        let digit = sign.to_digit(base).ok_or(SYNTAX)?;
        let longer = number.checked_mul(base.into()).and_then(|number| number.checked_add(digit.into()));
        longer.filter(|number| *number <= largest).ok_or(RANGE)
    };
    if digits.is_empty() { Err(SYNTAX) } else { digits.chars().try_fold(0, append) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (path, expected) in [
            ("", "."),
            ("/", "/"),
            ("//", "/"),
            (".", "."),
            ("./a", "a"),
            ("a/..", "."),
            ("../a", "../a"),
            ("/../a", "/a"),
            ("a/../../b", "../b"),
            ("/a//b/./c/", "/a/b/c"),
            ("a/b", "a/b"),
        ] {
            assert_eq!(clean(path), expected, "{path}");
        }
        assert_eq!(join("/", ""), "/");
        assert_eq!(join("", ""), "");
        assert_eq!(join("/app", "../x"), "/x");
        assert_eq!((base(""), base("//"), base("/a/b/"), base("c")), (".", "/", "b", "c"));
    }

    #[test]
    fn numbers() {
        assert_eq!(parse_int("-1", 10, 32), Ok(-1));
        assert_eq!(parse_int("+5", 10, 32), Ok(5));
        assert_eq!(parse_int("-9223372036854775808", 10, 64), Ok(i64::MIN));
        let error = |result: Result<i64, NumberError>| result.map_err(|error| error.to_string());
        assert_eq!(error(parse_int("64m", 10, 64)), Err(r#"strconv.ParseInt: parsing "64m": invalid syntax"#.into()));
        assert_eq!(error(parse_int("", 10, 64)), Err(r#"strconv.ParseInt: parsing "": invalid syntax"#.into()));
        assert_eq!(
            error(parse_int("2147483648", 10, 32)),
            Err(r#"strconv.ParseInt: parsing "2147483648": value out of range"#.into())
        );
        assert_eq!(
            error(parse_int("99999999999m", 10, 32)),
            Err(r#"strconv.ParseInt: parsing "99999999999m": value out of range"#.into())
        );
        assert_eq!(parse_uint("755", 8, 32), Ok(0o755));
        assert!(parse_uint("-1", 10, 32).is_err() && parse_uint("+1", 10, 32).is_err());
        assert!(parse_uint("4294967296", 10, 32).is_err() && parse_uint("789", 8, 32).is_err());
    }

    #[test]
    fn letters() {
        assert_eq!(to_upper("run\tß é"), "RUN\tß É");
        assert!(equal_fold("Base", "bASE") && !equal_fold("a", "b"));
    }
}
