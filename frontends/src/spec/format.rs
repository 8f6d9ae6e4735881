//! A build spec put in order, by a formatter of TOML that others keep (`oxc-toml`, taplo's).
//!
//! What it makes is compared with what it was given, so that its mistakes stay its own: a text that would mean something
//! else, or would be changed again, is left alone. It gives whole texts; edits of lines are found by what is not blank,
//! which stays the same but for commas.

use std::collections::BTreeMap;

use ast::{Edit, FileId, Span};
use oxc_toml::Options;

use crate::Input;

/// Lines longer than this are divided where they are lists.
const WIDTH: usize = 100;

/// The edits that put a text in order; none for one with mistakes, whose values are not certain.
pub(super) fn format(input: &Input<'_>) -> Vec<Edit> {
    let Ok(text) = std::str::from_utf8(input.bytes) else { return Vec::new() };
    let Ok(before) = text.parse::<toml::Table>() else { return Vec::new() };
    let formatted = once(text);
    let is_sound = formatted.parse::<toml::Table>().is_ok_and(|after| after == before);
    if formatted == text || !is_sound || once(&formatted) != formatted {
        return Vec::new();
    }
    edits(text, &formatted, input.file)
}

fn once(text: &str) -> String {
    let parsed = oxc_toml::parse(text);
    if !parsed.errors.is_empty() {
        return text.to_owned();
    }
    let options = Options {
        column_width: WIDTH,
        allowed_blank_lines: 1,
        // Where people break lists they mean it.
        array_auto_collapse: false,
        inline_table_expand: false,
        crlf: text.contains("\r\n"),
        ..Options::default()
    };
    oxc_toml::format(&parsed, options)
}

/// The change of a text as edits, each of whole entries.
fn edits(old: &str, new: &str, file: FileId) -> Vec<Edit> {
    if !ink(old).map(|(_, c)| c).eq(ink(new).map(|(_, c)| c)) {
        return vec![edit(file, 0, old, new)];
    }
    let (old_lines, new_lines) = (lines(old), lines(new));
    let shared = old_lines.iter().filter_map(|(ink, start)| Some((*start, *new_lines.get(ink)?)));
    let mut edits = Vec::new();
    let (mut old_start, mut new_start) = (0, 0);
    for (old_end, new_end) in shared.chain([(old.len(), new.len())]) {
        let (before, after) = (&old[old_start..old_end], &new[new_start..new_end]);
        if before != after {
            edits.push(edit(file, old_start, before, after));
        }
        (old_start, new_start) = (old_end, new_end);
    }
    edits
}

/// What the formatter keeps, with its places.
fn ink(text: &str) -> impl Iterator<Item = (usize, char)> {
    text.char_indices().filter(|(_, c)| !c.is_whitespace() && *c != ',')
}

/// The start of each line that has ink, by the number of its first.
fn lines(text: &str) -> BTreeMap<usize, usize> {
    let mut lines = BTreeMap::new();
    let mut last = None;
    for (number, (at, _)) in ink(text).enumerate() {
        let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        if last != Some(start) {
            lines.insert(number, start);
            last = Some(start);
        }
    }
    lines
}

/// One edit, without what is the same at both ends.
fn edit(file: FileId, start: usize, old: &str, new: &str) -> Edit {
    let same = |(a, b): &(char, char)| a == b;
    let head: usize = old.chars().zip(new.chars()).take_while(same).map(|(c, _)| c.len_utf8()).sum();
    let (old, new) = (&old[head..], &new[head..]);
    let tail: usize = old.chars().rev().zip(new.chars().rev()).take_while(same).map(|(c, _)| c.len_utf8()).sum();
    let span = Span::new(file, (start + head) as u32, (start + head + old.len() - tail) as u32);
    Edit { span, text: new[..new.len() - tail].to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edits_of(text: &str) -> Vec<Edit> {
        format(&Input::new(FileId(0), text.as_bytes()))
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(String::from_utf8_lossy(&ast::apply(text.as_bytes(), &edits_of(text))), expected);
    }

    #[test]
    fn blanks_and_lists() {
        check(
            "spec=1\n\n\n\n[image.a] # note\n   from   =  'x'\ncmd=['a','b',]\nstep=[{run=\"y\"},\n{ mkdir='/z'} # two\n]",
            "spec = 1\n\n[image.a] # note\nfrom = 'x'\ncmd = ['a', 'b']\nstep = [\n  { run = \"y\" },\n  { mkdir = '/z' }, # two\n]\n",
        );
        check("a = \"\"\"\n x  =1 \n\"\"\"\n", "a = \"\"\"\n x  =1 \n\"\"\"\n");
        check("a=1\r\nb=2\r\n", "a = 1\r\nb = 2\r\n");
    }

    #[test]
    fn what_is_wrong_stays() {
        check("a=1\nb=\n", "a=1\nb=\n");
        check("a=1\na=2\n", "a=1\na=2\n");
    }

    #[test]
    fn an_edit_is_of_its_line() {
        let text = "a=1\n\nb = 2\nc=[1,\n2]\nd=3\n";
        let found: Vec<_> = edits_of(text)
            .iter()
            .map(|edit| (&text[edit.span.start as usize..edit.span.end as usize], edit.text.as_str()))
            .map(|(old, new)| format!("{old} → {new}"))
            .collect();
        assert_eq!(found, ["= →  = ", "=[ →  = [\n  ", "2 →   2,\n", "= →  = "]);
    }
}
