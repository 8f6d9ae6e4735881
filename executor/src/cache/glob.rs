//! Wildcards of copy sources: Go's `path.Match`, and where a path begins to hold them.

/// Whether a path holds a wildcard that is not escaped.
pub(crate) fn has_wildcards(path: &[u8]) -> bool {
    let mut bytes = path.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'*' | b'?' | b'[' => return true,
            _ => {}
        }
    }
    false
}

/// Splits a clean absolute path before the first component with a wildcard; without one the second part is empty.
pub(crate) fn split(path: &str) -> (&str, &str) {
    let mut at = 0;
    for part in path.split_inclusive('/') {
        if has_wildcards(part.as_bytes()) {
            let plain = path[..at].trim_end_matches('/');
            return (if plain.is_empty() && path.starts_with('/') { "/" } else { plain }, &path[at..]);
        }
        at += part.len();
    }
    (path, "")
}

/// A pattern that breaks the syntax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadPattern;

/// Go's `path.Match`: `*` and `?` stop at slashes, classes do not; a character is a UTF-8 sequence, an invalid byte one too.
pub(crate) fn matches(pattern: &[u8], name: &[u8]) -> Result<bool, BadPattern> {
    let (mut pattern, mut name) = (pattern, name);
    while !pattern.is_empty() {
        let (star, chunk, rest) = next_chunk(pattern);
        pattern = rest;
        if star && chunk.is_empty() {
            return Ok(!name.contains(&b'/'));
        }
        if let Some(left) = match_chunk(chunk, name)?
            && (left.is_empty() || !pattern.is_empty())
        {
            name = left;
            continue;
        }
        let Some(left) = (if star { after_star(chunk, name, pattern.is_empty())? } else { None }) else {
            return check_rest(pattern).map(|()| false);
        };
        name = left;
    }
    Ok(name.is_empty())
}

/// Tries a chunk behind what a star may swallow.
fn after_star<'a>(chunk: &[u8], name: &'a [u8], last: bool) -> Result<Option<&'a [u8]>, BadPattern> {
    for at in 0..name.len() {
        if name[at] == b'/' {
            break;
        }
        if let Some(left) = match_chunk(chunk, &name[at + 1..])? {
            // The last chunk must reach the end of the name.
            if last && !left.is_empty() {
                continue;
            }
            return Ok(Some(left));
        }
    }
    Ok(None)
}

/// A mismatch is certain: what is left of the pattern must be well formed all the same.
fn check_rest(mut pattern: &[u8]) -> Result<(), BadPattern> {
    while !pattern.is_empty() {
        let (_, chunk, rest) = next_chunk(pattern);
        match_chunk(chunk, b"")?;
        pattern = rest;
    }
    Ok(())
}

/// Splits off a chunk: whether stars come first, the text up to the next star, the rest.
fn next_chunk(pattern: &[u8]) -> (bool, &[u8], &[u8]) {
    let stars = pattern.iter().take_while(|byte| **byte == b'*').count();
    let rest = &pattern[stars..];
    let (mut at, mut in_class) = (0, false);
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 1,
            b'[' => in_class = true,
            b']' => in_class = false,
            b'*' if !in_class => break,
            _ => {}
        }
        at += 1;
    }
    let at = at.min(rest.len());
    (stars > 0, &rest[..at], &rest[at..])
}

/// Matches a chunk at the start of a name; returns what is left of the name. A chunk is read to its end in any case.
fn match_chunk<'a>(mut chunk: &[u8], name: &'a [u8]) -> Result<Option<&'a [u8]>, BadPattern> {
    let mut left = Some(name);
    while let Some(&first) = chunk.first() {
        left = left.filter(|left| !left.is_empty());
        match first {
            b'[' => {
                let c = left.map(next_char);
                let (matched, rest) = match_class(&chunk[1..], c.map(|(c, _)| c))?;
                chunk = rest;
                left = c.filter(|_| matched).map(|(_, rest)| rest);
            }
            b'?' => {
                chunk = &chunk[1..];
                left = left.filter(|left| left[0] != b'/').map(|left| next_char(left).1);
            }
            _ => {
                let literal = if first == b'\\' { *chunk.get(1).ok_or(BadPattern)? } else { first };
                chunk = &chunk[if first == b'\\' { 2 } else { 1 }..];
                left = left.filter(|left| left[0] == literal).map(|left| &left[1..]);
            }
        }
    }
    Ok(left)
}

