//! Lists of patterns and what they say of a path.

use std::fmt;

use super::glob::Glob;
use crate::text::clean_path;

/// A compiled list of patterns.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    patterns: Vec<Pattern>,
    has_exclusions: bool,
}

/// One pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    exclusion: bool,
    glob: Glob,
}

/// Which patterns matched a directory; the default knows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MatchInfo(Vec<bool>);

/// Why a list cannot be compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// A lone `!`.
    IllegalExclusion,
    /// Brackets or escapes that do not close.
    Syntax,
}

impl Patterns {
    /// Compiles a list; empty patterns are skipped.
    ///
    /// **Errors**: the first pattern that is none. What only its translation shows to be none (`[z-a]`, `\b`) is refused
    /// here, where BuildKit refuses it, in the same words, when a path is first matched with it.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Self, PatternError> {
        let compiled = Self::lenient(patterns)?;
        let is_broken = compiled.patterns.iter().any(|pattern| pattern.glob.is_broken());
        if is_broken { Err(PatternError::Syntax) } else { Ok(compiled) }
    }

    /// The same for advice alone: [`Patterns::matches`] says no as soon as it meets what only its translation shows to be
    /// no pattern.
    pub fn lenient<S: AsRef<str>>(patterns: &[S]) -> Result<Self, PatternError> {
        let compiled = patterns.iter().map(|pattern| pattern.as_ref().trim()).filter(|pattern| !pattern.is_empty());
        let patterns = compiled.map(compile).collect::<Result<Vec<_>, _>>()?;
        let has_exclusions = patterns.iter().any(|pattern| pattern.exclusion);
        Ok(Self { patterns, has_exclusions })
    }

    /// Whether a slash-separated relative path, or a directory above it, is matched and not taken back.
    pub fn matches(&self, path: impl AsRef<[u8]>) -> bool {
        let path = path.as_ref();
        let mut matched = false;
        for pattern in &self.patterns {
            // A pattern that could only repeat what is known is not tried.
            if pattern.exclusion != matched {
                continue;
            }
            if pattern.glob.is_broken() {
                return false;
            }
            matched ^= pattern.matches_or_above(path);
        }
        matched
    }

    /// The same for an entry of a directory whose [`MatchInfo`] is known, together with the entry's own.
    pub fn matches_below(&self, path: impl AsRef<[u8]>, parent: &MatchInfo) -> (bool, MatchInfo) {
        let path = path.as_ref();
        let mut info = vec![false; self.patterns.len()];
        let mut matched = false;
        for (index, pattern) in self.patterns.iter().enumerate() {
            if !parent.0.get(index).copied().unwrap_or(false) {
                if pattern.exclusion != matched {
                    continue;
                }
                let matches =
                    if parent.0.is_empty() { pattern.matches_or_above(path) } else { pattern.glob.matches(path) };
                if !matches {
                    continue;
                }
            }
            info[index] = true;
            matched = !pattern.exclusion;
        }
        (matched, MatchInfo(info))
    }

    /// [`Patterns::matches_below`] for an entry that nothing is below of: nothing is allocated.
    pub fn matches_file(&self, path: impl AsRef<[u8]>, parent: &MatchInfo) -> bool {
        let path = path.as_ref();
        self.patterns.iter().enumerate().fold(false, |matched, (index, pattern)| {
            let above = parent.0.get(index).copied().unwrap_or(false);
            let matches = || match parent.0.is_empty() {
                true => pattern.matches_or_above(path),
                false => pattern.glob.matches(path),
            };
            if above || pattern.exclusion == matched && matches() { !pattern.exclusion } else { matched }
        })
    }

    /// Whether a matched directory must be entered all the same, because a `!` pattern may match below it.
    ///
    /// Exact when every `!` pattern starts with plain names (`!dir/file`, `!dir/**`), else any may match anywhere.
    pub fn may_take_back_below(&self, directory: &str) -> bool {
        let above = format!("{directory}/");
        self.has_exclusions
            && self.patterns.iter().filter(|pattern| pattern.exclusion).any(|pattern| {
                let prefix = pattern.without_trailing_glob();
                prefix.contains(['*', '?', '[', '\\']) || format!("{prefix}/").starts_with(&above)
            })
    }

    /// Whether there is a `!` pattern.
    pub fn has_exclusions(&self) -> bool {
        self.has_exclusions
    }

    /// Whether nothing ever matches.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The patterns in order.
    pub fn iter(&self) -> impl Iterator<Item = &Pattern> {
        self.patterns.iter()
    }
}

impl Pattern {
    /// The cleaned text, without `!`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it takes matches back.
    pub fn is_exclusion(&self) -> bool {
        self.exclusion
    }

    /// Whether the path itself matches; directories above it are not looked at.
    pub fn matches(&self, path: impl AsRef<[u8]>) -> bool {
        self.glob.matches(path.as_ref())
    }

    /// The text without `/**` or `/*` at its end.
    pub fn without_trailing_glob(&self) -> &str {
        let text = self.text.strip_suffix("/**").unwrap_or(&self.text);
        text.strip_suffix("/*").unwrap_or(text)
    }

