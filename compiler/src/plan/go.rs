//! The few functions of Go's library whose exact results reach digests and messages: paths, letter case.

use std::borrow::Cow;

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
    fn letters() {
        assert_eq!(to_upper("run\tß é"), "RUN\tß É");
        assert!(equal_fold("Base", "bASE") && !equal_fold("a", "b"));
    }
}
