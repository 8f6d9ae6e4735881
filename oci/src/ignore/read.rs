//! The file: one pattern a line.

use std::fmt;

use crate::{json, text::clean_path};

/// Longest line, in bytes: the limit of Go's `bufio.Scanner`.
const MAX_LINE: usize = 64 * 1024;

/// A line is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadError;

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bufio.Scanner: token too long")
    }
}

impl std::error::Error for ReadError {}

/// The patterns of an ignore file, cleaned and made relative; comments and empty lines are left out.
pub fn read(bytes: &[u8]) -> Result<Vec<String>, ReadError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut patterns = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        if line.len() >= MAX_LINE {
            return Err(ReadError);
        }
        patterns.extend(read_line(&json::lossy(line)));
    }
    Ok(patterns)
}

fn read_line(line: &str) -> Option<String> {
    let pattern = line.trim();
    if line.starts_with('#') || pattern.is_empty() {
        return None;
    }
    Some(match pattern.strip_prefix('!') {
        Some(rest) => format!("!{}", relative(rest.trim())),
        None => relative(pattern),
    })
}

/// Cleaned, without the slash in front; `/` alone stays.
fn relative(pattern: &str) -> String {
    if pattern.is_empty() {
        return String::new();
    }
    let cleaned = clean_path(pattern);
    match cleaned.strip_prefix('/') {
        Some(rest) if !rest.is_empty() => rest.to_owned(),
        _ => cleaned,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(read(text.as_bytes()).unwrap(), expected, "{text:?}");
    }

    #[test]
    fn lines() {
        check("a\nb\r\n\n  c \n", &["a", "b", "c"]);
        check("\u{feff}# comment\na # no comment\n # no comment", &["a # no comment", "# no comment"]);
        check("\u{feff}a\n\u{feff}b", &["a", "\u{feff}b"]);
        check("/a/b/\n./c/../d//e\n/\n.", &["a/b", "d/e", "/", "."]);
        check("!/a\n! b\n!\n!  ", &["!a", "!b", "!", "!"]);
        check("\u{a0}a\u{2003}", &["a"]);
        check("", &[]);
    }

    #[test]
    fn long_lines_are_refused() {
        let line = "a".repeat(MAX_LINE);
        assert_eq!(read(line.as_bytes()), Err(ReadError));
        assert_eq!(read(&line.as_bytes()[1..]).unwrap().len(), 1);
    }
}
