//! Command lines: arguments as one line that a shell reads back, and a line as arguments. Mirrors `go-shellquote`.

/// What a backslash makes plain.
const SPECIAL: &str = "\\'\"`${[|&;<>()*?!";

/// Arguments as one line.
pub(super) fn join(words: &[String]) -> String {
    words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ")
}

fn quote(word: &str) -> String {
    if word.is_empty() {
        return "''".to_owned();
    }
    if word.contains([' ', '\t', '\n']) {
        return quoted(word);
    }
    let mut out = String::new();
    for (at, c) in word.chars().enumerate() {
        if SPECIAL.contains(c) || at == 0 && c == '~' {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn quoted(word: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in word.chars() {
        if (c == '\'') == inside {
            out.push('\'');
            inside = !inside;
        }
        if c == '\'' {
            out.push('\\');
        }
        out.push(c);
    }
    if inside {
        out.push('\'');
    }
    out
}

/// A line as arguments.
///
/// **Errors**: something that begins does not end.
pub(super) fn split(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\n' | '\t' => words.extend(word.take()),
            '\\' => match rest.next() {
                None => return Err("Unterminated backslash-escape"),
                // A line that goes on.
                Some('\n') => {}
                Some(c) => word.get_or_insert_default().push(c),
            },
            '\'' => {
                let (inside, after) = rest.as_str().split_once('\'').ok_or("Unterminated single-quoted string")?;
                word.get_or_insert_default().push_str(inside);
                rest = after.chars();
            }
            '"' => double_quoted(&mut rest, word.get_or_insert_default())?,
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn double_quoted(rest: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), &'static str> {
    loop {
        match rest.next().ok_or("Unterminated double-quoted string")? {
            '"' => return Ok(()),
            '\\' => match rest.next().ok_or("Unterminated double-quoted string")? {
                c @ ('$' | '`' | '"' | '\\') => word.push(c),
                '\n' => {}
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined() {
        let check = |words: &[&str], expected: &str| {
            assert_eq!(join(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()), expected);
        };
        check(&["a", "b c", ""], "a 'b c' ''");
        check(&["it's", "it's so", "$x", "~"], "it\\'s 'it'\\''s so' \\$x \\~");
    }

    #[test]
    fn split_as_a_shell_does() {
        assert_eq!(split("a 'b c' \"d \\\" \\e\" f\\ g").unwrap(), ["a", "b c", "d \" \\e", "f g"]);
        assert_eq!(split("''").unwrap(), [""]);
        assert_eq!(split("a 'b"), Err("Unterminated single-quoted string"));
        assert_eq!(split("a \"b"), Err("Unterminated double-quoted string"));
        assert_eq!(split("a\\"), Err("Unterminated backslash-escape"));
    }
}
