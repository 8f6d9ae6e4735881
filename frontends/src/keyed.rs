//! What an editor can say of a text of keys and values: where they stand, what they may be, which names mean the same.
//!
//! Data, no rules of one language: a frontend fills it, features read it. A [`Tree`] comes of any text, however broken;
//! it is no syntax tree, as it knows neither blanks nor how a value is written. [`Table`] and [`Shape`] are what the
//! language takes, made of the declarations that read it.

use std::collections::BTreeMap;

use ast::Span;

/// A language of keys and values.
#[derive(Debug)]
pub struct Keyed {
    /// Reads a text.
    pub read: fn(&str) -> Tree,
    /// What the language takes.
    pub grammar: fn() -> &'static Grammar,
    /// The names in a text.
    pub names: fn(&str, &Tree) -> Vec<Mention>,
}

/// A text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// Its tables in file order, the first being what stands before any header.
    pub sections: Vec<Section>,
    /// Its comments.
    pub comments: Vec<Span>,
}

/// A table with a header of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// The header with its brackets; empty where there is none.
    pub header: Span,
    /// The name of the table.
    pub path: Vec<Key>,
    /// Whether it is one of several of the name.
    pub repeated: bool,
    /// Whether its header is complete.
    pub closed: bool,
    /// What stands in it.
    pub entries: Vec<Entry>,
    /// From the header to the end of the last entry.
    pub span: Span,
}

/// A key, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// What it means, without quotes.
    pub text: String,
    /// As written.
    pub span: Span,
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The parts of the key.
    pub keys: Vec<Key>,
    /// Whether a sign follows that a value must follow.
    pub assigned: bool,
    /// The value, if it is there.
    pub value: Option<Value>,
    /// All of it.
    pub span: Span,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// What it is.
    pub kind: ValueKind,
    /// As written.
    pub span: Span,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// A text: the place of what stands between its quotes, and whether a quote ends it.
    Text {
        /// Between the quotes, as written.
        inner: Span,
        /// Whether it ends.
        closed: bool,
    },
    /// A number, a truth value, a time, or what will be one.
    Plain,
    /// A list.
    List {
        /// Its values.
        items: Vec<Value>,
        /// Whether another may follow here: after an opening bracket or a comma.
        open: bool,
        /// Whether it ends.
        closed: bool,
    },
    /// A table in braces.
    Table {
        /// What stands in it.
        entries: Vec<Entry>,
        /// Whether another may follow here.
        open: bool,
        /// Whether it ends.
        closed: bool,
    },
}

/// A name in a text: where it is given to something, or where that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// The name alone.
    pub span: Span,
    /// The name.
    pub name: String,
    /// The table it is in.
    pub space: &'static str,
    /// Whether it is defined there; `None` where it is written again in a header.
    pub defines: Option<bool>,
}

/// What a language takes.
#[derive(Debug)]
pub struct Grammar {
    /// The tables by their names.
    pub tables: BTreeMap<String, Table>,
    /// The table that a text is.
    pub root: &'static str,
    /// Tables whose keys are names, by which the rest of the text means what stands there.
    pub spaces: &'static [&'static str],
    /// References that are always there, with what they are.
    pub references: &'static [(&'static str, &'static str)],
}

/// A table that the language knows.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub doc: String,
    /// Its keys, in the order of their declaration.
    pub keys: Vec<Field>,
}

/// A key of a table.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub doc: String,
    /// What it takes.
    pub shape: Shape,
    /// What its text means.
    pub means: Meaning,
}

/// What a value may be.
#[derive(Debug)]
pub enum Shape {
    /// A text.
    Text,
    /// Whether something is so.
    Truth,
    /// A number.
    Number,
    /// One of some words, each with what it says.
    Words(Vec<(String, String)>),
    /// A table of this name.
    Table(String),
    /// A table whose keys the writer chooses.
    Named(Box<Shape>),
    /// A list.
    List(Box<Shape>),
    /// One of these.
    Any(Vec<Shape>),
}

/// What a text means, beyond being one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing more.
    Plain,
    /// A base: an image, or what is defined elsewhere.
    Base,
    /// An image.
    Image,
    /// Files: a source, or what is defined elsewhere, and a path after a colon; or a path of the build context.
    Files,
    /// The name of a source.
    Source,
    /// The name of a cache.
    Cache,
    /// The name of a stage.
    Stage,
    /// A path of the build context.
    Path,
    /// A path from the directory of the text.
    Beside,
    /// An address.
    Address,
    /// A condition.
    Condition,
    /// A script of a shell, in which no reference is replaced.
    Script,
    /// A platform.
    Platform,
}

