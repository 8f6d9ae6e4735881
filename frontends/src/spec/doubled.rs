//! Keys that are there twice: where the first one is.

use std::collections::BTreeMap;
use std::ops::Range;

use ast::Span;

use super::keyed::KEYED;
use crate::keyed::{Entry, Key, Section, Value, ValueKind};

/// Where the key at a place is for the first time; where its table is, when only that is there already. `None` if it cannot
/// be told.
pub(super) fn first(text: &str, at: &Range<usize>) -> Option<Range<usize>> {
    let tree = (KEYED.read)(text);
    let mut walk = Walk { at: at.clone(), ..Walk::default() };
    tree.sections.iter().for_each(|section| walk.section(section));
    walk.found.map(range).filter(|first| first.end <= at.start)
}

fn range(span: Span) -> Range<usize> {
    span.start as usize..span.end as usize
}

/// What leads from a table or a list to what is in it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Step<'t> {
    Key(&'t str),
    Item(usize),
}

/// What has a name in a text, counted as it comes; the text itself is 0.
type Named = usize;

#[derive(Default)]
struct Walk<'t> {
    /// The place that is looked for.
    at: Range<usize>,
    /// What is in what.
    known: BTreeMap<(Named, Step<'t>), Named>,
    /// Where each is for the first time.
    first: BTreeMap<Named, Span>,
    /// The items so far of lists that headers make.
    items: BTreeMap<Named, usize>,
    found: Option<Span>,
}

impl<'t> Walk<'t> {
    fn section(&mut self, section: &'t Section) {
        let mut table = 0;
        for (at, key) in section.path.iter().enumerate() {
            table = self.key(table, key);
            if section.repeated && at + 1 == section.path.len() {
                *self.items.entry(table).or_default() += 1;
            }
            if let Some(item) = self.items.get(&table) {
                table = self.step(table, Step::Item(*item));
            }
        }
        self.entries(table, &section.entries);
    }

    fn entries(&mut self, table: Named, entries: &'t [Entry]) {
        for entry in entries {
            let inside = entry.keys.iter().fold(table, |table, key| self.key(table, key));
            if let Some(value) = &entry.value {
                self.value(inside, value);
            }
        }
    }

    fn value(&mut self, named: Named, value: &'t Value) {
        match &value.kind {
            ValueKind::Table { entries, .. } => self.entries(named, entries),
            ValueKind::List { items, .. } => {
                for (at, item) in items.iter().enumerate() {
                    let inside = self.step(named, Step::Item(at));
                    self.value(inside, item);
                }
            }
            ValueKind::Text { .. } | ValueKind::Plain => {}
        }
    }

    fn step(&mut self, from: Named, step: Step<'t>) -> Named {
        let fresh = self.known.len() + 1;
        *self.known.entry((from, step)).or_insert(fresh)
    }

    fn key(&mut self, table: Named, key: &'t Key) -> Named {
        let named = self.step(table, Step::Key(&key.text));
        let place = range(key.span);
        if self.at.start <= place.start && place.end <= self.at.end {
            self.found = self.first.get(&named).or(self.first.get(&table)).copied();
        }
        self.first.entry(named).or_insert(key.span);
        named
    }
}
