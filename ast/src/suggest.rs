//! "Did you mean": the closest of some options.

use std::cmp::Reverse;

use crate::case;

/// Distances from here on are no typing mistake any more; the bound BuildKit and Terraform use.
const TOO_FAR: usize = 3;

/// The first option that is closest to `word`, if one is close and none is equal.
///
/// The order of `options` decides ties, so give them sorted.
pub fn suggest<'o>(word: &str, options: impl IntoIterator<Item = &'o str>) -> Option<&'o str> {
    suggest_below(TOO_FAR, word, options)
}

/// [`suggest`] with another distance from which on something is no typing mistake.
pub(crate) fn suggest_below<'o>(
    too_far: usize,
    word: &str,
    options: impl IntoIterator<Item = &'o str>,
) -> Option<&'o str> {
    let word: Vec<char> = word.chars().collect();
    let mut best = None;
    let mut best_distance = too_far;
    for option in options {
        let distance = distance(&word, option, best_distance);
        if distance == 0 {
            return None;
        }
        if distance < best_distance {
            best = Some(option);
            best_distance = distance;
        }
    }
    // An empty name may be set, but is nothing to suggest.
    best.filter(|best| !best.is_empty())
}

/// [`suggest`] without regard to case; the suggestion takes the case of `word` if that is all one case.
/// `options` are lower case; of several as close, the one that begins most like the word, as Go takes any of them.
///
/// parity: to Go, a word with bytes that are not UTF-8 (U+FFFD here) has no case.
pub fn suggest_any_case<'o>(word: &str, options: impl IntoIterator<Item = &'o str>) -> Option<String> {
    let lower = case::lower(word);
    let mut options: Vec<&str> = options.into_iter().collect();
    options.sort_by_key(|option| Reverse(same_beginning(&lower, option)));
    let found = suggest(&lower, options)?;
    let has_case = !word.contains(char::REPLACEMENT_CHARACTER);
    Some(if has_case && word != lower && word == case::upper(word) { found.to_uppercase() } else { found.to_owned() })
}

/// How many characters two words have in common at their beginning.
fn same_beginning(one: &str, other: &str) -> usize {
    one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count()
}

/// Appends ` (did you mean …?)` to a message, if there is something to suggest.
pub fn with_suggestion(message: String, suggestion: Option<&str>) -> String {
    match suggestion {
        Some(suggestion) => format!("{message} (did you mean {suggestion}?)"),
        None => message,
    }
}

/// Levenshtein distance in characters; anything not below `bound` may come back as `bound`.
fn distance(word: &[char], option: &str, bound: usize) -> usize {
    let length = option.chars().count();
    if word.len().abs_diff(length) >= bound {
        return bound;
    }
    let mut row: Vec<usize> = (0..=word.len()).collect();
    for (i, b) in option.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, a) in word.iter().enumerate() {
            let substituted = diagonal + usize::from(*a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[word.len()].min(bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closest_first() {
        let options = ["cmd", "copy", "env", "run"];
        assert_eq!(suggest("coyp", options), Some("copy"));
        assert_eq!(suggest("ran", options), Some("run"));
        assert_eq!(suggest("fetch", options), None);
    }

    #[test]
    fn nothing_is_no_suggestion() {
        assert_eq!(suggest("G1", ["", "PATH"]), None);
    }

    #[test]
    fn an_exact_match_suggests_nothing() {
        assert_eq!(suggest("run", ["ruh", "run"]), None);
    }

    #[test]
    fn takes_the_case_of_the_word() {
        let options = ["entrypoint", "workdir"];
        assert_eq!(suggest_any_case("WORKDRI", options).as_deref(), Some("WORKDIR"));
        assert_eq!(suggest_any_case("workdri", options).as_deref(), Some("workdir"));
        assert_eq!(suggest_any_case("Entrypiont", options).as_deref(), Some("entrypoint"));
        assert_eq!(suggest_any_case("WORK\u{fffd}DIR", options).as_deref(), Some("workdir"));
    }

    #[test]
    fn of_as_close_ones_what_begins_alike() {
        assert_eq!(suggest_any_case("FR", ["arg", "from"]).as_deref(), Some("FROM"));
        assert_eq!(suggest_any_case("r", ["arg", "run"]).as_deref(), Some("run"));
    }

    #[test]
    fn is_appended() {
        assert_eq!(with_suggestion("unknown x".into(), Some("y")), "unknown x (did you mean y?)");
    }
}