impl Grammar {
    /// The table of a name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.get(name)
    }

    /// What stands at a path of keys from the root: the table with its field for the last key that is the language's, and
    /// the shape of the value.
    pub fn at<'g>(&'g self, path: &[&str]) -> Option<Found<'g>> {
        let mut found = Found { field: None, table: self.table(self.root)?, shape: None };
        for key in path {
            found = found.step(self, key)?;
        }
        Some(found)
    }
}

/// What a path leads to.
#[derive(Clone, Copy, Debug)]
pub struct Found<'g> {
    /// The table that the last key of the language is in.
    pub table: &'g Table,
    /// That key.
    pub field: Option<&'g Field>,
    /// The shape of what is there; `None` at the root.
    pub shape: Option<&'g Shape>,
}

impl<'g> Found<'g> {
    /// What a key leads to from here.
    fn step(self, grammar: &'g Grammar, key: &str) -> Option<Self> {
        let Some(shape) = self.shape else { return self.field_of(self.table, key) };
        for shape in shape.leaves() {
            match shape {
                Shape::Named(inner) => return Some(Self { shape: Some(inner), ..self }),
                Shape::Table(name) => return self.field_of(grammar.table(name)?, key),
                _ => {}
            }
        }
        None
    }

    fn field_of(self, table: &'g Table, key: &str) -> Option<Self> {
        let field = table.keys.iter().find(|field| field.name == key)?;
        Some(Self { table, field: Some(field), shape: Some(&field.shape) })
    }

    /// The table whose keys stand here, if it is one of the language's.
    pub fn inside(self, grammar: &'g Grammar) -> Option<&'g Table> {
        let Some(shape) = self.shape else { return Some(self.table) };
        shape.leaves().into_iter().find_map(|shape| match shape {
            Shape::Table(name) => grammar.table(name),
            _ => None,
        })
    }
}

impl Shape {
    /// What it may be, or what the list may hold that it may be.
    pub fn leaves(&self) -> Vec<&Shape> {
        match self {
            Self::Any(choices) => choices.iter().flat_map(Self::leaves).collect(),
            Self::List(inner) => inner.leaves(),
            one => vec![one],
        }
    }

    /// In words: `list of string`.
    pub fn words(&self) -> String {
        match self {
            Self::Text => "string".to_owned(),
            Self::Truth => "boolean".to_owned(),
            Self::Number => "integer".to_owned(),
            Self::Words(words) => {
                let words: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                words.join(" | ")
            }
            Self::Table(name) => name.clone(),
            Self::Named(inner) => format!("table of {}", inner.words()),
            Self::List(inner) => format!("list of {}", inner.words()),
            Self::Any(choices) => choices.iter().map(Self::words).collect::<Vec<_>>().join(" or "),
        }
    }
}

impl Tree {
    /// Every entry, those inside values included, with the keys that lead to it, outer ones first.
    pub fn visit<'t>(&'t self, visit: &mut impl FnMut(&[&'t Key], &'t Entry)) {
        for section in &self.sections {
            let mut path: Vec<&Key> = section.path.iter().collect();
            visit_entries(&section.entries, &mut path, visit);
        }
    }

    /// The number of the section that a place is in.
    pub fn section_at(&self, offset: u32) -> Option<usize> {
        self.sections.partition_point(|section| section.span.start <= offset).checked_sub(1)
    }
}

fn visit_entries<'t>(entries: &'t [Entry], path: &mut Vec<&'t Key>, visit: &mut impl FnMut(&[&'t Key], &'t Entry)) {
    for entry in entries {
        visit(path, entry);
        if let Some(value) = &entry.value {
            let before = path.len();
            path.extend(&entry.keys);
            visit_value(value, path, visit);
            path.truncate(before);
        }
    }
}

fn visit_value<'t>(value: &'t Value, path: &mut Vec<&'t Key>, visit: &mut impl FnMut(&[&'t Key], &'t Entry)) {
    match &value.kind {
        ValueKind::List { items, .. } => items.iter().for_each(|item| visit_value(item, path, visit)),
        ValueKind::Table { entries, .. } => visit_entries(entries, path, visit),
        ValueKind::Text { .. } | ValueKind::Plain => {}
    }
}

impl Value {
    /// Every text in it, itself or in lists, but not in tables.
    pub fn texts(&self) -> Vec<&Self> {
        match &self.kind {
            ValueKind::Text { .. } => vec![self],
            ValueKind::List { items, .. } => items.iter().flat_map(Self::texts).collect(),
            ValueKind::Plain | ValueKind::Table { .. } => Vec::new(),
        }
    }
}
