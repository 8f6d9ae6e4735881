//! Small texts in the way Go's standard library writes them: quoting and path cleaning.
//!
//! BuildKit's messages and BuildKit's patterns are made with `strconv.Quote` and `path.Clean`; both are needed by
//! several modules here and by the planner.

use std::fmt::Write;

/// `text` as Go's `%q` prints it.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        push_quoted(&mut out, c);
    }
    out.push('"');
    out
}

fn push_quoted(out: &mut String, c: char) {
    let escape = match c {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\u{7}' => "\\a",
        '\u{8}' => "\\b",
        '\u{c}' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\u{b}' => "\\v",
        _ if is_printable(c) => return out.push(c),
        _ => return push_hex(out, u32::from(c)),
    };
    out.push_str(escape);
}

fn push_hex(out: &mut String, code: u32) {
    let written = match code {
        0..0x20 | 0x7f => write!(out, "\\x{code:02x}"),
        0x20..0x10000 => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
    written.expect("writing to a string does not fail");
}

/// Whether Go prints the character as it is. Rust's `Debug` escapes the same classes (control, format, separators,
/// private use, unassigned) but for the quotes, which were handled before, and combining marks, which Go prints.
fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    let mut escaped = c.escape_debug();
    escaped.next() == Some(c) || !c.is_control() && is_combining(c)
}

/// Blocks of combining marks, which `escape_debug` escapes at the start of a string.
fn is_combining(c: char) -> bool {
    matches!(u32::from(c), 0x300..=0x36f | 0x483..=0x489 | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff | 0x20d0..=0x20ff | 0xfe00..=0xfe0f | 0xfe20..=0xfe2f)
}

/// The shortest equivalent slash path, as Go's `path.Clean` gives it: `.` when nothing is left.
pub fn clean_path(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            _ => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quote_as_go() {
        for (text, expected) in [
            ("a b", r#""a b""#),
            ("a\"b\\", r#""a\"b\\""#),
            ("\n\t\u{7}\u{1}\u{7f}", r#""\n\t\a\x01\x7f""#),
            ("ü €", r#""ü €""#),
            ("\u{200b}\u{2028}\u{feff}", r#""\u200b\u2028\ufeff""#),
            ("e\u{301}", "\"e\u{301}\""),
            ("\u{10ffff}", r#""\U0010ffff""#),
            ("'", r#""'""#),
        ] {
            assert_eq!(quote(text), expected);
        }
    }

    #[test]
    fn clean_as_go() {
        for (path, expected) in [
            ("", "."),
            ("/", "/"),
            ("a//b/./c/", "a/b/c"),
            ("/../a", "/a"),
            ("../a/..", ".."),
            ("../../a", "../../a"),
            ("a/../..", ".."),
            ("/a/..", "/"),
            ("./", "."),
        ] {
            assert_eq!(clean_path(path), expected, "{path}");
        }
    }
}
