//! The place of a cursor in a text of keys and values.
//!
//! What is expected is told by the text before the cursor alone, so that nothing after it is in the way, however broken;
//! what stands there is looked up in all of it.

use ast::{FileId, Span};
use frontends::keyed::{Entry, Found, Grammar, Key, Section, Tree, Value, ValueKind};

use crate::File;

/// What is expected at a cursor.
#[derive(Debug)]
pub(crate) struct Spot {
    /// What.
    pub(crate) place: Place,
    /// What is typed of it already.
    pub(crate) typed: Span,
}

/// What may be written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The next part of a header after these.
    Header(Vec<String>),
    /// A key of the table at a path, beside those that are there.
    Key {
        /// The keys that lead to the table.
        path: Vec<String>,
        /// Keys that are there.
        used: Vec<String>,
        /// Whether the table is one in braces.
        inline: bool,
    },
    /// A value.
    Value {
        /// The keys that lead to it.
        path: Vec<String>,
        /// Whether a quote is open.
        quoted: bool,
    },
}

/// Looks at the text before a place; `None` where nothing can be said: in comments, after values.
pub(crate) fn expected(file: &File, offset: u32) -> Option<Spot> {
    let keyed = file.language.keyed?;
    let text = file.text().get(..offset as usize)?;
    let tree = (keyed.read)(text);
    let in_comment = |comment: &Span| comment.end == offset;
    if tree.comments.last().is_some_and(in_comment) {
        return None;
    }
    Prefix { text, offset }.section(tree.sections.last()?)
}

struct Prefix<'t> {
    text: &'t str,
    offset: u32,
}

impl Prefix<'_> {
    fn here(&self) -> Span {
        Span::new(FileId(0), self.offset, self.offset)
    }

    fn ends_line(&self, after: u32) -> bool {
        self.text.get(after as usize..).is_some_and(|rest| rest.contains('\n'))
    }

    fn section(&self, section: &Section) -> Option<Spot> {
        let path = texts(&section.path);
        if section.header.start < section.header.end && !self.ends_line(section.header.end) {
            if section.closed {
                return None;
            }
            let (path, typed) = match section.path.split_last() {
                Some((last, before)) => (texts(before), last.span),
                None => (Vec::new(), self.here()),
            };
            return Some(Spot { place: Place::Header(path), typed });
        }
        let is_over = section.entries.last().is_none_or(|last| {
            let open = last.value.as_ref().is_some_and(|value| self.is_open(value));
            !open && self.ends_line(last.span.end)
        });
        self.entries(&section.entries, path, is_over, false)
    }

    /// Whether a value goes on at the end of the text.
    fn is_open(&self, value: &Value) -> bool {
        match value.kind {
            ValueKind::Text { closed, .. } => !closed && value.span.end == self.offset,
            ValueKind::List { closed, .. } | ValueKind::Table { closed, .. } => !closed,
            ValueKind::Plain => false,
        }
    }

    fn entries(&self, entries: &[Entry], path: Vec<String>, is_over: bool, inline: bool) -> Option<Spot> {
        let used = || entries.iter().map(|entry| texts(&entry.keys).join(".")).collect();
        match entries.last() {
            Some(last) if !is_over => self.entry(last, path, used(), inline),
            _ => Some(Spot { place: Place::Key { path, used: used(), inline }, typed: self.here() }),
        }
    }

    fn entry(&self, entry: &Entry, mut path: Vec<String>, mut used: Vec<String>, inline: bool) -> Option<Spot> {
        match &entry.value {
            Some(value) => {
                path.extend(texts(&entry.keys));
                self.value(value, path)
            }
            None if entry.assigned => {
                path.extend(texts(&entry.keys));
                Some(Spot { place: Place::Value { path, quoted: false }, typed: self.here() })
            }
            None if entry.span.end == self.offset => {
                let (last, before) = entry.keys.split_last()?;
                path.extend(texts(before));
                used.pop();
                if !before.is_empty() {
                    used.clear();
                }
                Some(Spot { place: Place::Key { path, used, inline }, typed: last.span })
            }
            None => None,
        }
    }

    fn value(&self, value: &Value, path: Vec<String>) -> Option<Spot> {
        let spot = |quoted, typed, path| Some(Spot { place: Place::Value { path, quoted }, typed });
        match &value.kind {
            ValueKind::Text { inner, closed: false } if value.span.end == self.offset => spot(true, *inner, path),
            ValueKind::Plain if value.span.end == self.offset => spot(false, value.span, path),
            ValueKind::List { items, open, closed: false } => match items.last() {
                Some(last) if !open => self.value(last, path),
                _ => spot(false, self.here(), path),
            },
            ValueKind::Table { entries, open, closed: false } => self.entries(entries, path, *open, true),
            _ => None,
        }
    }
}

fn texts(keys: &[Key]) -> Vec<String> {
    keys.iter().map(|key| key.text.clone()).collect()
}

/// What stands at a place.
#[derive(Debug)]
pub(crate) struct Here<'t> {
    /// The keys that lead to the table that the key stands in, outer ones first.
    pub(crate) path: Vec<&'t Key>,
    /// The parts of the key: of an entry, or of a header.
    pub(crate) keys: &'t [Key],
    /// The part the place is in; `None` in the value.
    pub(crate) part: Option<usize>,
    /// The innermost value at the place that is no table.
    pub(crate) value: Option<&'t Value>,
    /// The entry, if it is one.
    pub(crate) entry: Option<&'t Entry>,
    /// The entries it stands among.
    pub(crate) among: &'t [Entry],
}

