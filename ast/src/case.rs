//! Letter case as Go has it: letter by letter, where Rust's maps may make two letters of one.
//!
//! What languages look up without regard to case depends on it: to Go, `İ` is an upper-case `i`. Most texts are ASCII and in
//! the wanted case already; those are given back as they are.

use std::borrow::Cow;

/// The text in lower case.
pub fn lower(text: &str) -> Cow<'_, str> {
    match is_lower(text) {
        true => Cow::Borrowed(text),
        false => text.chars().map(lower_letter).collect(),
    }
}

/// The text in upper case. A letter that has no single upper-case letter stays.
pub fn upper(text: &str) -> Cow<'_, str> {
    match is_upper(text) {
        true => Cow::Borrowed(text),
        false => text.chars().map(upper_letter).collect(),
    }
}

/// Whether lower case changes nothing.
pub fn is_lower(text: &str) -> bool {
    match has_none(text, |byte| byte.is_ascii_uppercase()) {
        Some(none) => none,
        None => text.chars().all(|letter| lower_letter(letter) == letter),
    }
}

/// Whether upper case changes nothing.
pub fn is_upper(text: &str) -> bool {
    match has_none(text, |byte| byte.is_ascii_lowercase()) {
        Some(none) => none,
        None => text.chars().all(|letter| upper_letter(letter) == letter),
    }
}

/// Whether an ASCII text has no byte of a kind. All of it is looked at, without short cuts: so many bytes are at once.
fn has_none(text: &str, is_one: impl Fn(u8) -> bool) -> Option<bool> {
    let look = |(ascii, none), byte: u8| (ascii & byte.is_ascii(), none & !is_one(byte));
    let (ascii, none) = text.bytes().fold((true, true), look);
    ascii.then_some(none)
}

fn lower_letter(letter: char) -> char {
    letter.to_lowercase().next().unwrap_or(letter)
}

fn upper_letter(letter: char) -> char {
    let mut letters = letter.to_uppercase();
    letters.next().filter(|_| letters.next().is_none()).unwrap_or(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letter_by_letter() {
        assert_eq!(lower("WORKDİR Σ"), "workdir σ");
        assert_eq!(upper("straße k"), "STRAßE K");
    }

    #[test]
    fn what_is_in_the_wanted_case_is_given_back() {
        for text in ["", "a-1", "é", "ß"] {
            assert!(matches!(lower(text), Cow::Borrowed(same) if same == text), "{text}");
        }
        assert!(matches!(upper("STRAßE"), Cow::Borrowed(_)));
        assert!(is_lower("1") && is_upper("1") && !is_lower("É") && !is_upper("é"));
    }
}
