//! Patterns of `${x#…}`, `${x%…}` and `${x/…/…}`: `*`, `?` and escapes.
//!
//! BuildKit v0.32 turns them into Go regular expressions; what shows of that is kept: a sign matches anything but a
//! line end, the first of equals wins as a backtracking matcher would find it, and the replacement of *all* matches
//! knows `$0` and `${0}`. Matching remembers which ends of a star lead nowhere, so that it costs pattern length × text
//! length at worst; [`LIMIT`] bounds that.

use std::collections::BTreeMap;

use super::{MAX_VALUE, too_long};

/// Greatest product of pattern length and text length, in characters: about a second.
const LIMIT: usize = 1 << 28;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Char(char),
    Any,
    Star,
}

struct Pattern {
    parts: Vec<Part>,
    greedy: bool,
}

/// `text` without the match of `pattern` at its start, the shortest unless `greedy`.
pub(super) fn cut_prefix(pattern: &str, text: &str, greedy: bool) -> Result<String, String> {
    let chars: Vec<char> = text.chars().collect();
    let end = Matcher::new(pattern, &chars, greedy)?.match_at(0);
    Ok(chars[end.unwrap_or(0)..].iter().collect())
}

/// `text` without the match of `pattern` at its end, the shortest unless `greedy`.
pub(super) fn cut_suffix(pattern: &str, text: &str, greedy: bool) -> Result<String, String> {
    let reversed: String = text.chars().rev().collect();
    // parity: a bad pattern is shown reversed.
    Ok(cut_prefix(&reverse(pattern), &reversed, greedy)?.chars().rev().collect())
}

/// `text` with the first match, or all, replaced.
pub(super) fn replace(pattern: &str, text: &str, with: &str, all: bool) -> Result<String, String> {
    let chars: Vec<char> = text.chars().collect();
    let mut matcher = Matcher::new(pattern, &chars, true)?;
    let Some((start, end)) = matcher.find(0) else { return Ok(text.to_owned()) };
    if !all {
        let (before, after) = (chars[..start].iter(), chars[end..].iter());
        return Ok(before.copied().chain(with.chars()).chain(after.copied()).collect());
    }
    let mut out = String::with_capacity(text.len());
    let (mut from, mut copied) = (0, 0);
    while let Some((start, end)) = matcher.find(from) {
        out.extend(&chars[copied..start]);
        // An empty match right after another match is not replaced.
        if end > copied || start == 0 {
            push_replacement(&mut out, with, &chars[start..end]);
        }
        if out.len() > MAX_VALUE {
            return Err(too_long());
        }
        copied = end;
        from = end.max(from + 1);
        if from > chars.len() {
            break;
        }
    }
    out.extend(&chars[copied..]);
    Ok(out)
}

/// Go's template: `$0` and `${0}` are the match, other groups are empty, `$$` is `$`.
fn push_replacement(out: &mut String, template: &str, matched: &[char]) {
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        match group(after) {
            Some((name, after)) => {
                if !name.is_empty() && name.bytes().all(|b| b == b'0') {
                    out.extend(matched);
                }
                rest = after;
            }
            None => {
                out.push('$');
                rest = after;
            }
        }
    }
    out.push_str(rest);
}

/// Name of a group after `$`, and what follows.
fn group(text: &str) -> Option<(&str, &str)> {
    let (brace, body) = text.strip_prefix('{').map_or((false, text), |body| (true, body));
    let length = body.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(body.len());
    let (name, after) = body.split_at(length);
    match (name.is_empty(), brace) {
        (true, _) => None,
        (false, false) => Some((name, after)),
        (false, true) => Some((name, after.strip_prefix('}')?)),
    }
}

/// Reversed, with every escape still before what it escapes.
fn reverse(pattern: &str) -> String {
    let chars: Vec<char> = pattern.chars().collect();
    let mut groups: Vec<&[char]> = Vec::with_capacity(chars.len());
    let mut rest = chars.as_slice();
    while !rest.is_empty() {
        let length = if rest[0] == '\\' && rest.len() > 1 { 2 } else { 1 };
        let (group, after) = rest.split_at(length);
        groups.push(group);
        rest = after;
    }
    groups.iter().rev().flat_map(|group| group.iter()).collect()
}

fn parse(pattern: &str, greedy: bool) -> Result<Pattern, String> {
    let mut parts = Vec::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        parts.push(match c {
            '*' if parts.last() == Some(&Part::Star) => continue,
            '*' => Part::Star,
            '?' => Part::Any,
            // These are escaped for the sake of the braces around the pattern.
            '\\' if matches!(chars.peek(), Some('}' | '/')) => continue,
            '\\' => match chars.next() {
                Some(c @ ('*' | '?' | '\\')) => Part::Char(c),
                // parity: Go prints its end-of-text sign as U+FFFD.
                other => return Err(invalid(pattern, &format!("invalid escape '\\{}'", other.unwrap_or('\u{fffd}')))),
            },
            c => Part::Char(c),
        });
    }
    Ok(Pattern { parts, greedy })
}

fn invalid(pattern: &str, why: &str) -> String {
    format!("invalid pattern ({pattern}) in substitution: {why}")
}

struct Matcher<'t> {
    pattern: Pattern,
    text: &'t [char],
    /// For each place in the text, the end of its line.
    line_ends: Vec<usize>,
    /// For a star (its part) and a line (its end): from this place on, no end of the star leads to a match.
    dead: BTreeMap<(usize, usize), usize>,
}

/// A star that may still end elsewhere.
struct Choice {
    part: usize,
    began: usize,
    end: usize,
}

