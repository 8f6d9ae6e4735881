//! What would change, as `diff -u` shows it: runs of lines with three lines around them.
//!
//! The lines both texts share are found by Myers' greedy algorithm (1986). Texts that differ in more lines than is
//! worth the search are shown as replaced.

/// Unchanged lines shown around a change.
const CONTEXT: usize = 3;
/// More changed lines than this are not searched for what is common: the search takes their square.
const MOST_CHANGES: usize = 2000;

/// A line of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line<'t> {
    Same(&'t str),
    Gone(&'t str),
    New(&'t str),
}

/// The difference of two texts under the name of their file; empty if there is none.
pub(crate) fn unified(name: &str, old: &str, new: &str) -> String {
    if old == new {
        return String::new();
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split_inclusive('\n').collect(), new.split_inclusive('\n').collect());
    let lines = compare(&old, &new);
    let mut out = format!("--- {name}\n+++ {name}\n");
    for (start, end) in hunks(&lines) {
        hunk(&lines, start, end, &mut out);
    }
    out
}

/// Ranges of lines to show.
fn hunks(lines: &[Line<'_>]) -> Vec<(usize, usize)> {
    let mut hunks: Vec<(usize, usize)> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if matches!(line, Line::Same(_)) {
            continue;
        }
        let (start, end) = (at.saturating_sub(CONTEXT), (at + CONTEXT + 1).min(lines.len()));
        match hunks.last_mut() {
            Some(last) if start <= last.1 => last.1 = end,
            _ => hunks.push((start, end)),
        }
    }
    hunks
}

fn hunk(lines: &[Line<'_>], start: usize, end: usize, out: &mut String) {
    let count = |lines: &[Line<'_>]| {
        let old = lines.iter().filter(|line| !matches!(line, Line::New(_))).count();
        (old, lines.iter().filter(|line| !matches!(line, Line::Gone(_))).count())
    };
    let (before, inside) = (count(&lines[..start]), count(&lines[start..end]));
    // A side without lines is named by the line before it.
    let first = |before: usize, inside: usize| if inside == 0 { before } else { before + 1 };
    let (old, new) = (first(before.0, inside.0), first(before.1, inside.1));
    out.push_str(&format!("@@ -{old},{} +{new},{} @@\n", inside.0, inside.1));
    for line in &lines[start..end] {
        let (sign, text) = match line {
            Line::Same(text) => (' ', text),
            Line::Gone(text) => ('-', text),
            Line::New(text) => ('+', text),
        };
        out.push(sign);
        out.push_str(text);
        if !text.ends_with('\n') {
            out.push_str("\n\\ No newline at end of file\n");
        }
    }
}

fn compare<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<Line<'t>> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old_middle, new_middle) = (&old_rest[..old_rest.len() - tail], &new_rest[..new_rest.len() - tail]);
    let mut lines: Vec<Line<'t>> = old[..head].iter().map(|line| Line::Same(line)).collect();
    match search(old_middle, new_middle) {
        Some(middle) => lines.extend(middle),
        None => {
            lines.extend(old_middle.iter().map(|line| Line::Gone(line)));
            lines.extend(new_middle.iter().map(|line| Line::New(line)));
        }
    }
    lines.extend(old[old.len() - tail..].iter().map(|line| Line::Same(line)));
    lines
}

/// The shortest way from one text to the other, if it is short enough.
fn search<'t>(old: &[&'t str], new: &[&'t str]) -> Option<Vec<Line<'t>>> {
    let limit = (old.len() + new.len()).min(MOST_CHANGES) as isize;
    let offset = limit + 1;
    // The furthest place in `old` on each diagonal, and all of them before each round.
    let mut furthest = vec![0usize; 2 * offset as usize + 1];
    let mut rounds = Vec::new();
    for changes in 0..=limit {
        rounds.push(furthest.clone());
        for diagonal in (-changes..=changes).step_by(2) {
            let at = |diagonal: isize| furthest[(diagonal + offset) as usize];
            let down = diagonal == -changes || (diagonal != changes && at(diagonal - 1) < at(diagonal + 1));
            let mut x = if down { at(diagonal + 1) } else { at(diagonal - 1) + 1 };
            let mut y = (x as isize - diagonal) as usize;
            while x < old.len() && y < new.len() && old[x] == new[y] {
                (x, y) = (x + 1, y + 1);
            }
            furthest[(diagonal + offset) as usize] = x;
            if x >= old.len() && y >= new.len() {
                return Some(way_back(old, new, &rounds, offset));
            }
        }
    }
    None
}

fn way_back<'t>(old: &[&'t str], new: &[&'t str], rounds: &[Vec<usize>], offset: isize) -> Vec<Line<'t>> {
    let (mut x, mut y) = (old.len(), new.len());
    let mut lines = Vec::new();
    for (changes, furthest) in rounds.iter().enumerate().rev() {
        let changes = changes as isize;
        let diagonal = x as isize - y as isize;
        let at = |diagonal: isize| furthest[(diagonal + offset) as usize];
        let down = diagonal == -changes || (diagonal != changes && at(diagonal - 1) < at(diagonal + 1));
        let before = if down { diagonal + 1 } else { diagonal - 1 };
        let start = if changes == 0 { 0 } else { at(before) };
        let start_y = if changes == 0 { 0 } else { (start as isize - before) as usize };
        while x > start && y > start_y {
            (x, y) = (x - 1, y - 1);
            lines.push(Line::Same(old[x]));
        }
        if changes > 0 && down {
            y -= 1;
            lines.push(Line::New(new[y]));
        } else if changes > 0 {
            x -= 1;
            lines.push(Line::Gone(old[x]));
        }
    }
    lines.reverse();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_stand_between_three_lines() {
        let old = "1\n2\n3\n4\n5\n6\n7\n";
        let new = "1\n2\n3\n4\nX\n6\n7\n8\n";
        let expected = "--- f\n+++ f\n@@ -2,6 +2,7 @@\n 2\n 3\n 4\n-5\n+X\n 6\n 7\n+8\n";
        assert_eq!(unified("f", old, new), expected);
        assert_eq!(unified("f", old, old), "");
    }

    #[test]
    fn a_last_line_without_its_end() {
        let expected = "--- f\n+++ f\n@@ -1,1 +1,1 @@\n-a\n\\ No newline at end of file\n+a\n";
        assert_eq!(unified("f", "a", "a\n"), expected);
    }

    /// Applying a difference to the old text gives the new one, and it is as short as can be.
    #[test]
    fn every_short_text() {
        let texts: Vec<Vec<&str>> = (0..243)
            .map(|number| (0..5).map(|place| ["", "a\n", "b\n"][number / 3usize.pow(place) % 3]).collect())
            .map(|lines: Vec<&str>| lines.into_iter().filter(|line| !line.is_empty()).collect())
            .collect();
        for (old, new) in texts.iter().step_by(7).flat_map(|old| texts.iter().map(move |new| (old, new))) {
            let lines = compare(old, new);
            let side = |gone: bool| -> Vec<&str> {
                let kept = lines.iter().filter_map(|line| match line {
                    Line::Same(text) => Some(*text),
                    Line::Gone(text) => gone.then_some(*text),
                    Line::New(text) => (!gone).then_some(*text),
                });
                kept.collect()
            };
            assert_eq!((&side(true), &side(false)), (old, new));
        }
    }
}