impl<'t> Here<'t> {
    /// What the language knows of the part of the key at the place, or of the whole key.
    pub(crate) fn meaning<'g>(&self, grammar: &'g Grammar) -> Option<Found<'g>> {
        let keys = self.part.map_or(self.keys, |part| &self.keys[..=part]);
        let words: Vec<&str> = self.path.iter().copied().chain(keys).map(|key| key.text.as_str()).collect();
        grammar.at(&words)
    }
}

fn holds(span: Span, offset: u32) -> bool {
    span.start <= offset && offset <= span.end
}

/// What stands at a place, ends included: the innermost.
pub(crate) fn here(tree: &Tree, offset: u32) -> Option<Here<'_>> {
    let section = &tree.sections[tree.section_at(offset)?];
    if let Some(part) = part(&section.path, offset) {
        let part = Some(part);
        let keys = &section.path[..];
        return Some(Here { path: Vec::new(), keys, part, value: None, entry: None, among: &section.entries });
    }
    among(&section.entries, section.path.iter().collect(), offset)
}

fn part(keys: &[Key], offset: u32) -> Option<usize> {
    keys.iter().position(|key| holds(key.span, offset))
}

fn among<'t>(entries: &'t [Entry], path: Vec<&'t Key>, offset: u32) -> Option<Here<'t>> {
    let entry = entries.iter().find(|entry| holds(entry.span, offset))?;
    let here = |path, part, value| Here { path, keys: &entry.keys, part, value, entry: Some(entry), among: entries };
    if let Some(part) = part(&entry.keys, offset) {
        return Some(here(path, Some(part), None));
    }
    let inner = path.iter().copied().chain(&entry.keys).collect();
    let value = entry.value.as_ref().filter(|value| holds(value.span, offset))?;
    in_value(value, inner, offset, &|value| here(path.clone(), None, Some(value)))
}

fn in_value<'t>(
    value: &'t Value,
    path: Vec<&'t Key>,
    offset: u32,
    here: &dyn Fn(&'t Value) -> Here<'t>,
) -> Option<Here<'t>> {
    match &value.kind {
        ValueKind::List { items, .. } => match items.iter().find(|item| holds(item.span, offset)) {
            Some(item) => in_value(item, path, offset, here),
            None => Some(here(value)),
        },
        ValueKind::Table { entries, .. } => among(entries, path, offset),
        ValueKind::Text { .. } | ValueKind::Plain => Some(here(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::named;

    #[track_caller]
    fn check(marked: &str, expected: Option<&str>) {
        let (file, offset) = named("build.toml", marked);
        let shown = super::expected(&file, offset).map(|spot| {
            let typed = file.slice(spot.typed);
            match spot.place {
                Place::Header(path) => format!("header {} {typed}", path.join(".")),
                Place::Key { path, used, .. } => format!("key {} {typed} beside {}", path.join("."), used.join(" ")),
                Place::Value { path, quoted } => {
                    format!("value {} {typed}{}", path.join("."), if quoted { " in quotes" } else { "" })
                }
            }
        });
        assert_eq!(shown.as_deref(), expected, "{marked}");
    }

    #[test]
    fn what_is_expected() {
        check("┃", Some("key   beside "));
        check("[┃", Some("header  "));
        check("[image.a┃\nx = 1", Some("header image a"));
        check("[image.a]\nfrom = \"x\"\nf┃\n", Some("key image.a f beside from"));
        check("[image.a]\nfrom = ┃\n[b]", Some("value image.a.from "));
        check("[image.a]\nfrom = \"st┃", Some("value image.a.from st in quotes"));
        check("[image.a]\nfile = [\n{ from = \"x\", ┃\n[b]\n", Some("key image.a.file  beside from"));
        check("[image.a]\nstep = [{ run = 'a', cache = [\"┃\"] }]", Some("value image.a.step.cache  in quotes"));
        check("[image.a]\napt.┃", Some("key image.a.apt  beside "));
        check("# c┃", None);
        check("a = 1 ┃", None);
    }

    #[test]
    fn what_stands_there() {
        let shown = |marked: &str| {
            let (file, offset) = named("build.toml", marked);
            let (tree, _) = file.keyed().unwrap();
            let here = here(tree, offset)?;
            let path: Vec<&str> = here.path.iter().copied().chain(here.keys).map(|key| key.text.as_str()).collect();
            Some(format!(
                "{} {:?} {}",
                path.join("."),
                here.part,
                here.value.map_or("", |value| file.slice(value.span))
            ))
        };
        assert_eq!(shown("[image.┃a]\n").as_deref(), Some("image.a Some(1) "));
        assert_eq!(shown("[a]\nb = [{ c┃ = 1 }]\n").as_deref(), Some("a.b.c Some(0) "));
        assert_eq!(shown("[a]\nb = [{ c = [\"x\", \"y┃\"] }]\n").as_deref(), Some("a.b.c None \"y\""));
        assert_eq!(shown("a = 1\n\n┃\n"), None);
    }
}
