//! Letter case as Go has it: letter by letter, where Rust's maps may make two letters of one.
//!
//! What languages look up without regard to case depends on it: to Go, `İ` is an upper-case `i`.

/// The text in lower case.
pub fn lower(text: &str) -> String {
    text.chars().map(|c| c.to_lowercase().next().unwrap_or(c)).collect()
}

/// The text in upper case. A letter that has no single upper-case letter stays.
pub fn upper(text: &str) -> String {
    let upper = |c: char| {
        let mut letters = c.to_uppercase();
        letters.next().filter(|_| letters.next().is_none()).unwrap_or(c)
    };
    text.chars().map(upper).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letter_by_letter() {
        assert_eq!(lower("WORKDİR Σ"), "workdir σ");
        assert_eq!(upper("straße k"), "STRAßE K");
    }
}
