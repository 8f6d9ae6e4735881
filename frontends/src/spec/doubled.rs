//! Keys that are there twice: where the first one is.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// The first key of a path whose second one is at `at`; `None` if it cannot be told.
pub(super) fn first(document: &DeTable<'_>, text: &str, at: &Range<usize>) -> Option<Range<usize>> {
    let line_start = text.get(..at.start)?.rfind('\n').map_or(0, |end| end + 1);
    let before = text[line_start..at.start].trim_start();
    let said = text.get(at.clone())?;
    let is_header = before.starts_with('[') || said.starts_with('[');
    let mut path = if is_header { Vec::new() } else { header(&text[..line_start]) };
    path.extend(keys(before.trim_start_matches('[')));
    path.extend(keys(said.trim_matches(['[', ']'])));
    if is_header {
        // Of tables the document has the last one.
        return earlier_header(&text[..line_start], &path);
    }
    let (last, tables) = path.split_last()?;
    let mut table = document;
    for name in tables {
        table = inner(table.iter().find(|(key, _)| key.get_ref() == name)?.1.get_ref(), at.start)?;
    }
    let (key, _) = table.iter().find(|(key, _)| key.get_ref() == last)?;
    Some(key.span()).filter(|first| first.end <= at.start)
}

/// The table that a value is, or the last of several before a place.
fn inner<'d>(value: &'d DeValue<'d>, before: usize) -> Option<&'d DeTable<'d>> {
    match value {
        DeValue::Table(table) => Some(table),
        DeValue::Array(all) => {
            let before = all.iter().rfind(|value| value.span().start < before).or(all.iter().next_back())?;
            inner(before.get_ref(), usize::MAX)
        }
        _ => None,
    }
}

/// The last key of the first header of a text that has the keys of a path.
fn earlier_header(text: &str, path: &[String]) -> Option<Range<usize>> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let inside = line.trim_start().strip_prefix('[').and_then(|rest| rest.split(']').next());
        if inside.is_some_and(|inside| keys(inside) == path) {
            let end = start + line.find(']')?;
            let key = start + line[..end - start].rfind(['.', '['])? + 1;
            return Some(key..end);
        }
        start += line.len();
    }
    None
}

/// The keys of the last header of a text.
fn header(text: &str) -> Vec<String> {
    let line = text.lines().rev().map(str::trim).find(|line| line.starts_with('['));
    let inside = line.and_then(|line| line.trim_start_matches('[').split(']').next());
    inside.map(keys).unwrap_or_default()
}

/// Keys with dots between them.
fn keys(text: &str) -> Vec<String> {
    let (mut all, mut key, mut quote) = (Vec::new(), String::new(), None);
    for sign in text.trim().chars() {
        match (sign, quote) {
            ('"' | '\'', None) => quote = Some(sign),
            (sign, Some(open)) if sign == open => quote = None,
            ('.', None) => all.push(std::mem::take(&mut key)),
            (sign, None) if sign.is_whitespace() => {}
            (sign, _) => key.push(sign),
        }
    }
    all.push(key);
    all.retain(|key| !key.is_empty());
    all
}
