//! "Did you mean": the closest of some words.

/// The option that is closest to a word, if it is close: two letters away, of long words a quarter.
pub(crate) fn nearest<'o>(word: &str, options: impl IntoIterator<Item = &'o str>) -> Option<&'o str> {
    let nearest = options.into_iter().map(|option| (distance(word, option), option)).min();
    nearest.filter(|(distance, _)| *distance <= 2.max(word.len() / 4)).map(|(_, option)| option)
}

/// Edits between two words.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.bytes().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}