/// Reads a class behind its bracket; returns whether the character is in it, and what follows it.
fn match_class(mut class: &[u8], c: Option<u32>) -> Result<(bool, &[u8]), BadPattern> {
    let negated = class.first() == Some(&b'^');
    if negated {
        class = &class[1..];
    }
    let (mut matched, mut ranges) = (false, 0);
    loop {
        if class.first() == Some(&b']') && ranges > 0 {
            return Ok((matched != negated, &class[1..]));
        }
        let (low, rest) = class_char(class)?;
        let (high, rest) = match rest.first() {
            Some(b'-') => class_char(&rest[1..])?,
            _ => (low, rest),
        };
        class = rest;
        matched |= c.is_some_and(|c| (low..=high).contains(&c));
        ranges += 1;
    }
}

/// One end of a range.
fn class_char(class: &[u8]) -> Result<(u32, &[u8]), BadPattern> {
    let class = match class.first() {
        None | Some(b'-' | b']') => return Err(BadPattern),
        Some(b'\\') => &class[1..],
        Some(_) => class,
    };
    if class.is_empty() {
        return Err(BadPattern);
    }
    let (c, rest) = next_char(class);
    // A range must be followed by something; an invalid byte is no end of a range.
    if rest.is_empty() || c == u32::MAX { Err(BadPattern) } else { Ok((c, rest)) }
}

/// The first character, [`u32::MAX`] for a byte that is none, and the rest.
fn next_char(text: &[u8]) -> (u32, &[u8]) {
    let length = match text[0] {
        0..0x80 => 1,
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    };
    match text.get(..length).and_then(|start| std::str::from_utf8(start).ok()).and_then(|start| start.chars().next()) {
        Some(c) => (c.into(), &text[length..]),
        None => (u32::MAX, &text[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, matched: &[&str], others: &[&str]) {
        for (names, expected) in [(matched, true), (others, false)] {
            for name in names {
                assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), Ok(expected), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn patterns() {
        check("abc", &["abc"], &["ab", "abcd", ""]);
        check("*", &["", "abc"], &["a/b"]);
        check("*c", &["abc", "c"], &["ab/c", "abcd"]);
        check("a*/b", &["a/b", "abc/b"], &["a/c/b"]);
        check("a*b*c", &["abc", "axbxc", "abbcc"], &["ab", "acb"]);
        check("a?c", &["abc", "aéc"], &["a/c", "ac"]);
        check("[a-c]", &["a", "b", "c"], &["d", ""]);
        check("[^a-c]", &["d", "é"], &["a", ""]);
        check("a[^x]b", &["a/b", "ayb"], &["axb"]);
        check("\\*", &["*"], &["a"]);
        check("[\\]a]", &["]", "a"], &["\\"]);
        check("*.txt", &["a.txt", ".txt"], &["a.txt.gz", "d/a.txt"]);
    }

    #[test]
    fn bad_patterns() {
        for pattern in ["[", "[a", "[]a]", "[-]", "[x-]", "[-x]", "a\\", "[^", "[a-b-c]", "a[", "*[", "x[a-"] {
            assert_eq!(matches(pattern.as_bytes(), b"a"), Err(BadPattern), "{pattern}");
        }
    }

    #[test]
    fn where_wildcards_begin() {
        for (path, expected) in
            [("/a/b", ("/a/b", "")), ("/a/b*/c", ("/a", "b*/c")), ("/*", ("/", "*")), ("/a/\\*/[x]", ("/a/\\*", "[x]"))]
        {
            assert_eq!(split(path), expected, "{path}");
        }
    }
}
