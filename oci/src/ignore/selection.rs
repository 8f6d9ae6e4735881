//! Files of a directory by two lists of patterns: what to take, and what of it to leave.

use super::{PatternError, Patterns};

/// Which files are taken.
#[derive(Clone, Debug)]
pub struct Selection {
    /// `None`: all.
    include: Option<Patterns>,
    exclude: Patterns,
}

impl Selection {
    /// Compiles the lists; without a pattern in `include` everything is taken.
    ///
    /// **Errors**: the first pattern that is none.
    pub fn new<S: AsRef<str>>(include: &[S], exclude: &[S]) -> Result<Self, PatternError> {
        let include = (!include.is_empty()).then(|| Patterns::new(include)).transpose()?;
        Ok(Self { include, exclude: Patterns::new(exclude)? })
    }

    /// Whether the file at a slash-separated relative path is taken.
    pub fn has(&self, path: &str) -> bool {
        self.include.as_ref().is_none_or(|include| include.matches(path)) && !self.exclude.matches(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(include: &[&str], exclude: &[&str], expected: &[&str]) {
        let selection = Selection::new(include, exclude).unwrap();
        let files = ["keep.txt", "sub/a.txt", "sub/b.txt", "x.md"];
        let taken: Vec<&str> = files.into_iter().filter(|path| selection.has(path)).collect();
        assert_eq!(taken, expected);
    }

    #[test]
    fn what_is_included_and_not_excluded_is_taken() {
        check(&[], &[], &["keep.txt", "sub/a.txt", "sub/b.txt", "x.md"]);
        check(&["*.txt"], &[], &["keep.txt"]);
        check(&["sub"], &["**/b.txt"], &["sub/a.txt"]);
        check(&[], &["sub", "!sub/b.txt"], &["keep.txt", "sub/b.txt", "x.md"]);
        assert!(Selection::new(&["["], &[]).is_err());
    }
}