    fn matches_or_above(&self, path: &[u8]) -> bool {
        // parity: above an absolute path is the empty one, which `*` matches, and the root only where nothing else is.
        let is_in_root = path.first() == Some(&b'/') && !path[1..].contains(&b'/');
        let mut above = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(index, _)| &path[..index]);
        self.glob.matches(path)
            || is_in_root && self.glob.matches(b"/")
            || above.any(|parent| self.glob.matches(parent))
    }
}

fn compile(pattern: &str) -> Result<Pattern, PatternError> {
    let cleaned = clean_path(pattern);
    let (exclusion, text) = match cleaned.strip_prefix('!') {
        Some("") => return Err(PatternError::IllegalExclusion),
        Some(rest) => (true, rest.to_owned()),
        None => (false, cleaned),
    };
    let glob = Glob::new(&text).ok_or(PatternError::Syntax)?;
    Ok(Pattern { text, exclusion, glob })
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IllegalExclusion => "illegal exclusion pattern: \"!\"",
            Self::Syntax => "syntax error in pattern",
        })
    }
}

impl std::error::Error for PatternError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each path with `+` (ignored) or `-`; by itself and by a walk that hands match info down.
    fn check(patterns: &[&str], expected: &[&str]) {
        let compiled = Patterns::new(patterns).unwrap();
        for line in expected {
            let (sign, path) = line.split_at(1);
            assert_eq!(compiled.matches(path), sign == "+", "{patterns:?} on {path}");
            assert_eq!(walk(&compiled, path), sign == "+", "{patterns:?} walking to {path}");
        }
    }

    fn walk(patterns: &Patterns, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(index, _)| index).chain([path.len()]);
        let mut walked = (false, MatchInfo::default());
        for end in ends {
            let as_file = patterns.matches_file(&path[..end], &walked.1);
            walked = patterns.matches_below(&path[..end], &walked.1);
            assert_eq!(walked.0, as_file);
        }
        walked.0
    }

    #[test]
    fn directories_take_their_contents_along() {
        check(&["a"], &["+a", "+a/b", "+a/b/c", "-ab", "-b/a"]);
        check(&["a/b"], &["-a", "+a/b/c", "-b"]);
        check(&["*"], &["+a", "+a/b"]);
        check(&["*/b"], &["-a", "+a/b", "+a/b/c", "-a/c/b"]);
        check(&[""], &["-a"]);
        assert!(Patterns::new(&["/"]).unwrap().matches("/a"));
        assert!(!Patterns::new(&["/"]).unwrap().matches("/a/b"));
    }

    #[test]
    fn the_last_word_counts() {
        check(&["*", "!a"], &["-a", "-a/b", "+b"]);
        check(&["a", "!a/b", "a/b/c"], &["+a", "+a/x", "-a/b", "-a/b/x", "+a/b/c"]);
        check(&["!a", "a"], &["+a"]);
        check(
            &["*.md", "!README*.md", "README-secret.md"],
            &["+x.md", "-README.md", "-README-a.md", "+README-secret.md"],
        );
        check(&["**", "!src/**", "!go.mod"], &["+a", "-src/a/b", "-go.mod", "+srcs"]);
    }

    #[test]
    fn a_match_above_outweighs_what_was_skipped() {
        check(&["a", "!a/b", "a/b"], &["+a/b", "+a/b/c"]);
        check(&["a/*", "!a/b"], &["+a/c", "-a/b", "-a/b/c", "-a"]);
    }

    #[test]
    fn errors() {
        for (pattern, expected) in [
            ("!", "illegal exclusion pattern: \"!\""),
            (" ! ", "illegal exclusion pattern: \"!\""),
            ("[", "syntax error in pattern"),
            ("a[", "syntax error in pattern"),
            ("[]a]", "syntax error in pattern"),
            ("[a-]", "syntax error in pattern"),
            ("[z-a]", "syntax error in pattern"),
            ("a\\", "syntax error in pattern"),
            ("a*[", "syntax error in pattern"),
            (".*\\", "syntax error in pattern"),
            ("*[", "syntax error in pattern"),
            ("![", "syntax error in pattern"),
        ] {
            assert_eq!(Patterns::new(&[pattern]).unwrap_err().to_string(), expected, "{pattern}");
        }
    }

    #[test]
    fn advice_ends_at_what_is_no_pattern() {
        let matches = |patterns: &[&str]| Patterns::lenient(patterns).unwrap().matches("a");
        assert!(matches(&["a", "[z-a]"]));
        assert!(!matches(&["[z-a]", "a"]));
        assert_eq!(Patterns::lenient(&["["]).unwrap_err(), PatternError::Syntax);
    }

    #[test]
    fn what_may_be_taken_back_below() {
        let below = |patterns: &[&str], directory| Patterns::new(patterns).unwrap().may_take_back_below(directory);
        assert!(!below(&["a"], "a"));
        assert!(below(&["a", "!a/b/c"], "a/b"));
        assert!(below(&["a", "!a/b/**"], "a/b"));
        assert!(!below(&["a", "!a/b/c"], "a/x"));
        assert!(below(&["a", "!**/x"], "a/x"));
    }
}