impl<'t> Matcher<'t> {
    fn new(pattern: &str, text: &'t [char], greedy: bool) -> Result<Self, String> {
        let parsed = parse(pattern, greedy)?;
        if parsed.parts.len().saturating_mul(text.len() + 1) > LIMIT {
            return Err(invalid("…", "pattern and value are too long"));
        }
        let mut line_ends = vec![text.len(); text.len() + 1];
        for at in (0..text.len()).rev() {
            line_ends[at] = if text[at] == '\n' { at } else { line_ends[at + 1] };
        }
        Ok(Self { pattern: parsed, text, line_ends, dead: BTreeMap::new() })
    }

    /// First match that starts at `from` or later.
    fn find(&mut self, from: usize) -> Option<(usize, usize)> {
        (from..=self.text.len()).find_map(|start| Some((start, self.match_at(start)?)))
    }

    /// End of the match that starts at `start`.
    fn match_at(&mut self, start: usize) -> Option<usize> {
        let mut choices: Vec<Choice> = Vec::new();
        let (mut part, mut at) = (0, start);
        loop {
            let next = match self.pattern.parts.get(part) {
                None => return Some(at),
                Some(Part::Char(c)) => (self.text.get(at) == Some(c)).then_some(at + 1),
                Some(Part::Any) => self.text.get(at).filter(|c| **c != '\n').map(|_| at + 1),
                Some(Part::Star) => self.first_choice(part, at).map(|choice| {
                    let end = choice.end;
                    choices.push(choice);
                    end
                }),
            };
            (part, at) = match next {
                Some(at) => (part + 1, at),
                None => {
                    let choice = self.backtrack(&mut choices)?;
                    (choice.part + 1, choice.end)
                }
            };
        }
    }

    /// The longest end of a star, or the shortest, that is not known to be dead.
    fn first_choice(&self, part: usize, began: usize) -> Option<Choice> {
        let limit = self.limit(part, began);
        let end = if self.pattern.greedy { limit.checked_sub(1)? } else { began };
        (began < limit).then_some(Choice { part, began, end })
    }

    /// Moves the last star that has another end; forgets those that have none, and that they have none.
    fn backtrack<'c>(&mut self, choices: &'c mut Vec<Choice>) -> Option<&'c Choice> {
        while let Some(choice) = choices.last_mut() {
            let next = if self.pattern.greedy { choice.end.checked_sub(1) } else { Some(choice.end + 1) };
            let limit = self.limit(choice.part, choice.began);
            match next.filter(|end| (choice.began..limit).contains(end)) {
                Some(end) => {
                    choice.end = end;
                    return choices.last();
                }
                None => {
                    self.dead.insert((choice.part, self.line_ends[choice.began]), choice.began);
                    choices.pop();
                }
            }
        }
        None
    }

    /// The place before which a star that begins at `began` may end.
    fn limit(&self, part: usize, began: usize) -> usize {
        let line_end = self.line_ends[began];
        self.dead.get(&(part, line_end)).copied().unwrap_or(line_end + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        for (pattern, text, greedy, expected) in [
            ("*/", "a/b/c", false, "b/c"),
            ("*/", "a/b/c", true, "c"),
            ("*", "abc", false, "abc"),
            ("*", "abc", true, ""),
            ("?b", "abc", false, "c"),
            ("b", "abc", false, "abc"),
            ("*c", "a\nbc", true, "a\nbc"),
            ("*a*b", "xaybzab!", false, "zab!"),
            ("*a*b", "xaybzab!", true, "!"),
            (r"\*", "*x", false, "x"),
            (r"\}\/", "}/x", false, "x"),
            (".+", ".+x", false, "x"),
        ] {
            assert_eq!(cut_prefix(pattern, text, greedy).as_deref(), Ok(expected), "{pattern} {text}");
        }
    }

    #[test]
    fn suffixes() {
        assert_eq!(cut_suffix(".*", "a.b.c", false).as_deref(), Ok("a.b"));
        assert_eq!(cut_suffix(".*", "a.b.c", true).as_deref(), Ok("a"));
        assert_eq!(cut_suffix(r"a\*", "xa*", false).as_deref(), Ok("x"));
        assert_eq!(cut_suffix("日?", "x日本", false).as_deref(), Ok("x"));
    }

    #[test]
    fn replacements() {
        for (pattern, text, with, all, expected) in [
            ("a", "banana", "o", false, "bonana"),
            ("a", "banana", "o", true, "bonono"),
            ("", "ab", "-", true, "-a-b-"),
            ("", "ab", "-", false, "-ab"),
            ("*", "ab", "x", true, "x"),
            ("a", "aXa", "[$0$1$$]", true, "[a$]X[a$]"),
            ("a", "a", "${0}$", true, "a$"),
            ("a", "a", "$0", false, "$0"),
            ("z", "a", "$0", true, "a"),
        ] {
            assert_eq!(replace(pattern, text, with, all).as_deref(), Ok(expected), "{pattern} {text}");
        }
    }

    #[test]
    fn bad_patterns() {
        assert_eq!(
            cut_prefix(r"\f", "x", false),
            Err(r"invalid pattern (\f) in substitution: invalid escape '\f'".to_owned())
        );
        assert_eq!(
            cut_suffix("x\\", "x", false),
            Err("invalid pattern (\\x) in substitution: invalid escape '\\x'".to_owned())
        );
    }

    #[test]
    fn many_stars_stay_cheap() {
        let text = "a".repeat(3000);
        let pattern = "*a".repeat(300) + "b";
        assert_eq!(cut_prefix(&pattern, &text, true).as_deref(), Ok(text.as_str()));
        assert!(cut_prefix(&"?".repeat(1 << 15), &"a".repeat(1 << 15), true).is_err());
    }
}
